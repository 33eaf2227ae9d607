//! How matches ended, in PostgreSQL (`match_summaries`).
//!
//! While PostgreSQL is away, a summary is *owed*: a file `summaries/<match id>.json` beside the spool, from where it is
//! brought to PostgreSQL by and by, also by a later process. It takes the place of nothing that was written after it was made.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use mohaa_actors::live::{Summaries, Summary};
use mohaa_domain::event::{Event, Millis};
use mohaa_domain::vocabulary::Team;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sqlx::PgPool;
use uuid::Uuid;

use crate::stats::KnownMatch;

const DIRECTORY: &str = "summaries";
const SUFFIX: &str = "json";
const UNFINISHED: &str = "unfinished";
const DAMAGED_SUFFIX: &str = "damaged";
/// Further ones are left to the actors of their matches, which ask again.
const MOST_OWED: usize = 10_000;
const PAY_EVERY: Duration = Duration::from_secs(1);
/// Nobody waits for a store that hangs.
const PATIENCE: Duration = Duration::from_secs(10);

/// [`Summaries`] in a real PostgreSQL. Clones are one.
#[derive(Clone)]
pub struct MatchSummaries {
    pool: PgPool,
    directory: Arc<PathBuf>,
    owed: Arc<Mutex<HashMap<Uuid, Owed>>>,
}

/// A summary that is on disk and not in PostgreSQL.
struct Owed {
    made_at: DateTime<Utc>,
    source_match_id: String,
    known: KnownMatch,
}

/// As it is written down.
#[derive(Serialize, Deserialize)]
struct OwedFile {
    made_at: DateTime<Utc>,
    summary: Summary,
}

impl Owed {
    fn of(OwedFile { made_at, summary }: &OwedFile) -> Self {
        Self {
            made_at: *made_at,
            source_match_id: summary.source_match_id.clone(),
            known: KnownMatch {
                match_id: summary.match_id,
                server_id: summary.server_id,
                allies_score: summary.allies_score,
                axis_score: summary.axis_score,
                winning_team: summary.winning_team.as_str().to_owned(),
                ended_at_ms: Some(summary.ended_at.0),
                reported_duration: None,
            },
        }
    }
}

impl MatchSummaries {
    /// With those that an earlier process left owing beside the spool.
    ///
    /// # Errors
    /// When their folder can't be made or read.
    pub fn open(pool: PgPool, spool_directory: &Path) -> io::Result<Self> {
        let directory = spool_directory.join(DIRECTORY);
        fs::create_dir_all(&directory)?;
        let mut owed = HashMap::new();
        for entry in fs::read_dir(&directory)? {
            let path = entry?.path();
            if path.extension().is_none_or(|extension| extension != SUFFIX) {
                continue;
            }
            match serde_json::from_slice::<OwedFile>(&fs::read(&path)?) {
                Ok(file) => drop(owed.insert(file.summary.match_id, Owed::of(&file))),
                Err(error) => {
                    tracing::error!(%error, path = %path.display(), "how a match ended can't be read; it is set aside");
                    fs::rename(&path, path.with_extension(DAMAGED_SUFFIX))?;
                }
            }
        }
        Ok(Self { pool, directory: Arc::new(directory), owed: Arc::new(Mutex::new(owed)) })
    }

    /// Brings what is owed to PostgreSQL, for ever.
    pub async fn keep_paying(self) {
        loop {
            tokio::time::sleep(PAY_EVERY).await;
            let owed: Vec<Uuid> = self.owed().keys().copied().collect();
            for match_id in owed {
                if let Err(error) = self.pay(match_id).await {
                    tracing::debug!(%error, %match_id, "how a match ended is still owed");
                    break;
                }
            }
        }
    }

    async fn pay(&self, match_id: Uuid) -> Result<(), PayError> {
        let path = self.path_of(match_id);
        let file: OwedFile = serde_json::from_slice(&tokio::fs::read(&path).await?)?;
        let made_at = file.made_at;
        tokio::time::timeout(PATIENCE, self.write(&file.summary, Some(made_at)))
            .await
            .map_err(|_| PayError::NoAnswer)??;
        let mut owed = self.owed();
        // Or a later one of the match has come in between.
        if owed.get(&match_id).is_some_and(|known| known.made_at == made_at) {
            owed.remove(&match_id);
            fs::remove_file(&path)?;
        }
        Ok(())
    }

