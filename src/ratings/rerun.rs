//! Rates what has changed, in one transaction.
//!
//! There is one way to do it, whatever the reason: find the first match in the order of history that is not rated as it
//! should be, take back what was rated from there on, and rate anew to the end. Mostly that match is the latest, and
//! nothing is taken back. A process that is killed meanwhile leaves everything as it was before, and the reason where the
//! next one finds it.

use sqlx::{PgConnection, PgPool};
use std::collections::{BTreeMap, HashMap};
use uuid::Uuid;

use mohaa_domain::rating::{Change, Rating};

use super::history::{Place, matches_from};
use crate::players;

/// Whoever holds it rates: no other process of ours at the same time. Numbers of two halves are apart from those of one,
/// which others lock by.
const LOCK: (i32, i32) = (18, 0);
/// Matches that are in memory at once.
const MATCHES_AT_ONCE: i64 = 500;

/// What there was to do.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Run {
    /// Another process is at it.
    Elsewhere,
    Nothing,
    Rated(Rerun),
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Rerun {
    pub(super) from: Place,
    /// Those that decided something between people who count.
    pub(super) matches: u64,
    /// Whether anything had been rated from there on.
    pub(super) is_repeated: bool,
}

/// A person's rating after the matches so far.
#[derive(Clone, Copy)]
struct Standing {
    rating: Rating,
    matches: i32,
}

const UNRATED: Standing = Standing { rating: Rating::NEW, matches: 0 };

/// Rates whatever is not rated as summaries, links and merges have it now.
pub(super) async fn bring_up_to_date(pool: &PgPool) -> sqlx::Result<Run> {
    let mut transaction = pool.begin().await?;
    let is_ours: bool = sqlx::query_scalar("SELECT pg_try_advisory_xact_lock($1, $2)")
        .bind(LOCK.0)
        .bind(LOCK.1)
        .fetch_one(&mut *transaction)
        .await?;
    if !is_ours {
        return Ok(Run::Elsewhere);
    }
    // All of history takes as long as it takes.
    sqlx::query("SET LOCAL statement_timeout = 0").execute(&mut *transaction).await?;
    // Read before the summaries: one that changes in between is rated now, and once more.
    let changes: Vec<(i64, Uuid)> =
        sqlx::query_as("SELECT id, match_id FROM matches_to_rate").fetch_all(&mut *transaction).await?;
    let canonical_ids = players::whom_ids_stand_for(&mut transaction).await?;
    let changed_ids = newly_somebody_else(&mut transaction, &canonical_ids).await?;
    let changed_matches = changes.iter().map(|(_, match_id)| *match_id).collect();
    let from = first_place(&mut transaction, changed_matches, &changed_ids).await?;
    keep_identities(&mut transaction, &canonical_ids, changed_ids).await?;
    let run = match from {
        None => Run::Nothing,
        Some(from) => {
            let (matches, is_repeated) = rate_from(&mut transaction, from, &canonical_ids).await?;
            Run::Rated(Rerun { from, matches, is_repeated })
        }
    };
    let rated: Vec<i64> = changes.into_iter().map(|(id, _)| id).collect();
    if !rated.is_empty() {
        sqlx::query("DELETE FROM matches_to_rate WHERE id = ANY($1)")
            .bind(rated)
            .execute(&mut *transaction)
            .await?;
    }
    transaction.commit().await?;
    Ok(run)
}

/// Ids that stand for somebody else than when they were rated.
async fn newly_somebody_else(
    connection: &mut PgConnection,
    canonical_ids: &BTreeMap<String, String>,
) -> sqlx::Result<Vec<String>> {
    let rated_as: Vec<(String, String)> =
        sqlx::query_as("SELECT player_id, canonical_id FROM rated_identities").fetch_all(connection).await?;
    let rated_as: BTreeMap<String, String> = rated_as.into_iter().collect();
    let known = canonical_ids.iter().filter(|(id, now)| rated_as.get(*id) != Some(*now)).map(|(id, _)| id);
    let gone = rated_as.keys().filter(|id| !canonical_ids.contains_key(*id));
    Ok(known.chain(gone).cloned().collect())
}

