//! TournamentActor: the mutations of one tournament, one after the other.
//!
//! Rules are pure ([`mohaa_domain::tournament`]), PostgreSQL is the truth ([`TournamentStore`]). The actor brings the two
//! together: it applies a command to the state of a version, and commits what changed under the condition that the
//! stored version is still that one. Another node may have been faster: then nothing was written, the state is read
//! anew and the command applied to that. So two nodes can't fork a bracket, and an actor that dies forgets nothing.

use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use actix::{ActorContext as _, ArbiterHandle, AsyncContext as _, Context};
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use mohaa_domain::tournament::{Applied, At, By, Change, Command, EntrantId, Key, Refusal, Tournament};
use serde_json::{Value, json};
use tokio::sync::oneshot;
use uuid::Uuid;

use crate::clock::Clock;
use crate::kernel::{Kernel, Worker, panic_text};
use crate::metrics::MailboxMetrics;
use crate::port::{self, Admitted, Capacity, Port, Post, Weight};
use crate::supervision::{Directory, RestartBudget};

/// What is wanted of a tournament.
#[derive(Clone, Debug, PartialEq)]
pub enum Intent {
    Apply(Command),
    /// Take back the last mutation that was not taken back.
    Undo,
}

impl Intent {
    /// Whether two are one wish, said twice.
    fn is_again(&self, other: &Intent) -> bool {
        match (self, other) {
            (Intent::Apply(command), Intent::Apply(other)) => command.is_again(other),
            (Intent::Undo, Intent::Undo) => true,
            _ => false,
        }
    }
}

/// A tournament as it is stored.
#[derive(Clone, Debug)]
pub struct Loaded {
    pub tournament: Arc<Tournament>,
    pub version: u64,
}

/// One mutation, as it is written.
#[derive(Debug)]
pub struct Commit<'a> {
    pub tournament_id: Uuid,
    /// Only if the stored version is this one; the new one is one more.
    pub from_version: u64,
    pub at: At,
    pub by: By,
    pub intent: &'a Intent,
    /// The version that an undo takes back.
    pub undoes: Option<u64>,
    pub applied: &'a Applied,
    pub idempotency_key: Option<&'a str>,
}

/// The last mutation that can be taken back.
#[derive(Clone, Debug)]
pub struct Undoable {
    pub version: u64,
    pub by: By,
    pub changes: Vec<Change>,
}

/// A mutation that was done under an idempotency key.
#[derive(Clone, Debug)]
pub struct Repeated {
    pub version: u64,
    pub intent: Intent,
    pub entrant: Option<EntrantId>,
    pub fallen: Vec<Key>,
}

#[derive(Debug, thiserror::Error)]
pub enum CommitError {
    /// The stored version is another one.
    #[error("the tournament was changed meanwhile")]
    Moved,
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

/// The store can't be asked at the moment.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Unavailable(pub String);

/// Where tournaments are kept.
pub trait TournamentStore: Send + Sync + 'static {
    /// None: there is no such tournament.
    fn load(&self, tournament_id: Uuid) -> BoxFuture<'_, Result<Option<Loaded>, Unavailable>>;

    /// Writes all of it or nothing.
    fn commit<'a>(&'a self, commit: Commit<'a>) -> BoxFuture<'a, Result<(), CommitError>>;

    fn last_undoable(&self, tournament_id: Uuid) -> BoxFuture<'_, Result<Option<Undoable>, Unavailable>>;

    /// By whom a key was used tells apart keys that happen to be equal.
    fn find_by_key<'a>(
        &'a self,
        tournament_id: Uuid,
        by: By,
        key: &'a str,
    ) -> BoxFuture<'a, Result<Option<Repeated>, Unavailable>>;
}

/// A mutation, done.
#[derive(Clone, Debug)]
pub struct Done {
    pub tournament: Arc<Tournament>,
    /// After it. With a dry run: before it.
    pub version: u64,
    /// Matches that are open again.
    pub fallen: Vec<Key>,
    pub entrant: Option<EntrantId>,
}

