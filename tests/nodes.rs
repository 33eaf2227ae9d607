//! Several nodes on the same stores: who follows a match, who watches it, and what happens when a node is gone.

use std::cell::Cell;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use mohaa_faults::process::{ServiceProcess, Signal};
use mohaa_stats::config::RedisUrl;
use mohaa_stats::startup::Surroundings;
use mohaa_stats::users::Role;
use serde_json::{Value, json};

use crate::support::{EventStream, PATIENCE, Service, ServiceClient, StreamEvent, eventually, schemas};

/// The next owner has to be there by then.
const TAKEN_OVER_WITHIN: Duration = Duration::from_secs(5);

fn kill(at: f64, killer: &str, victim: &str) -> Value {
    json!({
        "type": "player_kill", "match_id": "evening", "timestamp": at, "weapon": "M1 Garand",
        "attacker_name": killer, "attacker_guid": killer, "attacker_team": "allies",
        "victim_name": victim, "victim_guid": victim, "victim_team": "axis",
    })
}

async fn send(client: &ServiceClient, events: &[Value]) {
    client.send(json!(events).to_string()).await.assert_batch(202, events.len() as u64, &[]);
}

/// A viewer of the match at this node, once the node knows of it.
async fn watch(client: &ServiceClient) -> EventStream {
    let url = format!("{}/api/v1/live/evening", client.url);
    eventually("the node knows of the match", async || {
        let live = client.get("/api/v1/stats/live").await.json();
        (live["matches"][0]["source_match_id"] == "evening").then_some(())
    })
    .await;
    EventStream::open(&url, None).await
}

fn scoreboard(state: &StreamEvent) -> Vec<(Value, Value, Value, Value)> {
    let players = state.data["players"].as_array().unwrap().iter();
    let row = |player: &Value| {
        let field = |name: &str| player[name].clone();
        (field("player_id"), field("kills"), field("deaths"), field("best_streak"))
    };
    players.map(row).collect()
}

fn total_kills(state: &Value) -> u64 {
    let players = state["players"].as_array().map_or(&[][..], Vec::as_slice);
    players.iter().filter_map(|player| player["kills"].as_u64()).sum()
}

#[actix_web::test]
async fn viewers_at_another_node_are_told_the_same_under_the_same_numbers() {
    let urls = schemas::database("mirrors").await;
    let one = Service::start_on(&urls, &[], Surroundings::default()).await;
    let other = Service::start_on(&urls, &[], Surroundings::default()).await;
    send(&one.client, &[kill(1.0, "1001", "1002")]).await;
    let (mut here, mut there) = (watch(&one.client).await, watch(&other.client).await);
    there.state_where(|state| total_kills(state) == 1).await;
    for number in 0..30 {
        send(&one.client, &[kill(2.0 + f64::from(number), "1001", "1002")]).await;
    }
    for number in 0..30 {
        let (mine, theirs) = (here.next_of("kill").await, there.next_of("kill").await);
        assert_eq!(mine.data["t"], theirs.data["t"], "kill {number}");
        assert_eq!((mine.epoch, mine.number), (theirs.epoch, theirs.number));
    }
    let page = other.client.get("/live/evening").await;
    assert!(page.status == 200 && page.text.contains("1001"), "{}", page.text);
    let end = json!({"type": "match_end", "match_id": "evening", "timestamp": 90.0});
    send(&one.client, &[end]).await;
    there.next_of("end").await;
    other.stop().await;
    one.stop().await;
}

#[actix_web::test]
async fn events_at_another_node_are_in_the_one_state_of_their_match() {
    let urls = schemas::database("handed_on").await;
    let one = Service::start_on(&urls, &[], Surroundings::default()).await;
    let other = Service::start_on(&urls, &[], Surroundings::default()).await;
    send(&one.client, &[kill(1.0, "1001", "1002")]).await;
    let mut viewer = watch(&one.client).await;
    viewer.state_where(|state| total_kills(state) == 1).await;
    let at_other = other.client.with_token(&one.client.token);
    for number in 0..20 {
        let event = kill(2.0 + f64::from(number), "1001", "1002");
        send(if number % 2 == 0 { &at_other } else { &one.client }, &[event]).await;
    }
    let state = viewer.state_where(|state| total_kills(state) == 21).await;
    assert_eq!(state.data["stale"], false, "{}", state.data);
    let live = one.client.get("/api/v1/stats/live").await.json();
    assert_eq!(live["matches"].as_array().unwrap().len(), 1, "{live}");
    other.stop().await;
    one.stop().await;
}

