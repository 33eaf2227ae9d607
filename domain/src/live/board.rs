//! What is to be seen of a match: a fold of its moments in their order.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::moment::{Moment, Who};
use crate::event::{Millis, Text};
use crate::player::is_guest_id;
use crate::vocabulary::{EventType, GameType, KillKind, Team};

/// Players that one match tells of, live and in its statistics: a full server of 64 slots, each taken by sixty-four
/// people. A server that makes up more is told that there were more, and costs no more.
pub const MOST_PLAYERS: usize = 4_096;
const MAX_WEAPONS: usize = 128;
const MAX_ROUNDS: usize = 200;
/// Lines that are remembered of each feed.
const FEED_LINES: usize = 40;
/// Kills of one player within this are one multi-kill.
pub const MULTI_KILL_MS: i64 = 4_000;
/// Fewer are no side that could be wiped out.
const WIPE_OUT_ENEMIES: usize = 3;
/// Width of one step of the momentum line.
pub const MOMENTUM_STEP_MS: i64 = 15_000;
const MOMENTUM_STEPS: usize = 480;

/// One player, now and in sum.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PlayerLine {
    /// As last sent, with its colour codes.
    pub name: Text,
    pub team: Team,
    pub bot: bool,
    pub guest: bool,
    /// Seen, and not gone since.
    pub present: bool,
    /// Spawned, or did something, since the last death.
    pub alive: bool,
    pub kills: u32,
    pub deaths: u32,
    pub headshots: u32,
    pub suicides: u32,
    pub team_kills: u32,
    /// Thousandths of a point.
    pub damage: i64,
    pub shots_fired: u64,
    pub shots_hit: u64,
    pub summary_shots_fired: u64,
    pub summary_shots_hit: u64,
    /// Kills since the last death.
    pub streak: u32,
    pub best_streak: u32,
    /// Kills within [`MULTI_KILL_MS`] of each other, the last one's included.
    pub multi: u32,
    pub best_multi: u32,
    last_kill_ms: Option<i64>,
    /// First and last sign of the player by the level's clock.
    seen_ms: Option<(i64, i64)>,
    pub feats: Feats,
}

/// What order decides about a player and earns achievements. Unlike on the board, bots neither count nor stand in the
/// way: only a death ends what goes on, whoever caused it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Feats {
    streak: u32,
    pub best_streak: u32,
    multi: u32,
    pub best_multi: u32,
    last_kill_ms: Option<i64>,
    pub first_blood: bool,
    /// Kills that left nobody of at least [`WIPE_OUT_ENEMIES`] alive.
    pub wipe_outs: u32,
    /// Kills of whoever killed the player last.
    pub revenges: u32,
    killed_by: Text,
}

impl Feats {
    fn add_kill(&mut self, at_ms: i64, victim_id: &Text, first_blood: bool, wipe_out: bool) {
        let goes_on = self.last_kill_ms.is_some_and(|last| at_ms - last <= MULTI_KILL_MS);
        self.multi = if goes_on { self.multi + 1 } else { 1 };
        self.streak += 1;
        self.best_streak = self.best_streak.max(self.streak);
        self.best_multi = self.best_multi.max(self.multi);
        self.last_kill_ms = Some(at_ms);
        self.first_blood |= first_blood;
        self.wipe_outs += u32::from(wipe_out);
        if self.killed_by == *victim_id {
            self.revenges += 1;
            self.killed_by = Text::default();
        }
    }

    fn add_death(&mut self, killer_id: &Text) {
        (self.streak, self.multi, self.last_kill_ms) = (0, 0, None);
        self.killed_by = killer_id.clone();
    }
}

impl PlayerLine {
    /// Milliseconds between the first and the last sign of the player.
    pub fn playtime_ms(&self) -> u64 {
        self.seen_ms.map_or(0, |(first, last)| u64::try_from(last - first).unwrap_or_default())
    }

    /// Shots as [`Self::accuracy`] has them.
    pub fn shots(&self) -> u64 {
        if self.shots_fired > 0 { self.shots_fired } else { self.summary_shots_fired }
    }

    /// Percent of shots, as the match statistics have it: of the shots themselves, else of summaries.
    pub fn accuracy(&self) -> Option<f64> {
        let (fired, hit) = match self.shots_fired {
            0 => (self.summary_shots_fired, self.summary_shots_hit),
            fired => (fired, self.shots_hit),
        };
        (fired > 0).then(|| hit as f64 * 100.0 / fired as f64)
    }
}

