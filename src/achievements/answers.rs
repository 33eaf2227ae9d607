//! The shapes of answers about achievements.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use mohaa_domain::achievements::Definition;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{UnlockRow, points_of};

/// What is told of one that is hidden.
pub struct Hidden;

impl Hidden {
    /// Stands for the slug, which tells what it is: with a number in lists, so that each has its own.
    pub const SLUG: &str = "hidden";
    pub const NAME: &str = "Hidden";
    pub const DESCRIPTION: &str = "Told to those who have it.";
    pub const ICON: &str = "hidden";
}

#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct AchievementList {
    /// In the order of lists.
    pub achievements: Vec<ListedAchievement>,
    /// The latest first.
    pub recent: Vec<RecentUnlock>,
}

#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ListedAchievement {
    pub slug: String,
    pub name: String,
    pub description: String,
    pub category: String,
    pub icon: String,
    /// What it is is told only to those who have it: slug, name, description and icon are placeholders.
    pub hidden: bool,
    pub tiers: Vec<ListedTier>,
}

#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ListedTier {
    pub tier: i16,
    /// Null where it would give a hidden one away.
    pub threshold: Option<u64>,
    pub points: i32,
    /// Players who have it.
    pub unlocked_by: u64,
    /// Percent of all players on boards.
    pub rarity_percent: Option<f64>,
}

/// Of a hidden one nothing but that it was unlocked: slug, name and icon are placeholders.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct RecentUnlock {
    pub player_id: String,
    pub player_name: String,
    pub player_name_raw: String,
    pub slug: String,
    pub name: String,
    pub icon: String,
    pub tier: i16,
    /// How many tiers there are.
    pub tiers: usize,
    /// Of this tier and those below it.
    pub points: i32,
    pub match_id: Option<Uuid>,
    /// For what is earned in tournaments.
    pub tournament_id: Option<Uuid>,
    pub unlocked_at: DateTime<Utc>,
}

#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct PlayerAchievements {
    pub player_id: String,
    pub points: i32,
    /// In the order of lists; hidden ones only once they are unlocked.
    pub achievements: Vec<PlayerAchievement>,
}

#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct PlayerAchievement {
    pub slug: String,
    pub name: String,
    pub description: String,
    pub category: String,
    pub icon: String,
    pub hidden: bool,
    /// The highest one unlocked; 0 for none.
    pub tier: i16,
    /// How many tiers there are.
    pub tiers: usize,
    /// Of all unlocked tiers.
    pub points: i32,
    /// What is measured, so far; null for what has to happen in one match or tournament.
    pub value: Option<u64>,
    /// Of the next tier; null when all are unlocked.
    pub next_threshold: Option<u64>,
    /// When the highest one was unlocked.
    pub unlocked_at: Option<DateTime<Utc>>,
    /// In which match.
    pub match_id: Option<Uuid>,
    /// In which tournament, for what is earned in tournaments.
    pub tournament_id: Option<Uuid>,
}

impl ListedAchievement {
    /// `number` is its place among those that are hidden.
    pub(super) fn of(
        definition: &Definition,
        number: usize,
        players: Option<u64>,
        holders: &BTreeMap<(String, i16), u64>,
    ) -> Self {
        let hidden = definition.hidden;
        let told = |text: &str, instead: &str| if hidden { instead.to_owned() } else { text.to_owned() };
        let tiers = definition.tiers.iter().map(|tier| {
            let unlocked_by = holders.get(&(definition.slug.clone(), tier.tier)).copied().unwrap_or_default();
            let rarity = players.filter(|players| *players > 0).map(|players| {
                let percent = unlocked_by as f64 * 100.0 / players as f64;
                (percent.min(100.0) * 10.0).round() / 10.0
            });
            ListedTier {
                tier: tier.tier,
                threshold: (!hidden).then_some(tier.threshold),
                points: tier.points,
                unlocked_by,
                rarity_percent: rarity,
            }
        });
        let slug = if hidden { format!("{}-{number}", Hidden::SLUG) } else { definition.slug.clone() };
        Self {
            slug,
            name: told(&definition.name, Hidden::NAME),
            description: told(&definition.description, Hidden::DESCRIPTION),
            category: definition.category.clone(),
            icon: told(&definition.icon, Hidden::ICON),
            hidden,
            tiers: tiers.collect(),
        }
    }
}

impl PlayerAchievement {
    /// None for a hidden one that the player doesn't have.
    pub(super) fn of(definition: &Definition, unlocks: &[&UnlockRow], value: Option<u64>) -> Option<Self> {
        let highest = unlocks.iter().max_by_key(|row| (row.tier, std::cmp::Reverse(row.unlocked_at)));
        if definition.hidden && highest.is_none() {
            return None;
        }
        let tier = highest.map_or(0, |row| row.tier);
        let next = definition.tiers.iter().find(|one| one.tier > tier);
        Some(Self {
            slug: definition.slug.clone(),
            name: definition.name.clone(),
            description: definition.description.clone(),
            category: definition.category.clone(),
            icon: definition.icon.clone(),
            hidden: definition.hidden,
            tier,
            tiers: definition.tiers.len(),
            points: points_of(definition, tier),
            value,
            next_threshold: next.map(|one| one.threshold),
            unlocked_at: highest.map(|row| row.unlocked_at),
            match_id: highest.and_then(|row| row.match_id),
            tournament_id: highest.and_then(|row| row.tournament_id),
        })
    }
}