#[actix_web::test]
async fn a_server_whose_events_go_to_two_nodes_in_turns_from_the_start_has_one_match_at_a_time() {
    let urls = schemas::database("in_turns").await;
    let one = Service::start_on(&urls, &[], Surroundings::default()).await;
    let other = Service::start_on(&urls, &[], Surroundings::default()).await;
    let (_, unnamed) = one.add_server("Without names").await;
    for (token, is_named) in [(one.client.token.clone(), true), (unnamed, false)] {
        let nodes = [one.client.with_token(&token), other.client.with_token(&token)];
        // Each load of a map lies minutes behind the one before.
        for (number, level_time) in [900.0, 600.0, 300.0].into_iter().enumerate() {
            let event = |place: u32| {
                let mut event = kill(level_time + f64::from(place) / 10.0, "1001", "1002");
                event["match_id"] = if is_named { json!(format!("m{number}")) } else { json!("no_match") };
                [event]
            };
            // Both at once, before either can know of the other.
            let (first, second) = (event(0), event(1));
            futures_util::future::join(send(&nodes[0], &first), send(&nodes[1], &second)).await;
            for place in 2..12 {
                send(&nodes[place as usize % 2], &event(place)).await;
            }
        }
    }
    let matches = eventually("everything is stored", async || {
        let list = one.client.get("/api/v1/stats/matches").await.json();
        let kills = |list: &Value| -> u64 {
            let matches = list["matches"].as_array().map_or(&[][..], Vec::as_slice);
            matches.iter().map(|one| one["kills"].as_u64().unwrap()).sum()
        };
        (kills(&list) == 72).then_some(list)
    })
    .await;
    let kills: Vec<&Value> = matches["matches"].as_array().unwrap().iter().map(|one| &one["kills"]).collect();
    assert_eq!(kills, [&json!(12); 6], "{matches}");
    for node in [&one, &other] {
        eventually("one match of each server is live, with all its kills", async || {
            let list = node.client.get("/api/v1/stats/live").await.json();
            let live = list["matches"].as_array().unwrap();
            let mut whole = live.len() == 2;
            for listed in live {
                let id = listed["match_id"].as_str().unwrap();
                let url = format!("{}/api/v1/live/{id}", node.client.url);
                let state = EventStream::open(&url, None).await.next_of("snapshot").await;
                whole &= total_kills(&state.data) == 12 && state.data["stale"] == false;
            }
            whole.then_some(())
        })
        .await;
    }
    other.stop().await;
    one.stop().await;
}

#[actix_web::test]
async fn when_a_node_is_gone_the_next_one_goes_on_with_the_same_scoreboard() {
    let urls = schemas::database("taken_over").await;
    let other = Service::start_on(&urls, &[], Surroundings::default()).await;
    let data_dir = tempfile::tempdir().unwrap();
    let program = Path::new(env!("CARGO_BIN_EXE_mohaa-stats"));
    let one = ServiceProcess::start(program, data_dir.path(), &urls, &[]).await.unwrap();
    let at_one = ServiceClient::new(one.url.clone(), other.client.token.clone());
    for number in 0..25_u32 {
        let (killer, victim) = if number % 4 == 3 { ("1002", "1001") } else { ("1001", "1002") };
        send(&at_one, &[kill(1.0 + 6.0 * f64::from(number), killer, victim)]).await;
    }
    let mut viewer = watch(&other.client).await;
    let before = viewer.state_where(|state| total_kills(state) == 25).await;
    eventually("they are stored", async || {
        (other.warehouse.count("SELECT count() FROM raw_events").await == 25).then_some(())
    })
    .await;
    one.kill().await.unwrap();
    let gone_at = Instant::now();
    // Its server goes to the next node.
    send(&other.client, &[kill(200.0, "1001", "1002")]).await;
    let after = viewer.state_where(|state| total_kills(state) == 26 && state["stale"] == false).await;
    assert!(gone_at.elapsed() < TAKEN_OVER_WITHIN, "after {:?}", gone_at.elapsed());
    let mut expected = scoreboard(&before);
    expected[0].1 = json!(before.data["players"][0]["kills"].as_u64().unwrap() + 1);
    expected[1].2 = json!(before.data["players"][1]["deaths"].as_u64().unwrap() + 1);
    assert_eq!(scoreboard(&after), expected);
    send(&other.client, &[kill(210.0, "1001", "1002")]).await;
    let next = viewer.next_of("kill").await;
    assert_eq!(next.data["streak"], 3, "the run goes on: {}", next.data);
    other.stop().await;
}

