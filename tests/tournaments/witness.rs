//! Game servers as witnesses: brackets that report themselves.

use mohaa_stats::startup::Surroundings;
use mohaa_stats::users::Role;
use serde_json::{Value, json};

use crate::support::{Cup, Service, eventually, schemas};

/// Two players, who are linked, in a final on the service's own server.
pub(super) struct Duel {
    pub service: Service,
    pub cup: Cup,
    pub token: String,
    pub guids: [String; 2],
    pub players: Vec<String>,
}

pub(super) async fn duel(name: &str, settings: Value) -> Duel {
    let service = Service::start(name).await;
    let (_, organizer) = service.add_user("Organizer", Role::Organizer).await;
    let cup = Cup::draft(&service.client, &organizer, settings).await;
    cup.moves_to("registration_open").await;
    let guids = [format!("{name}-one"), format!("{name}-two")];
    let mut players = Vec::new();
    for guid in &guids {
        let (user_id, token) = service.add_user(guid, Role::Player).await;
        service.link_player(user_id, guid).await;
        let entered = service.client.call_as(&token, "POST", &cup.path("/register"), json!({})).await;
        assert_eq!(entered.status, 201, "{}", entered.text);
        players.push(token);
    }
    cup.moves_to("registration_closed").await;
    cup.moves_to("in_progress").await;
    let planned = cup.does("/matches/R1.1/schedule", json!({ "server_id": service.server_id })).await;
    let token = planned["match_token"].as_str().unwrap().to_owned();
    // Who follows a link hears of it a moment later.
    eventually("the players are known as users", async || {
        let answer = service.client.get(&format!("/api/v1/stats/player/{}", guids[0])).await;
        (answer.status != 503).then_some(())
    })
    .await;
    Duel { service, cup, token, guids, players }
}

pub(super) fn single() -> Value {
    json!({ "name": "Final", "format": "single_elimination" })
}

impl Duel {
    /// A game of the two, the first among the Allies or not, with more players or a token if wanted.
    pub async fn plays(&self, game: &str, is_first_allied: bool, scores: (u32, u32), more: Value) {
        let (first, second) = if is_first_allied { ("allies", "axis") } else { ("axis", "allies") };
        let kill = |at: f64, killer: usize| {
            let teams = [first, second];
            let mut kill = json!({
                "type": "player_kill", "match_id": game, "timestamp": at, "weapon": "M1 Garand", "map_name": "dm/mohdm6",
                "gametype": "tdm",
                "attacker_name": "A", "attacker_guid": self.guids[killer], "attacker_team": teams[killer],
                "victim_name": "B", "victim_guid": self.guids[1 - killer], "victim_team": teams[1 - killer],
            });
            if let (Value::Object(kill), Value::Object(more)) = (&mut kill, more.clone()) {
                kill.extend(more);
            }
            kill
        };
        let (allies, axis) = if is_first_allied { scores } else { (scores.1, scores.0) };
        let end = json!({
            "type": "match_end", "match_id": game, "timestamp": 60.0, "allies_score": allies, "axis_score": axis,
        });
        let events = json!([kill(10.0, 0), kill(20.0, 1), end]);
        self.service.client.send(events.to_string()).await.assert_batch(202, 3, &[]);
    }

    /// What the server says came out.
    pub async fn tells_result(&self, result: &Value) {
        let headers = [("X-Server-Token", self.service.client.token.as_str())];
        let path = "/api/v1/ingest/match-result";
        let told = self.service.client.post(path, &headers, result.to_string()).await.unwrap();
        assert_eq!(told.status, 202, "{}", told.text);
    }

    pub async fn completes(&self) -> Value {
        eventually("the server has reported", async || {
            let one = self.cup.one("R1.1").await;
            (one["status"] == "completed").then_some(one)
        })
        .await
    }

    pub async fn has_been_witnessed(&self, games: i64) {
        eventually("every game was looked at", async || {
            let seen: i64 = sqlx::query_scalar("SELECT count(*) FROM match_summaries WHERE witnessed")
                .fetch_one(&self.service.application.postgres)
                .await
                .unwrap();
            (seen == games).then_some(())
        })
        .await;
    }
}

