//! Heatmaps on HTTP, over rows in a real ClickHouse.

use actix_web::http::StatusCode;
use actix_web::http::header::{CONTENT_TYPE, ETAG};
use mohaa_domain::event::{Event, Stamp};
use mohaa_domain::vocabulary::{KillKind, Team};
use serde_json::{Value, json};

use crate::support::statistics::{MAP, StatsUnderTest, kill};

const TODAY: &str = "2026-11-22T10:00:00Z";

/// A kill whose killer and victim stood somewhere.
fn kill_at(
    who: &str,
    whom: &str,
    match_number: u128,
    killer: (f32, f32),
    victim: (f32, f32),
) -> (Event, Stamp) {
    let (mut event, stamp) = kill(who, whom, TODAY, match_number);
    (event.player.x, event.player.y) = (Some(killer.0), Some(killer.1));
    (event.target.x, event.target.y) = (Some(victim.0), Some(victim.1));
    (event, stamp)
}

async fn points(this: &StatsUnderTest, path: &str) -> Value {
    let answer = this.get(path).await;
    assert_eq!(answer.status, StatusCode::OK, "{path}: {}", answer.text);
    answer.json()["points"].clone()
}

fn point(x: i32, y: i32, count: u64) -> Value {
    json!({ "x": x, "y": y, "count": count })
}

#[actix_web::test]
async fn a_heatmap_counts_where_a_player_killed_whom_and_died() {
    let this = StatsUnderTest::start("heatmap").await;
    let mut fall = kill_at("", "1", 1, (0.0, 0.0), (-1.0, -128.5));
    fall.1.kill_kind = KillKind::World;
    this.store(&[
        kill_at("1", "2", 1, (0.0, 0.0), (300.0, 0.0)),
        kill_at("1", "2", 1, (127.9, 127.9), (383.0, 127.0)),
        kill_at("2", "1", 1, (5000.0, 5000.0), (128.0, -0.5)),
        // Nobody said where.
        kill("1", "2", TODAY, 1),
        fall,
    ])
    .await;
    let path = "/api/v1/stats/player/1/heatmap/dm/mohdm1";
    let answer = this.get(path).await.json();
    let bounds = json!({ "min_x": -128, "min_y": -256, "max_x": 5120, "max_y": 5120 });
    let expected = json!({
        "map_name": MAP, "kind": "kills", "cell_size": 128, "bounds": bounds, "points": [point(0, 0, 2)],
    });
    assert_eq!(answer, expected);
    assert_eq!(points(&this, &format!("{path}?kind=victims")).await, json!([point(256, 0, 2)]));
    let deaths = json!([point(-128, -256, 1), point(128, -128, 1)]);
    assert_eq!(points(&this, &format!("{path}?kind=deaths")).await, deaths);
    let finer = json!([point(0, 0, 1), point(96, 96, 1)]);
    assert_eq!(points(&this, &format!("{path}?cell_size=32")).await, finer);

    let of_map = this.get("/api/v1/stats/maps/dm/mohdm1/heatmap").await.json();
    assert_eq!(of_map["points"], json!([point(0, 0, 2), point(4992, 4992, 1)]));
    assert_eq!(of_map["bounds"], bounds, "whoever's kills are looked at, the map is as large");
    let of_one = points(&this, "/api/v1/stats/maps/dm/mohdm1/heatmap?filter[player]=2").await;
    assert_eq!(of_one, json!([point(4992, 4992, 1)]));
}

