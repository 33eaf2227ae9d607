//! Players and whose they are: codes of the game, claims, merges, names taken away.

use mohaa_stats::users::Role;
use serde_json::{Value, json};

use crate::support::{Reply, Service, eventually, schemas};

const GUID: &str = "0123456789abcdef0123456789abcdef";

async fn verify(service: &Service, token: &str) -> Reply {
    // As the script does: JSON under a form's label.
    let body = json!({"token": token, "player_guid": "unauth_3", "player_name": "Anna", "server_id": "x", "server_port": "12203"});
    let headers = [("Content-Type", "application/x-www-form-urlencoded")];
    service.client.post("/api/v1/auth/verify", &headers, body.to_string()).await.unwrap()
}

async fn code_of(service: &Service, token: &str, path: &str) -> String {
    let reply = service.client.call_as(token, "POST", path, json!({})).await;
    assert_eq!(reply.status, 201, "{}", reply.text);
    let body = reply.json();
    assert!(
        body["expires_at"].is_string()
            && body["message"].as_str().unwrap().contains(body["code"].as_str().unwrap())
    );
    body["code"].as_str().unwrap().to_owned()
}

async fn claim(service: &Service, code: &str, guid: &str) -> Reply {
    let body = json!({"code": code, "player_guid": guid, "player_name": "Anna"}).to_string();
    let headers = [("X-Server-Token", service.client.token.as_str()), ("Content-Type", "application/json")];
    service.client.post("/api/v1/auth/claim/verify", &headers, body).await.unwrap()
}

/// A match with an id in which `killer` killed `victim` so often.
async fn play(service: &Service, match_id: &str, killer: (&str, &str), victim: (&str, &str), kills: usize) {
    let kill = json!({
        "type": "player_kill", "match_id": match_id, "timestamp": 20.0, "weapon": "M1 Garand",
        "attacker_name": killer.1, "attacker_guid": killer.0, "victim_name": victim.1, "victim_guid": victim.0,
    });
    service.client.send(json!(vec![kill; kills]).to_string()).await.assert_batch(202, kills as u64, &[]);
}

/// The player's answer once it fulfils this.
async fn player(service: &Service, id: &str, is_it: impl Fn(&Value) -> bool) -> Value {
    eventually("the player's answer changes", async || {
        let reply = service.client.get(&format!("/api/v1/stats/player/{id}")).await;
        (reply.status == 200).then(|| reply.json()).filter(&is_it)
    })
    .await
}

#[actix_web::test]
async fn a_code_logs_in_to_the_game_once_and_a_token_says_whom_it_names() {
    let service = Service::start("game_token").await;
    let (user_id, token) = service.add_user("Anna", Role::Player).await;
    let code = code_of(&service, &token, "/api/v1/auth/game-token").await;
    assert!(
        code.len() >= 8 && code.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit()),
        "{code}"
    );
    let verified = verify(&service, &format!(" {} ", code.to_lowercase())).await;
    assert_eq!(verified.status, 200, "{}", verified.text);
    assert_eq!(
        verified.json(),
        json!({"valid": true, "forum_user_id": user_id, "member_name": "Anna", "player_guid": "unauth_3"})
    );
    for used in [code.as_str(), "NOSUCHCODE", ""] {
        let refused = verify(&service, used).await;
        assert_eq!(
            (refused.status.as_u16(), &refused.json()["valid"]),
            (401, &false.into()),
            "{}",
            refused.text
        );
        assert!(refused.json()["error"].is_string() && refused.json()["code"].is_string());
    }
    assert_eq!(verify(&service, &token).await.json()["forum_user_id"], user_id);

    // The code before the last is good for nothing, nor is one for another purpose.
    let earlier = code_of(&service, &token, "/api/v1/auth/game-token").await;
    code_of(&service, &token, "/api/v1/auth/game-token").await;
    let claimed = code_of(&service, &token, "/api/v1/auth/claim/init").await;
    for wrong in [earlier, claimed] {
        assert_eq!(verify(&service, &wrong).await.status, 401);
    }
    service.stop().await;
}