fn scores(one: &Value) -> (u64, u64) {
    (one["slots"][0]["score"].as_u64().unwrap(), one["slots"][1]["score"].as_u64().unwrap())
}

#[actix_web::test]
async fn a_game_with_the_matchs_token_reports_itself_whoever_plays_for_whom() {
    let duel = duel("token", single()).await;
    duel.plays("final", false, (7, 4), json!({ "match_token": duel.token })).await;
    let one = duel.completes().await;
    assert_eq!(scores(&one), (7, 4));
    assert_eq!(one["games"][0]["map"], "dm/mohdm6");
    assert_eq!(duel.cup.status().await, "completed");
    let log = duel.service.client.get_as(&duel.cup.organizer, &duel.cup.path("/audit")).await;
    assert!(!log.text.contains(&duel.token), "a token is nobody's to read");
    duel.service.stop().await;
}

#[actix_web::test]
async fn a_game_of_exactly_the_expected_players_on_the_assigned_server_reports_itself() {
    let duel = duel("expected", single()).await;
    // Somebody else plays along: it is no game of the bracket.
    let stranger = json!({
        "type": "player_kill", "match_id": "warm-up", "timestamp": 5.0, "weapon": "M1 Garand",
        "attacker_name": "S", "attacker_guid": "stranger", "attacker_team": "allies",
        "victim_name": "B", "victim_guid": duel.guids[1], "victim_team": "axis",
    });
    duel.service.client.send(json!([stranger]).to_string()).await.assert_batch(202, 1, &[]);
    duel.plays("warm-up", true, (1, 9), json!({})).await;
    duel.has_been_witnessed(1).await;
    assert_eq!(duel.cup.one("R1.1").await["status"], "ready");
    duel.plays("final", true, (3, 2), json!({})).await;
    assert_eq!(scores(&duel.completes().await), (3, 2));
    duel.service.stop().await;
}

#[actix_web::test]
async fn a_result_that_names_the_match_reports_it_and_one_of_another_server_does_not() {
    let duel = duel("named", single()).await;
    let result = |id: &str| {
        json!({
            "match_id": id, "map_name": "dm/mohdm1", "gametype": "tdm", "winning_team": "axis", "allies_score": 4,
            "axis_score": 6, "tournament_id": duel.cup.id, "bracket_match": "R1.1",
            "players": [
                { "player_id": duel.guids[0], "team": "axis" },
                { "player_id": duel.guids[1], "team": "allies" },
            ],
        })
        .to_string()
    };
    let (_, other) = duel.service.add_server("Elsewhere").await;
    let sends = async |token: &str, body: String| {
        let headers = [("X-Server-Token", token)];
        duel.service.client.post("/api/v1/ingest/match-result", &headers, body).await.unwrap()
    };
    assert_eq!(sends(&other, result("theirs")).await.status, 202);
    duel.has_been_witnessed(1).await;
    assert_eq!(duel.cup.one("R1.1").await["status"], "ready");
    let own = duel.service.client.token.clone();
    assert_eq!(sends(&own, result("ours")).await.status, 202);
    assert_eq!(scores(&duel.completes().await), (6, 4));
    // Again, it changes nothing.
    let version = duel.cup.get("").await["version"].clone();
    assert_eq!(sends(&own, result("ours")).await.status, 202);
    duel.has_been_witnessed(2).await;
    assert_eq!(duel.cup.get("").await["version"], version);
    duel.service.stop().await;
}

#[actix_web::test]
async fn a_game_that_nobody_said_was_over_decides_nothing() {
    let duel = duel("aborted", single()).await;
    let kill = json!([{
        "type": "player_kill", "match_id": "first try", "timestamp": 5.0, "weapon": "M1 Garand", "map_name": "dm/mohdm6",
        "gametype": "tdm", "match_token": duel.token,
        "attacker_name": "B", "attacker_guid": duel.guids[1], "attacker_team": "axis",
        "victim_name": "A", "victim_guid": duel.guids[0], "victim_team": "allies",
    }]);
    duel.service.client.send(kill.to_string()).await.assert_batch(202, 1, &[]);
    duel.plays("second try", true, (7, 4), json!({ "match_token": duel.token })).await;
    assert_eq!(scores(&duel.completes().await), (7, 4));
    duel.service.stop().await;
}