    /// Writes a summary down; whether it is safe there. Blocks on the disk.
    fn owe(&self, summary: Summary) -> bool {
        let match_id = summary.match_id;
        let file = OwedFile { made_at: Utc::now(), summary };
        let mut owed = self.owed();
        if owed.len() >= MOST_OWED && !owed.contains_key(&match_id) {
            return false;
        }
        let written = serde_json::to_vec(&file).map_err(io::Error::from).and_then(|bytes| {
            let unfinished = self.directory.join(UNFINISHED);
            let mut out = File::create(&unfinished)?;
            out.write_all(&bytes)?;
            out.sync_all()?;
            fs::rename(&unfinished, self.path_of(match_id))?;
            File::open(&*self.directory)?.sync_all()
        });
        match written {
            Ok(()) => {
                owed.insert(match_id, Owed::of(&file));
                true
            }
            Err(error) => {
                tracing::error!(%error, %match_id, "how a match ended can't be written down");
                false
            }
        }
    }

    fn owes(&self, match_id: Uuid) -> bool {
        self.owed().contains_key(&match_id)
    }

    fn owed(&self) -> MutexGuard<'_, HashMap<Uuid, Owed>> {
        self.owed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn path_of(&self, match_id: Uuid) -> PathBuf {
        self.directory.join(format!("{match_id}.{SUFFIX}"))
    }

