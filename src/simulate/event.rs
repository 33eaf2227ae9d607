//! What happens in a simulated game, before any dialect has words for it.

use std::sync::Arc;

use super::arsenal::Weapon;
use super::maps::BattleMap;
use super::roster::Persona;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Side {
    Spectator,
    Allies,
    Axis,
}

impl Side {
    pub fn opponent(self) -> Self {
        match self {
            Self::Allies => Self::Axis,
            Self::Axis => Self::Allies,
            Self::Spectator => Self::Spectator,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GameType {
    FreeForAll,
    TeamDeathmatch,
    Rounds,
    Objective,
}

impl GameType {
    /// Value of the cvar `g_gametype`.
    pub fn number(self) -> u8 {
        match self {
            Self::FreeForAll => 1,
            Self::TeamDeathmatch => 2,
            Self::Rounds => 3,
            Self::Objective => 4,
        }
    }

    /// The word that the service answers with.
    pub fn word(self) -> &'static str {
        match self {
            Self::FreeForAll => "ffa",
            Self::TeamDeathmatch => "tdm",
            Self::Rounds => "rounds",
            Self::Objective => "objective",
        }
    }

    pub fn has_rounds(self) -> bool {
        matches!(self, Self::Rounds | Self::Objective)
    }
}

/// Where a bullet hit, in the engine's order: the discriminant is the engine's number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hitloc {
    General = -1,
    Head = 0,
    Helmet = 1,
    Neck = 2,
    TorsoUpper = 3,
    TorsoMid = 4,
    TorsoLower = 5,
    Pelvis = 6,
    RightArmUpper = 7,
    LeftArmUpper = 8,
    RightLegUpper = 9,
    LeftLegUpper = 10,
    RightArmLower = 11,
    LeftLegLower = 14,
    RightHand = 15,
    LeftFoot = 18,
}

impl Hitloc {
    pub fn number(self) -> i32 {
        self as i32
    }

    pub fn word(self) -> &'static str {
        match self {
            Self::General => "general",
            Self::Head => "head",
            Self::Helmet => "helmet",
            Self::Neck => "neck",
            Self::TorsoUpper => "torso_upper",
            Self::TorsoMid => "torso_mid",
            Self::TorsoLower => "torso_lower",
            Self::Pelvis => "pelvis",
            Self::RightArmUpper => "r_arm_upper",
            Self::LeftArmUpper => "l_arm_upper",
            Self::RightLegUpper => "r_leg_upper",
            Self::LeftLegUpper => "l_leg_upper",
            Self::RightArmLower => "r_arm_lower",
            Self::LeftLegLower => "l_leg_lower",
            Self::RightHand => "r_hand",
            Self::LeftFoot => "l_foot",
        }
    }

    pub fn is_headshot(self) -> bool {
        matches!(self, Self::Head | Self::Helmet)
    }
}

/// Means of death, in the engine's numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Means {
    Suicide = 1,
    Lava = 5,
    Falling = 7,
    Grenade = 14,
    Rocket = 16,
    Bullet = 18,
    Bash = 26,
    Shotgun = 27,
}

impl Means {
    pub fn number(self) -> i32 {
        self as i32
    }

    pub fn word(self) -> &'static str {
        match self {
            Self::Suicide => "suicide",
            Self::Lava => "lava",
            Self::Falling => "falling",
            Self::Grenade => "grenade",
            Self::Rocket => "rocket",
            Self::Bullet => "bullet",
            Self::Bash => "bash",
            Self::Shotgun => "shotgun",
        }
    }
}

/// A player as he stands at the moment of an event.
#[derive(Clone, Debug)]
pub struct Stand {
    pub persona: Arc<Persona>,
    /// Slot number on the server, reused after a disconnect.
    pub slot: u32,
    pub side: Side,
    /// Map units.
    pub position: [f64; 3],
    /// Degrees.
    pub pitch: f64,
    pub yaw: f64,
    pub stance: &'static str,
}

/// Distances in quarters of a map unit: sums of quarters are exact in every number format on the way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Travelled {
    pub walked: u32,
    pub sprinted: u32,
    pub swam: u32,
    pub driven: u32,
}

impl Travelled {
    pub fn total(self) -> u32 {
        self.walked + self.sprinted + self.swam + self.driven
    }
}

#[derive(Clone, Debug)]
pub struct GameEvent {
    /// level.time: milliseconds since the map was loaded.
    pub level_ms: u64,
    pub deed: Deed,
}

#[derive(Clone, Debug)]
pub enum Deed {
    MatchStart {
        map: &'static BattleMap,
        game_type: GameType,
        time_limit_minutes: u32,
    },
    MatchEnd {
        map: &'static BattleMap,
        game_type: GameType,
        winner: Option<Side>,
        scores: Scores,
        rounds: u32,
    },
    RoundStart {
        round: u32,
    },
    RoundEnd {
        round: u32,
        winner: Option<Side>,
    },
    Heartbeat {
        map: &'static BattleMap,
        round: u32,
        scores: Scores,
        players: u32,
    },
    Connect {
        player: Stand,
    },
    Authenticated {
        player: Stand,
    },
    Disconnect {
        player: Stand,
    },
    TeamChange {
        player: Stand,
        old: Side,
    },
    Spawn {
        player: Stand,
    },
    Fire {
        player: Stand,
        weapon: &'static Weapon,
        ammo: u32,
    },
    Hit {
        player: Stand,
        target: Stand,
        hitloc: Hitloc,
    },
    /// `amount` in whole health points: their sum is exact.
    Damage {
        attacker: Stand,
        victim: Stand,
        weapon: &'static Weapon,
        means: Means,
        hitloc: Hitloc,
        amount: u32,
    },
    /// Without an attacker the environment killed.
    Kill {
        attacker: Option<Stand>,
        victim: Stand,
        weapon: Option<&'static Weapon>,
        means: Means,
        hitloc: Hitloc,
        game_type: GameType,
    },
    Reload {
        player: Stand,
        weapon: &'static Weapon,
    },
    WeaponChange {
        player: Stand,
        old: Option<&'static Weapon>,
        new: &'static Weapon,
    },
    GrenadeThrow {
        player: Stand,
        grenade: &'static Weapon,
    },
    GrenadeExplode {
        grenade: &'static Weapon,
    },
    Jump {
        player: Stand,
        height: f64,
    },
    Land {
        player: Stand,
        height: f64,
    },
    Crouch {
        player: Stand,
    },
    Prone {
        player: Stand,
    },
    LadderMount {
        player: Stand,
    },
    LadderDismount {
        player: Stand,
    },
    Distance {
        player: Stand,
        travelled: Travelled,
        total: u32,
    },
    Chat {
        player: Stand,
        team_only: bool,
        line: &'static str,
    },
    ItemPickup {
        player: Stand,
        item: &'static str,
    },
    ObjectiveCapture {
        player: Stand,
        objective: &'static str,
    },
    /// An event type that no list knows, as mods and later scripts send them.
    Oddity {
        player: Stand,
        name: &'static str,
    },
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Scores {
    pub allies: u32,
    pub axis: u32,
}

impl Scores {
    pub fn add(&mut self, side: Side) {
        match side {
            Side::Allies => self.allies += 1,
            Side::Axis => self.axis += 1,
            Side::Spectator => {}
        }
    }

    pub fn leader(self) -> Option<Side> {
        match self.allies.cmp(&self.axis) {
            std::cmp::Ordering::Greater => Some(Side::Allies),
            std::cmp::Ordering::Less => Some(Side::Axis),
            std::cmp::Ordering::Equal => None,
        }
    }
}