#[actix_web::test]
async fn with_the_token_both_sides_have_to_be_there() {
    let duel = duel("alone", single()).await;
    let kill = json!({
        "type": "player_kill", "match_id": "alone", "timestamp": 5.0, "weapon": "M1 Garand", "map_name": "dm/mohdm6",
        "gametype": "tdm", "match_token": duel.token,
        "attacker_name": "A", "attacker_guid": duel.guids[0], "attacker_team": "allies",
        "victim_name": "S", "victim_guid": "stranger", "victim_team": "axis",
    });
    let end = json!({ "type": "match_end", "match_id": "alone", "timestamp": 60.0, "allies_score": 9, "axis_score": 1 });
    duel.service.client.send(json!([kill, end]).to_string()).await.assert_batch(202, 2, &[]);
    duel.has_been_witnessed(1).await;
    assert_eq!(duel.cup.one("R1.1").await["status"], "ready");
    duel.plays("together", true, (7, 4), json!({ "match_token": duel.token })).await;
    assert_eq!(scores(&duel.completes().await), (7, 4));
    duel.service.stop().await;
}

#[actix_web::test]
async fn a_result_corrects_what_its_game_came_to_before_a_bracket_hears_of_it() {
    let duel = duel("corrected", single()).await;
    let stranger = json!([{
        "type": "player_kill", "match_id": "final", "timestamp": 5.0, "weapon": "M1 Garand",
        "attacker_name": "S", "attacker_guid": "stranger", "attacker_team": "allies",
        "victim_name": "B", "victim_guid": duel.guids[1], "victim_team": "axis",
    }]);
    duel.service.client.send(stranger.to_string()).await.assert_batch(202, 1, &[]);
    duel.plays("final", true, (6, 5), json!({})).await;
    duel.has_been_witnessed(1).await;
    assert_eq!(duel.cup.one("R1.1").await["status"], "ready");
    let result = json!({
        "match_id": "final", "winning_team": "axis", "allies_score": 6, "axis_score": 7,
        "tournament_id": duel.cup.id, "bracket_match": "R1.1",
    });
    duel.tells_result(&result).await;
    assert_eq!(scores(&duel.completes().await), (6, 7));
    duel.service.stop().await;
}

#[actix_web::test]
async fn a_result_that_names_the_match_is_heard_and_not_what_was_summed_up_before_it() {
    let duel = duel("summed_up_before", single()).await;
    duel.plays("final", true, (6, 5), json!({})).await;
    eventually("the game is summed up", async || {
        let ended: i64 = sqlx::query_scalar("SELECT count(*) FROM match_summaries WHERE told_end")
            .fetch_one(&duel.service.application.postgres)
            .await
            .unwrap();
        (ended == 1).then_some(())
    })
    .await;
    let result = json!({
        "match_id": "final", "winning_team": "axis", "allies_score": 5, "axis_score": 6,
        "tournament_id": duel.cup.id, "bracket_match": "R1.1",
    });
    duel.tells_result(&result).await;
    assert_eq!(scores(&duel.completes().await), (5, 6));
    duel.service.stop().await;
}

#[actix_web::test]
async fn a_result_with_a_character_that_cant_be_kept_holds_nothing_up() {
    let duel = duel("with_nul", single()).await;
    let sends = async |name: &str, key: &str, end: &str| {
        let body = json!({
            "match_id": name, "map_name": "dm/mohdm1", "gametype": "tdm", "winning_team": "axis", "allies_score": 4,
            "axis_score": 6, "tournament_id": duel.cup.id, "bracket_match": key,
            "players": [
                { "player_id": format!("{}{end}", duel.guids[0]), "team": "axis" },
                { "player_id": format!("{}{end}", duel.guids[1]), "team": "allies", "\0": "\0" },
            ],
        });
        let headers = [("X-Server-Token", duel.service.client.token.as_str())];
        let sent = duel
            .service
            .client
            .post("/api/v1/ingest/match-result", &headers, body.to_string())
            .await
            .unwrap();
        assert_eq!(sent.status, 202, "{}", sent.text);
    };
    sends("of no match", "R1\0.1", "\0").await;
    // As what is left of a text in C comes.
    sends("final", "R1.1\0", "\0").await;
    assert_eq!(scores(&duel.completes().await), (6, 4));
    duel.has_been_witnessed(2).await;
    duel.service.stop().await;
}

