//! Versions, idempotency, the audit log, undo, export and import, the stream.

use futures_util::future::join_all;
use mohaa_stats::startup::Surroundings;
use mohaa_stats::users::Role;
use serde_json::{Value, json};

use crate::support::{Cup, EventStream, Reply, Service, favourite, schemas};

async fn with(cup: &Cup, rest: &str, headers: &[(&str, &str)], body: Value) -> Reply {
    let bearer = format!("Bearer {}", cup.organizer);
    let mut all = vec![("Authorization", bearer.as_str()), ("Content-Type", "application/json")];
    all.extend_from_slice(headers);
    cup.client.call("POST", &cup.path(rest), &all, body.to_string()).await
}

/// A bracket as text, whichever tournament it is of.
fn without_ids(mut bracket: Value) -> String {
    for value in ["tournament_id", "version"] {
        bracket[value] = Value::Null;
    }
    let mut text = bracket.to_string();
    while let Some(at) = text.find("\"id\":\"") {
        text.replace_range(at..at + 44, "");
    }
    text
}

fn score(score1: u32, score2: u32) -> Value {
    json!({ "score1": score1, "score2": score2 })
}

async fn begun(service: &Service, entrants: usize) -> Cup {
    let (_, token) = service.add_user("Organizer", Role::Organizer).await;
    let settings = json!({ "name": "Cup", "format": "single_elimination" });
    Cup::begun(&service.client, &token, settings, entrants).await
}

#[actix_web::test]
async fn a_stale_version_is_refused_and_told_the_present_one() {
    let service = Service::start("stale").await;
    let cup = begun(&service, 4).await;
    let version = cup.get("").await["version"].as_u64().unwrap();
    let seen = format!("\"{version}\"");
    let done = with(&cup, "/matches/R1.1/report", &[("If-Match", &seen)], score(1, 0)).await;
    assert_eq!(done.json()["version"], version + 1, "{}", done.text);
    let stale = with(&cup, "/matches/R1.2/report", &[("If-Match", &seen)], score(1, 0)).await;
    stale.assert_refused(409, "stale");
    assert_eq!(stale.json()["version"], version + 1);
    with(&cup, "/matches/R1.2/report", &[("If-Match", "x")], score(1, 0))
        .await
        .assert_refused(422, "validation_failed");
    with(&cup, "/matches/R1.2/report", &[("If-Match", "*")], score(1, 0)).await;
    assert_eq!(cup.get("").await["version"], version + 2);
    service.stop().await;
}

#[actix_web::test]
async fn a_key_makes_a_mutation_happen_once() {
    let service = Service::start("keys").await;
    let cup = begun(&service, 4).await;
    let key = [("Idempotency-Key", "a-b-c")];
    let first = with(&cup, "/matches/R1.1/report", &key, score(1, 0)).await.json();
    cup.reports("R1.2", 1, 0).await;
    let again = with(&cup, "/matches/R1.1/report", &key, score(1, 0)).await;
    assert_eq!((again.status.as_u16(), &again.json()["version"]), (200, &first["version"]), "{}", again.text);
    with(&cup, "/matches/R2.1/report", &key, score(1, 0)).await.assert_refused(409, "idempotency_key_reused");
    assert_eq!(cup.one("R2.1").await["status"], "ready");

    let bearer = format!("Bearer {}", cup.organizer);
    let headers =
        [("Authorization", bearer.as_str()), ("Content-Type", "application/json"), ("Idempotency-Key", "n")];
    let make = async || {
        let body = json!({ "name": "Once", "format": "swiss" }).to_string();
        service.client.call("POST", "/api/v1/tournaments", &headers, body).await
    };
    let (one, other) = (make().await, make().await);
    assert_eq!((one.status.as_u16(), other.status.as_u16()), (201, 201));
    assert_eq!(one.json()["id"], other.json()["id"]);
    let body = json!({ "name": "Another", "format": "swiss" }).to_string();
    let reused = service.client.call("POST", "/api/v1/tournaments", &headers, body).await;
    reused.assert_refused(409, "idempotency_key_reused");

    let before = service.client.get_as(&cup.organizer, &cup.path("/export")).await.text;
    cup.reports("R2.1", 1, 0).await;
    let after = service.client.get_as(&cup.organizer, &cup.path("/export")).await.text;
    let import = async |document: &str| {
        let headers = [("Authorization", bearer.as_str()), ("Idempotency-Key", "import")];
        service.client.call("POST", "/api/v1/tournaments/import", &headers, document).await
    };
    let (one, again) = (import(&before).await, import(&before).await);
    assert_eq!((one.status.as_u16(), &one.json()["id"]), (201, &again.json()["id"]), "{}", one.text);
    import(&after).await.assert_refused(409, "idempotency_key_reused");
    service.stop().await;
}