/// Why a mutation was not done; nothing of it was.
#[derive(Debug, thiserror::Error)]
pub enum Failed {
    #[error("there is no such tournament")]
    Unknown,
    #[error(transparent)]
    Refused(#[from] Refusal),
    #[error("the tournament has changed since: it is at version {version}")]
    Stale { version: u64 },
    #[error("the idempotency key was used for something else")]
    KeyReused,
    #[error("there is nothing to take back")]
    NothingToUndo,
    #[error("too much is waiting for this tournament")]
    Busy,
    #[error("the tournament can't be changed at the moment: {0}")]
    Unavailable(String),
}

impl From<Unavailable> for Failed {
    fn from(unavailable: Unavailable) -> Self {
        Failed::Unavailable(unavailable.0)
    }
}

/// What is asked of an actor.
pub struct Mutation {
    pub intent: Intent,
    pub by: By,
    /// The version that the caller has seen; none: whatever it is now.
    pub expected: Option<u64>,
    pub idempotency_key: Option<String>,
    /// Only to see what it would do.
    pub is_dry_run: bool,
}

type Reply = oneshot::Sender<Result<Done, Failed>>;

/// Nodes that change one tournament at the same moment race, and who has lost reads it anew first, so that whoever is ahead stays
/// ahead while more waits there: as many as fit a mailbox a few times over are waited for.
const MOST_TRIES: usize = 200;
/// Mutations that wait for one tournament.
const MAILBOX_MUTATIONS: u64 = 512;
const MAILBOX_BYTES: u64 = 64 << 20;
/// An actor without work for so long is ended; the next mutation reads the tournament anew.
const IDLE_AFTER: Duration = Duration::from_secs(600);

struct TournamentEstate {
    tournament_id: Uuid,
    store: Arc<dyn TournamentStore>,
    clock: Clock,
}

pub struct TournamentActor {
    estate: Arc<TournamentEstate>,
    port: Port<TournamentActor>,
    /// As it was committed or read last; none: to be read.
    state: Option<Loaded>,
}

pub enum TournamentSignal {
    End,
}

impl Worker for TournamentActor {
    type Message = (Mutation, Reply);
    type Signal = TournamentSignal;
    type Estate = Uuid;
    const WORKS_ON: bool = true;

    fn handle(
        &mut self,
        message: &mut Option<Self::Message>,
        admitted: Admitted,
        context: &mut Context<Kernel<Self>>,
    ) {
        let Some((mutation, reply)) = message.take() else { return };
        let (estate, state, port) = (self.estate.clone(), self.state.take(), self.port.clone());
        let work = async move {
            // A panic costs this mutation, which was not committed, and what was remembered.
            let mutating = AssertUnwindSafe(mutate(&estate, state, &mutation)).catch_unwind();
            let (state, outcome) = match mutating.await {
                Ok((state, outcome)) => {
                    if let Err(Failed::Unavailable(why)) = &outcome {
                        port.instance().note_error(&format!("a mutation was not done: {why}"));
                    }
                    (state, outcome)
                }
                Err(panic) => {
                    let panic = panic_text(&*panic);
                    tracing::error!(tournament_id = %estate.tournament_id, ?mutation.intent, panic, "a mutation panicked");
                    port.instance()
                        .note_failure(panic, json!({ "intent": format!("{:?}", mutation.intent) }));
                    (None, Err(Failed::Unavailable("it failed".to_owned())))
                }
            };
            // Whoever asked may have given up waiting.
            let _ = reply.send(outcome);
            drop(admitted);
            state
        };
        // The mailbox waits with it: mutations never run side by side.
        context.wait(actix::fut::ActorFutureExt::map(
            actix::fut::wrap_future(work),
            |state, kernel: &mut Kernel<Self>, _: &mut Context<Kernel<Self>>| {
                kernel.update(|actor| {
                    actor.state = state;
                    actor.port.instance().work_ended();
                });
            },
        ));
    }