/// From where on ratings are not what they should be: the first place that a changed match has or had, or at which an id
/// played that is somebody else's now. By the primary keys and `match_summaries_by_player`.
async fn first_place(
    connection: &mut PgConnection,
    changed_matches: Vec<Uuid>,
    changed_ids: &[String],
) -> sqlx::Result<Option<Place>> {
    if changed_matches.is_empty() && changed_ids.is_empty() {
        return Ok(None);
    }
    sqlx::query_as(
        "SELECT ended_at, match_id FROM match_summaries WHERE match_id = ANY($1)
         UNION ALL SELECT ended_at, match_id FROM match_ratings WHERE match_id = ANY($1)
         UNION ALL SELECT ended_at, match_id FROM unnest($2::text[]) AS changed (id) JOIN match_summaries
             ON players @> jsonb_build_array(jsonb_build_object('player_id', changed.id))
         ORDER BY ended_at, match_id LIMIT 1",
    )
    .bind(changed_matches)
    .bind(changed_ids)
    .fetch_optional(connection)
    .await
}

async fn keep_identities(
    connection: &mut PgConnection,
    canonical_ids: &BTreeMap<String, String>,
    changed_ids: Vec<String>,
) -> sqlx::Result<()> {
    if changed_ids.is_empty() {
        return Ok(());
    }
    sqlx::query("DELETE FROM rated_identities WHERE player_id = ANY($1)")
        .bind(&changed_ids)
        .execute(&mut *connection)
        .await?;
    let (ids, now): (Vec<String>, Vec<String>) = changed_ids
        .into_iter()
        .filter_map(|id| canonical_ids.get(&id).map(|canonical| (id, canonical.clone())))
        .unzip();
    sqlx::query(
        "INSERT INTO rated_identities (player_id, canonical_id) SELECT * FROM unnest($1::text[], $2::text[])",
    )
    .bind(ids)
    .bind(now)
    .execute(connection)
    .await?;
    Ok(())
}

/// How many matches were rated, and whether any of what they changed had been there before.
async fn rate_from(
    connection: &mut PgConnection,
    from: Place,
    canonical_ids: &BTreeMap<String, String>,
) -> sqlx::Result<(u64, bool)> {
    // By `match_ratings_in_order`.
    let taken_back: Vec<String> = sqlx::query_scalar(
        "WITH gone AS (DELETE FROM match_ratings WHERE (ended_at, match_id) >= ($1, $2) RETURNING player_id)
         SELECT DISTINCT player_id FROM gone",
    )
    .bind(from.ended_at)
    .bind(from.match_id)
    .fetch_all(&mut *connection)
    .await?;
    let is_repeated = !taken_back.is_empty();
    let mut standings = HashMap::new();
    load(connection, taken_back, &mut standings).await?;
    let (mut at, mut was_seen, mut rated) = (from, false, 0);
    loop {
        let matches = matches_from(connection, at, was_seen, MATCHES_AT_ONCE, canonical_ids).await?;
        let Some(last) = matches.last() else { break };
        (at, was_seen) = (last.place, true);
        let contests: Vec<_> =
            matches.iter().filter_map(|one| Some((one.place, one.played.contest()?))).collect();
        let unknown = contests
            .iter()
            .flat_map(|(_, contest)| contest.player_ids())
            .filter(|id| !standings.contains_key(id.as_str()))
            .map(|id| id.to_string());
        load(connection, unknown.collect(), &mut standings).await?;
        let mut rows = Rows::default();
        for (place, contest) in contests {
            rated += 1;
            let changes = contest.rate(|id| standings.get(id).map_or(Rating::NEW, |it| it.rating));
            for change in changes {
                let standing = standings.entry(change.player_id.to_string()).or_insert(UNRATED);
                *standing = Standing { rating: change.after, matches: standing.matches + 1 };
                rows.push(place, standing.matches, &change);
            }
        }
        rows.insert(connection).await?;
    }
    keep_standings(connection, standings).await?;
    Ok((rated, is_repeated))
}