#[actix_web::test]
async fn a_map_is_found_however_its_slash_is_written_and_an_unknown_one_is_404() {
    let this = StatsUnderTest::start("heatmap_paths").await;
    this.store(&[kill_at("1", "2", 1, (0.0, 0.0), (0.0, 0.0))]).await;
    for map in ["dm/mohdm1", "dm%2Fmohdm1", "dm%2fmohdm1", "DM/MOHDM1"] {
        for path in
            [format!("/api/v1/stats/player/1/heatmap/{map}"), format!("/api/v1/stats/maps/{map}/heatmap")]
        {
            assert_eq!(points(&this, &path).await, json!([point(0, 0, 1)]), "{path}");
        }
    }
    for (path, code) in [
        ("/api/v1/stats/player/1/heatmap/obj/none", "unknown_map"),
        ("/api/v1/stats/maps/obj/none/heatmap", "unknown_map"),
        ("/api/v1/stats/player/nobody/heatmap/dm/mohdm1", "unknown_player"),
        ("/api/v1/stats/match/none/heatmap", "unknown_match"),
    ] {
        let answer = this.get(path).await;
        assert_eq!((answer.status, answer.json()["code"].clone()), (StatusCode::NOT_FOUND, code.into()));
    }
    for wrong in ["kind=shots", "cell_size=33", "cell_size=0", "cell_size=2048", "filter[team]=spectator"] {
        let answer = this.get(&format!("/api/v1/stats/maps/dm/mohdm1/heatmap?{wrong}")).await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{wrong}");
    }
}

