//! `/api/v1/tournaments/{id}/…`: what was done to a tournament: for its staff, as a stream, and as one document.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use actix_web::http::header::{CACHE_CONTROL, CONTENT_DISPOSITION, ContentEncoding};
use actix_web::web::{self, Bytes, Data, Path};
use actix_web::{HttpRequest, HttpResponse};
use chrono::{DateTime, Utc};
use futures_util::stream::{Stream, unfold};
use mohaa_actors::tournament::{Commit, Failed, Intent, TournamentStore as _};
use mohaa_domain::player::PlayerId;
use mohaa_domain::tournament::{
    By, Change, Command, Holder, Logged, Replay, ReplayError, Settings, is_moment,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use sqlx::types::Json;
use sqlx::{FromRow, PgPool};
use tokio::sync::{broadcast, mpsc};
use utoipa::ToSchema;
use uuid::Uuid;

use super::answers::{MatchAnswer, TournamentAnswer, View, standings};
use super::organizing::{only_organizers, told_to_audit};
use super::{Current, Tournaments, store, unavailable};
use crate::access::{Anyone, Organizer, Route, SignedIn, get};
use crate::audit::{self, Entry};
use crate::auth::Identity;
use crate::http::query::{Paging, QueryShape};
use crate::http::{ApiError, ErrorBody, from_json, idempotency_key};
use crate::postgres::watch::{self, Watcher};
use crate::users::lock_caller;

pub const AUDIT: QueryShape = QueryShape { parameters: &[], filters: &[], paged: true };

/// What a document may hold: of a tournament of 1,024 with all results some four megabytes.
const MOST_IMPORT_BYTES: usize = 16 << 20;
/// Of 1,024 in best of seven, each game told by its server, some fifteen thousand.
const MOST_IMPORTED: usize = 20_000;
/// Mutations worked out before they are written: each holds the whole tournament.
const IMPORTED_AHEAD: usize = 4;
const DOCUMENT: &str = "mohaa-stats tournament";
const DOCUMENT_VERSION: u32 = 1;

/// Further behind, a viewer is given the whole.
const MOST_BEHIND: u64 = 256;
const HEARTBEAT_EVERY: Duration = Duration::from_secs(15);
/// Of a name that needs a number behind it.
const MOST_OF_A_NAME: usize = 58;
/// News that a node may be behind before it looks by itself.
const NEWS_KEPT: usize = 1024;

pub fn routes() -> Vec<Route> {
    vec![
        get("/api/v1/tournaments/{id}/audit", audit_log),
        get("/api/v1/tournaments/{id}/export", export),
        get("/api/v1/tournaments/{id}/events", events),
    ]
}

#[derive(FromRow)]
struct LogRow {
    version: i64,
    at: DateTime<Utc>,
    user_id: Option<i32>,
    user_name: Option<String>,
    by: Json<By>,
    command: Option<Json<Command>>,
    changes: Json<Vec<Change>>,
    undoes: Option<i64>,
    fallen: Vec<String>,
}

/// Of one tournament after a version, from the first; by primary key.
async fn rows_after(pool: &PgPool, id: Uuid, after: u64, limit: u64) -> Result<Vec<LogRow>, ApiError> {
    sqlx::query_as(
        "SELECT version, at, user_id, display_name AS user_name, by, command, changes, undoes, fallen
         FROM tournament_log LEFT JOIN users ON users.id = user_id
         WHERE tournament_id = $1 AND version > $2 ORDER BY version LIMIT $3",
    )
    .bind(id)
    .bind(i64::try_from(after).unwrap_or(i64::MAX))
    .bind(i64::try_from(limit).unwrap_or(i64::MAX))
    .fetch_all(pool)
    .await
    .map_err(unavailable)
}

impl LogRow {
    fn name(&self) -> &'static str {
        self.command.as_ref().map_or("undo", |command| command.0.name())
    }

    fn entry(self) -> AuditEntry {
        AuditEntry {
            version: self.version,
            at: self.at,
            user_id: self.user_id,
            action: self.name().to_owned(),
            user_name: self.user_name,
            by: self.by.0,
            key: self.command.as_ref().and_then(|command| command.0.key()).map(|key| key.to_string()),
            command: self.command.map(|command| command.0),
            undoes: self.undoes,
            falls: self.fallen,
            changes: self.changes.0,
        }
    }

    fn logged(self) -> Logged {
        Logged {
            version: u64::try_from(self.version).unwrap_or(0),
            at: self.at.timestamp_millis(),
            by: self.by.0,
            command: self.command.map(|command| command.0),
            undoes: self.undoes.and_then(|version| u64::try_from(version).ok()),
        }
    }
}

