//! Tournaments: their HTTP interface, over actors ([`mohaa_actors::tournament`]) that order what is done to each, over rules
//! that are pure ([`mohaa_domain::tournament`]).
//!
//! A mutation is made by [`Tournaments::mutate`]: handlers say what is wanted and by whom, the rules decide. Reading takes the
//! state of the version that PostgreSQL says is the last one, from memory where it is there.

mod announcements;
mod answers;
mod body;
mod clock;
mod entrants;
mod handlers;
mod log;
mod matches;
mod organizing;
mod own;
mod roles;
mod statistics;
mod store;
mod witness;

use std::collections::HashMap;
use std::sync::Arc;

use actix_web::HttpRequest;
use actix_web::http::StatusCode;
use actix_web::http::header::{HeaderMap, IF_MATCH};
use chrono::{DateTime, Utc};
use mohaa_actors::clock::Clock;
use mohaa_actors::metrics::MailboxMetrics;
use mohaa_actors::supervision::Directory;
use mohaa_actors::tournament::{
    DeskParts, Done, Failed, Intent, Loaded, Mutation, TournamentDesk, TournamentStore as _, Unavailable,
};
use mohaa_domain::tournament::{By, Command, EntrantId, Refusal, Tournament};
use moka::future::Cache;
use sqlx::PgPool;
use tokio::sync::{Semaphore, broadcast};
use uuid::Uuid;

pub use answers::{BracketAnswer, MatchAnswer, TournamentAnswer, View, group_letter, standings};
pub use body::{SettingsBody, changed, merged};
pub use entrants::{EntryBody, listed as participants};
pub use handlers::{
    ALL_BUT_DRAFTS, QUERY_SHAPES, StaffBody, TournamentList, TournamentsApi, asked_of_list, listed as list,
};
pub use log::{AuditEntry, AuditList};
pub use matches::{NextRoundBody, ResultBody, ScheduleBody, parsed as match_key};
pub use organizing::staff;

use crate::access::Route;
use crate::achievements::AchievementStore;
use crate::auth::Identity;
use crate::http::{ApiError, idempotency_key};
use crate::postgres::watch::Watcher;
use crate::{postgres, stats::Stats};
use log::News;
pub use own::{ExportedMutation, ExportedTournament, mutations_of, tournaments_of};
use roles::{About, StaffRole};
use store::PgTournaments;
pub use witness::{PresentedTokens, Witness};

/// Tournaments whose state is kept in memory for those who read.
const MOST_REMEMBERED: u64 = 200;

pub fn routes() -> Vec<Route> {
    let mut routes = handlers::routes();
    routes.extend(entrants::routes());
    routes.extend(matches::routes());
    routes.extend(log::routes());
    routes
}

/// While PostgreSQL can't be asked.
fn unavailable(cause: sqlx::Error) -> ApiError {
    let message = "tournaments can't be read or changed at the moment: try again";
    postgres::unanswered("tournaments_unavailable", message, cause)
}

/// All tournaments of the service.
pub struct Tournaments {
    desk: TournamentDesk,
    store: PgTournaments,
    remembered: Cache<Uuid, Loaded>,
    news: News,
    clock: Clock,
    stats: Stats,
    /// What is read into memory whole, one at a time.
    importing: Semaphore,
}

/// What of a tournament is always asked.
#[derive(sqlx::FromRow)]
struct Head {
    version: i64,
    owner_id: i32,
    owner_name: String,
    created_at: DateTime<Utc>,
    /// Of whoever asks.
    staff_role: Option<String>,
}

/// A tournament as it is now.
pub struct Current {
    pub id: Uuid,
    pub version: u64,
    pub tournament: Arc<Tournament>,
    pub owner_id: i32,
    pub owner_name: String,
    pub created_at: DateTime<Utc>,
}

impl Tournaments {
    pub fn new(
        postgres: PgPool,
        achievements: AchievementStore,
        stats: Stats,
        clock: Clock,
        metrics: MailboxMetrics,
        directory: Directory,
    ) -> Self {
        let store = PgTournaments { pool: postgres, achievements };
        let desk = TournamentDesk::new(DeskParts {
            store: Arc::new(store.clone()),
            clock: clock.clone(),
            metrics,
            directory,
        });
        Self {
            desk,
            store,
            remembered: Cache::new(MOST_REMEMBERED),
            news: News::default(),
            clock,
            stats,
            importing: Semaphore::new(1),
        }
    }

