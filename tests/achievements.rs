//! Achievements: earned in live matches, kept once, shown everywhere.

use std::collections::BTreeSet;

use mohaa_stats::startup::Surroundings;
use mohaa_stats::users::Role;
use serde_json::{Value, json};

use crate::support::{EventStream, PATIENCE, Service, eventually, schemas};

fn kill(match_id: &str, at: f64, killer: &str, victim: &str) -> Value {
    json!({
        "type": "player_kill", "match_id": match_id, "timestamp": at, "weapon": "M1 Garand", "hitloc": "torso_upper",
        "mod": "bullet", "attacker_name": killer, "attacker_guid": killer, "attacker_team": "allies",
        "victim_name": victim, "victim_guid": victim, "victim_team": "axis",
    })
}

async fn send(service: &Service, events: Value) {
    let count = events.as_array().unwrap().len() as u64;
    service.client.send(events.to_string()).await.assert_batch(202, count, &[]);
}

async fn follow(service: &Service, match_id: &str) -> EventStream {
    let url = format!("{}/api/v1/live/{match_id}", service.client.url);
    let path = format!("/live/{match_id}");
    eventually("the match is live", async || (service.client.get(&path).await.status == 200).then_some(()))
        .await;
    EventStream::open(&url, None).await
}

/// `player achievement tier`, as kept.
async fn kept(service: &Service) -> BTreeSet<String> {
    let rows: Vec<(String, String, i16)> =
        sqlx::query_as("SELECT player_id, achievement, tier FROM player_achievements")
            .fetch_all(&service.application.postgres)
            .await
            .unwrap();
    let kept: BTreeSet<String> =
        rows.iter().map(|(player, achievement, tier)| format!("{player} {achievement} {tier}")).collect();
    assert_eq!(kept.len(), rows.len());
    kept
}

async fn kept_until(service: &Service, expected: &str) -> BTreeSet<String> {
    eventually(expected, async || {
        let kept = kept(service).await;
        kept.contains(expected).then_some(kept)
    })
    .await
}

#[actix_web::test]
async fn a_run_is_told_to_viewers_as_it_is_unlocked_and_stands_on_the_players_page() {
    let service = Service::start("achieved").await;
    send(&service, json!([kill("evening", 1.0, "1001", "1002")])).await;
    let mut viewer = follow(&service, "evening").await;
    let kills: Vec<Value> = (2..6).map(|at| kill("evening", f64::from(at) * 10.0, "1001", "1002")).collect();
    send(&service, json!(kills)).await;
    let unlocked = loop {
        let unlocked = viewer.next_of("achievement").await.data;
        if unlocked["slug"] == "streak-5" {
            break unlocked;
        }
    };
    assert_eq!(
        (&unlocked["player_id"], &unlocked["player_name"], &unlocked["name"], &unlocked["tier"]),
        (&json!("1001"), &json!("1001"), &json!("Warmed Up"), &json!(1))
    );
    eventually("whoever comes later finds both in the snapshot", async || {
        let snapshot = follow(&service, "evening").await.next_of("snapshot").await.data;
        let has = |slug: &str| {
            snapshot["achievements"].as_array()?.iter().find(|one| one["slug"] == slug).map(drop)
        };
        has("streak-5").and(has("first-blood"))
    })
    .await;
    assert!(!kept(&service).await.iter().any(|one| one.starts_with("1002 streak")));

    service.client.settled().await;
    let player = service.client.get("/api/v1/stats/player/1001").await.json();
    let streak =
        player["achievements"].as_array().unwrap().iter().find(|one| one["slug"] == "streak-5").unwrap();
    let (match_id, found): (uuid::Uuid, String) =
        sqlx::query_as("SELECT match_id, player_id FROM player_achievements WHERE achievement = 'streak-5'")
            .fetch_one(&service.application.postgres)
            .await
            .unwrap();
    assert_eq!((&streak["match_id"], found.as_str()), (&json!(match_id), "1001"));
    let page = service.client.get("/players/1001").await;
    assert!(page.text.contains("Warmed Up"), "the player's page shows it");
    service.stop().await;
}

#[actix_web::test]
async fn what_live_matches_ask_takes_no_room_of_what_people_look_at() {
    let service = Service::start("asked_once").await;
    let metric =
        async |name: &str| service.client.metrics().await.value(&format!("mohaa_answer_cache_{name}"));
    let (sent, kept_answers) = (metric("misses_total").await, metric("entries").await);
    send(&service, json!([kill("evening", 1.0, "1001", "1002")])).await;
    kept_until(&service, "1001 first-blood 1").await;
    assert!(metric("misses_total").await > sent, "the players' other matches were asked for");
    assert_eq!(metric("entries").await, kept_answers);
    service.stop().await;
}