#[actix_web::test]
async fn guessing_codes_comes_to_an_end() {
    let service = Service::start("guessing").await;
    let (_, token) = service.add_user("Anna", Role::Player).await;
    let code = code_of(&service, &token, "/api/v1/auth/game-token").await;
    for number in 0..20 {
        assert_eq!(verify(&service, &format!("WRONG{number:04}")).await.status, 401);
    }
    verify(&service, &code).await.assert_refused(429, "too_many_guesses");
    claim(&service, "WRONG", GUID).await.assert_refused(429, "too_many_guesses");
    service.stop().await;
}

#[actix_web::test]
async fn a_claim_links_a_player_for_good_and_nobody_can_claim_it_again() {
    let service = Service::start("claims").await;
    let (user_id, token) = service.add_user("Anna", Role::Player).await;
    let (_, other) = service.add_user("Bert", Role::Player).await;
    play(&service, "match_a", (GUID, "^1Anna"), ("4711", "Bert"), 3).await;
    player(&service, GUID, |player| player["total_kills"] == 3).await;

    let code = code_of(&service, &token, "/api/v1/auth/claim/init").await;
    claim(&service, "NOSUCHCODE", GUID).await.assert_refused(404, "unknown_code");
    claim(&service, &code, "world").await.assert_refused(422, "validation_failed");
    let linked = claim(&service, &code, GUID).await;
    assert_eq!(
        linked.json(),
        json!({"status": "linked", "player_id": GUID, "user_id": user_id}),
        "{}",
        linked.text
    );
    claim(&service, &code, GUID).await.assert_refused(404, "unknown_code");

    // The canonical id is the user's; the old one keeps working, and what is played under either adds up.
    let own = user_id.to_string();
    play(&service, "match_b", (&own, "Anna"), ("4711", "Bert"), 2).await;
    let merged = player(&service, GUID, |player| player["total_kills"] == 5).await;
    assert_eq!(
        (&merged["player_id"], &merged["user"]["name"]),
        (&own.as_str().into(), &"Anna".into()),
        "{merged}"
    );
    let board = service.client.get("/api/v1/stats/leaderboard").await.json();
    let rows: Vec<_> =
        board["players"].as_array().unwrap().iter().map(|row| (&row["player_id"], &row["kills"])).collect();
    assert!(rows.contains(&(&json!(own), &json!(5))), "{board}");
    assert!(!rows.iter().any(|(id, _)| **id == json!(GUID)), "{board}");
    let victim = player(&service, "4711", |player| player["nemesis"]["kills"] == 5).await;
    assert_eq!(victim["nemesis"]["player_id"], own.as_str());

    let theirs = code_of(&service, &other, "/api/v1/auth/claim/init").await;
    claim(&service, &theirs, GUID).await.assert_refused(409, "player_owned");
    claim(&service, &theirs, &own).await.assert_refused(409, "player_owned");
    // Refused, the code is still good.
    assert_eq!(claim(&service, &theirs, "4711").await.status, 200);

    let unlink = format!("/api/v1/users/me/players/{GUID}");
    assert_eq!(service.client.call_as(&token, "DELETE", &unlink, json!(null)).await.status, 204);
    player(&service, GUID, |player| player["player_id"] == GUID && player["total_kills"] == 3).await;
    service.stop().await;
}

#[actix_web::test]
async fn a_claim_needs_the_servers_token_and_a_code_that_has_not_expired() {
    let service = Service::start("claim_refusals").await;
    let (_, token) = service.add_user("Anna", Role::Admin).await;
    let code = code_of(&service, &token, "/api/v1/auth/claim/init").await;
    let body = json!({"code": code, "player_guid": GUID, "player_name": "A"});
    service
        .client
        .call_as(&token, "POST", "/api/v1/auth/claim/verify", body)
        .await
        .assert_refused(401, "invalid_token");
    sqlx::query("UPDATE identity_codes SET expires_at = now() - interval '1 second'")
        .execute(&service.application.postgres)
        .await
        .unwrap();
    claim(&service, &code, GUID).await.assert_refused(410, "expired_code");
    service.stop().await;
}

