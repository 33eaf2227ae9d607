//! Tournaments in PostgreSQL ([`TournamentStore`]): one transaction a mutation, guarded by the version.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use mohaa_actors::tournament::{
    Commit, CommitError, Intent, Loaded, Repeated, TournamentStore, Unavailable, Undoable,
};
use mohaa_domain::tournament::{
    Bout, By, Change, Command, Draw, Entrant, EntrantId, Frame, Holder, Place, Settings, Status, Times,
    Tournament,
};
use serde::de::DeserializeOwned;
use serde_json::Value;
use sqlx::types::Json;
use sqlx::{FromRow, PgConnection, PgPool};
use uuid::Uuid;

use super::announcements::announce_changes;
use crate::achievements::AchievementStore;

/// What nodes tell each other: `<tournament> <version>`.
pub const CHANNEL: &str = "tournaments";

/// Tournaments in PostgreSQL.
#[derive(Clone)]
pub struct PgTournaments {
    pub pool: PgPool,
    pub achievements: AchievementStore,
}

#[derive(FromRow)]
struct TournamentRow {
    version: i64,
    name: String,
    description: String,
    format: String,
    status: String,
    max_participants: i32,
    min_participants: i32,
    team_size: i32,
    best_of: i32,
    seeding: String,
    game_mode: Option<String>,
    map_pool: Vec<String>,
    timelimit: Option<i32>,
    fraglimit: Option<i32>,
    roundlimit: Option<i32>,
    registration_start: Option<DateTime<Utc>>,
    registration_end: Option<DateTime<Utc>>,
    checkin_start: Option<DateTime<Utc>>,
    checkin_end: Option<DateTime<Utc>>,
    start_time: Option<DateTime<Utc>>,
    options: Json<Value>,
    last_entrant: i32,
    draw: Json<Value>,
    checkin_since: Option<DateTime<Utc>>,
    checkin_is_over: bool,
    clock_is_held: bool,
    held_up: Option<String>,
}

#[derive(FromRow)]
struct EntrantRow {
    id: i32,
    user_id: Option<i32>,
    team_id: Option<Uuid>,
    name: String,
    player_id: Option<String>,
    place: String,
    left_at: Option<i64>,
    reason: Option<String>,
    checked_in: bool,
    rating: Option<f64>,
    seed: Option<i32>,
    registered_at: i64,
}

/// What stands in a row can't be understood: it was written by a newer version, or by hand.
#[derive(Debug, thiserror::Error)]
#[error("a row of tournaments can't be read: {0}")]
struct Unreadable(String);

fn read<T: DeserializeOwned>(value: Value) -> Result<T, Unreadable> {
    serde_json::from_value(value).map_err(|error| Unreadable(error.to_string()))
}

/// An enum as its name in JSON.
fn word<T: serde::Serialize>(value: &T) -> String {
    match serde_json::to_value(value) {
        Ok(Value::String(word)) => word,
        _ => String::new(),
    }
}

fn unsigned(number: i32) -> u32 {
    u32::try_from(number).unwrap_or(0)
}

fn signed(number: u32) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}

pub fn time(at: i64) -> Option<DateTime<Utc>> {
    DateTime::from_timestamp_millis(at)
}

impl TournamentRow {
    fn into_frame(self) -> Result<Frame, Unreadable> {
        let millis = |at: Option<DateTime<Utc>>| at.map(|at| at.timestamp_millis());
        let settings = Settings {
            name: self.name,
            description: self.description,
            format: read(Value::String(self.format))?,
            max_participants: unsigned(self.max_participants),
            min_participants: unsigned(self.min_participants),
            team_size: unsigned(self.team_size),
            game_mode: self.game_mode,
            map_pool: self.map_pool,
            timelimit: self.timelimit.map(unsigned),
            fraglimit: self.fraglimit.map(unsigned),
            roundlimit: self.roundlimit.map(unsigned),
            best_of: u8::try_from(self.best_of).unwrap_or(1),
            seeding: read(Value::String(self.seeding))?,
            times: Times {
                registration_start: millis(self.registration_start),
                registration_end: millis(self.registration_end),
                checkin_start: millis(self.checkin_start),
                checkin_end: millis(self.checkin_end),
                start_time: millis(self.start_time),
            },
            options: read(self.options.0)?,
        };
        Ok(Frame {
            settings,
            status: read(Value::String(self.status))?,
            last_entrant: unsigned(self.last_entrant),
            draw: read(self.draw.0)?,
            checkin_since: millis(self.checkin_since),
            checkin_is_over: self.checkin_is_over,
            clock_is_held: self.clock_is_held,
            held_up: self.held_up,
        })
    }
}

