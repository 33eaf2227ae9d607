//! Statistics on HTTP, over rows in a real ClickHouse.

use actix_web::http::StatusCode;
use actix_web::http::header::{CACHE_CONTROL, ETAG, RETRY_AFTER};
use mohaa_domain::event::{Event, Stamp};
use mohaa_domain::vocabulary::{EventType, KillKind, Team};
use mohaa_stats::stats::QUERY_SHAPES;
use serde_json::Value;
use uuid::Uuid;

use crate::support::statistics::{MAP, StatsUnderTest, between, event, kill};

const TODAY: &str = "2026-11-22T10:00:00Z";

async fn board(this: &StatsUnderTest, query: &str) -> Vec<(String, Value)> {
    let answer = this.get(&format!("/api/v1/stats/leaderboard{query}")).await;
    assert_eq!(answer.status, StatusCode::OK, "{query}: {}", answer.text);
    let players = answer.json()["players"].as_array().unwrap().clone();
    players.iter().map(|row| (row["player_id"].as_str().unwrap().to_owned(), row["value"].clone())).collect()
}

fn ids(board: &[(String, Value)]) -> Vec<&str> {
    board.iter().map(|(id, _)| id.as_str()).collect()
}

#[actix_web::test]
async fn a_board_counts_scoring_kills_and_every_death() {
    let this = StatsUnderTest::start("board").await;
    let mut headshot = kill("1", "2", TODAY, 1);
    headshot.1.headshot = true;
    let mut suicide = kill("2", "2", TODAY, 1);
    suicide.1.kill_kind = KillKind::Suicide;
    let mut team_kill = kill("1", "3", TODAY, 1);
    team_kill.1.kill_kind = KillKind::TeamKill;
    let mut fall = kill("", "3", TODAY, 1);
    fall.1.kill_kind = KillKind::World;
    this.store(&[headshot, kill("1", "2", TODAY, 1), suicide, team_kill, fall]).await;

    let answer = this.get("/api/v1/stats/leaderboard").await.json();
    assert_eq!(
        (&answer["stat"], &answer["period"], &answer["total"]),
        (&"kills".into(), &"all".into(), &3.into())
    );
    let first = &answer["players"][0];
    assert_eq!((&first["player_id"], &first["rank"], &first["value"]), (&"1".into(), &1.into(), &2.into()));
    assert_eq!((&first["headshots"], &first["headshot_percent"]), (&1.into(), &50.0.into()));
    let deaths = board(&this, "?stat=deaths").await;
    assert_eq!(deaths, [("2".to_owned(), 3.into()), ("3".to_owned(), 2.into()), ("1".to_owned(), 0.into())]);

    let player = this.get("/api/v1/stats/player/2").await.json();
    assert_eq!((&player["suicides"], &player["total_deaths"]), (&1.into(), &3.into()));
    assert_eq!((&player["nemesis"]["player_id"], &player["nemesis"]["kills"]), (&"1".into(), &2.into()));
    assert_eq!(this.get("/api/v1/stats/player/1").await.json()["team_kills"], 1);
    assert_eq!(this.get("/api/v1/stats/player/99").await.json()["code"], "unknown_player");
}

#[actix_web::test]
async fn periods_are_calendar_ones_by_the_day_of_the_event() {
    let this = StatsUnderTest::start("periods").await;
    this.store(&[
        kill("today", "x", TODAY, 1),
        kill("monday", "x", "2026-11-16T00:00:00Z", 2),
        kill("sunday", "x", "2026-11-15T23:59:59Z", 3),
        kill("october", "x", "2026-10-31T23:59:59Z", 4),
    ])
    .await;
    let of = |query: &'static str| async {
        board(&this, query).await.into_iter().map(|row| row.0).collect::<Vec<_>>()
    };
    assert_eq!(of("?period=day&filter[server]=").await, ["today", "x"]);
    assert_eq!(of("?period=week").await, ["monday", "today", "x"]);
    assert_eq!(of("?period=month").await, ["monday", "sunday", "today", "x"]);
    assert_eq!(of("/weekly").await, ["monday", "today", "x"]);
    assert_eq!(of("/weekly?week=2026-W46").await, ["sunday", "x"]);
    assert_eq!(of("?filter[from]=2026-10-31&filter[to]=2026-11-01").await, ["october", "x"]);
    assert_eq!(of("?period=week&filter[to]=2026-11-17").await, ["monday", "x"]);
}