    /// Hears of mutations on every node, for those who follow a tournament here.
    pub async fn watch(&self) -> Watcher {
        self.news.watch(self.store.pool.clone()).await
    }

    /// Ids and versions of tournaments as they are changed, on whichever node; the nil id stands for any of them.
    pub fn news(&self) -> broadcast::Receiver<(Uuid, u64)> {
        self.news.subscribe()
    }

    /// The participant that a user is or speaks for, also if the user is staff.
    ///
    /// # Errors
    /// 503.
    pub async fn own_entrant(&self, current: &Current, user_id: i32) -> Result<Option<EntrantId>, ApiError> {
        roles::own_entrant(self.pool(), &current.tournament, user_id, About::Tournament).await
    }

    /// What servers have said they play of a tournament: the game, and its match of the bracket. By
    /// `tournament_announced_games_by_tournament`.
    ///
    /// # Errors
    /// 503.
    pub async fn announced(&self, id: Uuid) -> Result<HashMap<Uuid, String>, ApiError> {
        let announced: Vec<(Uuid, String)> = sqlx::query_as(
            "SELECT match_id, key FROM tournament_announced_games
             WHERE tournament_id = $1 AND announced_at > now() - interval '1 day'",
        )
        .bind(id)
        .fetch_all(self.pool())
        .await
        .map_err(unavailable)?;
        Ok(announced.into_iter().collect())
    }

    /// PostgreSQL.
    pub fn pool(&self) -> &PgPool {
        &self.store.pool
    }

    /// # Errors
    /// 404 `unknown_tournament`; 503.
    pub async fn read(&self, id: Uuid) -> Result<Current, ApiError> {
        Ok(self.read_with_role(id, None).await?.0)
    }

    /// The tournament, and whether a user is of its staff: one question, as every mutation asks it. By primary keys.
    async fn read_with_role(
        &self,
        id: Uuid,
        user_id: Option<i32>,
    ) -> Result<(Current, Option<StaffRole>), ApiError> {
        let head: Option<Head> = sqlx::query_as(
            "SELECT version, owner_id, display_name AS owner_name, tournaments.created_at,
                    CASE WHEN owner_id = $2 THEN 'owner' ELSE (
                        SELECT staff.role FROM tournament_staff AS staff
                        WHERE staff.tournament_id = $1 AND staff.user_id = $2) END AS staff_role
             FROM tournaments JOIN users ON users.id = owner_id WHERE tournaments.id = $1",
        )
        .bind(id)
        .bind(user_id)
        .fetch_optional(self.pool())
        .await
        .map_err(unavailable)?;
        let Some(head) = head else { return Err(unknown()) };
        let Head { version, owner_id, owner_name, created_at, staff_role } = head;
        let stored = u64::try_from(version).unwrap_or(0);
        let loaded = match self.remembered.get(&id).await.filter(|known| known.version >= stored) {
            Some(loaded) => loaded,
            None => {
                let loaded = self.store.load(id).await.map_err(not_now)?.ok_or_else(unknown)?;
                self.remembered.insert(id, loaded.clone()).await;
                loaded
            }
        };
        let Loaded { tournament, version } = loaded;
        let current = Current { id, version, tournament, owner_id, owner_name, created_at };
        Ok((current, staff_role.as_deref().and_then(StaffRole::from_word)))
    }

    /// Does what is wanted on the caller's terms; a dry run only sees what it would do.
    async fn mutate(
        &self,
        terms: &impl Terms,
        id: Uuid,
        by: By,
        intent: Intent,
        is_dry_run: bool,
    ) -> Result<Done, ApiError> {
        let mutation = Mutation {
            intent,
            by,
            expected: terms.expected_version()?,
            idempotency_key: terms.idempotency_key()?,
            is_dry_run,
        };
        let done = self.desk.mutate(id, mutation).await?;
        if !is_dry_run {
            let loaded = Loaded { tournament: done.tournament.clone(), version: done.version };
            // Another mutation may have been answered first.
            let is_newer = |known: &Loaded| known.version < loaded.version;
            if self.remembered.get(&id).await.is_none_or(|known| is_newer(&known)) {
                self.remembered.insert(id, loaded).await;
            }
        }
        Ok(done)
    }