impl EntrantRow {
    fn into_entrant(self) -> Result<Entrant, Unreadable> {
        let holder = match (self.user_id, self.team_id) {
            (Some(user_id), _) => Holder::User(i64::from(user_id)),
            (None, Some(team_id)) => Holder::Team(team_id),
            (None, None) => Holder::Nobody,
        };
        Ok(Entrant {
            id: EntrantId(unsigned(self.id)),
            holder,
            name: self.name,
            player_id: self.player_id,
            place: read::<Place>(Value::String(self.place))?,
            left_at: self.left_at,
            reason: self.reason,
            checked_in: self.checked_in,
            rating: self.rating,
            seed: self.seed.map(unsigned),
            registered_at: self.registered_at,
        })
    }
}

#[derive(Debug, thiserror::Error)]
enum StoreFailure {
    #[error(transparent)]
    Postgres(#[from] sqlx::Error),
    #[error(transparent)]
    Unreadable(#[from] Unreadable),
}

impl From<StoreFailure> for Unavailable {
    fn from(failure: StoreFailure) -> Self {
        Unavailable(failure.to_string())
    }
}

impl PgTournaments {
    /// Each of the three by the tournament's key, in one snapshot.
    async fn read_all(&self, id: Uuid) -> Result<Option<Loaded>, StoreFailure> {
        let mut transaction = self.pool.begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await?;
        let row: Option<TournamentRow> = sqlx::query_as(
            "SELECT version, name, description, format, status, max_participants, min_participants, team_size,
                    best_of, seeding, game_mode, map_pool, timelimit, fraglimit, roundlimit, registration_start,
                    registration_end, checkin_start, checkin_end, start_time, options, last_entrant, draw,
                    checkin_since, checkin_is_over, clock_is_held, held_up
             FROM tournaments WHERE id = $1",
        )
        .bind(id)
        .fetch_optional(&mut *transaction)
        .await?;
        let Some(row) = row else { return Ok(None) };
        let entrants: Vec<EntrantRow> = sqlx::query_as(
            "SELECT id, user_id, team_id, name, player_id, place, left_at, reason, checked_in, rating, seed,
                    registered_at
             FROM tournament_participants WHERE tournament_id = $1",
        )
        .bind(id)
        .fetch_all(&mut *transaction)
        .await?;
        let bouts: Vec<(Json<Bout>,)> =
            sqlx::query_as("SELECT state FROM tournament_matches WHERE tournament_id = $1")
                .bind(id)
                .fetch_all(&mut *transaction)
                .await?;
        transaction.commit().await?;
        let version = u64::try_from(row.version).unwrap_or(0);
        let entrants: Vec<Entrant> =
            entrants.into_iter().map(EntrantRow::into_entrant).collect::<Result<_, _>>()?;
        let tournament =
            Tournament::assemble(row.into_frame()?, entrants, bouts.into_iter().map(|(bout,)| bout.0));
        Ok(Some(Loaded { tournament: Arc::new(tournament), version }))
    }

    /// What comes of a mutation besides: achievements, and what webhooks are told, last because it locks them.
    async fn settle_and_announce(
        &self,
        transaction: &mut PgConnection,
        commit: &Commit<'_>,
    ) -> sqlx::Result<()> {
        if !is_settled(commit) {
            return announce_changes(transaction, commit).await;
        }
        let at = time(commit.at).unwrap_or_default();
        let (id, tournament) = (commit.tournament_id, &commit.applied.tournament);
        let unlocks = self.achievements.settle_tournament(transaction, id, tournament, at).await?;
        announce_changes(transaction, commit).await?;
        self.achievements.announce_unlocks(transaction, &unlocks).await
    }

    async fn write(&self, commit: &Commit<'_>) -> Result<(), CommitError> {
        let mut transaction = self.pool.begin().await.map_err(unavailable)?;
        require_holder(&mut transaction, commit.intent).await?;
        let is_written = write_commit(&mut transaction, commit).await.map_err(unavailable)?;
        if !is_written {
            return Err(CommitError::Moved);
        }
        self.settle_and_announce(&mut transaction, commit).await.map_err(unavailable)?;
        transaction.commit().await.map_err(unavailable)
    }
}

/// Whether a mutation may have changed what is earned in a tournament: it is completed, or it is as if it had not begun.
fn is_settled(commit: &Commit<'_>) -> bool {
    let now = commit.applied.tournament.status;
    let had_begun = commit.applied.changes.iter().any(|change| match change {
        Change::Frame { before, .. } => before.status.has_begun(),
        _ => false,
    });
    now == Status::Completed || (had_begun && !now.has_begun())
}

/// Whoever takes a place keeps their account until that is written down: what takes names out of tournaments comes after it
/// and finds it.
async fn require_holder(connection: &mut PgConnection, intent: &Intent) -> Result<(), CommitError> {
    let Intent::Apply(Command::Register { holder: Holder::User(user_id), .. }) = intent else {
        return Ok(());
    };
    let is_there = sqlx::query("SELECT FROM users WHERE id = $1 AND deleted_at IS NULL FOR SHARE")
        .bind(i32::try_from(*user_id).unwrap_or(0))
        .fetch_optional(connection)
        .await
        .map_err(unavailable)?;
    match is_there {
        Some(_) => Ok(()),
        None => Err(CommitError::Unavailable(Unavailable(
            "whoever takes the place has no account any more".to_owned(),
        ))),
    }
}

fn unavailable(error: sqlx::Error) -> CommitError {
    // Two nodes wrote the same version, or used a key, at the same moment: the slower one looks again.
    let is_race = error.as_database_error().is_some_and(|error| {
        error.is_unique_violation() && error.table().is_some_and(|table| table == "tournament_log")
    });
    if is_race { CommitError::Moved } else { CommitError::Unavailable(Unavailable(error.to_string())) }
}

/// Writes a mutation; false if the version is another one by now.
///
/// What every mutation writes is one statement ([`WRITE`]): reports of results, which are most, need no other.
pub async fn write_commit(connection: &mut PgConnection, commit: &Commit<'_>) -> sqlx::Result<bool> {
    let Commit { tournament_id: id, applied, .. } = commit;
    if !write_changes(connection, commit).await? {
        return Ok(false);
    }
    for change in &applied.changes {
        match change {
            Change::Frame { after, .. } => update_frame(connection, *id, after).await?,
            Change::Entrant { id: entrant_id, after, .. } => {
                write_entrant(connection, *id, *entrant_id, after.as_deref()).await?;
            }
            Change::Match { .. } => {}
        }
    }
    delete_bouts(connection, *id, &applied.changes).await?;
    Ok(true)
}

/// The version, under the condition that it is still the one that the mutation was made from; and only then the matches that it
/// changed, all at once (a start makes two thousand of them), the row of the log, and word of it, which is told when the
/// transaction ends and only if it is kept. One statement, because each waits for its answer while others wait for the row.
const WRITE: &str = "
    WITH moved AS (
        UPDATE tournaments SET version = version + 1, updated_at = now(), next_deadline = $3
        WHERE id = $1 AND version = $2 RETURNING version
    ), bouts AS (
        INSERT INTO tournament_matches
            (id, tournament_id, key, status, server_id, scheduled_at, state, match_token_hash)
        SELECT new.id, $1, new.key, new.status, servers.id, new.scheduled_at, new.state, decode(new.token, 'hex')
        FROM unnest($4::uuid[], $5::text[], $6::text[], $7::uuid[], $8::timestamptz[], $9::jsonb[], $10::text[])
            AS new (id, key, status, server_id, scheduled_at, state, token)
        LEFT JOIN servers ON servers.id = new.server_id
        WHERE EXISTS (SELECT FROM moved)
        ON CONFLICT (tournament_id, key) DO UPDATE SET status = excluded.status, server_id = excluded.server_id,
            scheduled_at = excluded.scheduled_at, state = excluded.state,
            match_token_hash = excluded.match_token_hash
    ), logged AS (
        INSERT INTO tournament_log
            (tournament_id, version, at, user_id, by, command, changes, undoes, fallen, entrant, idempotency_key)
        SELECT $1, moved.version, $11, (SELECT id FROM users WHERE id = $12), $13, $14, $15, $16, $17, $18, $19
        FROM moved RETURNING version
    )
    SELECT pg_notify($20, $1::text || ' ' || version) FROM logged";

async fn write_changes(connection: &mut PgConnection, commit: &Commit<'_>) -> sqlx::Result<bool> {
    let Commit { tournament_id: id, from_version, applied, .. } = commit;
    let from = i64::try_from(*from_version).unwrap_or(i64::MAX);
    let mut written: BTreeMap<String, &Bout> = BTreeMap::new();
    for change in &applied.changes {
        if let Change::Match { key, after: Some(bout), .. } = change {
            written.insert(key.to_string(), bout);
        }
    }
    let keys: Vec<&str> = written.keys().map(String::as_str).collect();
    let bouts = || written.values();
    let (command, by) = match commit.intent {
        Intent::Apply(command) => (Some(Json(command)), commit.by),
        Intent::Undo => (None, commit.by),
    };
    let told = sqlx::query(WRITE)
        .bind(id)
        .bind(from)
        .bind(applied.tournament.next_deadline().and_then(time))
        .bind(keys.iter().map(|key| match_id(*id, key)).collect::<Vec<_>>())
        .bind(&keys)
        .bind(bouts().map(|bout| word(&bout.status)).collect::<Vec<_>>())
        .bind(bouts().map(|bout| bout.plan.server_id).collect::<Vec<_>>())
        .bind(bouts().map(|bout| bout.plan.scheduled_at.and_then(time)).collect::<Vec<_>>())
        .bind(bouts().map(|bout| Json(*bout)).collect::<Vec<_>>())
        .bind(bouts().map(|bout| bout.plan.token_hash.clone()).collect::<Vec<_>>())
        .bind(time(commit.at).unwrap_or_default())
        .bind(by.user().and_then(|user| i32::try_from(user).ok()))
        .bind(Json(by))
        .bind(command)
        .bind(Json(&applied.changes))
        .bind(commit.undoes.and_then(|version| i64::try_from(version).ok()))
        .bind(applied.fallen.iter().map(ToString::to_string).collect::<Vec<_>>())
        .bind(applied.entrant.map(|entrant| signed(entrant.0)))
        .bind(commit.idempotency_key)
        .bind(CHANNEL)
        .fetch_optional(connection)
        .await?;
    Ok(told.is_some())
}

async fn update_frame(connection: &mut PgConnection, id: Uuid, frame: &Frame) -> sqlx::Result<()> {
    let Frame {
        settings,
        status,
        last_entrant,
        draw,
        checkin_since,
        checkin_is_over,
        clock_is_held,
        held_up,
    } = frame;
    let times = &settings.times;
    let moment = |at: Option<i64>| at.and_then(time);
    sqlx::query(
        "UPDATE tournaments SET name = $2,
             description = $3, format = $4, status = $5, max_participants = $6, min_participants = $7,
             team_size = $8, best_of = $9, seeding = $10, game_mode = $11, map_pool = $12, timelimit = $13,
             fraglimit = $14, roundlimit = $15, registration_start = $16, registration_end = $17,
             checkin_start = $18, checkin_end = $19, start_time = $20, options = $21, last_entrant = $22, draw = $23,
             checkin_is_over = $24, clock_is_held = $25, held_up = $26, checkin_since = $27
         WHERE id = $1",
    )
    .bind(id)
    .bind(&settings.name)
    .bind(&settings.description)
    .bind(word(&settings.format))
    .bind(status.name())
    .bind(signed(settings.max_participants))
    .bind(signed(settings.min_participants))
    .bind(signed(settings.team_size))
    .bind(i32::from(settings.best_of))
    .bind(word(&settings.seeding))
    .bind(&settings.game_mode)
    .bind(&settings.map_pool)
    .bind(settings.timelimit.map(signed))
    .bind(settings.fraglimit.map(signed))
    .bind(settings.roundlimit.map(signed))
    .bind(moment(times.registration_start))
    .bind(moment(times.registration_end))
    .bind(moment(times.checkin_start))
    .bind(moment(times.checkin_end))
    .bind(moment(times.start_time))
    .bind(Json(&settings.options))
    .bind(signed(*last_entrant))
    .bind(Json(draw))
    .bind(checkin_is_over)
    .bind(clock_is_held)
    .bind(held_up)
    .bind(moment(*checkin_since))
    .execute(connection)
    .await?;
    Ok(())
}

async fn write_entrant(
    connection: &mut PgConnection,
    id: Uuid,
    entrant_id: EntrantId,
    after: Option<&Entrant>,
) -> sqlx::Result<()> {
    let Some(entrant) = after else {
        sqlx::query("DELETE FROM tournament_participants WHERE tournament_id = $1 AND id = $2")
            .bind(id)
            .bind(signed(entrant_id.0))
            .execute(connection)
            .await?;
        return Ok(());
    };
    let (user_id, team_id) = match entrant.holder {
        Holder::User(user_id) => (i32::try_from(user_id).ok(), None),
        Holder::Team(team_id) => (None, Some(team_id)),
        Holder::Nobody => (None, None),
    };
    sqlx::query(
            "INSERT INTO tournament_participants
                 (tournament_id, id, user_id, team_id, name, player_id, place, left_at, reason, checked_in, rating,
                  seed, registered_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
             ON CONFLICT (tournament_id, id) DO UPDATE SET user_id = $3, team_id = $4, name = $5, player_id = $6,
                 place = $7, left_at = $8, reason = $9, checked_in = $10, rating = $11, seed = $12,
                 registered_at = $13",
        )
        .bind(id)
        .bind(signed(entrant.id.0))
        .bind(user_id)
        .bind(team_id)
        .bind(&entrant.name)
        .bind(&entrant.player_id)
        .bind(word(&entrant.place))
        .bind(entrant.left_at)
        .bind(&entrant.reason)
        .bind(entrant.checked_in)
        .bind(entrant.rating)
        .bind(entrant.seed.map(signed))
        .bind(entrant.registered_at)
        .execute(connection)
        .await?;
    Ok(())
}

/// The match's own id, the same on every node and after an undo.
pub fn match_id(tournament_id: Uuid, key: &str) -> Uuid {
    Uuid::new_v5(&tournament_id, key.as_bytes())
}

/// Those that an undo takes away. By `UNIQUE (tournament_id, key)`.
async fn delete_bouts(connection: &mut PgConnection, id: Uuid, changes: &[Change]) -> sqlx::Result<()> {
    let gone: Vec<String> = changes
        .iter()
        .filter_map(|change| match change {
            Change::Match { key, after: None, .. } => Some(key.to_string()),
            _ => None,
        })
        .collect();
    if gone.is_empty() {
        return Ok(());
    }
    sqlx::query("DELETE FROM tournament_matches WHERE tournament_id = $1 AND key = ANY($2)")
        .bind(id)
        .bind(&gone)
        .execute(connection)
        .await?;
    Ok(())
}

impl TournamentStore for PgTournaments {
    fn load(&self, tournament_id: Uuid) -> BoxFuture<'_, Result<Option<Loaded>, Unavailable>> {
        async move { Ok(self.read_all(tournament_id).await?) }.boxed()
    }

    fn commit<'a>(&'a self, commit: Commit<'a>) -> BoxFuture<'a, Result<(), CommitError>> {
        async move { self.write(&commit).await }.boxed()
    }

    fn last_undoable(&self, tournament_id: Uuid) -> BoxFuture<'_, Result<Option<Undoable>, Unavailable>> {
        // By primary key, from the end.
        let row = sqlx::query_as::<_, (i64, Json<By>, Json<Vec<Change>>)>(
            "SELECT version, by, changes FROM tournament_log AS last
             WHERE tournament_id = $1 AND undoes IS NULL AND command ->> 'command' <> 'forget' AND NOT EXISTS (
                 SELECT 1 FROM tournament_log AS undo
                 WHERE undo.tournament_id = $1 AND undo.undoes = last.version)
             ORDER BY version DESC LIMIT 1",
        )
        .bind(tournament_id)
        .fetch_optional(&self.pool);
        async move {
            let row = row.await.map_err(StoreFailure::from)?;
            Ok(row.map(|(version, by, changes)| Undoable {
                version: u64::try_from(version).unwrap_or(0),
                by: by.0,
                changes: changes.0,
            }))
        }
        .boxed()
    }

    fn find_by_key<'a>(
        &'a self,
        tournament_id: Uuid,
        by: By,
        key: &'a str,
    ) -> BoxFuture<'a, Result<Option<Repeated>, Unavailable>> {
        let row = sqlx::query_as::<_, (i64, Option<Json<Command>>, Option<i32>, Vec<String>)>(
            "SELECT version, command, entrant, fallen FROM tournament_log
             WHERE tournament_id = $1 AND (by = $2 OR user_id = $3) AND idempotency_key = $4 ORDER BY version LIMIT 1",
        )
        .bind(tournament_id)
        .bind(Json(by))
        // Whoever has registered, or was made a referee, acts as somebody else afterwards.
        .bind(by.user().and_then(|user| i32::try_from(user).ok()))
        .bind(key)
        .fetch_optional(&self.pool);
        async move {
            let row = row.await.map_err(StoreFailure::from)?;
            Ok(row.map(|(version, command, entrant, fallen)| Repeated {
                version: u64::try_from(version).unwrap_or(0),
                intent: command.map_or(Intent::Undo, |command| Intent::Apply(command.0)),
                entrant: entrant.map(|id| EntrantId(unsigned(id))),
                fallen: fallen.iter().filter_map(|key| key.parse().ok()).collect(),
            }))
        }
        .boxed()
    }
}