#[actix_web::test]
async fn guests_and_bots_stand_on_boards_only_when_asked_for() {
    let this = StatsUnderTest::start("guests").await;
    let mut of_a_bot = kill("1", "bot", TODAY, 1);
    of_a_bot.1.target_bot = true;
    this.store(&[kill("g_abcdefghijklmnop", "1", TODAY, 1), of_a_bot]).await;
    assert_eq!(board(&this, "").await, [("1".to_owned(), 0.into())]);
    let with_guests = this.get("/api/v1/stats/leaderboard?filter[guests]=with").await.json();
    assert_eq!(with_guests["players"][0]["guest"], true);
    assert_eq!(board(&this, "?filter[bots]=with").await[0], ("1".to_owned(), 1.into()));
    assert_eq!(ids(&board(&this, "?filter[bots]=only").await), ["1", "bot"]);
    let found = this.get(&format!("/api/v1/stats/match/{}", Uuid::from_u128(1))).await.json();
    assert_eq!(found["scoreboard"].as_array().unwrap().len(), 3);
}

#[actix_web::test]
async fn ratios_need_a_sample_and_ties_have_an_order() {
    let this = StatsUnderTest::start("ratios").await;
    let mut events: Vec<_> = (0..10).map(|_| kill("ten", "victim", TODAY, 1)).collect();
    events.extend((0..9).map(|_| kill("nine", "other", TODAY, 1)));
    events.extend([kill("b", "y", TODAY, 1), kill("a", "z", TODAY, 1)]);
    this.store(&events).await;
    let answer = this.get("/api/v1/stats/leaderboard?stat=kd_ratio").await.json();
    assert_eq!((&answer["min_sample"], &answer["total"]), (&10.into(), &2.into()));
    assert_eq!(ids(&board(&this, "?stat=kd_ratio").await), ["ten", "victim"]);
    assert_eq!(ids(&board(&this, "").await)[..4], ["ten", "nine", "a", "b"]);
    assert_eq!(ids(&board(&this, "?page=2&limit=2").await), ["a", "b"]);
    let beyond = this.get("/api/v1/stats/leaderboard?page=9").await.json();
    assert_eq!((&beyond["total"], beyond["players"].as_array().unwrap().len()), (&8.into(), 0));
}

#[actix_web::test]
async fn accuracy_is_of_shots_or_of_summaries_but_never_of_both() {
    let this = StatsUnderTest::start("accuracy").await;
    let mut events = Vec::new();
    for shot in 0..100 {
        events.push(between(event(EventType::WeaponFire, TODAY, 1), "shooter", ""));
        if shot < 25 {
            events.push(between(event(EventType::WeaponHit, TODAY, 1), "shooter", "victim"));
        }
    }
    for who in ["shooter", "summed"] {
        let mut summary = between(event(EventType::AccuracySummary, TODAY, 1), who, "");
        (summary.0.shots_fired, summary.0.shots_hit) = (Some(200), Some(180));
        events.push(summary);
    }
    this.store(&events).await;
    let expected = [("summed".to_owned(), 90.0.into()), ("shooter".to_owned(), 25.0.into())];
    assert_eq!(board(&this, "?stat=accuracy").await, expected);
}

