//! Live matches as viewers follow them.

use mohaa_stats::startup::Surroundings;
use mohaa_stats::users::Role;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;

use crate::support::{EventStream, PATIENCE, Service, StreamEvent, eventually, schemas};

fn kill(at: f64, killer: &str, victim: &str) -> Value {
    json!({
        "type": "player_kill", "match_id": "evening", "timestamp": at, "weapon": "M1 Garand", "hitloc": "head",
        "attacker_name": format!("^1{killer}"), "attacker_guid": killer, "attacker_team": "allies",
        "victim_name": victim, "victim_guid": victim, "victim_team": "axis",
    })
}

async fn send(service: &Service, events: Value) {
    let count = events.as_array().unwrap().len() as u64;
    service.client.send(events.to_string()).await.assert_batch(202, count, &[]);
}

async fn follow(service: &Service, last: Option<&StreamEvent>) -> EventStream {
    let url = format!("{}/api/v1/live/evening", service.client.url);
    eventually("the match is live", async || (reqwest_status(&url).await == 200).then_some(())).await;
    EventStream::open(&url, last.map(StreamEvent::id).as_deref()).await
}

async fn reqwest_status(url: &str) -> u16 {
    mohaa_stats::simulate::courier::client().unwrap().get(url).send().await.unwrap().status().as_u16()
}

#[actix_web::test]
async fn a_viewer_sees_kills_as_they_fall_and_the_match_to_its_end() {
    let service = Service::start("live_stream").await;
    service.client.get("/api/v1/live/evening").await.assert_refused(404, "match_not_live");
    let start = json!({"type": "match_start", "match_id": "evening", "timestamp": 1.0, "map_name": "dm/mohdm1", "gametype": 2, "maxclients": 20});
    send(&service, json!([start, kill(10.0, "1001", "1002")])).await;
    let mut viewer = follow(&service, None).await;
    let first = viewer.state_where(|state| state["players"].as_array().is_some_and(|it| it.len() == 2)).await;
    assert_eq!(first.data["map_name"], "dm/mohdm1");
    assert_eq!((&first.data["max_players"], &first.data["player_count"]), (&json!(20), &json!(2)));
    assert_eq!(first.data["server_name"], "Omaha Beach");
    let hero = &first.data["players"][0];
    assert_eq!(
        (&hero["player_id"], &hero["player_name"], &hero["player_name_raw"], &hero["kills"], &hero["team"]),
        (&json!("1001"), &json!("1001"), &json!("^11001"), &json!(1), &json!("allies"))
    );

    send(&service, json!([kill(12.0, "1001", "1002"), kill(14.0, "1001", "1002")])).await;
    let (second, third) = (viewer.next_of("kill").await, viewer.next_of("kill").await);
    assert_eq!(
        (&second.data["actor"]["player_id"], &second.data["target"]["player_id"]),
        (&json!("1001"), &json!("1002"))
    );
    assert_eq!(
        (&third.data["streak"], &third.data["multi"], &third.data["headshot"], &third.data["weapon"]["name"]),
        (&json!(3), &json!(3), &json!(true), &json!("M1 Garand"))
    );
    viewer.state_where(|state| state["players"][0]["kills"] == 3).await;

    let objective = json!({"type": "objective_capture", "match_id": "evening", "timestamp": 19.0, "player_name": "A", "player_guid": "1001", "item": "the <b>radio"});
    send(&service, json!([objective])).await;
    assert_eq!(viewer.next_of("objective").await.data["text"], "the <b>radio");
    let state = viewer.state_where(|state| state["objectives"][0]["text"] == "the <b>radio").await;
    assert_eq!(state.data["objectives"][0]["who"]["player_id"], "1001");
    let page = service.client.get("/live/evening").await;
    assert!(page.text.contains("the &lt;b&gt;radio"), "{}", page.text);

    let chat = |text: &str, team_only: bool| json!({"type": "chat", "match_id": "evening", "timestamp": 20.0, "player_name": "A", "player_guid": "1001", "message": text, "team_only": team_only});
    send(&service, json!([chat("to my side: flank left", true), chat("gg <b>all</b>", false)])).await;
    let (secret, open) = (viewer.next_of("chat").await, viewer.next_of("chat").await);
    assert!(!secret.data.to_string().contains("flank"), "{}", secret.data);
    assert_eq!(open.data["text"], "gg <b>all</b>");

    let end = json!({"type": "match_end", "match_id": "evening", "timestamp": 60.0, "winning_team": "allies", "allies_score": 3, "axis_score": 0});
    send(&service, json!([end])).await;
    let end = viewer.next_of("end").await;
    assert_eq!(
        (&end.data["status"], &end.data["winning_team"], &end.data["allies_score"]),
        (&json!("ended"), &json!("allies"), &json!(3))
    );
    assert!(viewer.next().await.is_none(), "the stream ends with the match");
    service.stop().await;
}