#[actix_web::test]
async fn a_claim_is_taken_from_a_script_that_writes_its_token_into_the_body() {
    let service = Service::start("claim_body_token").await;
    let (_, token) = service.add_user("Anna", Role::Player).await;
    let server = &service.client.token;
    let as_form = |code: &str| format!("code={code}&player_guid=4711&server_token={server}");
    let as_json =
        |code: &str| json!({"code": code, "player_guid": "4712", "server_token": server}).to_string();
    for body in [&as_form as &dyn Fn(&str) -> String, &as_json] {
        let code = code_of(&service, &token, "/api/v1/auth/claim/init").await;
        let claimed = service.client.call("POST", "/api/v1/auth/claim/verify", &[], body(&code)).await;
        assert_eq!(claimed.status, 200, "{}", claimed.text);
    }
    // A header says more, and a token is none in the address.
    let code = code_of(&service, &token, "/api/v1/auth/claim/init").await;
    let headers = [("X-Server-Token", "unknown")];
    let refused = service.client.call("POST", "/api/v1/auth/claim/verify", &headers, as_json(&code)).await;
    refused.assert_refused(401, "invalid_token");
    let address = format!("/api/v1/auth/claim/verify?server_token={server}");
    let body = json!({"code": code, "player_guid": "4713"}).to_string();
    service.client.call("POST", &address, &[], body).await.assert_refused(401, "missing_token");
    service.stop().await;
}

#[actix_web::test]
async fn a_player_who_was_merged_into_somebody_elses_is_not_claimed_away() {
    let service = Service::start("claim_merged").await;
    let (_, admin) = service.add_user("Admin", Role::Admin).await;
    let (owner, _) = service.add_user("Anna", Role::Player).await;
    service.link_player(owner, "200").await;
    play(&service, "match_a", ("100", "Old"), ("300", "Victim"), 3).await;
    play(&service, "match_b", ("200", "New"), ("300", "Victim"), 4).await;
    player(&service, "100", |player| player["total_kills"] == 3).await;
    let merge = json!({"from": "100", "into": "200"});
    assert_eq!(service.client.call_as(&admin, "POST", "/api/v1/admin/merges", merge).await.status, 201);
    let (_, thief) = service.add_user("Theo", Role::Player).await;
    let code = code_of(&service, &thief, "/api/v1/auth/claim/init").await;
    assert_eq!(claim(&service, &code, "100").await.status, 409);
    service.stop().await;
}

#[actix_web::test]
async fn guesses_at_one_node_count_at_another() {
    let urls = schemas::database("shared_guesses").await;
    let one = Service::start_on(&urls, &[], Default::default()).await;
    let other = Service::start_on(&urls, &[], Default::default()).await;
    for number in 0..19 {
        assert_eq!(verify(&one, &format!("WRONG{number:04}")).await.status, 401);
    }
    // The other node hears of them a moment after a wrong one came there.
    let mut tries = 0;
    eventually("the other node refuses", async || {
        tries += 1;
        (verify(&other, &format!("WRONG{tries:04}")).await.status == 429).then_some(())
    })
    .await;
    assert!(tries < 15, "its own guesses alone would not be too many: {tries}");
    one.stop().await;
    other.stop().await;
}

#[actix_web::test]
async fn a_player_who_guesses_at_claims_in_the_game_is_not_listened_to() {
    let service = Service::start("guesses_in_chat").await;
    let (_, token) = service.add_user("Anna", Role::Player).await;
    let code = code_of(&service, &token, "/api/v1/auth/claim/init").await;
    let says = |guid: &str, code: &str| json!({"type": "chat", "player_name": "A", "player_guid": guid, "message": format!("!claim {code}")});
    let wrong = "ABCDEFGHJKMNPQRSTVWX".chars().map(|last| says("1111", &format!("WRNGWRNG{last}")));
    let mut events: Vec<Value> = wrong.collect();
    events.push(says("1111", &code));
    events.push(says("2222", &code));
    service.client.send(json!(events).to_string()).await.assert_batch(202, 22, &[]);
    // They are taken one after the other.
    eventually("somebody is linked", async || {
        let me = service.client.get_as(&token, "/api/v1/users/me").await.json();
        (me["player_ids"] != json!([])).then(|| assert_eq!(me["player_ids"], json!(["2222"])))
    })
    .await;
    service.stop().await;
}