#[actix_web::test]
async fn accuracy_with_a_weapon_is_unknown_while_some_hits_have_none() {
    let this = StatsUnderTest::start("weapon_accuracy").await;
    let with = |weapon: &str, row: (Event, Stamp)| (row.0, Stamp { weapon: weapon.into(), ..row.1 });
    let mut events = Vec::new();
    for shot in 0..100 {
        for who in ["known", "unknown", "missing"] {
            events.push(with("thompson", between(event(EventType::WeaponFire, TODAY, 1), who, "")));
        }
        let hit = |who| between(event(EventType::WeaponHit, TODAY, 1), who, "victim");
        if shot < 25 {
            events.extend([with("thompson", hit("known")), with("thompson", hit("unknown"))]);
        }
    }
    events.push(with("", between(event(EventType::WeaponHit, TODAY, 1), "unknown", "victim")));
    events.push(with("kar98k", kill("known", "victim", TODAY, 1)));
    this.store(&events).await;
    let weapons = async |who: &str| {
        this.get(&format!("/api/v1/stats/player/{who}/weapons")).await.json()["weapons"].clone()
    };
    let known = weapons("known").await;
    assert_eq!((&known[1]["slug"], &known[1]["accuracy"]), (&"thompson".into(), &25.0.into()));
    assert_eq!((&known[0]["slug"], &known[0]["accuracy"]), (&"kar98k".into(), &Value::Null), "never fired");
    let unknown = weapons("unknown").await;
    assert_eq!((&unknown[0]["shots_hit"], &unknown[0]["accuracy"]), (&25.into(), &Value::Null));
    assert_eq!(weapons("missing").await[0]["accuracy"], 0.0);

    let of_weapon = "/weapon/thompson?stat=accuracy";
    let expected = [("known".to_owned(), 25.0.into()), ("missing".to_owned(), 0.0.into())];
    assert_eq!(board(&this, of_weapon).await, expected);
    let rows = this.get("/api/v1/stats/leaderboard/weapon/thompson").await.json();
    let accuracies: Vec<&Value> =
        rows["players"].as_array().unwrap().iter().map(|row| &row["accuracy"]).collect();
    assert_eq!(accuracies, [&Value::from(25.0), &Value::from(0.0), &Value::Null], "{rows}");
    for page in ["/players/unknown", "/leaderboard?filter[weapon]=thompson"] {
        assert_eq!(this.get(page).await.status, StatusCode::OK, "{page}");
    }
}

#[actix_web::test]
async fn a_killstreak_follows_the_time_of_the_level_and_ends_with_a_death() {
    let this = StatsUnderTest::start("killstreak").await;
    let at = |level_time: f64, mut row: (Event, Stamp)| {
        row.0.level_time = Some(level_time);
        row
    };
    // The death arrived first, but came between the second and the third kill.
    this.store(&[
        at(25.0, kill("2", "1", TODAY, 1)),
        at(10.0, kill("1", "2", TODAY, 1)),
        at(20.0, kill("1", "2", TODAY, 1)),
        at(30.0, kill("1", "2", TODAY, 1)),
    ])
    .await;
    assert_eq!(this.get("/api/v1/stats/player/1").await.json()["best_killstreak"], 2);
    assert_eq!(board(&this, "?stat=killstreak").await[0], ("1".to_owned(), 2.into()));
}

#[actix_web::test]
async fn time_played_follows_the_level_clock_where_there_is_one() {
    let this = StatsUnderTest::start("playtime").await;
    let at = |level_time: Option<f64>, mut row: (Event, Stamp)| {
        row.0.level_time = level_time;
        row
    };
    this.store(&[
        // Received within a second, played for 250 s; the last one arrived first.
        at(Some(260.0), kill("fast", "x", "2026-11-22T10:00:00.000Z", 1)),
        at(Some(10.0), kill("fast", "x", "2026-11-22T10:00:00.500Z", 1)),
        at(None, kill("fast", "x", "2026-11-22T10:00:01.000Z", 1)),
        // Over midnight, in two partitions.
        at(Some(100.0), kill("night", "y", "2026-11-20T23:59:00Z", 2)),
        at(Some(400.0), kill("night", "y", "2026-11-21T00:04:00Z", 2)),
        // No clock, and one that is none.
        at(None, kill("clockless", "z", "2026-11-22T10:00:00Z", 3)),
        at(None, kill("clockless", "z", "2026-11-22T10:01:30Z", 3)),
        at(Some(-5.0), kill("clockless", "z", "2026-11-22T10:01:00Z", 3)),
        at(Some(1e300), kill("clockless", "z", "2026-11-22T10:01:00Z", 3)),
        // Two matches add up.
        at(Some(30.0), kill("night", "y", "2026-11-22T10:00:00Z", 4)),
        at(Some(90.0), kill("night", "y", "2026-11-22T10:00:00Z", 4)),
    ])
    .await;
    for (who, seconds) in [("fast", 250), ("night", 360), ("clockless", 90)] {
        let player = this.get(&format!("/api/v1/stats/player/{who}")).await.json();
        assert_eq!(player["playtime_seconds"], seconds, "{who}");
    }
    assert_eq!(ids(&board(&this, "?stat=playtime").await), ["night", "y", "fast", "x", "clockless", "z"]);
}