#[actix_web::test]
async fn numbers_have_no_gaps_and_who_comes_back_gets_what_was_missed() {
    let service = Service::start("live_resume").await;
    send(&service, json!([kill(1.0, "1001", "1002")])).await;
    let mut viewer = follow(&service, None).await;
    let mut last = viewer.next_of("snapshot").await;
    for number in 0..20 {
        send(&service, json!([kill(2.0 + f64::from(number), "1001", "1002")])).await;
    }
    let mut kills = 0;
    while kills < 20 {
        let event = viewer.next().await.unwrap();
        assert_eq!((event.epoch, event.number), (last.epoch, last.number + 1), "{event:?} after {last:?}");
        kills += u32::from(event.event == "kill");
        last = event;
    }
    drop(viewer);
    send(&service, json!([kill(40.0, "1001", "1002"), kill(41.0, "1001", "1002")])).await;
    let mut again = follow(&service, Some(&last)).await;
    let next = again.next().await.unwrap();
    assert_eq!((next.epoch, next.number), (last.epoch, last.number + 1));

    // Of another epoch, or of nothing, there is nothing to go on from.
    for strange in [format!("{}-3", last.epoch + 1), format!("{}-999999", last.epoch), "nonsense".to_owned()]
    {
        let url = format!("{}/api/v1/live/evening", service.client.url);
        let mut stranger = EventStream::open(&url, Some(&strange)).await;
        assert_eq!(stranger.next().await.unwrap().event, "snapshot", "{strange}");
    }
    service.stop().await;
}

/// The next messages of a page's stream: what each is, and its id.
async fn parts_of_page(
    url: &str,
    last_event_id: Option<&str>,
    count: usize,
) -> Vec<(String, Option<String>)> {
    let mut request = mohaa_stats::simulate::courier::client().unwrap().get(url);
    if let Some(id) = last_event_id {
        request = request.header("Last-Event-ID", id);
    }
    let mut response = request.send().await.unwrap();
    let (mut text, mut parts) = (String::new(), Vec::new());
    while parts.len() < count {
        text.push_str(&String::from_utf8_lossy(&response.chunk().await.unwrap().unwrap()));
        while let Some((message, rest)) = text.split_once("\n\n") {
            let field =
                |name: &str| message.lines().find_map(|line| line.strip_prefix(name)).map(str::to_owned);
            parts.extend(field("event: ").map(|event| (event, field("id: "))));
            text = rest.to_owned();
        }
    }
    parts.truncate(count);
    parts
}

#[actix_web::test]
async fn who_is_cut_off_between_the_parts_of_a_page_gets_all_of_them() {
    let service = Service::start("live_page_parts").await;
    send(&service, json!([kill(1.0, "1001", "1002")])).await;
    let mut viewer = follow(&service, None).await;
    viewer.state_where(|state| state["players"][0]["kills"] == 1).await;
    let url = format!("{}/live/evening/stream", service.client.url);
    let whole = parts_of_page(&url, None, 4).await;
    let names: Vec<&str> = whole.iter().map(|(event, _)| event.as_str()).collect();
    assert_eq!(names, ["kills", "chats", "achievements", "board"]);
    for received in 0..4 {
        // As a browser does: it tells the last id that it was sent.
        let last = whole[..received].iter().rev().find_map(|(_, id)| id.clone());
        let again = parts_of_page(&url, last.as_deref(), 1).await;
        assert_eq!(again[0].0, "kills", "cut off behind {received} parts");
    }
    assert!(whole[3].1.is_some());
    service.stop().await;
}

