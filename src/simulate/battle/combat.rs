//! Fights: who sees whom, shoots, hits, throws grenades, and who dies of it.

use super::{Battle, Round};
use crate::simulate::arsenal::{self, Weapon};
use crate::simulate::event::{Deed, GameType, Hitloc, Means};
use crate::simulate::maps;
use crate::simulate::soldier::Fight;

/// Map units within which enemies notice each other.
const SIGHT: f64 = 2_300.0;
/// Map units within which a grenade hurts.
const BLAST: f64 = 230.0;

#[derive(Debug)]
pub(super) struct Grenade {
    thrower: u32,
    explodes_at_ms: u64,
    position: [f64; 3],
    weapon: &'static Weapon,
}

impl Battle {
    fn is_enemy(&self, of: usize, other: usize) -> bool {
        of != other
            && (self.plan.game_type == GameType::FreeForAll
                || self.soldiers[of].side != self.soldiers[other].side)
    }

    pub(super) fn look_for_trouble(&mut self, index: usize) {
        if !self.dice.chance(0.012) {
            return;
        }
        let here = self.soldiers[index].position;
        let nearest = (0..self.soldiers.len())
            .filter(|other| self.soldiers[*other].is_alive() && self.is_enemy(index, *other))
            .map(|other| (maps::distance(here, self.soldiers[other].position), other))
            .filter(|(distance, _)| *distance < SIGHT)
            .min_by(|a, b| a.0.total_cmp(&b.0));
        let Some((range, opponent)) = nearest else { return };
        if range > 250.0 && range < arsenal::FRAG_GRENADE.range && self.dice.chance(0.12) {
            self.throw_grenade(index, opponent);
            return;
        }
        self.begin_fight(index, opponent, 0);
        if self.soldiers[opponent].fight.is_none() && self.dice.chance(0.75) {
            let reaction_ms = u64::from(self.dice.whole(200, 900));
            self.begin_fight(opponent, index, reaction_ms);
        }
    }

    fn begin_fight(&mut self, index: usize, opponent: usize, reaction_ms: u64) {
        let opponent = self.soldiers[opponent].slot;
        let until_ms = self.now_ms + reaction_ms + u64::from(self.dice.whole(1_500, 5_000));
        let soldier = &mut self.soldiers[index];
        soldier.fight = Some(Fight { opponent, next_shot_ms: self.now_ms + reaction_ms, until_ms });
    }

    pub(super) fn fight_on(&mut self, index: usize, mut fight: Fight) {
        let opponent =
            self.soldiers.iter().position(|soldier| soldier.slot == fight.opponent && soldier.is_alive());
        let Some(opponent) =
            opponent.filter(|other| fight.until_ms > self.now_ms && self.is_enemy(index, *other))
        else {
            self.soldiers[index].fight = None;
            return;
        };
        let target = self.soldiers[opponent].position;
        self.soldiers[index].look_at(target);
        if fight.next_shot_ms > self.now_ms {
            return;
        }
        fight.next_shot_ms = self.now_ms + (1000.0 / self.soldiers[index].weapon.fire_rate) as u64;
        if self.soldiers[index].ammo == 0 {
            fight.next_shot_ms = self.now_ms + self.reload(index);
            self.soldiers[index].fight = Some(fight);
            return;
        }
        self.soldiers[index].fight = Some(fight);
        self.soldiers[index].ammo -= 1;
        let (weapon, ammo) = (self.soldiers[index].weapon, self.soldiers[index].ammo);
        let player = self.soldiers[index].stand(self.now_ms);
        self.emit(Deed::Fire { player, weapon, ammo });

        let range = maps::distance(self.soldiers[index].position, target);
        let skill = self.soldiers[index].persona.skill;
        let probability = weapon.accuracy * (0.5 + skill) * (1.3 - 0.6 * range / weapon.range).max(0.15);
        if !self.dice.chance(probability) {
            return;
        }
        // Somebody of the own side who stands in the way.
        let bystander = self.dice.chance(0.03).then(|| self.own_side_near(index)).flatten();
        let victim = bystander.unwrap_or(opponent);
        let (means, hitloc) = if range < 90.0 {
            (Means::Bash, Hitloc::General)
        } else {
            (weapon.means, arsenal::draw_hitloc(skill, &mut self.dice))
        };
        let player = self.soldiers[index].stand(self.now_ms);
        let target = self.soldiers[victim].stand(self.now_ms);
        self.emit(Deed::Hit { player, target, hitloc });
        let amount = arsenal::damage_at(weapon, hitloc, &mut self.dice);
        self.hurt(index, victim, weapon, means, hitloc, amount);
    }

