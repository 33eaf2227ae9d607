//! Where is played and with what: maps with made-up bounds, weapons with figures that make fights look right.

use mohaa_domain::vocabulary::GameType;

use super::dice::Dice;

pub struct BattleMap {
    pub name: &'static str,
    /// Map units.
    pub min: [f64; 2],
    pub max: [f64; 2],
    pub game_types: &'static [GameType],
}

const DEATHMATCH: &[GameType] = &[GameType::TeamDeathmatch, GameType::FreeForAll, GameType::Rounds];
const OBJECTIVE: &[GameType] = &[GameType::Objective];
/// Places where people meet; fights are around them.
const PLACES: usize = 24;
/// How far from a place, in map units.
const AROUND: f64 = 260.0;

const fn map(name: &'static str, min: [f64; 2], max: [f64; 2], game_types: &'static [GameType]) -> BattleMap {
    BattleMap { name, min, max, game_types }
}

/// The first is played most.
pub static MAPS: [BattleMap; 12] = [
    map("dm/mohdm6", [-1500.0, -1900.0], [2100.0, 1600.0], DEATHMATCH),
    map("dm/mohdm1", [-1900.0, -2300.0], [2400.0, 1700.0], DEATHMATCH),
    map("obj/obj_team2", [-2600.0, -4100.0], [3000.0, 3600.0], OBJECTIVE),
    map("dm/mohdm2", [-2200.0, -2600.0], [2600.0, 2100.0], DEATHMATCH),
    map("obj/obj_team1", [-3500.0, -3000.0], [3200.0, 2700.0], OBJECTIVE),
    map("dm/mohdm3", [-3100.0, -1800.0], [2900.0, 2200.0], DEATHMATCH),
    map("obj/obj_team4", [-3800.0, -2400.0], [4100.0, 2000.0], OBJECTIVE),
    map("dm/mohdm7", [-2400.0, -1600.0], [1800.0, 2500.0], DEATHMATCH),
    map("obj/obj_team3", [-5200.0, -2600.0], [2300.0, 3100.0], OBJECTIVE),
    map("dm/mohdm4", [-1700.0, -2000.0], [2200.0, 2400.0], DEATHMATCH),
    map("dm/mohdm5", [-4200.0, -3600.0], [3900.0, 3300.0], DEATHMATCH),
    map("lib/mp_ship_lib", [-2800.0, -900.0], [2700.0, 1100.0], &[GameType::Liberation]),
];

impl BattleMap {
    /// The same places in every match, whatever the seed: heatmaps of many matches show the same streets.
    pub fn places(&self) -> Vec<[f64; 2]> {
        let mut dice = Dice::new(0, self.name, &[]);
        (0..PLACES)
            .map(|_| [dice.between(self.min[0], self.max[0]), dice.between(self.min[1], self.max[1])])
            .collect()
    }

    /// A point near one of its places.
    pub fn point(&self, places: &[[f64; 2]], dice: &mut Dice) -> [f32; 3] {
        let place = *dice.pick(places);
        // Three draws of each axis: more of them near the middle than at the edge.
        let mut off = || (0..3).map(|_| dice.between(-AROUND, AROUND)).sum::<f64>() / 3.0;
        let (x, y) = (place[0] + off(), place[1] + off());
        let inside = |axis: usize, value: f64| value.clamp(self.min[axis], self.max[axis]) as f32;
        [inside(0, x), inside(1, y), (dice.below(3) * 96) as f32]
    }
}

pub struct Weapon {
    /// As the game's scripts send it.
    pub name: &'static str,
    pub slug: &'static str,
    pub means_of_death: &'static str,
    /// Health points of 100 that a hit in the torso costs.
    pub damage: f64,
    /// Chance that an average player's shot hits.
    pub accuracy: f64,
}

const fn weapon(
    name: &'static str,
    slug: &'static str,
    means_of_death: &'static str,
    damage: f64,
    accuracy: f64,
) -> Weapon {
    Weapon { name, slug, means_of_death, damage, accuracy }
}

pub static ALLIED: [Weapon; 8] = [
    weapon("M1 Garand", "m1-garand", "bullet", 55.0, 0.34),
    weapon("Thompson", "thompson", "bullet", 24.0, 0.28),
    weapon("M1 Garand", "m1-garand", "bullet", 55.0, 0.34),
    weapon("BAR", "bar", "bullet", 34.0, 0.27),
    weapon("Springfield '03 Sniper", "springfield-sniper", "bullet", 92.0, 0.46),
    weapon("Colt 45", "colt-45", "bullet", 28.0, 0.26),
    weapon("Shotgun", "shotgun", "shotgun", 70.0, 0.42),
    weapon("Bazooka", "bazooka", "rocket", 110.0, 0.30),
];
pub static AXIS: [Weapon; 8] = [
    weapon("Mauser KAR 98K", "kar98k", "bullet", 80.0, 0.38),
    weapon("MP40", "mp40", "bullet", 24.0, 0.28),
    weapon("MP40", "mp40", "bullet", 24.0, 0.28),
    weapon("StG 44", "stg-44", "bullet", 30.0, 0.27),
    weapon("KAR98 - Sniper", "kar98-sniper", "bullet", 92.0, 0.46),
    weapon("Walther P38", "walther-p38", "bullet", 28.0, 0.26),
    weapon("Shotgun", "shotgun", "shotgun", 70.0, 0.42),
    weapon("Panzerschreck", "panzerschreck", "rocket", 110.0, 0.30),
];
pub static GRENADES: [Weapon; 2] = [
    weapon("Frag Grenade", "frag-grenade", "grenade", 85.0, 0.0),
    weapon("Stielhandgranate", "stielhandgranate", "grenade", 85.0, 0.0),
];
pub static BASH: Weapon = weapon("Bash", "bash", "bash", 50.0, 0.0);

pub const HIT_LOCATIONS: [&str; 16] = [
    "torso_upper",
    "torso_upper",
    "torso_mid",
    "torso_mid",
    "torso_lower",
    "pelvis",
    "neck",
    "r_arm_upper",
    "l_arm_upper",
    "r_leg_upper",
    "l_leg_upper",
    "r_arm_lower",
    "l_leg_lower",
    "r_hand",
    "l_foot",
    "general",
];
pub const STANCES: [&str; 5] = ["stand", "run", "run", "crouch", "prone"];
pub const CHAT: [&str; 8] =
    ["gg", "n1", "lol", "nice shot", "who is camping?", "vote next map", "brb", "good game all"];
