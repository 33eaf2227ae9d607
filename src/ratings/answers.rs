//! The shapes of answers about how a rating came about.

use chrono::{DateTime, Utc};
use mohaa_domain::rating::Rating;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::history::RatedMatchRow;
use crate::stats::answers::RATING_DECIMALS;
use crate::stats::round;

/// What each rated match changed, the latest first.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct RatingHistory {
    pub player_id: String,
    pub page: u32,
    pub limit: u32,
    /// Rated matches in all.
    pub total: u64,
    pub matches: Vec<RatedMatch>,
}

#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct RatedMatch {
    pub match_id: Uuid,
    pub server_id: Uuid,
    pub server_name: String,
    pub map_name: Option<String>,
    pub gametype: Option<String>,
    pub ended_at: DateTime<Utc>,
    /// Which one of the player's rated matches it is, from 1.
    pub ordinal: u32,
    pub before: RatingAfter,
    pub after: RatingAfter,
}

/// A rating between two matches.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, ToSchema)]
pub struct RatingAfter {
    /// The best estimate (μ).
    #[schema(example = 27.635389)]
    pub value: f64,
    /// Its standard deviation (σ).
    #[schema(example = 8.065901)]
    pub deviation: f64,
}

impl RatingAfter {
    /// With the range that skill lies in.
    pub fn rating(self) -> Rating {
        Rating { value: self.value, deviation: self.deviation }
    }

    fn of(value: f64, deviation: f64) -> Self {
        Self { value: round(value, RATING_DECIMALS), deviation: round(deviation, RATING_DECIMALS) }
    }
}

impl RatedMatch {
    pub(super) fn of(row: RatedMatchRow, server_name: String) -> Self {
        let known = |word: String| (!word.is_empty()).then_some(word);
        Self {
            match_id: row.match_id,
            server_id: row.server_id,
            server_name,
            map_name: known(row.map_name),
            gametype: known(row.gametype),
            ended_at: row.ended_at,
            ordinal: u32::try_from(row.ordinal).unwrap_or_default(),
            before: RatingAfter::of(row.value_before, row.deviation_before),
            after: RatingAfter::of(row.value_after, row.deviation_after),
        }
    }
}
