//! A match told moment by moment, and a player's figures told apart; over rows in a real ClickHouse.

use actix_web::http::StatusCode;
use mohaa_domain::event::{Event, Stamp};
use mohaa_domain::vocabulary::{EventType, KillKind, Team};
use serde_json::{Value, json};

use crate::support::statistics::{MAP, StatsUnderTest, between, event, kill};

const TODAY: &str = "2026-11-22T10:00:00Z";
const MATCH: &str = "/api/v1/stats/match/round-1";

fn at(level_time: f64, (mut event, stamp): (Event, Stamp)) -> (Event, Stamp) {
    event.level_time = Some(level_time);
    (event, stamp)
}

fn round(event_type: EventType, number: i32, level_time: f64) -> (Event, Stamp) {
    let (mut event, stamp) = event(event_type, TODAY, 1);
    event.round_number = Some(number);
    at(level_time, (event, stamp))
}

fn chat(who: &str, says: &str, level_time: f64, team_only: bool) -> (Event, Stamp) {
    let (mut event, stamp) = between(event(EventType::Chat, TODAY, 1), who, "");
    event.message = says.into();
    event.team_only = Some(team_only);
    at(level_time, (event, stamp))
}

fn texts(answer: &Value) -> Vec<String> {
    let events = answer["events"].as_array().unwrap();
    events.iter().map(|event| format!("{} {}", event["t"], event["text"].as_str().unwrap())).collect()
}

#[actix_web::test]
async fn a_timeline_follows_the_level_clock_and_comes_in_pieces() {
    let this = StatsUnderTest::start("timeline").await;
    let mut headshot = at(30.5, kill("Anna", "Bert", TODAY, 1));
    headshot.1.headshot = true;
    let mut suicide = at(40.0, kill("Bert", "Bert", TODAY, 1));
    suicide.1.kill_kind = KillKind::Suicide;
    // Stored in another order than they happened; walking is no moment.
    this.store(&[
        suicide,
        headshot,
        at(20.0, between(event(EventType::Distance, TODAY, 1), "Anna", "")),
        chat("^1Anna", "<b>", 35.0, false),
        chat("Anna", "flank left", 36.0, true),
        round(EventType::RoundStart, 1, 10.0),
    ])
    .await;
    let whole = this.get(&format!("{MATCH}/timeline")).await.json();
    assert_eq!(
        texts(&whole),
        [
            "10.0 round 1 began",
            "30.5 Anna killed Bert with M1 Garand, a headshot",
            "35.0 Anna: <b>",
            "40.0 Bert killed themselves with M1 Garand",
        ]
    );
    assert_eq!(whole["next_cursor"], Value::Null);
    let moment = &whole["events"][1];
    assert_eq!(
        (&moment["type"], &moment["kind"], &moment["headshot"], &moment["weapon"]["slug"]),
        (&json!("kill"), &json!("kill"), &json!(true), &json!("m1-garand"))
    );
    assert_eq!(
        (&moment["actor"]["player_name"], &moment["actor"]["team"], &moment["target"]["team"]),
        (&json!("Anna"), &json!("allies"), &json!("axis"))
    );

    let mut pieces = Vec::new();
    let mut cursor = String::new();
    loop {
        let piece = this.get(&format!("{MATCH}/timeline?limit=1&cursor={cursor}")).await.json();
        pieces.extend(texts(&piece));
        match piece["next_cursor"].as_str() {
            Some(next) => cursor = next.to_owned(),
            None => break,
        }
    }
    assert_eq!(pieces, texts(&whole));

    let kills = this.get(&format!("{MATCH}/timeline?filter[type]=kill")).await.json();
    assert_eq!(texts(&kills).len(), 2);
    let berts =
        this.get(&format!("{MATCH}/timeline?filter[player]=Bert&filter[type]=kill,chat")).await.json();
    assert_eq!(texts(&berts), [&texts(&whole)[1][..], &texts(&whole)[3][..]]);
    for wrong in ["cursor=1.2", "limit=0", "limit=1001", "filter[type]=distance", "filter[type]=kill,"] {
        let answer = this.get(&format!("{MATCH}/timeline?{wrong}")).await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{wrong}");
    }
    assert_eq!(this.get("/api/v1/stats/match/nothing/timeline").await.status, StatusCode::NOT_FOUND);
}