#[actix_web::test]
async fn an_owner_that_stood_still_and_goes_on_forks_nothing() {
    let urls = schemas::database("stood_still").await;
    let other = Service::start_on(&urls, &[], Surroundings::default()).await;
    let data_dir = tempfile::tempdir().unwrap();
    let program = Path::new(env!("CARGO_BIN_EXE_mohaa-stats"));
    let one = ServiceProcess::start(program, data_dir.path(), &urls, &[]).await.unwrap();
    let at_one = ServiceClient::new(one.url.clone(), other.client.token.clone());
    for number in 0..10_u32 {
        send(&at_one, &[kill(1.0 + f64::from(number), "1001", "1002")]).await;
    }
    let mut viewer = watch(&other.client).await;
    viewer.state_where(|state| total_kills(state) == 10).await;
    eventually("they are stored", async || {
        (other.warehouse.count("SELECT count() FROM raw_events").await == 10).then_some(())
    })
    .await;

    one.signal(Signal::STOP);
    send(&other.client, &[kill(20.0, "1002", "1001")]).await;
    viewer.state_where(|state| total_kills(state) == 11 && state["stale"] == false).await;
    one.signal(Signal::CONT);
    // Both are sent to, the one that went on before it can know what has become of its lease.
    for number in 0..20_u32 {
        let client = if number % 2 == 0 { &at_one } else { &other.client };
        send(client, &[kill(30.0 + f64::from(number), "1001", "1003")]).await;
    }
    eventually("all is stored", async || {
        (other.warehouse.count("SELECT count() FROM raw_events").await == 31).then_some(())
    })
    .await;
    let list = other.client.get("/api/v1/stats/matches").await.json();
    assert_eq!(list["total"], 1, "{list}");
    let rows = |rows: &Value| -> Vec<Vec<Value>> {
        let row = |row: &Value| {
            ["player_id", "kills", "deaths", "best_killstreak"].map(|field| row[field].clone()).to_vec()
        };
        rows.as_array().unwrap().iter().map(row).collect()
    };
    for client in [&other.client, &at_one] {
        eventually("both nodes tell of one match, as it is stored", async || {
            // Asked for anew: kills and streaks are two questions, whose answers are kept for a moment each.
            let stored = client.get("/api/v1/stats/match/evening").await.json();
            let live = client.get("/api/v1/stats/live").await.json();
            let url = format!("{}/api/v1/live/evening", client.url);
            let state = EventStream::open(&url, None).await.next_of("snapshot").await;
            (live["matches"].as_array().unwrap().len() == 1
                && state.data["stale"] == false
                && total_kills(&state.data) == 31
                && rows(&state.data["players"]) == rows(&stored["scoreboard"]))
            .then_some(())
        })
        .await;
    }
    one.kill().await.unwrap();
    other.stop().await;
}

/// An insert that is under way is in `raw_events` and not in a roll-up yet, or the other way round.
#[actix_web::test]
async fn what_a_node_stores_while_another_one_recounts_is_counted_once() {
    let urls = schemas::database("recounted_beside").await;
    let storing = Service::start_on(&urls, &[], Surroundings::default()).await;
    let token = storing.client.token.clone();
    send(&storing.client, &[kill(0.0, "1001", "1002")]).await;
    storing.client.settled().await;
    let has_compared = async |service: &Service| {
        eventually("roll-ups are compared, in spite of all that is stored", async || {
            let metrics = service.client.metrics().await;
            (metrics.series("mohaa_rollup_comparisons_total") > 0.0).then_some(())
        })
        .await;
    };
    has_compared(&storing).await;
    let today = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() / 86_400;
    let is_over = Cell::new(false);
    let store = async {
        let mut sent = 1_u32;
        while !is_over.get() {
            send(&storing.client, &[kill(f64::from(sent), "1001", "1002")]).await;
            sent += 1;
        }
        u64::from(sent)
    };
    let recount = async {
        for _ in 0..3 {
            // As after a crash, and with something to mend.
            let data_dir = tempfile::tempdir().unwrap();
            let spool = data_dir.path().join("spool");
            std::fs::create_dir_all(&spool).unwrap();
            std::fs::write(spool.join("touched-days.json"), json!([today]).to_string()).unwrap();
            storing.warehouse.execute("TRUNCATE TABLE weapon_totals").await;
            let settings = [("DATA_DIR", data_dir.path().to_str().unwrap())];
            let recounting = Service::restart_on(&urls, &settings, &token).await;
            has_compared(&recounting).await;
            recounting.application.stop(PATIENCE).await;
        }
        is_over.set(true);
    };
    let (sent, ()) = futures_util::join!(store, recount);
    eventually("all is stored", async || {
        (storing.warehouse.count("SELECT count() FROM raw_events").await == sent).then_some(())
    })
    .await;
    for table in [
        "player_stats_daily",
        "weapon_stats",
        "player_match_totals",
        "player_rivals_daily",
        "player_totals",
        "weapon_totals",
    ] {
        eventually(&format!("{table} counts each kill once"), async || {
            let kills = storing.warehouse.count(&format!("SELECT sum(kills) FROM {table}")).await;
            (kills == sent).then_some(())
        })
        .await;
    }
    storing.stop().await;
}

