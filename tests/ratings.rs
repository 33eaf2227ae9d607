//! Ratings: worked out from how matches end, in the order of history, whatever comes late or is corrected.

use std::collections::HashMap;

use chrono::{DateTime, TimeDelta, Utc};
use mohaa_domain::rating::{Outcome, Participant, PlayedMatch, Rating, rate_free_for_all, rate_sides};
use mohaa_domain::vocabulary::{GameType, Team};
use mohaa_stats::users::Role;
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::{EventStream, Service, eventually};

const GUEST_NAME: &str = "Passer-by";

/// A kill that names sides and a game type.
fn kill(match_id: &str, t: f64, killer: &str, victim: &str) -> Value {
    json!({"type": "player_kill", "match_id": match_id, "timestamp": t, "weapon": "M1 Garand", "gametype": "tdm",
        "attacker_name": killer, "attacker_guid": killer, "attacker_team": "allies",
        "victim_name": victim, "victim_guid": victim, "victim_team": "axis"})
}

fn end(match_id: &str, winner: &str, scores: (i32, i32)) -> Value {
    json!({"type": "match_end", "match_id": match_id, "timestamp": 400.0, "winning_team": winner,
        "allies_score": scores.0, "axis_score": scores.1})
}

async fn send(service: &Service, events: Vec<Value>) {
    let count = events.len() as u64;
    service.client.send(json!(events).to_string()).await.assert_batch(202, count, &[]);
}

/// A match of 100 for the allies against 200 for the axis.
async fn play(service: &Service, match_id: &str, winner: &str, scores: (i32, i32)) {
    let events = vec![
        json!({"type": "match_start", "match_id": match_id, "timestamp": 0.5, "gametype": "tdm", "map_name": "dm/mohdm1"}),
        kill(match_id, 20.0, "100", "200"),
        kill(match_id, 300.0, "100", "200"),
        end(match_id, winner, scores),
    ];
    send(service, events).await;
}

async fn rating_of(service: &Service, player_id: &str) -> Value {
    let answer = service.client.get(&format!("/api/v1/stats/player/{player_id}")).await;
    if answer.status == 200 { answer.json()["rating"].clone() } else { Value::Null }
}

/// The player's rating once so many matches are in it.
async fn rating_after(service: &Service, player_id: &str, matches: u64) -> Value {
    eventually(&format!("{player_id} is rated {matches} times"), async || {
        Some(rating_of(service, player_id).await).filter(|rating| rating["matches"] == matches)
    })
    .await
}

fn is_near(answer: &Value, expected: Rating) -> bool {
    let near = |figure: &Value, expected: f64| figure.as_f64().is_some_and(|it| (it - expected).abs() < 1e-6);
    near(&answer["value"], expected.value) && near(&answer["deviation"], expected.deviation)
}

#[track_caller]
fn assert_near(answer: &Value, expected: Rating) {
    assert!(is_near(answer, expected), "{answer} instead of {expected:?}");
}

/// Two players after matches that went so for the first.
fn after(outcomes: &[Outcome]) -> (Rating, Rating) {
    outcomes.iter().fold((Rating::NEW, Rating::NEW), |(one, other), outcome| {
        let (one, other) = rate_sides(&[one], &[other], *outcome);
        (one[0], other[0])
    })
}