#[actix_web::test]
async fn a_registration_that_is_sent_again_is_the_one_that_was_made() {
    let service = Service::start("registered_twice").await;
    let (_, organizer) = service.add_user("Organizer", Role::Organizer).await;
    let cup = Cup::draft(&service.client, &organizer, json!({ "name": "Cup", "format": "swiss" })).await;
    cup.moves_to("registration_open").await;
    let (user_id, player) = service.add_user("Player", Role::Player).await;
    service.link_player(user_id, "1001").await;
    let bearer = format!("Bearer {player}");
    let headers =
        [("Authorization", bearer.as_str()), ("Content-Type", "application/json"), ("Idempotency-Key", "r")];
    let path = cup.path("/register");
    let register = async || service.client.call("POST", &path, &headers, "{}".to_owned()).await;
    let (one, again) = (register().await, register().await);
    assert_eq!((one.status.as_u16(), again.status.as_u16()), (201, 201), "{}", again.text);
    assert_eq!(one.json()["participant_id"], again.json()["participant_id"]);
    cup.does("/undo", json!({})).await;
    register().await.assert_refused(409, "taken_back");
    service.stop().await;
}

#[actix_web::test]
async fn changes_of_different_settings_at_once_both_hold() {
    let service = Service::start("both_hold").await;
    let (_, organizer) = service.add_user("Organizer", Role::Organizer).await;
    let cup = Cup::draft(&service.client, &organizer, json!({ "name": "Cup", "format": "swiss" })).await;
    for number in 0..20 {
        let (described, mode) = (format!("description {number}"), format!("mode {number}"));
        let path = cup.path("");
        let put = |body: Value| service.client.call_as(&organizer, "PUT", &path, body);
        let (one, other) =
            tokio::join!(put(json!({ "description": described })), put(json!({ "game_mode": mode })));
        assert_eq!((one.status.as_u16(), other.status.as_u16()), (200, 200));
        let now = cup.get("").await;
        assert_eq!((&now["description"], &now["game_mode"]), (&json!(described), &json!(mode)));
        let (rounds, minutes) = (3 + number % 5, 7 + number);
        let (one, other) = tokio::join!(
            put(json!({ "options": { "swiss_rounds": rounds } })),
            put(json!({ "options": { "auto_accept_minutes": minutes } }))
        );
        assert_eq!((one.status.as_u16(), other.status.as_u16()), (200, 200));
        let options = cup.get("").await["options"].clone();
        assert_eq!(
            (&options["swiss_rounds"], &options["auto_accept_minutes"]),
            (&json!(rounds), &json!(minutes))
        );
    }
    let put = async |body: Value, key: &str| {
        let bearer = format!("Bearer {organizer}");
        let headers = [
            ("Authorization", bearer.as_str()),
            ("Content-Type", "application/json"),
            ("Idempotency-Key", key),
        ];
        service.client.call("PUT", &cup.path(""), &headers, body.to_string()).await.status
    };
    let rounds = json!({ "options": { "swiss_rounds": 9 } });
    assert_eq!(put(rounds.clone(), "rounds").await, 200);
    assert_eq!(put(json!({ "options": { "auto_accept_minutes": 99 } }), "minutes").await, 200);
    assert_eq!(put(rounds, "rounds").await, 200, "what came between is about something else");
    service.stop().await;
}