/// One mutation.
#[derive(Serialize, ToSchema)]
pub struct AuditEntry {
    /// Of the tournament after it.
    pub version: i64,
    pub at: DateTime<Utc>,
    pub user_id: Option<i32>,
    pub user_name: Option<String>,
    /// `{"organizer": user}`, `{"referee": user}`, `{"captain": [user, participant]}`, `{"user": user}`, `{"server": id}` or `"clock"`.
    #[schema(value_type = serde_json::Value)]
    pub by: By,
    #[schema(example = "report")]
    pub action: String,
    /// The match it is about.
    pub key: Option<String>,
    #[schema(value_type = Option<Object>)]
    pub command: Option<Command>,
    /// The version that it took back.
    pub undoes: Option<i64>,
    /// Matches that were open again.
    pub falls: Vec<String>,
    /// What was there before and after.
    #[schema(value_type = Vec<Object>)]
    pub changes: Vec<Change>,
}

#[derive(Serialize, ToSchema)]
pub struct AuditList {
    pub page: u32,
    pub limit: u32,
    pub total: i64,
    /// The last one first.
    pub entries: Vec<AuditEntry>,
}

/// The audit log of a tournament
///
/// For its staff: who did what when, and what was there before and after.
#[utoipa::path(
    get,
    path = "/api/v1/tournaments/{id}/audit",
    tag = "Tournaments",
    params(("id" = Uuid, Path, description = "the tournament")),
    responses(
        (status = 200, description = "A page of it", body = AuditList),
        (status = 401, description = "Nobody is signed in", body = ErrorBody),
        (status = 403, description = "Not of its staff", body = ErrorBody),
        (status = 404, description = "There is no such tournament", body = ErrorBody),
        (status = 422, description = "A parameter can't be used", body = ErrorBody),
        (status = 503, description = "Tournaments can't be read at the moment", body = ErrorBody),
    ),
    security(("bearer" = []), ("session" = []))
)]
pub async fn audit_log(
    SignedIn(caller): SignedIn,
    request: HttpRequest,
    tournaments: Data<Tournaments>,
    id: Path<Uuid>,
) -> Result<HttpResponse, ApiError> {
    let paging = || {
        let mut values = AUDIT.read(request.query_string());
        let paging = values.paging();
        values.finish().map(|()| paging)
    };
    Ok(HttpResponse::Ok().json(tournaments.audit(caller, *id, paging).await?))
}

impl Tournaments {
    /// A page of the log, for the staff.
    pub async fn audit(
        &self,
        caller: Identity,
        id: Uuid,
        paging: impl FnOnce() -> Result<Paging, ApiError>,
    ) -> Result<AuditList, ApiError> {
        let (_, by) = self.seen_by(id, caller).await?;
        if !by.is_staff() {
            return Err(ApiError::forbidden("not_allowed", "only the tournament's staff may do that"));
        }
        let paging = paging()?;
        let rows: Vec<LogRow> = sqlx::query_as(
            "SELECT version, at, user_id, display_name AS user_name, by, command, changes, undoes, fallen
         FROM tournament_log LEFT JOIN users ON users.id = user_id
         WHERE tournament_id = $1 ORDER BY version DESC LIMIT $2 OFFSET $3",
        )
        .bind(id)
        .bind(i64::from(paging.limit))
        .bind(i64::try_from(paging.offset()).unwrap_or(i64::MAX))
        .fetch_all(self.pool())
        .await
        .map_err(unavailable)?;
        let total = sqlx::query_scalar("SELECT count(*) FROM tournament_log WHERE tournament_id = $1")
            .bind(id)
            .fetch_one(self.pool())
            .await
            .map_err(unavailable)?;
        let entries = rows.into_iter().map(LogRow::entry).collect();
        Ok(AuditList { page: paging.page, limit: paging.limit, total, entries })
    }

