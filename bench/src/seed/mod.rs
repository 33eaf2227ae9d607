//! A year of matches, made from a seed and stored in one go: what questions cost over much data is measured on it.
//!
//! Days are made independently of each other and stored a partition at a time, through the tables and views that the
//! service's own inserts go through. Equal options give equal rows; what is stored already is not stored again. At the end
//! what was made is compared with what is stored.

mod battle;
mod calendar;
mod dice;
mod people;
mod store;
mod world;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use chrono::{DateTime, NaiveDate, Utc};
use serde::{Deserialize, Serialize};
use sqlx::postgres::PgPoolOptions;
use tokio::task::JoinSet;

use self::battle::Rows;
pub use self::calendar::Extent;
use self::people::Population;
use self::store::PlayedDay;
use crate::clickhouse::ClickHouse;
use crate::error::BenchError;
use crate::stores::{self, Stores};

/// Days in work at a time: one is made while the engine stores another.
const WORKERS: usize = 3;
const TOP_PLAYERS: usize = 20;
const PROGRESS_EVERY: Duration = Duration::from_secs(5);

pub struct SeedOptions {
    /// Brings the schemas up to date.
    pub service: PathBuf,
    pub data_dir: PathBuf,
    pub extent: Extent,
    pub players: usize,
}

/// What was made and stored.
#[derive(Debug, Serialize)]
pub struct SeedReport {
    pub seed: u64,
    pub until: DateTime<Utc>,
    pub days: u32,
    pub servers: usize,
    pub events: u64,
    pub matches: u64,
    /// Players who took part, without guests and bots.
    pub players: usize,
    /// As boards count them: without bots, guests too.
    pub kills: u64,
    /// Most kills first, then by id, as the board of kills over everything has them.
    pub top_players: Vec<TopPlayer>,
    /// Of both workers together.
    pub making_seconds: f64,
    pub seconds: f64,
    pub events_per_second: f64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TopPlayer {
    pub player_id: String,
    pub kills: u64,
}

/// What has been made so far.
#[derive(Default)]
struct Made {
    days: usize,
    events: u64,
    matches: u64,
    kills: u64,
    /// By number in the population.
    kills_of: Vec<u64>,
    seen: BTreeSet<usize>,
    making: Duration,
}

/// Makes the days and stores them.
///
/// # Errors
/// When the stores can't be started or refuse, or hold something else in the end.
pub async fn run(options: &SeedOptions) -> Result<SeedReport, BenchError> {
    let stores = Stores::of_data_dir(&options.data_dir).await?;
    let report = fill(options, &stores).await;
    stores.stop().await;
    report
}

async fn fill(options: &SeedOptions, stores: &Stores) -> Result<SeedReport, BenchError> {
    stores::migrate(&options.service, &options.data_dir).await?;
    let postgres = PgPoolOptions::new().max_connections(4).connect(&stores.urls.postgres_url).await?;
    let clickhouse = ClickHouse::of_url(&stores.urls.clickhouse_url)?;
    store::store_servers(&postgres, &options.extent).await?;
    let began = Instant::now();
    let people = Arc::new(Population::new(options.extent.seed, options.players, options.extent.servers));
    let made = Arc::new(Mutex::new(Made { kills_of: vec![0; options.players], ..Made::default() }));
    let dates = Arc::new(Mutex::new(options.extent.dates().into_iter()));
    let days = options.extent.days as usize;
    let mut workers = JoinSet::new();
    for _ in 0..WORKERS {
        let (people, made, dates) = (people.clone(), made.clone(), dates.clone());
        let (clickhouse, postgres, extent) = (clickhouse.clone(), postgres.clone(), options.extent);
        workers.spawn(async move {
            let mut connection = clickhouse.connect().await?;
            loop {
                let next = dates.lock().unwrap_or_else(PoisonError::into_inner).next();
                let Some(date) = next else { return Ok::<(), BenchError>(()) };
                let (people, made) = (people.clone(), made.clone());
                let played = tokio::task::spawn_blocking(move || play_day(&extent, &people, date, &made));
                let day = played.await?;
                store::store_events(&clickhouse, &mut connection, extent.seed, &day).await?;
                store::store_summaries(&postgres, &day.summaries).await?;
            }
        });
    }
    let mut progress = tokio::time::interval(PROGRESS_EVERY);
    loop {
        tokio::select! {
            ended = workers.join_next() => match ended {
                Some(ended) => ended??,
                None => break,
            },
            _ = progress.tick() => tell_progress(&made, days, began),
        }
    }
    postgres.close().await;
    let report = report(options, &made, &people, began.elapsed());
    verify(&clickhouse, options, &report).await?;
    Ok(report)
}

fn play_day(extent: &Extent, people: &Population, date: NaiveDate, made: &Mutex<Made>) -> PlayedDay {
    let began = Instant::now();
    let mut day = PlayedDay { date, rows: Rows::default(), summaries: Vec::new() };
    let mut outcomes = Vec::new();
    for mut plan in extent.matches(date) {
        let outcome = battle::play(&mut plan, people, &mut day.rows);
        day.summaries.push(store::summary(&plan, &outcome));
        outcomes.push(outcome);
    }
    let mut made = made.lock().unwrap_or_else(PoisonError::into_inner);
    made.days += 1;
    made.events += day.rows.ends.len() as u64;
    made.matches += outcomes.len() as u64;
    for soldier in outcomes.iter().flat_map(|outcome| &outcome.soldiers) {
        made.kills += soldier.counted_kills;
        if let Some(player) = soldier.player {
            made.kills_of[player] += soldier.counted_kills;
            made.seen.insert(player);
        }
    }
    made.making += began.elapsed();
    day
}

fn tell_progress(made: &Mutex<Made>, days: usize, began: Instant) {
    let made = made.lock().unwrap_or_else(PoisonError::into_inner);
    let seconds = began.elapsed().as_secs_f64().max(0.001);
    eprintln!(
        "seed: {} of {days} days, {} events, {:.0} a second",
        made.days,
        made.events,
        made.events as f64 / seconds
    );
}

fn report(options: &SeedOptions, made: &Mutex<Made>, people: &Population, elapsed: Duration) -> SeedReport {
    let made = made.lock().unwrap_or_else(PoisonError::into_inner);
    let mut top_players: Vec<TopPlayer> = made
        .kills_of
        .iter()
        .enumerate()
        .filter(|(_, kills)| **kills > 0)
        .map(|(player, &kills)| TopPlayer { player_id: people.id(player).to_string(), kills })
        .collect();
    top_players
        .sort_by(|one, other| other.kills.cmp(&one.kills).then_with(|| one.player_id.cmp(&other.player_id)));
    top_players.truncate(TOP_PLAYERS);
    SeedReport {
        seed: options.extent.seed,
        until: options.extent.until,
        days: options.extent.days,
        servers: options.extent.servers,
        events: made.events,
        matches: made.matches,
        players: made.seen.len(),
        kills: made.kills,
        top_players,
        making_seconds: made.making.as_secs_f64(),
        seconds: elapsed.as_secs_f64(),
        events_per_second: made.events as f64 / elapsed.as_secs_f64(),
    }
}

#[derive(Deserialize)]
struct Count {
    count: u64,
}

/// Asks base table and roll-ups, not the service: whoever compares the report with its answers asks both.
async fn verify(
    clickhouse: &ClickHouse,
    options: &SeedOptions,
    report: &SeedReport,
) -> Result<(), BenchError> {
    let mut connection = clickhouse.connect().await?;
    let server_ids: Vec<String> = (0..options.extent.servers)
        .map(|server| format!("'{}'", calendar::server_id(report.seed, server)))
        .collect();
    let ours = format!("server_id IN ({})", server_ids.join(", "));
    let mut differences = Vec::new();
    for (what, sql, expected) in [
        (
            "rows of raw_events",
            format!("SELECT count() AS count FROM raw_events WHERE {ours}"),
            report.events,
        ),
        ("matches", format!("SELECT uniqExact(match_id) AS count FROM matches WHERE {ours}"), report.matches),
        (
            "kills",
            format!("SELECT sum(kills) AS count FROM player_stats_daily WHERE NOT bots AND {ours}"),
            report.kills,
        ),
    ] {
        let rows: Vec<Count> = clickhouse.rows(&mut connection, &sql).await?;
        let found = rows.first().map_or(0, |row| row.count);
        if found != expected {
            differences.push(format!("{expected} {what} were made, {found} are stored"));
        }
    }
    let top = format!(
        "SELECT player_id, toUInt64(sum(player_stats_daily.kills)) AS kills FROM player_stats_daily \
         WHERE NOT bots AND {ours} AND NOT startsWith(player_id, 'g_') GROUP BY player_id \
         ORDER BY kills DESC, player_id LIMIT {TOP_PLAYERS}"
    );
    let stored: Vec<TopPlayer> = clickhouse.rows(&mut connection, &top).await?;
    if stored != report.top_players {
        differences.push(format!("the top players are {stored:?}, not {:?}", report.top_players));
    }
    if differences.is_empty() { Ok(()) } else { Err(BenchError::Differs(differences)) }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use mohaa_domain::row::COLUMNS;
    use mohaa_domain::vocabulary::{EventType, KillKind};
    use proptest::prelude::*;

    use super::*;

    fn extent(seed: u64, until: &str) -> Extent {
        Extent { seed, events: 40_000, servers: 5, days: 10, until: until.parse().unwrap() }
    }

    fn day(extent: &Extent, date: &str) -> (PlayedDay, Made) {
        let people = Population::new(extent.seed, 300, extent.servers);
        let made = Mutex::new(Made { kills_of: vec![0; 300], ..Made::default() });
        let day = play_day(extent, &people, date.parse().unwrap(), &made);
        (day, made.into_inner().unwrap())
    }

    const UNTIL: &str = "2026-11-22T12:00:00Z";

    #[test]
    fn equal_seeds_make_equal_rows_and_others_do_not() {
        let rows = |seed| day(&extent(seed, UNTIL), "2026-11-20").0.rows.bytes;
        assert_eq!(rows(1), rows(1));
        assert_ne!(rows(1), rows(2));
    }

    #[test]
    fn a_day_is_the_same_whenever_the_year_ends() {
        let rows = |until| day(&extent(1, until), "2026-11-20").0.rows.bytes;
        assert_eq!(rows(UNTIL), rows("2026-11-25T00:00:00Z"));
    }

    #[test]
    fn nothing_begins_after_the_end_of_the_year() {
        let extent = extent(1, UNTIL);
        let early = extent.matches("2026-11-22".parse().unwrap());
        let whole_day = extent.matches("2026-11-21".parse().unwrap());
        assert!(!early.is_empty() && early.len() < whole_day.len());
        assert!(early.iter().all(|plan| plan.started_at.0 < extent.until.timestamp_millis()));
    }

    #[test]
    fn the_days_together_hold_what_was_asked_for() {
        let extent = Extent { days: 200, ..extent(1, "2026-11-22T23:59:59Z") };
        let events: usize =
            extent.dates().into_iter().flat_map(|date| extent.matches(date)).map(|it| it.events).sum();
        assert!((34_000..46_000).contains(&events), "{events}");
    }

    #[test]
    fn the_days_are_so_many_and_end_with_the_last() {
        let dates = extent(1, UNTIL).dates();
        assert_eq!(dates.len(), 10);
        assert_eq!(dates.last(), Some(&"2026-11-22".parse().unwrap()));
        assert!(dates.is_sorted());
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 8, ..ProptestConfig::default() })]

        #[test]
        fn a_day_holds_what_was_asked_for_and_its_rows_lie_in_it(seed in 0_u64..1_000) {
            let extent = extent(seed, UNTIL);
            let (day, made) = day(&extent, "2026-11-20");
            // The last match may go over, or be left out.
            prop_assert!((2_000..7_000).contains(&day.rows.ends.len()), "{}", day.rows.ends.len());
            let mut rest = day.rows.bytes.as_slice();
            let (mut kills, mut names) = (0, BTreeSet::new());
            while !rest.is_empty() {
                let (event, stamp) = mohaa_domain::row::take(&mut rest, COLUMNS.len()).unwrap();
                let is_kill = event.event_type == EventType::Kill;
                prop_assert_eq!(is_kill, stamp.kill_kind != KillKind::None);
                let counts = stamp.kill_kind == KillKind::Kill && !stamp.player_bot && !stamp.target_bot;
                kills += u64::from(counts);
                prop_assert_eq!(
                    DateTime::from_timestamp_millis(stamp.event_at.0).unwrap().date_naive(), day.date);
                prop_assert!(names.insert((stamp.spool_seq, stamp.spool_index)), "two events of one name");
            }
            prop_assert_eq!(kills, made.kills);
            prop_assert_eq!(day.summaries.len() as u64, made.matches);
        }
    }

    #[test]
    fn few_play_a_lot_and_most_now_and_then() {
        let people = Population::new(1, 2_000, 5);
        let mut dice = super::dice::Dice::new(1, "test", &[]);
        let mut matches = vec![0; people.count()];
        for round in 0..1_000 {
            let players = people.participants(round % 5, 16, &mut dice);
            let different: BTreeSet<&usize> = players.iter().collect();
            assert_eq!(different.len(), 16);
            for player in players {
                matches[player] += 1;
            }
        }
        let top: u32 = matches[..100].iter().sum();
        let last: u32 = matches[1_900..].iter().sum();
        assert!(top > 10 * last, "{top} of the first hundred, {last} of the last");
    }

    #[test]
    fn names_change_over_a_year_and_hold_for_weeks() {
        let people = Population::new(1, 100, 5);
        let names = |player| (0..365).map(|day| people.name(player, 20_000 + day)).collect::<Vec<_>>();
        let changes = |player| names(player).windows(2).filter(|two| two[0] != two[1]).count();
        assert!((0..100).map(changes).max() >= Some(2));
        assert!((0..100).map(changes).all(|changes| changes <= 7));
    }
}