#[actix_web::test]
async fn a_match_that_ends_rates_its_players_and_boards_rank_by_it() {
    let service = Service::start("ratings").await;
    play(&service, "first", "allies", (2, 0)).await;
    let (winner, loser) = after(&[Outcome::Won]);
    assert_near(&rating_after(&service, "100", 1).await, winner);
    assert_near(&rating_after(&service, "200", 1).await, loser);
    play(&service, "second", "allies", (3, 1)).await;
    rating_after(&service, "100", 2).await;
    play(&service, "third", "none", (1, 1)).await;
    let (winner, loser) = after(&[Outcome::Won, Outcome::Won, Outcome::Draw]);
    let rating = rating_after(&service, "100", 3).await;
    assert_near(&rating, winner);
    assert_near(&rating_after(&service, "200", 3).await, loser);
    assert_eq!((&rating["rank"], &rating["provisional"]), (&json!(1), &json!(true)), "{rating}");
    assert!((rating["low"].as_f64().unwrap() - winner.low()).abs() < 1e-6, "{rating}");
    assert!((rating["high"].as_f64().unwrap() - winner.high()).abs() < 1e-6, "{rating}");

    for path in ["", "/weekly", "/map/dm/mohdm1"] {
        let board = service.client.get(&format!("/api/v1/stats/leaderboard{path}?stat=rating")).await.json();
        let rows = board["players"].as_array().unwrap();
        let ids: Vec<&Value> = rows.iter().map(|row| &row["player_id"]).collect();
        assert_eq!(ids, [&json!("100"), &json!("200")], "{path}: {board}");
        assert!((rows[0]["value"].as_f64().unwrap() - winner.low()).abs() < 1e-6, "{path}: {board}");
        assert_eq!(rows[0]["rating"], rating["value"], "{path}: {board}");
        assert_eq!(rows[1]["rating_provisional"], true, "{path}: {board}");
    }
    let kills = service.client.get("/api/v1/stats/leaderboard").await.json();
    assert_eq!(kills["players"][0]["rating"], rating["value"], "{kills}");
    let refused = service.client.get("/api/v1/stats/leaderboard/weapon/m1-garand?stat=rating").await;
    refused.assert_refused(422, "validation_failed");
    let elsewhere = service.client.get("/api/v1/stats/leaderboard?stat=rating&filter[map]=dm/other").await;
    assert_eq!(elsewhere.json()["total"], 0, "nobody of the rated has played there");

    let history = service.client.get("/api/v1/stats/player/100/rating?limit=2").await.json();
    assert_eq!((&history["total"], &history["player_id"]), (&json!(3), &json!("100")), "{history}");
    let matches = history["matches"].as_array().unwrap();
    assert_eq!((matches.len(), &matches[0]["ordinal"]), (2, &json!(3)), "{history}");
    assert_near(&matches[0]["after"], winner);
    assert_eq!(matches[0]["before"], matches[1]["after"]);
    let earlier = service.client.get("/api/v1/stats/player/100/rating?limit=2&page=2").await.json();
    assert_eq!(earlier["total"], 3);
    assert_near(&earlier["matches"][0]["before"], Rating::NEW);
    let page = service.client.get("/players/100").await.text;
    assert!(page.contains("provisional") && page.contains("Rating over"), "{page}");
    assert_eq!(service.client.get("/leaderboard?stat=rating").await.status, 200);
    assert_eq!(service.client.metrics().await.value("mohaa_matches_rated_total"), 3.0);
    service.stop().await;
}

#[actix_web::test]
async fn a_draw_is_one_everywhere_by_whatever_word_it_is_told() {
    let service = Service::start("draws").await;
    play(&service, "first", "draw", (2, 2)).await;
    let draws = [Outcome::Draw; 3];
    assert_near(&rating_after(&service, "100", 1).await, after(&draws[..1]).0);
    // A result says so of one that was won, and in other words.
    play(&service, "second", "allies", (2, 1)).await;
    play(&service, "third", "axis", (1, 2)).await;
    rating_after(&service, "100", 3).await;
    let headers = [("X-Server-Token", service.client.token.as_str())];
    for (match_id, winner) in [("second", "Tie"), ("third", "")] {
        let result =
            json!({"match_id": match_id, "winning_team": winner, "allies_score": 2, "axis_score": 2});
        let reply =
            service.client.post("/api/v1/ingest/match-result", &headers, result.to_string()).await.unwrap();
        assert_eq!(reply.status, 202, "{}", reply.text);
    }
    eventually("all three are rated as draws", async || {
        is_near(&rating_after(&service, "200", 3).await, after(&draws).1).then_some(())
    })
    .await;
    let kept: Vec<String> = sqlx::query_scalar("SELECT winning_team FROM match_summaries")
        .fetch_all(&service.application.postgres)
        .await
        .unwrap();
    assert_eq!(kept, ["none"; 3]);
    for match_id in ["first", "second", "third"] {
        eventually("the statistics say so", async || {
            let found = service.client.get(&format!("/api/v1/stats/match/{match_id}")).await.json();
            (found["winning_team"] == "none" && found["allies_score"] == found["axis_score"]).then_some(())
        })
        .await;
        let live = format!("{}/api/v1/live/{match_id}", service.client.url);
        let live = EventStream::open(&live, None).await.next_of("snapshot").await;
        assert_eq!((&live.data["status"], &live.data["winning_team"]), (&json!("ended"), &json!("none")));
        eventually("the page says so", async || {
            let page = service.client.get(&format!("/matches/{match_id}")).await;
            page.text.contains("The match was a draw.").then_some(())
        })
        .await;
    }
    let played = service.client.get("/api/v1/stats/player/100/matches").await.json();
    let results: Vec<&Value> = played["matches"].as_array().unwrap().iter().map(|it| &it["result"]).collect();
    assert_eq!(results, [&json!("draw"); 3]);
    service.stop().await;
}