    fn signal(&mut self, signal: Self::Signal, context: &mut Context<Kernel<Self>>) {
        match signal {
            TournamentSignal::End => context.stop(),
        }
    }

    fn observe(&self) -> Value {
        json!({
            "tournament_id": self.estate.tournament_id,
            "version": self.state.as_ref().map(|state| state.version),
            "status": self.state.as_ref().map(|state| state.tournament.status.name()),
            "matches": self.state.as_ref().map(|state| state.tournament.bouts.len()),
        })
    }

    fn bequeath(self) -> Self::Estate {
        self.estate.tournament_id
    }

    fn bury(&mut self, _message: Self::Message, _panic: &str) {
        // Dropped, its sender is told that it was not done.
    }
}

/// Does one mutation. Gives what is known of the stored state afterwards.
async fn mutate(
    estate: &TournamentEstate,
    state: Option<Loaded>,
    mutation: &Mutation,
) -> (Option<Loaded>, Result<Done, Failed>) {
    let mut known = state;
    for _ in 0..MOST_TRIES {
        let loaded = match known.take() {
            Some(loaded) => loaded,
            None => match estate.store.load(estate.tournament_id).await {
                Ok(Some(loaded)) => loaded,
                Ok(None) => return (None, Err(Failed::Unknown)),
                Err(unavailable) => return (None, Err(unavailable.into())),
            },
        };
        match attempt(estate, &loaded, mutation).await {
            Ok(Attempted::Done(done, now)) => return (Some(now), Ok(done)),
            Ok(Attempted::Moved) => {}
            Err(failed @ Failed::Unavailable(_)) => return (None, Err(failed)),
            Err(failed) => {
                // The reason may be that another node has changed it meanwhile.
                return match estate.store.load(estate.tournament_id).await {
                    Ok(Some(now)) if now.version != loaded.version => {
                        known = Some(now);
                        continue;
                    }
                    Ok(_) => (Some(loaded), Err(failed)),
                    Err(_) => (None, Err(failed)),
                };
            }
        }
    }
    (None, Err(Failed::Busy))
}

enum Attempted {
    Done(Done, Loaded),
    Moved,
}

async fn attempt(
    estate: &TournamentEstate,
    loaded: &Loaded,
    mutation: &Mutation,
) -> Result<Attempted, Failed> {
    let Loaded { tournament, version } = loaded;
    let Mutation { intent, by, expected, idempotency_key, is_dry_run } = mutation;
    let id = estate.tournament_id;
    if let Some(key) = idempotency_key
        && let Some(repeated) = estate.store.find_by_key(id, *by, key).await?
    {
        if !repeated.intent.is_again(intent) {
            return Err(Failed::KeyReused);
        }
        let Repeated { version, entrant, fallen, .. } = repeated;
        let done = Done { tournament: tournament.clone(), version, fallen, entrant };
        return Ok(Attempted::Done(done, loaded.clone()));
    }
    let at = estate.clock.now().0;
    let is_stale = expected.is_some_and(|expected| expected != *version);
    let (applied, undoes) = match intent {
        Intent::Apply(command) => match tournament.apply(command, *by, at) {
            // Who may not is told so, whatever they have seen.
            Err(refusal) if !is_stale || matches!(refusal, Refusal::NotAllowed(_)) => {
                return Err(refusal.into());
            }
            Ok(applied) if !is_stale => (applied, None),
            _ => return Err(Failed::Stale { version: *version }),
        },
        Intent::Undo if !by.is_organizer() => {
            return Err(Refusal::NotAllowed("an organizer of the tournament").into());
        }
        Intent::Undo if is_stale => return Err(Failed::Stale { version: *version }),
        Intent::Undo => {
            let last = estate.store.last_undoable(id).await?.ok_or(Failed::NothingToUndo)?;
            (tournament.undo(&last.changes, last.by), Some(last.version))
        }
    };
    let Applied { fallen, entrant, .. } = &applied;
    let mut done =
        Done { tournament: tournament.clone(), version: *version, fallen: fallen.clone(), entrant: *entrant };
    if applied.changes.is_empty() {
        return Ok(Attempted::Done(done, loaded.clone()));
    }
    done.tournament = Arc::new(applied.tournament.clone());
    if *is_dry_run {
        return Ok(Attempted::Done(done, loaded.clone()));
    }
    let commit = Commit {
        tournament_id: id,
        from_version: *version,
        at,
        by: *by,
        intent,
        undoes,
        applied: &applied,
        idempotency_key: idempotency_key.as_deref(),
    };
    match estate.store.commit(commit).await {
        Ok(()) => {
            done.version = version + 1;
            let now = Loaded { tournament: done.tournament.clone(), version: done.version };
            Ok(Attempted::Done(done, now))
        }
        Err(CommitError::Moved) => Ok(Attempted::Moved),
        Err(CommitError::Unavailable(unavailable)) => Err(unavailable.into()),
    }
}

/// What a desk is made of.
pub struct DeskParts {
    pub store: Arc<dyn TournamentStore>,
    pub clock: Clock,
    pub metrics: MailboxMetrics,
    pub directory: Directory,
}

struct Seat {
    port: Port<TournamentActor>,
    used_at: Instant,
}

/// Finds or starts the actor of a tournament.
pub struct TournamentDesk {
    parts: DeskParts,
    arbiter: ArbiterHandle,
    seats: Mutex<HashMap<Uuid, Seat>>,
}

impl TournamentDesk {
    pub fn new(parts: DeskParts) -> Self {
        let arbiter = parts.directory.thread();
        Self { parts, arbiter, seats: Mutex::default() }
    }

