//! Reports of captains, referees and organizers; disputes; corrections and what falls with them.

use std::time::Duration;

use mohaa_actors::clock::SimulatedTime;
use mohaa_domain::event::Millis;
use mohaa_stats::startup::Surroundings;
use mohaa_stats::users::Role;
use serde_json::{Value, json};

use crate::support::{Cup, Reply, Service, eventually, favourite};

/// A cup of four players with tokens of their own, begun: R1.1 is of the first and the last, R1.2 of the two others.
async fn cup_of_players(service: &Service, settings: Value) -> (Cup, Vec<String>) {
    let (_, token) = service.add_user("Organizer", Role::Organizer).await;
    let cup = Cup::draft(&service.client, &token, settings).await;
    cup.moves_to("registration_open").await;
    let mut players = Vec::new();
    for number in 1..=4 {
        let (user_id, token) = service.add_user(&format!("P{number}"), Role::Player).await;
        service.link_player(user_id, &format!("guid-{number}")).await;
        let entered = service.client.call_as(&token, "POST", &cup.path("/register"), json!({})).await;
        assert_eq!(entered.status, 201, "{}", entered.text);
        players.push(token);
    }
    cup.moves_to("registration_closed").await;
    cup.moves_to("in_progress").await;
    (cup, players)
}

fn single(name: &str) -> Value {
    json!({ "name": name, "format": "single_elimination", "options": { "auto_accept_minutes": 10 } })
}

fn score(score1: u32, score2: u32) -> Value {
    json!({ "score1": score1, "score2": score2 })
}

async fn says(cup: &Cup, token: &str, rest: &str, body: Value) -> Reply {
    cup.client.call_as(token, "POST", &cup.path(rest), body).await
}

#[actix_web::test]
async fn two_captains_who_agree_decide_a_match() {
    let service = Service::start("agree").await;
    let (cup, players) = cup_of_players(&service, single("Cup")).await;
    let mut of_another = score(10, 7);
    of_another["games"] =
        json!([{ "score1": 10, "score2": 7, "match_id": "01a21d4f-e432-7559-8460-e13645c2f928" }]);
    says(&cup, &players[0], "/matches/R1.1/report", of_another)
        .await
        .assert_refused(422, "validation_failed");
    let first = says(&cup, &players[0], "/matches/R1.1/report", score(10, 7)).await.json();
    assert_eq!((&first["status"], &first["reports"][0]["score1"]), (&json!("ready"), &json!(10)));
    assert!(first["accepted_at"].is_string(), "{first}");
    // Nobody confirms their own word, and nobody else's match.
    says(&cup, &players[0], "/matches/R1.1/confirm", json!({})).await.assert_refused(409, "own_report");
    says(&cup, &players[1], "/matches/R1.1/confirm", json!({})).await.assert_refused(403, "not_allowed");
    says(&cup, &players[1], "/matches/R1.1/report", score(10, 7)).await.assert_refused(403, "not_allowed");
    let second = says(&cup, &players[3], "/matches/R1.1/report", score(10, 7)).await.json();
    assert_eq!((&second["status"], &second["slots"][0]["result"]), (&json!("completed"), &json!("win")));
    assert_eq!(cup.one("R2.1").await["slots"][0]["name"], "P1");
    assert_eq!(cup.one("R2.1").await["status"], "waiting");
    says(&cup, &players[0], "/matches/R1.1/report", score(10, 7))
        .await
        .assert_refused(409, "already_decided");
    says(&cup, &players[0], "/matches/R2.1/report", score(1, 0)).await.assert_refused(409, "match_not_ready");
    says(&cup, &players[1], "/matches/R1.2/report", score(3, 4)).await;
    assert_eq!(
        says(&cup, &players[2], "/matches/R1.2/confirm", json!({})).await.json()["status"],
        "completed"
    );
    assert_eq!(cup.one("R2.1").await["status"], "ready");
    service.stop().await;
}