#[actix_web::test]
async fn guests_and_bots_have_no_rating_and_a_match_without_two_people_rates_nobody() {
    let service = Service::start("ratings_of_guests").await;
    let guest = |event: Value| {
        let mut event = event;
        (event["victim_guid"], event["victim_name"]) = (json!("unauth_3"), json!(GUEST_NAME));
        event
    };
    let bot = |event: Value| {
        let mut event = event;
        (event["victim_guid"], event["victim_name"]) = (json!("bot_1"), json!("Hans"));
        event
    };
    let alone = vec![
        guest(kill("alone", 20.0, "100", "")),
        guest(kill("alone", 200.0, "100", "")),
        bot(kill("alone", 210.0, "100", "")),
        end("alone", "allies", (1, 0)),
    ];
    send(&service, alone).await;
    let guest_ally = |t: f64| {
        let mut event = guest(kill("full", t, "200", ""));
        (event["attacker_team"], event["victim_team"]) = (json!("axis"), json!("allies"));
        event
    };
    let with_others = vec![
        kill("full", 20.0, "100", "200"),
        guest_ally(25.0),
        kill("full", 300.0, "100", "200"),
        guest_ally(305.0),
        end("full", "allies", (1, 0)),
    ];
    send(&service, with_others).await;
    let (winner, _) = after(&[Outcome::Won]);
    assert_near(&rating_after(&service, "100", 1).await, winner);
    let everybody =
        service.client.get("/api/v1/stats/leaderboard?filter[guests]=with&filter[bots]=with").await.json();
    let rows = everybody["players"].as_array().unwrap();
    let guests: Vec<&Value> = rows.iter().filter(|row| row["guest"] == true).collect();
    assert!(guests.len() >= 2, "{everybody}");
    assert!(guests.iter().all(|row| row["rating"].is_null()), "{everybody}");
    let path = "/api/v1/stats/leaderboard?stat=rating&filter[guests]=with&filter[bots]=with";
    let rated = service.client.get(path).await.json();
    assert_eq!(rated["total"], 2, "{rated}");
    let id = guests[0]["player_id"].as_str().unwrap();
    assert_eq!(rating_of(&service, id).await, Value::Null);
    let history = service.client.get(&format!("/api/v1/stats/player/{id}/rating")).await.json();
    assert_eq!((&history["total"], &history["matches"]), (&json!(0), &json!([])));
    service.stop().await;
}

#[actix_web::test]
async fn a_free_for_all_is_rated_by_kills() {
    let service = Service::start("ratings_ffa").await;
    let ffa = |t: f64, killer: &str, victim: &str| {
        let mut event = kill("ffa", t, killer, victim);
        (event["attacker_team"], event["victim_team"]) = (json!("freeforall"), json!("freeforall"));
        event["gametype"] = json!("ffa");
        event
    };
    let events = vec![
        json!({"type": "match_start", "match_id": "ffa", "timestamp": 0.5, "gametype": "ffa", "map_name": "dm/mohdm1"}),
        ffa(10.0, "100", "200"),
        ffa(20.0, "100", "300"),
        ffa(100.0, "200", "300"),
        ffa(300.0, "300", "300"),
        ffa(310.0, "100", "200"),
        json!({"type": "match_end", "match_id": "ffa", "timestamp": 400.0, "gametype": "ffa"}),
    ];
    send(&service, events).await;
    let expected = rate_free_for_all(&[(Rating::NEW, 1), (Rating::NEW, 2), (Rating::NEW, 3)]);
    for (player_id, expected) in ["100", "200", "300"].into_iter().zip(expected) {
        assert_near(&rating_after(&service, player_id, 1).await, expected);
    }
    service.stop().await;
}