#[actix_web::test]
async fn the_log_tells_who_did_what_and_undo_goes_back_step_by_step() {
    let service = Service::start("audit").await;
    let cup = begun(&service, 4).await;
    let start = cup.get("/bracket").await;
    cup.reports("R1.1", 1, 0).await;
    cup.reports("R1.2", 0, 1).await;
    let stranger = service.add_user("Stranger", Role::Player).await.1;
    let refused = service.client.get_as(&stranger, &cup.path("/audit")).await;
    refused.assert_refused(403, "not_allowed");
    let log = service.client.get_as(&cup.organizer, &cup.path("/audit?limit=2")).await.json();
    assert_eq!(log["total"], 9);
    let last = &log["entries"][0];
    assert_eq!(
        (&last["action"], &last["key"], &last["user_name"]),
        (&json!("report"), &json!("R1.2"), &json!("Organizer"))
    );
    let of_match = last["changes"].as_array().unwrap().iter().find(|change| change["key"] == "R1.2").unwrap();
    assert_eq!(
        (&of_match["before"]["outcome"], &of_match["after"]["outcome"]["verdict"]["scores"]),
        (&Value::Null, &json!([0, 1]))
    );

    cup.does("/undo", json!({})).await;
    cup.does("/undo", json!({})).await;
    assert_eq!(cup.get("/bracket").await["stages"], start["stages"]);
    // Then the start itself, and so on to the draft.
    let now = cup.does("/undo", json!({})).await;
    assert_eq!(now["status"], "registration_closed");
    for _ in 0..6 {
        cup.does("/undo", json!({})).await;
    }
    assert_eq!(cup.status().await, "draft");
    cup.post("/undo", json!({})).await.assert_refused(409, "nothing_to_undo");
    // Forward again: no number is given twice.
    cup.moves_to("registration_open").await;
    assert_eq!(cup.enters("P1").await["participant_id"], 5);
    service.stop().await;
}

#[actix_web::test]
async fn an_exported_tournament_is_the_same_where_it_is_imported() {
    let service = Service::start("export").await;
    let (_, token) = service.add_user("Organizer", Role::Organizer).await;
    let settings = json!({ "name": "Cup", "format": "double_elimination" });
    let cup = Cup::begun(&service.client, &token, settings, 6).await;
    cup.reports("W1.2", 1, 0).await;
    cup.does("/undo", json!({})).await;
    cup.plays(favourite).await;
    let stranger = service.add_user("Stranger", Role::Organizer).await.1;
    service.client.get_as(&stranger, &cup.path("/export")).await.assert_refused(403, "not_allowed");
    let document = service.client.get_as(&token, &cup.path("/export")).await.json();

    let elsewhere = Service::start("import").await;
    let (_, other) = elsewhere.add_user("Other", Role::Organizer).await;
    let import = async |document: &Value| {
        elsewhere.client.call_as(&other, "POST", "/api/v1/tournaments/import", document.clone()).await
    };
    let imported = import(&document).await;
    assert_eq!(imported.status, 201, "{}", imported.text);
    let id = imported.json()["id"].as_str().unwrap().to_owned();
    let copy = Cup { client: elsewhere.client.clone(), organizer: other.clone(), id };
    assert_eq!(without_ids(copy.get("/bracket").await), without_ids(cup.get("/bracket").await));
    assert_eq!(copy.final_places().await, cup.final_places().await);
    assert_eq!(copy.get("").await["version"], cup.get("").await["version"]);
    copy.does("/undo", json!({})).await;
    let bearer = format!("Bearer {other}");
    let headers = [
        ("Authorization", bearer.as_str()),
        ("Content-Type", "application/json"),
        ("Idempotency-Key", "copy"),
    ];
    let under_a_key = async || {
        let body = document.to_string();
        elsewhere.client.call("POST", "/api/v1/tournaments/import", &headers, body).await.json()["id"].clone()
    };
    let first = under_a_key().await;
    assert!(first.is_string(), "{first}");
    assert_eq!(under_a_key().await, first);

    let mut forged = document.clone();
    forged["log"].as_array_mut().unwrap().remove(3);
    import(&forged).await.assert_refused(422, "validation_failed");
    import(&json!({ "document": "something" })).await.assert_refused(422, "validation_failed");
    elsewhere.stop().await;
    service.stop().await;
}

