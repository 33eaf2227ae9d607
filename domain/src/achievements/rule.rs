//! The language in which a definition says what earns it.

use serde::{Deserialize, Serialize};

use super::campaign::Deed;
use crate::vocabulary::EventType;
use crate::weapon::WeaponClass;

/// What earns an achievement: a measure that reaches the threshold of a tier, and what has to hold besides.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    pub scope: Scope,
    pub measure: Measure,
    #[serde(default)]
    pub when: When,
    /// Taken in this match, or in this tournament, whatever the scope.
    #[serde(default)]
    pub require: Vec<Condition>,
}

/// Over what is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// Within one match.
    Match,
    /// All matches together.
    Career,
    /// Within one tournament, as it is completed.
    Tournament,
}

/// When it is looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum When {
    /// At once.
    #[default]
    Event,
    /// As the match ends: for what can be lost again before.
    MatchEnd,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Condition {
    pub measure: Measure,
    #[serde(default)]
    pub at_least: Option<u64>,
    #[serde(default)]
    pub at_most: Option<u64>,
}

impl Condition {
    pub(super) fn holds(&self, value: u64) -> bool {
        self.at_least.is_none_or(|least| value >= least) && self.at_most.is_none_or(|most| value <= most)
    }
}

/// A number about a player. Whatever bots took part in is left out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Measure {
    Kills,
    KillsBy(By),
    Deaths,
    DeathsBy(By),
    Headshots,
    HeadshotsBy(By),
    Suicides,
    TeamKills,
    /// Points taken from others.
    Damage,
    /// Metres.
    Distance,
    /// Seconds.
    Playtime,
    /// This match is one.
    Matches,
    /// This match is one once it is won.
    Wins,
    /// Events of this type about the player.
    Events(#[serde(with = "event_word")] EventType),
    /// Most kills without a death.
    Streak,
    /// Most kills within four seconds of each other.
    MultiKill,
    /// 1 for the first kill of the match.
    FirstBlood,
    /// Kills that left nobody of at least three enemies alive.
    WipeOuts,
    /// Metres.
    LongestKill,
    /// Points by which the player's side was behind at worst; 0 unless it won.
    Comeback,
    /// Percent.
    Accuracy,
    Shots,
    /// Players of the match, for who has most kills of them; 0 for the others.
    TopOf,
    /// Kills of whoever killed the player last.
    Revenge,
    /// Of a tournament, of which the player was or played for an entrant.
    Tournament(Deed),
}

/// With what it was done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum By {
    /// Slug.
    Weapon(String),
    WeaponClass(WeaponClass),
    /// Means of death.
    Means(String),
}

/// Event types that are counted: rare enough to be kept for each player and match.
pub const COUNTED_EVENTS: [EventType; 18] = [
    EventType::Jump,
    EventType::ObjectiveCapture,
    EventType::GrenadeThrow,
    EventType::Reload,
    EventType::ItemPickup,
    EventType::HealthPickup,
    EventType::AmmoPickup,
    EventType::ArmorPickup,
    EventType::DoorOpen,
    EventType::LadderMount,
    EventType::Prone,
    EventType::Crouch,
    EventType::Chat,
    EventType::WeaponNoAmmo,
    EventType::WeaponDrop,
    EventType::PlayerRoadkill,
    EventType::PlayerCrushed,
    EventType::PlayerTelefragged,
];

/// Why a rule can't be kept.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RuleError {
    #[error("{0:?} says something of one match only, so its scope can't be career")]
    OfOneMatch(Measure),
    #[error("{0:?} is known when the match has ended, so it has to be looked at then")]
    KnownAtTheEnd(Measure),
    #[error("events of type {} are not counted", .0.as_str())]
    NotCounted(EventType),
    #[error("headshots are not told apart by means of death")]
    HeadshotsByMeans,
    #[error("what is measured in a tournament and what is measured elsewhere don't go together")]
    OfTournaments,
    #[error("a condition needs at_least or at_most")]
    EmptyCondition,
}

impl Measure {
    /// Whether matches add up.
    pub fn adds_up(&self) -> bool {
        !matches!(
            self,
            Self::Streak
                | Self::MultiKill
                | Self::FirstBlood
                | Self::WipeOuts
                | Self::LongestKill
                | Self::Comeback
                | Self::Accuracy
                | Self::Shots
                | Self::TopOf
                | Self::Revenge
                | Self::Tournament(_)
        )
    }

    /// Whether it can be lost again, or is decided, only as the match ends.
    fn is_known_at_the_end(&self) -> bool {
        matches!(self, Self::Comeback | Self::Accuracy | Self::TopOf)
    }

    fn check(&self) -> Result<(), RuleError> {
        match self {
            Self::Events(event_type) if !COUNTED_EVENTS.contains(event_type) => {
                Err(RuleError::NotCounted(*event_type))
            }
            Self::HeadshotsBy(By::Means(_)) => Err(RuleError::HeadshotsByMeans),
            _ => Ok(()),
        }
    }
}

impl Rule {
    /// # Errors
    /// When nothing could ever be measured so.
    pub fn check(&self) -> Result<(), RuleError> {
        let conditions = self.require.iter().map(|condition| &condition.measure);
        for measure in std::iter::once(&self.measure).chain(conditions) {
            measure.check()?;
            if matches!(measure, Measure::Tournament(_)) != (self.scope == Scope::Tournament) {
                return Err(RuleError::OfTournaments);
            }
            if self.when == When::Event && measure.is_known_at_the_end() {
                return Err(RuleError::KnownAtTheEnd(measure.clone()));
            }
        }
        if self.scope == Scope::Career && !self.measure.adds_up() {
            return Err(RuleError::OfOneMatch(self.measure.clone()));
        }
        let says_nothing =
            |condition: &Condition| condition.at_least.is_none() && condition.at_most.is_none();
        if self.require.iter().any(says_nothing) { Err(RuleError::EmptyCondition) } else { Ok(()) }
    }
}

/// An event type by the word that stands for it everywhere.
mod event_word {
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    use crate::vocabulary::EventType;

    pub fn serialize<S: Serializer>(event_type: &EventType, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(event_type.as_str())
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<EventType, D::Error> {
        let word = String::deserialize(deserializer)?;
        EventType::from_word(&word).ok_or_else(|| D::Error::custom(format!("no event type is called {word}")))
    }
}