#[actix_web::test]
async fn a_corrected_result_rates_all_later_matches_anew() {
    let service = Service::start("ratings_corrected").await;
    for (number, match_id) in ["one", "two", "three"].into_iter().enumerate() {
        play(&service, match_id, "allies", (2, 0)).await;
        rating_after(&service, "100", number as u64 + 1).await;
    }
    let result = json!({"match_id": "one", "winning_team": "axis", "allies_score": 0, "axis_score": 2});
    let headers = [("X-Server-Token", service.client.token.as_str())];
    let reply =
        service.client.post("/api/v1/ingest/match-result", &headers, result.to_string()).await.unwrap();
    assert_eq!(reply.status, 202, "{}", reply.text);
    let (one, other) = after(&[Outcome::Lost, Outcome::Won, Outcome::Won]);
    eventually("later matches are rated anew", async || {
        is_near(&rating_of(&service, "100").await, one).then_some(())
    })
    .await;
    assert_near(&rating_of(&service, "200").await, other);
    assert!(service.client.metrics().await.value("mohaa_rating_reruns_total") >= 1.0);

    // Nothing left but the matches: the same numbers come out, to the last bit.
    let pool = &service.application.postgres;
    let rows = async || -> Vec<(Uuid, String, i32, f64, f64)> {
        sqlx::query_as(
            "SELECT match_id, player_id, ordinal, value_after, deviation_after FROM match_ratings
             ORDER BY ended_at, match_id, player_id",
        )
        .fetch_all(pool)
        .await
        .unwrap()
    };
    let before = rows().await;
    assert_eq!(before.len(), 6);
    let forget = "WITH gone AS (DELETE FROM match_ratings), none AS (DELETE FROM player_ratings)
                  INSERT INTO matches_to_rate (match_id) SELECT match_id FROM match_summaries";
    sqlx::query(forget).execute(pool).await.unwrap();
    sqlx::query("SELECT pg_notify('match_summaries', '')").execute(pool).await.unwrap();
    eventually("everything is rated from nothing", async || {
        let now = rows().await;
        (now.len() == before.len()).then(|| assert_eq!(now, before))
    })
    .await;
    service.stop().await;
}

#[actix_web::test]
async fn merged_players_have_one_rating_and_get_their_own_back() {
    let service = Service::start("ratings_merged").await;
    let (_, admin) = service.add_user("Admin", Role::Admin).await;
    play(&service, "one", "allies", (2, 0)).await;
    rating_after(&service, "100", 1).await;
    let again =
        vec![kill("two", 20.0, "101", "200"), kill("two", 300.0, "101", "200"), end("two", "allies", (1, 0))];
    send(&service, again).await;
    let alone = rating_after(&service, "101", 1).await;
    let apart = rating_after(&service, "200", 2).await;
    let merge = json!({"from": "101", "into": "100"});
    let made = service.client.call_as(&admin, "POST", "/api/v1/admin/merges", merge).await;
    assert_eq!(made.status, 201, "{}", made.text);
    let (winner, loser) = after(&[Outcome::Won, Outcome::Won]);
    for (player_id, expected) in [("100", winner), ("200", loser)] {
        eventually("both ids' matches are in one rating", async || {
            is_near(&rating_of(&service, player_id).await, expected).then_some(())
        })
        .await;
    }
    eventually("the old id leads to the one history", async || {
        let history = service.client.get("/api/v1/stats/player/101/rating").await.json();
        let board = service.client.get("/api/v1/stats/leaderboard?stat=rating").await.json();
        let is_one = history["player_id"] == "100" && history["total"] == 2;
        (is_one && board["total"] == 2).then_some(())
    })
    .await;

    let undo = format!("/api/v1/admin/merges/{}", made.json()["merge_id"]);
    assert_eq!(service.client.call_as(&admin, "DELETE", &undo, json!(null)).await.status, 204);
    for (player_id, expected) in [("101", alone), ("200", apart)] {
        eventually("each has the rating of before", async || {
            (rating_of(&service, player_id).await == expected).then_some(())
        })
        .await;
    }
    assert_near(&rating_after(&service, "100", 1).await, after(&[Outcome::Won]).0);
    service.stop().await;
}

/// What a summary says of somebody.
fn told(participant: &Participant) -> Value {
    json!({"player_id": participant.player_id, "team": participant.team.as_str(), "guest": false,
        "bot": participant.bot, "kills": participant.kills, "deaths": participant.deaths,
        "playtime_seconds": participant.playtime_seconds})
}