#[actix_web::test]
async fn games_of_a_match_add_up_until_one_side_has_enough() {
    let settings = json!({ "name": "Final", "format": "single_elimination", "best_of": 3 });
    let duel = duel("best_of", settings).await;
    duel.plays("one", true, (9, 2), json!({})).await;
    let running = eventually("the first game is there", async || {
        let one = duel.cup.one("R1.1").await;
        (one["status"] == "running").then_some(one)
    })
    .await;
    assert_eq!(running["games"].as_array().unwrap().len(), 1);
    duel.plays("two", false, (1, 9), json!({})).await;
    duel.has_been_witnessed(2).await;
    assert_eq!(duel.cup.one("R1.1").await["status"], "running");
    duel.plays("three", true, (5, 4), json!({})).await;
    let one = duel.completes().await;
    assert_eq!((scores(&one), one["games"].as_array().unwrap().len()), ((2, 1), 3));
    duel.service.stop().await;
}

#[actix_web::test]
async fn a_game_that_is_sent_again_counts_once() {
    let settings = json!({ "name": "Final", "format": "single_elimination", "best_of": 3 });
    let duel = duel("sent_again", settings).await;
    for games in 1..=2 {
        duel.plays("one", true, (9, 2), json!({ "match_token": duel.token })).await;
        duel.has_been_witnessed(games).await;
    }
    let one = duel.cup.one("R1.1").await;
    assert_eq!((&one["status"], one["games"].as_array().unwrap().len()), (&json!("running"), 1));
    duel.service.stop().await;
}

#[actix_web::test]
async fn a_server_that_says_otherwise_than_a_captain_makes_a_dispute() {
    let duel = duel("differ", single()).await;
    let claim = json!({ "score1": 5, "score2": 7 });
    let path = duel.cup.path("/matches/R1.1/report");
    let reported = duel.service.client.call_as(&duel.players[1], "POST", &path, claim).await;
    assert_eq!(reported.status, 200, "{}", reported.text);
    duel.plays("final", true, (7, 5), json!({})).await;
    let disputed = eventually("it is disputed", async || {
        let one = duel.cup.one("R1.1").await;
        (one["flags"] == json!(["disputed"])).then_some(one)
    })
    .await;
    let by: Vec<&Value> =
        disputed["reports"].as_array().unwrap().iter().map(|report| &report["by"]).collect();
    assert_eq!(by, ["captain", "server"]);
    duel.service.stop().await;
}

/// Four whom nobody is, entered by what they are called and play as, in semi-finals.
async fn four_by_guid(name: &str) -> (Service, Cup) {
    let service = Service::start(name).await;
    let cup = cup_of_four(&service).await;
    (service, cup)
}

async fn cup_of_four(service: &Service) -> Cup {
    let (_, organizer) = service.add_user("Organizer", Role::Organizer).await;
    let cup = Cup::draft(&service.client, &organizer, single()).await;
    cup.moves_to("registration_open").await;
    for guid in ["g1", "g2", "g3", "g4"] {
        cup.does("/register", json!({ "name": guid, "player_guid": guid })).await;
    }
    cup.moves_to("registration_closed").await;
    cup.moves_to("in_progress").await;
    cup
}

