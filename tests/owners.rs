//! Whose a player is when links, merges and anonymity meet: one person has one owner, and all or none of their ids a name.

use mohaa_stats::users::Role;
use serde_json::{Value, json};

use crate::support::{Reply, Service, eventually};

const HIDDEN: &str = "zwvictim\u{200b}";

async fn play(service: &Service, match_id: &str, killer: &str, kills: usize) {
    let kill = json!({
        "type": "player_kill", "match_id": match_id, "timestamp": 20.0, "weapon": "M1 Garand",
        "attacker_name": format!("Real {killer}"), "attacker_guid": killer, "victim_name": "Victim", "victim_guid": "300",
    });
    service.client.send(json!(vec![kill; kills]).to_string()).await.assert_batch(202, kills as u64, &[]);
}

fn stats_of(id: &str) -> String {
    let id: String = url::form_urlencoded::byte_serialize(id.as_bytes()).collect();
    format!("/api/v1/stats/player/{id}")
}

/// Until an id stands for this player, who has so many kills.
async fn until_player(service: &Service, id: &str, player_id: &str, kills: u64) {
    eventually(&format!("{id} is {player_id} with {kills} kills"), async || {
        let reply = service.client.get(&stats_of(id)).await;
        (reply.status == 200)
            .then(|| reply.json())
            .filter(|player| player["player_id"] == player_id && player["total_kills"] == kills)
            .map(drop)
    })
    .await;
}

async fn claim(service: &Service, token: &str, guid: &str) -> Reply {
    let made = service.client.call_as(token, "POST", "/api/v1/auth/claim/init", json!({})).await.json();
    let body = json!({"code": made["code"], "player_guid": guid}).to_string();
    let headers = [("X-Server-Token", service.client.token.as_str())];
    service.client.call("POST", "/api/v1/auth/claim/verify", &headers, body).await
}

async fn merge(service: &Service, admin: &str, from: &str, into: &str) -> Reply {
    let body = json!({"from": from, "into": into});
    service.client.call_as(admin, "POST", "/api/v1/admin/merges", body).await
}

async fn preview(service: &Service, admin: &str, from: &str, into: &str) -> Value {
    let path = format!("/api/v1/admin/merges/preview?from={from}&into={into}");
    service.client.get_as(admin, &path).await.json()
}

#[actix_web::test]
async fn a_claim_of_one_of_merged_players_makes_the_whole_person_the_users() {
    let service = Service::start("claims_of_merged").await;
    let (_, admin) = service.add_user("Admin", Role::Admin).await;
    let (paul_id, paul) = service.add_user("Paul", Role::Player).await;
    let (_, petra) = service.add_user("Petra", Role::Player).await;
    play(&service, "match_a", "player_a", 3).await;
    play(&service, "match_b", "player_b", 4).await;
    until_player(&service, "player_a", "player_a", 3).await;
    until_player(&service, "player_b", "player_b", 4).await;
    let merged = merge(&service, &admin, "player_a", "player_b").await;
    assert_eq!(merged.status, 201, "{}", merged.text);
    until_player(&service, "player_a", "player_b", 7).await;

    let paul_is = paul_id.to_string();
    assert_eq!(claim(&service, &paul, "player_a").await.status, 200);
    for id in ["player_a", "player_b"] {
        until_player(&service, id, &paul_is, 7).await;
    }
    claim(&service, &petra, "player_b").await.assert_refused(409, "player_owned");

    // Without the link they are one player still, who is anybody's to claim.
    let unlink = "/api/v1/users/me/players/player_a";
    assert_eq!(service.client.call_as(&paul, "DELETE", unlink, json!(null)).await.status, 204);
    until_player(&service, "player_a", "player_b", 7).await;
    assert_eq!(claim(&service, &paul, "player_b").await.status, 200);
    until_player(&service, "player_a", &paul_is, 7).await;
    claim(&service, &petra, "player_a").await.assert_refused(409, "player_owned");
    // What was merged is in what Paul takes along, with what was done to it.
    let export = service.client.get_as(&paul, "/api/v1/users/me/export").await.json();
    assert_eq!(export["merged_players"], json!(["player_a"]), "{export}");
    let audit = export["audit"].as_array().unwrap();
    assert!(audit.iter().any(|entry| entry["action"] == "player.merge"), "{export}");

    // Nor is a person of Paul's merged away.
    merge(&service, &admin, "player_b", "300").await.assert_refused(409, "player_linked");
    let undo = format!("/api/v1/admin/merges/{}", merged.json()["merge_id"]);
    assert_eq!(service.client.call_as(&admin, "DELETE", &undo, json!(null)).await.status, 204);
    until_player(&service, "player_a", "player_a", 3).await;
    until_player(&service, "player_b", &paul_is, 4).await;
    assert_eq!(claim(&service, &petra, "player_a").await.status, 200);
    service.stop().await;
}