#[actix_web::test]
async fn scripts_are_understood_however_they_write_a_claim_or_a_login() {
    let service = Service::start("claim_dialects").await;
    let (user_id, token) = service.add_user("Anna", Role::Player).await;
    let code = code_of(&service, &token, "/api/v1/auth/claim/init").await;
    let headers = [("X-Server-Token", service.client.token.as_str())];
    let refused = service.client.post("/api/v1/auth/claim/verify", &headers, "{}").await.unwrap();
    refused.assert_refused(422, "validation_failed");
    assert!(refused.json()["fields"]["code"].is_string(), "{}", refused.text);
    let form = format!("code={code}&player_guid=4711&player_name=Anna");
    let linked = service.client.post("/api/v1/auth/claim/verify", &headers, form).await.unwrap();
    assert_eq!((linked.status.as_u16(), &linked.json()["player_id"]), (200, &json!("4711")));
    let code = code_of(&service, &token, "/api/v1/auth/claim/init").await;
    let body = json!({"code": code, "player_guid": 4712, "player_name": null}).to_string();
    let linked = service.client.post("/api/v1/auth/claim/verify", &headers, body).await.unwrap();
    assert_eq!((linked.status.as_u16(), &linked.json()["player_id"]), (200, &json!("4712")));
    for (guid, echoed) in [(json!(4711), "4711"), (json!(null), "")] {
        let code = code_of(&service, &token, "/api/v1/auth/game-token").await;
        let body = json!({"token": code, "player_guid": guid}).to_string();
        let reply = service.client.call("POST", "/api/v1/auth/verify", &[], body).await;
        assert_eq!(reply.status, 200, "{}", reply.text);
        assert_eq!(
            (&reply.json()["forum_user_id"], &reply.json()["player_guid"]),
            (&json!(user_id), &json!(echoed))
        );
    }
    let (_, admin) = service.add_user("Admin", Role::Admin).await;
    let log = service.client.get_as(&admin, "/api/v1/admin/audit?limit=100").await.json();
    let entries = log["entries"].as_array().unwrap();
    let claimed = entries.iter().find(|entry| entry["action"] == "player.claim").unwrap();
    assert_eq!(claimed["after"]["server_id"], service.server_id.to_string(), "{claimed}");
    service.stop().await;
}

#[actix_web::test]
async fn a_login_said_in_chat_by_mistake_is_kept_nowhere() {
    let service = Service::start("chat_login").await;
    let (_, token) = service.add_user("Anna", Role::Player).await;
    let code = code_of(&service, &token, "/api/v1/auth/game-token").await;
    let glued = json!([
        {"type": "chat", "player_name": "A", "player_guid": "1111", "message": format!("!claim code={code},please")},
        {"type": "made_up", "command": format!("login {code}"), "message": format!("login={code}")},
    ]);
    service.client.send(glued.to_string()).await.assert_batch(202, 2, &[]);
    for command in ["login", "/login", "!LOGIN"] {
        let chat = json!([{"type": "chat", "player_name": "A", "player_guid": "1111", "message": format!("{command} {code}")}]);
        service.client.send(chat.to_string()).await.assert_batch(202, 1, &[]);
    }
    service.client.settled().await;
    let messages = service.warehouse.rows("SELECT message FROM raw_events WHERE type = 'chat'").await;
    assert_eq!(messages.len(), 4);
    assert_eq!(messages.iter().filter(|row| row["message"] == "login [hidden]").count(), 3, "{messages:?}");
    let everything = service.warehouse.rows("SELECT * FROM raw_events").await;
    assert_eq!(everything.len(), 5);
    for row in everything {
        assert!(!row.to_string().contains(&code), "{row}");
    }
    service.stop().await;
}

