//! Weapons on HTTP, over rows in a real ClickHouse.

use actix_web::http::StatusCode;
use mohaa_domain::event::{Event, Stamp};
use mohaa_domain::vocabulary::EventType;
use serde_json::{Value, json};

use crate::support::statistics::{MAP, StatsUnderTest, between, event, kill};

const TODAY: &str = "2026-11-22T10:00:00Z";
const WEAPONS: &str = "/api/v1/stats/weapons";
/// Map units: 16 make a foot.
const UNITS_PER_METRE: f32 = 16.0 / 0.3048;

fn with(weapon: &str, mut row: (Event, Stamp)) -> (Event, Stamp) {
    row.1.weapon = weapon.into();
    row
}

/// So many metres away, along the three axes.
fn from_afar(metres: [f32; 3], mut row: (Event, Stamp)) -> (Event, Stamp) {
    (row.0.player.x, row.0.player.y, row.0.player.z) = (Some(100.0), Some(-200.0), Some(50.0));
    let [x, y, z] = metres.map(|metres| metres * UNITS_PER_METRE);
    (row.0.target.x, row.0.target.y, row.0.target.z) = (Some(100.0 + x), Some(-200.0 + y), Some(50.0 + z));
    row
}

#[actix_web::test]
async fn weapons_are_listed_with_what_they_did_and_who_used_them() {
    let this = StatsUnderTest::start("weapons_list").await;
    let mut headshot = kill("1", "2", TODAY, 1);
    headshot.1.headshot = true;
    let mut damage = with("thompson", between(event(EventType::Damage, TODAY, 1), "2", "1"));
    (damage.0.damage, damage.1.hostile) = (Some(35.5), true);
    let mut events =
        vec![headshot, kill("1", "2", TODAY, 1), kill("3", "1", "2026-11-01T10:00:00Z", 2), damage];
    for shot in 0..10 {
        for who in ["known", "unknown"] {
            events.push(with("thompson", between(event(EventType::WeaponFire, TODAY, 1), who, "")));
            if shot < 4 {
                events.push(with("thompson", between(event(EventType::WeaponHit, TODAY, 1), who, "2")));
            }
        }
    }
    events.push(with("", between(event(EventType::WeaponHit, TODAY, 1), "unknown", "2")));
    this.store(&events).await;

    let list = this.get(WEAPONS).await.json();
    assert_eq!(list["total"], 2);
    let garand = &list["weapons"][0];
    assert_eq!(
        (&garand["slug"], &garand["name"], &garand["class"]),
        (&"m1-garand".into(), &"M1 Garand".into(), &"rifle".into())
    );
    assert_eq!(
        (&garand["kills"], &garand["deaths"], &garand["headshots"]),
        (&3.into(), &3.into(), &1.into())
    );
    assert_eq!((&garand["headshot_percent"], &garand["users"]), (&33.3.into(), &2.into()));
    assert_eq!((&garand["accuracy"], &garand["longest_kill_metres"]), (&Value::Null, &Value::Null));
    let thompson = &list["weapons"][1];
    assert_eq!((&thompson["shots_fired"], &thompson["shots_hit"]), (&20.into(), &8.into()));
    assert_eq!(thompson["accuracy"], 40.0, "of the one whose hits are all told");
    assert_eq!((&thompson["damage"], &thompson["users"]), (&35.5.into(), &3.into()));

    let by_accuracy = this.get(&format!("{WEAPONS}?sort=accuracy&limit=1")).await.json();
    assert_eq!(by_accuracy["weapons"][0]["slug"], "thompson");
    let this_week = this.get(&format!("{WEAPONS}?period=week")).await.json();
    assert_eq!(this_week["weapons"][0]["kills"], 2);
    let elsewhere = this.get(&format!("{WEAPONS}?filter[map]=dm/none")).await.json();
    assert_eq!((&elsewhere["total"], &elsewhere["weapons"]), (&0.into(), &json!([])));
    assert_eq!(this.get(&format!("{WEAPONS}?page=7")).await.json()["total"], 2);
}