#[actix_web::test]
async fn a_match_is_won_by_who_is_on_the_winning_side_at_its_end() {
    let this = StatsUnderTest::start("wins").await;
    let mut end = event(EventType::MatchEnd, "2026-11-22T10:05:00Z", 1);
    (end.0.winning_team, end.0.duration) = (Team::Allies, Some(300.0));
    this.store(&[kill("1", "2", TODAY, 1), kill("1", "2", "2026-11-22T10:04:00Z", 1), end]).await;
    assert_eq!(board(&this, "?stat=wins").await, [("1".to_owned(), 1.into()), ("2".to_owned(), 0.into())]);
    assert_eq!(board(&this, "?stat=playtime").await[0].1, 240);
    let matches = this.get("/api/v1/stats/player/2/matches").await.json();
    assert_eq!((&matches["total"], &matches["matches"][0]["result"]), (&1.into(), &"lost".into()));
    let found = this.get("/api/v1/stats/match/round-1").await.json();
    assert_eq!((&found["status"], &found["winning_team"]), (&"ended".into(), &"allies".into()));
    assert_eq!(
        (&found["duration_seconds"], &found["top_weapons"][0]["slug"]),
        (&300.into(), &"m1-garand".into())
    );
}

#[actix_web::test]
async fn maps_and_weapons_have_boards_and_unknown_ones_are_404() {
    let this = StatsUnderTest::start("maps").await;
    this.store(&[kill("1", "2", TODAY, 1)]).await;
    for path in ["map/dm/mohdm1", "map/dm%2Fmohdm1", "map/DM/MOHDM1"] {
        let answer = this.get(&format!("/api/v1/stats/leaderboard/{path}")).await.json();
        assert_eq!((&answer["map_name"], &answer["total"]), (&MAP.into(), &2.into()), "{path}");
    }
    let weapon = this.get("/api/v1/stats/leaderboard/weapon/m1-garand").await.json();
    assert_eq!((&weapon["weapon"]["name"], &weapon["total"]), (&"M1 Garand".into(), &1.into()));
    for (path, code) in [("map/obj/none", "unknown_map"), ("weapon/kar98k", "unknown_weapon")] {
        let answer = this.get(&format!("/api/v1/stats/leaderboard/{path}")).await;
        assert_eq!((answer.status, answer.json()["code"].clone()), (StatusCode::NOT_FOUND, code.into()));
    }
    let wrong = this.get("/api/v1/stats/leaderboard/weapon/m1-garand?stat=playtime").await;
    assert_eq!((wrong.status.as_u16(), wrong.json()["fields"]["stat"].is_string()), (422, true));
}

#[actix_web::test]
async fn a_source_id_of_several_servers_is_ambiguous() {
    let this = StatsUnderTest::start("ambiguous").await;
    let mut elsewhere = kill("1", "2", TODAY, 2);
    (elsewhere.0.source_match_id, elsewhere.1.server_id) = ("round-1".into(), Uuid::from_u128(0x5e2));
    let mut again = kill("1", "2", "2026-11-22T11:00:00Z", 4);
    again.0.source_match_id = "round-3".into();
    this.store(&[kill("1", "2", TODAY, 1), elsewhere, kill("1", "2", TODAY, 3), again]).await;
    let answer = this.get("/api/v1/stats/match/round-1").await;
    assert_eq!(
        (answer.status, answer.json()["code"].clone()),
        (StatusCode::CONFLICT, "ambiguous_match".into())
    );
    assert_eq!(answer.json()["candidates"].as_array().unwrap().len(), 2);
    let latest = this.get("/api/v1/stats/match/round-3").await.json();
    assert_eq!(latest["match_id"], Uuid::from_u128(4).to_string());
    assert_eq!(this.get("/api/v1/stats/match/nothing").await.json()["code"], "unknown_match");
}