async fn put(service: &Service, match_id: Uuid, ended_at: DateTime<Utc>, played: &PlayedMatch) {
    let players: Vec<Value> = played.participants.iter().map(told).collect();
    sqlx::query(
        "INSERT INTO match_summaries (match_id, server_id, source_match_id, map_name, gametype, started_at, ended_at,
                                      allies_score, axis_score, winning_team, players)
         VALUES ($1, $2, '', 'dm/mohdm1', $3, $4, $4, $5, $6, $7, $8)",
    )
    .bind(match_id)
    .bind(service.server_id)
    .bind(played.game_type.as_str())
    .bind(ended_at)
    .bind(played.allies_score)
    .bind(played.axis_score)
    .bind(played.winning_team.as_str())
    .bind(Value::Array(players))
    .execute(&service.application.postgres)
    .await
    .unwrap();
}

/// A match of any kind between some of eight.
fn any_match() -> impl Strategy<Value = PlayedMatch> {
    let participant = (0_u32..8, any::<bool>(), 0_u32..9, 0_u32..9, 0_u64..300);
    let team = prop::sample::select(vec![Team::Allies, Team::Axis, Team::None]);
    let game_type = prop::sample::select(vec![GameType::FreeForAll, GameType::Objective]);
    (prop::collection::vec(participant, 2..9), team, game_type).prop_map(
        |(players, winning_team, game_type)| {
            let participants =
                players.into_iter().map(|(number, is_ally, kills, deaths, playtime_seconds)| {
                    let team = if is_ally { Team::Allies } else { Team::Axis };
                    let player_id = number.to_string().into();
                    Participant { player_id, team, bot: false, kills, deaths, playtime_seconds }
                });
            PlayedMatch {
                game_type,
                winning_team,
                participants: participants.collect(),
                ..PlayedMatch::default()
            }
        },
    )
}

#[actix_web::test]
async fn in_whatever_order_summaries_come_ratings_are_those_of_history() {
    let service = Service::start("ratings_disorder").await;
    let mut runner = TestRunner::deterministic();
    let mut matches: Vec<(DateTime<Utc>, Uuid, PlayedMatch)> = (0..60_u128)
        .map(|number| {
            let played = any_match().new_tree(&mut runner).unwrap().current();
            // Two end at one moment.
            let ended_at = DateTime::UNIX_EPOCH + TimeDelta::minutes(number as i64 / 2);
            (ended_at, Uuid::from_u128((number * 7919) % 1009), played)
        })
        .collect();
    let mut arrivals = matches.clone();
    // Within some places of where they belong, as servers' clocks and late batches have it.
    arrivals.sort_by_key(|(ended_at, match_id, _)| (ended_at.timestamp() / 1200, *match_id));
    for (ended_at, match_id, played) in &arrivals {
        put(&service, *match_id, *ended_at, played).await;
    }
    matches.sort_by_key(|(ended_at, match_id, _)| (*ended_at, *match_id));
    assert_ne!(matches, arrivals);
    let mut standings: HashMap<String, (Rating, i32)> = HashMap::new();
    for (.., played) in &matches {
        let Some(contest) = played.contest() else { continue };
        let changes = contest.rate(|id| standings.get(id).map_or(Rating::NEW, |it| it.0));
        for change in changes {
            let standing = standings.entry(change.player_id.to_string()).or_insert((Rating::NEW, 0));
            *standing = (change.after, standing.1 + 1);
        }
    }
    let mut expected: Vec<(String, f64, f64, i32)> =
        standings.into_iter().map(|(id, (it, matches))| (id, it.value, it.deviation, matches)).collect();
    expected.sort_by(|one, other| one.0.cmp(&other.0));
    assert_eq!(expected.len(), 8);
    eventually("ratings are those of history", async || {
        let found: Vec<(String, f64, f64, i32)> = sqlx::query_as(
            "SELECT player_id, value, deviation, matches FROM player_ratings WHERE matches > 0 ORDER BY player_id",
        )
        .fetch_all(&service.application.postgres)
        .await
        .unwrap();
        (found == expected).then_some(())
    })
    .await;
    eventually("the copy is the same", async || {
        let rows = service
            .warehouse
            .rows("SELECT player_id, toString(value) AS value, toString(deviation) AS deviation FROM player_ratings FINAL WHERE matches > 0 ORDER BY player_id")
            .await;
        let same = |(row, (id, value, deviation, _)): (&Value, &(String, f64, f64, i32))| {
            let exactly = |name: &str| row[name].as_str().unwrap().parse::<f64>().unwrap();
            row["player_id"] == id.as_str() && exactly("value") == *value && exactly("deviation") == *deviation
        };
        (rows.len() == expected.len() && rows.iter().zip(&expected).all(same)).then_some(())
    })
    .await;
    service.stop().await;
}