    /// The mutation that an undo takes back.
    ///
    /// # Errors
    /// 503.
    pub async fn undone_next(&self, id: Uuid) -> Result<Option<AuditEntry>, ApiError> {
        let Some(next) = self.store.last_undoable(id).await.map_err(Failed::from)? else { return Ok(None) };
        let rows = rows_after(self.pool(), id, next.version.saturating_sub(1), 1).await?;
        Ok(rows.into_iter().next().map(LogRow::entry))
    }
}

/// A tournament as one document: its settings as they were first, and all that was done to it.
#[derive(Serialize, Deserialize)]
struct Document {
    document: String,
    document_version: u32,
    exported_at: DateTime<Utc>,
    draft: Settings,
    log: Vec<Logged>,
    /// For people: follows from the rest.
    #[serde(default)]
    tournament: Value,
    #[serde(default)]
    bracket: Value,
    #[serde(default)]
    standings: Value,
}

/// A tournament as one document
///
/// Everything that was done to it, which can be imported here or elsewhere. For its organizers.
#[utoipa::path(
    get,
    path = "/api/v1/tournaments/{id}/export",
    tag = "Tournaments",
    params(("id" = Uuid, Path, description = "the tournament")),
    responses(
        (status = 200, description = "The document", body = Object),
        (status = 401, description = "Nobody is signed in", body = ErrorBody),
        (status = 403, description = "Not an organizer of it", body = ErrorBody),
        (status = 404, description = "There is no such tournament", body = ErrorBody),
        (status = 503, description = "Tournaments can't be read at the moment", body = ErrorBody),
    ),
    security(("bearer" = []), ("session" = []))
)]
pub async fn export(
    SignedIn(caller): SignedIn,
    tournaments: Data<Tournaments>,
    id: Path<Uuid>,
) -> Result<HttpResponse, ApiError> {
    let (current, by) = tournaments.seen_by(*id, caller).await?;
    only_organizers(by)?;
    let draft: Json<Settings> = sqlx::query_scalar("SELECT draft FROM tournaments WHERE id = $1")
        .bind(*id)
        .fetch_one(tournaments.pool())
        .await
        .map_err(unavailable)?;
    // No further than what is told of it for people.
    let log = rows_after(tournaments.pool(), *id, 0, current.version).await?;
    let log = log.into_iter().map(LogRow::logged).filter(|entry| entry.version <= current.version);
    let view = View::new(current.id, &current.tournament);
    let document = Document {
        document: DOCUMENT.to_owned(),
        document_version: DOCUMENT_VERSION,
        exported_at: Utc::now(),
        draft: draft.0,
        log: log.collect(),
        tournament: json!(TournamentAnswer::from(&current)),
        bracket: json!(view.bracket(current.version)),
        standings: json!(standings(current.id, &current.tournament, current.version)),
    };
    Ok(HttpResponse::Ok()
        .insert_header((CACHE_CONTROL, "no-store"))
        .insert_header((CONTENT_DISPOSITION, format!("attachment; filename=\"tournament-{id}.json\"")))
        .json(document))
}

/// Import a tournament
///
/// A document of an export becomes a tournament of the caller's. Everything is done again by the rules. Users hold their places
/// where the document says what the log here says; otherwise participants stay by their names alone, and nobody is named
/// as who did what.
#[utoipa::path(
    post,
    path = "/api/v1/tournaments/import",
    tag = "Tournaments",
    request_body = Object,
    responses(
        (status = 201, description = "The tournament", body = TournamentAnswer),
        (status = 400, description = "The body is not JSON", body = ErrorBody),
        (status = 401, description = "Nobody is signed in", body = ErrorBody),
        (status = 403, description = "The signed-in user is no organizer", body = ErrorBody),
        (status = 409, description = "The idempotency key was used for something else", body = ErrorBody),
        (status = 413, description = "The document has more than 16 MiB", body = ErrorBody),
        (status = 422, description = "No document of a tournament, or its log can't have happened", body = ErrorBody),
        (status = 503, description = "Tournaments can't be changed at the moment", body = ErrorBody),
    ),
    security(("bearer" = []), ("session" = []))
)]
pub async fn import(
    Organizer(caller): Organizer,
    request: HttpRequest,
    tournaments: Data<Tournaments>,
    body: web::Payload,
) -> Result<HttpResponse, ApiError> {
    let too_large = || {
        ApiError::new(
            actix_web::http::StatusCode::PAYLOAD_TOO_LARGE,
            "payload_too_large",
            "a document has at most 16 MiB",
        )
    };
    let body = body.to_bytes_limited(MOST_IMPORT_BYTES).await.map_err(|_| too_large())?;
    let body = body.map_err(|_| ApiError::bad_request("bad_request", "the body can't be read"))?;
    let value: Value = serde_json::from_slice(&body)
        .map_err(|cause| ApiError::bad_request("invalid_json", format!("the body is not JSON: {cause}")))?;
    let document: Document = from_json(value)?;
    if document.document != DOCUMENT || document.document_version != DOCUMENT_VERSION {
        return Err(ApiError::invalid_field("document", "no tournament of a version that is known here"));
    }
    let mistakes = document.draft.mistakes();
    if !mistakes.is_empty() {
        return Err(super::body::invalid(&mistakes));
    }
    let key = idempotency_key(request.headers())?;
    let digest = Sha256::digest(&body).into();
    let id = tournaments.import(caller, document, digest, key.as_deref()).await?;
    let current = tournaments.read(id).await?;
    Ok(HttpResponse::Created().json(TournamentAnswer::from(&current)))
}