#[actix_web::test]
async fn ranges_are_of_scoring_kills_whose_both_places_are_known() {
    let this = StatsUnderTest::start("ranges").await;
    let mut suicide = from_afar([90.0, 0.0, 0.0], kill("1", "1", TODAY, 1));
    suicide.1.kill_kind = mohaa_domain::vocabulary::KillKind::Suicide;
    let mut halfway = from_afar([90.0, 0.0, 0.0], kill("1", "2", TODAY, 1));
    halfway.0.target.z = None;
    let mut absurd = from_afar([90.0, 0.0, 0.0], kill("1", "2", TODAY, 1));
    absurd.0.target.x = Some(3e30);
    let mut by_a_bot = from_afar([80.0, 0.0, 0.0], kill("bot", "2", TODAY, 1));
    by_a_bot.1.player_bot = true;
    this.store(&[
        // 3, 4 and 12 make 13; what stands above counts.
        from_afar([3.0, 4.0, 12.0], kill("1", "2", TODAY, 1)),
        from_afar([0.0, 0.0, 0.0], kill("1", "2", TODAY, 1)),
        from_afar([-11.0, 0.0, 0.0], kill("3", "2", TODAY, 2)),
        from_afar([0.0, 700.0, 0.0], with("kar98k", kill("3", "2", TODAY, 2))),
        kill("1", "2", TODAY, 1),
        suicide,
        halfway,
        absurd,
        by_a_bot,
    ])
    .await;
    let weapon = this.get(&format!("{WEAPONS}/m1-garand")).await.json();
    let steps = json!([
        {"from_metres": 0, "to_metres": 5, "kills": 1},
        {"from_metres": 5, "to_metres": 10, "kills": 0},
        {"from_metres": 10, "to_metres": 15, "kills": 2},
    ]);
    assert_eq!(weapon["ranges"], json!({"kills": 3, "steps": steps}));
    assert_eq!((&weapon["average_kill_metres"], &weapon["longest_kill_metres"]), (&8.0.into(), &13.0.into()));
    let far = this.get(&format!("{WEAPONS}/kar98k")).await.json();
    assert_eq!(far["ranges"]["steps"][100], json!({"from_metres": 500, "to_metres": null, "kills": 1}));
    assert_eq!(far["longest_kill_metres"], 700.0);
    let with_bots = this.get(&format!("{WEAPONS}/m1-garand?filter[bots]=only")).await.json();
    assert_eq!(with_bots["longest_kill_metres"], 80.0);

    let of_player = this.get("/api/v1/stats/player/1/weapons").await.json();
    let garand = &of_player["weapons"][0];
    assert_eq!((&garand["longest_kill_metres"], &garand["average_kill_metres"]), (&13.0.into(), &6.5.into()));
    let victim = this.get("/api/v1/stats/player/2/weapons").await.json();
    assert_eq!(victim["weapons"][0]["longest_kill_metres"], Value::Null);
}

#[actix_web::test]
async fn a_weapon_has_its_best_players_and_its_maps() {
    let this = StatsUnderTest::start("weapon").await;
    let mut elsewhere = kill("3", "2", TODAY, 2);
    elsewhere.1.map_name = "obj/obj_team2".into();
    this.store(&[kill("1", "2", TODAY, 1), kill("1", "2", TODAY, 1), elsewhere]).await;
    let weapon = this.get(&format!("{WEAPONS}/m1-garand")).await.json();
    assert_eq!(
        (&weapon["top_players"][0]["player_id"], &weapon["top_players"][0]["kills"]),
        (&"1".into(), &2.into())
    );
    assert_eq!(weapon["maps"][0], json!({"map_name": MAP, "kills": 2, "headshots": 0}));
    let on_map = this.get(&format!("{WEAPONS}/m1-garand?filter[map]=obj/obj_team2")).await.json();
    assert_eq!((&on_map["kills"], &on_map["maps"].as_array().unwrap().len()), (&1.into(), &1));
    for slug in ["kar98k", "no%20slug"] {
        let unknown = this.get(&format!("{WEAPONS}/{slug}")).await;
        assert_eq!(
            (unknown.status, unknown.json()["code"].clone()),
            (StatusCode::NOT_FOUND, "unknown_weapon".into())
        );
    }
}

#[actix_web::test]
async fn the_pages_of_weapons_show_what_the_api_answers() {
    let this = StatsUnderTest::start("weapons_pages").await;
    let empty = this.get("/weapons").await;
    assert_eq!(empty.status, StatusCode::OK, "{}", empty.text);
    assert!(empty.text.contains("No weapon was used yet"), "{}", empty.text);
    this.store(&[
        from_afar([30.0, 0.0, 0.0], kill("1", "2", TODAY, 1)),
        with("kar98k", kill("1", "2", TODAY, 1)),
    ])
    .await;
    let list = this.get("/weapons?sort=distance&period=&filter%5Bmap%5D=").await;
    assert!(list.text.contains("href=\"/weapons/m1-garand\""), "{}", list.text);
    let page = this.get("/weapons/m1-garand?period=week").await;
    assert_eq!(page.status, StatusCode::OK, "{}", page.text);
    for expected in ["M1 Garand", "<svg", "30–35 m", "href=\"/maps/dm%2Fmohdm1\"", "href=\"/players/1\""] {
        assert!(page.text.contains(expected), "no {expected}: {}", page.text);
    }
    let unmeasured = this.get("/weapons/kar98k").await;
    assert!(unmeasured.text.contains("No distance is known"), "{}", unmeasured.text);
    assert_eq!(this.get("/weapons/none").await.status, StatusCode::NOT_FOUND);
}