#[actix_web::test]
async fn a_claim_in_chat_or_by_event_links_whoever_says_it_and_its_code_is_kept_nowhere() {
    let service = Service::start("chat_claims").await;
    for (number, guid) in ["1111", GUID].into_iter().enumerate() {
        let (user_id, token) = service.add_user("Anna", Role::Player).await;
        let code = code_of(&service, &token, "/api/v1/auth/claim/init").await;
        let event = match number {
            0 => {
                json!({"type": "chat", "player_name": "A", "player_guid": guid, "message": format!("!claim {code}")})
            }
            _ => json!({"type": "identity_claim", "player_name": "A", "player_guid": guid, "code": code}),
        };
        let key = format!("claim-{number}");
        let headers = [("Idempotency-Key", key.as_str())];
        service.client.send_with(&headers, json!([event]).to_string()).await.assert_batch(202, 1, &[]);
        eventually("the player is linked", async || {
            let me = service.client.get_as(&token, "/api/v1/users/me").await.json();
            (me["player_ids"] == json!([guid])).then_some(())
        })
        .await;
        let rows = service.warehouse.events_of(&key, 1).await;
        assert!(!rows[0].to_string().contains(&code), "{}", rows[0]);
        for path in service.files() {
            let content = String::from_utf8_lossy(&std::fs::read(&path).unwrap()).into_owned();
            assert!(!content.contains(&code), "{}", path.display());
        }
        let _ = user_id;
    }
    service.stop().await;
}

#[actix_web::test]
async fn a_guest_is_claimed_for_the_match_that_is_played() {
    let service = Service::start("guest_claim").await;
    let (user_id, token) = service.add_user("Anna", Role::Player).await;
    let code = code_of(&service, &token, "/api/v1/auth/claim/init").await;
    claim(&service, &code, "unauth_3").await.assert_refused(404, "no_match");
    play(&service, "match_g", ("unauth_3", "Anna"), ("4711", "Bert"), 2).await;
    let linked = eventually("the tracker's state is shared", async || {
        let reply = claim(&service, &code, "unauth_3").await;
        (reply.status == 200).then(|| reply.json())
    })
    .await;
    assert!(linked["player_id"].as_str().unwrap().starts_with("g_"), "{linked}");
    let own = user_id.to_string();
    player(&service, &own, |player| player["total_kills"] == 2).await;
    // Another match's guest in the same slot is a stranger.
    play(&service, "match_h", ("unauth_3", "Anna"), ("4711", "Bert"), 1).await;
    player(&service, "4711", |player| player["total_deaths"] == 3).await;
    let mine = service.client.get(&format!("/api/v1/stats/player/{own}")).await.json();
    assert_eq!(mine["total_kills"], 2, "{mine}");
    let board = service.client.get("/api/v1/stats/leaderboard").await.json();
    assert!(
        board["players"].as_array().unwrap().iter().any(|row| row["player_id"] == own.as_str()),
        "{board}"
    );
    service.stop().await;
}