#[actix_web::test]
async fn a_token_that_comes_before_its_match_can_be_played_counts() {
    let (service, cup) = four_by_guid("early_token").await;
    let given = json!({ "server_id": service.server_id });
    let token = cup.does("/matches/R2.1/schedule", given).await["match_token"].clone();
    cup.reports("R1.1", 1, 0).await;
    let kill = |game: &str, at: f64, killer: &str, victim: &str, team: &str, other: &str| {
        json!({
            "type": "player_kill", "match_id": game, "timestamp": at, "weapon": "M1 Garand", "map_name": "dm/mohdm1",
            "gametype": "tdm", "match_token": token, "attacker_name": "A", "attacker_guid": killer,
            "attacker_team": team, "victim_name": "B", "victim_guid": victim, "victim_team": other,
        })
    };
    let early = json!([kill("final", 1.0, "g1", "g2", "allies", "axis")]);
    service.client.send(early.to_string()).await.assert_batch(202, 1, &[]);
    cup.reports("R1.2", 1, 0).await;
    let names = cup.one("R2.1").await["slots"].clone();
    let [one, two] = [0, 1].map(|slot| names[slot]["name"].as_str().unwrap().to_owned());
    let end = |game: &str| {
        json!([
            kill(game, 2.0, &one, &two, "allies", "axis"),
            kill(game, 3.0, &two, &one, "axis", "allies"),
            { "type": "match_end", "match_id": game, "timestamp": 4.0, "allies_score": 2, "axis_score": 1 },
        ])
    };
    service.client.send(end("final").to_string()).await.assert_batch(202, 3, &[]);
    let decided = eventually("the final has its game", async || {
        let one = cup.one("R2.1").await;
        (one["status"] == "completed").then_some(one)
    })
    .await;
    assert_eq!(scores(&decided), (2, 1));
    service.stop().await;
}

#[actix_web::test]
async fn a_result_is_taken_right_after_the_first_events_of_its_match() {
    let duel = duel("early_result", single()).await;
    for number in 0..5 {
        let kill = json!([{
            "type": "player_kill", "match_id": format!("game {number}"), "timestamp": 1.0, "weapon": "M1 Garand",
            "attacker_name": "A", "attacker_guid": "a", "attacker_team": "allies", "map_name": "dm/mohdm1",
            "victim_name": "B", "victim_guid": "b", "victim_team": "axis",
        }]);
        duel.service.client.send(kill.to_string()).await.assert_batch(202, 1, &[]);
        let result = json!({
            "match_id": format!("game {number}"), "map_name": "dm/mohdm1", "winning_team": "allies", "allies_score": 3,
            "axis_score": 1,
        });
        duel.tells_result(&result).await;
    }
    eventually("every result is in the statistics", async || {
        let mut told = 0;
        for number in 0..5 {
            let path = format!("/api/v1/stats/match/game%20{number}");
            let answer = duel.service.client.get(&path).await;
            told += i32::from(answer.status == 200 && answer.json()["allies_score"] == 3);
        }
        (told == 5).then_some(())
    })
    .await;
    duel.service.stop().await;
}

#[actix_web::test]
async fn each_game_of_a_request_is_of_the_match_whose_token_it_has() {
    let (service, cup) = four_by_guid("two_games").await;
    let mut events = Vec::new();
    for (place, key) in ["R1.1", "R1.2"].into_iter().enumerate() {
        let path = format!("/matches/{key}/schedule");
        let token = cup.does(&path, json!({ "server_id": service.server_id })).await["match_token"].clone();
        let one = cup.one(key).await;
        let names: Vec<&str> = (0..2).map(|slot| one["slots"][slot]["name"].as_str().unwrap()).collect();
        let at = place as f64 * 100.0;
        for (at, killer) in [(at + 1.0, 0), (at + 2.0, 1), (at + 3.0, place)] {
            let team = |side: usize| ["allies", "axis"][side];
            events.push(json!({
                "type": "player_kill", "match_id": key, "timestamp": at, "weapon": "M1 Garand", "map_name": "dm/mohdm1",
                "gametype": "tdm", "match_token": token,
                "attacker_name": "A", "attacker_guid": names[killer], "attacker_team": team(killer),
                "victim_name": "B", "victim_guid": names[1 - killer], "victim_team": team(1 - killer),
            }));
        }
        let (allies, axis) = if place == 0 { (2, 1) } else { (1, 2) };
        events.push(json!({
            "type": "match_end", "match_id": key, "timestamp": at + 4.0, "allies_score": allies, "axis_score": axis,
        }));
    }
    let count = events.len() as u64;
    service.client.send(Value::Array(events).to_string()).await.assert_batch(202, count, &[]);
    let kept: i64 = sqlx::query_scalar("SELECT count(*) FROM tournament_announced_games")
        .fetch_one(&service.application.postgres)
        .await
        .unwrap();
    assert_eq!(kept, 2, "what was answered 202 survives the end of the process");
    for (key, came_out) in [("R1.1", (2, 1)), ("R1.2", (1, 2))] {
        let one = eventually("each match has its game", async || {
            let one = cup.one(key).await;
            (one["status"] == "completed").then_some(one)
        })
        .await;
        assert_eq!(scores(&one), came_out, "{key}");
    }
    service.stop().await;
}