#[actix_web::test]
async fn a_report_that_nobody_answers_holds_after_its_time() {
    let time = SimulatedTime::starting_at(Millis(1_780_000_000_000));
    let surroundings = Surroundings { clock: time.clock(), ..Surroundings::default() };
    let service = Service::start_with("accept", &[], surroundings).await;
    // Sign-ins of a test go by the machine's clock; only tournaments by this one.
    let (cup, players) = cup_of_players(&service, single("Cup")).await;
    says(&cup, &players[0], "/matches/R1.1/report", score(10, 7)).await;
    time.advance(Duration::from_secs(9 * 60));
    assert_eq!(cup.one("R1.1").await["status"], "ready");
    time.advance(Duration::from_secs(2 * 60));
    eventually("the report holds", async || (cup.one("R1.1").await["status"] == "completed").then_some(()))
        .await;
    // Taken back, it does not hold again by itself.
    cup.does("/undo", json!({})).await;
    let open = cup.one("R1.1").await;
    assert_eq!((&open["status"], open["reports"].as_array().unwrap().len()), (&json!("ready"), 1));
    service.stop().await;
}

#[actix_web::test]
async fn reports_that_differ_are_a_dispute_that_an_organizer_decides() {
    let service = Service::start("dispute").await;
    let (cup, players) = cup_of_players(&service, single("Cup")).await;
    says(&cup, &players[0], "/matches/R1.1/report", score(10, 7)).await;
    let disputed = says(&cup, &players[3], "/matches/R1.1/report", score(7, 10)).await.json();
    assert_eq!(disputed["flags"], json!(["disputed"]));
    assert_eq!(disputed["reports"].as_array().unwrap().len(), 2);
    says(&cup, &players[0], "/matches/R1.1/report", score(7, 10)).await.assert_refused(409, "disputed");
    says(&cup, &players[0], "/matches/R1.1/resolve", score(7, 10)).await.assert_refused(403, "not_allowed");
    let decided = cup.does("/matches/R1.1/resolve", score(7, 10)).await;
    assert_eq!((&decided["status"], &decided["flags"]), (&json!("completed"), &json!([])));
    assert_eq!(cup.one("R2.1").await["slots"][0]["name"], "P4");
    // The organizer's word is final; what captains agreed on can be disputed while it holds.
    says(&cup, &players[0], "/matches/R1.1/dispute", json!({ "reason": "wrong map" }))
        .await
        .assert_refused(409, "final");
    says(&cup, &players[1], "/matches/R1.2/report", score(3, 1)).await;
    says(&cup, &players[2], "/matches/R1.2/confirm", json!({})).await;
    let again =
        says(&cup, &players[2], "/matches/R1.2/dispute", json!({ "reason": "wrong map" })).await.json();
    assert_eq!((&again["status"], &again["dispute"]["reason"]), (&json!("completed"), &json!("wrong map")));
    says(&cup, &players[0], "/matches/R1.2/dispute", json!({ "reason": "x" }))
        .await
        .assert_refused(403, "not_allowed");
    cup.does("/matches/R1.2/resolve", score(1, 3)).await;
    assert_eq!(cup.one("R2.1").await["slots"][1]["name"], "P3");
    service.stop().await;
}

#[actix_web::test]
async fn a_result_that_cant_be_is_refused_with_its_field() {
    let service = Service::start("verdicts").await;
    let (_, token) = service.add_user("Organizer", Role::Organizer).await;
    let settings = json!({ "name": "Cup", "format": "single_elimination", "best_of": 3 });
    let cup = Cup::begun(&service.client, &token, settings, 4).await;
    for (body, field) in [
        (json!({}), "score1"),
        (json!({ "score1": 2 }), "score2"),
        (score(1, 1), "winner"),
        (score(2, 2), "winner"),
        (score(3, 2), "score1"),
        (score(1, 0), "score1"),
        (score(16, 9), "score1"),
        (json!({ "score1": 2, "score2": 0, "winner": 2 }), "winner"),
        (json!({ "score1": 2, "score2": 0, "winner": 3 }), "winner"),
        (json!({ "score1": -1, "score2": 0 }), "score1"),
        (json!({ "forfeit": 3 }), "forfeit"),
        (json!({ "forfeit": 1, "winner": 1 }), "winner"),
    ] {
        let answer = cup.post("/matches/R1.1/report", body.clone()).await;
        answer.assert_refused(422, "validation_failed");
        assert!(answer.json()["fields"][field].is_string(), "{body}: {}", answer.text);
    }
    cup.post("/matches/R9.1/report", score(2, 0)).await.assert_refused(404, "unknown_match");
    cup.post("/matches/nonsense/report", score(2, 0)).await.assert_refused(404, "unknown_match");
    let games = json!([{ "map": "dm/mohdm1", "score1": 10, "score2": 3 }, { "score1": 10, "score2": 9 }]);
    let played = cup.does("/matches/R1.1/report", json!({ "score1": 2, "score2": 0, "games": games })).await;
    assert_eq!(played["games"][0]["map"], "dm/mohdm1");
    let forfeited = cup.does("/matches/R1.2/report", json!({ "forfeit": 1 })).await;
    assert_eq!(forfeited["flags"], json!(["forfeited"]));
    assert_eq!(forfeited["slots"][1]["result"], "win");
    service.stop().await;
}