#[actix_web::test]
async fn totals_are_those_of_all_matches_and_progress_is_shown() {
    let service = Service::start("achieved_totals").await;
    let half = |match_id: &str| -> Value {
        (0..6).map(|number| kill(match_id, 30.0 + f64::from(number) * 20.0, "1001", "1002")).collect()
    };
    send(&service, half("first")).await;
    let first = kept_until(&service, "1001 streak-5 1").await;
    assert!(!first.contains("1001 kills 1"), "six kills are not ten");
    service.client.settled().await;
    let of_player = async || {
        let all = service.client.get("/api/v1/stats/player/1001/achievements").await.json();
        all["achievements"].as_array().unwrap().iter().find(|one| one["slug"] == "kills").unwrap().clone()
    };
    let progress = of_player().await;
    assert_eq!(
        (&progress["tier"], &progress["value"], &progress["next_threshold"], &progress["unlocked_at"]),
        (&json!(0), &json!(6), &json!(10), &Value::Null)
    );
    send(&service, half("second")).await;
    let both = kept_until(&service, "1001 kills 1").await;
    assert!(both.contains("1001 m1-garand 1"), "kills with one weapon: {both:?}");
    service.client.settled().await;
    let progress = eventually("the second match is counted", async || {
        let progress = of_player().await;
        (progress["value"] == 12).then_some(progress)
    })
    .await;
    assert_eq!((&progress["tier"], &progress["next_threshold"]), (&json!(1), &json!(100)));

    let list = service.client.get("/api/v1/achievements").await.json();
    let all = list["achievements"].as_array().unwrap();
    assert!(all.len() >= 60, "{}", all.len());
    let kills = all.iter().find(|one| one["slug"] == "kills").unwrap();
    assert_eq!(
        (&kills["tiers"][0]["unlocked_by"], &kills["tiers"][0]["rarity_percent"]),
        (&json!(1), &json!(50.0))
    );
    assert!(list["recent"].as_array().unwrap().iter().any(|one| one["slug"] == "kills"));
    let hidden: Vec<&Value> = all.iter().filter(|one| one["hidden"] == true).collect();
    let kept: Vec<(String, String, String, String)> =
        sqlx::query_as("SELECT slug, name, description, icon FROM achievements WHERE hidden")
            .fetch_all(&service.application.postgres)
            .await
            .unwrap();
    assert_eq!(hidden.len(), kept.len());
    let text = json!(hidden).to_string();
    for (slug, name, description, _) in &kept {
        for said in [slug, name, description] {
            assert!(!text.contains(&format!("\"{said}\"")), "{said} is given away");
        }
    }
    let mut slugs: Vec<&str> = hidden.iter().map(|one| one["slug"].as_str().unwrap()).collect();
    slugs.dedup();
    assert_eq!(slugs.len(), kept.len(), "each has a slug of its own");
    assert_eq!((&hidden[0]["name"], &hidden[0]["tiers"][0]["threshold"]), (&json!("Hidden"), &Value::Null));
    // Somebody else's news give nothing away either.
    sqlx::query("INSERT INTO player_achievements (player_id, achievement, tier, unlocked_at) VALUES ('1001', 'pogo', 1, now())")
        .execute(&service.application.postgres)
        .await
        .unwrap();
    let list = service.client.get("/api/v1/achievements").await;
    assert_eq!(list.json()["recent"][0]["name"], "Hidden");
    assert!(!list.text.contains("ogo"), "{}", list.text);
    assert!(service.client.get("/achievements").await.text.contains("Line of Fire"));
    service.stop().await;
}

#[actix_web::test]
async fn what_is_decided_at_the_end_is_earned_at_the_end() {
    let service = Service::start("achieved_end").await;
    let kills: Vec<Value> =
        (0..10).map(|number| kill("evening", 30.0 + f64::from(number) * 20.0, "1001", "1002")).collect();
    send(&service, json!(kills)).await;
    let before = kept_until(&service, "1001 streak-10 1").await;
    assert!(!before.contains("1001 untouched 1") && !before.contains("1001 wins 1"));
    let end =
        json!({"type": "match_end", "match_id": "evening", "timestamp": 400.0, "winning_team": "allies"});
    send(&service, json!([end])).await;
    kept_until(&service, "1001 untouched 1").await;
    let after = kept_until(&service, "1001 wins 1").await;
    assert!(!after.contains("1002 wins 1"), "{after:?}");
    service.stop().await;
}

#[actix_web::test]
async fn a_match_that_is_folded_again_unlocks_nothing_twice() {
    let urls = schemas::database("achieved_again").await;
    let data_dir = tempfile::tempdir().unwrap();
    let settings = [("DATA_DIR", data_dir.path().to_str().unwrap())];
    let service = Service::start_on(&urls, &settings, Surroundings::default()).await;
    let token = service.client.token.clone();
    let kills: Vec<Value> =
        (0..10).map(|number| kill("evening", 30.0 + f64::from(number) * 20.0, "1001", "1002")).collect();
    send(&service, json!(kills)).await;
    let before = kept_until(&service, "1001 kills 1").await;
    let at = |rows: Vec<(chrono::DateTime<chrono::Utc>,)>| -> BTreeSet<_> { rows.into_iter().collect() };
    let times = async |service: &Service| {
        at(sqlx::query_as("SELECT recorded_at FROM player_achievements")
            .fetch_all(&service.application.postgres)
            .await
            .unwrap())
    };
    let recorded = times(&service).await;
    service.application.stop(PATIENCE).await;

    let service = Service::restart_on(&urls, &settings, &token).await;
    let mut viewer = follow(&service, "evening").await;
    viewer.state_where(|state| state["stale"] == false && state["players"][0]["kills"] == 10).await;
    // One more kill, so that the player is looked at again.
    send(&service, json!([kill("evening", 300.0, "1001", "1002")])).await;
    viewer.state_where(|state| state["players"][0]["kills"] == 11).await;
    send(&service, json!([json!({"type": "match_end", "match_id": "evening", "timestamp": 400.0})])).await;
    let after = kept_until(&service, "1001 untouched 1").await;
    assert!(after.is_superset(&before));
    assert!(times(&service).await.is_superset(&recorded), "none was written anew");
    service.stop().await;
}

