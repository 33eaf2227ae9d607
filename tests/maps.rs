//! Maps on HTTP, over rows in a real ClickHouse.

use actix_web::http::StatusCode;
use mohaa_domain::event::{Event, Stamp};
use mohaa_domain::vocabulary::{EventType, GameType, Team};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::statistics::{MAP, SERVER, StatsUnderTest, event, kill};

const MAPS: &str = "/api/v1/stats/maps";
const OBJECTIVE: &str = "obj/obj_team2";

fn on(map: &str, mut row: (Event, Stamp)) -> (Event, Stamp) {
    row.1.map_name = map.into();
    row
}

fn end(at: &str, match_number: u128, winner: Team, seconds: f32) -> (Event, Stamp) {
    let mut end = event(EventType::MatchEnd, at, match_number);
    (end.0.winning_team, end.0.duration) = (winner, Some(seconds));
    end
}

fn of(game_type: GameType, mut row: (Event, Stamp)) -> (Event, Stamp) {
    row.1.game_type = game_type;
    row
}

/// Four matches on [`MAP`], two of which the allies won and one nobody, and one on [`OBJECTIVE`], which is being played.
async fn played(name: &str) -> StatsUnderTest {
    let this = StatsUnderTest::start(name).await;
    let mut with_bot = kill("1", "bot", "2026-11-22T10:00:00Z", 1);
    with_bot.1.target_bot = true;
    let mut elsewhere = kill("3", "2", "2026-11-22T09:00:00Z", 4);
    elsewhere.1.server_id = Uuid::from_u128(0x5e2);
    let mut nowhere = kill("1", "2", "2026-11-22T11:58:00Z", 7);
    (nowhere.1.map_name, nowhere.1.server_id) = ("".into(), Uuid::from_u128(0x5e4));
    let mut objective = kill("1", "2", "2026-11-22T11:59:00Z", 6);
    (objective.1.map_name, objective.1.server_id) = (OBJECTIVE.into(), Uuid::from_u128(0x5e3));
    this.store(&[
        kill("1", "2", "2026-11-22T10:00:00Z", 1),
        with_bot,
        end("2026-11-22T10:05:00Z", 1, Team::Allies, 300.0),
        kill("1", "2", "2026-11-20T10:00:00Z", 2),
        end("2026-11-20T10:05:00Z", 2, Team::Allies, 100.0),
        kill("2", "1", "2026-11-02T10:00:00Z", 3),
        end("2026-11-02T10:05:00Z", 3, Team::None, 200.0),
        of(GameType::FreeForAll, elsewhere),
        objective,
        nowhere,
    ])
    .await;
    this
}

fn names(list: &Value) -> Vec<&str> {
    list["maps"].as_array().unwrap().iter().map(|map| map["map_name"].as_str().unwrap()).collect()
}

#[actix_web::test]
async fn maps_are_listed_with_their_plays_and_the_balance_of_sides() {
    let this = played("maps_list").await;
    let list = this.get(MAPS).await.json();
    assert_eq!((&list["total"], names(&list)), (&2.into(), vec![MAP, OBJECTIVE]), "no map without a name");
    let first = &list["maps"][0];
    assert_eq!((&first["plays"], &first["kills"], &first["players"]), (&4.into(), &4.into(), &3.into()));
    assert_eq!(first["balance"], json!({"allies": 2, "axis": 0, "draws": 1}));
    assert_eq!(first["last_played"], "2026-11-22T10:05:00Z");
    let second = &list["maps"][1];
    assert_eq!(second["average_duration_seconds"], Value::Null, "it is still being played");
    // The free-for-all is over by silence after no time.
    assert_eq!(first["average_duration_seconds"], 150);

    assert_eq!(names(&this.get(&format!("{MAPS}?sort=last_played")).await.json()), [OBJECTIVE, MAP]);
    assert_eq!(names(&this.get(&format!("{MAPS}?sort=name&limit=1&page=2")).await.json()), [OBJECTIVE]);
    let beyond = this.get(&format!("{MAPS}?page=9")).await.json();
    assert_eq!((&beyond["total"], names(&beyond).len()), (&2.into(), 0));
    let with_bots = this.get(&format!("{MAPS}?filter[bots]=with")).await.json();
    assert_eq!(with_bots["maps"][0]["kills"], 5);
    for (filter, plays) in
        [("period=week", 3), ("filter[gametype]=ffa", 1), ("filter[to]=2026-11-20", 1), ("period=day", 2)]
    {
        let narrowed = this.get(&format!("{MAPS}?sort=kills&{filter}")).await.json();
        assert_eq!(narrowed["maps"][0]["plays"], plays, "{filter}: {narrowed}");
    }
    let wrong = this.get(&format!("{MAPS}?sort=size")).await;
    assert_eq!((wrong.status.as_u16(), wrong.json()["fields"]["sort"].is_string()), (422, true));
}

