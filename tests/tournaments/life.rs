//! From draft to begun: settings, status, entrants, staff.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use mohaa_actors::clock::SimulatedTime;
use mohaa_domain::event::Millis;
use mohaa_stats::startup::Surroundings;
use mohaa_stats::users::Role;
use serde_json::{Value, json};

use crate::support::{Cup, Service, eventually};

#[actix_web::test]
async fn what_is_wrong_with_settings_is_told_field_by_field() {
    let service = Service::start("settings").await;
    let (_, token) = service.add_user("Organizer", Role::Organizer).await;
    let make = async |body: Value| service.client.call_as(&token, "POST", "/api/v1/tournaments", body).await;
    make(json!({})).await.assert_refused(422, "validation_failed");
    let bad = make(json!({
        "name": " ", "format": "swiss", "best_of": 2, "min_participants": 9, "max_participants": 8,
        "options": { "swiss_rounds": 99 },
    }))
    .await;
    bad.assert_refused(422, "validation_failed");
    let fields = bad.json()["fields"].clone();
    for name in ["name", "best_of", "min_participants", "options.swiss_rounds"] {
        assert!(fields[name].is_string(), "{name} in {fields}");
    }
    make(json!({ "name": "x", "format": "ladder" })).await.assert_refused(422, "validation_failed");
    make(json!({ "name": "x", "format": "swiss", "options": { "grand_finals": "double" } }))
        .await
        .assert_refused(422, "validation_failed");
    let (_, player) = service.add_user("Player", Role::Player).await;
    let body = json!({ "name": "x", "format": "swiss" });
    let refused = service.client.call_as(&player, "POST", "/api/v1/tournaments", body).await;
    refused.assert_refused(403, "not_allowed");
    service.stop().await;
}

#[actix_web::test]
async fn who_is_banned_is_not_appointed_and_not_entered() {
    let service = Service::start("banned_staff").await;
    let (_, admin) = service.add_user("Admin", Role::Admin).await;
    let (_, owner) = service.add_user("Owner", Role::Organizer).await;
    let (banned_id, _) = service.add_user("Banned", Role::Player).await;
    service.link_player(banned_id, "banned").await;
    let cup =
        Cup::draft(&service.client, &owner, json!({ "name": "Cup", "format": "single_elimination" })).await;
    cup.moves_to("registration_open").await;
    let ban = format!("/api/v1/admin/users/{banned_id}/ban");
    let banned = service.client.call_as(&admin, "POST", &ban, json!({})).await;
    assert_eq!(banned.status, 204, "{}", banned.text);
    let appoint = json!({ "user_id": banned_id, "role": "referee" });
    let refused = service.client.call_as(&owner, "PUT", &cup.path("/staff"), appoint).await;
    refused.assert_refused(422, "validation_failed");
    let enter = json!({ "player_guid": "banned" });
    let refused = service.client.call_as(&owner, "POST", &cup.path("/register"), enter).await;
    refused.assert_refused(409, "banned");
    service.stop().await;
}

#[actix_web::test]
async fn a_tournament_has_the_defaults_and_takes_changes_until_it_has_begun() {
    let service = Service::start("defaults").await;
    let (owner_id, token) = service.add_user("Organizer", Role::Organizer).await;
    let cup =
        Cup::draft(&service.client, &token, json!({ "name": "Cup", "format": "single_elimination" })).await;
    let made = cup.get("").await;
    for (name, value) in [
        ("status", json!("draft")),
        ("version", json!(1)),
        ("max_participants", json!(64)),
        ("min_participants", json!(2)),
        ("team_size", json!(1)),
        ("best_of", json!(1)),
        ("seeding", json!("inner_outer")),
        ("owner_id", json!(owner_id)),
        ("map_pool", json!([])),
        ("start_time", Value::Null),
    ] {
        assert_eq!(made[name], value, "{name}");
    }
    let put = async |body: Value| service.client.call_as(&token, "PUT", &cup.path(""), body).await;
    let changed = put(json!({ "max_participants": 8, "start_time": "2030-05-01T18:00:00Z" })).await.json();
    assert_eq!((&changed["max_participants"], &changed["version"]), (&json!(8), &json!(2)));
    assert_eq!(changed["start_time"], "2030-05-01T18:00:00Z");
    let changed = put(json!({ "start_time": null })).await.json();
    assert_eq!((&changed["start_time"], &changed["max_participants"]), (&Value::Null, &json!(8)));
    put(json!({ "options": { "third_place": true } })).await;
    let changed = put(json!({ "options": { "auto_accept_minutes": 5 } })).await.json();
    let options = &changed["options"];
    assert_eq!((&options["third_place"], &options["auto_accept_minutes"]), (&json!(true), &json!(5)));

    cup.moves_to("registration_open").await;
    cup.enters("One").await;
    cup.enters("Two").await;
    put(json!({ "max_participants": 1 })).await.assert_refused(422, "validation_failed");
    cup.enters("Three").await;
    put(json!({ "max_participants": 2 })).await.assert_refused(409, "too_many_participants");
    cup.moves_to("registration_closed").await;
    cup.moves_to("in_progress").await;
    put(json!({ "format": "swiss" })).await.assert_refused(409, "fixed");
    assert_eq!(put(json!({ "name": "The Cup" })).await.json()["name"], "The Cup");
    service.stop().await;
}