#[actix_web::test]
async fn merged_players_are_one_until_the_merge_is_undone() {
    let service = Service::start("merges").await;
    let (_, admin) = service.add_user("Admin", Role::Admin).await;
    play(&service, "match_a", ("100", "Old"), ("300", "Victim"), 3).await;
    play(&service, "match_b", ("200", "New"), ("300", "Victim"), 4).await;
    player(&service, "200", |player| player["total_kills"] == 4).await;
    player(&service, "100", |player| player["total_kills"] == 3).await;
    let preview =
        service.client.get_as(&admin, "/api/v1/admin/merges/preview?from=100&into=200").await.json();
    assert_eq!(
        (&preview["total_kills"], &preview["from"]["player_name"]),
        (&7.into(), &"Old".into()),
        "{preview}"
    );

    let merge = async |from: &str, into: &str| {
        service
            .client
            .call_as(&admin, "POST", "/api/v1/admin/merges", json!({"from": from, "into": into}))
            .await
    };
    let made = merge("100", "200").await;
    assert_eq!(made.status, 201, "{}", made.text);
    let both = player(&service, "100", |player| player["total_kills"] == 7).await;
    assert_eq!(both["player_id"], "200");
    let names: Vec<_> =
        both["aliases"].as_array().unwrap().iter().map(|alias| alias["name"].clone()).collect();
    assert!(names.contains(&json!("Old")) && names.contains(&json!("New")), "{names:?}");
    let matches = service.client.get("/api/v1/stats/player/100/matches").await.json();
    assert_eq!(matches["total"], 2, "{matches}");
    let listed = service.client.get("/api/v1/stats/matches?filter[player]=100").await.json();
    assert_eq!(listed["total"], 2, "{listed}");
    let victim = player(&service, "300", |player| player["nemesis"]["kills"] == 7).await;
    assert_eq!(victim["nemesis"]["player_id"], "200");

    merge("100", "300").await.assert_refused(409, "player_merged");
    merge("200", "100").await.assert_refused(409, "merge_circle");
    merge("200", "200").await.assert_refused(422, "validation_failed");
    merge("300", "nobody_ever").await.assert_refused(404, "unknown_player");
    merge("nobody_ever", "300").await.assert_refused(404, "unknown_player");
    let undo = format!("/api/v1/admin/merges/{}", made.json()["merge_id"]);
    assert_eq!(service.client.call_as(&admin, "DELETE", &undo, json!(null)).await.status, 204);
    player(&service, "100", |player| player["total_kills"] == 3 && player["player_id"] == "100").await;
    player(&service, "200", |player| player["total_kills"] == 4).await;
    service.client.call_as(&admin, "DELETE", &undo, json!(null)).await.assert_refused(404, "unknown_merge");
    service.stop().await;
}

#[actix_web::test]
async fn an_anonymous_players_names_are_on_no_answer_and_its_id_leads_to_nobody() {
    let service = Service::start("anonymous").await;
    let (_, admin) = service.add_user("Admin", Role::Admin).await;
    play(&service, "match_a", ("100", "Shy Person"), ("300", "Victim"), 3).await;
    player(&service, "100", |player| player["total_kills"] == 3).await;
    let unknown = "/api/v1/admin/players/nobody_ever/anonymise";
    service.client.call_as(&admin, "POST", unknown, json!({})).await.assert_refused(404, "unknown_player");
    let path = "/api/v1/admin/players/100/anonymise";
    assert_eq!(service.client.call_as(&admin, "POST", path, json!({})).await.status, 204);
    eventually("the id leads to nobody", async || {
        (service.client.get("/api/v1/stats/player/100").await.status == 404).then_some(())
    })
    .await;
    let board = service.client.get("/api/v1/stats/leaderboard").await.json();
    let row = &board["players"][0];
    assert_eq!((&row["kills"], &row["player_name"]), (&3.into(), &"Anonymous".into()), "{board}");
    let id = row["player_id"].as_str().unwrap();
    let match_id = service.client.get("/api/v1/stats/matches").await.json()["matches"][0]["match_id"].clone();
    for path in [
        format!("/api/v1/stats/player/{id}"),
        format!("/players/{id}"),
        "/api/v1/stats/player/300".to_owned(),
        "/leaderboard".to_owned(),
        format!("/api/v1/stats/match/{}", match_id.as_str().unwrap()),
        format!("/matches/{}", match_id.as_str().unwrap()),
    ] {
        let reply = service.client.get(&path).await;
        assert_eq!(reply.status, 200, "{path}: {}", reply.text);
        assert!(!reply.text.contains("Shy Person"), "{path}");
    }
    service.stop().await;
}