/// A draft that was just made, with its first settings kept for the log.
///
/// Gives the tournament that was made before under the same key, if there is one, and whether it was made with these settings and
/// of the same document, whose digest `document` is.
pub async fn create(
    connection: &mut PgConnection,
    id: Uuid,
    owner_id: i32,
    settings: &Settings,
    key: Option<&str>,
    document: Option<&[u8; 32]>,
) -> sqlx::Result<Option<(Uuid, bool)>> {
    let tournament = Tournament::new(settings.clone());
    let inserted = sqlx::query(
        "INSERT INTO tournaments (id, version, name, format, owner_id, draft, draw, creation_key, creation_document)
         VALUES ($1, 1, $2, $3, $4, $5, $6, $7, $8)
         ON CONFLICT (owner_id, creation_key) WHERE creation_key IS NOT NULL DO NOTHING",
    )
    .bind(id)
    .bind(&settings.name)
    .bind(word(&settings.format))
    .bind(owner_id)
    .bind(Json(settings))
    .bind(Json(Draw::default()))
    .bind(key)
    .bind(document)
    .execute(&mut *connection)
    .await?;
    if inserted.rows_affected() == 0 {
        return sqlx::query_as(
            "SELECT id, draft = $3 AND creation_document IS NOT DISTINCT FROM $4
             FROM tournaments WHERE owner_id = $1 AND creation_key = $2",
        )
        .bind(owner_id)
        .bind(key)
        .bind(Json(settings))
        .bind(document)
        .fetch_optional(connection)
        .await;
    }
    let deadline = tournament.next_deadline().and_then(time);
    sqlx::query("UPDATE tournaments SET next_deadline = $2 WHERE id = $1")
        .bind(id)
        .bind(deadline)
        .execute(&mut *connection)
        .await?;
    update_frame(connection, id, &tournament.frame()).await?;
    Ok(None)
}

/// Nothing is earned in it: a document that says who won is no reason to believe it.
pub async fn mark_imported(connection: &mut PgConnection, id: Uuid) -> sqlx::Result<()> {
    sqlx::query("UPDATE tournaments SET imported = true WHERE id = $1").bind(id).execute(connection).await?;
    Ok(())
}

/// As it is written in SQL, for lists.
pub fn status_of(word: &str) -> Option<Status> {
    read(Value::String(word.to_owned())).ok()
}