#[actix_web::test]
async fn a_rating_is_provisional_until_the_tenth_match() {
    let service = Service::start("ratings_provisional").await;
    play(&service, "seen", "none", (3, 2)).await;
    let duel = |winner| PlayedMatch {
        game_type: GameType::Rounds,
        winning_team: winner,
        participants: [("100", Team::Allies), ("200", Team::Axis)]
            .map(|(id, team)| Participant {
                player_id: id.into(),
                team,
                kills: 1,
                playtime_seconds: 600,
                ..Participant::default()
            })
            .to_vec(),
        ..PlayedMatch::default()
    };
    for number in 1..=10_u32 {
        let ended_at = DateTime::UNIX_EPOCH + TimeDelta::minutes(number.into());
        put(&service, Uuid::from_u128(number.into()), ended_at, &duel(Team::Axis)).await;
        if number >= 9 {
            let rating = rating_after(&service, "200", number.into()).await;
            assert_eq!(rating["provisional"], number < 10, "{rating}");
        }
    }
    service.stop().await;
}

#[actix_web::test]
async fn what_changes_while_another_process_rates_is_rated_when_that_one_is_done_or_dead() {
    let service = Service::start("ratings_locked").await;
    let mut other = service.application.postgres.begin().await.unwrap();
    // As another process does: it holds the lock of those who rate.
    sqlx::query("SELECT pg_advisory_xact_lock(18, 0)").execute(&mut *other).await.unwrap();
    play(&service, "one", "allies", (2, 0)).await;
    eventually("the match is summed up", async || {
        let waiting: i64 = sqlx::query_scalar("SELECT count(*) FROM matches_to_rate")
            .fetch_one(&service.application.postgres)
            .await
            .unwrap();
        (waiting == 1).then_some(())
    })
    .await;
    let rated: i64 =
        sqlx::query_scalar("SELECT count(*) FROM match_ratings").fetch_one(&mut *other).await.unwrap();
    assert_eq!(rated, 0);
    // Whoever waits for his turn says all the same how long it takes.
    lag_where(&service, |seconds| seconds > 0.0).await;
    // It dies with its transaction.
    other.rollback().await.unwrap();
    assert_near(&rating_after(&service, "100", 1).await, after(&[Outcome::Won]).0);
    service.stop().await;
}

/// How far the service says that ratings are behind, once it is so.
async fn lag_where(service: &Service, is_meant: impl Fn(f64) -> bool) -> f64 {
    eventually("ratings are as far behind", async || {
        Some(service.client.metrics().await.value("mohaa_rating_lag_seconds"))
            .filter(|seconds| is_meant(*seconds))
    })
    .await
}

#[actix_web::test]
async fn ratings_that_fail_are_said_to_be_behind_until_they_are_worked_out() {
    let service = Service::start("ratings_fail").await;
    let execute = async |statement: &'static str| {
        sqlx::query(statement).execute(&service.application.postgres).await.unwrap().rows_affected()
    };
    lag_where(&service, |seconds| seconds == 0.0).await;
    execute("ALTER TABLE match_ratings ADD CONSTRAINT fails CHECK (false) NOT VALID").await;
    play(&service, "one", "allies", (2, 0)).await;
    eventually("the match waits to be rated", async || {
        let waiting = execute("UPDATE matches_to_rate SET since = now() - interval '20 minutes'").await;
        (waiting == 1).then_some(())
    })
    .await;
    let seconds = lag_where(&service, |seconds| seconds >= 1200.0).await;
    lag_where(&service, |later| later > seconds).await;
    execute("ALTER TABLE match_ratings DROP CONSTRAINT fails").await;
    rating_after(&service, "100", 1).await;
    lag_where(&service, |seconds| seconds == 0.0).await;
    service.stop().await;
}