#[actix_web::test]
async fn filters_narrow_a_heatmap_and_bots_are_left_out_unless_asked_for() {
    let this = StatsUnderTest::start("heatmap_filters").await;
    let with = |change: fn(&mut Stamp), x: f32| {
        let mut row = kill_at("1", "2", 1, (x, 0.0), (x, 0.0));
        change(&mut row.1);
        row
    };
    let mut yesterday = kill_at("1", "2", 2, (1024.0, 0.0), (1024.0, 0.0));
    yesterday.1.event_at.0 -= 24 * 3_600_000;
    let mut elsewhere = kill_at("1", "2", 3, (512.0, 0.0), (512.0, 0.0));
    elsewhere.1.server_id = uuid::Uuid::from_u128(0x5e2);
    this.store(&[
        with(|_| {}, 0.0),
        with(|stamp| stamp.weapon = "kar98k".into(), 128.0),
        with(|stamp| stamp.player_team = Team::Axis, 256.0),
        with(|stamp| stamp.target_bot = true, 384.0),
        elsewhere,
        yesterday,
    ])
    .await;
    let columns = async |query: &str| {
        let points = points(&this, &format!("/api/v1/stats/maps/dm/mohdm1/heatmap?{query}")).await;
        points.as_array().unwrap().iter().map(|point| point["x"].as_i64().unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(columns("").await, [0, 128, 256, 512, 1024]);
    assert_eq!(columns("filter[weapon]=kar98k").await, [128]);
    assert_eq!(columns("filter[team]=axis").await, [256]);
    assert_eq!(columns("kind=deaths&filter[team]=axis").await, [0, 128, 256, 512, 1024], "the victim's side");
    assert_eq!(columns("filter[bots]=only").await, [384]);
    assert_eq!(columns("filter[bots]=with&filter[weapon]=m1-garand").await, [0, 256, 384, 512, 1024]);
    assert_eq!(columns("filter[server]=00000000-0000-0000-0000-0000000005e2").await, [512]);
    assert_eq!(columns("filter[to]=2026-11-22").await, [1024]);
    assert_eq!(columns("period=day").await, [0, 128, 256, 512]);

    // What is asked of all days is what the days add up to, whatever narrows it.
    let server = "filter[server]=00000000-0000-0000-0000-0000000005e2";
    for who in ["", "&filter[weapon]=kar98k", "&filter[weapon]=m1-garand", "&filter[player]=1"] {
        for narrowed in ["", server] {
            for kind in ["kills", "victims", "deaths"] {
                for team in ["", "&filter[team]=allies", "&filter[team]=axis"] {
                    for bots in ["", "&filter[bots]=with", "&filter[bots]=only"] {
                        let query = format!("{narrowed}&kind={kind}{who}{team}{bots}");
                        let of_days = columns(&format!("{query}&filter[from]=2020-01-01")).await;
                        assert_eq!(columns(&query).await, of_days, "{query}");
                    }
                }
            }
        }
    }

    // Of a match everything, and of it alone.
    let of_match = points(&this, "/api/v1/stats/match/round-2/heatmap").await;
    assert_eq!(of_match, json!([point(1024, 0, 1)]));
    let with_a_weapon = points(&this, "/api/v1/stats/match/round-1/heatmap?filter[weapon]=kar98k").await;
    assert_eq!(with_a_weapon, json!([point(128, 0, 1)]));
}

#[actix_web::test]
async fn a_match_counts_what_its_map_would_even_before_the_map_has_a_name() {
    let this = StatsUnderTest::start("heatmap_match").await;
    let mut of_a_bot = kill_at("1", "bot", 1, (64.0, 64.0), (-64.0, -64.0));
    of_a_bot.1.target_bot = true;
    let mut nameless = kill_at("g_abcdefghijklmnop", "1", 1, (-1.0, 300.0), (0.0, 300.0));
    nameless.1.map_name = "".into();
    this.store(&[of_a_bot, nameless]).await;
    let path = "/api/v1/stats/match/round-1/heatmap";
    let answer = this.get(path).await.json();
    assert_eq!(answer["map_name"], MAP);
    assert_eq!(answer["points"], json!([point(0, 0, 1), point(-128, 256, 1)]));
    assert_eq!(answer["bounds"], json!({ "min_x": -128, "min_y": -128, "max_x": 128, "max_y": 384 }));
    assert_eq!(
        points(&this, &format!("{path}?kind=deaths&filter[player]=1")).await,
        json!([point(0, 256, 1)])
    );
    let victims = points(&this, &format!("{path}?kind=victims&filter[player]=1")).await;
    assert_eq!(victims, json!([point(-128, -128, 1)]));
}

#[actix_web::test]
async fn ids_of_one_person_share_a_heatmap() {
    let this = StatsUnderTest::start("heatmap_person").await;
    this.store(&[
        kill_at("old", "2", 1, (0.0, 0.0), (0.0, 0.0)),
        kill_at("new", "2", 1, (0.0, 0.0), (0.0, 0.0)),
    ])
    .await;
    let link = "INSERT INTO player_links (player_id, canonical_id, version) VALUES ('old', 'new', 1)";
    this.clickhouse.query(link).execute().await.unwrap();
    this.store(&[]).await;
    for id in ["old", "new"] {
        let of_player = points(&this, &format!("/api/v1/stats/player/{id}/heatmap/dm/mohdm1")).await;
        assert_eq!(of_player, json!([point(0, 0, 2)]), "{id}");
    }
}

#[actix_web::test]
async fn an_answer_of_too_many_points_has_larger_cells_and_loses_none() {
    let this = StatsUnderTest::start("heatmap_bound").await;
    let kills: Vec<_> = (0..200u16)
        .flat_map(|x| (0..101u16).map(move |y| (f32::from(x) * 32.0, f32::from(y) * 32.0)))
        .map(|at| kill_at("1", "2", 1, at, at))
        .collect();
    this.store(&kills).await;
    let path = "/api/v1/stats/maps/dm/mohdm1/heatmap?cell_size=32";
    let first = this.get(path).await;
    let answer = first.json();
    assert_eq!(answer["cell_size"], 64);
    let points = answer["points"].as_array().unwrap();
    assert_eq!(points.len(), 100 * 51);
    assert_eq!(points.iter().map(|point| point["count"].as_u64().unwrap()).sum::<u64>(), 20_200);
    let again = this.get_with(path, &[("If-None-Match", first.header(ETAG))]).await;
    assert_eq!(again.status, StatusCode::NOT_MODIFIED);
    this.store(&[kill_at("1", "2", 1, (0.0, 0.0), (0.0, 0.0))]).await;
    assert_eq!(this.get_with(path, &[("If-None-Match", first.header(ETAG))]).await.status, StatusCode::OK);
}

/// The picture at a path.
async fn drawn(this: &StatsUnderTest, path: &str) -> image::RgbImage {
    let answer = this.get(path).await;
    assert_eq!(answer.status, StatusCode::OK, "{path}: {}", answer.text);
    assert_eq!(answer.header(CONTENT_TYPE), "image/png");
    image::load_from_memory(&answer.bytes).unwrap().to_rgb8()
}

#[actix_web::test]
async fn pictures_show_what_the_data_says_and_change_with_it() {
    let this = StatsUnderTest::start("heatmap_pictures").await;
    this.store(&[kill_at("1", "2", 1, (0.0, 0.0), (2048.0, 1024.0))]).await;
    for path in [
        "/maps/dm/mohdm1/heatmap.png?width=300",
        "/maps/dm%2Fmohdm1/heatmap.png?width=300&kind=deaths&filter[player]=2",
        "/matches/round-1/heatmap.png?width=300&filter[team]=allies",
    ] {
        let picture = drawn(&this, path).await;
        assert_eq!(picture.width(), 300, "{path}");
        // The end of the ramp, in the legend and at the one place where it happened.
        let brightest = picture.pixels().filter(|pixel| pixel.0[0] > 240 && pixel.0[1] > 240).count();
        assert!(brightest > 10, "{path}: {brightest}");
    }
    let path = "/maps/dm/mohdm1/heatmap.png";
    let first = this.get(path).await;
    let tag = first.header(ETAG).to_owned();
    assert_eq!(this.get_with(path, &[("If-None-Match", &tag)]).await.status, StatusCode::NOT_MODIFIED);
    let kills = drawn(&this, path).await;
    assert_ne!(kills, drawn(&this, "/maps/dm/mohdm1/heatmap.png?kind=deaths").await);
    this.store(&[kill_at("1", "2", 1, (1000.0, 0.0), (2048.0, 1024.0))]).await;
    assert_eq!(this.get_with(path, &[("If-None-Match", &tag)]).await.status, StatusCode::OK);
    for (path, status) in [
        ("/maps/obj/none/heatmap.png", 404),
        ("/matches/none/heatmap.png", 404),
        ("/maps/dm/mohdm1/overview.png", 404),
        ("/maps/dm/mohdm1/heatmap.png?width=255", 422),
        ("/maps/dm/mohdm1/heatmap.png?width=1601", 422),
        ("/maps/dm/mohdm1/heatmap.png?nope=1", 422),
    ] {
        assert_eq!(this.get(path).await.status.as_u16(), status, "{path}");
    }
}

#[actix_web::test]
async fn pages_of_players_and_matches_hold_a_heatmap_that_works_without_scripts() {
    let this = StatsUnderTest::start("heatmap_pages").await;
    let mut elsewhere = kill_at("1", "2", 2, (0.0, 0.0), (512.0, 0.0));
    elsewhere.1.map_name = "obj/obj_team2".into();
    let on_dm = kill_at("1", "2", 1, (0.0, 0.0), (512.0, 0.0));
    this.store(&[on_dm.clone(), on_dm, elsewhere, kill("3", "4", TODAY, 3)]).await;
    for (page, picture) in [
        (
            "/players/1",
            "/maps/dm%2Fmohdm1/heatmap.png?filter%5Bplayer%5D=1&amp;cell_size=64&amp;kind=kills&amp;period=all",
        ),
        (
            "/players/1?kind=deaths&filter%5Bmap%5D=obj%2Fobj_team2&filter%5Bteam%5D=axis&period=week&other=1",
            "/maps/obj%2Fobj_team2/heatmap.png?filter%5Bplayer%5D=1&amp;cell_size=64&amp;kind=deaths&amp;period=week\
             &amp;filter%5Bteam%5D=axis",
        ),
        (
            "/matches/round-1?kind=victims",
            "/matches/00000000-0000-0000-0000-000000000001/heatmap.png?cell_size=64&amp;kind=victims",
        ),
    ] {
        let shown = this.get(page).await;
        assert_eq!(shown.status, StatusCode::OK, "{page}: {}", shown.text);
        assert!(shown.text.contains(&format!("<img src=\"{picture}\"")), "{page}: {}", shown.text);
        drawn(&this, &picture.replace("&amp;", "&")).await;
        let json = shown.text.split("data-heatmap-json=\"").nth(1).unwrap().split('"').next().unwrap();
        let query = shown.text.split("data-heatmap-query=\"").nth(1).unwrap().split('"').next().unwrap();
        points(&this, &format!("{json}{}", query.replace("&amp;", "&"))).await;
    }
    let without_place = this.get("/players/3").await.text;
    assert!(without_place.contains("No position is known"), "its map has places, the player has none");
    for wrong in ["kind=shots", "filter%5Bmap%5D=obj%2Fnone", "filter%5Bteam%5D=none"] {
        let answer = this.get(&format!("/players/1?{wrong}")).await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{wrong}");
    }
}
