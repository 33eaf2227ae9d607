//! The shapes of live streams.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use mohaa_actors::live::{Renditions, Seen, Unlocked, Update, What};
use mohaa_domain::event::{Millis, Text};
use mohaa_domain::live::{Board, ChatLine, KillLine, ObjectiveLine, PlayerLine, RoundLine, Who};
use mohaa_domain::name::strip_colors;
use mohaa_domain::vocabulary::{GameType, Team};
use mohaa_domain::weapon;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

use super::Live;
use super::stream::{Form, Message};
use crate::players::CanonicalIds;
use crate::stats::ANONYMOUS_PREFIX;

const TOP_WEAPONS: usize = 10;
const SHOWN_OBJECTIVES: usize = 5;
/// Kills that a snapshot brings along.
const SNAPSHOT_KILLS: usize = 20;
const ANONYMOUS_NAME: &str = "Anonymous";

/// A match in the list of live ones.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ListedLiveMatch {
    pub match_id: Uuid,
    /// What the server calls it; null when it does not name its matches.
    pub source_match_id: Option<String>,
    pub server_id: Uuid,
    pub server_name: String,
    pub map_name: Option<String>,
    pub gametype: Option<String>,
    pub allies_score: i32,
    pub axis_score: i32,
    pub player_count: u64,
    pub max_players: Option<i32>,
    pub round_number: i32,
    /// Who has most kills where everybody fights for himself.
    #[serde(default)]
    pub leader: Option<LiveLeader>,
    pub started_at: Option<DateTime<Utc>>,
    pub updated_at: DateTime<Utc>,
    pub tournament_id: Option<Uuid>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct LiveLeader {
    pub player_id: String,
    pub player_name: String,
    pub player_name_raw: String,
    pub kills: u32,
}

#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct LiveList {
    pub matches: Vec<ListedLiveMatch>,
}

/// A match as it stands.
#[derive(Serialize, ToSchema)]
pub struct LiveState {
    pub match_id: Uuid,
    pub source_match_id: Option<String>,
    pub server_id: Uuid,
    pub server_name: String,
    pub map_name: Option<String>,
    pub gametype: Option<String>,
    /// live or ended.
    pub status: &'static str,
    /// Something is missing that happened before.
    pub stale: bool,
    pub started_at: Option<DateTime<Utc>>,
    pub updated_at: DateTime<Utc>,
    pub ended_at: Option<DateTime<Utc>>,
    /// Seconds of the level's clock.
    pub clock_seconds: i64,
    pub allies_score: i32,
    pub axis_score: i32,
    /// allies or axis; none for a draw.
    pub winning_team: Option<&'static str>,
    pub player_count: u64,
    pub max_players: Option<i32>,
    pub round_number: i32,
    pub rounds: Vec<LiveRound>,
    /// Most kills first, 4,096 at most.
    pub players: Vec<LivePlayer>,
    /// Whether there were more players: those who came later are left out.
    pub more_players: bool,
    pub top_weapons: Vec<LiveWeapon>,
    /// Kills of allies less kills of axis, a number for each 15 seconds.
    pub momentum: Vec<i32>,
    /// What was captured or destroyed last, the oldest first.
    pub objectives: Vec<LiveObjective>,
    /// In a snapshot: the last ones, the oldest first.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false)]
    pub kills: Option<Vec<LiveKill>>,
    /// In a snapshot: the last ones, the oldest first.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false)]
    pub chat: Option<Vec<LiveChat>>,
    /// In a snapshot: all of the match, the oldest first.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = false)]
    pub achievements: Option<Vec<LiveAchievement>>,
}

/// A tier that somebody has unlocked.
#[derive(Serialize, ToSchema)]
pub struct LiveAchievement {
    pub player_id: String,
    pub player_name: String,
    pub player_name_raw: String,
    pub slug: String,
    pub name: String,
    pub description: String,
    pub icon: String,
    pub tier: i16,
    /// How many tiers there are.
    pub tiers: usize,
    /// Of this tier.
    pub points: i32,
    pub at: DateTime<Utc>,
}

