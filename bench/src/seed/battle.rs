//! One match, played: its events in their order, stamped as the tracker would.
//!
//! Fights are what most events come from: shots, of which some hit and do damage, until the target is dead or the shooter
//! gives up. So the shares of the types are those of a real server, but for distances, of which there are fewer.

use compact_str::format_compact;
use mohaa_domain::event::{Event, Millis, Player, Stamp, Text};
use mohaa_domain::player::{Slot, guest_id};
use mohaa_domain::row;
use mohaa_domain::vocabulary::{EventType, GameType, KillKind, Team};

use super::calendar::{DAY_MS, MatchPlan};
use super::dice::Dice;
use super::people::Population;
use super::world::{ALLIED, AXIS, BASH, CHAT, GRENADES, HIT_LOCATIONS, STANCES, Weapon};

/// Of players so many have not logged in.
const GUESTS: f64 = 0.06;
/// Of matches so many have bots in them, three each.
const MATCHES_WITH_BOTS: f64 = 0.08;
const BOTS: usize = 3;
/// Seconds after the map was loaded at which the match begins.
const FIRST_SECONDS: f64 = 3.0;
/// A script sends so many events at once: a record of the spool.
const RECORD_EVENTS: u32 = 20;
/// Seconds between two heartbeats.
const HEARTBEAT_SECONDS: f64 = 120.0;

/// Rows of a day's matches.
#[derive(Default)]
pub struct Rows {
    pub bytes: Vec<u8>,
    /// Where each row ends.
    pub ends: Vec<usize>,
}

/// How a match ended, for its summary and for the report.
pub struct Outcome {
    pub ended_at: Millis,
    pub allies_score: i32,
    pub axis_score: i32,
    pub winning_team: Team,
    pub soldiers: Vec<Soldier>,
}

/// Somebody in a match.
pub struct Soldier {
    /// Number in the population; none of a guest or bot.
    pub player: Option<usize>,
    pub id: Text,
    pub team: Team,
    pub bot: bool,
    pub kills: u64,
    pub deaths: u64,
    /// Kills that no bot had a part in.
    pub counted_kills: u64,
    guid: Text,
    member_id: Text,
    name: Text,
    skill: f64,
    weapon: &'static Weapon,
    health: f64,
    place: [f32; 3],
}

struct Battle<'a> {
    plan: &'a MatchPlan,
    places: Vec<[f64; 2]>,
    soldiers: Vec<Soldier>,
    first_seq: u64,
    emitted: u32,
    seconds: f64,
    scores: [i32; 2],
    rows: &'a mut Rows,
}

/// Plays a match into `rows`.
pub fn play(plan: &mut MatchPlan, people: &Population, rows: &mut Rows) -> Outcome {
    let mut dice = std::mem::replace(&mut plan.dice, Dice::new(0, "", &[]));
    let day = (plan.started_at.0 / DAY_MS) as i32;
    let soldiers = muster(plan, people, day, &mut dice);
    let mut battle = Battle {
        places: plan.map.places(),
        soldiers,
        // Sixteen million records a day and a million events each: more than anybody plays.
        first_seq: ((day as u64) << 40) | (plan.number << 16),
        emitted: 0,
        seconds: FIRST_SECONDS,
        scores: [0, 0],
        rows,
        plan,
    };
    battle.begin(&mut dice);
    battle.fight(&mut dice);
    battle.end(&mut dice)
}