#[actix_web::test]
async fn a_match_is_live_until_its_end_the_next_match_or_ten_minutes_of_silence() {
    let this = StatsUnderTest::start("live").await;
    let on = |server: u128, mut row: (Event, Stamp)| {
        row.1.server_id = Uuid::from_u128(server);
        row
    };
    let joined = |who: &str, kind, at| between(event(kind, at, 14), who, "");
    this.store(&[
        on(1, kill("1", "2", "2026-11-22T11:59:00Z", 11)),
        on(1, event(EventType::MatchEnd, "2026-11-22T11:59:30Z", 11)),
        on(2, kill("1", "2", "2026-11-22T11:49:59Z", 12)),
        on(3, kill("1", "2", "2026-11-22T11:58:00Z", 13)),
        on(3, joined("1", EventType::Connect, "2026-11-22T11:59:00Z")),
        on(3, joined("2", EventType::Connect, "2026-11-22T11:59:00Z")),
        on(3, joined("1", EventType::Disconnect, "2026-11-22T11:59:10Z")),
    ])
    .await;
    let answer = this.get("/api/v1/stats/matches").await.json();
    let listed = answer["matches"].as_array().unwrap().iter();
    let live: Vec<_> = listed.filter(|listed| listed["status"] == "live").collect();
    assert_eq!(live.len(), 1, "{answer}");
    assert_eq!(
        (&live[0]["match_id"], &live[0]["player_count"]),
        (&Uuid::from_u128(14).to_string().into(), &1.into())
    );
    let all = this.get("/api/v1/stats/matches?limit=3").await.json();
    assert_eq!((&all["total"], all["matches"].as_array().unwrap().len()), (&4.into(), 3));
    assert_eq!(this.get("/api/v1/stats/totals").await.json()["servers"], 3);
}

#[actix_web::test]
async fn an_answer_that_the_caller_has_is_not_sent_again() {
    let this = StatsUnderTest::start("conditional").await;
    let path = "/api/v1/stats/leaderboard";
    let first = this.get(path).await;
    assert!(first.header(CACHE_CONTROL).contains("max-age=0"), "{}", first.header(CACHE_CONTROL));
    let tag = first.header(ETAG).to_owned();
    let second = this.get_with(path, &[("If-None-Match", &tag)]).await;
    assert_eq!((second.status, second.text.as_str()), (StatusCode::NOT_MODIFIED, ""));
    this.store(&[kill("1", "2", TODAY, 1)]).await;
    let third = this.get_with(path, &[("If-None-Match", &tag)]).await;
    assert_eq!(third.status, StatusCode::OK);
    assert_ne!(third.header(ETAG), tag);
}

#[actix_web::test]
async fn every_documented_parameter_is_taken_and_every_other_is_refused() {
    let this = StatsUnderTest::start("parameters").await;
    for (template, shape) in QUERY_SHAPES {
        let path = template.replace("{map}", MAP).replace("{weapon}", "m1-garand").replace("{guid}", "1");
        let path =
            path.replace("{matchId}", "round-1").replace("{slug}", "m1-garand").replace("{name}", "Hiro");
        let path = path.replace("{serverId}", &Uuid::nil().to_string()).replace("{id}", "4711");
        for (name, parameter) in shape.documented() {
            let answer = this.get(&format!("{path}?{name}={}", parameter.example)).await;
            assert!(matches!(answer.status.as_u16(), 200 | 404), "{path}?{name}: {}", answer.text);
        }
        for unknown in ["nope", "filter[nope]", "filter%5Bnope%5D"] {
            let answer = this.get(&format!("{path}?{unknown}=1")).await;
            let name = if unknown == "nope" { "nope" } else { "filter[nope]" };
            assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{path}?{unknown}");
            assert!(answer.json()["fields"][name].is_string(), "{path}?{unknown}: {}", answer.text);
        }
    }
}

#[actix_web::test]
async fn without_clickhouse_statistics_are_unavailable_for_a_while() {
    let this = StatsUnderTest::without_clickhouse("unavailable").await;
    let answer = this.get("/api/v1/stats/leaderboard").await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(answer.json()["code"], "stats_unavailable");
    assert_eq!(answer.header(RETRY_AFTER), "2");
    assert!(!answer.text.contains("127.0.0.1"), "{}", answer.text);
}