#[actix_web::test]
async fn each_step_of_the_status_says_what_it_lacks() {
    let service = Service::start("steps").await;
    let (_, token) = service.add_user("Organizer", Role::Organizer).await;
    let cup = Cup::draft(&service.client, &token, json!({ "name": "Cup", "format": "swiss" })).await;
    let step = async |status: &str| cup.post("/status", json!({ "status": status })).await;
    step("in_progress").await.assert_refused(409, "no_such_step");
    step("nowhere").await.assert_refused(422, "validation_failed");
    cup.moves_to("registration_open").await;
    // Again is no mistake.
    cup.moves_to("registration_open").await;
    cup.enters("Alone").await;
    cup.moves_to("registration_closed").await;
    let refused = step("in_progress").await;
    refused.assert_refused(409, "too_few_participants");
    assert_eq!(refused.json()["error"], "1 participants are too few, 2 are needed");
    // An organizer enters somebody late.
    cup.enters("Late").await;
    cup.moves_to("in_progress").await;
    step("completed").await.assert_refused(409, "not_played");
    cup.post("/register", json!({ "name": "Too late" })).await.assert_refused(409, "wrong_status");
    cup.moves_to("cancelled").await;
    step("in_progress").await.assert_refused(409, "no_such_step");
    service.stop().await;
}

#[actix_web::test]
async fn players_take_their_own_places_and_the_waiting_list_moves_up() {
    let service = Service::start("places").await;
    let (_, token) = service.add_user("Organizer", Role::Organizer).await;
    let settings = json!({ "name": "Cup", "format": "single_elimination", "max_participants": 2 });
    let cup = Cup::draft(&service.client, &token, settings).await;
    let mut players = Vec::new();
    for name in ["Anna", "Ben", "Cleo"] {
        let (user_id, token) = service.add_user(name, Role::Player).await;
        service.link_player(user_id, &format!("guid-of-{name}")).await;
        players.push((user_id, token));
    }
    let (_, stranger) = service.add_user("Stranger", Role::Player).await;
    let register = async |token: &str, body: Value| {
        service.client.call_as(token, "POST", &cup.path("/register"), body).await
    };
    register(&players[0].1, json!({})).await.assert_refused(409, "wrong_status");
    cup.moves_to("registration_open").await;
    let anna = register(&players[0].1, json!({})).await;
    assert_eq!(anna.status, 201, "{}", anna.text);
    let anna = anna.json();
    assert_eq!((&anna["name"], &anna["waitlisted"]), (&json!("Anna"), &json!(false)));
    assert_eq!(anna["player_id"], players[0].0.to_string());
    register(&players[0].1, json!({})).await.assert_refused(409, "already_registered");
    register(&stranger, json!({})).await.assert_refused(409, "no_linked_player");
    register(&stranger, json!({ "name": "Anybody" })).await.assert_refused(403, "not_allowed");
    register(&stranger, json!({ "player_guid": "guid-of-Ben" })).await.assert_refused(403, "not_your_player");
    register(&players[1].1, json!({ "player_guid": "guid-of-Ben" })).await;
    let cleo = register(&players[2].1, json!({})).await.json();
    assert_eq!((&cleo["waitlisted"], &cleo["status"]), (&json!(true), &json!("waiting")));

    let others = cup.path(&format!("/register?participant_id={}", anna["participant_id"]));
    let refused = service.client.call_as(&stranger, "DELETE", &others, json!(null)).await;
    refused.assert_refused(403, "not_allowed");
    let gone = service.client.call_as(&players[0].1, "DELETE", &cup.path("/register"), json!(null)).await;
    assert_eq!(gone.json()["status"], "withdrawn");
    let list = cup.get("/participants").await;
    let names: Vec<&str> =
        list["participants"].as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["Ben", "Cleo", "Anna"]);
    assert_eq!(list["participants"][1]["status"], "registered");
    service.stop().await;
}