fn muster(plan: &MatchPlan, people: &Population, day: i32, dice: &mut Dice) -> Vec<Soldier> {
    let bots = if dice.chance(MATCHES_WITH_BOTS) { BOTS } else { 0 };
    let players = people.participants(plan.server, plan.players - bots, dice);
    let first_bot = players.len();
    let everybody = players.into_iter().map(Some).chain((0..bots).map(|_| None));
    let soldier = |(slot, player): (usize, Option<usize>)| {
        let team = match plan.game_type {
            GameType::FreeForAll => Team::FreeForAll,
            _ if slot % 2 == 0 => Team::Allies,
            _ => Team::Axis,
        };
        let is_guest = player.is_some() && dice.chance(GUESTS);
        let slot_number = format_compact!("{slot}");
        let (player, id, guid, member_id, name) = match player {
            None => {
                let name = format_compact!("Bot {}", slot - first_bot + 1);
                let id = guest_id(plan.match_id, Slot::Bot(&slot_number), &name);
                (None, id, format_compact!("bot_{slot}"), Text::default(), name)
            }
            Some(player) if is_guest => {
                let name = people.name(player, day);
                let id = guest_id(plan.match_id, Slot::Number(&slot_number), &name);
                (None, id, format_compact!("unauth_{slot}"), Text::default(), name)
            }
            Some(player) => {
                let id = people.id(player);
                let member_id = if people.has_engine_guid(player) { Text::default() } else { id.clone() };
                (Some(player), id.clone(), id, member_id, people.name(player, day))
            }
        };
        Soldier {
            bot: slot >= first_bot,
            skill: player.map_or(0.4, |player| people.skill(player)),
            player,
            id,
            team,
            kills: 0,
            deaths: 0,
            counted_kills: 0,
            guid,
            member_id,
            name,
            weapon: dice.pick(if team == Team::Axis { &AXIS } else { &ALLIED }),
            health: 100.0,
            place: [0.0; 3],
        }
    };
    everybody.enumerate().map(soldier).collect()
}