/// A line of the kill feed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct KillLine {
    pub at_ms: i64,
    pub event_at: Millis,
    pub actor: Who,
    pub target: Who,
    pub weapon: Text,
    pub means_of_death: Text,
    pub hitloc: Text,
    pub kind: KillKind,
    pub headshot: bool,
    /// The killer's run after it.
    pub streak: u32,
    /// The killer's kills of this moment.
    pub multi: u32,
    pub first_blood: bool,
}

/// A line of chat.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ChatLine {
    pub at_ms: i64,
    pub event_at: Millis,
    pub who: Who,
    pub text: Text,
    pub team_only: bool,
}

/// Something that was captured or destroyed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ObjectiveLine {
    pub at_ms: i64,
    pub event_at: Millis,
    pub who: Who,
    pub text: Text,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RoundLine {
    pub round_number: i32,
    pub winning_team: Team,
    pub started_at: Option<Millis>,
    pub ended_at: Option<Millis>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct WeaponLine {
    pub kills: u32,
    pub headshots: u32,
}

/// Scores as they were last said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Scores {
    pub allies: i32,
    pub axis: i32,
}

/// A heartbeat's count of players, and who came and went since.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct CountedPlayers {
    counted: i64,
    since: i64,
}

/// What is to be seen of a match.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Board {
    pub map_name: Text,
    pub game_type: GameType,
    pub started_at: Option<Millis>,
    pub updated_at: Millis,
    /// Newest moment of the level's clock.
    pub clock_ms: i64,
    pub scores: Scores,
    /// By how much each side was behind at worst.
    behind: Scores,
    pub max_players: Option<i32>,
    /// [`MOST_PLAYERS`] at most. Copies of a board share the lines that are equal.
    pub players: BTreeMap<Text, Arc<PlayerLine>>,
    /// There were more than are in `players`: those who came later.
    #[serde(default)]
    pub more_players: bool,
    pub round_number: i32,
    pub rounds: Vec<RoundLine>,
    /// The oldest first.
    pub kills: VecDeque<Arc<KillLine>>,
    pub chat: VecDeque<ChatLine>,
    pub objectives: VecDeque<ObjectiveLine>,
    pub weapons: BTreeMap<Text, WeaponLine>,
    /// Kills of allies less kills of axis, a step each [`MOMENTUM_STEP_MS`].
    pub momentum: Vec<i32>,
    pub winning_team: Team,
    /// Whether match_end came.
    pub has_ended: bool,
    first_blood_drawn: bool,
    counted: Option<CountedPlayers>,
}

/// What a moment has brought that viewers are told of by itself.
#[derive(Clone, Debug, PartialEq)]
pub enum Happening {
    Kill(Arc<KillLine>),
    Chat(ChatLine),
    Objective(ObjectiveLine),
    Round(RoundLine),
    End,
}

impl Board {
    /// Players who are on.
    pub fn player_count(&self) -> u64 {
        let present = || self.players.values().filter(|player| player.present).count() as i64;
        let count = self.counted.map_or_else(present, |counted| counted.counted + counted.since);
        u64::try_from(count).unwrap_or_default()
    }

    /// By how much each side was behind at worst.
    pub fn behind(&self) -> Scores {
        self.behind
    }

    /// Adds a moment that is not older than those before it.
    pub(super) fn apply(&mut self, moment: &Moment) -> Option<Happening> {
        self.count(moment);
        self.clock_ms = self.clock_ms.max(moment.at_ms);
        match moment.event_type {
            EventType::Kill => Some(Happening::Kill(self.add_kill(moment))),
            EventType::Spawn => {
                self.with_player(&moment.player, |player| player.alive = true);
                None
            }
            EventType::Death => {
                self.with_player(&moment.player, |player| player.alive = false);
                None
            }
            EventType::Chat => Some(Happening::Chat(self.add_chat(moment))),
            EventType::ObjectiveCapture | EventType::ObjectiveUpdate => {
                Some(Happening::Objective(self.add_objective(moment)))
            }
            EventType::RoundStart | EventType::RoundEnd => self.add_round(moment).map(Happening::Round),
            EventType::MatchEnd => {
                self.has_ended = true;
                Some(Happening::End)
            }
            _ => None,
        }
    }