#[derive(Serialize, ToSchema)]
pub struct LivePlayer {
    pub player_id: String,
    pub player_name: String,
    pub player_name_raw: String,
    pub guest: bool,
    pub bot: bool,
    pub team: Option<&'static str>,
    /// On the server now.
    pub present: bool,
    pub alive: bool,
    pub kills: u32,
    pub deaths: u32,
    pub headshots: u32,
    pub damage: f64,
    pub accuracy: Option<f64>,
    pub suicides: u32,
    pub team_kills: u32,
    /// Kills since the last death.
    pub streak: u32,
    pub best_killstreak: u32,
    /// Most kills within four seconds of each other.
    pub best_multi_kill: u32,
    /// Of which `accuracy` is made.
    #[serde(skip)]
    #[schema(ignore)]
    shots: PlayerLine,
}

#[derive(Serialize, ToSchema)]
pub struct LiveWeapon {
    pub slug: String,
    pub name: String,
    pub kills: u32,
    pub headshots: u32,
}

#[derive(Serialize, ToSchema)]
pub struct LiveRound {
    pub round_number: i32,
    /// allies or axis; none for a draw.
    pub winning_team: Option<&'static str>,
    pub started_at: Option<DateTime<Utc>>,
    pub ended_at: Option<DateTime<Utc>>,
}

/// Somebody in a line.
#[derive(Serialize, ToSchema)]
pub struct LiveWho {
    pub player_id: String,
    pub player_name: String,
    pub player_name_raw: String,
    pub team: Option<&'static str>,
}

#[derive(Serialize, ToSchema)]
pub struct LiveKill {
    /// Seconds into the match.
    pub t: f64,
    pub at: DateTime<Utc>,
    /// Null for the environment.
    pub actor: Option<LiveWho>,
    pub target: Option<LiveWho>,
    pub weapon: Option<LiveWeaponName>,
    /// kill, suicide, team_kill or world.
    pub kind: &'static str,
    pub headshot: bool,
    pub hitloc: Option<String>,
    pub means_of_death: Option<String>,
    /// The killer's run.
    pub streak: u32,
    /// Kills within four seconds of each other.
    pub multi: u32,
    pub first_blood: bool,
}

#[derive(Serialize, ToSchema)]
pub struct LiveWeaponName {
    pub slug: String,
    pub name: String,
}

/// A line of chat, to everybody.
#[derive(Serialize, ToSchema)]
pub struct LiveChat {
    /// Seconds into the match.
    pub t: f64,
    pub at: DateTime<Utc>,
    pub who: Option<LiveWho>,
    pub text: String,
}

/// Something that was captured or destroyed.
#[derive(Serialize, ToSchema)]
pub struct LiveObjective {
    /// Seconds into the match.
    pub t: f64,
    pub at: DateTime<Utc>,
    pub who: Option<LiveWho>,
    pub text: String,
}

fn json(value: &impl Serialize) -> String {
    // Shapes of our own have text for keys.
    serde_json::to_string(value).unwrap_or_else(|_| "{}".to_owned())
}

/// For programs.
pub(super) struct Json;

impl Form for Json {
    fn snapshot(&self, live: &Live, seen: &Seen) -> Vec<Message> {
        let json = || Message::new("snapshot", &json(&live.state(seen, true)));
        vec![Message::once(&seen.renditions.json, json)]
    }