#[actix_web::test]
async fn a_game_that_is_over_keeps_its_token_whatever_comes_behind_its_end() {
    let urls = schemas::database("late_token").await;
    let service = Service::start_on(&urls, &[], Surroundings::default()).await;
    let cup = cup_of_four(&service).await;
    let mut tokens = Vec::new();
    for key in ["R1.1", "R1.2"] {
        let path = format!("/matches/{key}/schedule");
        let given = cup.does(&path, json!({ "server_id": service.server_id })).await;
        tokens.push(given["match_token"].clone());
    }
    let mut names = Vec::new();
    for key in ["R1.1", "R1.2"] {
        let one = cup.one(key).await;
        names.push([0, 1].map(|slot| one["slots"][slot]["name"].as_str().unwrap().to_owned()));
    }
    let kill = |game: usize, at: f64, killer: usize, team: [&str; 2]| {
        let (names, token) = (&names[game], &tokens[game]);
        json!({
            "type": "player_kill", "match_id": format!("game {game}"), "timestamp": at, "weapon": "M1 Garand", "map_name": "dm/mohdm1",
            "gametype": "tdm", "match_token": token,
            "attacker_name": "A", "attacker_guid": names[killer], "attacker_team": team[0],
            "victim_name": "B", "victim_guid": names[1 - killer], "victim_team": team[1],
        })
    };
    let game = |game: usize| {
        json!([
            kill(game, 1.0, 0, ["allies", "axis"]),
            kill(game, 2.0, 1, ["axis", "allies"]),
            kill(game, 3.0, 0, ["allies", "axis"]),
        ])
    };
    // The token of another match, behind the end.
    let end = |game: usize| {
        json!({
            "type": "match_end", "match_id": format!("game {game}"), "timestamp": 5.0, "allies_score": 2,
            "axis_score": 1,
        })
    };
    let next = |game: usize| {
        json!({
            "type": "player_say", "match_id": format!("game {game}"), "timestamp": 6.0, "message": "gg",
            "match_token": tokens[1 - game], "player_name": "A", "player_guid": names[game][0],
        })
    };
    service.client.send(game(0).to_string()).await.assert_batch(202, 3, &[]);
    service.client.send(json!([end(0)]).to_string()).await.assert_batch(202, 1, &[]);
    service.client.send(json!([next(0)]).to_string()).await.assert_batch(202, 1, &[]);
    let is_decided = async |cup: &Cup, key: &str| {
        let decided = eventually("the match has its game", async || {
            let one = cup.one(key).await;
            (one["status"] == "completed").then_some(one)
        })
        .await;
        assert_eq!(scores(&decided), (2, 1), "{key}");
    };
    is_decided(&cup, "R1.1").await;

    // Whoever did not hear the game's own token knows it, too.
    service.client.send(game(1).to_string()).await.assert_batch(202, 3, &[]);
    let token = service.client.token.clone();
    service.stop().await;
    let service = Service::restart_on(&urls, &[], &token).await;
    service.client.send(json!([end(1), next(1)]).to_string()).await.assert_batch(202, 2, &[]);
    let cup = Cup { client: service.client.clone(), ..cup };
    is_decided(&cup, "R1.2").await;
    service.stop().await;
}
