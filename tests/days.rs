//! Tables are partitioned by day, and questions look only into days on which there is something: what lies on several days is
//! told as a whole all the same.

use mohaa_domain::event::{Event, Stamp};
use mohaa_domain::vocabulary::EventType;
use serde_json::{Value, json};

use crate::support::statistics::{StatsUnderTest, between, event, kill};

const BEFORE_MIDNIGHT: &str = "2026-11-20T23:58:00Z";
const AFTER_MIDNIGHT: &str = "2026-11-21T00:03:00Z";

fn round_start(number: i32, at: &str) -> (Event, Stamp) {
    let (mut event, stamp) = event(EventType::RoundStart, at, 1);
    event.round_number = Some(number);
    (event, stamp)
}

/// A match over midnight, and others on the days around it, which no answer may miss or add.
async fn over_midnight(name: &str) -> StatsUnderTest {
    let this = StatsUnderTest::start(name).await;
    this.store(&[kill("Carl", "Anna", "2026-11-18T10:00:00Z", 2)]).await;
    this.store(&[round_start(1, BEFORE_MIDNIGHT), kill("Anna", "Bert", BEFORE_MIDNIGHT, 1)]).await;
    this.store(&[
        kill("Anna", "Bert", AFTER_MIDNIGHT, 1),
        kill("Dora", "Anna", AFTER_MIDNIGHT, 1),
        round_start(2, "2026-11-21T00:04:00Z"),
        event(EventType::MatchEnd, "2026-11-21T00:05:00Z", 1),
    ])
    .await;
    this.store(&[kill("Carl", "Bert", "2026-11-21T10:00:00Z", 3)]).await;
    this
}

fn column(rows: &Value, names: [&str; 2]) -> Vec<Value> {
    rows.as_array().unwrap().iter().map(|row| json!([row[names[0]], row[names[1]]])).collect()
}

#[actix_web::test]
async fn a_match_over_midnight_is_told_as_a_whole() {
    let this = over_midnight("over_midnight").await;
    let found = this.get("/api/v1/stats/match/round-1").await.json();
    let scores = column(&found["scoreboard"], ["player_id", "kills"]);
    assert_eq!(scores, [json!(["Anna", 2]), json!(["Dora", 1]), json!(["Bert", 0])]);
    assert_eq!(found["scoreboard"][0]["best_killstreak"], 2);
    assert_eq!(found["top_weapons"][0]["kills"], 3);
    assert_eq!(found["rounds"].as_array().unwrap().len(), 2);
    let duels = this.get("/api/v1/stats/match/round-1/duels").await.json();
    let kills: u64 =
        duels["duels"].as_array().unwrap().iter().map(|duel| duel["kills"].as_u64().unwrap()).sum();
    assert_eq!(kills, 3);
    let timeline = this.get("/api/v1/stats/match/round-1/timeline").await.json();
    assert_eq!(timeline["events"].as_array().unwrap().len(), 6);
    let list = this.get("/api/v1/stats/matches").await.json();
    let players = column(&list["matches"], ["source_match_id", "player_count"]);
    assert_eq!(players, [json!(["round-3", 2]), json!(["round-1", 3]), json!(["round-2", 2])]);
}

#[actix_web::test]
async fn a_player_is_told_of_every_day_on_which_they_killed_or_died() {
    let this = over_midnight("days_of_a_player").await;
    let anna = this.get("/api/v1/stats/player/Anna").await.json();
    assert_eq!([&anna["total_kills"], &anna["total_deaths"], &anna["matches_played"]], [2, 2, 2]);
    assert_eq!(anna["nemesis"]["player_id"], "Carl");
    let matches = this.get("/api/v1/stats/player/Anna/matches").await.json();
    assert_eq!(column(&matches["matches"], ["kills", "deaths"]), [json!([2, 1]), json!([0, 1])]);
    let form = this.get("/api/v1/stats/player/Anna/form?interval=day").await.json();
    assert_eq!(
        column(&form["form"], ["from", "kills"]),
        [json!(["2026-11-21", 1]), json!(["2026-11-20", 1]), json!(["2026-11-18", 0])]
    );
    let rivals = this.get("/api/v1/stats/player/Bert/rivals").await.json();
    assert_eq!(column(&rivals["rivals"], ["player_id", "deaths"]), [json!(["Anna", 2]), json!(["Carl", 1])]);
    let maps = this.get("/api/v1/stats/player/Bert/maps").await.json();
    assert_eq!(column(&maps["maps"], ["matches_played", "deaths"]), [json!([2, 3])]);
    let weapons = this.get("/api/v1/stats/player/Bert/weapons").await.json();
    assert_eq!(column(&weapons["weapons"], ["kills", "deaths"]), [json!([0, 3])]);
}

