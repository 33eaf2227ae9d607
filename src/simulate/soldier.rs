//! One player in one match: where he walks, what he carries, whom he shoots at.

use std::sync::Arc;

use super::arsenal::{self, Weapon};
use super::dice::Dice;
use super::event::{Side, Stand, Travelled};
use super::maps::{self, BattleMap, Paths};
use super::roster::Persona;

/// Map units a second.
const RUN: f64 = 215.0;
const SPRINT: f64 = 285.0;
const SWIM: f64 = 110.0;
const CROUCHED: f64 = 90.0;

/// The game's scripts report every 100 units.
const REPORTED_DISTANCE: f64 = 100.0;

/// A difference in height, in map units, that takes a ladder.
const LADDER_HEIGHT: f64 = 60.0;

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Life {
    Alive,
    /// Dead, or not yet spawned, until this level.time in milliseconds.
    Waiting(u64),
}

#[derive(Clone, Copy, Debug)]
pub struct Fight {
    /// Slot of the opponent.
    pub opponent: u32,
    pub next_shot_ms: u64,
    pub until_ms: u64,
}

#[derive(Debug)]
pub struct Soldier {
    pub persona: Arc<Persona>,
    pub slot: u32,
    pub side: Side,
    pub life: Life,
    pub health: i32,
    pub weapon: &'static Weapon,
    pub ammo: u32,
    pub fight: Option<Fight>,
    pub position: [f64; 3],
    pub crouched_until_ms: u64,
    pub lands_at_ms: Option<u64>,
    pub on_ladder: bool,
    aim: [f64; 2],
    place: usize,
    destination: [f64; 3],
    sprinting: bool,
    walked: f64,
    sprinted: f64,
    swam: f64,
    total_quarters: u32,
}

/// What a step brought about.
#[derive(Debug, Default)]
pub struct Step {
    pub mounted_ladder: bool,
    pub left_ladder: bool,
    pub travelled: Option<(Travelled, u32)>,
}

impl Soldier {
    pub fn new(
        persona: Arc<Persona>,
        slot: u32,
        side: Side,
        spawn_at_ms: u64,
        position: [f64; 3],
        dice: &mut Dice,
    ) -> Self {
        Self {
            persona,
            slot,
            side,
            life: Life::Waiting(spawn_at_ms),
            health: 0,
            weapon: arsenal::draw_weapon(side, dice),
            ammo: 0,
            fight: None,
            position,
            crouched_until_ms: 0,
            lands_at_ms: None,
            on_ladder: false,
            aim: [0.0; 2],
            place: 0,
            destination: [0.0; 3],
            sprinting: false,
            walked: 0.0,
            sprinted: 0.0,
            swam: 0.0,
            total_quarters: 0,
        }
    }

    pub fn is_alive(&self) -> bool {
        self.life == Life::Alive
    }

    pub fn stand(&self, now_ms: u64) -> Stand {
        Stand {
            persona: Arc::clone(&self.persona),
            slot: self.slot,
            side: self.side,
            position: self.position,
            pitch: self.aim[0],
            yaw: self.aim[1],
            stance: if self.crouched_until_ms > now_ms { "crouch" } else { "stand" },
        }
    }

    /// `anywhere`: free-for-all has no bases.
    pub fn spawn(&mut self, map: &BattleMap, paths: &Paths, anywhere: bool, dice: &mut Dice) {
        self.place = if anywhere { paths.anywhere(dice) } else { paths.base(self.side, dice) };
        self.position = beside(paths.place(self.place), map, 90.0, dice);
        self.life = Life::Alive;
        self.health = 100;
        self.ammo = self.weapon.magazine;
        self.crouched_until_ms = 0;
        self.choose_destination(map, paths, dice);
    }

    pub fn die(&mut self, respawn_at_ms: u64) {
        self.life = Life::Waiting(respawn_at_ms);
        self.fight = None;
        self.lands_at_ms = None;
        self.on_ladder = false;
    }

    pub fn look_at(&mut self, point: [f64; 3]) {
        let [x, y] = [point[0] - self.position[0], point[1] - self.position[1]];
        let level = (x * x + y * y).sqrt().max(1.0);
        self.aim = [
            -((point[2] - self.position[2]) / level).atan().to_degrees(),
            y.atan2(x).to_degrees().rem_euclid(360.0),
        ];
    }

    /// Walks on for `seconds`.
    pub fn step(
        &mut self,
        seconds: f64,
        now_ms: u64,
        map: &BattleMap,
        paths: &Paths,
        dice: &mut Dice,
    ) -> Step {
        let mut step = Step::default();
        let swims = map.is_water(self.position);
        let speed = match (swims, self.crouched_until_ms > now_ms) {
            (true, _) => SWIM,
            (false, true) => CROUCHED,
            (false, false) if self.sprinting => SPRINT,
            (false, false) => RUN,
        };
        let left = maps::distance(self.position, self.destination);
        let stride = (speed * seconds).min(left);
        if left > 0.0 {
            let share = stride / left;
            for axis in 0..3 {
                self.position[axis] += (self.destination[axis] - self.position[axis]) * share;
            }
            if self.fight.is_none() {
                self.look_at(self.destination);
            }
        }
        match (swims, self.sprinting && speed == SPRINT) {
            (true, _) => self.swam += stride,
            (false, true) => self.sprinted += stride,
            (false, false) => self.walked += stride,
        }
        if left - stride < 1.0 {
            step.left_ladder = std::mem::take(&mut self.on_ladder);
            self.choose_destination(map, paths, dice);
            step.mounted_ladder = (self.destination[2] - self.position[2]).abs() > LADDER_HEIGHT;
            self.on_ladder = step.mounted_ladder;
        }
        if self.walked + self.sprinted + self.swam >= REPORTED_DISTANCE {
            step.travelled = Some(self.take_travelled());
        }
        step
    }

    fn choose_destination(&mut self, map: &BattleMap, paths: &Paths, dice: &mut Dice) {
        self.place = paths.next(self.place, dice);
        self.destination = beside(paths.place(self.place), map, 110.0, dice);
        self.sprinting = dice.chance(0.35);
    }

    /// Whole quarters are reported, the rest is kept for the next time.
    fn take_travelled(&mut self) -> (Travelled, u32) {
        fn take(units: &mut f64) -> u32 {
            let quarters = (*units * 4.0).floor();
            *units -= quarters / 4.0;
            quarters as u32
        }
        let travelled = Travelled {
            walked: take(&mut self.walked),
            sprinted: take(&mut self.sprinted),
            swam: take(&mut self.swam),
            driven: 0,
        };
        self.total_quarters += travelled.total();
        (travelled, self.total_quarters)
    }
}

fn beside(point: [f64; 3], map: &BattleMap, radius: f64, dice: &mut Dice) -> [f64; 3] {
    map.clamp([point[0] + dice.between(-radius, radius), point[1] + dice.between(-radius, radius), point[2]])
}
