//! One match, played: people come and go, walk, fight, die and come back, until time is up.
//!
//! [`Battle`] is an iterator over what happens, in order of level.time. It holds two promises that the statistics
//! rest on: nobody fires before both sides have spawned, and a living match is never silent for more than a few
//! seconds (a receiver without match ids takes a leap of level.time for another map).

mod combat;

use std::collections::VecDeque;
use std::sync::Arc;

use super::arsenal;
use super::chatter;
use super::dice::Dice;
use super::event::{Deed, GameEvent, GameType, Hitloc, Means, Scores, Side};
use super::maps::{BattleMap, MAPS, Paths};
use super::roster::Persona;
use super::soldier::{Life, Soldier};
use combat::Grenade;

const TICK_MS: u64 = 100;
const TICK_SECONDS: f64 = 0.1;
const HEARTBEAT_MS: u64 = 30_000;
/// Everybody who begins the match has spawned by then.
const PEACE_MS: u64 = 6_000;
const ROUND_MS: u64 = 120_000;
const ROUND_PAUSE_MS: u64 = 5_000;
const MOST_PLAYERS: usize = 14;
const FEWEST_PER_SIDE: usize = 3;

/// What a match is to be.
#[derive(Clone, Debug)]
pub struct BattlePlan {
    pub map: &'static BattleMap,
    pub game_type: GameType,
    pub length_ms: u64,
}