/// Adds what the last match that is still rated left of each. By `match_ratings_by_player`.
async fn load(
    connection: &mut PgConnection,
    player_ids: Vec<String>,
    standings: &mut HashMap<String, Standing>,
) -> sqlx::Result<()> {
    if player_ids.is_empty() {
        return Ok(());
    }
    let found: Vec<(String, f64, f64, i32)> = sqlx::query_as(
        "SELECT DISTINCT id, value_after, deviation_after, ordinal FROM unnest($1::text[]) AS asked (id) CROSS JOIN LATERAL (
             SELECT value_after, deviation_after, ordinal FROM match_ratings WHERE player_id = asked.id
             ORDER BY ended_at DESC, match_id DESC LIMIT 1) AS latest",
    )
    .bind(&player_ids)
    .fetch_all(connection)
    .await?;
    standings.extend(player_ids.into_iter().map(|id| (id, UNRATED)));
    standings.extend(found.into_iter().map(|(id, value, deviation, matches)| {
        (id, Standing { rating: Rating { value, deviation }, matches })
    }));
    Ok(())
}

/// Rows of `match_ratings`, by column.
#[derive(Default)]
struct Rows {
    match_ids: Vec<Uuid>,
    player_ids: Vec<String>,
    ended_at: Vec<chrono::DateTime<chrono::Utc>>,
    ordinals: Vec<i32>,
    values_before: Vec<f64>,
    deviations_before: Vec<f64>,
    values_after: Vec<f64>,
    deviations_after: Vec<f64>,
}

impl Rows {
    fn push(&mut self, place: Place, ordinal: i32, change: &Change) {
        self.match_ids.push(place.match_id);
        self.player_ids.push(change.player_id.to_string());
        self.ended_at.push(place.ended_at);
        self.ordinals.push(ordinal);
        self.values_before.push(change.before.value);
        self.deviations_before.push(change.before.deviation);
        self.values_after.push(change.after.value);
        self.deviations_after.push(change.after.deviation);
    }

    async fn insert(self, connection: &mut PgConnection) -> sqlx::Result<()> {
        if self.match_ids.is_empty() {
            return Ok(());
        }
        sqlx::query(
            "INSERT INTO match_ratings (match_id, player_id, ended_at, ordinal, value_before, deviation_before,
                                        value_after, deviation_after)
             SELECT * FROM unnest($1::uuid[], $2::text[], $3::timestamptz[], $4::integer[], $5::double precision[],
                                  $6::double precision[], $7::double precision[], $8::double precision[])",
        )
        .bind(self.match_ids)
        .bind(self.player_ids)
        .bind(self.ended_at)
        .bind(self.ordinals)
        .bind(self.values_before)
        .bind(self.deviations_before)
        .bind(self.values_after)
        .bind(self.deviations_after)
        .execute(connection)
        .await?;
        Ok(())
    }
}

/// A rating that came out the same keeps its revision, and isn't copied.
async fn keep_standings(
    connection: &mut PgConnection,
    standings: HashMap<String, Standing>,
) -> sqlx::Result<()> {
    let mut standings: Vec<(String, Standing)> = standings.into_iter().collect();
    standings.sort_by(|one, other| one.0.cmp(&other.0));
    let column = |of: fn(Rating) -> f64| standings.iter().map(|(_, it)| of(it.rating)).collect::<Vec<f64>>();
    let (values, deviations) = (column(|rating| rating.value), column(|rating| rating.deviation));
    let matches: Vec<i32> = standings.iter().map(|(_, standing)| standing.matches).collect();
    let player_ids: Vec<String> = standings.into_iter().map(|(id, _)| id).collect();
    sqlx::query(
        "INSERT INTO player_ratings AS old (player_id, value, deviation, matches)
         SELECT * FROM unnest($1::text[], $2::double precision[], $3::double precision[], $4::integer[])
         ON CONFLICT (player_id) DO UPDATE SET value = excluded.value, deviation = excluded.deviation,
             matches = excluded.matches, revision = nextval('player_ratings_revision')
         WHERE (old.value, old.deviation, old.matches)
             IS DISTINCT FROM (excluded.value, excluded.deviation, excluded.matches)",
    )
    .bind(player_ids)
    .bind(values)
    .bind(deviations)
    .bind(matches)
    .execute(connection)
    .await?;
    Ok(())
}