    /// Adds what is true of a moment whatever its order: what a late one still corrects.
    pub(super) fn count(&mut self, moment: &Moment) {
        self.started_at =
            Some(self.started_at.map_or(moment.event_at, |started_at| started_at.min(moment.event_at)));
        let is_newest = moment.event_at >= self.updated_at;
        self.updated_at = self.updated_at.max(moment.event_at);
        if !moment.map_name.is_empty() && self.map_name != moment.map_name {
            self.map_name = moment.map_name.clone();
        }
        if moment.game_type != GameType::Unknown {
            self.game_type = moment.game_type;
        }
        if let Some(max_clients) = moment.details().max_clients {
            self.max_players = Some(max_clients);
        }
        if is_newest {
            self.scores.allies = moment.details().allies_score.unwrap_or(self.scores.allies);
            self.scores.axis = moment.details().axis_score.unwrap_or(self.scores.axis);
            let lead = self.scores.allies.saturating_sub(self.scores.axis);
            self.behind.allies = self.behind.allies.max(lead.saturating_neg());
            self.behind.axis = self.behind.axis.max(lead);
            if moment.event_type == EventType::Heartbeat {
                self.round_number = moment.details().round_number.unwrap_or(self.round_number);
            }
            if matches!(moment.event_type, EventType::MatchEnd | EventType::TeamWin)
                && moment.details().winning_team != Team::Unknown
            {
                self.winning_team = moment.details().winning_team;
            }
        }
        self.count_people(moment);
        if let (EventType::Heartbeat, Some(counted)) = (moment.event_type, moment.details().player_count) {
            self.counted = Some(CountedPlayers { counted: i64::from(counted), since: 0 });
        }
        if moment.kill_kind == KillKind::Kill {
            if !moment.details().weapon.is_empty()
                && (self.weapons.len() < MAX_WEAPONS || self.weapons.contains_key(&moment.details().weapon))
            {
                let weapon = self.weapons.entry(moment.details().weapon.clone()).or_default();
                weapon.kills += 1;
                weapon.headshots += u32::from(moment.headshot);
            }
            self.count_momentum(moment);
        }
    }

    fn count_people(&mut self, moment: &Moment) {
        let is_present = moment.event_type != EventType::Disconnect;
        let mut changes = 0;
        let mut note_presence = |player: &mut PlayerLine| {
            changes += i64::from(is_present) - i64::from(player.present);
            player.present = is_present;
            player.alive &= is_present;
            let (first, last) = player.seen_ms.unwrap_or((moment.at_ms, moment.at_ms));
            player.seen_ms = Some((first.min(moment.at_ms), last.max(moment.at_ms)));
        };
        self.with_player(&moment.player, |player| {
            note_presence(player);
            player.kills += u32::from(moment.kill_kind == KillKind::Kill);
            player.headshots += u32::from(moment.headshot);
            player.team_kills += u32::from(moment.kill_kind == KillKind::TeamKill);
            match moment.event_type {
                EventType::Damage if moment.hostile => player.damage += moment.damage,
                EventType::WeaponFire => player.shots_fired += 1,
                EventType::WeaponHit => player.shots_hit += 1,
                EventType::AccuracySummary => {
                    player.summary_shots_fired += moment.details().shots_fired;
                    player.summary_shots_hit += moment.details().shots_hit;
                }
                _ => {}
            }
        });
        self.with_player(&moment.target, |target| {
            note_presence(target);
            target.deaths += u32::from(moment.kill_kind != KillKind::None);
            target.suicides += u32::from(moment.kill_kind == KillKind::Suicide);
        });
        if let Some(counted) = &mut self.counted {
            counted.since += changes;
        }
    }

    fn count_momentum(&mut self, moment: &Moment) {
        let weight = match moment.player.team {
            Team::Allies => 1,
            Team::Axis => -1,
            _ => return,
        };
        let step = usize::try_from(moment.at_ms / MOMENTUM_STEP_MS).unwrap_or_default();
        if step >= MOMENTUM_STEPS {
            return;
        }
        if self.momentum.len() <= step {
            self.momentum.resize(step + 1, 0);
        }
        self.momentum[step] += weight;
    }

    fn add_kill(&mut self, moment: &Moment) -> Arc<KillLine> {
        let is_scoring = moment.kill_kind == KillKind::Kill;
        let first_blood = is_scoring && !self.first_blood_drawn;
        self.first_blood_drawn |= is_scoring;
        self.with_player(&moment.target, |target| {
            target.alive = false;
            target.streak = 0;
            target.multi = 0;
            target.last_kill_ms = None;
            target.feats.add_death(&moment.player.player_id);
        });
        // Of two people, that is.
        let is_fair = is_scoring && !moment.player.bot && !moment.target.bot;
        let wipe_out = is_fair && self.is_wiped_out(moment.target.team);
        let (mut streak, mut multi) = (0, 0);
        if is_scoring {
            self.with_player(&moment.player, |player| {
                let goes_on = player.last_kill_ms.is_some_and(|last| moment.at_ms - last <= MULTI_KILL_MS);
                player.multi = if goes_on { player.multi + 1 } else { 1 };
                player.streak += 1;
                player.best_streak = player.best_streak.max(player.streak);
                player.best_multi = player.best_multi.max(player.multi);
                player.last_kill_ms = Some(moment.at_ms);
                player.alive = true;
                (streak, multi) = (player.streak, player.multi);
                if is_fair {
                    player.feats.add_kill(moment.at_ms, &moment.target.player_id, first_blood, wipe_out);
                }
            });
        }
        let line = Arc::new(KillLine {
            at_ms: moment.at_ms,
            event_at: moment.event_at,
            actor: self.named(&moment.player),
            target: self.named(&moment.target),
            weapon: moment.details().weapon.clone(),
            means_of_death: moment.details().means_of_death.clone(),
            hitloc: moment.details().hitloc.clone(),
            kind: moment.kill_kind,
            headshot: moment.headshot,
            streak,
            multi,
            first_blood,
        });
        remember(&mut self.kills, line.clone());
        line
    }