    /// Has a tournament's actor do it, after whatever waits there already.
    ///
    /// # Errors
    /// As [`Failed`] says.
    pub async fn mutate(&self, tournament_id: Uuid, mutation: Mutation) -> Result<Done, Failed> {
        let (reply, outcome) = oneshot::channel();
        self.offer(tournament_id, (mutation, reply))?;
        outcome.await.unwrap_or_else(|_| Err(Failed::Unavailable("it was interrupted".to_owned())))
    }

    fn offer(&self, tournament_id: Uuid, mut message: (Mutation, Reply)) -> Result<(), Failed> {
        let now = self.parts.clock.instant();
        // Held while it is offered, so that no actor is ended that was just given something.
        let mut seats = self.seats.lock().unwrap_or_else(PoisonError::into_inner);
        seats.retain(|_, seat| {
            let stays = seat.port.depth() > 0 || now.saturating_duration_since(seat.used_at) < IDLE_AFTER;
            if !stays {
                seat.port.tell(TournamentSignal::End);
            }
            stays
        });
        // One that has ended is followed by another.
        for _ in 0..2 {
            let seat = seats
                .entry(tournament_id)
                .or_insert_with(|| Seat { port: self.start(tournament_id), used_at: now });
            seat.used_at = now;
            match seat.port.offer(message, Weight { events: 1, bytes: 1 }) {
                Ok(()) => return Ok(()),
                Err((_, port::Refusal::Full)) => return Err(Failed::Busy),
                Err((back, port::Refusal::Ended)) => message = back,
            }
            seats.remove(&tournament_id);
        }
        Err(Failed::Unavailable("its actor ends again and again".to_owned()))
    }

    fn start(&self, tournament_id: Uuid) -> Port<TournamentActor> {
        let DeskParts { store, clock, metrics, directory } = &self.parts;
        let post = Post {
            arbiter: &self.arbiter,
            name: tournament_id.to_string(),
            capacity: Capacity { events: MAILBOX_MUTATIONS, bytes: MAILBOX_BYTES },
            budget: RestartBudget::default(),
            clock: clock.clone(),
            metrics: metrics.clone(),
            directory,
        };
        let (store, clock) = (store.clone(), clock.clone());
        Port::start(post, tournament_id, move |port, tournament_id| TournamentActor {
            estate: Arc::new(TournamentEstate { tournament_id, store: store.clone(), clock: clock.clone() }),
            port: port.clone(),
            state: None,
        })
    }
}
