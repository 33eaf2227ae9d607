//! Weapons of both sides, with the names that the game gives them and figures that make fights look right.

use super::dice::Dice;
use super::event::{Hitloc, Means, Side};

#[derive(Debug, PartialEq)]
pub struct Weapon {
    /// The game's own name, as its scripts send it.
    pub name: &'static str,
    /// Stable key in statistics.
    pub slug: &'static str,
    /// Another spelling that tools use for the same weapon.
    pub tool_spelling: &'static str,
    pub means: Means,
    /// Shots a second while the trigger is held.
    pub fire_rate: f64,
    /// Health points of 100 that a hit in the torso costs.
    pub damage: u32,
    /// Chance of a hit by an average shot at half of `range`.
    pub accuracy: f64,
    /// Map units.
    pub range: f64,
    pub magazine: u32,
}

/// Names are the game's, the slug, and the tools' spelling.
const fn bullets(
    [name, slug, tool_spelling]: [&'static str; 3],
    fire_rate: f64,
    damage: u32,
    accuracy: f64,
    range: f64,
    magazine: u32,
) -> Weapon {
    Weapon { name, slug, tool_spelling, means: Means::Bullet, fire_rate, damage, accuracy, range, magazine }
}

const ALLIED: [Weapon; 5] = [
    bullets(["M1 Garand", "m1-garand", "m1_garand"], 2.2, 55, 0.30, 1800.0, 8),
    bullets(["Thompson", "thompson", "thompson"], 6.0, 22, 0.19, 1100.0, 30),
    bullets(["BAR", "bar", "bar"], 4.5, 34, 0.20, 1500.0, 20),
    bullets(
        ["Springfield '03 Sniper", "springfield-sniper", "Springfield '03 Sniper"],
        0.7,
        90,
        0.46,
        3000.0,
        5,
    ),
    bullets(["Colt 45", "colt-45", "colt_45"], 2.6, 28, 0.24, 900.0, 7),
];

const AXIS: [Weapon; 5] = [
    bullets(["Mauser KAR 98K", "kar98k", "KAR98K"], 0.9, 80, 0.36, 2000.0, 5),
    bullets(["MP40", "mp40", "mp40"], 6.0, 22, 0.19, 1100.0, 32),
    bullets(["StG 44", "stg-44", "stg_44"], 5.0, 30, 0.20, 1500.0, 30),
    bullets(["KAR98 - Sniper", "kar98-sniper", "KAR98 - Sniper"], 0.7, 90, 0.46, 3000.0, 5),
    bullets(["Walther P38", "walther-p38", "walther_p38"], 2.6, 28, 0.24, 900.0, 8),
];

const SHOTGUN: Weapon =
    Weapon { means: Means::Shotgun, ..bullets(["Shotgun", "shotgun", "shotgun"], 1.1, 70, 0.42, 600.0, 5) };
const BAZOOKA: Weapon =
    Weapon { means: Means::Rocket, ..bullets(["Bazooka", "bazooka", "bazooka"], 0.3, 110, 0.30, 1800.0, 1) };
const PANZERSCHRECK: Weapon = Weapon {
    means: Means::Rocket,
    ..bullets(["Panzerschreck", "panzerschreck", "panzerschreck"], 0.3, 110, 0.30, 1800.0, 1)
};

static ALLIED_ARSENAL: [Weapon; 5] = ALLIED;
static AXIS_ARSENAL: [Weapon; 5] = AXIS;
static ALLIED_HEAVY: [Weapon; 2] = [SHOTGUN, BAZOOKA];
static AXIS_HEAVY: [Weapon; 2] = [SHOTGUN, PANZERSCHRECK];

pub static FRAG_GRENADE: Weapon = Weapon {
    means: Means::Grenade,
    ..bullets(["Frag Grenade", "frag-grenade", "frag_grenade"], 0.2, 85, 0.0, 700.0, 1)
};
pub static STICK_GRENADE: Weapon = Weapon {
    means: Means::Grenade,
    ..bullets(["Stielhandgranate", "stielhandgranate", "stielhandgranate"], 0.2, 85, 0.0, 700.0, 1)
};

/// Smgs and rifles are taken far more often than heavy weapons.
pub fn draw_weapon(side: Side, dice: &mut Dice) -> &'static Weapon {
    let (common, heavy) = match side {
        Side::Axis => (&AXIS_ARSENAL, &AXIS_HEAVY),
        Side::Allies | Side::Spectator => (&ALLIED_ARSENAL, &ALLIED_HEAVY),
    };
    if dice.chance(0.06) {
        return dice.pick(heavy);
    }
    let primaries = &common[..common.len() - 1];
    dice.pick(primaries)
}

pub fn pistol(side: Side) -> &'static Weapon {
    match side {
        Side::Axis => &AXIS_ARSENAL[4],
        Side::Allies | Side::Spectator => &ALLIED_ARSENAL[4],
    }
}

pub fn grenade(side: Side) -> &'static Weapon {
    match side {
        Side::Axis => &STICK_GRENADE,
        Side::Allies | Side::Spectator => &FRAG_GRENADE,
    }
}

/// Better shots hit the head more often.
pub fn draw_hitloc(skill: f64, dice: &mut Dice) -> Hitloc {
    if dice.chance(0.06 + 0.12 * skill) {
        return if dice.chance(0.6) { Hitloc::Head } else { Hitloc::Helmet };
    }
    const BODY: [Hitloc; 16] = [
        Hitloc::Neck,
        Hitloc::TorsoUpper,
        Hitloc::TorsoUpper,
        Hitloc::TorsoUpper,
        Hitloc::TorsoMid,
        Hitloc::TorsoMid,
        Hitloc::TorsoLower,
        Hitloc::Pelvis,
        Hitloc::RightArmUpper,
        Hitloc::LeftArmUpper,
        Hitloc::RightLegUpper,
        Hitloc::LeftLegUpper,
        Hitloc::RightArmLower,
        Hitloc::LeftLegLower,
        Hitloc::RightHand,
        Hitloc::LeftFoot,
    ];
    *dice.pick(&BODY)
}

/// Health points that a hit there costs.
pub fn damage_at(weapon: &Weapon, hitloc: Hitloc, dice: &mut Dice) -> u32 {
    let factor = match hitloc {
        Hitloc::Head | Hitloc::Helmet | Hitloc::Neck => 2.6,
        Hitloc::General | Hitloc::TorsoUpper | Hitloc::TorsoMid | Hitloc::TorsoLower | Hitloc::Pelvis => 1.0,
        _ => 0.65,
    };
    let amount = f64::from(weapon.damage) * factor * dice.between(0.85, 1.15);
    (amount as u32).clamp(1, 200)
}