    fn update(&self, live: &Live, update: &Update) -> Vec<Message> {
        let event = match &update.what {
            What::State(_) => "state",
            What::Kill(_) => "kill",
            What::Chat(_) => "chat",
            What::Objective(_) => "objective",
            What::Round(_) => "round",
            What::Achievement(..) => "achievement",
            What::End(_) => "end",
        };
        let rendition = || match &update.what {
            What::State(seen) | What::End(seen) => json(&live.state(seen, false)),
            What::Kill(kill) => json(&live.kill(kill)),
            // What a side says to itself is nobody else's business while it plays: the number is told, not the words.
            What::Chat(line) if line.team_only => json(&serde_json::json!({ "team_only": true })),
            What::Chat(line) => json(&live.chat(line)),
            What::Objective(line) => json(&live.objective(line)),
            What::Round(line) => json(&round(line)),
            What::Achievement(unlocked, name) => json(&live.achievement(unlocked, name)),
        };
        vec![Message::once(&update.renditions.json, || Message::new(event, &rendition()))]
    }

    fn list(&self, list: &LiveList, renditions: &Renditions) -> Message {
        Message::once(&renditions.json, || Message::new("snapshot", &json(list)))
    }
}

impl Live {
    /// A match as it stands.
    pub fn state(&self, seen: &Seen, with_kills: bool) -> LiveState {
        let board = &seen.board;
        LiveState {
            match_id: seen.match_id,
            source_match_id: (!seen.source_match_id.is_empty()).then(|| seen.source_match_id.clone()),
            server_id: seen.server_id,
            server_name: self.server_name(seen.server_id),
            map_name: word(&board.map_name),
            gametype: game_type(board.game_type),
            status: if seen.ended_at.is_some() { "ended" } else { "live" },
            stale: seen.stale,
            started_at: board.started_at.and_then(time),
            updated_at: time(board.updated_at).unwrap_or_default(),
            ended_at: seen.ended_at.and_then(time),
            clock_seconds: board.clock_ms / 1000,
            allies_score: board.scores.allies,
            axis_score: board.scores.axis,
            winning_team: winner(board.winning_team),
            player_count: board.player_count(),
            max_players: board.max_players,
            round_number: board.round_number,
            rounds: board.rounds.iter().map(round).collect(),
            players: self.players(board),
            more_players: board.more_players,
            top_weapons: top_weapons(board),
            momentum: board.momentum.clone(),
            objectives: {
                let from = board.objectives.len().saturating_sub(SHOWN_OBJECTIVES);
                board.objectives.iter().skip(from).map(|line| self.objective(line)).collect()
            },
            kills: with_kills.then(|| {
                let from = board.kills.len().saturating_sub(SNAPSHOT_KILLS);
                board.kills.iter().skip(from).map(|kill| self.kill(kill)).collect()
            }),
            chat: with_kills.then(|| {
                board.chat.iter().filter(|line| !line.team_only).map(|line| self.chat(line)).collect()
            }),
            achievements: with_kills.then(|| {
                let name = |unlocked: &Unlocked| {
                    board.players.get(&unlocked.player_id).map_or("", |line| line.name.as_str())
                };
                seen.achievements
                    .iter()
                    .filter_map(|unlocked| self.achievement(unlocked, name(unlocked)))
                    .collect()
            }),
        }
    }

    pub(super) fn listed(&self, seen: &Seen) -> ListedLiveMatch {
        let board = &seen.board;
        ListedLiveMatch {
            match_id: seen.match_id,
            source_match_id: (!seen.source_match_id.is_empty()).then(|| seen.source_match_id.clone()),
            server_id: seen.server_id,
            server_name: self.server_name(seen.server_id),
            map_name: word(&board.map_name),
            gametype: game_type(board.game_type),
            allies_score: board.scores.allies,
            axis_score: board.scores.axis,
            player_count: board.player_count(),
            max_players: board.max_players,
            round_number: board.round_number,
            leader: self.leader(board),
            started_at: board.started_at.and_then(time),
            updated_at: time(board.updated_at).unwrap_or_default(),
            tournament_id: None,
        }
    }

