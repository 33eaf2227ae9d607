//! Achievements: what earns them is data, read by one small typed language ([`rule`]).
//!
//! A definition measures one number about a player, in one match or over all of them, and has a threshold for each of its
//! tiers. Live state provides the numbers of this match ([`crate::live`]); the sum of the player's other matches comes from
//! outside, and until it is there nothing that depends on it is earned. The check is pure: equal state and equal
//! totals earn the same, however often it is repeated. Guests and bots earn nothing. What is earned in a tournament is a
//! function of the tournament as it was completed ([`campaign`]).

mod campaign;
mod rule;
mod tally;

use serde::{Deserialize, Serialize};

pub use campaign::{Campaign, Deed, campaigns};
pub use rule::{By, COUNTED_EVENTS, Condition, Measure, Rule, RuleError, Scope, When};
pub use tally::{ByWord, Fights, METRES_PER_UNIT, Tally};

use crate::event::Text;
use crate::live::{Board, Deeds, PlayerLine};
use crate::vocabulary::Team;

/// One step of an achievement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tier {
    /// From 1.
    pub tier: i16,
    pub threshold: u64,
    pub points: i32,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Definition {
    pub slug: String,
    pub name: String,
    pub description: String,
    pub category: String,
    /// A symbol of `static/img/achievements.svg`.
    pub icon: String,
    /// Told only to those who have it.
    pub hidden: bool,
    pub rule: Rule,
    /// By rising thresholds.
    pub tiers: Vec<Tier>,
}

/// A tier of a definition.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct TierOf {
    pub achievement: String,
    pub tier: i16,
}

/// The tiers that a player has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TiersHeld {
    /// Slug and tier, in order: a match keeps those of everybody in it, and a list is the least.
    tiers: Vec<(Text, i16)>,
}

impl TiersHeld {
    pub fn insert(&mut self, TierOf { achievement, tier }: TierOf) {
        if let Err(place) = self.place_of(&achievement, tier) {
            self.tiers.insert(place, (achievement.into(), tier));
        }
    }

    fn contains(&self, achievement: &str, tier: i16) -> bool {
        self.place_of(achievement, tier).is_ok()
    }

    fn place_of(&self, achievement: &str, tier: i16) -> Result<usize, usize> {
        self.tiers.binary_search_by(|(slug, of_it)| (slug.as_str(), *of_it).cmp(&(achievement, tier)))
    }
}

impl Extend<TierOf> for TiersHeld {
    fn extend<T: IntoIterator<Item = TierOf>>(&mut self, tiers: T) {
        tiers.into_iter().for_each(|tier| self.insert(tier));
    }
}

impl FromIterator<TierOf> for TiersHeld {
    fn from_iter<T: IntoIterator<Item = TierOf>>(tiers: T) -> Self {
        let mut held = Self::default();
        held.extend(tiers);
        held
    }
}

/// All definitions, in the order in which lists show them.
#[derive(Clone, Debug, Default)]
pub struct Catalogue {
    definitions: Vec<Definition>,
}

/// A player of a live match, as far as achievements are concerned.
pub struct Candidate<'a> {
    pub player_id: &'a str,
    pub line: &'a PlayerLine,
    pub deeds: &'a Deeds,
    pub board: &'a Board,
    /// The player's other matches; none while nobody knows them.
    pub others: Option<&'a Tally>,
    pub match_has_ended: bool,
}

impl Catalogue {
    pub fn new(definitions: Vec<Definition>) -> Self {
        Self { definitions }
    }

    pub fn definitions(&self) -> &[Definition] {
        &self.definitions
    }

    pub fn of(&self, slug: &str) -> Option<&Definition> {
        self.definitions.iter().find(|definition| definition.slug == slug)
    }

    /// What a player has earned and doesn't have yet.
    pub fn earned<'c>(&'c self, player: &Candidate<'_>, has: &TiersHeld) -> Vec<(&'c Definition, Tier)> {
        let mut earned = Vec::new();
        for definition in &self.definitions {
            let Some(reached) = definition.rule.measured(player) else { continue };
            // Nothing is reached of most, most of the time.
            if definition.tiers.iter().all(|tier| tier.threshold > reached) {
                continue;
            }
            let is_new =
                |tier: &&Tier| tier.threshold <= reached && !has.contains(&definition.slug, tier.tier);
            earned.extend(definition.tiers.iter().filter(is_new).map(|tier| (definition, *tier)));
        }
        earned
    }
}

impl Rule {
    /// The measure of a player, where it is time to take it and everything else holds.
    fn measured(&self, player: &Candidate<'_>) -> Option<u64> {
        if self.scope == Scope::Tournament || self.when == When::MatchEnd && !player.match_has_ended {
            return None;
        }
        let holds = |condition: &Condition| condition.holds(player.in_match(&condition.measure));
        if !self.require.iter().all(holds) {
            return None;
        }
        let here = player.in_match(&self.measure);
        match self.scope {
            Scope::Match => Some(here),
            Scope::Tournament => None,
            Scope::Career => player.others.map(|others| others.measure(&self.measure) + here),
        }
    }
}

impl Candidate<'_> {
    fn in_match(&self, measure: &Measure) -> u64 {
        let feats = &self.line.feats;
        match measure {
            Measure::Playtime => self.line.playtime_ms() / 1_000,
            Measure::Matches => 1,
            Measure::Wins => u64::from(self.has_won()),
            Measure::Streak => feats.best_streak.into(),
            Measure::MultiKill => feats.best_multi.into(),
            Measure::FirstBlood => feats.first_blood.into(),
            Measure::WipeOuts => feats.wipe_outs.into(),
            Measure::Revenge => feats.revenges.into(),
            Measure::LongestKill => (f64::from(self.deeds.longest_kill) * METRES_PER_UNIT) as u64,
            Measure::Comeback if self.has_won() => match self.line.team {
                Team::Allies => self.board.behind().allies,
                _ => self.board.behind().axis,
            }
            .try_into()
            .unwrap_or_default(),
            Measure::Comeback => 0,
            Measure::Accuracy => self.line.accuracy().unwrap_or_default() as u64,
            Measure::Shots => self.line.shots(),
            Measure::TopOf => self.top_of(),
            Measure::Tournament(_) => 0,
            adding_up => self.deeds.tally.measure(adding_up),
        }
    }

    fn has_won(&self) -> bool {
        self.match_has_ended
            && matches!(self.line.team, Team::Allies | Team::Axis)
            && self.line.team == self.board.winning_team
    }

    /// How many players this one is the first of, by kills.
    fn top_of(&self) -> u64 {
        let people = || self.board.players.iter().filter(|(_, line)| !line.bot);
        let is_beaten = people().any(|(id, line)| {
            id.as_str() != self.player_id
                && (line.kills > self.line.kills
                    || line.kills == self.line.kills && line.deaths <= self.line.deaths)
        });
        if is_beaten || self.line.kills == 0 { 0 } else { people().count() as u64 }
    }
}

/// A tier that a player has earned in a match.
#[derive(Clone, Debug, PartialEq)]
pub struct Unlock {
    pub player_id: Text,
    pub tier: TierOf,
}