#[actix_web::test]
async fn who_follows_a_tournament_hears_of_every_mutation_once() {
    let stores = schemas::database("follow").await;
    let service = Service::start_on(&stores, &[], Surroundings::default()).await;
    let other_node = Service::start_on(&stores, &[], Surroundings::default()).await;
    let cup = begun(&service, 4).await;
    let url = format!("{}{}", other_node.client.url, cup.path("/events"));
    let mut stream = EventStream::open(&url, None).await;
    let snapshot = stream.next_of("snapshot").await;
    let version = cup.get("").await["version"].as_u64().unwrap();
    assert_eq!((snapshot.id(), &snapshot.data["version"]), (format!("1-{version}"), &json!(version)));
    cup.reports("R1.1", 1, 0).await;
    let told = stream.next_of("report").await;
    assert_eq!((told.id(), &told.data["key"]), (format!("1-{}", version + 1), &json!("R1.1")));
    let keys: Vec<&Value> = told.data["matches"].as_array().unwrap().iter().map(|one| &one["key"]).collect();
    assert_eq!(keys, ["R1.1", "R2.1"]);
    cup.reports("R1.2", 1, 0).await;
    cup.does("/undo", json!({})).await;
    let mut resumed = EventStream::open(&url, Some(&told.id())).await;
    for name in ["report", "undo"] {
        assert_eq!(stream.next_of(name).await.id(), resumed.next_of(name).await.id());
    }
    other_node.stop().await;
    service.stop().await;
}

#[actix_web::test]
async fn two_hundred_reporters_of_two_nodes_at_once_lose_nothing_and_fork_nothing() {
    let stores = schemas::database("two_nodes").await;
    let service = Service::start_on(&stores, &[], Surroundings::default()).await;
    let other_node = Service::start_on(&stores, &[], Surroundings::default()).await;
    let (_, token) = service.add_user("Organizer", Role::Organizer).await;
    let settings = json!({ "name": "Cup", "format": "round_robin" });
    let cup = Cup::begun(&service.client, &token, settings, 21).await;
    let elsewhere = Cup { client: other_node.client.clone(), ..cup.clone() };
    let before = cup.get("").await["version"].as_u64().unwrap();
    let seen = format!("\"{before}\"");
    let matches = cup.matches().await;
    assert_eq!(matches.len(), 210);
    // The last ten change only what they have seen, which one of them finds at most.
    let condition = [("If-Match", seen.as_str())];
    let reports = matches.iter().enumerate().map(|(number, one)| {
        let node = if number % 2 == 0 { &cup } else { &elsewhere };
        let rest = format!("/matches/{}/report", one["key"].as_str().unwrap());
        let headers: &[(&str, &str)] = if number < 200 { &[] } else { &condition };
        async move { with(node, &rest, headers, score(2, 1)).await }
    });
    let answers = join_all(reports).await;
    assert!(answers[..200].iter().all(|answer| answer.status == 200), "nobody is turned away");
    let (done, stale): (Vec<&Reply>, Vec<&Reply>) = answers.iter().partition(|answer| answer.status == 200);
    for answer in &stale {
        answer.assert_refused(409, "stale");
        assert!(answer.json()["version"].as_u64().unwrap() > before);
    }
    assert!(stale.len() >= 9, "{}", stale.len());
    let mut versions: Vec<u64> =
        done.iter().map(|answer| answer.json()["version"].as_u64().unwrap()).collect();
    versions.sort_unstable();
    let each_once: Vec<u64> = (before + 1..=before + done.len() as u64).collect();
    assert_eq!(versions, each_once);
    let completed = cup.matches().await.iter().filter(|one| one["status"] == "completed").count();
    assert_eq!(completed, done.len());
    assert_eq!(elsewhere.get("/bracket").await, cup.get("/bracket").await);
    assert_eq!(elsewhere.get("/standings").await, cup.get("/standings").await);
    // The log leads to what is stored.
    let document = service.client.get_as(&token, &cup.path("/export")).await.json();
    assert_eq!(document["log"].as_array().unwrap().len() as u64, before - 1 + done.len() as u64);
    let copy = other_node.client.call_as(&token, "POST", "/api/v1/tournaments/import", document).await;
    assert_eq!(copy.status, 201, "{}", copy.text);
    let copy = Cup { id: copy.json()["id"].as_str().unwrap().to_owned(), ..elsewhere };
    assert_eq!(without_ids(copy.get("/bracket").await), without_ids(cup.get("/bracket").await));
    other_node.stop().await;
    service.stop().await;
}

