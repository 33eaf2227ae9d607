//! A simulated fleet of game servers against the whole service: its own account of what it played must be what the
//! boards show.

use std::collections::BTreeMap;

use serde_json::Value;

use mohaa_stats::simulate::report::PlayerReport;
use mohaa_stats::simulate::{DialectChoice, Report, SimulateOptions, run};

use crate::support::{EventStream, Service, eventually};

const SEED: u64 = 1944;

/// Plays short matches on two servers, as fast as answers come.
async fn play(service: &Service, dialect: DialectChoice, matches: usize, guests: Option<u8>) -> Report {
    let (_, second) = service.add_server("Stalingrad").await;
    let options = SimulateOptions {
        dialect,
        matches,
        guests,
        seed: SEED,
        match_length: 120..=180,
        ..SimulateOptions::new(&service.client.url, vec![service.client.token.clone(), second])
    };
    let report = run(options, |_| {}).await.unwrap();
    assert_eq!(report.complaints, Vec::<String>::new());
    assert_eq!((report.events.sent, report.events.unanswered), (report.events.accepted, 0));
    service.client.settled().await;
    report
}

/// A whole board, by player.
async fn board(service: &Service, statistic: &str) -> Vec<Value> {
    let mut rows = Vec::new();
    for page in 1.. {
        let path = format!("/api/v1/stats/leaderboard?stat={statistic}&limit=100&page={page}");
        let answer = service.client.get(&path).await.json();
        let players = answer["players"].as_array().unwrap_or_else(|| panic!("{answer}"));
        if players.is_empty() {
            assert_eq!(answer["total"], rows.len(), "{statistic}");
            break;
        }
        rows.extend(players.iter().cloned());
    }
    rows
}

type Count = fn(&PlayerReport) -> u64;

async fn assert_boards_agree(service: &Service, report: &Report) {
    let statistics: [(&str, Count); 4] = [
        ("kills", |player| player.tally.kills),
        ("deaths", |player| player.tally.deaths),
        ("headshots", |player| player.tally.headshots),
        ("damage", |player| player.tally.damage),
    ];
    let fought = report.players.iter().map(|player| player.tally.kills).sum::<u64>();
    assert!(fought > 10, "too little happened to tell anything: {fought} kills");
    for (statistic, count) in statistics {
        let expected: BTreeMap<&str, u64> = report
            .players
            .iter()
            .filter(|player| player.tally.kills + player.tally.deaths + count(player) > 0)
            .map(|player| (player.player_id.as_str(), count(player)))
            .collect();
        let rows = board(service, statistic).await;
        let shown: BTreeMap<&str, u64> = rows
            .iter()
            .map(|row| (row["player_id"].as_str().unwrap(), row["value"].as_f64().unwrap().round() as u64))
            .collect();
        assert_eq!(shown, expected, "{statistic}");
        assert_eq!(rows.len(), shown.len(), "{statistic} shows somebody twice");
        let values: Vec<f64> = rows.iter().map(|row| row["value"].as_f64().unwrap()).collect();
        assert!(values.is_sorted_by(|higher, lower| higher >= lower), "{statistic}: {values:?}");
        for row in &rows {
            let id = row["player_id"].as_str().unwrap();
            let player = report.players.iter().find(|player| player.player_id == id).unwrap();
            for (column, count) in statistics {
                let cell = row[column].as_f64().unwrap().round() as u64;
                assert_eq!(cell, count(player), "{column} of {id} on the board of {statistic}");
            }
        }
    }
}

/// Scripts send hits without a weapon: each must have found the one it was done with. Returns how many there were.
async fn assert_hits_have_weapons(service: &Service, report: &Report) -> u64 {
    let mut hits = 0;
    for player in &report.players {
        let path = format!("/api/v1/stats/player/{}", player.player_id);
        let career = service.client.get(&path).await.json();
        let weapons = service.client.get(&format!("{path}/weapons")).await.json();
        let weapons = weapons["weapons"].as_array().unwrap();
        let with_weapons: u64 = weapons.iter().map(|weapon| weapon["shots_hit"].as_u64().unwrap()).sum();
        assert_eq!(career["shots_hit"], with_weapons, "{career} {weapons:?}");
        for weapon in weapons {
            assert_eq!(weapon["accuracy"].is_null(), weapon["shots_fired"] == 0, "{weapon}");
        }
        hits += with_weapons;
    }
    hits
}

async fn dialect_agrees(dialect: DialectChoice, name: &str) {
    let service = Service::start(name).await;
    let report = play(&service, dialect, 1, None).await;
    assert_boards_agree(&service, &report).await;
    let hits = assert_hits_have_weapons(&service, &report).await;
    // Today's scripts send neither shots nor hits.
    assert_eq!(hits > 10, dialect != DialectChoice::Live, "{hits} hits");
    let matches = service.client.get("/api/v1/stats/matches").await.json();
    assert_eq!(matches["total"], report.matches, "{matches}");
    // Matches of two minutes, played within seconds. Only tools do not send the level's clock.
    let longest = board(&service, "playtime").await[0]["value"].as_u64().unwrap();
    assert_eq!((100..=200).contains(&longest), dialect != DialectChoice::Tools, "{longest} s");
    service.warehouse.assert_rollups_agree().await;
    service.stop().await;
}