impl Tournaments {
    /// Gives the tournament that it became, now or before under the same key.
    async fn import(
        &self,
        owner: Identity,
        document: Document,
        digest: [u8; 32],
        key: Option<&str>,
    ) -> Result<Uuid, ApiError> {
        let id = Uuid::now_v7();
        let owner_id = owner.user_id;
        if document.log.len() > MOST_IMPORTED {
            return Err(ApiError::invalid_field("log", format!("at most {MOST_IMPORTED} mutations")));
        }
        let is_own = self.is_own(&document).await?;
        let Document { draft, mut log, .. } = document;
        if !is_own {
            forget_strangers(&mut log);
        }
        for entry in &mut log {
            // A match is given to a server once, with a token of its own.
            if let Some(Command::Plan { plan, .. }) = &mut entry.command {
                plan.token_hash = None;
            }
        }
        for (entry, version) in log.iter().zip(2..) {
            if entry.version != version {
                return Err(ApiError::invalid_field("log", format!("version {version} is missing")));
            }
            if !is_moment(entry.at) {
                return Err(ApiError::invalid_field(
                    "log",
                    format!("version {version}: at no time that can be"),
                ));
            }
        }
        let _turn = self.importing.acquire().await.map_err(ApiError::internal)?;
        // Worked out elsewhere while what came before is written, so that neither waits nor much is held.
        let (steps, mut worked_out) = mpsc::channel(IMPORTED_AHEAD);
        let mut replay = Replay::new(draft.clone());
        let working = web::block(move || {
            for entry in log {
                let applied = replay.step(&entry)?;
                if steps.blocking_send((entry, applied)).is_err() {
                    break;
                }
            }
            Ok(())
        });
        let mut transaction = self.pool().begin().await.map_err(unavailable)?;
        lock_caller(&mut transaction, owner).await?;
        match store::create(&mut transaction, id, owner_id, &draft, key, Some(&digest))
            .await
            .map_err(unavailable)?
        {
            Some((_, false)) => return Err(Failed::KeyReused.into()),
            Some((before, true)) => return Ok(before),
            None => {}
        }
        store::mark_imported(&mut transaction, id).await.map_err(unavailable)?;
        while let Some((entry, applied)) = worked_out.recv().await {
            let intent = entry.command.map_or(Intent::Undo, Intent::Apply);
            let commit = Commit {
                tournament_id: id,
                from_version: entry.version - 1,
                at: entry.at,
                by: entry.by,
                intent: &intent,
                undoes: entry.undoes,
                applied: &applied,
                idempotency_key: None,
            };
            store::write_commit(&mut transaction, &commit).await.map_err(unavailable)?;
        }
        let worked: Result<(), ReplayError> = working.await.map_err(ApiError::internal)?;
        worked.map_err(|error| ApiError::invalid_field("log", error.to_string()))?;
        let entry = Entry {
            by: audit::By::User(owner_id),
            action: "tournament.import",
            subject_kind: "tournament",
            subject_id: &id.to_string(),
            before: None,
            after: told_to_audit(&draft),
        };
        audit::record(&mut transaction, entry).await.map_err(unavailable)?;
        transaction.commit().await.map_err(unavailable)?;
        Ok(id)
    }

