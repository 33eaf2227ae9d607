//! What a kill event counts as ("What counts" of the wire protocol).

use super::roster::Resolved;
use crate::event::{Event, Player};
use crate::vocabulary::{EventType, GameType, KillKind, Team};

/// What the match knows when the event arrives.
pub(super) struct Circumstances {
    pub game_type: GameType,
    pub both_teams_seen: bool,
}

/// How the one who acted stands to the one it was done to.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Relation {
    /// Nobody acted: falling, the world.
    Environment,
    Oneself,
    Mates,
    Opponents,
}

pub(super) fn relation(
    event: &Event,
    attacker: &Resolved,
    victim: &Resolved,
    circumstances: &Circumstances,
) -> Relation {
    if attacker.id.is_empty() {
        return Relation::Environment;
    }
    if attacker.id == victim.id || same_slot(&event.player, &event.target) {
        return Relation::Oneself;
    }
    let same_team = attacker.team == victim.team && matches!(attacker.team, Team::Allies | Team::Axis);
    if same_team && circumstances.teams_play() { Relation::Mates } else { Relation::Opponents }
}

/// Other events that a server sends about the same death (`player_suicide`, `death`, …) count as nothing.
pub(super) fn kill_kind(event: &Event, relation: Relation) -> KillKind {
    if event.event_type != EventType::Kill {
        return KillKind::None;
    }
    match relation {
        Relation::Environment => KillKind::World,
        Relation::Oneself => KillKind::Suicide,
        Relation::Mates => KillKind::TeamKill,
        Relation::Opponents => KillKind::Kill,
    }
}

/// One slot at one moment is one person, even where one of two partial blocks lacks the name.
fn same_slot(attacker: &Player, victim: &Player) -> bool {
    let is_slot = attacker.guid.starts_with("unauth_") || attacker.guid.starts_with("bot_");
    is_slot && attacker.guid == victim.guid && (attacker.name.is_empty() || victim.name.is_empty())
}

impl Circumstances {
    /// Whether a shared team means friendship. In free-for-all everybody may wear one uniform; where the game
    /// type is unknown, two teams show that it is not one.
    fn teams_play(&self) -> bool {
        match self.game_type {
            GameType::Single | GameType::FreeForAll => false,
            GameType::Unknown => self.both_teams_seen,
            GameType::TeamDeathmatch
            | GameType::Rounds
            | GameType::Objective
            | GameType::TugOfWar
            | GameType::Liberation => true,
        }
    }
}

pub(super) fn is_headshot(event: &Event, kill_kind: KillKind) -> bool {
    kill_kind == KillKind::Kill && matches!(event.hitloc.as_str(), "head" | "helmet")
}
