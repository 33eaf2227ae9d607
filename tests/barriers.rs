//! Pages of statistics in a real browser: nothing on them is a barrier, whatever the screen and the theme, and whoever is
//! on two of them has the same figures on both.

use mohaa_stats::simulate::{DialectChoice, SimulateOptions, run};
use serde_json::{Value, json};

use crate::support::{Chromium, DESKTOP, PHONE, Service, Theme};

async fn season(name: &str) -> Service {
    let service = Service::start(name).await;
    let options = SimulateOptions {
        dialect: DialectChoice::G3,
        matches: 2,
        guests: Some(20),
        seed: 11,
        match_length: 150..=200,
        ..SimulateOptions::new(&service.client.url, vec![service.client.token.clone()])
    };
    let report = run(options, |_| {}).await.unwrap();
    assert_eq!(report.complaints, Vec::<String>::new());
    let live = json!([{"type": "player_kill", "match_id": "now", "timestamp": 5.0, "map_name": "dm/mohdm1",
        "attacker_guid": "1", "victim_guid": "2"}]);
    service.client.send(live.to_string()).await.assert_batch(202, 1, &[]);
    service.client.settled().await;
    service
}

/// The member `key` of the entries of a list.
async fn listed(service: &Service, path: &str, list: &str, key: &str) -> Vec<String> {
    let answer = service.client.get(path).await.json();
    let entries = answer[list].as_array().unwrap();
    entries.iter().map(|entry| entry[key].as_str().unwrap().to_owned()).collect()
}

#[actix_web::test]
async fn pages_of_statistics_have_no_barriers_on_any_screen_in_either_theme() {
    let service = season("barriers").await;
    let players = listed(&service, "/api/v1/stats/leaderboard", "players", "player_id").await;
    let matches = listed(&service, "/api/v1/stats/matches", "matches", "match_id").await;
    let maps = listed(&service, "/api/v1/stats/maps", "maps", "map_name").await;
    let weapons = listed(&service, "/api/v1/stats/weapons", "weapons", "slug").await;
    let (one, other, ended) = (&players[0], &players[1], matches.last().unwrap());
    let pages = [
        "/".to_owned(),
        "/leaderboard".to_owned(),
        "/leaderboard?stat=accuracy&period=week".to_owned(),
        "/leaderboard?filter[map]=dm/none".to_owned(),
        format!("/players/{one}"),
        format!("/players/{one}/maps"),
        format!("/players/{one}/matches"),
        format!("/players/{one}/rivals"),
        format!("/compare?players={one},{other}"),
        "/matches".to_owned(),
        format!("/matches/{ended}"),
        "/maps".to_owned(),
        format!("/maps/{}", maps[0]),
        "/weapons".to_owned(),
        format!("/weapons/{}", weapons[0]),
        "/servers".to_owned(),
        format!("/servers/{}", service.server_id),
        "/search".to_owned(),
        "/search?q=an".to_owned(),
        "/search?q=nobody-at-all".to_owned(),
        "/achievements".to_owned(),
        "/live".to_owned(),
        format!("/live/{}", matches[0]),
        // What is wrong says so, in the site's own words.
        "/players/nobody-at-all".to_owned(),
        "/leaderboard?nonsense=1".to_owned(),
    ];
    let mut found = Vec::new();
    for (name, screen, theme) in [
        ("desktop-light", DESKTOP, Theme::Light),
        ("desktop-dark", DESKTOP, Theme::Dark),
        ("phone-light", PHONE, Theme::Light),
        ("phone-dark", PHONE, Theme::Dark),
    ] {
        let browser = Chromium::open_in(&service.client.url, name, screen, theme).await;
        for page in &pages {
            browser.go(page).await;
            let barriers = browser.barriers().await;
            found.extend(barriers.iter().map(|barrier| format!("{page}, {name}: {barrier}")));
            browser.assert_fits().await;
            let dark = browser.run("return matchMedia('(prefers-color-scheme: dark)').matches").await;
            assert_eq!(dark, matches!(theme, Theme::Dark), "{name}");
            browser.picture(&page.replace(['/', '?', '[', ']', '='], "_")).await;
        }
        browser.close().await;
    }
    assert!(found.is_empty(), "{} barriers:\n{}", found.len(), found.join("\n"));
    service.stop().await;
}

#[actix_web::test]
async fn a_player_has_the_same_figures_on_every_page() {
    let service = season("same_figures").await;
    let players = listed(&service, "/api/v1/stats/leaderboard", "players", "player_id").await;
    let browser = Chromium::open(&service.client.url, "figures", DESKTOP).await;
    // Figures by what stands over, below or beside them.
    let tiles = "return Object.fromEntries([...document.querySelectorAll('.tiles > div')].map(it =>
        [it.querySelector('dt').textContent.trim(), it.querySelector('dd').textContent.trim()]))";
    let row = |player: &str| {
        format!(
            "const link = [...document.querySelectorAll('main table a')].find(it => it.getAttribute('href') === '/players/{player}');
             if (!link) return null;
             const row = link.closest('tr');
             const heads = [...row.closest('table').querySelectorAll('thead th, thead td')].map(it => it.textContent.trim());
             return Object.fromEntries([...row.children].map((it, index) => [heads[index], it.textContent.trim()]))"
        )
    };
    let compared =
        "return Object.fromEntries([...document.querySelectorAll('table.compared tbody tr')].map(it =>
        [it.children[0].textContent.trim(), it.children[1].textContent.trim()]))";
    for (player, other) in [(&players[0], &players[1]), (&players[2], &players[0])] {
        browser.go(&format!("/players/{player}")).await;
        let profile = browser.run(tiles).await;
        browser.go("/leaderboard?limit=100").await;
        let board = browser.run(&row(player)).await;
        browser.go(&format!("/compare?players={player},{other}")).await;
        let beside = browser.run(compared).await;
        let mut same = 0;
        let mut check = |figure: &str, names: [&str; 2]| {
            for (page, name) in [(&board, names[0]), (&beside, names[1])] {
                let there = page.get(name).filter(|it| !it.is_null());
                if let Some(there) = there {
                    // The unit stands in the cell or in the head.
                    let bare = |figure: &Value| figure.as_str().unwrap().trim_end_matches(" %").to_owned();
                    assert_eq!(bare(there), bare(&profile[figure]), "{figure} of {player}: {profile} {page}");
                    same += 1;
                }
            }
        };
        check("kills", ["Kills", "Kills"]);
        check("deaths", ["Deaths", "Deaths"]);
        check("kills per death", ["K/D", "Kills per death"]);
        check("kills by headshot", ["HS %", "Kills by headshot"]);
        check("accuracy", ["Acc %", "Accuracy"]);
        check("played", ["Time", "Played"]);
        check("matches won", ["Won %", "Matches won"]);
        check("best streak", ["Streak", "Best streak"]);
        assert!(same >= 12, "{same} figures: {profile} {board} {beside}");
        let api = service.client.get(&format!("/api/v1/stats/player/{player}")).await.json();
        assert_eq!(profile["kills"], Value::from(api["total_kills"].to_string()));
    }
    browser.close().await;
    service.stop().await;
}