#[actix_web::test]
async fn a_map_has_its_players_weapons_servers_matches_and_plays_over_time() {
    let this = played("map").await;
    for path in ["dm/mohdm1", "dm%2Fmohdm1", "DM/MohDM1"] {
        let map = this.get(&format!("{MAPS}/{path}")).await.json();
        assert_eq!((&map["map_name"], &map["plays"]), (&MAP.into(), &4.into()), "{path}");
    }
    let map = this.get(&format!("{MAPS}/{MAP}")).await.json();
    let first = &map["top_players"][0];
    assert_eq!((&first["player_id"], &first["kills"]), (&"1".into(), &2.into()));
    assert_eq!(
        map["top_weapons"],
        json!([{"slug": "m1-garand", "name": "M1 Garand", "kills": 4, "headshots": 0}])
    );
    let servers = &map["servers"];
    assert_eq!((&servers[0]["server_id"], &servers[0]["plays"]), (&SERVER.to_string().into(), &3.into()));
    assert_eq!(servers.as_array().unwrap().len(), 2);
    assert_eq!(map["recent_matches"].as_array().unwrap().len(), 4);
    let points = map["played"]["points"].as_array().unwrap();
    assert_eq!((&map["played"]["step"], points.len()), (&"day".into(), 21), "from the first play to today");
    assert_eq!(points[20], json!({"from": "2026-11-22", "plays": 2}));

    let this_week = this.get(&format!("{MAPS}/{MAP}?period=week&filter[server]={SERVER}")).await.json();
    assert_eq!(
        (&this_week["plays"], &this_week["played"]["points"][0]["from"]),
        (&2.into(), &"2026-11-16".into())
    );
    let long_ago = this.get(&format!("{MAPS}/{MAP}?filter[to]=2026-01-01")).await.json();
    assert_eq!((&long_ago["plays"], &long_ago["last_played"]), (&0.into(), &Value::Null));
    assert_eq!(long_ago["played"]["points"], json!([]));
    let unknown = this.get(&format!("{MAPS}/dm/none")).await;
    assert_eq!(
        (unknown.status, unknown.json()["code"].clone()),
        (StatusCode::NOT_FOUND, "unknown_map".into())
    );
}

#[actix_web::test]
async fn the_pages_of_maps_show_what_the_api_answers() {
    let empty = StatsUnderTest::start("maps_empty").await;
    let page = empty.get("/maps").await;
    assert_eq!(page.status, StatusCode::OK, "{}", page.text);
    assert!(page.text.contains("No map was played yet"), "{}", page.text);
    assert_eq!(empty.get("/maps/dm/mohdm1").await.status, StatusCode::NOT_FOUND);

    let this = played("maps_pages").await;
    let list = this.get("/maps?sort=kills&period=&filter%5Bserver%5D=").await;
    assert!(list.text.contains("href=\"/maps/dm%2Fmohdm1\""), "{}", list.text);
    for path in ["/maps/dm%2Fmohdm1", "/maps/dm/mohdm1?period=week"] {
        let page = this.get(path).await;
        assert_eq!(page.status, StatusCode::OK, "{path}: {}", page.text);
        for expected in
            ["href=\"/weapons/m1-garand\"", "href=\"/servers/", "href=\"/players/1\"", "href=\"/matches/"]
        {
            assert!(page.text.contains(expected), "{path} has no {expected}: {}", page.text);
        }
    }
    let nothing = this.get("/maps/dm/mohdm1?filter[to]=2026-01-01").await;
    assert!(nothing.text.contains("No match fits"), "{}", nothing.text);
    assert_eq!(this.get("/maps/dm/none").await.status, StatusCode::NOT_FOUND);
    // Where a folder and a name are one word.
    this.store(&[on("<b>", kill("1", "2", "2026-11-22T10:00:00Z", 9))]).await;
    let escaped = this.get("/maps/%3Cb%3E").await;
    assert_eq!(escaped.status, StatusCode::OK, "{}", escaped.text);
    assert!(!escaped.text.contains("<b>") && escaped.text.contains("&lt;b&gt;"), "{}", escaped.text);
}