impl BattlePlan {
    /// `free_for_all`: whether such a match may be drawn.
    pub fn draw(dice: &mut Dice, length_seconds: std::ops::RangeInclusive<u32>, free_for_all: bool) -> Self {
        let map = dice.pick(&MAPS);
        let mut game_type = *dice.pick(map.game_types);
        if game_type == GameType::FreeForAll && !free_for_all {
            game_type = GameType::TeamDeathmatch;
        }
        let length_ms = u64::from(dice.whole(*length_seconds.start(), *length_seconds.end())) * 1000;
        Self { map, game_type, length_ms }
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Round {
    /// The game type has none.
    None,
    Pause {
        until_ms: u64,
    },
    Running {
        since_ms: u64,
    },
    Over,
}

#[derive(Debug)]
pub struct Battle {
    plan: BattlePlan,
    paths: Paths,
    dice: Dice,
    now_ms: u64,
    emitted_in_tick: u64,
    happened: VecDeque<GameEvent>,
    soldiers: Vec<Soldier>,
    bench: Vec<Arc<Persona>>,
    grenades: Vec<Grenade>,
    scores: Scores,
    round: Round,
    rounds_played: u32,
    ended: bool,
}

impl Iterator for Battle {
    type Item = GameEvent;

    fn next(&mut self) -> Option<GameEvent> {
        loop {
            if let Some(event) = self.happened.pop_front() {
                return Some(event);
            }
            if self.ended {
                return None;
            }
            self.tick();
        }
    }
}

impl Battle {
    pub fn new(plan: BattlePlan, mut participants: Vec<Arc<Persona>>, mut dice: Dice) -> Self {
        dice.shuffle(&mut participants);
        let round = if plan.game_type.has_rounds() { Round::Pause { until_ms: 4_500 } } else { Round::None };
        let mut battle = Self {
            paths: Paths::of(plan.map),
            plan,
            dice,
            now_ms: 0,
            emitted_in_tick: 0,
            happened: VecDeque::new(),
            soldiers: Vec::new(),
            bench: participants,
            grenades: Vec::new(),
            scores: Scores::default(),
            round,
            rounds_played: 0,
            ended: false,
        };
        battle.open();
        battle
    }

    fn open(&mut self) {
        self.emit(Deed::MatchStart {
            map: self.plan.map,
            game_type: self.plan.game_type,
            time_limit_minutes: (self.plan.length_ms / 60_000).max(1) as u32,
        });
        let at_the_start = (self.bench.len() * 3 / 4).min(MOST_PLAYERS);
        for order in 0..at_the_start {
            let Some(persona) = self.bench.pop() else { break };
            let side = if order % 2 == 0 { Side::Allies } else { Side::Axis };
            let spawn_at_ms = 1_000 + u64::from(self.dice.whole(0, 2_500));
            let entrance = self.entrance(side);
            let soldier = Soldier::new(persona, order as u32, side, spawn_at_ms, entrance, &mut self.dice);
            self.soldiers.push(soldier);
            self.greet(order);
        }
    }

    /// Where somebody of that side looks on from until he spawns.
    fn entrance(&mut self, side: Side) -> [f64; 3] {
        let place = self.paths.base(side, &mut self.dice);
        self.paths.place(place)
    }

    fn emit(&mut self, deed: Deed) {
        // Events of one tick are told apart by milliseconds, as far as a tick has them.
        let level_ms = self.now_ms + (self.emitted_in_tick * 2).min(TICK_MS - 1);
        self.emitted_in_tick += 1;
        self.happened.push_back(GameEvent { level_ms, deed });
    }

    fn tick(&mut self) {
        self.now_ms += TICK_MS;
        self.emitted_in_tick = 0;
        if self.now_ms >= self.plan.length_ms {
            self.close();
            return;
        }
        if self.now_ms.is_multiple_of(HEARTBEAT_MS) {
            self.emit(Deed::Heartbeat {
                map: self.plan.map,
                round: self.rounds_played.max(1),
                scores: self.scores,
                players: self.soldiers.len() as u32,
            });
        }
        self.advance_round();
        self.come_and_go();
        self.explode_grenades();
        for index in 0..self.soldiers.len() {
            match self.soldiers[index].life {
                Life::Waiting(until_ms) if until_ms <= self.now_ms => self.spawn(index),
                Life::Waiting(_) => {}
                Life::Alive => self.live(index),
            }
        }
    }

    fn close(&mut self) {
        if matches!(self.round, Round::Running { .. }) {
            self.end_round(self.scores.leader());
        }
        self.round = Round::Over;
        let winner = if self.plan.game_type == GameType::FreeForAll { None } else { self.scores.leader() };
        self.emit(Deed::MatchEnd {
            map: self.plan.map,
            game_type: self.plan.game_type,
            winner,
            scores: self.scores,
            rounds: self.rounds_played,
        });
        self.ended = true;
    }

    fn advance_round(&mut self) {
        match self.round {
            Round::None | Round::Over => {}
            Round::Pause { until_ms } if until_ms > self.now_ms => {}
            Round::Pause { .. } => {
                self.round = Round::Running { since_ms: self.now_ms };
                self.rounds_played += 1;
                self.emit(Deed::RoundStart { round: self.rounds_played });
                for soldier in &mut self.soldiers {
                    if !soldier.is_alive() {
                        soldier.life = Life::Waiting(self.now_ms);
                    }
                }
            }
            Round::Running { since_ms } => {
                let age_ms = self.now_ms - since_ms;
                if age_ms < PEACE_MS {
                    return;
                }
                let lives =
                    |side| self.soldiers.iter().any(|soldier| soldier.side == side && soldier.is_alive());
                let winner = match (lives(Side::Allies), lives(Side::Axis)) {
                    (true, false) => Some(Side::Allies),
                    (false, true) => Some(Side::Axis),
                    (false, false) => None,
                    (true, true) if age_ms >= ROUND_MS => Some(Side::Axis),
                    (true, true) if self.objective_falls(age_ms) => Some(Side::Allies),
                    (true, true) => return,
                };
                self.end_round(winner);
            }
        }
    }

    fn objective_falls(&mut self, age_ms: u64) -> bool {
        if self.plan.game_type != GameType::Objective || age_ms < 40_000 || !self.dice.chance(0.0008) {
            return false;
        }
        let attacker =
            self.soldiers.iter().find(|soldier| soldier.side == Side::Allies && soldier.is_alive());
        let Some(player) = attacker.map(|soldier| soldier.stand(self.now_ms)) else { return false };
        self.emit(Deed::ObjectiveCapture { player, objective: "obj_1" });
        true
    }

    fn end_round(&mut self, winner: Option<Side>) {
        if let Some(side) = winner {
            self.scores.add(side);
        }
        self.emit(Deed::RoundEnd { round: self.rounds_played, winner });
        self.round = Round::Pause { until_ms: self.now_ms + ROUND_PAUSE_MS };
        for soldier in &mut self.soldiers {
            soldier.fight = None;
        }
    }

    /// In games of rounds the dead wait for the next one.
    fn respawn_at_ms(&mut self) -> u64 {
        match self.round {
            Round::Running { .. } => u64::MAX,
            Round::Pause { until_ms } => until_ms,
            Round::None | Round::Over => self.now_ms + u64::from(self.dice.whole(2_000, 6_000)),
        }
    }

    fn come_and_go(&mut self) {
        if self.now_ms < PEACE_MS {
            return;
        }
        if self.soldiers.len() < MOST_PLAYERS && !self.bench.is_empty() && self.dice.chance(0.0025) {
            self.join();
        }
        if self.dice.chance(0.0018) {
            self.leave();
        }
        if self.dice.chance(0.0012) {
            self.switch_sides();
        }
        if self.dice.chance(0.004) {
            let speaker = self.dice.below(self.soldiers.len());
            let player = self.soldiers[speaker].stand(self.now_ms);
            let deed = if self.dice.chance(0.06) {
                Deed::Oddity {
                    player,
                    name: self.dice.pick::<&str>(&["player_taunt", "flag_wave", "radio_call"]),
                }
            } else {
                let team_only = self.dice.chance(0.3);
                Deed::Chat { player, team_only, line: chatter::draw_line(&mut self.dice) }
            };
            self.emit(deed);
        }
    }

    fn side_strength(&self, side: Side) -> usize {
        self.soldiers.iter().filter(|soldier| soldier.side == side).count()
    }

    fn join(&mut self) {
        let chosen = self.dice.below(self.bench.len());
        let persona = self.bench.swap_remove(chosen);
        let slot =
            (0..).find(|slot| self.soldiers.iter().all(|soldier| soldier.slot != *slot)).unwrap_or_default();
        let side = if self.side_strength(Side::Allies) <= self.side_strength(Side::Axis) {
            Side::Allies
        } else {
            Side::Axis
        };
        let spawn_at_ms = self.respawn_at_ms();
        let entrance = self.entrance(side);
        let mut soldier = Soldier::new(persona, slot, Side::Spectator, spawn_at_ms, entrance, &mut self.dice);
        soldier.weapon = arsenal::draw_weapon(side, &mut self.dice);
        self.soldiers.push(soldier);
        let index = self.soldiers.len() - 1;
        self.greet(index);
        self.soldiers[index].side = side;
        let player = self.soldiers[index].stand(self.now_ms);
        self.emit(Deed::TeamChange { player, old: Side::Spectator });
    }

    fn greet(&mut self, index: usize) {
        let player = self.soldiers[index].stand(self.now_ms);
        self.emit(Deed::Connect { player: player.clone() });
        if player.persona.member_id.is_some() {
            self.emit(Deed::Authenticated { player });
        }
    }

    fn leave(&mut self) {
        let index = self.dice.below(self.soldiers.len());
        if self.side_strength(self.soldiers[index].side) <= FEWEST_PER_SIDE {
            return;
        }
        let player = self.soldiers[index].stand(self.now_ms);
        let soldier = self.soldiers.remove(index);
        self.bench.push(soldier.persona);
        self.emit(Deed::Disconnect { player });
    }

    fn switch_sides(&mut self) {
        let index = self.dice.below(self.soldiers.len());
        let old = self.soldiers[index].side;
        if self.soldiers[index].is_alive() || self.side_strength(old) <= FEWEST_PER_SIDE {
            return;
        }
        self.soldiers[index].side = old.opponent();
        self.soldiers[index].weapon = arsenal::draw_weapon(old.opponent(), &mut self.dice);
        let player = self.soldiers[index].stand(self.now_ms);
        self.emit(Deed::TeamChange { player, old });
    }

    fn spawn(&mut self, index: usize) {
        let anywhere = self.plan.game_type == GameType::FreeForAll;
        if self.dice.chance(0.3) {
            self.soldiers[index].weapon = arsenal::draw_weapon(self.soldiers[index].side, &mut self.dice);
        }
        self.soldiers[index].spawn(self.plan.map, &self.paths, anywhere, &mut self.dice);
        let player = self.soldiers[index].stand(self.now_ms);
        let new = self.soldiers[index].weapon;
        self.emit(Deed::Spawn { player: player.clone() });
        self.emit(Deed::WeaponChange { player, old: None, new });
    }

    fn live(&mut self, index: usize) {
        self.walk(index);
        self.fidget(index);
        if self.meet_with_an_accident(index) {
            return;
        }
        if self.now_ms < PEACE_MS || matches!(self.round, Round::Pause { .. }) {
            return;
        }
        match self.soldiers[index].fight {
            Some(fight) => self.fight_on(index, fight),
            None => self.look_for_trouble(index),
        }
    }

    fn walk(&mut self, index: usize) {
        // Who shoots stands still half of the time.
        if self.soldiers[index].fight.is_some() && self.dice.chance(0.5) {
            return;
        }
        let soldier = &mut self.soldiers[index];
        let step = soldier.step(TICK_SECONDS, self.now_ms, self.plan.map, &self.paths, &mut self.dice);
        let player = soldier.stand(self.now_ms);
        if step.left_ladder {
            self.emit(Deed::LadderDismount { player: player.clone() });
        }
        if step.mounted_ladder {
            self.emit(Deed::LadderMount { player: player.clone() });
        }
        if let Some((travelled, total)) = step.travelled {
            self.emit(Deed::Distance { player, travelled, total });
        }
    }

    fn fidget(&mut self, index: usize) {
        let player = self.soldiers[index].stand(self.now_ms);
        if self.soldiers[index].lands_at_ms.is_some_and(|at_ms| at_ms <= self.now_ms) {
            self.soldiers[index].lands_at_ms = None;
            let height = self.dice.between(20.0, 130.0);
            self.emit(Deed::Land { player, height });
            return;
        }
        let roll = self.dice.fraction();
        if roll < 0.004 && self.soldiers[index].lands_at_ms.is_none() {
            self.soldiers[index].lands_at_ms = Some(self.now_ms + 600);
            let height = self.dice.between(38.0, 46.0);
            self.emit(Deed::Jump { player, height });
        } else if (0.004..0.007).contains(&roll) {
            self.soldiers[index].crouched_until_ms = self.now_ms + u64::from(self.dice.whole(1_000, 4_000));
            let player = self.soldiers[index].stand(self.now_ms);
            self.emit(Deed::Crouch { player });
        } else if (0.007..0.0072).contains(&roll) {
            self.emit(Deed::Prone { player });
        } else if (0.0072..0.0082).contains(&roll) {
            let item = *self.dice.pick(&["item_25_healthbox", "item_50_healthbox", "Rifle Ammo", "SMG Ammo"]);
            self.emit(Deed::ItemPickup { player, item });
        }
    }

    /// Falls, lava and second thoughts; true when he died of it.
    fn meet_with_an_accident(&mut self, index: usize) -> bool {
        let is_high = self.soldiers[index].position[2] > self.plan.map.floor + 60.0;
        let roll = self.dice.fraction();
        let means = if is_high && roll < 0.000_12 {
            Means::Falling
        } else if (0.000_12..0.000_13).contains(&roll) {
            Means::Lava
        } else if (0.000_13..0.000_16).contains(&roll) {
            Means::Suicide
        } else {
            return false;
        };
        let attacker = (means == Means::Suicide).then_some(index);
        self.kill(attacker, index, None, means, Hitloc::General);
        true
    }
}