#[actix_web::test]
async fn nobody_brings_the_name_of_an_anonymous_player_back() {
    let service = Service::start("stays_anonymous").await;
    let (_, admin) = service.add_user("Admin", Role::Admin).await;
    let (owner_id, owner) = service.add_user("Owner", Role::Player).await;
    let (_, thief) = service.add_user("Thief", Role::Player).await;
    service.link_player(owner_id, "linkedguid").await;
    for (number, guid) in ["linkedguid", "mergedguid", "targetguid"].into_iter().enumerate() {
        play(&service, &format!("match_{number}"), (guid, &format!("Real {guid}")), ("4711", "Bert"), 2)
            .await;
        player(&service, guid, |player| player["total_kills"] == 2).await;
    }
    let merge = async |from: &str, into: &str| {
        let body = json!({ "from": from, "into": into });
        service.client.call_as(&admin, "POST", "/api/v1/admin/merges", body).await
    };
    assert_eq!(merge("mergedguid", "targetguid").await.status, 201);
    for id in [owner_id.to_string(), "targetguid".to_owned()] {
        let path = format!("/api/v1/admin/players/{id}/anonymise");
        assert_eq!(service.client.call_as(&admin, "POST", &path, json!({})).await.status, 204);
    }
    let is_gone =
        async |id: &str| service.client.get(&format!("/api/v1/stats/player/{id}")).await.status == 404;
    for id in ["linkedguid", "mergedguid", "targetguid"] {
        eventually("the id leads to nobody", async || is_gone(id).await.then_some(())).await;
    }
    let board = service.client.get("/api/v1/stats/leaderboard").await.json();
    let shown = board["players"][0]["player_id"].as_str().unwrap().to_owned();
    assert!(shown.starts_with("anon_"), "{board}");

    // Neither by claiming or merging what is shown instead, nor what was merged, nor by unlinking or leaving.
    let code = code_of(&service, &thief, "/api/v1/auth/claim/init").await;
    for id in ["mergedguid", "targetguid", "linkedguid"] {
        claim(&service, &code, id).await.assert_refused(409, "player_owned");
    }
    // No server gives such an id out: whoever is called so is a guest.
    let guest = claim(&service, &code, &shown).await;
    assert!(
        guest.status == 404 || guest.json()["player_id"].as_str().unwrap().starts_with("g_"),
        "{}",
        guest.text
    );
    merge(&shown, "4711").await.assert_refused(409, "player_anonymous");
    merge("4711", &shown).await.assert_refused(409, "player_anonymous");
    let unlink = "/api/v1/users/me/players/linkedguid";
    assert_eq!(service.client.call_as(&owner, "DELETE", unlink, json!(null)).await.status, 204);
    assert_eq!(service.client.call_as(&owner, "DELETE", "/api/v1/users/me", json!({})).await.status, 204);
    play(&service, "match_later", ("4711", "Bert"), ("4712", "Carl"), 1).await;
    player(&service, "4711", |player| player["total_kills"] == 1).await;
    for id in ["linkedguid", "mergedguid", "targetguid"] {
        assert!(is_gone(id).await, "{id}");
    }
    for path in ["/api/v1/stats/leaderboard", "/api/v1/stats/player/4711", "/leaderboard"] {
        let reply = service.client.get(path).await;
        assert!(!reply.text.contains("Real "), "{path}: {}", reply.text);
    }
    service.stop().await;
}

#[actix_web::test]
async fn many_wrong_codes_at_once_are_no_more_than_one_after_the_other() {
    let service = Service::start("guessing_at_once").await;
    let replies = futures_util::future::join_all((0..200).map(|number| {
        let service = &service;
        async move { verify(service, &format!("WRONG{number:04}")).await.status.as_u16() }
    }))
    .await;
    let listened_to = replies.iter().filter(|status| **status == 401).count();
    assert!(listened_to <= 20, "{listened_to}");
    assert!(replies.iter().all(|status| matches!(status, 401 | 429)), "{replies:?}");
    service.stop().await;
}

#[actix_web::test]
async fn whose_token_is_wrong_is_told_so_before_a_claim_is_too_large() {
    let service = Service::start("large_claim").await;
    let large = format!(r#"{{"code":"{}"}}"#, "x".repeat(300_000));
    let path = "/api/v1/auth/claim/verify";
    let wrong =
        service.client.call("POST", path, &[("X-Server-Token", "mohaa_s_wrong")], large.clone()).await;
    wrong.assert_refused(401, "invalid_token");
    let token = service.client.token.clone();
    let right = service.client.call("POST", path, &[("X-Server-Token", &token)], large).await;
    right.assert_refused(413, "payload_too_large");
    service.stop().await;
}