#[actix_web::test]
async fn days_of_a_filter_and_days_of_a_player_are_both_kept() {
    let this = over_midnight("days_of_a_filter").await;
    let first_day =
        this.get("/api/v1/stats/player/Anna?filter[from]=2026-11-20&filter[to]=2026-11-21").await.json();
    assert_eq!([&first_day["total_kills"], &first_day["total_deaths"]], [1, 0]);
    let nothing =
        this.get("/api/v1/stats/player/Anna?filter[from]=2026-11-19&filter[to]=2026-11-20").await.json();
    assert_eq!([&nothing["total_kills"], &nothing["matches_played"]], [0, 0]);
}

#[actix_web::test]
async fn a_late_event_of_an_earlier_match_does_not_end_the_one_that_is_played() {
    let this = StatsUnderTest::start("late_event").await;
    this.store(&[kill("Anna", "Bert", "2026-11-20T10:00:00Z", 1)]).await;
    this.store(&[kill("Anna", "Bert", "2026-11-22T11:55:00Z", 2)]).await;
    // Of the match of two days ago, behind the first event of the one that is played.
    this.store(&[between(event(EventType::Chat, "2026-11-22T11:58:00Z", 1), "Bert", "")]).await;
    let status =
        async |id: &str| this.get(&format!("/api/v1/stats/match/{id}")).await.json()["status"].clone();
    assert_eq!(status("round-2").await, "live");
    // The earlier one was heard of just now too, but another opened behind it.
    assert_eq!(status("round-1").await, "ended");
    let list = this.get("/api/v1/stats/matches").await.json();
    assert_eq!(
        column(&list["matches"], ["source_match_id", "status"]),
        [json!(["round-2", "live"]), json!(["round-1", "ended"])]
    );
}

#[actix_web::test]
async fn an_event_that_comes_late_is_of_the_match_that_was_opened_before() {
    let this = StatsUnderTest::start("late_by_its_own_time").await;
    this.store(&[kill("Anna", "Bert", "2026-11-20T10:00:00Z", 1)]).await;
    this.store(&[kill("Anna", "Bert", "2026-11-22T11:55:00Z", 2)]).await;
    // Received behind the first event of the match that is played, and older by its own time: its match is not heard of.
    let (chat, stamp) = between(event(EventType::Chat, "2026-11-20T10:05:00Z", 1), "Bert", "");
    let received_at = kill("Anna", "Bert", "2026-11-22T11:58:00Z", 2).1.received_at;
    this.store(&[(chat, Stamp { received_at, ..stamp })]).await;
    let list = this.get("/api/v1/stats/matches").await.json();
    assert_eq!(
        column(&list["matches"], ["source_match_id", "status"]),
        [json!(["round-2", "live"]), json!(["round-1", "ended"])]
    );
}

#[actix_web::test]
async fn a_match_that_gets_its_map_behind_the_last_day_of_a_filter_is_listed() {
    let this = StatsUnderTest::start("map_known_late").await;
    let (chat, stamp) = between(event(EventType::Chat, BEFORE_MIDNIGHT, 1), "Anna", "");
    this.store(&[(chat, Stamp { map_name: "".into(), ..stamp })]).await;
    this.store(&[kill("Anna", "Bert", AFTER_MIDNIGHT, 1)]).await;
    // Enough for the page to be looked for on this day alone.
    for number in 2..=10 {
        this.store(&[kill("Anna", "Bert", "2026-11-20T12:00:00Z", number)]).await;
    }
    let list =
        this.get("/api/v1/stats/matches?limit=1&filter[to]=2026-11-21&filter[map]=dm/mohdm1").await.json();
    assert_eq!(column(&list["matches"], ["source_match_id", "map_name"]), [json!(["round-1", "dm/mohdm1"])]);
    assert_eq!(list["total"], 10);
}