#[actix_web::test]
async fn a_preview_counts_nobody_twice_and_says_what_will_be_refused() {
    let service = Service::start("previews").await;
    let (_, admin) = service.add_user("Admin", Role::Admin).await;
    let (anna, _) = service.add_user("Anna", Role::Player).await;
    service.link_player(anna, "player_a").await;
    for (match_id, player) in [("m_a", "player_a"), ("m_b", "player_b"), ("m_c", "player_c")] {
        play(&service, match_id, player, 3).await;
    }
    let own = anna.to_string();
    until_player(&service, "player_a", &own, 3).await;
    until_player(&service, "player_b", "player_b", 3).await;
    until_player(&service, "player_c", "player_c", 3).await;
    let good = preview(&service, &admin, "player_b", "player_c").await;
    assert_eq!((&good["total_kills"], &good["refused"]), (&json!(6), &json!(null)), "{good}");
    let expect = async |from: &str, into: &str, kills: u64, code: &str| {
        let shown = preview(&service, &admin, from, into).await;
        assert_eq!(
            (&shown["total_kills"], &shown["refused"]["code"]),
            (&json!(kills), &json!(code)),
            "{shown}"
        );
        assert!(shown["refused"]["error"].is_string());
        let page = service
            .client
            .get_with(
                &format!("/admin/players?from={from}&into={into}"),
                &[("Authorization", &format!("Bearer {admin}"))],
            )
            .await;
        assert!(
            page.text.contains("They can’t be merged") && !page.text.contains("Merge them"),
            "{}",
            page.text
        );
        let refused = merge(&service, &admin, from, into).await;
        assert_eq!(refused.json()["code"], code, "the merge itself says the same");
    };
    expect("player_b", "player_b", 3, "validation_failed").await;
    expect("player_a", &own, 3, "one_player").await;
    expect(&own, "player_a", 3, "one_player").await;
    expect("player_a", "player_b", 6, "player_linked").await;
    assert_eq!(merge(&service, &admin, "player_b", "player_c").await.status, 201);
    until_player(&service, "player_b", "player_c", 6).await;
    expect("player_b", "player_c", 6, "player_merged").await;
    expect("player_c", "player_b", 6, "merge_circle").await;
    service.stop().await;
}