    /// Whether a side of some people has nobody alive.
    fn is_wiped_out(&self, team: Team) -> bool {
        let of_side = |player: &&PlayerLine| player.present && !player.bot && player.team == team;
        let mut enemies = 0;
        matches!(team, Team::Allies | Team::Axis)
            && self.players.values().map(Arc::as_ref).filter(of_side).all(|player| {
                enemies += 1;
                !player.alive
            })
            && enemies >= WIPE_OUT_ENEMIES
    }

    fn add_chat(&mut self, moment: &Moment) -> ChatLine {
        let line = ChatLine {
            at_ms: moment.at_ms,
            event_at: moment.event_at,
            who: self.named(&moment.player),
            text: moment.details().text.clone(),
            team_only: moment.details().team_only,
        };
        remember(&mut self.chat, line.clone());
        line
    }

    fn add_objective(&mut self, moment: &Moment) -> ObjectiveLine {
        let line = ObjectiveLine {
            at_ms: moment.at_ms,
            event_at: moment.event_at,
            who: self.named(&moment.player),
            text: moment.details().text.clone(),
        };
        remember(&mut self.objectives, line.clone());
        line
    }

    fn add_round(&mut self, moment: &Moment) -> Option<RoundLine> {
        let round_number = moment.details().round_number?;
        let at = match self.rounds.iter().position(|round| round.round_number == round_number) {
            Some(at) => at,
            None if self.rounds.len() >= MAX_ROUNDS => return None,
            None => {
                self.rounds.push(RoundLine { round_number, ..RoundLine::default() });
                self.rounds.len() - 1
            }
        };
        let round = &mut self.rounds[at];
        if moment.event_type == EventType::RoundStart {
            self.round_number = round_number;
            round.started_at = round.started_at.or(Some(moment.event_at));
        } else {
            round.ended_at = Some(moment.event_at);
            round.winning_team = moment.details().winning_team;
        }
        let line = round.clone();
        if moment.event_type == EventType::RoundStart {
            // Everybody plays again.
            for player in self.players.values_mut().filter(|player| player.alive != player.present) {
                let player = Arc::make_mut(player);
                player.alive = player.present;
            }
        }
        Some(line)
    }

    /// Somebody as they are called now: kills often name nobody.
    fn named(&self, who: &Who) -> Who {
        let mut named = who.clone();
        if let Some(player) = self.players.get(&who.player_id) {
            if named.name.is_empty() {
                named.name = player.name.clone();
            }
            if named.team == Team::Unknown {
                named.team = player.team;
            }
        }
        named
    }

    /// Changes a player's line; the environment has none.
    fn with_player(&mut self, who: &Who, change: impl FnOnce(&mut PlayerLine)) {
        if who.is_nobody() {
            return;
        }
        if let Some(player) = self.players.get_mut(&who.player_id) {
            return Arc::make_mut(player).note(who, change);
        }
        if self.players.len() >= MOST_PLAYERS {
            self.more_players = true;
            return;
        }
        let guest = is_guest_id(&who.player_id);
        let mut player = PlayerLine { guest, ..PlayerLine::default() };
        player.note(who, change);
        self.players.insert(who.player_id.clone(), Arc::new(player));
    }
}

impl PlayerLine {
    /// What an event says of a player, whatever it is about.
    fn note(&mut self, who: &Who, change: impl FnOnce(&mut PlayerLine)) {
        if !who.name.is_empty() && self.name != who.name {
            self.name = who.name.clone();
        }
        if who.team != Team::Unknown {
            self.team = who.team;
        }
        self.bot |= who.bot;
        change(self);
    }
}

fn remember<T>(lines: &mut VecDeque<T>, line: T) {
    if lines.len() == FEED_LINES {
        lines.pop_front();
    }
    lines.push_back(line);
}
