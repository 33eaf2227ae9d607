//! Who may call what: the one place where it is stated and checked.
//!
//! A handler states it by its first argument, which is one of the caller types of this module: [`Anyone`],
//! [`SignedIn`], [`Organizer`], [`Admin`] or [`GameServer`]. A function without one is no handler: it can't be put into a
//! [`Route`]. The service serves routes and nothing else (but static files), so [`crate::routes::all`] lists every call
//! there is with whom it is open to.
//!
//! The caller is known before anything else of the request is looked at, so that whoever may not call learns nothing
//! about what a right call looks like.

mod callers;
mod forms;
mod game_server;
mod routes;

pub use callers::{Admin, Anyone, Organizer, SignedIn};
pub use forms::{NoFields, SafeForm};
pub use game_server::GameServer;
pub use routes::{Route, delete, get, mount, post, put};

use serde::Serialize;

use crate::users::Role;

/// Whom a route is open to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Access {
    /// Everybody; a handler may show more to some.
    Anyone,
    /// A game server, by its token; users have no part in it.
    GameServer,
    /// A signed-in user with at least this role.
    Role(Role),
}

/// A caller type: an argument of a handler that is there only for those whom [`Access`] names.
pub trait Caller {
    const ACCESS: Access;
}

/// The arguments of a handler that states who may call it.
pub trait StatesAccess {
    const ACCESS: Access;
}

macro_rules! states_access {
    ($($other:ident)*) => {
        impl<C: Caller $(, $other)*> StatesAccess for (C, $($other,)*) {
            const ACCESS: Access = C::ACCESS;
        }
    };
}

states_access!();
states_access!(A1);
states_access!(A1 A2);
states_access!(A1 A2 A3);
states_access!(A1 A2 A3 A4);
states_access!(A1 A2 A3 A4 A5);
states_access!(A1 A2 A3 A4 A5 A6);
states_access!(A1 A2 A3 A4 A5 A6 A7);