#[actix_web::test]
async fn who_was_long_away_is_written_a_little_at_a_time() {
    let service = Service::start("live_parts").await;
    send(&service, json!([kill(1.0, "1001", "1002")])).await;
    let first = follow(&service, None).await.next_of("snapshot").await;
    let kills = 200;
    let missed = (0..kills).map(|number| kill(2.0 + f64::from(number), "1001", "1002")).collect::<Vec<_>>();
    send(&service, json!(missed)).await;
    let mut follower = follow(&service, None).await;
    follower.state_where(|state| state["players"][0]["kills"] == kills + 1).await;

    let connection = TcpStream::connect(service.application.address).await.unwrap();
    let mut connection = BufReader::new(connection);
    let request =
        format!("GET /api/v1/live/evening HTTP/1.1\r\nHost: here\r\nLast-Event-ID: {}\r\n\r\n", first.id());
    connection.write_all(request.as_bytes()).await.unwrap();
    let mut line = String::new();
    while line != "\r\n" {
        line.clear();
        connection.read_line(&mut line).await.unwrap();
    }
    let (mut whole, mut longest) = (String::new(), 0);
    while whole.matches("event: kill").count() < kills as usize {
        // A chunk is what the service made at once.
        line.clear();
        connection.read_line(&mut line).await.unwrap();
        let mut chunk = vec![0; usize::from_str_radix(line.trim(), 16).unwrap() + "\r\n".len()];
        connection.read_exact(&mut chunk).await.unwrap();
        longest = longest.max(chunk.len());
        whole.push_str(std::str::from_utf8(&chunk).unwrap().strip_suffix("\r\n").unwrap());
    }
    let longest_message = whole.split("\n\n").map(str::len).max().unwrap();
    assert!(whole.len() > 80 * 1024, "too little to tell: {}", whole.len());
    // As much as a connection is given room for, whatever is sent.
    assert!(longest <= 4 * 1024 + 4 && longest_message > 0, "{longest} bytes at once");
    let numbers: Vec<u64> =
        whole.lines().filter_map(|line| line.strip_prefix("id: ")?.split_once('-')?.1.parse().ok()).collect();
    assert!(
        numbers.is_sorted_by(|one, next| next - one == 1) && numbers[0] == first.number + 1,
        "{numbers:?}"
    );
    service.stop().await;
}

#[actix_web::test]
async fn the_list_tells_which_matches_begin_and_end() {
    let service = Service::start("live_list").await;
    let url = format!("{}/api/v1/live", service.client.url);
    let mut viewer = EventStream::open(&url, None).await;
    assert_eq!(viewer.next_of("snapshot").await.data, json!({ "matches": [] }));
    send(&service, json!([kill(1.0, "1001", "1002")])).await;
    let listed = viewer.state_where(|list| list["matches"].as_array().is_some_and(|it| it.len() == 1)).await;
    let listed = &listed.data["matches"][0];
    assert_eq!((&listed["server_name"], &listed["player_count"]), (&json!("Omaha Beach"), &json!(2)));
    let end = json!({"type": "match_end", "match_id": "evening", "timestamp": 60.0});
    send(&service, json!([end])).await;
    viewer.state_where(|list| list["matches"] == json!([])).await;
    // The service ends though somebody watches.
    service.stop().await;
}

#[actix_web::test]
async fn a_match_goes_on_over_a_restart_as_if_nothing_had_been() {
    let urls = schemas::database("live_restart").await;
    let data_dir = tempfile::tempdir().unwrap();
    let settings = [("DATA_DIR", data_dir.path().to_str().unwrap())];
    let service = Service::start_on(&urls, &settings, Surroundings::default()).await;
    let token = service.client.token.clone();
    send(&service, json!([kill(1.0, "1001", "1002"), kill(3.0, "1001", "1002"), kill(5.0, "1002", "1001")]))
        .await;
    let mut viewer = follow(&service, None).await;
    let before = viewer.state_where(|state| state["players"][0]["kills"] == 2).await;
    drop(viewer);
    service.application.stop(PATIENCE).await;

    let service = Service::start_on(&urls, &settings, Surroundings::default()).await;
    let client = service.client.with_token(&token);
    let mut viewer = follow(&service, Some(&before)).await;
    let after = viewer.state_where(|state| state["stale"] == false).await;
    assert_ne!(after.epoch, before.epoch, "it was rebuilt");
    assert_eq!((&after.data["players"], &after.data["stale"]), (&before.data["players"], &json!(false)));
    client.send(json!([kill(8.0, "1001", "1002")]).to_string()).await.assert_batch(202, 1, &[]);
    let kill = viewer.next_of("kill").await;
    assert_eq!(kill.data["streak"], 1, "the death before the restart ended the run");
    viewer.state_where(|state| state["players"][0]["kills"] == 3).await;
    service.stop().await;
}