    /// Whether a document says of a tournament of this service what its own log says.
    async fn is_own(&self, document: &Document) -> Result<bool, ApiError> {
        let id = document.tournament["id"].as_str().and_then(|id| id.parse::<Uuid>().ok());
        let Some(id) = id else { return Ok(false) };
        let draft: Option<Json<Settings>> = sqlx::query_scalar("SELECT draft FROM tournaments WHERE id = $1")
            .bind(id)
            .fetch_optional(self.pool())
            .await
            .map_err(unavailable)?;
        if draft.is_none_or(|draft| draft.0 != document.draft) {
            return Ok(false);
        }
        let log = rows_after(self.pool(), id, 0, document.log.len() as u64).await?;
        Ok(log.into_iter().map(LogRow::logged).eq(document.log.iter().cloned()))
    }
}

/// Takes users, teams and tokens of another service out of a log: their numbers are those of strangers here. Places stay by
/// their names alone, and what was done was done by nobody who is known here.
fn forget_strangers(log: &mut [Logged]) {
    const NOBODY: i64 = 0;
    let mut names = BTreeSet::new();
    for entry in log {
        entry.by = match entry.by {
            By::Organizer(_) | By::User(_) => By::Organizer(NOBODY),
            By::Referee(_) => By::Referee(NOBODY),
            By::Captain(_, entrant) => By::Captain(NOBODY, entrant),
            By::Server(_) => By::Server(Uuid::nil()),
            By::Clock => entry.by,
        };
        if let Some(Command::Register { holder, name, player_id, .. }) = &mut entry.command {
            if player_id.as_deref().is_some_and(|player_id| player_id.parse::<PlayerId>().is_err()) {
                *player_id = None;
            }
            // Who is told apart by the account there is told apart by the name here.
            if *holder != Holder::Nobody && names.contains(name.as_str()) {
                let short: String = name.chars().take(MOST_OF_A_NAME).collect();
                *name = format!("{short} {}", names.len() + 1);
            }
            names.insert(name.clone());
            *holder = Holder::Nobody;
            // Only an organizer enters somebody by name.
            entry.by = By::Organizer(NOBODY);
        }
    }
}

/// News of tournaments on this node, from whichever node they come.
#[derive(Clone)]
pub struct News(broadcast::Sender<(Uuid, u64)>);

impl Default for News {
    fn default() -> Self {
        Self(broadcast::Sender::new(NEWS_KEPT))
    }
}

impl News {
    pub fn subscribe(&self) -> broadcast::Receiver<(Uuid, u64)> {
        self.0.subscribe()
    }

    /// Hears of every mutation as it is committed.
    pub async fn watch(&self, pool: PgPool) -> Watcher {
        let news = self.clone();
        watch::start("mutations of tournaments", move |progress| {
            let (news, pool) = (news.clone(), pool.clone());
            async move {
                let mut listener = watch::listen(&pool, store::CHANNEL).await?;
                progress.watching();
                // Whoever was not told meanwhile looks: nobody's version is this one.
                let _ = news.0.send((Uuid::nil(), 0));
                loop {
                    let told = listener.next().await?;
                    let mut words = told.payload().split(' ');
                    let id = words.next().and_then(|id| id.parse().ok());
                    let version = words.next().and_then(|version| version.parse().ok());
                    if let Some(told) = id.zip(version) {
                        let _ = news.0.send(told);
                    }
                }
            }
        })
        .await
    }
}

/// Follow a tournament
///
/// Server-Sent Events: `snapshot`, then one message a mutation, named by what was done (`report`, `set_status`, `undo`, …), with
/// the matches that it changed. `id` is `1-<version>`; `Last-Event-ID` goes on from there.
#[utoipa::path(
    get,
    path = "/api/v1/tournaments/{id}/events",
    tag = "Tournaments",
    params(("id" = Uuid, Path, description = "the tournament")),
    responses(
        (status = 200, description = "The stream", body = String, content_type = "text/event-stream"),
        (status = 404, description = "There is no such tournament", body = ErrorBody),
        (status = 503, description = "Tournaments can't be read at the moment", body = ErrorBody),
    )
)]
pub async fn events(
    _: Anyone,
    request: HttpRequest,
    tournaments: Data<Tournaments>,
    id: Path<Uuid>,
) -> Result<HttpResponse, ApiError> {
    let current = tournaments.read(*id).await?;
    let last = request.headers().get("Last-Event-ID").and_then(|header| header.to_str().ok());
    let seen = last.and_then(|id| id.trim().strip_prefix("1-")?.parse::<u64>().ok());
    let seen = seen.filter(|seen| *seen <= current.version && current.version - seen <= MOST_BEHIND);
    // From before the state is read: nothing falls between the two.
    let news = tournaments.news.0.subscribe();
    let tournaments = tournaments.into_inner();
    Ok(HttpResponse::Ok()
        .content_type("text/event-stream; charset=utf-8")
        .insert_header((CACHE_CONTROL, "no-store"))
        .insert_header(("X-Accel-Buffering", "no"))
        .insert_header(ContentEncoding::Identity)
        .streaming(followed(tournaments, *id, seen, news)))
}

