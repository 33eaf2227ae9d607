//! Pages, rendered over the same answers as the API.

use actix_web::http::StatusCode;
use actix_web::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, LOCATION};

use mohaa_domain::vocabulary::{EventType, GameType, Team};

use crate::support::statistics::{StatsUnderTest, event, kill};

const TODAY: &str = "2026-11-22T11:59:00Z";

#[actix_web::test]
async fn every_page_is_shown_with_and_without_data() {
    let this = StatsUnderTest::start("pages").await;
    for path in ["/", "/leaderboard", "/matches", "/api/docs"] {
        let page = this.get(path).await;
        assert_eq!(page.status, StatusCode::OK, "{path}: {}", page.text);
    }
    assert!(this.get("/").await.text.contains("mohaa-stats server add"));
    this.store(&[kill("1", "2", TODAY, 1)]).await;
    let paths = [
        "/",
        "/leaderboard?stat=kills&period=&filter%5Bmap%5D=dm%2Fmohdm1&filter%5Bserver%5D=",
        "/players/1",
        "/matches?page=1",
        "/matches/round-1",
        "/matches/round-1?kind=deaths&filter[type]=kill&filter[player]=1&period=week",
        "/players/1/maps",
        "/players/1/matches?page=1",
        "/players/1/rivals",
        "/compare?players=1,2",
    ];
    for path in paths {
        let page = this.get(path).await;
        assert_eq!(page.status, StatusCode::OK, "{path}: {}", page.text);
        assert!(page.header(CONTENT_TYPE).starts_with("text/html"), "{path}");
        assert!(
            page.text.contains("mohdm1")
                || matches!(path, "/" | "/players/1" | "/players/1/rivals" | "/compare?players=1,2"),
            "{path}: {}",
            page.text
        );
    }
}

#[actix_web::test]
async fn a_name_is_shown_in_its_colours_and_never_as_markup() {
    let this = StatsUnderTest::start("names").await;
    let mut named = kill("1", "2", TODAY, 1);
    named.0.player.name = "^1<script>alert(1)</script>".into();
    this.store(&[named]).await;
    for path in
        ["/", "/leaderboard", "/players/1", "/players/2/rivals", "/compare?players=1,2", "/matches/round-1"]
    {
        let page = this.get(path).await;
        assert!(!page.text.contains("<script>alert"), "{path}: {}", page.text);
        assert!(page.text.contains("<span class=\"c1\">&lt;script&gt;"), "{path}: {}", page.text);
        let policy = page.header(CONTENT_SECURITY_POLICY);
        assert!(
            policy.contains("script-src 'self'") && policy.contains("frame-ancestors 'none'"),
            "{policy}"
        );
    }
}

#[actix_web::test]
async fn errors_are_pages_for_people_and_json_for_programs() {
    let this = StatsUnderTest::without_clickhouse("errors").await;
    for (path, status) in [
        ("/", 503),
        ("/players/1", 503),
        ("/nothing", 404),
        ("/static/nothing.css", 404),
        ("/leaderboard?stat=x", 422),
    ] {
        let page = this.get(path).await;
        assert_eq!(page.status.as_u16(), status, "{path}");
        assert!(page.header(CONTENT_TYPE).starts_with("text/html"), "{path}: {}", page.header(CONTENT_TYPE));
        assert!(page.text.contains("href=\"/leaderboard\""), "{path} has no navigation: {}", page.text);
    }
    let json = this.get("/api/v1/nothing").await;
    assert_eq!((json.status, json.json()["code"].clone()), (StatusCode::NOT_FOUND, "not_found".into()));
}

#[actix_web::test]
async fn static_files_have_hashed_names_and_are_cached_for_ever() {
    let this = StatsUnderTest::start("static").await;
    let page = this.get("/").await.text;
    let urls: Vec<&str> = page.split('"').filter(|part| part.starts_with("/static/")).collect();
    assert!(!urls.is_empty());
    for url in urls {
        let file = this.get(url).await;
        assert_eq!(file.status, StatusCode::OK, "{url}");
        assert_eq!(file.header(CACHE_CONTROL), "public, max-age=31536000, immutable", "{url}");
    }
    // Where programs look that read no page.
    let mark = this.get("/favicon.ico").await;
    assert_eq!(mark.status, StatusCode::TEMPORARY_REDIRECT);
    assert_eq!(this.get(mark.header(LOCATION)).await.header(CONTENT_TYPE), "image/png");
}

#[actix_web::test]
async fn in_a_game_without_sides_nobody_has_one() {
    let this = StatsUnderTest::start("free_for_all").await;
    let mut events =
        vec![kill("1", "2", "2026-11-22T11:00:00Z", 1), kill("2", "1", "2026-11-22T11:01:00Z", 1)];
    let mut end = event(EventType::MatchEnd, "2026-11-22T11:02:00Z", 1);
    end.0.winning_team = Team::None;
    end.0.allies_score = Some(0);
    end.0.axis_score = Some(0);
    events.push(end);
    for (_, stamp) in &mut events {
        stamp.game_type = GameType::FreeForAll;
    }
    this.store(&events).await;
    let page = this.get("/matches/round-1").await.text;
    assert!(page.contains("Every man for himself"), "{page}");
    for word in ["won the match", "score-allies", "Allies", "Axis"] {
        assert!(!page.contains(word), "{word}: {page}");
    }
    assert!(!this.get("/matches").await.text.contains("Draw"));
    let played = this.get("/api/v1/stats/player/1/matches").await.json();
    assert_eq!(played["matches"][0]["result"], serde_json::Value::Null);
}

#[actix_web::test]
async fn the_page_of_the_api_leads_from_each_operation_to_the_shapes_of_what_it_takes_and_answers() {
    let this = StatsUnderTest::start("api_shapes").await;
    let page = this.get("/api/docs").await;
    assert_eq!(page.status, StatusCode::OK, "{}", page.text);
    let named: Vec<&str> =
        page.text.split("href=\"#shape-").skip(1).filter_map(|rest| rest.split('"').next()).collect();
    assert!(named.contains(&"Leaderboard") && named.len() > 200, "{}", named.len());
    for name in named {
        assert!(page.text.contains(&format!("id=\"shape-{name}\"")), "{name}");
    }
    // No answer goes without a word.
    assert!(!page.text.contains("</code></th><td></td>"), "{}", page.text);
}