    /// In place of an earlier summary of the match; with `made_at` only of one that was written before.
    async fn write(&self, summary: &Summary, made_at: Option<DateTime<Utc>>) -> sqlx::Result<()> {
        let time = |at: Millis| DateTime::<Utc>::from_timestamp_millis(at.0).unwrap_or_default();
        let players: Vec<Value> = summary
            .players
            .iter()
            .map(|player| {
                json!({
                    "player_id": storable(&player.player_id),
                    "team": player.team.as_str(),
                    "guest": player.guest,
                    "bot": player.bot,
                    "kills": player.kills,
                    "deaths": player.deaths,
                    "playtime_seconds": player.playtime_seconds,
                })
            })
            .collect();
        sqlx::query(
            "INSERT INTO match_summaries (match_id, server_id, source_match_id, map_name, gametype, started_at, ended_at,
                                          allies_score, axis_score, winning_team, players, told_end)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $13)
             ON CONFLICT (match_id) DO UPDATE SET
                 source_match_id = excluded.source_match_id, map_name = excluded.map_name, gametype = excluded.gametype,
                 started_at = excluded.started_at, ended_at = excluded.ended_at, allies_score = excluded.allies_score,
                 axis_score = excluded.axis_score, winning_team = excluded.winning_team, players = excluded.players,
                 told_end = excluded.told_end, changed_at = now(),
                 -- Brackets look again once they may hear of it, and at what a result has changed that names one of theirs.
                 witnessed = match_summaries.witnessed AND (match_summaries.told_end OR NOT excluded.told_end)
                     AND NOT ((match_summaries.allies_score, match_summaries.axis_score, match_summaries.winning_team)
                         IS DISTINCT FROM (excluded.allies_score, excluded.axis_score, excluded.winning_team)
                     AND EXISTS (SELECT 1 FROM tournament_announced_games AS announced
                                     WHERE announced.match_id = excluded.match_id AND announced.said_by = 'result'))
             WHERE $12::timestamptz IS NULL OR match_summaries.changed_at <= $12",
        )
        .bind(summary.match_id)
        .bind(summary.server_id)
        .bind(storable(&summary.source_match_id))
        .bind(storable(&summary.map_name))
        .bind(summary.game_type.as_str())
        .bind(time(summary.started_at))
        .bind(time(summary.ended_at))
        .bind(summary.allies_score)
        .bind(summary.axis_score)
        .bind(summary.winning_team.as_str())
        .bind(Value::Array(players))
        .bind(made_at)
        .bind(summary.told_end)
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// What the summary of a match says, which this server calls so or which has this id. By `match_summaries_by_name` and
    /// the primary key.
    ///
    /// # Errors
    /// When PostgreSQL does not answer.
    pub async fn known(
        &self,
        server_id: Uuid,
        name: &str,
        match_id: Option<Uuid>,
    ) -> sqlx::Result<Option<KnownMatch>> {
        let is_it = |(id, owed): &(&Uuid, &Owed)| {
            Some(**id) == match_id || (owed.known.server_id == server_id && owed.source_match_id == name)
        };
        let owed = self
            .owed()
            .iter()
            .filter(is_it)
            .map(|(_, owed)| owed.known.clone())
            .max_by_key(|it| it.ended_at_ms);
        if owed.is_some() {
            return Ok(owed);
        }
        let row: Option<(Uuid, Uuid, i32, i32, String, DateTime<Utc>)> = sqlx::query_as(
            "SELECT match_id, server_id, allies_score, axis_score, winning_team, ended_at FROM match_summaries
             WHERE match_id = $3 OR (server_id = $1 AND source_match_id = $2)
             ORDER BY started_at DESC LIMIT 1",
        )
        .bind(server_id)
        .bind(storable(name))
        .bind(match_id)
        .fetch_optional(&self.pool)
        .await?;
        Ok(row.map(|(match_id, server_id, allies_score, axis_score, winning_team, ended_at)| KnownMatch {
            match_id,
            server_id,
            allies_score,
            axis_score,
            winning_team,
            ended_at_ms: Some(ended_at.timestamp_millis()),
            reported_duration: None,
        }))
    }

    /// Puts the result of a match that nobody follows any more into its summary; whether nothing is left to do.
    pub async fn correct(&self, match_id: Uuid, result: &Event) -> bool {
        if self.owes(match_id) {
            return false;
        }
        let corrected = sqlx::query(
            "UPDATE match_summaries SET allies_score = coalesce($2, allies_score), axis_score = coalesce($3, axis_score),
                    winning_team = coalesce($4, winning_team), told_end = true,
                    witnessed = witnessed AND told_end, changed_at = now()
             WHERE match_id = $1",
        )
        .bind(match_id)
        .bind(result.allies_score)
        .bind(result.axis_score)
        .bind((result.winning_team != Team::Unknown).then(|| result.winning_team.as_str()))
        .execute(&self.pool);
        match tokio::time::timeout(PATIENCE, corrected).await {
            Ok(Ok(_)) => true,
            Ok(Err(error)) => {
                tracing::warn!(%error, %match_id, "a correction is not in the summary of its match yet");
                false
            }
            Err(_) => false,
        }
    }
}

/// Why a summary is still owed.
#[derive(Debug, thiserror::Error)]
enum PayError {
    #[error(transparent)]
    File(#[from] io::Error),
    #[error(transparent)]
    Text(#[from] serde_json::Error),
    #[error(transparent)]
    Postgres(#[from] sqlx::Error),
    #[error("PostgreSQL does not answer")]
    NoAnswer,
}

/// Texts of servers may hold what PostgreSQL takes nowhere.
fn storable(text: &str) -> String {
    text.replace('\0', "")
}

impl Summaries for MatchSummaries {
    fn keep(&self, summary: Summary) -> BoxFuture<'_, bool> {
        async move {
            let match_id = summary.match_id;
            if !self.owes(match_id) {
                match tokio::time::timeout(PATIENCE, self.write(&summary, None)).await {
                    Ok(Ok(())) => return true,
                    Ok(Err(error)) => {
                        tracing::warn!(%error, %match_id, "how a match ended can't be kept yet: it is written down");
                    }
                    Err(_) => {
                        tracing::warn!(%match_id, "PostgreSQL does not answer: how a match ended is written down");
                    }
                }
            }
            let this = self.clone();
            tokio::task::spawn_blocking(move || this.owe(summary)).await.unwrap_or(false)
        }
        .boxed()
    }
}