#[actix_web::test]
async fn linked_and_anonymous_players_are_who_they_are_elsewhere() {
    let service = Service::start("live_people").await;
    let (user_id, _) = service.add_user("Anna", Role::Player).await;
    service.link_player(user_id, "1001").await;
    let (_, admin) = service.add_user("Admin", Role::Admin).await;
    send(&service, json!([kill(1.0, "1001", "1002")])).await;
    let path = "/api/v1/admin/players/1002/anonymise";
    eventually("the player is known, and anonymous from here on", async || {
        let reply = service.client.call_as(&admin, "POST", path, json!({})).await;
        (reply.status == 204).then_some(())
    })
    .await;
    follow(&service, None).await;
    eventually("the links are known", async || {
        let url = format!("{}/api/v1/live/evening", service.client.url);
        let snapshot = EventStream::open(&url, None).await.next().await?;
        let ids: Vec<&str> = snapshot.data["players"]
            .as_array()?
            .iter()
            .filter_map(|player| player["player_id"].as_str())
            .collect();
        let is_known =
            ids.contains(&user_id.to_string().as_str()) && ids.iter().any(|id| id.starts_with("anon_"));
        // What was put into its form before is not changed: something has to happen.
        if !is_known {
            send(&service, json!([kill(2.0, "1001", "1002")])).await;
        }
        is_known.then_some(())
    })
    .await;
    let mut viewer = follow(&service, None).await;
    viewer.next_of("snapshot").await;
    send(&service, json!([kill(90.0, "1001", "1002")])).await;
    let kill = viewer.kill_at(90.0).await;
    assert_eq!(kill["actor"]["player_id"], user_id.to_string());
    assert_eq!(kill["target"]["player_name"], "Anonymous");
    assert!(!kill.to_string().contains("1002"), "{kill}");
    service.stop().await;
}

#[actix_web::test]
async fn who_comes_back_is_told_no_name_that_was_taken_away_meanwhile() {
    let service = Service::start("live_taken_away").await;
    let (_, admin) = service.add_user("Admin", Role::Admin).await;
    send(&service, json!([kill(1.0, "1001", "1002")])).await;
    let mut viewer = follow(&service, None).await;
    let first = viewer.next_of("snapshot").await;
    send(&service, json!([kill(2.0, "1001", "1002")])).await;
    viewer.next_of("kill").await;
    let path = "/api/v1/admin/players/1002/anonymise";
    eventually("the player is known, and anonymous from here on", async || {
        let reply = service.client.call_as(&admin, "POST", path, json!({})).await;
        (reply.status == 204).then_some(())
    })
    .await;
    eventually("the name is told to nobody who comes back", async || {
        let url = format!("{}/api/v1/live/evening", service.client.url);
        let again = EventStream::open(&url, Some(&first.id())).await.next().await?;
        (!again.data.to_string().contains("1002")).then_some(())
    })
    .await;
    let told = viewer.state_where(|state| !state.to_string().contains("1002")).await;
    assert!(told.data.to_string().contains("Anonymous"), "{}", told.data);
    service.stop().await;
}

#[actix_web::test]
async fn the_last_live_scoreboard_is_that_of_the_match_statistics() {
    let service = Service::start("live_equals").await;
    let mut events = Vec::new();
    for number in 0..200_u32 {
        let at = f64::from(number) * 0.7 + 1.0;
        let (one, other) = (format!("{}", 1001 + number * 7 % 11), format!("{}", 1001 + number * 5 % 13));
        events.push(kill(at, &one, &other));
        events.push(json!({"type": "weapon_fire", "match_id": "evening", "timestamp": at, "player_guid": one, "player_name": one, "weapon": "M1 Garand"}));
        if number % 3 == 0 {
            events.push(json!({"type": "weapon_hit", "match_id": "evening", "timestamp": at, "player_guid": one, "player_name": one, "target_guid": other, "target_name": other}));
            events.push(json!({"type": "damage", "match_id": "evening", "timestamp": at, "attacker_guid": one, "attacker_name": one, "victim_guid": other, "victim_name": other, "damage": 33.37}));
        }
    }
    for part in events.chunks(20) {
        send(&service, json!(part)).await;
    }
    let mut viewer = follow(&service, None).await;
    let live = viewer
        .state_where(|state| {
            let players = state["players"].as_array().unwrap();
            players.iter().map(|player| player["deaths"].as_u64().unwrap()).sum::<u64>() == 200
        })
        .await;
    service.client.settled().await;
    let stored = eventually("the match is in the statistics", async || {
        let reply = service.client.get("/api/v1/stats/match/evening").await;
        let deaths = |player: &Value| player["deaths"].as_u64().unwrap_or_default();
        (reply.status == 200).then(|| reply.json()).filter(|answer| {
            answer["scoreboard"].as_array().is_some_and(|rows| rows.iter().map(deaths).sum::<u64>() == 200)
        })
    })
    .await;
    let fields = [
        "player_id",
        "player_name",
        "kills",
        "deaths",
        "headshots",
        "damage",
        "suicides",
        "team_kills",
        "best_killstreak",
    ];
    let rows = |rows: &Value| -> Vec<Vec<Value>> {
        let row = |row: &Value| fields.iter().map(|field| row[field].clone()).collect();
        rows.as_array().unwrap().iter().map(row).collect()
    };
    assert_eq!(rows(&live.data["players"]), rows(&stored["scoreboard"]));
    assert_eq!(live.data["top_weapons"][0]["kills"], stored["top_weapons"][0]["kills"]);
    for (player, row) in
        live.data["players"].as_array().unwrap().iter().zip(stored["scoreboard"].as_array().unwrap())
    {
        assert_eq!(
            player["accuracy"].as_f64().unwrap_or_default(),
            row["accuracy"].as_f64().unwrap(),
            "{player}"
        );
    }
    service.stop().await;
}