#[actix_web::test]
async fn duels_count_who_killed_whom_and_rounds_have_boards_of_their_own() {
    let this = StatsUnderTest::start("duels").await;
    let mut team_kill = at(26.0, kill("Anna", "Carl", TODAY, 1));
    team_kill.1.kill_kind = KillKind::TeamKill;
    team_kill.1.target_team = Team::Allies;
    this.store(&[
        at(5.0, kill("Anna", "Bert", TODAY, 1)),
        round(EventType::RoundStart, 1, 10.0),
        at(12.0, kill("Anna", "Bert", TODAY, 1)),
        at(14.0, kill("Bert", "Anna", TODAY, 1)),
        round(EventType::RoundStart, 2, 20.0),
        at(25.0, kill("Bert", "Anna", TODAY, 1)),
        team_kill,
    ])
    .await;
    let answer = this.get(&format!("{MATCH}/duels")).await.json();
    assert_eq!(
        answer["duels"],
        json!([
            {"player_id": "Anna", "target_id": "Bert", "kills": 2},
            {"player_id": "Bert", "target_id": "Anna", "kills": 2},
        ])
    );
    let of_round = |number: usize| {
        let board = answer["rounds"][number]["scoreboard"].as_array().unwrap();
        let line = |score: &Value| format!("{} {}:{}", score["player_id"], score["kills"], score["deaths"]);
        board.iter().map(line).collect::<Vec<_>>()
    };
    assert_eq!(of_round(0), ["\"Anna\" 1:1", "\"Bert\" 1:1"]);
    assert_eq!(of_round(1), ["\"Bert\" 1:0", "\"Anna\" 0:1", "\"Carl\" 0:1"]);
    assert_eq!(answer["players"].as_array().unwrap().len(), 3);
    assert_eq!(
        answer["pace"],
        json!({"step_seconds": 5, "allies": [0, 1, 2, 0, 0, 1], "axis": [0, 0, 0, 0, 0, 0], "others": [0, 0, 0, 0, 0, 0]})
    );
}

#[actix_web::test]
async fn multi_kills_are_within_four_seconds_and_first_kills_those_of_the_match() {
    let this = StatsUnderTest::start("feats").await;
    let mut of_a_bot = at(1.0, kill("1", "2", TODAY, 2));
    of_a_bot.1.player_bot = true;
    let mut crouching = at(60.0, kill("1", "2", TODAY, 2));
    crouching.0.player.stance = "crouch".into();
    crouching.0.target.stance = "prone".into();
    this.store(&[
        // Three in a row, then one alone; the first kill of the match is another's.
        at(10.0, kill("2", "3", TODAY, 1)),
        at(20.0, kill("1", "2", TODAY, 1)),
        at(24.0, kill("1", "2", TODAY, 1)),
        at(28.0, kill("1", "3", TODAY, 1)),
        at(32.5, kill("1", "2", TODAY, 1)),
        // Two with a death in between.
        at(40.0, kill("1", "2", TODAY, 1)),
        at(41.0, kill("2", "1", TODAY, 1)),
        at(42.0, kill("1", "2", TODAY, 1)),
        // A bot had the first kill of the second match: it is nobody's.
        of_a_bot,
        crouching,
        at(5.0, kill("1", "2", TODAY, 3)),
    ])
    .await;
    let player = this.get("/api/v1/stats/player/1").await.json();
    assert_eq!(player["multi_kills"], json!({"double": 0, "triple": 1, "ultra": 0, "monster": 0}));
    assert_eq!(player["first_kills"], 1);
    assert_eq!(player["stances"], json!({"crouch": {"kills": 1, "deaths": 0}}));
    let other = this.get("/api/v1/stats/player/2").await.json();
    assert_eq!(other["first_kills"], 1);
    assert_eq!(other["stances"], json!({"prone": {"kills": 0, "deaths": 1}}));
}