    /// How long it takes, in milliseconds. An empty magazine is changed, or the pistol drawn.
    fn reload(&mut self, index: usize) -> u64 {
        let pistol = arsenal::pistol(self.soldiers[index].side);
        let old = self.soldiers[index].weapon;
        let player = self.soldiers[index].stand(self.now_ms);
        if old != pistol && self.dice.chance(0.1) {
            self.soldiers[index].weapon = pistol;
            self.soldiers[index].ammo = pistol.magazine;
            self.emit(Deed::WeaponChange { player, old: Some(old), new: pistol });
            return 700;
        }
        self.soldiers[index].ammo = old.magazine;
        self.emit(Deed::Reload { player, weapon: old });
        2_300
    }

    fn own_side_near(&self, index: usize) -> Option<usize> {
        let soldier = &self.soldiers[index];
        (0..self.soldiers.len()).find(|other| {
            let candidate = &self.soldiers[*other];
            *other != index
                && candidate.side == soldier.side
                && candidate.is_alive()
                && maps::distance(candidate.position, soldier.position) < 900.0
        })
    }

    fn throw_grenade(&mut self, index: usize, opponent: usize) {
        let weapon = arsenal::grenade(self.soldiers[index].side);
        let aim = self.soldiers[opponent].position;
        let spread = 320.0 * (1.2 - self.soldiers[index].persona.skill);
        let position = [
            aim[0] + self.dice.between(-spread, spread),
            aim[1] + self.dice.between(-spread, spread),
            aim[2],
        ];
        self.soldiers[index].look_at(aim);
        self.grenades.push(Grenade {
            thrower: self.soldiers[index].slot,
            explodes_at_ms: self.now_ms + 2_500,
            position,
            weapon,
        });
        let player = self.soldiers[index].stand(self.now_ms);
        self.emit(Deed::GrenadeThrow { player, grenade: weapon });
    }

    pub(super) fn explode_grenades(&mut self) {
        let (due, later) = std::mem::take(&mut self.grenades)
            .into_iter()
            .partition(|grenade| grenade.explodes_at_ms <= self.now_ms);
        self.grenades = later;
        for Grenade { thrower, position, weapon, .. } in due {
            self.emit(Deed::GrenadeExplode { grenade: weapon });
            let thrower = self.soldiers.iter().position(|soldier| soldier.slot == thrower);
            // Between rounds, and when the thrower has left, it only makes a noise.
            let Some(thrower) = thrower.filter(|_| !matches!(self.round, Round::Pause { .. })) else {
                continue;
            };
            for victim in 0..self.soldiers.len() {
                let range = maps::distance(self.soldiers[victim].position, position);
                if !self.soldiers[victim].is_alive() || range > BLAST {
                    continue;
                }
                let amount = (f64::from(weapon.damage) * 1.6 * (1.0 - range / BLAST)).max(1.0) as u32;
                self.hurt(thrower, victim, weapon, Means::Grenade, Hitloc::General, amount);
            }
        }
    }

    fn hurt(
        &mut self,
        attacker: usize,
        victim: usize,
        weapon: &'static Weapon,
        means: Means,
        hitloc: Hitloc,
        amount: u32,
    ) {
        self.emit(Deed::Damage {
            attacker: self.soldiers[attacker].stand(self.now_ms),
            victim: self.soldiers[victim].stand(self.now_ms),
            weapon,
            means,
            hitloc,
            amount,
        });
        self.soldiers[victim].health -= amount as i32;
        if self.soldiers[victim].health <= 0 {
            self.kill(Some(attacker), victim, Some(weapon), means, hitloc);
        }
    }

    pub(super) fn kill(
        &mut self,
        attacker: Option<usize>,
        victim: usize,
        weapon: Option<&'static Weapon>,
        means: Means,
        hitloc: Hitloc,
    ) {
        if self.plan.game_type == GameType::TeamDeathmatch
            && let Some(attacker) = attacker
            && self.is_enemy(attacker, victim)
        {
            self.scores.add(self.soldiers[attacker].side);
        }
        self.emit(Deed::Kill {
            attacker: attacker.map(|attacker| self.soldiers[attacker].stand(self.now_ms)),
            victim: self.soldiers[victim].stand(self.now_ms),
            weapon,
            means,
            hitloc,
            game_type: self.plan.game_type,
        });
        let respawn_at_ms = self.respawn_at_ms();
        self.soldiers[victim].die(respawn_at_ms);
    }
}