    fn leader(&self, board: &Board) -> Option<LiveLeader> {
        if !matches!(board.game_type, GameType::FreeForAll | GameType::Single) {
            return None;
        }
        let first = self.players(board).into_iter().next().filter(|first| first.kills > 0)?;
        let LivePlayer { player_id, player_name, player_name_raw, kills, .. } = first;
        Some(LiveLeader { player_id, player_name, player_name_raw, kills })
    }

    fn players(&self, board: &Board) -> Vec<LivePlayer> {
        let mut by_person: BTreeMap<String, LivePlayer> = BTreeMap::new();
        for (player_id, line) in &board.players {
            let player = live_player(&self.players, player_id, line);
            match by_person.get_mut(&player.player_id) {
                // One person under two ids, as who logs in in the middle of a match.
                Some(known) => join(known, player),
                None => drop(by_person.insert(player.player_id.clone(), player)),
            }
        }
        let mut players: Vec<LivePlayer> = by_person.into_values().collect();
        players.sort_by(|one, other| {
            (other.kills, one.deaths, &one.player_id).cmp(&(one.kills, other.deaths, &other.player_id))
        });
        players
    }

    /// A line of the kill feed.
    pub fn kill(&self, kill: &KillLine) -> LiveKill {
        LiveKill {
            t: seconds(kill.at_ms),
            at: time(kill.event_at).unwrap_or_default(),
            actor: self.who(&kill.actor),
            target: self.who(&kill.target),
            weapon: (!kill.weapon.is_empty()).then(|| weapon_name(&kill.weapon)),
            kind: kill.kind.as_str(),
            headshot: kill.headshot,
            hitloc: word(&kill.hitloc),
            means_of_death: word(&kill.means_of_death),
            streak: kill.streak,
            multi: kill.multi,
            first_blood: kill.first_blood,
        }
    }

    /// A line of chat.
    pub fn chat(&self, line: &ChatLine) -> LiveChat {
        LiveChat {
            t: seconds(line.at_ms),
            at: time(line.event_at).unwrap_or_default(),
            who: self.who(&line.who),
            text: line.text.to_string(),
        }
    }

    /// Something that was captured or destroyed.
    pub fn objective(&self, line: &ObjectiveLine) -> LiveObjective {
        LiveObjective {
            t: seconds(line.at_ms),
            at: time(line.event_at).unwrap_or_default(),
            who: self.who(&line.who),
            text: line.text.to_string(),
        }
    }

    /// An unlocked tier; none of a definition that is no more.
    pub fn achievement(&self, unlocked: &Unlocked, name: &str) -> Option<LiveAchievement> {
        let catalogue = self.achievements.definitions();
        let definition = catalogue.of(&unlocked.tier.achievement)?;
        let tier = definition.tiers.iter().find(|tier| tier.tier == unlocked.tier.tier)?;
        let Named { player_id, plain, raw } = named(&self.players, &unlocked.player_id, name);
        Some(LiveAchievement {
            player_id,
            player_name: plain,
            player_name_raw: raw,
            slug: definition.slug.clone(),
            name: definition.name.clone(),
            description: definition.description.clone(),
            icon: definition.icon.clone(),
            tier: tier.tier,
            tiers: definition.tiers.len(),
            points: tier.points,
            at: time(unlocked.at).unwrap_or_default(),
        })
    }

    fn who(&self, who: &Who) -> Option<LiveWho> {
        if who.is_nobody() {
            return None;
        }
        let Named { player_id, plain, raw } = named(&self.players, &who.player_id, &who.name);
        Some(LiveWho { player_id, player_name: plain, player_name_raw: raw, team: team(who.team) })
    }
}

struct Named {
    player_id: String,
    plain: String,
    raw: String,
}

/// Whom an id stands for, and what they may be called.
fn named(players: &CanonicalIds, player_id: &str, name: &str) -> Named {
    let player_id = players.of(player_id);
    let raw = match player_id.starts_with(ANONYMOUS_PREFIX) {
        true => ANONYMOUS_NAME.to_owned(),
        false if name.is_empty() => player_id.clone(),
        false => name.to_owned(),
    };
    let plain = strip_colors(&raw).trim().to_owned();
    Named { plain: if plain.is_empty() { player_id.clone() } else { plain }, raw, player_id }
}