#[actix_web::test]
async fn a_player_is_told_apart_by_map_by_rival_and_by_time() {
    let this = StatsUnderTest::start("breakdowns").await;
    let elsewhere = |(event, mut stamp): (Event, Stamp)| {
        stamp.map_name = "obj/obj_team2".into();
        (event, stamp)
    };
    let (mut won, stamp) = event(EventType::MatchEnd, TODAY, 1);
    won.winning_team = Team::Allies;
    this.store(&[
        kill("1", "2", TODAY, 1),
        kill("1", "3", TODAY, 1),
        kill("2", "1", "2026-11-22T10:00:30Z", 1),
        (won, stamp),
        elsewhere(kill("1", "2", "2026-10-01T10:00:00Z", 2)),
    ])
    .await;
    let maps = this.get("/api/v1/stats/player/1/maps").await.json();
    let line = |map: &Value| {
        format!(
            "{} {} {} {}:{}",
            map["map_name"], map["matches_played"], map["matches_won"], map["kills"], map["deaths"]
        )
    };
    let lines: Vec<String> = maps["maps"].as_array().unwrap().iter().map(line).collect();
    // Who was killed last as an axis player was on that side last.
    assert_eq!(lines, [format!("\"{MAP}\" 1 0 2:1"), "\"obj/obj_team2\" 1 0 1:0".to_owned()]);

    let rivals = this.get("/api/v1/stats/player/1/rivals").await.json();
    let line = |rival: &Value| format!("{} {}:{}", rival["player_id"], rival["kills"], rival["deaths"]);
    let lines: Vec<String> = rivals["rivals"].as_array().unwrap().iter().map(line).collect();
    assert_eq!((lines, &rivals["total"]), (vec!["\"2\" 2:1".to_owned(), "\"3\" 1:0".to_owned()], &json!(2)));
    let beyond = this.get("/api/v1/stats/player/1/rivals?page=3").await.json();
    assert_eq!((&beyond["rivals"], &beyond["total"]), (&json!([]), &json!(2)));
    let of_october = this.get("/api/v1/stats/player/1/rivals?filter[to]=2026-11-01").await.json();
    assert_eq!(of_october["total"], 1);

    let form = this.get("/api/v1/stats/player/1/form").await.json();
    let line = |entry: &Value| {
        format!("{} {}:{} {}", entry["from"], entry["kills"], entry["deaths"], entry["kd_ratio"])
    };
    let lines: Vec<String> = form["form"].as_array().unwrap().iter().map(line).collect();
    assert_eq!(lines, ["\"2026-11-16\" 2:1 2.0", "\"2026-09-28\" 1:0 1.0"]);
    let by_month = this.get("/api/v1/stats/player/1/form?interval=month").await.json();
    assert_eq!(by_month["form"][1]["from"], "2026-10-01");

    let compared = this.get("/api/v1/stats/compare?players=1,2").await.json();
    assert_eq!(compared["players"][1]["player_id"], "2");
    assert_eq!(
        compared["duels"],
        json!([
            {"player_id": "1", "target_id": "2", "kills": 2},
            {"player_id": "2", "target_id": "1", "kills": 1},
        ])
    );
    for (wrong, status) in
        [("players=1", 422), ("players=1,2,3,4,5", 422), ("", 422), ("players=1,nobody", 404)]
    {
        assert_eq!(
            this.get(&format!("/api/v1/stats/compare?{wrong}")).await.status.as_u16(),
            status,
            "{wrong}"
        );
    }
}

#[actix_web::test]
async fn tables_come_as_csv_and_as_lines_of_json() {
    let this = StatsUnderTest::start("formats").await;
    let mut named = kill("1", "2", TODAY, 1);
    named.0.player.name = "=1+1,\"x\"".into();
    this.store(&[named, kill("1", "2", TODAY, 1)]).await;
    let csv = this.get("/api/v1/stats/leaderboard?format=csv").await;
    assert_eq!(csv.header("content-type"), "text/csv; charset=utf-8");
    assert_eq!(csv.header("content-disposition"), "attachment; filename=\"players.csv\"");
    let lines: Vec<&str> = csv.text.lines().collect();
    assert!(
        lines[0].starts_with("rank,player_id,player_name,player_name_raw,guest,value,kills,deaths"),
        "{}",
        lines[0]
    );
    assert_eq!(lines.len(), 3);
    assert!(lines[1].starts_with("1,1,"), "{}", lines[1]);
    let named = this.get("/api/v1/stats/match/round-1/timeline?format=csv").await;
    assert!(named.text.contains("\"'=1+1,\"\"x\"\"\""), "a name runs in no spreadsheet: {}", named.text);

    let lines = this.get("/api/v1/stats/player/1/weapons?format=ndjson").await;
    assert_eq!(lines.header("content-type"), "application/x-ndjson");
    let weapon: Value = serde_json::from_str(lines.text.trim_end()).unwrap();
    assert_eq!((&weapon["slug"], &weapon["kills"]), (&json!("m1-garand"), &json!(2)));
    let tag = lines.header("etag");
    let again =
        this.get_with("/api/v1/stats/player/1/weapons?format=ndjson", &[("If-None-Match", tag)]).await;
    assert_eq!(again.status, StatusCode::NOT_MODIFIED);

    assert_eq!(this.get("/leaderboard?format=csv").await.text, csv.text);
    let long = this.get("/api/v1/stats/matches?format=ndjson&limit=1000").await;
    assert_eq!((long.status, long.text.lines().count()), (StatusCode::OK, 1));
    let refused = this.get("/api/v1/stats/matches?format=xml").await;
    assert_eq!(refused.json()["fields"]["format"], "must be json, csv or ndjson");
    assert_eq!(
        this.get("/api/v1/stats/match/nothing/timeline?format=csv").await.json()["code"],
        "unknown_match"
    );
}
