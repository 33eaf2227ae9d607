//! What of a player adds up: in a match event by event, over matches match by match.

use std::ops::AddAssign;

use litemap::LiteMap;
use serde::{Deserialize, Serialize};

use super::rule::{By, COUNTED_EVENTS, Measure};
use crate::event::Text;
use crate::live::{LiveEvent, Moment};
use crate::vocabulary::{EventType, KillKind};
use crate::weapon;

/// Words that a server makes up cost it its own later ones.
const MAX_WORDS: usize = 128;
/// A map unit is a sixteenth of a foot.
pub const METRES_PER_UNIT: f64 = 0.3048 / 16.0;

/// Counts by word. Flat: each player of a live match has six of them, of few words each, and a tree begins with room for eleven.
pub type ByWord<T> = LiteMap<Text, T>;

/// Counts of one player. Whatever bots took part in is left out, as on boards.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Tally {
    pub kills: u64,
    pub deaths: u64,
    pub headshots: u64,
    pub suicides: u64,
    pub team_kills: u64,
    /// Thousandths of a point.
    pub damage: i64,
    /// Thousandths of a map unit.
    pub distance: i64,
    pub playtime_ms: u64,
    pub matches: u64,
    pub wins: u64,
    /// By slug.
    pub by_weapon: ByWord<Fights>,
    /// By means of death.
    pub by_means: ByWord<Fights>,
    /// Of [`COUNTED_EVENTS`], by their words.
    pub events: ByWord<u64>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fights {
    pub kills: u64,
    pub deaths: u64,
    pub headshots: u64,
}

impl AddAssign for Fights {
    fn add_assign(&mut self, more: Self) {
        self.kills += more.kills;
        self.deaths += more.deaths;
        self.headshots += more.headshots;
    }
}

impl Tally {
    /// Whether an event of this type can change a tally at all.
    pub fn is_changed_by(event_type: EventType) -> bool {
        matches!(event_type, EventType::Kill | EventType::Damage | EventType::Distance)
            || COUNTED_EVENTS.contains(&event_type)
    }

    /// Adds what its player did in an event.
    pub(crate) fn add_act(&mut self, event: &LiveEvent) {
        let moment = event.moment();
        match moment.event_type {
            EventType::Kill => {
                let fights = Fights {
                    kills: u64::from(moment.kill_kind == KillKind::Kill),
                    headshots: u64::from(moment.headshot),
                    deaths: 0,
                };
                self.kills += fights.kills;
                self.headshots += fights.headshots;
                self.team_kills += u64::from(moment.kill_kind == KillKind::TeamKill);
                if fights != Fights::default() {
                    self.add_fights(moment, fights);
                }
            }
            EventType::Damage if moment.hostile => self.damage += moment.damage,
            EventType::Distance => self.distance += event.walked,
            counted if COUNTED_EVENTS.contains(&counted) => match self.events.get_mut(counted.as_str()) {
                Some(count) => *count += 1,
                None => drop(self.events.insert(Text::const_new(counted.as_str()), 1)),
            },
            _ => {}
        }
    }

    /// Adds what was done to its player.
    pub(crate) fn add_suffering(&mut self, moment: &Moment) {
        if moment.kill_kind != KillKind::None {
            self.deaths += 1;
            self.suicides += u64::from(moment.kill_kind == KillKind::Suicide);
            self.add_fights(moment, Fights { deaths: 1, ..Fights::default() });
        }
    }

    fn add_fights(&mut self, moment: &Moment, fights: Fights) {
        for (words, word) in [
            (&mut self.by_weapon, &moment.details().weapon),
            (&mut self.by_means, &moment.details().means_of_death),
        ] {
            if let Some(known) = words.get_mut(word) {
                *known += fights;
            } else if !word.is_empty() && words.len() < MAX_WORDS {
                words.insert(word.clone(), fights);
            }
        }
    }

    /// What it says of a measure that adds up; 0 for others.
    pub fn measure(&self, measure: &Measure) -> u64 {
        match measure {
            Measure::Kills => self.kills,
            Measure::KillsBy(by) => self.fights(by).kills,
            Measure::Deaths => self.deaths,
            Measure::DeathsBy(by) => self.fights(by).deaths,
            Measure::Headshots => self.headshots,
            Measure::HeadshotsBy(by) => self.fights(by).headshots,
            Measure::Suicides => self.suicides,
            Measure::TeamKills => self.team_kills,
            Measure::Damage => u64::try_from(self.damage / 1_000).unwrap_or_default(),
            Measure::Distance => (self.distance.max(0) as f64 / 1_000.0 * METRES_PER_UNIT) as u64,
            Measure::Playtime => self.playtime_ms / 1_000,
            Measure::Matches => self.matches,
            Measure::Wins => self.wins,
            Measure::Events(event_type) => self.events.get(event_type.as_str()).copied().unwrap_or_default(),
            Measure::Streak
            | Measure::MultiKill
            | Measure::FirstBlood
            | Measure::WipeOuts
            | Measure::LongestKill
            | Measure::Comeback
            | Measure::Accuracy
            | Measure::Shots
            | Measure::TopOf
            | Measure::Revenge
            | Measure::Tournament(_) => 0,
        }
    }

    fn fights(&self, by: &By) -> Fights {
        match by {
            By::Weapon(slug) => self.by_weapon.get(slug.as_str()).copied().unwrap_or_default(),
            By::Means(means) => self.by_means.get(means.as_str()).copied().unwrap_or_default(),
            By::WeaponClass(class) => {
                let mut sum = Fights::default();
                for (slug, fights) in &self.by_weapon {
                    if weapon::by_slug(slug).is_some_and(|weapon| weapon.class == *class) {
                        sum += *fights;
                    }
                }
                sum
            }
        }
    }
}

impl AddAssign<&Tally> for Tally {
    fn add_assign(&mut self, more: &Tally) {
        self.kills += more.kills;
        self.deaths += more.deaths;
        self.headshots += more.headshots;
        self.suicides += more.suicides;
        self.team_kills += more.team_kills;
        self.damage += more.damage;
        self.distance += more.distance;
        self.playtime_ms += more.playtime_ms;
        self.matches += more.matches;
        self.wins += more.wins;
        for (word, fights) in &more.by_weapon {
            *self.by_weapon.entry(word.clone()).or_default() += *fights;
        }
        for (word, fights) in &more.by_means {
            *self.by_means.entry(word.clone()).or_default() += *fights;
        }
        for (word, count) in &more.events {
            *self.events.entry(word.clone()).or_default() += count;
        }
    }
}
