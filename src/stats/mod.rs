//! Statistics: questions to the roll-ups in ClickHouse, and the answers that API and pages share.
//!
//! [`Stats`] asks; `answers` holds the shapes; `handlers` puts them on HTTP. A question reads roll-ups only, except
//! for what concerns one match (its rounds, weapons and presence), which `raw_events` is ordered for. Every query
//! binds its values, has a time and memory limit, and orders ties, so that equal data gives equal answers. Answers are
//! kept until the data version moves (`cache`), names from PostgreSQL for a second.
//!
//! When ClickHouse can't be reached, questions fail with 503 `stats_unavailable`. When PostgreSQL can't, servers
//! are shown by the beginning of their id: names are not worth an outage.

mod accuracy;
pub mod answers;
mod bracket_games;
mod breakdowns;
mod cache;
mod career;
mod duels;
mod feats;
mod handlers;
mod heatmap;
mod heatmap_handlers;
mod leaderboard;
mod live;
mod maps;
mod match_detail;
mod matches;
mod names;
mod people;
mod player;
mod query;
mod ratings;
mod ratio;
mod search;
mod selection;
mod server;
mod slowest;
mod tallies;
mod timeline;
mod totals;
mod tournament;
mod weapons;

use std::sync::Arc;

use chrono::{DateTime, Utc};
use sqlx::PgPool;

pub use breakdowns::Interval;
pub use cache::AnswerCache;
pub use handlers::{
    COMPARED, QUERY_SHAPES, StatsApi, compared, player_maps_question, player_matches_question,
    player_rivals_question, routes,
};
pub use heatmap::{HeatKind, Heatmap, HeatmapBounds, HeatmapPoint, HeatmapQuestion};
pub use heatmap_handlers::{HEATMAP_PANEL, MAP_PICTURE, MATCH_PICTURE};
pub use leaderboard::{BoardQuestion, Statistic};
pub use maps::handlers::{MapsApi, read_map_of_page};
pub use maps::{MapSort, MapsQuestion};
pub use matches::{KnownMatch, MatchQuestion};
use names::KnownNames;
pub use people::ANONYMOUS_PREFIX;
pub use player::PlayerQuestion;
pub(crate) use ratio::round;
pub use search::Needle;
pub use search::handlers::{SearchApi, read_needle};
pub use selection::{Bots, Period, Selection, normal_map_name};
pub use server::Span;
pub use server::handlers::{ServerStatsApi, ShownServer, shown_server};
pub use slowest::{SlowQuestion, SlowestQuestions};
pub use timeline::{Place, TimelineQuestion};
pub use tournament::{BracketGame, BracketGames, TournamentFigures, TournamentSort};
pub use weapons::handlers::{WeaponsApi, read_weapon};
pub use weapons::{WeaponSort, WeaponsQuestion};

/// What time it is; tests bring their own.
pub type Clock = Arc<dyn Fn() -> DateTime<Utc> + Send + Sync>;

/// Answers questions about what has been stored. Cheap to clone.
#[derive(Clone)]
pub struct Stats {
    clickhouse: clickhouse::Client,
    cache: AnswerCache,
    names: KnownNames,
    clock: Clock,
    slowest: SlowestQuestions,
}

impl Stats {
    /// `clickhouse` must have the service's database selected.
    pub fn new(clickhouse: clickhouse::Client, postgres: PgPool, cache: AnswerCache) -> Self {
        Self::with_clock(clickhouse, postgres, cache, Arc::new(Utc::now))
    }

    pub fn with_clock(
        clickhouse: clickhouse::Client,
        postgres: PgPool,
        cache: AnswerCache,
        clock: Clock,
    ) -> Self {
        let slowest = SlowestQuestions::default();
        Stats { clickhouse, cache, names: KnownNames::new(postgres), clock, slowest }
    }

    /// What took ClickHouse longest lately.
    pub fn slowest(&self) -> &SlowestQuestions {
        &self.slowest
    }

    /// The present by the clock of this instance.
    pub fn now(&self) -> DateTime<Utc> {
        (self.clock)()
    }
}