#[actix_web::test]
async fn without_a_snapshot_a_match_is_rebuilt_from_what_is_stored() {
    let urls = schemas::database("rebuilt").await;
    let data_dir = tempfile::tempdir().unwrap();
    let settings = [("DATA_DIR", data_dir.path().to_str().unwrap())];
    let service = Service::start_on(&urls, &settings, Surroundings::default()).await;
    let token = service.client.token.clone();
    for number in 0..40 {
        send(&service.client, &[kill(1.0 + f64::from(number), "1001", "1002")]).await;
    }
    let mut viewer = watch(&service.client).await;
    let before = viewer.state_where(|state| total_kills(state) == 40).await;
    drop(viewer);
    let unlocked = all_unlocked(&service).await;
    assert!(unlocked.len() > 3, "{unlocked:?}");
    service.application.stop(PATIENCE).await;
    forget_snapshots(&urls.redis_url).await;

    let service = Service::start_on(&urls, &settings, Surroundings::default()).await;
    let client = service.client.with_token(&token);
    let mut viewer = watch(&client).await;
    let after = viewer.state_where(|state| state["stale"] == false).await;
    assert_eq!(
        (&after.data["players"], &after.data["kills"]),
        (&before.data["players"], &before.data["kills"])
    );
    send(&client, &[kill(60.0, "1001", "1002")]).await;
    assert_eq!(viewer.next_of("kill").await.data["streak"], 41);
    viewer.state_where(|state| total_kills(state) == 41).await;
    assert_eq!(
        all_unlocked(&service).await,
        unlocked,
        "everything was folded again, and nothing unlocked twice"
    );
    service.stop().await;
}

/// The tiers that were unlocked, once no more are: every match has looked at all of its players, nothing is left to keep, and it
/// stays so for some ticks.
async fn all_unlocked(service: &Service) -> Vec<(String, String, i16)> {
    let (_, admin) = service.add_user("Operator", Role::Admin).await;
    let mut seen = (Vec::new(), Instant::now());
    eventually("nothing more is unlocked", async || {
        let answer = service.client.get_as(&admin, "/api/v1/ops/actors").await.json();
        let mut matches = answer["actors"].as_array()?.iter().filter(|actor| actor["kind"] == "match");
        let is_done = matches.all(|actor| {
            let state = &actor["state"];
            state["players_to_look_at"] == 0 && state["achievements_owed"] == 0
        });
        let unlocked: Vec<(String, String, i16)> = sqlx::query_as(
            "SELECT player_id, achievement, tier FROM player_achievements ORDER BY player_id, achievement, tier",
        )
        .fetch_all(&service.application.postgres)
        .await
        .unwrap();
        if !is_done || unlocked != seen.0 {
            seen = (unlocked.clone(), Instant::now());
        }
        (seen.1.elapsed() > Duration::from_secs(2)).then_some(unlocked)
    })
    .await
}

async fn forget_snapshots(redis_url: &str) {
    let pool = mohaa_stats::redis::connect(&RedisUrl::parse(redis_url).unwrap()).unwrap();
    let mut connection = pool.get().await.unwrap();
    deadpool_redis::redis::cmd("FLUSHDB").query_async::<()>(&mut connection).await.unwrap();
}