#[actix_web::test]
async fn guests_and_bots_earn_nothing_and_a_link_carries_over_what_was_earned() {
    let service = Service::start("achieved_people").await;
    let streak = |match_id: &str, killer: &str, victim: &str| -> Value {
        (0..6).map(|number| kill(match_id, 30.0 + f64::from(number) * 20.0, killer, victim)).collect()
    };
    send(&service, streak("guests", "unauth_3", "1002")).await;
    send(&service, streak("bots", "1003", "bot_1")).await;
    send(&service, streak("people", "1001", "1002")).await;
    let kept = kept_until(&service, "1001 streak-5 1").await;
    assert!(kept.iter().all(|one| !one.starts_with("g_") && !one.contains("1003 streak")), "{kept:?}");
    let (user_id, _) = service.add_user("Anna", Role::Player).await;
    service.link_player(user_id, "1001").await;
    service.client.settled().await;
    eventually("what was earned under the id is the user's", async || {
        let player = service.client.get(&format!("/api/v1/stats/player/{user_id}")).await.json();
        player["achievements"].as_array()?.iter().find(|one| one["slug"] == "streak-5").map(drop)
    })
    .await;
    service.stop().await;
}

#[actix_web::test]
async fn who_plays_under_two_ids_unlocks_once() {
    let service = Service::start("achieved_twice").await;
    // So that both ids are known.
    send(&service, json!([kill("before", 1.0, "1006", "1007")])).await;
    service.client.settled().await;
    let (user_id, _) = service.add_user("Berta", Role::Player).await;
    for player_id in ["1006", "1007"] {
        service.link_player(user_id, player_id).await;
        eventually("the id is the user's", async || {
            let path = format!("/api/v1/stats/player/{player_id}/achievements");
            let player = service.client.get(&path).await.json();
            (player["player_id"].as_str() == Some(user_id.to_string().as_str())).then_some(())
        })
        .await;
    }
    let kills = (0..6).flat_map(|number| {
        let at = 30.0 + f64::from(number) * 20.0;
        ["1006", "1007", "1008"].map(|killer| kill("evening", at, killer, "1002"))
    });
    send(&service, kills.collect()).await;
    let kept = kept_until(&service, "1008 streak-5 1").await;
    let hers = |id: &str| kept.contains(&format!("{id} streak-5 1"));
    assert!(hers("1006") != hers("1007"), "{kept:?}");
    let list = service.client.get("/api/v1/achievements").await.json();
    let streak =
        list["achievements"].as_array().unwrap().iter().find(|one| one["slug"] == "streak-5").unwrap();
    assert_eq!(streak["tiers"][0]["unlocked_by"], 2, "she and 1008");

    // What was unlocked twice before the ids were known to be one person's counts once.
    sqlx::query(
        "INSERT INTO player_achievements (player_id, achievement, tier, unlocked_at)
         VALUES ('1006', 'kills', 1, '2026-01-01Z'), ('1007', 'kills', 1, '2026-01-02Z')",
    )
    .execute(&service.application.postgres)
    .await
    .unwrap();
    let list = service.client.get("/api/v1/achievements").await.json();
    let kills = list["achievements"].as_array().unwrap().iter().find(|one| one["slug"] == "kills").unwrap();
    assert_eq!(kills["tiers"][0]["unlocked_by"], 1);
    let news = list["recent"].as_array().unwrap().iter().filter(|one| one["slug"] == "kills").count();
    assert_eq!(news, 1, "{list}");
    service.stop().await;
}

#[actix_web::test]
async fn every_definition_can_be_read_and_has_its_picture() {
    let service = Service::start("achieved_catalogue").await;
    let rows: Vec<(String, String, Value)> = sqlx::query_as("SELECT slug, icon, rule FROM achievements")
        .fetch_all(&service.application.postgres)
        .await
        .unwrap();
    assert!(rows.len() >= 60);
    let pictures = include_str!("../static/img/achievements.svg");
    for (slug, icon, rule) in rows {
        let rule: mohaa_domain::achievements::Rule =
            serde_json::from_value(rule).unwrap_or_else(|error| panic!("{slug}: {error}"));
        rule.check().unwrap_or_else(|error| panic!("{slug}: {error}"));
        assert!(pictures.contains(&format!("<symbol id=\"{icon}\"")), "{slug}: {icon}");
    }
    service.stop().await;
}
