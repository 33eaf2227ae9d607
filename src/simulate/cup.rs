//! A whole cup: every match of a tournament is played on a simulated server, and nobody reports anything. What the servers send is
//! the only word on it.
//!
//! A tournament that has not begun is brought to its start, with made-up players if there are too few.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use reqwest::{Client, Method, StatusCode};
use serde::Serialize;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::courier;
use super::dice::Dice;

/// Made-up players of a tournament that has too few.
const FIELD: usize = 8;
/// Kills that end a game.
const KILLS_TO_WIN: u32 = 10;
const WEAPONS: [&str; 6] = ["M1 Garand", "Mauser KAR 98K", "Thompson", "MP40", "BAR", "StG 44"];
const MAPS: [&str; 4] = ["dm/mohdm1", "dm/mohdm2", "dm/mohdm6", "obj/obj_team2"];
/// From the end of a game until its bracket has to know.
const PATIENCE: Duration = Duration::from_secs(120);
const LOOK_EVERY: Duration = Duration::from_millis(200);

#[derive(Debug, thiserror::Error)]
pub enum CupError {
    #[error(transparent)]
    Client(#[from] courier::SimulateError),
    #[error("{call}: {source}")]
    Unreachable { call: String, source: reqwest::Error },
    #[error("{call} was answered with {status}: {answer}")]
    Refused { call: String, status: StatusCode, answer: String },
    #[error("participant {name} is neither a player nor a team: nobody could tell whose game it is")]
    Nobody { name: String },
    #[error("match {key} is not over {} s after its game", PATIENCE.as_secs())]
    Unheard { key: String },
    #[error("the tournament is {status}, and there is nothing to play")]
    Stuck { status: String },
    #[error("a cup needs a server at least")]
    NoServers,
    #[error("a server's task failed: {0}")]
    Task(#[from] tokio::task::JoinError),
}

pub struct CupOptions {
    /// Base address of the service.
    pub url: String,
    pub tournament_id: String,
    /// Of an organizer of the tournament.
    pub access_token: String,
    /// Ids and tokens.
    pub servers: Vec<(String, String)>,
    pub seed: u64,
}

/// What was played.
#[derive(Debug, Serialize)]
pub struct CupReport {
    pub tournament_id: String,
    pub status: String,
    pub matches_played: usize,
    pub games_played: usize,
    pub events_sent: usize,
    /// The first of the final places.
    pub champions: Vec<String>,
}

/// Plays until the tournament is over.
pub async fn play_cup(options: CupOptions, progress: impl Fn(String)) -> Result<CupReport, CupError> {
    if options.servers.is_empty() {
        return Err(CupError::NoServers);
    }
    let cup = Cup {
        client: courier::client()?,
        base: options.url.trim_end_matches('/').to_owned(),
        tournament_id: options.tournament_id,
        access_token: options.access_token,
        seed: options.seed,
    };
    cup.begin().await?;
    let mut free: VecDeque<(String, String)> = options.servers.into();
    let mut playing: JoinSet<Result<(Match, Played), CupError>> = JoinSet::new();
    let mut report = CupReport {
        tournament_id: cup.tournament_id.clone(),
        status: String::new(),
        matches_played: 0,
        games_played: 0,
        events_sent: 0,
        champions: Vec::new(),
    };
    let mut taken: Vec<String> = Vec::new();
    loop {
        for one in cup.matches().await? {
            let is_open = matches!(one["status"].as_str(), Some("ready" | "running"));
            let key = text(&one["key"]);
            if !is_open || taken.contains(&key) {
                continue;
            }
            let Some(server) = free.pop_front() else { break };
            taken.push(key.clone());
            let sides = cup.sides(&one).await?;
            playing.spawn(cup.clone().play(Match { key, server, sides }));
        }
        match playing.join_next().await {
            Some(ended) => {
                let (over, played) = ended??;
                report.matches_played += 1;
                report.games_played += played.games;
                report.events_sent += played.events;
                progress(format!("{} is over", over.key));
                free.push_back(over.server);
            }
            None => {
                report.status = text(&cup.get("").await?["status"]);
                if report.status != "in_progress" {
                    break;
                }
                if !cup.pairs_another_round().await? {
                    return Err(CupError::Stuck { status: report.status });
                }
            }
        }
    }
    report.champions = cup.champions().await?;
    Ok(report)
}

#[derive(Clone)]
struct Cup {
    client: Client,
    base: String,
    tournament_id: String,
    access_token: String,
    seed: u64,
}

struct Match {
    key: String,
    server: (String, String),
    /// Player ids with names.
    sides: [Vec<(String, String)>; 2],
}

struct Played {
    games: usize,
    events: usize,
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

impl Cup {
    async fn call(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> Result<(StatusCode, Value), CupError> {
        let call = format!("{method} {path}");
        let mut request =
            self.client.request(method, format!("{}{path}", self.base)).bearer_auth(&self.access_token);
        if let Some(body) = body {
            request = request.header("Content-Type", "application/json").body(body.to_string());
        }
        let unreachable = |source| CupError::Unreachable { call: call.clone(), source };
        let answer = request.send().await.map_err(unreachable)?;
        let status = answer.status();
        let answer = answer.text().await.map_err(unreachable)?;
        Ok((status, serde_json::from_str(&answer).unwrap_or(Value::String(answer))))
    }

    async fn done(&self, method: Method, path: &str, body: Option<Value>) -> Result<Value, CupError> {
        let call = format!("{method} {path}");
        match self.call(method, path, body).await? {
            (status, answer) if status.is_success() => Ok(answer),
            (status, answer) => Err(CupError::Refused { call, status, answer: answer.to_string() }),
        }
    }

    fn path(&self, rest: &str) -> String {
        format!("/api/v1/tournaments/{}{rest}", self.tournament_id)
    }

    async fn get(&self, rest: &str) -> Result<Value, CupError> {
        self.done(Method::GET, &self.path(rest), None).await
    }

    async fn post(&self, rest: &str, body: Value) -> Result<Value, CupError> {
        self.done(Method::POST, &self.path(rest), Some(body)).await
    }

    async fn moves_to(&self, status: &str) -> Result<(), CupError> {
        self.post("/status", json!({ "status": status })).await.map(drop)
    }

    /// From wherever it is to where matches can be played.
    async fn begin(&self) -> Result<(), CupError> {
        let tournament = self.get("").await?;
        let mut status = text(&tournament["status"]);
        if status == "draft" {
            self.moves_to("registration_open").await?;
            "registration_open".clone_into(&mut status);
        }
        if status == "registration_open" {
            self.fill(&tournament).await?;
            self.moves_to("registration_closed").await?;
            "registration_closed".clone_into(&mut status);
        }
        let has_checkin = tournament["checkin_start"].is_string() || tournament["checkin_end"].is_string();
        if status == "registration_closed" && has_checkin {
            self.moves_to("checkin").await?;
            "checkin".clone_into(&mut status);
        }
        if status == "checkin" {
            for one in self.participants().await? {
                if one["status"] == "registered" && one["checked_in"] == false {
                    self.post("/checkin", json!({ "participant_id": one["participant_id"] })).await?;
                }
            }
        }
        match status.as_str() {
            "registration_closed" | "checkin" => self.moves_to("in_progress").await,
            "in_progress" => Ok(()),
            _ => Err(CupError::Stuck { status }),
        }
    }

    async fn participants(&self) -> Result<Vec<Value>, CupError> {
        let list = self.get("/participants").await?;
        Ok(list["participants"].as_array().cloned().unwrap_or_default())
    }

    async fn fill(&self, tournament: &Value) -> Result<(), CupError> {
        let number = |name: &str| tournament[name].as_u64().and_then(|number| usize::try_from(number).ok());
        let need = number("min_participants").unwrap_or(2).max(2);
        let have = number("participants").unwrap_or(0);
        if have >= need {
            return Ok(());
        }
        let most = number("max_participants").unwrap_or(FIELD);
        for made_up in have + 1..=FIELD.max(need).min(most) {
            let guid = format!("cup{:012x}{made_up:04}", self.seed);
            self.post("/register", json!({ "name": format!("Recruit {made_up}"), "player_guid": guid }))
                .await?;
        }
        Ok(())
    }

    async fn matches(&self) -> Result<Vec<Value>, CupError> {
        let bracket = self.get("/bracket").await?;
        let below = |value: &Value, name: &str| value[name].as_array().cloned().unwrap_or_default();
        let groups = below(&bracket, "stages").into_iter().flat_map(|stage| below(&stage, "groups"));
        let rounds = groups.flat_map(|group| below(&group, "rounds"));
        Ok(rounds.flat_map(|round| below(&round, "matches")).collect())
    }

    /// Who plays a match: the player of each side, or the members of its team.
    async fn sides(&self, one: &Value) -> Result<[Vec<(String, String)>; 2], CupError> {
        let participants = self.participants().await?;
        let mut sides: [Vec<(String, String)>; 2] = Default::default();
        for (side, players) in sides.iter_mut().enumerate() {
            let id = &one["slots"][side]["participant_id"];
            let participant = participants.iter().find(|participant| participant["participant_id"] == *id);
            let participant = participant.cloned().unwrap_or_default();
            let name = text(&participant["name"]);
            if let Some(team_id) = participant["team_id"].as_str() {
                let members = self
                    .done(Method::GET, &format!("/api/v1/teams/{team_id}/members?limit=100"), None)
                    .await?;
                let members = members["members"].as_array().cloned().unwrap_or_default();
                let member = |member: &Value| (member["user_id"].to_string(), text(&member["display_name"]));
                players.extend(members.iter().map(member));
            } else if let Some(player_id) = participant["player_id"].as_str() {
                players.push((player_id.to_owned(), name.clone()));
            }
            if players.is_empty() {
                return Err(CupError::Nobody { name });
            }
        }
        Ok(sides)
    }

    /// Plays games until the bracket has it that the match is over.
    async fn play(self, one: Match) -> Result<(Match, Played), CupError> {
        let schedule = format!("/matches/{}/schedule", one.key);
        // A token is given with a server; one that had it before gets another.
        self.post(&schedule, json!({ "server_id": null })).await?;
        let given = self.post(&schedule, json!({ "server_id": one.server.0 })).await?;
        let match_token = text(&given["match_token"]);
        let mut played = Played { games: 0, events: 0 };
        loop {
            let events = self.game(&one, played.games, &match_token);
            played.games += 1;
            played.events += events.len();
            self.send(&one.server.1, &events).await?;
            if self.is_over_after(&one.key, played.games).await? {
                return Ok((one, played));
            }
        }
    }

    /// Waits until the bracket has heard of the game; whether the match is over with it.
    async fn is_over_after(&self, key: &str, games: usize) -> Result<bool, CupError> {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            tokio::time::sleep(LOOK_EVERY).await;
            let now = self.get(&format!("/matches/{key}")).await?;
            if now["status"] == "completed" {
                return Ok(true);
            }
            if now["games"].as_array().is_some_and(|heard| heard.len() >= games) {
                return Ok(false);
            }
        }
        Err(CupError::Unheard { key: key.to_owned() })
    }

    async fn send(&self, token: &str, events: &[Value]) -> Result<(), CupError> {
        let path = "/api/v1/ingest/events";
        let call = format!("POST {path}");
        let body = Value::Array(events.to_vec()).to_string();
        let request =
            self.client.post(format!("{}{path}", self.base)).header("X-Server-Token", token).body(body);
        let unreachable = |source| CupError::Unreachable { call: call.clone(), source };
        let answer = request.send().await.map_err(unreachable)?;
        match answer.status() {
            StatusCode::ACCEPTED => Ok(()),
            status => {
                let answer = answer.text().await.map_err(unreachable)?;
                Err(CupError::Refused { call, status, answer })
            }
        }
    }

    /// The events of one game, in the words of the scripts with match ids. One side wins by kills.
    fn game(&self, one: &Match, number: usize, match_token: &str) -> Vec<Value> {
        let named: u64 =
            one.key.bytes().fold(0, |sum, byte| sum.wrapping_mul(31).wrapping_add(u64::from(byte)));
        let mut dice = Dice::new(self.seed, "cup", &[named, number as u64]);
        let map = *dice.pick(&MAPS);
        let match_id = format!("{}-{}-{}", self.tournament_id, one.key, number + 1);
        // Sides change from game to game.
        let teams = if number.is_multiple_of(2) { ["allies", "axis"] } else { ["axis", "allies"] };
        let mut at = 1.0;
        let mut events = Vec::new();
        let mut say = |mut event: Value, at: f64| {
            event["match_id"] = json!(match_id);
            event["timestamp"] = json!(at);
            event["map_name"] = json!(map);
            event["gametype"] = json!("tdm");
            event["match_token"] = json!(match_token);
            events.push(event);
        };
        say(json!({ "type": "match_start" }), at);
        for (side, players) in one.sides.iter().enumerate() {
            for (guid, name) in players {
                at += 0.1;
                let spawn = json!({ "type": "player_spawn", "player_guid": guid, "player_name": name, "player_team": teams[side] });
                say(spawn, at);
            }
        }
        let strength = dice.between(0.35, 0.65);
        let mut kills = [0u32; 2];
        while kills.iter().all(|kills| *kills < KILLS_TO_WIN) {
            at += dice.between(2.0, 8.0);
            let side = usize::from(!dice.chance(strength));
            kills[side] += 1;
            let (killer, victim) =
                (dice.pick(&one.sides[side]).clone(), dice.pick(&one.sides[1 - side]).clone());
            let weapon = *dice.pick(&WEAPONS);
            let is_headshot = dice.chance(0.2);
            let [x, y] = [dice.between(-1500.0, 1500.0), dice.between(-1500.0, 1500.0)];
            let kill = json!({
                "type": "player_kill", "weapon": weapon, "damage": 100.0, "mod": "bullet",
                "hitloc": if is_headshot { "head" } else { "torso_upper" },
                "attacker_name": killer.1, "attacker_guid": killer.0, "attacker_team": teams[side],
                "attacker_x": x, "attacker_y": y, "attacker_z": 0.0,
                "victim_name": victim.1, "victim_guid": victim.0, "victim_team": teams[1 - side],
                "victim_x": x + dice.between(-400.0, 400.0), "victim_y": y + dice.between(-400.0, 400.0), "victim_z": 0.0,
            });
            say(kill, at);
        }
        let score = BTreeMap::from([(teams[0], kills[0]), (teams[1], kills[1])]);
        let winner = if kills[0] > kills[1] { teams[0] } else { teams[1] };
        let end = json!({
            "type": "match_end", "allies_score": score["allies"], "axis_score": score["axis"],
            "winning_team": winner,
        });
        say(end, at + 1.0);
        events
    }

    /// Another round of Swiss, where the format has one.
    async fn pairs_another_round(&self) -> Result<bool, CupError> {
        let (status, _) = self.call(Method::POST, &self.path("/rounds/next"), Some(json!({}))).await?;
        Ok(status.is_success())
    }

    async fn champions(&self) -> Result<Vec<String>, CupError> {
        let standings = self.get("/standings").await?;
        let participants = self.participants().await?;
        let first = standings["final"][0].as_array().cloned().unwrap_or_default();
        let named = participants.iter().filter(|one| first.contains(&one["participant_id"]));
        Ok(named.map(|one| text(&one["name"])).collect())
    }
}
