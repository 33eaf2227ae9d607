//! Game servers that come by themselves: policies, keys, events that are held, owners.

use mohaa_stats::servers;
use mohaa_stats::startup::Surroundings;
use mohaa_stats::users::Role;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::{Reply, Service, eventually, schemas};

const APPROVAL: (&str, &str) = ("REGISTRATION_POLICY", "approval");

async fn started(name_hint: &str, settings: &[(&str, &str)]) -> Service {
    Service::start_with(name_hint, settings, Surroundings::default()).await
}

/// As scripts do it: JSON under a form's label.
async fn register(service: &Service, body: &Value) -> Reply {
    let headers = [("Content-Type", "application/x-www-form-urlencoded")];
    service.client.post("/api/v1/servers/register", &headers, body.to_string()).await.unwrap()
}

fn named(name: &str) -> Value {
    json!({"name": name, "ip_address": "203.0.113.7", "port": "12203"})
}

/// Id and token of a server that registered.
#[track_caller]
fn registered(reply: &Reply) -> (Uuid, String) {
    assert_eq!(reply.status, 200, "{}", reply.text);
    let body = reply.json();
    assert_eq!(body.as_object().unwrap().len(), 2, "{body}");
    (body["server_id"].as_str().unwrap().parse().unwrap(), body["token"].as_str().unwrap().to_owned())
}

async fn approve(service: &Service, admin: &str, server_id: Uuid) {
    let path = format!("/api/v1/admin/servers/{server_id}/approve");
    let seen = json!({"name": listed(service, admin, server_id).await["name"]});
    assert_eq!(service.client.call_as(admin, "POST", &path, seen).await.status, 204);
}

async fn listed(service: &Service, admin: &str, server_id: Uuid) -> Value {
    let servers = service.client.get_as(admin, "/api/v1/admin/servers").await.json();
    let mut servers = servers["servers"].as_array().unwrap().iter();
    servers.find(|server| server["server_id"] == server_id.to_string()).cloned().unwrap_or_default()
}

async fn key_of(service: &Service, organizer: &str) -> String {
    let reply = service.client.call_as(organizer, "POST", "/api/v1/servers/keys", json!({})).await;
    assert_eq!(reply.status, 201, "{}", reply.text);
    reply.json()["key"].as_str().unwrap().to_owned()
}

fn jumps(count: usize) -> String {
    json!(vec![json!({"type": "jump", "match_id": "waiting", "timestamp": 20.0}); count]).to_string()
}

async fn stored(service: &Service, server_id: Uuid) -> u64 {
    let sql = format!("SELECT count() FROM raw_events WHERE server_id = '{server_id}'");
    service.warehouse.count(&sql).await
}

#[actix_web::test]
async fn a_closed_service_registers_nobody_without_a_key_and_one_server_with_it() {
    let service = started("closed", &[]).await;
    register(&service, &named("Omaha")).await.assert_refused(403, "registration_closed");
    register(&service, &named("Omaha [key:AAAA-BBBB]")).await.assert_refused(403, "registration_closed");

    let (organizer_id, organizer) = service.add_user("Organizer", Role::Organizer).await;
    let key = key_of(&service, &organizer).await;
    let (server_id, token) = registered(&register(&service, &named(&format!("Omaha [key:{key}]"))).await);
    let (_, admin) = service.add_user("Admin", Role::Admin).await;
    let server = listed(&service, &admin, server_id).await;
    assert_eq!(
        (&server["name"], &server["approved"], &server["owner_id"]),
        (&json!("Omaha"), &json!(true), &json!(organizer_id)),
        "the key is cut off, and whose it is owns the server: {server}"
    );
    service.client.with_token(&token).send(jumps(1)).await.assert_batch(202, 1, &[]);

    let again = register(&service, &named(&format!("Omaha [key:{key}]"))).await;
    again.assert_refused(403, "registration_closed");
    service.stop().await;
}

#[actix_web::test]
async fn keys_can_be_guessed_at_twenty_times() {
    let service = started("guessed_keys", &[]).await;
    for _ in 0..20 {
        register(&service, &named("Omaha [key:AAAA-BBBB]")).await.assert_refused(403, "registration_closed");
    }
    register(&service, &named("Omaha [key:AAAA-BBBB]")).await.assert_refused(429, "too_many_guesses");
    service.stop().await;
}