impl Battle<'_> {
    fn has_sides(&self) -> bool {
        self.plan.game_type != GameType::FreeForAll
    }

    fn block(&self, who: Option<usize>, dice: &mut Dice) -> Player {
        let Some(who) = who else { return Player::default() };
        let soldier = &self.soldiers[who];
        Player {
            name: soldier.name.clone(),
            guid: soldier.guid.clone(),
            member_id: soldier.member_id.clone(),
            team: soldier.team,
            x: Some(soldier.place[0]),
            y: Some(soldier.place[1]),
            z: Some(soldier.place[2]),
            pitch: Some(dice.between(-30.0, 30.0) as f32),
            yaw: Some(dice.between(0.0, 360.0) as f32),
            stance: Text::const_new(STANCES[dice.below(STANCES.len())]),
        }
    }

    /// Stores one event.
    fn emit(
        &mut self,
        event_type: EventType,
        (actor, target): (Option<usize>, Option<usize>),
        dice: &mut Dice,
        fill: impl FnOnce(&mut Event, &mut Stamp),
    ) {
        let at = Millis(self.plan.started_at.0 + (self.seconds * 1_000.0) as i64);
        let mut event = Event {
            event_type,
            source_type: Text::const_new(event_type.as_str()),
            source_match_id: self.plan.source_match_id.clone(),
            level_time: Some((self.seconds * 1_000.0) as i64 as f64 / 1_000.0),
            player: self.block(actor, dice),
            target: self.block(target, dice),
            ..Event::default()
        };
        let stamped = |who: Option<usize>| match who {
            Some(who) => {
                let soldier = &self.soldiers[who];
                (soldier.id.clone(), soldier.team, soldier.bot)
            }
            None => (Text::default(), Team::Unknown, false),
        };
        let (player_id, player_team, player_bot) = stamped(actor);
        let (target_id, target_team, target_bot) = stamped(target);
        let mut stamp = Stamp {
            received_at: at,
            event_at: at,
            server_id: self.plan.server_id,
            match_id: self.plan.match_id,
            map_name: Text::const_new(self.plan.map.name),
            game_type: self.plan.game_type,
            player_id,
            target_id,
            player_team,
            target_team,
            player_bot,
            target_bot,
            spool_seq: self.first_seq + u64::from(self.emitted / RECORD_EVENTS),
            spool_index: self.emitted % RECORD_EVENTS,
            ..Stamp::default()
        };
        fill(&mut event, &mut stamp);
        row::encode(&event, &stamp, &mut self.rows.bytes);
        self.rows.ends.push(self.rows.bytes.len());
        self.emitted += 1;
    }

    /// The level's clock follows the events: `part` of the match's length from one to the next, more or less.
    fn pass_time(&mut self, dice: &mut Dice) {
        let step = self.plan.seconds / self.plan.events as f64;
        self.seconds += step * dice.between(0.5, 1.5);
    }

    fn begin(&mut self, dice: &mut Dice) {
        let max_clients = Some(32);
        let (map, game_type) = (Text::const_new(self.plan.map.name), self.plan.game_type);
        self.emit(EventType::MatchStart, (None, None), dice, |event, _| {
            event.map_name = map;
            event.game_type = game_type;
            event.max_clients = max_clients;
        });
        for who in 0..self.soldiers.len() {
            self.soldiers[who].place = self.plan.map.point(&self.places, dice);
            let client_num = i32::try_from(who).ok();
            self.emit(EventType::Connect, (Some(who), None), dice, |event, _| event.client_num = client_num);
            self.emit(EventType::Spawn, (Some(who), None), dice, |event, _| event.client_num = client_num);
        }
    }

    fn fight(&mut self, dice: &mut Dice) {
        let has_rounds = matches!(self.plan.game_type, GameType::Rounds | GameType::Objective);
        let rounds = if has_rounds { 3 + dice.below(5) } else { 0 };
        let wanted = self.plan.events.saturating_sub(4) as u32;
        let (mut round, mut next_heartbeat) = (0, HEARTBEAT_SECONDS);
        while self.emitted < wanted {
            self.pass_time(dice);
            if rounds > 0 && self.emitted as usize * rounds >= wanted as usize * round {
                self.turn_round(round, dice);
                round += 1;
            }
            if self.seconds >= next_heartbeat {
                next_heartbeat += HEARTBEAT_SECONDS;
                self.heartbeat(dice);
            }
            match dice.below(100) {
                0..=54 => self.skirmish(dice),
                55..=60 => self.grenade(dice),
                61 => self.accident(dice),
                62..=84 => self.walk(dice),
                85..=96 => self.move_on(dice),
                _ => self.chat(dice),
            }
        }
        if round > 0 {
            self.turn_round(round, dice);
        }
    }

    /// Ends the round before, and begins the next one.
    fn turn_round(&mut self, round: usize, dice: &mut Dice) {
        let number = i32::try_from(round).unwrap_or(i32::MAX);
        if round > 0 {
            let allies_won = dice.chance(0.5);
            self.scores[usize::from(!allies_won)] += 1;
            let winner = if allies_won { Team::Allies } else { Team::Axis };
            self.emit(EventType::RoundEnd, (None, None), dice, |event, _| {
                event.round_number = Some(number);
                event.winning_team = winner;
            });
        }
        if (self.emitted as usize) < self.plan.events.saturating_sub(4) {
            self.emit(EventType::RoundStart, (None, None), dice, |event, _| {
                event.round_number = Some(number + 1);
            });
        }
    }

    fn heartbeat(&mut self, dice: &mut Dice) {
        let (scores, players) = (self.scores, i32::try_from(self.soldiers.len()).ok());
        self.emit(EventType::Heartbeat, (None, None), dice, |event, _| {
            event.allies_score = Some(scores[0]);
            event.axis_score = Some(scores[1]);
            event.player_count = players;
        });
    }

    /// Somebody else, mostly of the other side.
    fn opponent(&self, who: usize, dice: &mut Dice) -> Option<usize> {
        let takes_a_mate = dice.chance(0.015);
        for _ in 0..16 {
            let other = dice.below(self.soldiers.len());
            let is_mate = self.has_sides() && self.soldiers[other].team == self.soldiers[who].team;
            if other != who && is_mate == (takes_a_mate && self.has_sides()) {
                return Some(other);
            }
        }
        None
    }

    fn is_hostile(&self, who: usize, whom: usize) -> bool {
        who != whom && !(self.has_sides() && self.soldiers[who].team == self.soldiers[whom].team)
    }

    fn skirmish(&mut self, dice: &mut Dice) {
        let who = dice.below(self.soldiers.len());
        let Some(whom) = self.opponent(who, dice) else { return };
        let (weapon, skill) = (self.soldiers[who].weapon, self.soldiers[who].skill);
        self.soldiers[who].place = self.plan.map.point(&self.places, dice);
        let hostile = self.is_hostile(who, whom);
        let (name, slug) = (Text::const_new(weapon.name), Text::const_new(weapon.slug));
        for shot in 0..2 + dice.below(5) {
            self.pass_time(dice);
            self.emit(EventType::WeaponFire, (Some(who), None), dice, |event, stamp| {
                event.weapon_name = name.clone();
                event.extra = format!("{{\"ammo_remaining\":\"{}\"}}", 30 - shot);
                stamp.weapon = slug.clone();
            });
            if !dice.chance(weapon.accuracy * (0.6 + 0.8 * skill)) {
                continue;
            }
            let is_head = dice.chance(0.05 + 0.12 * skill);
            let hitloc = if is_head { "head" } else { *dice.pick(&HIT_LOCATIONS) };
            let factor = if is_head { 2.4 } else { 1.0 };
            let damage = (weapon.damage * factor * dice.between(0.7, 1.1)) as i64 as f64;
            self.emit(EventType::WeaponHit, (Some(who), Some(whom)), dice, |event, stamp| {
                event.hitloc = Text::const_new(hitloc);
                stamp.weapon = slug.clone();
                stamp.hostile = hostile;
            });
            self.emit(EventType::Damage, (Some(who), Some(whom)), dice, |event, stamp| {
                event.weapon_name = name.clone();
                event.hitloc = Text::const_new(hitloc);
                event.means_of_death = Text::const_new(weapon.means_of_death);
                event.damage = Some(damage as f32);
                stamp.weapon = slug.clone();
                stamp.hostile = hostile;
            });
            self.soldiers[whom].health -= damage;
            if self.soldiers[whom].health <= 0.0 {
                let weapon = if dice.chance(0.03) { &BASH } else { weapon };
                self.kill(Some(who), whom, weapon, hitloc, dice);
                return;
            }
        }
        if dice.chance(0.35) {
            self.emit(EventType::Reload, (Some(who), None), dice, |event, stamp| {
                event.weapon_name = name;
                stamp.weapon = slug;
            });
        }
    }

    fn grenade(&mut self, dice: &mut Dice) {
        let who = dice.below(self.soldiers.len());
        let weapon = &GRENADES[usize::from(self.soldiers[who].team == Team::Axis)];
        self.emit(EventType::GrenadeThrow, (Some(who), None), dice, |event, stamp| {
            event.weapon_name = Text::const_new(weapon.name);
            stamp.weapon = Text::const_new(weapon.slug);
        });
        if dice.chance(0.25) {
            let whom = if dice.chance(0.1) { Some(who) } else { self.opponent(who, dice) };
            if let Some(whom) = whom {
                self.pass_time(dice);
                self.kill(Some(who), whom, weapon, "general", dice);
            }
        }
    }

    /// Somebody falls off something.
    fn accident(&mut self, dice: &mut Dice) {
        const FALL: Weapon =
            Weapon { name: "", slug: "", means_of_death: "falling", damage: 100.0, accuracy: 0.0 };
        let whom = dice.below(self.soldiers.len());
        self.kill(None, whom, &FALL, "general", dice);
    }

    fn kill(
        &mut self,
        who: Option<usize>,
        whom: usize,
        weapon: &Weapon,
        hitloc: &'static str,
        dice: &mut Dice,
    ) {
        let kind = match who {
            None => KillKind::World,
            Some(who) if who == whom => KillKind::Suicide,
            Some(who) if self.is_hostile(who, whom) => KillKind::Kill,
            Some(_) => KillKind::TeamKill,
        };
        let scores = kind == KillKind::Kill;
        self.emit(EventType::Kill, (who, Some(whom)), dice, |event, stamp| {
            event.source_type = Text::const_new("player_kill");
            event.weapon_name = weapon.name.into();
            event.hitloc = Text::const_new(hitloc);
            event.means_of_death = weapon.means_of_death.into();
            event.damage = Some(weapon.damage as f32);
            stamp.weapon = weapon.slug.into();
            stamp.kill_kind = kind;
            stamp.headshot = scores && hitloc == "head";
            stamp.hostile = scores;
        });
        if let (true, Some(who)) = (scores, who) {
            let has_bot = self.soldiers[who].bot || self.soldiers[whom].bot;
            self.soldiers[who].kills += 1;
            self.soldiers[who].counted_kills += u64::from(!has_bot);
            if self.plan.game_type == GameType::TeamDeathmatch {
                self.scores[usize::from(self.soldiers[who].team == Team::Axis)] += 1;
            }
        }
        self.soldiers[whom].deaths += 1;
        self.soldiers[whom].health = 100.0;
        self.soldiers[whom].place = self.plan.map.point(&self.places, dice);
        self.emit(EventType::Spawn, (Some(whom), None), dice, |_, _| {});
    }

    fn walk(&mut self, dice: &mut Dice) {
        let who = dice.below(self.soldiers.len());
        self.soldiers[who].place = self.plan.map.point(&self.places, dice);
        let (walked, sprinted) = (dice.between(100.0, 900.0) as f32, dice.between(0.0, 400.0) as f32);
        self.emit(EventType::Distance, (Some(who), None), dice, |event, _| {
            event.walked = Some(walked);
            event.sprinted = Some(sprinted);
        });
    }

    fn move_on(&mut self, dice: &mut Dice) {
        const MOVES: [EventType; 6] = [
            EventType::Jump,
            EventType::Land,
            EventType::Crouch,
            EventType::Prone,
            EventType::HealthPickup,
            EventType::AmmoPickup,
        ];
        let who = dice.below(self.soldiers.len());
        self.emit(*dice.pick(&MOVES), (Some(who), None), dice, |_, _| {});
    }

    fn chat(&mut self, dice: &mut Dice) {
        let who = dice.below(self.soldiers.len());
        let (line, team_only) = (*dice.pick(&CHAT), dice.chance(0.2));
        self.emit(EventType::Chat, (Some(who), None), dice, |event, _| {
            event.message = Text::const_new(line);
            event.team_only = Some(team_only);
        });
    }

    fn end(mut self, dice: &mut Dice) -> Outcome {
        let scores = self.scores;
        let winning_team = match self.plan.game_type {
            GameType::FreeForAll => Team::Unknown,
            _ if scores[0] > scores[1] => Team::Allies,
            _ if scores[0] < scores[1] => Team::Axis,
            _ => Team::None,
        };
        let duration = self.seconds as f32;
        let (map, game_type) = (Text::const_new(self.plan.map.name), self.plan.game_type);
        self.emit(EventType::MatchEnd, (None, None), dice, |event, _| {
            event.map_name = map;
            event.game_type = game_type;
            event.duration = Some(duration);
            event.allies_score = Some(scores[0]);
            event.axis_score = Some(scores[1]);
            event.winning_team = winning_team;
        });
        Outcome {
            ended_at: Millis(self.plan.started_at.0 + (self.seconds * 1_000.0) as i64),
            allies_score: scores[0],
            axis_score: scores[1],
            winning_team,
            soldiers: self.soldiers,
        }
    }
}