/// Nobody's but this user's.
const NAME: &str = "Annabella Zwischenzeit";

async fn enters_as(service: &Service, cup: &Cup, name: &str) -> (i32, String) {
    let (user_id, token) = service.add_user(name, Role::Player).await;
    service.link_player(user_id, &format!("guid of {name}")).await;
    let entered = service.client.call_as(&token, "POST", &cup.path("/register"), json!({})).await;
    assert_eq!(entered.status, 201, "{}", entered.text);
    (user_id, token)
}

#[actix_web::test]
async fn who_leaves_for_good_leaves_no_name_in_a_tournament() {
    let stores = schemas::database("forgotten").await;
    let service = Service::start_on(&stores, &[], Surroundings::default()).await;
    let other_node = Service::start_on(&stores, &[], Surroundings::default()).await;
    let (_, token) = service.add_user("Organizer", Role::Organizer).await;
    let settings = json!({ "name": "Cup", "format": "single_elimination" });
    let cup = Cup::draft(&service.client, &token, settings).await;
    let elsewhere = Cup { client: other_node.client.clone(), ..cup.clone() };
    cup.moves_to("registration_open").await;
    let (anna_id, anna) = enters_as(&service, &cup, NAME).await;
    enters_as(&service, &cup, "Paul").await;
    cup.enters("By name").await;
    // Both nodes know it now, and one has something to take back.
    assert_eq!(elsewhere.get("/participants").await["participants"][0]["name"], NAME);
    let seeds = json!({ "seeds": [2, 1, 3] });
    assert_eq!(elsewhere.client.call_as(&token, "PUT", &cup.path("/seeds"), seeds).await.status, 200);
    assert_eq!(service.client.call_as(&anna, "DELETE", "/api/v1/users/me", json!({})).await.status, 204);

    let told = async |cup: &Cup| {
        let mut told = Vec::new();
        for rest in ["", "/participants", "/bracket", "/standings", "/audit", "/export"] {
            told.push(cup.client.get_as(&cup.organizer, &cup.path(rest)).await.text);
        }
        told.join("\n")
    };
    for node in [&cup, &elsewhere] {
        let told = told(node).await;
        assert!(!told.contains(NAME) && told.contains("deleted user"), "{told}");
    }
    // Nor does it come back with what a node remembered, or with what is taken back.
    elsewhere.moves_to("registration_closed").await;
    elsewhere.moves_to("in_progress").await;
    for _ in 0..3 {
        elsewhere.does("/undo", json!({})).await;
    }
    assert_eq!(elsewhere.get("").await["status"], "registration_open");
    for node in [&cup, &elsewhere] {
        assert!(!told(node).await.contains(NAME));
    }
    for table in ["tournament_participants", "tournament_log", "tournaments", "audit_log", "users"] {
        let sql = sqlx::AssertSqlSafe(format!("SELECT {table}::text FROM {table}"));
        let rows: Vec<String> =
            sqlx::query_scalar(sql).fetch_all(&service.application.postgres).await.unwrap();
        assert!(!rows.is_empty() && rows.iter().all(|row| !row.contains(NAME)), "{table}: {rows:?}");
    }
    // The log still leads to what is stored, and is changed by nobody else.
    let document = service.client.get_as(&token, &cup.path("/export")).await.json();
    let copy = other_node.client.call_as(&token, "POST", "/api/v1/tournaments/import", document).await;
    assert_eq!(copy.status, 201, "{}", copy.text);
    let changed = sqlx::query("UPDATE tournament_log SET command = NULL WHERE version = 3")
        .execute(&service.application.postgres)
        .await;
    assert!(changed.unwrap_err().to_string().contains("append-only"));
    let places: i64 = sqlx::query_scalar("SELECT count(*) FROM tournament_participants WHERE user_id = $1")
        .bind(anna_id)
        .fetch_one(&service.application.postgres)
        .await
        .unwrap();
    assert_eq!(places, 2, "the place stays, in the copy too");
    other_node.stop().await;
    service.stop().await;
}