struct Viewer {
    tournaments: Arc<Tournaments>,
    id: Uuid,
    /// None: to be given the whole.
    seen: Option<u64>,
    news: broadcast::Receiver<(Uuid, u64)>,
    is_first: bool,
}

fn followed(
    tournaments: Arc<Tournaments>,
    id: Uuid,
    seen: Option<u64>,
    news: broadcast::Receiver<(Uuid, u64)>,
) -> impl Stream<Item = Result<Bytes, Infallible>> {
    let viewer = Viewer { tournaments, id, seen, news, is_first: true };
    unfold(viewer, |mut viewer| async move {
        let text = viewer.next().await?;
        Some((Ok(Bytes::from(text)), viewer))
    })
}

impl Viewer {
    /// What is written next; none: the stream ends.
    async fn next(&mut self) -> Option<String> {
        if std::mem::take(&mut self.is_first) {
            let missed = self.missed().await.unwrap_or_default();
            return Some(format!("retry: 2000\n\n{missed}"));
        }
        loop {
            let heard = tokio::time::timeout(HEARTBEAT_EVERY, self.news.recv()).await;
            let is_news = match heard {
                Err(_) => return Some(": still here\n\n".to_owned()),
                Ok(Ok((id, version))) => {
                    id.is_nil() || (id == self.id && self.seen.is_none_or(|seen| version > seen))
                }
                Ok(Err(broadcast::error::RecvError::Lagged(_))) => true,
                Ok(Err(broadcast::error::RecvError::Closed)) => return None,
            };
            // While the store can't be asked the next news or reconnection brings it.
            if let Some(text) = if is_news { self.missed().await } else { None } {
                return Some(text);
            }
        }
    }

    async fn missed(&mut self) -> Option<String> {
        let current = self.tournaments.read(self.id).await.ok()?;
        let Some(seen) = self.seen.filter(|seen| current.version.saturating_sub(*seen) <= MOST_BEHIND) else {
            self.seen = Some(current.version);
            let view = View::new(current.id, &current.tournament);
            let data = json!({
                "version": current.version,
                "tournament": TournamentAnswer::from(&current),
                "bracket": view.bracket(current.version),
            });
            return Some(message("snapshot", current.version, &data));
        };
        if current.version <= seen {
            return None;
        }
        let rows = rows_after(self.tournaments.pool(), self.id, seen, MOST_BEHIND).await.ok()?;
        let mut text = String::new();
        for row in rows {
            let version = u64::try_from(row.version).unwrap_or(0);
            text.push_str(&message(row.name(), version, &told(&current, &row)));
            self.seen = Some(version);
        }
        (!text.is_empty()).then_some(text)
    }
}

fn message(event: &str, version: u64, data: &Value) -> String {
    format!("id: 1-{version}\nevent: {event}\ndata: {data}\n\n")
}

/// A mutation as viewers are told it: with the matches as they were after it, and names as they are now.
fn told(current: &Current, row: &LogRow) -> Value {
    let view = View::new(current.id, &current.tournament);
    let after = row.changes.0.iter().filter_map(|change| match change {
        Change::Match { after: Some(bout), .. } => Some(view.bout(bout)),
        _ => None,
    });
    let status = row.changes.0.iter().find_map(|change| match change {
        Change::Frame { before, after } if before.status != after.status => Some(after.status.name()),
        _ => None,
    });
    json!({
        "version": row.version,
        "at": row.at,
        "key": row.command.as_ref().and_then(|command| command.0.key()).map(|key| key.to_string()),
        "status": status,
        "matches": after.collect::<Vec<MatchAnswer>>(),
        "falls": row.fallen,
    })
}
