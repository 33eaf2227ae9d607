//! Which node follows the matches of a server, when several take events.
//!
//! Every node stores what it is sent; one *owner* a server folds it for viewers. Whoever else gets events of that server
//! hands them on ([`Nodes::forward`]). An owner that is gone is followed by the next node that gets events, which reads
//! what it lacks from where all nodes store ([`History`](super::History)).

use std::sync::Arc;

use mohaa_domain::event::Millis;
use uuid::Uuid;

/// Who follows a server's matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// This node. `fence` grows with each owner: what an earlier one keeps does not overwrite what a later one has kept.
    Us {
        fence: u64,
    },
    Other,
    /// It was asked for, and will be told.
    Undecided,
}

/// A request as one node hands it to another.
#[derive(Clone, Debug, PartialEq)]
pub struct Forwarded {
    /// Of the node that stores it.
    pub spool_id: Uuid,
    /// As in that spool ([`crate::record`]).
    pub record: Arc<Vec<u8>>,
    /// Matches of the server and when they ended, as its tracker on that node knows them.
    pub matches: Vec<(Uuid, Option<Millis>)>,
}

/// What a node hears of the others.
#[derive(Clone, Debug)]
pub enum NodeNews {
    /// Who follows a server was decided, or has changed.
    Owner { server_id: Uuid, owner: Owner },
    /// Events of a server that this node follows.
    Forwarded(Forwarded),
    /// Another node stored events of this server that it could not hand on.
    Lacking { server_id: Uuid },
}

/// The nodes of a service.
pub trait Nodes: Send + Sync + 'static {
    /// Who follows this server's matches; asked for the first time, this node tries to.
    fn owner_of(&self, server_id: Uuid) -> Owner;

    /// Hands a request on to the server's owner; what can't be handed on is read from the store by and by.
    fn forward(&self, server_id: Uuid, request: Forwarded);

    /// This node has no more matches of this server.
    fn release(&self, server_id: Uuid);
}

/// The only node there is.
pub struct OneNode;

impl Nodes for OneNode {
    fn owner_of(&self, _: Uuid) -> Owner {
        Owner::Us { fence: 0 }
    }

    fn forward(&self, _: Uuid, _: Forwarded) {}

    fn release(&self, _: Uuid) {}
}