#[actix_web::test]
async fn the_boards_agree_with_servers_of_the_first_generation() {
    dialect_agrees(DialectChoice::G1, "fleet_g1").await;
}

#[actix_web::test]
async fn the_boards_agree_with_servers_of_the_second_generation() {
    dialect_agrees(DialectChoice::G2, "fleet_g2").await;
}

#[actix_web::test]
async fn the_boards_agree_with_servers_of_the_third_generation() {
    dialect_agrees(DialectChoice::G3, "fleet_g3").await;
}

#[actix_web::test]
async fn the_boards_agree_with_todays_servers() {
    dialect_agrees(DialectChoice::Live, "fleet_live").await;
}

#[actix_web::test]
async fn the_boards_agree_with_tools() {
    dialect_agrees(DialectChoice::Tools, "fleet_tools").await;
}

#[actix_web::test]
async fn matches_without_ids_are_told_apart_and_guests_stay_off_the_boards() {
    let service = Service::start("fleet_guests").await;
    let report = play(&service, DialectChoice::Live, 3, Some(50)).await;
    assert!(report.guests.kills > 0, "no guest killed anybody");
    let matches = service.client.get("/api/v1/stats/matches").await.json();
    assert_eq!((&matches["total"], report.matches), (&6.into(), 6), "{matches}");
    for statistic in ["kills", "deaths", "headshots", "damage", "distance"] {
        let rows = board(&service, statistic).await;
        assert!(!rows.is_empty(), "{statistic}");
        for row in rows {
            let id = row["player_id"].as_str().unwrap();
            assert!(
                report.players.iter().any(|player| player.player_id == id),
                "{id} is on the board of {statistic}"
            );
        }
    }
    assert_boards_agree(&service, &report).await;
    let with_guests =
        service.client.get("/api/v1/stats/leaderboard?filter[guests]=with&limit=100").await.json();
    let kills: u64 =
        with_guests["players"].as_array().unwrap().iter().map(|row| row["kills"].as_u64().unwrap()).sum();
    let played: u64 = report.players.iter().map(|player| player.tally.kills).sum();
    assert_eq!(kills, played + report.guests.kills);
    service.stop().await;
}

/// What a scoreboard says of each player, however it is called there.
fn scoreboard(rows: &Value) -> BTreeMap<String, Vec<Value>> {
    let fields = ["kills", "deaths", "headshots", "damage", "suicides", "team_kills", "best_killstreak"];
    let rows = rows.as_array().unwrap().iter();
    rows.map(|row| {
        let values = fields.iter().map(|field| row[field].clone()).collect();
        (row["player_id"].as_str().unwrap().to_owned(), values)
    })
    .collect()
}

#[actix_web::test]
async fn the_last_live_scoreboards_of_a_hundred_matches_are_those_of_the_statistics() {
    let mut compared = 0;
    for (dialect, name) in [
        (DialectChoice::G1, "hundred_g1"),
        (DialectChoice::G2, "hundred_g2"),
        (DialectChoice::G3, "hundred_g3"),
        (DialectChoice::Live, "hundred_live"),
        (DialectChoice::Tools, "hundred_tools"),
    ] {
        let service = Service::start(name).await;
        let (_, second) = service.add_server("Stalingrad").await;
        let options = SimulateOptions {
            dialect,
            matches: 10,
            seed: SEED,
            match_length: 60..=75,
            ..SimulateOptions::new(&service.client.url, vec![service.client.token.clone(), second])
        };
        let report = run(options, |_| {}).await.unwrap();
        assert_eq!((report.events.sent, report.events.unanswered), (report.events.accepted, 0));
        service.client.settled().await;
        let matches = eventually("every match is in the statistics", async || {
            let list = service.client.get("/api/v1/stats/matches?limit=100").await.json();
            (list["total"] == 20).then(|| list["matches"].clone())
        })
        .await;
        for listed in matches.as_array().unwrap() {
            let id = listed["match_id"].as_str().unwrap();
            let stored = service.client.get(&format!("/api/v1/stats/match/{id}")).await.json();
            eventually("the last live scoreboard is that of the statistics", async || {
                let url = format!("{}/api/v1/live/{id}", service.client.url);
                let live = EventStream::open(&url, None).await.next_of("snapshot").await;
                let is_equal = scoreboard(&live.data["players"]) == scoreboard(&stored["scoreboard"]);
                (is_equal && live.data["stale"] == false).then_some(())
            })
            .await;
            compared += 1;
        }
        service.stop().await;
    }
    assert_eq!(compared, 100);
}