    async fn apply(&self, terms: &impl Terms, id: Uuid, by: By, command: Command) -> Result<Done, ApiError> {
        self.mutate(terms, id, by, Intent::Apply(command), false).await
    }

    /// The tournament and as whom the caller acts on it.
    pub async fn seen_by(&self, id: Uuid, caller: Identity) -> Result<(Current, By), ApiError> {
        self.seen_about(id, caller, About::Tournament).await
    }

    async fn seen_about(&self, id: Uuid, caller: Identity, about: About) -> Result<(Current, By), ApiError> {
        let (current, role) = self.read_with_role(id, Some(caller.user_id)).await?;
        let by = roles::by(self.pool(), &current.tournament, caller, role, about).await?;
        Ok((current, by))
    }
}

fn unknown() -> ApiError {
    ApiError::not_found("unknown_tournament", "there is no such tournament")
}

fn not_now(cause: Unavailable) -> ApiError {
    ApiError::unavailable(
        "tournaments_unavailable",
        "tournaments can't be read or changed at the moment: try again",
        2,
    )
    .with_source(cause)
}

/// What a caller asks of a mutation beside the mutation itself.
pub trait Terms {
    /// The version that the caller has seen.
    ///
    /// # Errors
    /// 422 for one that is no version.
    fn expected_version(&self) -> Result<Option<u64>, ApiError>;

    /// The same again is answered as before.
    ///
    /// # Errors
    /// 422 for a key that can't be one.
    fn idempotency_key(&self) -> Result<Option<String>, ApiError>;
}

/// A program says it in headers.
impl Terms for HttpRequest {
    fn expected_version(&self) -> Result<Option<u64>, ApiError> {
        expected_version(self.headers())
    }

    fn idempotency_key(&self) -> Result<Option<String>, ApiError> {
        idempotency_key(self.headers())
    }
}

/// The version that the caller has seen: `If-Match: "3"`.
fn expected_version(headers: &HeaderMap) -> Result<Option<u64>, ApiError> {
    let Some(header) = headers.get(IF_MATCH) else { return Ok(None) };
    let text = header.to_str().unwrap_or_default().trim();
    if text == "*" {
        return Ok(None);
    }
    let version = text.strip_prefix("W/").unwrap_or(text).trim_matches('"').parse();
    version.map(Some).map_err(|_| ApiError::invalid_field("If-Match", "the version as \"3\""))
}

impl From<Failed> for ApiError {
    fn from(failed: Failed) -> Self {
        let message = failed.to_string();
        match failed {
            Failed::Unknown => unknown(),
            Failed::Refused(refusal) => refusal.into(),
            Failed::Stale { version } => {
                Self::conflict("stale", message).with_detail("version", version.into())
            }
            Failed::KeyReused => Self::conflict("idempotency_key_reused", message),
            Failed::NothingToUndo => Self::conflict("nothing_to_undo", message),
            Failed::Busy => Self::new(StatusCode::TOO_MANY_REQUESTS, "busy", message).with_retry_after(1),
            Failed::Unavailable(cause) => not_now(Unavailable(cause)),
        }
    }
}

impl From<Refusal> for ApiError {
    fn from(refusal: Refusal) -> Self {
        let (code, message) = (refusal.code(), refusal.to_string());
        match refusal {
            Refusal::NotAllowed(_) => Self::forbidden(code, message),
            Refusal::UnknownMatch(_) | Refusal::UnknownEntrant(_) => Self::not_found(code, message),
            Refusal::Invalid(mistakes) => body::invalid(&mistakes),
            Refusal::AlreadyEntered(id) => {
                Self::conflict(code, message).with_detail("participant_id", id.0.into())
            }
            _ => Self::conflict(code, message),
        }
    }
}