#[actix_web::test]
async fn a_thousand_players_stand_on_the_live_scoreboard_as_in_the_statistics() {
    const PLAYERS: u32 = 1_000;
    let service = Service::start("live_thousand").await;
    let id = |number: u32| (20_000 + number % PLAYERS).to_string();
    for part in (0..2 * PLAYERS).collect::<Vec<u32>>().chunks(500) {
        let kills: Vec<Value> = part
            .iter()
            .map(|number| kill(1.0 + f64::from(*number) / 10.0, &id(*number), &id(number * 7 + 1)))
            .collect();
        send(&service, json!(kills)).await;
    }
    let deaths = |rows: &Value| {
        rows.as_array().unwrap().iter().map(|row| row["deaths"].as_u64().unwrap()).sum::<u64>()
    };
    service.client.settled().await;
    let stored = eventually("the match is in the statistics", async || {
        let reply = service.client.get("/api/v1/stats/match/evening").await;
        (reply.status == 200).then(|| reply.json()).filter(|answer| deaths(&answer["scoreboard"]) == 2_000)
    })
    .await;
    let live = eventually("all of it is on the live scoreboard", async || {
        let snapshot = follow(&service, None).await.next_of("snapshot").await;
        (deaths(&snapshot.data["players"]) == 2_000).then_some(snapshot.data)
    })
    .await;
    let rows = |rows: &Value| -> Vec<Vec<Value>> {
        let row = |row: &Value| {
            ["player_id", "kills", "deaths", "headshots", "best_killstreak"]
                .map(|field| row[field].clone())
                .to_vec()
        };
        rows.as_array().unwrap().iter().map(row).collect()
    };
    assert_eq!(stored["scoreboard"].as_array().unwrap().len(), PLAYERS as usize);
    assert_eq!(rows(&live["players"]), rows(&stored["scoreboard"]));
    assert_eq!((&live["more_players"], &stored["more_players"]), (&json!(false), &json!(false)));
    service.stop().await;
}

#[actix_web::test]
async fn a_flood_costs_viewers_a_moment_and_no_kill() {
    let settings = [("WORKER_QUEUE_SIZE", "50000")];
    let service = Service::start_with("live_flood", &settings, Surroundings::default()).await;
    send(&service, json!([kill(0.5, "1001", "1002")])).await;
    let mut viewer = follow(&service, None).await;
    // More at once than a match's mailbox holds, of the same seconds: whichever comes first, the clock never goes back
    // by more than what is one load of a map.
    let requests = (0..8).map(|_| {
        let kills: Vec<Value> =
            (0..3_000_u32).map(|number| kill(0.5 + f64::from(number) / 1_000.0, "1001", "1002")).collect();
        let client = service.client.clone();
        async move { client.send(json!(kills).to_string()).await.assert_batch(202, 3_000, &[]) }
    });
    futures_util::future::join_all(requests).await;
    let state =
        viewer.state_where(|state| state["players"][0]["kills"] == 24_001 && state["stale"] == false).await;
    assert_eq!(state.data["players"][1]["deaths"], 24_001);
    let metrics = service.client.settled().await;
    assert!(
        metrics.series(r#"mohaa_mailbox_rejected_total{actor="match"}"#) > 0.0,
        "the flood was too small"
    );
    assert_eq!(metrics.series(r#"mohaa_actor_restarts_total{actor="match"}"#), 0.0);
    service.stop().await;
}