#[actix_web::test]
async fn a_name_that_is_taken_away_goes_from_the_whole_person() {
    let service = Service::start("whole_person").await;
    let (_, admin) = service.add_user("Admin", Role::Admin).await;
    let (_, anna) = service.add_user("Anna", Role::Player).await;
    for (match_id, player) in [("m_p", "player_p"), ("m_q", "player_q"), ("m_l", "player_l")] {
        play(&service, match_id, player, 2).await;
        until_player(&service, player, player, 2).await;
    }
    assert_eq!(merge(&service, &admin, "player_p", "player_q").await.status, 201);
    assert_eq!(claim(&service, &anna, "player_q").await.status, 200);
    let path = "/api/v1/admin/players/player_p/anonymise";
    assert_eq!(service.client.call_as(&admin, "POST", path, json!({})).await.status, 204);
    let is_gone = async |id: &str| {
        eventually("the id leads to nobody", async || {
            (service.client.get(&stats_of(id)).await.status == 404).then_some(())
        })
        .await;
    };
    is_gone("player_p").await;
    is_gone("player_q").await;

    // Whoever is anonymous, links another player and leaves is one anonymous player, with all they played.
    assert_eq!(claim(&service, &anna, "player_l").await.status, 200);
    is_gone("player_l").await;
    assert_eq!(service.client.call_as(&anna, "DELETE", "/api/v1/users/me", json!({})).await.status, 204);
    let anonymous = eventually("the board shows one anonymous player", async || {
        let board = service.client.get("/api/v1/stats/leaderboard").await.json();
        let players = board["players"].as_array().unwrap().clone();
        let killers: Vec<&Value> = players.iter().filter(|row| row["kills"] != 0).collect();
        (killers.len() == 1 && killers[0]["kills"] == 6).then(|| killers[0]["player_id"].clone())
    })
    .await;
    assert!(anonymous.as_str().unwrap().starts_with("anon_"), "{anonymous}");
    let ids: i64 = sqlx::query_scalar("SELECT count(DISTINCT anonymous_id) FROM anonymous_players")
        .fetch_one(&service.application.postgres)
        .await
        .unwrap();
    assert_eq!(ids, 1);
    service.stop().await;
}

/// The value of a form's hidden field as a browser reads it.
fn field_of(page: &str, name: &str, nth: usize) -> String {
    let mark = format!("type=\"hidden\" name=\"{name}\" value=\"");
    let written = page.split(&mark).nth(nth + 1).unwrap().split('"').next().unwrap();
    let mut parts = written.split("&#");
    let mut value = parts.next().unwrap().to_owned();
    for part in parts {
        let (number, rest) = part.split_once(';').unwrap();
        value.push(char::from_u32(number.parse().unwrap()).unwrap());
        value.push_str(rest);
    }
    value
}

#[actix_web::test]
async fn the_button_merges_and_unlinks_the_player_that_the_page_shows() {
    let service = Service::start("look_alikes").await;
    let (_, admin) = service.add_user("Admin", Role::Admin).await;
    let (anna, annas_token) = service.add_user("Anna", Role::Player).await;
    for (match_id, player) in [("m_a", "zwvictim"), ("m_b", HIDDEN), ("m_c", "player_c")] {
        play(&service, match_id, player, 2).await;
        until_player(&service, player, player, 2).await;
    }
    let browser = crate::support::Browser::new(&service.client);
    browser.set_cookie("mohaa_session", &admin);
    let page = browser.get("/admin/players?from=zwvictim%E2%80%8B&into=player_c").await;
    assert!(page.text.contains("<code>zwvictim\\u{200b}</code>"), "{}", page.text);
    let (from, into) = (field_of(&page.text, "from", 0), field_of(&page.text, "into", 0));
    assert_eq!((from.as_str(), into.as_str()), (HIDDEN, "player_c"));
    assert_eq!(browser.post("/admin/players/merge", &[("from", &from), ("into", &into)]).await.status, 303);
    let merges = service.client.get_as(&admin, "/api/v1/admin/merges").await.json();
    assert_eq!(merges["merges"][0]["from_player"], HIDDEN, "{merges}");
    assert!(browser.get("/admin/players").await.text.contains("<code>zwvictim\\u{200b}</code> is a part of"));

    for (place, id) in ["linked_id", "linked_id\u{200b}"].into_iter().enumerate() {
        service.link_player(anna, id).await;
        let browser = crate::support::Browser::new(&service.client);
        browser.set_cookie("mohaa_session", &annas_token);
        let page = browser.get("/account").await;
        assert_eq!(field_of(&page.text, "player_id", place), id);
    }
    let browser = crate::support::Browser::new(&service.client);
    browser.set_cookie("mohaa_session", &annas_token);
    let page = browser.get("/account").await.text;
    assert!(page.contains("<code>linked_id\\u{200b}</code>"), "{page}");
    let second = field_of(&page, "player_id", 1);
    assert_eq!(browser.post("/account/players/unlink", &[("player_id", &second)]).await.status, 303);
    let me = service.client.get_as(&annas_token, "/api/v1/users/me").await.json();
    assert_eq!(me["player_ids"], json!(["linked_id"]));
    service.stop().await;
}
