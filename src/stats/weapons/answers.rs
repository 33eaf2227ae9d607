//! The shapes of weapons.

use serde::Serialize;
use utoipa::ToSchema;

use crate::stats::answers::LeaderboardRow;

/// A page of the list of weapons.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct WeaponList {
    /// all, day, week or month.
    pub period: &'static str,
    #[schema(example = "kills")]
    pub sort: &'static str,
    pub page: u32,
    pub limit: u32,
    pub total: u64,
    pub weapons: Vec<WeaponFigures>,
}

/// What a weapon did, in whosever hands.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct WeaponFigures {
    #[schema(example = "m1-garand")]
    pub slug: String,
    #[schema(example = "M1 Garand")]
    pub name: String,
    /// rifle, smg, mg, sniper, pistol, shotgun, rocket, grenade, melee, mounted or other.
    pub class: &'static str,
    /// Kills that score.
    pub kills: u64,
    /// Deaths by it, of any kind.
    pub deaths: u64,
    pub headshots: u64,
    pub headshot_percent: f64,
    pub shots_fired: u64,
    pub shots_hit: u64,
    /// Of those players whose every hit names its weapon; null where none of them fired it.
    pub accuracy: Option<f64>,
    /// Done to those who are no team mates.
    pub damage: f64,
    /// Players who fired it, hit, hurt or killed with it; a guest counts anew in each match.
    pub users: u64,
    /// Of kills whose both places are known; null where there is none.
    pub average_kill_metres: Option<f64>,
    pub longest_kill_metres: Option<f64>,
}

#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct WeaponAnswer {
    /// all, day, week or month.
    pub period: &'static str,
    #[serde(flatten)]
    pub figures: WeaponFigures,
    pub ranges: Ranges,
    /// Most kills first.
    pub top_players: Vec<LeaderboardRow>,
    /// Most kills first.
    pub maps: Vec<WeaponMap>,
}

/// How far away victims stood.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Ranges {
    /// Kills whose both places are known.
    pub kills: u64,
    /// Steps of five metres without gaps from 0 on, up to the furthest with a kill.
    pub steps: Vec<RangeStep>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct RangeStep {
    /// Inclusive.
    pub from_metres: u16,
    /// Exclusive; null for the last one, which has no end.
    pub to_metres: Option<u16>,
    pub kills: u64,
}

#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct WeaponMap {
    pub map_name: String,
    pub kills: u64,
    pub headshots: u64,
}