#[actix_web::test]
async fn time_moves_a_tournament_on_and_drops_who_did_not_check_in() {
    let now = DateTime::parse_from_rfc3339("2026-06-01T12:00:00Z").unwrap().with_timezone(&Utc);
    let time = SimulatedTime::starting_at(Millis(now.timestamp_millis()));
    let surroundings = Surroundings { clock: time.clock(), ..Surroundings::default() };
    let service = Service::start_with("times", &[], surroundings).await;
    let (_, token) = service.add_user("Organizer", Role::Organizer).await;
    let at = |minutes: i64| (now + TimeDelta::minutes(minutes)).to_rfc3339();
    let settings = json!({
        "name": "Evening", "format": "single_elimination", "max_participants": 3,
        "registration_start": at(10), "registration_end": at(20),
        "checkin_start": at(30), "checkin_end": at(40), "start_time": at(50),
    });
    let cup = Cup::draft(&service.client, &token, settings).await;
    let becomes = async |minutes: u64, status: &str| {
        time.advance(Duration::from_secs(60 * minutes));
        eventually(status, async || (cup.status().await == status).then_some(())).await;
    };
    becomes(11, "registration_open").await;
    for name in ["One", "Two", "Three", "Four"] {
        cup.enters(name).await;
    }
    becomes(10, "registration_closed").await;
    becomes(10, "checkin").await;
    for id in [1, 2] {
        cup.does("/checkin", json!({ "participant_id": id })).await;
    }
    cup.post("/checkin", json!({ "participant_id": 1 })).await.assert_refused(409, "already_checked_in");
    time.advance(Duration::from_secs(600));
    let list = eventually("who is absent is dropped", async || {
        let list = cup.get("/participants").await;
        let absent = list["participants"].as_array().unwrap().iter().any(|one| one["status"] == "no_show");
        absent.then_some(list)
    })
    .await;
    let names = |status: &str| -> Vec<String> {
        let all = list["participants"].as_array().unwrap().iter();
        all.filter(|one| one["status"] == status)
            .map(|one| one["name"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(
        (names("registered"), names("no_show")),
        (vec!["One".into(), "Two".into(), "Four".into()], vec!["Three".into()])
    );
    becomes(10, "in_progress").await;
    assert_eq!(cup.matches().await.len(), 3);
    service.stop().await;
}

#[actix_web::test]
async fn staff_act_within_their_roles() {
    let service = Service::start("staff").await;
    let (_, token) = service.add_user("Organizer", Role::Organizer).await;
    let (_, other) = service.add_user("Other organizer", Role::Organizer).await;
    let (referee_id, referee) = service.add_user("Referee", Role::Player).await;
    let settings = json!({ "name": "Cup", "format": "single_elimination" });
    let cup = Cup::begun(&service.client, &token, settings, 4).await;
    let as_user = async |token: &str, method: &str, rest: &str, body: Value| {
        service.client.call_as(token, method, &cup.path(rest), body).await
    };
    let result = || json!({ "score1": 1, "score2": 0 });
    as_user(&other, "POST", "/matches/R1.1/report", result()).await.assert_refused(403, "not_allowed");
    as_user(&other, "PUT", "", json!({ "name": "Mine" })).await.assert_refused(403, "not_allowed");
    as_user(&referee, "POST", "/matches/R1.1/report", result()).await.assert_refused(403, "not_allowed");
    let appoint = json!({ "user_id": referee_id, "role": "referee" });
    as_user(&other, "PUT", "/staff", appoint.clone()).await.assert_refused(403, "not_allowed");
    let staff = as_user(&token, "PUT", "/staff", appoint).await.json();
    assert_eq!(staff["staff"][1]["role"], "referee");
    let reported = as_user(&referee, "POST", "/matches/R1.1/report", result()).await;
    assert_eq!(reported.json()["status"], "completed", "{}", reported.text);
    as_user(&referee, "POST", "/matches/R1.1/correct", result()).await.assert_refused(403, "not_allowed");
    as_user(&referee, "POST", "/undo", json!({})).await.assert_refused(403, "not_allowed");
    let misspelt = json!({ "user_id": referee_id, "rol": "organizer" });
    as_user(&token, "PUT", "/staff", misspelt).await.assert_refused(422, "validation_failed");
    let staff = service.client.get_as(&token, &cup.path("/staff")).await.json();
    assert_eq!(staff["staff"][1]["role"], "referee", "a misspelt field takes nothing away");
    as_user(&token, "PUT", "/staff", json!({ "user_id": referee_id, "role": null })).await;
    as_user(&referee, "POST", "/matches/R1.2/report", result()).await.assert_refused(403, "not_allowed");
    service.stop().await;
}

#[actix_web::test]
async fn the_list_shows_drafts_only_to_who_asks_for_them() {
    let service = Service::start("list").await;
    let (_, token) = service.add_user("Organizer", Role::Organizer).await;
    Cup::draft(&service.client, &token, json!({ "name": "Draft", "format": "swiss" })).await;
    let open = Cup::draft(&service.client, &token, json!({ "name": "Open", "format": "round_robin" })).await;
    open.moves_to("registration_open").await;
    let names = async |query: &str| -> Vec<String> {
        let list = service.client.get(&format!("/api/v1/tournaments{query}")).await.json();
        let all = list["tournaments"].as_array().unwrap().iter();
        all.map(|one| one["name"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(names("").await, ["Open"]);
    assert_eq!(names("?filter[status]=draft").await, ["Draft"]);
    assert_eq!(names("?filter[status]=registration_open&filter[format]=swiss").await, [""; 0]);
    let bad = service.client.get("/api/v1/tournaments?filter[status]=never").await;
    bad.assert_refused(422, "validation_failed");
    service.client.get("/api/v1/tournaments/none").await.assert_refused(404, "not_found");
    let none = "/api/v1/tournaments/00000000-0000-0000-0000-000000000000";
    service.client.get(none).await.assert_refused(404, "unknown_tournament");
    service.stop().await;
}