#[actix_web::test]
async fn a_document_gives_no_place_to_strangers_and_says_of_nobody_what_they_did() {
    let service = Service::start("forged_documents").await;
    let (_, token) = service.add_user("Organizer", Role::Organizer).await;
    let settings = json!({ "name": "Cup", "format": "single_elimination" });
    let cup = Cup::draft(&service.client, &token, settings).await;
    cup.moves_to("registration_open").await;
    let (anna_id, anna) = enters_as(&service, &cup, "Anna").await;
    enters_as(&service, &cup, "Paul").await;
    let export = service.client.get_as(&anna, "/api/v1/users/me/export").await.json();
    assert_eq!(
        (&export["tournaments"][0]["tournament_id"], &export["tournaments"][0]["place"]),
        (&json!(cup.id), &json!("registered")),
        "{export}"
    );
    assert_eq!(export["tournament_log"][0]["command"]["command"], "register", "{export}");

    let document = service.client.get_as(&token, &cup.path("/export")).await.json();
    let imported = async |document: &Value| {
        let made =
            service.client.call_as(&token, "POST", "/api/v1/tournaments/import", document.clone()).await;
        assert_eq!(made.status, 201, "{}", made.text);
        let id = made.json()["id"].as_str().unwrap().to_owned();
        let copy = Cup { id, ..cup.clone() };
        let participants = copy.get("/participants").await["participants"].clone();
        let path = copy.path("/audit");
        (participants, service.client.get_as(&token, &path).await.json()["entries"].clone())
    };
    // What the log here says is true.
    let (participants, entries) = imported(&document).await;
    assert_eq!(participants[0]["user_id"], anna_id);
    assert_eq!(entries[1]["user_id"], anna_id, "{entries}");

    // What somebody else says of the same people is not: numbers of another service are those of strangers.
    let mut forged = document.clone();
    forged["log"][1]["at"] = json!(1);
    let mut foreign = document.clone();
    foreign["tournament"]["id"] = json!("01a21d4f-e432-7559-8460-e13645c2f928");
    for document in [forged, foreign] {
        let (participants, entries) = imported(&document).await;
        assert_eq!((&participants[0]["name"], &participants[0]["user_id"]), (&json!("Anna"), &Value::Null));
        for entry in entries.as_array().unwrap() {
            assert_eq!(entry["user_id"], Value::Null, "{entry}");
            assert!(!entry["by"].to_string().contains("10000000"), "{entry}");
        }
    }
    service.stop().await;
}