fn live_player(players: &CanonicalIds, player_id: &str, line: &PlayerLine) -> LivePlayer {
    let Named { player_id, plain, raw } = named(players, player_id, &line.name);
    LivePlayer {
        player_id,
        player_name: plain,
        player_name_raw: raw,
        guest: line.guest,
        bot: line.bot,
        team: team(line.team),
        present: line.present,
        alive: line.alive,
        kills: line.kills,
        deaths: line.deaths,
        headshots: line.headshots,
        damage: line.damage as f64 / 1000.0,
        accuracy: percent(line),
        shots: line.clone(),
        suicides: line.suicides,
        team_kills: line.team_kills,
        streak: line.streak,
        best_killstreak: line.best_streak,
        best_multi_kill: line.best_multi,
    }
}

fn percent(line: &PlayerLine) -> Option<f64> {
    line.accuracy().map(|percent| (percent * 10.0).round() / 10.0)
}

fn join(known: &mut LivePlayer, more: LivePlayer) {
    known.shots.shots_fired += more.shots.shots_fired;
    known.shots.shots_hit += more.shots.shots_hit;
    known.shots.summary_shots_fired += more.shots.summary_shots_fired;
    known.shots.summary_shots_hit += more.shots.summary_shots_hit;
    known.accuracy = percent(&known.shots);
    known.kills += more.kills;
    known.deaths += more.deaths;
    known.headshots += more.headshots;
    known.damage += more.damage;
    known.suicides += more.suicides;
    known.team_kills += more.team_kills;
    known.best_killstreak = known.best_killstreak.max(more.best_killstreak);
    known.best_multi_kill = known.best_multi_kill.max(more.best_multi_kill);
    if more.present && !known.present {
        (known.present, known.alive, known.team, known.streak) = (true, more.alive, more.team, more.streak);
    }
}

fn top_weapons(board: &Board) -> Vec<LiveWeapon> {
    let mut weapons: Vec<LiveWeapon> = board
        .weapons
        .iter()
        .map(|(slug, line)| {
            let LiveWeaponName { slug, name } = weapon_name(slug);
            LiveWeapon { slug, name, kills: line.kills, headshots: line.headshots }
        })
        .collect();
    weapons.sort_by(|one, other| other.kills.cmp(&one.kills).then_with(|| one.slug.cmp(&other.slug)));
    weapons.truncate(TOP_WEAPONS);
    weapons
}

fn weapon_name(slug: &str) -> LiveWeaponName {
    let name = weapon::by_slug(slug).map_or(slug, |weapon| weapon.name);
    LiveWeaponName { slug: slug.to_owned(), name: name.to_owned() }
}

fn round(line: &RoundLine) -> LiveRound {
    LiveRound {
        round_number: line.round_number,
        winning_team: winner(line.winning_team),
        started_at: line.started_at.and_then(time),
        ended_at: line.ended_at.and_then(time),
    }
}

fn word(text: &Text) -> Option<String> {
    (!text.is_empty()).then(|| text.to_string())
}

fn game_type(game_type: GameType) -> Option<String> {
    (game_type != GameType::Unknown).then(|| game_type.as_str().to_owned())
}

fn team(team: Team) -> Option<&'static str> {
    matches!(team, Team::Allies | Team::Axis | Team::FreeForAll | Team::Spectator).then(|| team.as_str())
}

fn winner(side: Team) -> Option<&'static str> {
    matches!(side, Team::Allies | Team::Axis | Team::None).then(|| side.as_str())
}

fn time(millis: Millis) -> Option<DateTime<Utc>> {
    DateTime::from_timestamp_millis(millis.0)
}

fn seconds(at_ms: i64) -> f64 {
    at_ms as f64 / 1000.0
}