#[actix_web::test]
async fn a_correction_opens_what_was_played_on_it_and_one_undo_brings_it_back() {
    let service = Service::start("correct").await;
    let (_, token) = service.add_user("Organizer", Role::Organizer).await;
    let settings = json!({ "name": "Cup", "format": "double_elimination" });
    let cup = Cup::begun(&service.client, &token, settings, 4).await;
    cup.plays(favourite).await;
    assert_eq!(cup.status().await, "completed");
    let before = cup.get("/bracket").await;

    let correction = json!({ "score1": 0, "score2": 1, "dry_run": true });
    let preview = cup.does("/matches/W1.1/correct", correction).await;
    assert_eq!(preview["falls"], json!(["W2.1", "L1.1", "L2.1", "GF1"]));
    assert_eq!(cup.get("/bracket").await, before, "a preview changes nothing");

    let corrected = cup.does("/matches/W1.1/correct", score(0, 1)).await;
    assert_eq!(corrected["falls"], preview["falls"]);
    assert_eq!(cup.status().await, "in_progress");
    assert_eq!(cup.one("W2.1").await["slots"][0]["name"], "P4");
    assert_eq!(cup.one("L1.1").await["slots"][0]["name"], "P1");
    assert_eq!(cup.one("GF1").await["status"], "locked");

    cup.does("/undo", json!({})).await;
    let after = cup.get("/bracket").await;
    assert_eq!(after["stages"], before["stages"]);
    assert_eq!(cup.status().await, "completed");
    // One that changes no winner opens nothing.
    let small = cup.does("/matches/W1.1/correct", score(9, 1)).await;
    assert_eq!(small["falls"], json!([]));
    service.stop().await;
}

#[actix_web::test]
async fn who_leaves_forfeits_what_is_left() {
    let service = Service::start("leaves").await;
    let (cup, players) = cup_of_players(&service, single("Cup")).await;
    let left = service.client.call_as(&players[3], "DELETE", &cup.path("/register"), json!(null)).await;
    assert_eq!(left.json()["status"], "dropped_out", "{}", left.text);
    let one = cup.one("R1.1").await;
    assert_eq!((&one["status"], &one["flags"]), (&json!("completed"), &json!(["forfeited"])));
    let out = cup.does("/participants/1/disqualify", json!({ "reason": "aimbot" })).await;
    assert_eq!((&out["status"], &out["reason"]), (&json!("disqualified"), &json!("aimbot")));
    cup.reports("R1.2", 1, 0).await;
    // The final is decided: one side is out.
    assert_eq!(cup.status().await, "completed");
    assert_eq!(cup.final_places().await, [vec!["P2"], vec!["P1"], vec!["P3", "P4"]]);
    service.stop().await;
}

#[actix_web::test]
async fn maps_are_banned_by_turns() {
    let service = Service::start("veto").await;
    let settings = json!({
        "name": "Cup", "format": "single_elimination",
        "map_pool": ["dm/mohdm1", "dm/mohdm2", "dm/mohdm6"],
    });
    let (cup, players) = cup_of_players(&service, settings).await;
    let ban =
        async |token: &str, map: &str| says(&cup, token, "/matches/R1.1/veto", json!({ "map": map })).await;
    ban(&players[3], "dm/mohdm1").await.assert_refused(409, "not_your_turn");
    ban(&players[0], "dm/nowhere").await.assert_refused(422, "validation_failed");
    ban(&players[0], "dm/mohdm1").await;
    ban(&players[3], "dm/mohdm1").await.assert_refused(422, "validation_failed");
    let bearer = cup.organizer.clone();
    let other_maps = json!({ "map_pool": ["dm/mohdm3", "dm/mohdm4", "dm/mohdm5"] });
    let changed = cup.client.call_as(&bearer, "PUT", &cup.path(""), other_maps).await;
    changed.assert_refused(409, "fixed");
    let done = ban(&players[3], "dm/mohdm6").await.json();
    assert_eq!(done["vetoes"][2], json!({ "side": null, "banned": false, "map": "dm/mohdm2" }));
    ban(&players[0], "dm/mohdm2").await.assert_refused(409, "no_veto");
    service.stop().await;
}