#[actix_web::test]
async fn scripts_are_understood_however_they_write_a_registration() {
    let service = started("dialects", &[("REGISTRATION_POLICY", "open")]).await;
    let bodies: [(&[u8], &str); 6] = [
        (br#"{"name":"Omaha","ip_address":"1.2.3.4","port":12203}"#, "Omaha"),
        (b"name=^1Stalingrad+2&ip_address=1.2.3.5&port=12203", "^1Stalingrad 2"),
        (b" {\"name\":\"J\xe4ger\",\"ip_address\":\"1.2.3.6\",\"port\":\"12203\"}\0", "Jäger"),
        (b"{\"name\":\"\\u0007Bell\",\"ip_address\":\"1.2.3.7\"}", "Bell"),
        (br#"{"ip_address":"1.2.3.8","port":"12203"}"#, "1.2.3.8:12203"),
        (br#"{"port":"12203"}"#, "Unnamed server"),
    ];
    let (_, admin) = service.add_user("Admin", Role::Admin).await;
    for (body, name) in bodies {
        let reply = service.client.post("/api/v1/servers/register", &[], body).await.unwrap();
        let (server_id, _) = registered(&reply);
        assert_eq!(listed(&service, &admin, server_id).await["name"], name);
    }
    for wrong in [json!({"name": "x", "port": "70000"}), json!({"name": "x", "port": "port"}), json!({})] {
        register(&service, &wrong).await.assert_refused(422, "validation_failed");
    }
    service.stop().await;
}

#[actix_web::test]
async fn a_server_that_registers_again_gets_a_further_token_and_three_live() {
    let service =
        started("again", &[("REGISTRATION_POLICY", "open"), ("TRUSTED_PROXIES", "127.0.0.1")]).await;
    let mut tokens = Vec::new();
    let (first_id, token) = registered(&register(&service, &named("Omaha")).await);
    tokens.push(token);
    for _ in 0..3 {
        let (server_id, token) = registered(&register(&service, &named("Omaha renamed")).await);
        assert_eq!(server_id, first_id);
        tokens.push(token);
    }
    eventually("the oldest token has ended", async || {
        (service.client.with_token(&tokens[0]).send(jumps(1)).await.status == 401).then_some(())
    })
    .await;
    for token in &tokens[1..] {
        service.client.with_token(token).send(jumps(1)).await.assert_batch(202, 1, &[]);
    }

    // Another port, or another place to call from, is another server.
    let other_port = json!({"name": "Omaha", "ip_address": "203.0.113.7", "port": "12204"});
    assert_ne!(registered(&register(&service, &other_port).await).0, first_id);
    let headers = [("X-Forwarded-For", "198.51.100.1")];
    let from_elsewhere =
        service.client.post("/api/v1/servers/register", &headers, named("Omaha").to_string()).await.unwrap();
    assert_ne!(registered(&from_elsewhere).0, first_id);
    service.stop().await;
}

#[actix_web::test]
async fn a_server_that_an_operator_made_is_not_given_to_whoever_says_to_be_it() {
    let service = started("made_by_hand", &[("REGISTRATION_POLICY", "open")]).await;
    let (_, organizer) = service.add_user("Organizer", Role::Organizer).await;
    let body = json!({"name": "Omaha", "address": "203.0.113.7", "port": 12203});
    let made = service.client.call_as(&organizer, "POST", "/api/v1/servers", body).await;
    assert_eq!(made.status, 201, "{}", made.text);
    let (server_id, _) = registered(&register(&service, &named("Omaha")).await);
    assert_ne!(made.json()["server_id"], server_id.to_string());
    service.stop().await;
}

#[actix_web::test]
async fn events_of_a_server_that_waits_are_held_and_stored_with_their_times_once_it_is_approved() {
    let service = started("held", &[APPROVAL]).await;
    let (_, admin) = service.add_user("Admin", Role::Admin).await;
    let (server_id, token) = registered(&register(&service, &named("Omaha")).await);
    let waiting = service.client.with_token(&token);
    let repeat = [("Idempotency-Key", "first")];
    waiting.send_with(&repeat, jumps(3)).await.assert_batch(202, 3, &[]);
    let replayed = waiting.send_with(&repeat, jumps(3)).await;
    replayed.assert_batch(202, 3, &[]);
    assert_eq!(replayed.header("idempotent-replayed"), Some("true"));
    waiting.send_with(&repeat, jumps(4)).await.assert_refused(422, "idempotency_mismatch");
    // Equal requests without a key are different ones.
    for _ in 0..2 {
        waiting.send(jumps(2)).await.assert_batch(202, 2, &[]);
    }
    let server = listed(&service, &admin, server_id).await;
    assert_eq!((&server["held_events"], &server["approved"]), (&json!(7), &json!(false)));
    assert_eq!(service.client.metrics().await.value("mohaa_events_held"), 7.0);
    assert_eq!(stored(&service, server_id).await, 0);
    let public = service.client.get("/api/v1/servers").await;
    assert!(!public.text.contains(&server_id.to_string()), "nobody sees it yet: {}", public.text);

    let held_until = chrono::Utc::now();
    approve(&service, &admin, server_id).await;
    eventually("the held events are stored", async || (stored(&service, server_id).await == 7).then_some(()))
        .await;
    let late = service
        .warehouse
        .count(&format!(
            "SELECT count() FROM raw_events WHERE server_id = '{server_id}' AND received_at > fromUnixTimestamp64Milli({})",
            held_until.timestamp_millis()
        ))
        .await;
    assert_eq!(late, 0, "they keep their times of receipt");
    let replayed = waiting.send_with(&repeat, jumps(3)).await;
    assert_eq!(replayed.header("idempotent-replayed"), Some("true"), "the key is remembered");
    waiting.send(jumps(1)).await.assert_batch(202, 1, &[]);
    eventually("later events are stored", async || (stored(&service, server_id).await == 8).then_some(()))
        .await;
    service.client.settled().await;
    assert_eq!(service.client.metrics().await.value("mohaa_events_held"), 0.0);
    service.stop().await;
}

#[actix_web::test]
async fn no_more_than_ten_thousand_events_are_held() {
    let service = started("held_full", &[APPROVAL]).await;
    let (_, token) = registered(&register(&service, &named("Omaha")).await);
    let waiting = service.client.with_token(&token);
    for _ in 0..2 {
        waiting.send(jumps(5_000)).await.assert_batch(202, 5_000, &[]);
    }
    waiting.send(jumps(1)).await.assert_refused(429, "held_full");
    let metrics = service.client.metrics().await;
    assert_eq!((metrics.value("mohaa_events_held"), metrics.missing_events()), (10_000.0, 0.0));
    service.stop().await;
}

#[actix_web::test]
async fn held_events_survive_a_restart_and_go_with_a_server_that_is_removed() {
    let urls = schemas::database("held_restart").await;
    let data_dir = tempfile::tempdir().unwrap();
    let settings = [APPROVAL, ("DATA_DIR", data_dir.path().to_str().unwrap())];
    let service = Service::start_on(&urls, &settings, Surroundings::default()).await;
    let (_, admin) = service.add_user("Admin", Role::Admin).await;
    let (kept_id, kept_token) = registered(&register(&service, &named("Kept")).await);
    let other = json!({"name": "Removed", "port": "12204"});
    let (removed_id, removed_token) = registered(&register(&service, &other).await);
    for token in [&kept_token, &removed_token] {
        service.client.with_token(token).send(jumps(3)).await.assert_batch(202, 3, &[]);
    }
    service.stop().await;

    let service = Service::start_on(&urls, &settings, Surroundings::default()).await;
    assert_eq!(service.client.metrics().await.value("mohaa_events_held"), 6.0);
    let path = format!("/api/v1/servers/{removed_id}");
    assert_eq!(service.client.call_as(&admin, "DELETE", &path, json!(null)).await.status, 204);
    approve(&service, &admin, kept_id).await;
    eventually("what was held has ended", async || {
        (service.client.metrics().await.value("mohaa_events_held") == 0.0).then_some(())
    })
    .await;
    service.client.settled().await;
    assert_eq!((stored(&service, kept_id).await, stored(&service, removed_id).await), (3, 0));
    eventually("the removed server's token has ended", async || {
        (service.client.with_token(&removed_token).send(jumps(1)).await.status == 401).then_some(())
    })
    .await;
    service.stop().await;
}

#[actix_web::test]
async fn a_server_that_waits_links_no_player() {
    let service = started("no_links", &[APPROVAL]).await;
    let (_, user) = service.add_user("Anna", Role::Player).await;
    let made = service.client.call_as(&user, "POST", "/api/v1/auth/claim/init", json!({})).await.json();
    let code = made["code"].as_str().unwrap();
    let (_, token) = registered(&register(&service, &named("Omaha")).await);
    let waiting = service.client.with_token(&token);
    let body = json!({"code": code, "player_guid": "4711", "player_name": "Anna"});
    let headers = [("X-Server-Token", token.as_str()), ("Content-Type", "application/json")];
    let reply = waiting.post("/api/v1/auth/claim/verify", &headers, body.to_string()).await.unwrap();
    reply.assert_refused(403, "not_approved");
    let claim =
        json!([{"type": "identity_claim", "player_guid": "4711", "player_name": "Anna", "code": code}]);
    waiting.send(claim.to_string()).await.assert_batch(202, 1, &[]);
    let me = service.client.get_as(&user, "/api/v1/users/me").await.json();
    assert_eq!(me["player_ids"], json!([]));
    service.stop().await;
}

#[actix_web::test]
async fn a_server_belongs_to_its_owner_and_to_admins() {
    let service = started("owners", &[]).await;
    let (_, owner) = service.add_user("Owner", Role::Organizer).await;
    let (stranger_id, stranger) = service.add_user("Stranger", Role::Organizer).await;
    let (player_id, _) = service.add_user("Player", Role::Player).await;
    let (_, admin) = service.add_user("Admin", Role::Admin).await;
    let body = json!({"name": " Omaha ", "address": "omaha.example.org", "port": 12203, "region": "eu"});
    let made = service.client.call_as(&owner, "POST", "/api/v1/servers", body).await;
    assert_eq!(made.status, 201, "{}", made.text);
    let (server_id, token) = (made.json()["server_id"].clone(), made.json()["token"].clone());
    let path = format!("/api/v1/servers/{}", server_id.as_str().unwrap());
    let rotate = format!("{path}/rotate-token");

    for method_and_path in [("POST", rotate.as_str()), ("DELETE", path.as_str())] {
        let (method, path) = method_and_path;
        let refused = service.client.call_as(&stranger, method, path, json!({})).await;
        refused.assert_refused(403, "not_your_server");
    }
    let rotated = service.client.call_as(&owner, "POST", &rotate, json!({})).await;
    assert_eq!(rotated.status, 200, "{}", rotated.text);
    eventually("the earlier token has ended", async || {
        let earlier = service.client.with_token(token.as_str().unwrap());
        (earlier.send(jumps(1)).await.status == 401).then_some(())
    })
    .await;

    let owner_path = format!("/api/v1/admin/servers/{}/owner", server_id.as_str().unwrap());
    let to_player = json!({ "user_id": player_id });
    service
        .client
        .call_as(&admin, "POST", &owner_path, to_player)
        .await
        .assert_refused(422, "validation_failed");
    let to_stranger = json!({ "user_id": stranger_id });
    assert_eq!(service.client.call_as(&admin, "POST", &owner_path, to_stranger).await.status, 204);
    service.client.call_as(&owner, "POST", &rotate, json!({})).await.assert_refused(403, "not_your_server");
    assert_eq!(service.client.call_as(&stranger, "DELETE", &path, json!({})).await.status, 204);
    service.client.call_as(&admin, "DELETE", &path, json!({})).await.assert_refused(404, "unknown_server");

    let log = service.client.get_as(&admin, "/api/v1/admin/audit").await.json();
    let actions: Vec<&str> =
        log["entries"].as_array().unwrap().iter().map(|entry| entry["action"].as_str().unwrap()).collect();
    for action in ["server.add", "server.rotate_token", "server.give", "server.remove"] {
        assert!(actions.contains(&action), "{actions:?}");
    }
    for wrong in
        [json!({"name": ""}), json!({"name": "a\nb"}), json!({"name": "x", "region": "x".repeat(41)})]
    {
        let refused = service.client.call_as(&owner, "POST", "/api/v1/servers", wrong).await;
        refused.assert_refused(422, "validation_failed");
    }
    service.stop().await;
}

#[actix_web::test]
async fn nothing_changes_an_entry_of_the_audit_log() {
    let service = started("audit", &[]).await;
    let pool = &service.application.postgres;
    for change in ["UPDATE audit_log SET action = 'x'", "DELETE FROM audit_log", "TRUNCATE audit_log"] {
        let refused = sqlx::query(change).execute(pool).await.unwrap_err();
        assert!(refused.to_string().contains("append-only"), "{change}: {refused}");
    }
    service.stop().await;
}

#[actix_web::test]
async fn everybody_sees_which_servers_play_what() {
    let service = started("public_list", &[]).await;
    service
        .client
        .send(
            json!([{"type": "match_start", "match_id": "m", "timestamp": 1.0, "map_name": "dm/mohdm1"}])
                .to_string(),
        )
        .await
        .assert_batch(202, 1, &[]);
    let server = eventually("the server is online with its map", async || {
        let list = service.client.get("/api/v1/servers?limit=10").await.json();
        let server = list["servers"][0].clone();
        (server["online"] == true && server["map_name"] == "dm/mohdm1").then_some(server)
    })
    .await;
    assert_eq!(server["server_id"], service.server_id.to_string());
    assert!(server["last_seen"].is_string() && server["match_id"].is_string(), "{server}");
    service.client.get("/api/v1/servers?limit=1000").await.assert_refused(422, "validation_failed");
    service.stop().await;
}

#[actix_web::test]
async fn a_server_writes_as_itself_whatever_its_events_say() {
    let service = started("as_itself", &[]).await;
    let (other_id, other_token) = service.add_server("Other").await;
    let event = json!([{"type": "jump", "server_id": service.server_id, "match_id": "m", "timestamp": 1.0}]);
    service.client.with_token(&other_token).send(event.to_string()).await.assert_batch(202, 1, &[]);
    service.client.settled().await;
    assert_eq!((stored(&service, other_id).await, stored(&service, service.server_id).await), (1, 0));
    service.stop().await;
}

#[actix_web::test]
async fn a_key_of_somebody_else_makes_another_server_and_takes_none_over() {
    let service = started("heirs", &[("REGISTRATION_POLICY", "approval")]).await;
    let (owner_id, owner) = service.add_user("Owner", Role::Organizer).await;
    let (_, stranger) = service.add_user("Stranger", Role::Organizer).await;
    let (_, admin) = service.add_user("Admin", Role::Admin).await;
    let keyed = |key: &str| named(&format!("Omaha [key:{key}]"));
    let (first, _) = registered(&register(&service, &keyed(&key_of(&service, &owner).await)).await);
    let (again, _) = registered(&register(&service, &keyed(&key_of(&service, &owner).await)).await);
    assert_eq!(first, again, "the owner's next key registers the same server");
    let (other, _) = registered(&register(&service, &keyed(&key_of(&service, &stranger).await)).await);
    assert_ne!(first, other);
    let server = listed(&service, &admin, first).await;
    assert_eq!((&server["owner_id"], &server["live_tokens"]), (&json!(owner_id), &json!(2)), "{server}");
    service.stop().await;
}

#[actix_web::test]
async fn a_used_key_finds_the_server_that_it_registered_and_nothing_else_does() {
    let service = started("used_keys", &[("REGISTRATION_POLICY", "open")]).await;
    let (_, owner) = service.add_user("Owner", Role::Organizer).await;
    let (_, neighbour) = service.add_user("Neighbour", Role::Organizer).await;
    let (_, admin) = service.add_user("Admin", Role::Admin).await;
    let owners = format!("Omaha [key:{}]", key_of(&service, &owner).await);
    let neighbours = format!("Utah [key:{}]", key_of(&service, &neighbour).await);
    let (first, _) = registered(&register(&service, &named(&owners)).await);
    let (second, token) = registered(&register(&service, &named(&neighbours)).await);
    assert_ne!(first, second);
    let (again, _) = registered(&register(&service, &named(&neighbours)).await);
    assert_eq!(again, second, "a script goes on sending the key that let it in");

    revoke(&service, second, &token).await;
    let (again, _) = registered(&register(&service, &named(&neighbours)).await);
    assert_eq!(again, second, "it is not let in as the server beside it");
    assert_eq!(listed(&service, &admin, second).await["approved"], false);
    let (without, _) = registered(&register(&service, &named("Omaha")).await);
    assert!(![first, second].contains(&without), "{without} is nobody's who was let in by a key");
    let (again, _) = registered(&register(&service, &named("Omaha")).await);
    assert_eq!(again, without);
    service.stop().await;
}

#[actix_web::test]
async fn a_key_shown_twice_at_once_registers_one_server() {
    let service = started("key_at_once", &[("REGISTRATION_POLICY", "open")]).await;
    let (_, owner) = service.add_user("Owner", Role::Organizer).await;
    for _ in 0..4 {
        let keyed = named(&format!("Omaha [key:{}]", key_of(&service, &owner).await));
        let both = tokio::join!(register(&service, &keyed), register(&service, &keyed));
        assert_eq!(registered(&both.0).0, registered(&both.1).0);
    }
    service.stop().await;
}

#[actix_web::test]
async fn a_token_that_was_got_without_a_key_ends_when_a_key_lets_its_server_in() {
    let service = started("before_the_key", &[APPROVAL]).await;
    let (_, owner) = service.add_user("Owner", Role::Organizer).await;
    let (waiting, before) = registered(&register(&service, &named("Omaha")).await);
    let keyed = named(&format!("Omaha [key:{}]", key_of(&service, &owner).await));
    let (server_id, token) = registered(&register(&service, &keyed).await);
    assert_eq!(server_id, waiting);
    let (_, again) = registered(&register(&service, &keyed).await);
    eventually("the token from before is refused", async || {
        (service.client.with_token(&before).send("[]").await.status == 401).then_some(())
    })
    .await;
    for token in [token, again] {
        service.client.with_token(&token).send(jumps(1)).await.assert_batch(202, 1, &[]);
    }
    service.stop().await;
}

#[actix_web::test]
async fn a_server_that_was_looked_at_is_not_renamed_by_whoever_calls_again() {
    let service = started("renamed", &[APPROVAL]).await;
    let (_, admin) = service.add_user("Admin", Role::Admin).await;
    let (server_id, _) = registered(&register(&service, &named("Omaha")).await);
    registered(&register(&service, &named("Omaha Beach")).await);
    assert_eq!(listed(&service, &admin, server_id).await["name"], "Omaha Beach");
    approve(&service, &admin, server_id).await;
    registered(&register(&service, &named("Rude words")).await);
    assert_eq!(listed(&service, &admin, server_id).await["name"], "Omaha Beach");
    service.stop().await;
}

#[actix_web::test]
async fn a_key_that_nobody_made_is_a_guess_where_servers_need_none() {
    let service = started("guesses_open", &[("REGISTRATION_POLICY", "open")]).await;
    let (_, organizer) = service.add_user("Organizer", Role::Organizer).await;
    let spent = format!("Omaha [key:{}]", key_of(&service, &organizer).await);
    // A script goes on sending the key that let it in.
    for _ in 0..22 {
        registered(&register(&service, &named(&spent)).await);
    }
    for _ in 0..20 {
        registered(&register(&service, &named("Omaha [key:AAAA-BBBB]")).await);
    }
    register(&service, &named("Omaha")).await.assert_refused(429, "too_many_guesses");
    service.stop().await;
}

#[actix_web::test]
async fn one_address_does_not_take_every_place_of_those_that_wait() {
    let service = started("places", &[APPROVAL, ("TRUSTED_PROXIES", "127.0.0.1")]).await;
    let from = async |address: &str, port: u16| {
        let body = json!({"name": "Omaha", "ip_address": "203.0.113.7", "port": port});
        let headers = [("X-Forwarded-For", address)];
        service.client.post("/api/v1/servers/register", &headers, body.to_string()).await.unwrap()
    };
    for port in 1..=10 {
        registered(&from("198.51.100.1", port).await);
        registered(&from(&format!("2001:db8::{port}"), port).await);
    }
    from("198.51.100.1", 11).await.assert_refused(429, "too_many_waiting");
    from("2001:db8::ffff", 11).await.assert_refused(429, "too_many_waiting");
    registered(&from("198.51.100.2", 1).await);
    registered(&from("2001:db8:0:1::1", 1).await);
    service.stop().await;
}

#[actix_web::test]
async fn a_server_that_calls_itself_otherwise_meanwhile_is_not_approved_as_that() {
    let service = started("renamed", &[APPROVAL]).await;
    let (_, admin) = service.add_user("Admin", Role::Admin).await;
    let (server_id, _) = registered(&register(&service, &named("Omaha")).await);
    let browser = crate::support::Browser::new(&service.client);
    browser.set_cookie("mohaa_session", &admin);
    let page = browser.get("/admin/servers").await;
    assert!(page.text.contains("name=\"name\" value=\"Omaha\""), "{}", page.text);

    registered(&register(&service, &named("Official \u{200b}Server")).await);
    let path = format!("/api/v1/admin/servers/{server_id}/approve");
    let seen = json!({"name": "Omaha"});
    service.client.call_as(&admin, "POST", &path, seen).await.assert_refused(409, "server_renamed");
    // Nor as whatever it is called by now.
    for unsaid in [json!({"name": 7}), json!({}), json!(null)] {
        let refused = service.client.call_as(&admin, "POST", &path, unsaid).await;
        refused.assert_refused(422, "validation_failed");
    }
    let of_page = format!("/admin/servers/{server_id}/approve");
    assert_eq!(browser.post(&of_page, &[("name", "Omaha")]).await.status, 409);
    assert_eq!(listed(&service, &admin, server_id).await["approved"], false);
    let now = [("name", "Official \u{200b}Server")];
    assert_eq!(browser.post(&of_page, &now).await.status, 303);
    assert_eq!(listed(&service, &admin, server_id).await["approved"], true);
    // Once more changes nothing.
    assert_eq!(service.client.call_as(&admin, "POST", &path, json!({"name": "Omaha"})).await.status, 204);
    service.stop().await;
}

#[actix_web::test]
async fn an_organizer_lists_their_own_servers_and_an_admin_all_page_by_page() {
    let service = started("own_servers", &[]).await;
    let (_, organizer) = service.add_user("Organizer", Role::Organizer).await;
    let (_, admin) = service.add_user("Admin", Role::Admin).await;
    for name in ["One", "Two"] {
        let made = service.client.call_as(&organizer, "POST", "/api/v1/servers", json!({"name": name})).await;
        assert_eq!(made.status, 201, "{}", made.text);
    }
    let own = service.client.get_as(&organizer, "/api/v1/users/me/servers?limit=1&page=2").await.json();
    assert_eq!((&own["page"], &own["limit"], &own["total"]), (&json!(2), &json!(1), &json!(2)), "{own}");
    assert_eq!(own["servers"][0]["name"], "Two");
    let all = service.client.get_as(&admin, "/api/v1/admin/servers?limit=1").await.json();
    assert_eq!((&all["page"], &all["limit"], &all["total"]), (&json!(1), &json!(1), &json!(3)), "{all}");
    assert_eq!(all["servers"].as_array().unwrap().len(), 1);
    let none = service.client.get_as(&admin, "/api/v1/users/me/servers").await.json();
    assert_eq!((&none["total"], &none["servers"]), (&json!(0), &json!([])));
    service.stop().await;
}

async fn revoke(service: &Service, server_id: Uuid, token: &str) {
    let pool = &service.application.postgres;
    servers::revoke_server_tokens(pool, servers::Changer::Operator, server_id).await.unwrap();
    eventually("the token is refused", async || {
        // Without an event: what is taken until then would be stored later.
        (service.client.with_token(token).send("[]").await.status == 401).then_some(())
    })
    .await;
}

#[actix_web::test]
async fn a_server_that_was_revoked_and_registers_again_waits_until_it_is_approved_anew() {
    for (name_hint, policy) in [("revoked", "approval"), ("revoked_open", "open")] {
        let service = started(name_hint, &[("REGISTRATION_POLICY", policy)]).await;
        let (_, admin) = service.add_user("Admin", Role::Admin).await;
        let (server_id, token) = registered(&register(&service, &named("Omaha")).await);
        approve(&service, &admin, server_id).await;
        revoke(&service, server_id, &token).await;
        let before = stored(&service, server_id).await;

        let (again, token) = registered(&register(&service, &named("Omaha")).await);
        assert_eq!(again, server_id, "{policy}");
        service.client.with_token(&token).send(jumps(3)).await.assert_batch(202, 3, &[]);
        let server = listed(&service, &admin, server_id).await;
        assert_eq!((&server["approved"], &server["held_events"]), (&json!(false), &json!(3)), "{server}");
        approve(&service, &admin, server_id).await;
        eventually("what it sent is stored", async || {
            (stored(&service, server_id).await == before + 3).then_some(())
        })
        .await;
        service.stop().await;
    }
}

#[actix_web::test]
async fn a_server_that_was_revoked_is_nobodys_to_take_over() {
    let service = started("revoked_taken", &[("REGISTRATION_POLICY", "approval")]).await;
    let (_, admin) = service.add_user("Admin", Role::Admin).await;
    let (_, organizer) = service.add_user("Organizer", Role::Organizer).await;
    let (server_id, token) = registered(&register(&service, &named("Ownerless")).await);
    approve(&service, &admin, server_id).await;
    revoke(&service, server_id, &token).await;
    let keyed = format!("Mine now [key:{}]", key_of(&service, &organizer).await);
    let (taken, _) = registered(&register(&service, &named(&keyed)).await);
    assert_ne!(taken, server_id, "a key of somebody else makes another server");
    let server = listed(&service, &admin, server_id).await;
    assert_eq!((&server["name"], &server["approved"]), (&json!("Ownerless"), &json!(false)), "{server}");
    service.stop().await;
}

#[actix_web::test]
async fn a_server_that_was_revoked_is_let_in_by_a_new_key_and_one_that_people_made_by_a_new_token() {
    let service = started("revoked_key", &[]).await;
    let (_, organizer) = service.add_user("Organizer", Role::Organizer).await;
    let (_, admin) = service.add_user("Admin", Role::Admin).await;
    let keyed = async || format!("Omaha [key:{}]", key_of(&service, &organizer).await);
    let (server_id, token) = registered(&register(&service, &named(&keyed().await)).await);
    revoke(&service, server_id, &token).await;
    register(&service, &named("Omaha")).await.assert_refused(403, "registration_closed");
    assert_eq!(listed(&service, &admin, server_id).await["approved"], false);
    let (again, _) = registered(&register(&service, &named(&keyed().await)).await);
    assert_eq!(again, server_id);
    assert_eq!(listed(&service, &admin, server_id).await["approved"], true);

    let (made, token) = service.add_server("Made by hand").await;
    revoke(&service, made, &token).await;
    assert_eq!(listed(&service, &admin, made).await["approved"], true, "it comes back by nobody but people");
    service.stop().await;
}

#[actix_web::test]
async fn an_address_that_is_none_is_refused_where_servers_are_added_and_registered() {
    let service = started("addresses", &[("REGISTRATION_POLICY", "open")]).await;
    let (_, organizer) = service.add_user("Organizer", Role::Organizer).await;
    let good =
        ["203.0.113.7", "play.example.org", "[2001:db8::1]", "2001:db8::1", "bücher.example", "my_host"];
    let wrong = ["a b", "http://example.org", "play.example.org/x", "a,b", "<b>", "-", "a..b"];
    let add = async |body: Value| service.client.call_as(&organizer, "POST", "/api/v1/servers", body).await;
    for address in good {
        assert_eq!(
            add(json!({"name": "x", "address": address, "port": 12203})).await.status,
            201,
            "{address}"
        );
        registered(&register(&service, &json!({"name": "x", "ip_address": address, "port": "12203"})).await);
    }
    for address in wrong {
        let refused = add(json!({"name": "x", "address": address, "port": 12203})).await;
        refused.assert_refused(422, "validation_failed");
        assert!(refused.json()["fields"]["address"].is_string(), "{}", refused.text);
        let refused = register(&service, &json!({"name": "x", "ip_address": address, "port": "12203"})).await;
        refused.assert_refused(422, "validation_failed");
        assert!(refused.json()["fields"]["ip_address"].is_string(), "{}", refused.text);
    }
    let refused = add(json!({"name": "x", "address": "203.0.113.7", "port": 0})).await;
    refused.assert_refused(422, "validation_failed");
    assert_eq!(refused.json()["fields"]["port"], "must be 1 to 65535");
    // A script that does not know its port can't be taught otherwise.
    registered(&register(&service, &json!({"name": "x", "ip_address": "203.0.113.8", "port": "0"})).await);
    service.stop().await;
}
