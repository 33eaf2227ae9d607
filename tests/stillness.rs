//! Pages that news come to: whoever reads one is not pushed away from what they read. And pages that come: what is there keeps its place
//! while the rest arrives.

use mohaa_stats::simulate::{DialectChoice, SimulateOptions, run};
use mohaa_stats::users::Role;
use serde_json::{Value, json};

use crate::support::{
    Chromium, Cup, DESKTOP, PHONE, Screen, Service, ServiceClient, SlowFiles, eventually, sooner_or_later,
};

const SCREENS: [(&str, Screen); 2] = [("still-phone", PHONE), ("still-desktop", DESKTOP)];

/// A match of a game server, event by event.
struct Game {
    server: ServiceClient,
    match_id: String,
    at: f64,
}

impl Game {
    async fn begins(server: &ServiceClient, match_id: &str) -> Self {
        let mut game = Game { server: server.clone(), match_id: match_id.to_owned(), at: 1.0 };
        game.tells(json!({ "type": "match_start", "map_name": "dm/mohdm1", "gametype": 2 })).await;
        game.scores(0, 0).await;
        game
    }

    async fn tells(&mut self, mut event: Value) {
        event["match_id"] = self.match_id.as_str().into();
        event["timestamp"] = self.at.into();
        self.at += 1.0;
        self.server.send(json!([event]).to_string()).await.assert_batch(202, 1, &[]);
    }

    async fn scores(&mut self, allies: u32, axis: u32) {
        let event = json!({ "type": "heartbeat", "allies_score": allies, "axis_score": axis, "player_count": 2, "round_number": 1 });
        self.tells(event).await;
    }

    /// Players are there from their first kill on.
    async fn kill(&mut self, killer: &str, victim: &str) {
        self.tells(json!({
            "type": "player_kill", "weapon": "M1 Garand", "hitloc": "head",
            "attacker_name": format!("Hero {killer}"), "attacker_guid": killer, "attacker_team": "allies",
            "victim_name": format!("Victim {victim}"), "victim_guid": victim, "victim_team": "axis",
        }))
        .await;
    }

    async fn ends(&mut self) {
        self.tells(json!({ "type": "match_end", "winning_team": "allies" })).await;
    }
}

async fn assert_still(browser: &Chromium, of: &str) {
    assert_eq!(browser.shifts().await, Vec::<String>::new(), "{of}");
}

#[actix_web::test]
async fn lists_of_live_matches_stay_where_they_are_as_matches_begin_and_end() {
    let service = Service::start("still_lists").await;
    let mut servers = vec![service.client.clone()];
    for name in ["Stalingrad", "Remagen"] {
        let (_, token) = service.add_server(name).await;
        servers.push(service.client.with_token(&token));
    }
    // Whoever is there before the first server has reported comes to see it.
    let newcomer = Chromium::open(&service.client.url, "newcomer", PHONE).await;
    newcomer.go("/").await;
    newcomer.reload_until("No server has reported yet").await;
    let mut first = Game::begins(&service.client, "first").await;
    newcomer.comes_to_say("dm/mohdm1").await;
    first.ends().await;
    newcomer.comes_to_say("All quiet").await;
    service.client.settled().await;
    newcomer.reload_until("Recent matches").await;
    newcomer.close().await;
    for (name, screen) in SCREENS {
        let browser = Chromium::open(&service.client.url, name, screen).await;
        for path in ["/live", "/"] {
            let news = format!("{path} on {name}");
            browser.go(path).await;
            browser.watch_for_shifts().await;
            let cards = async |count: usize| {
                sooner_or_later(&format!("{count} matches are on {news}"), async || {
                    let shown = browser
                        .run("return document.querySelectorAll('[data-live-part] .card').length")
                        .await;
                    if shown == count { Ok(()) } else { Err(browser.text().await) }
                })
                .await;
            };
            let mut games = Vec::new();
            for (number, server) in servers.iter().enumerate() {
                games.push(Game::begins(server, &format!("{name}-{}-{number}", path.len())).await);
                cards(number + 1).await;
            }
            games[0].kill("1001", "1002").await;
            games[0].scores(12, 3).await;
            browser.comes_to_say("12").await;
            for (number, game) in games.iter_mut().enumerate() {
                game.ends().await;
                cards(servers.len() - 1 - number).await;
            }
            assert_still(&browser, &news).await;
        }
        browser.close().await;
    }
    service.stop().await;
}

#[actix_web::test]
async fn the_page_of_a_live_match_stays_where_it_is_as_players_join_and_fall() {
    let service = Service::start("still_match").await;
    for (name, screen) in SCREENS {
        let mut game = Game::begins(&service.client, name).await;
        game.kill("1001", "2001").await;
        let browser = Chromium::open(&service.client.url, name, screen).await;
        eventually("the match is live", async || {
            (service.client.get(&format!("/live/{name}")).await.status == 200).then_some(())
        })
        .await;
        browser.go(&format!("/live/{name}")).await;
        browser.comes_to_say("Hero 1001").await;
        browser.watch_for_shifts().await;
        for number in 2..6 {
            game.kill(&format!("100{number}"), &format!("200{number}")).await;
            browser.comes_to_say(&format!("Hero 100{number}")).await;
        }
        assert_still(&browser, &format!("the top of the page on {name}")).await;
        // Whoever has gone down to the kills reads on there.
        browser.run("document.querySelector('#feed').scrollIntoView()").await;
        for number in 6..9 {
            game.kill(&format!("100{number}"), &format!("200{number}")).await;
            browser.comes_to_say(&format!("Victim 200{number}")).await;
        }
        assert_still(&browser, &format!("its feed on {name}")).await;
        game.ends().await;
        browser.close().await;
    }
    service.stop().await;
}

#[actix_web::test]
async fn pages_of_a_tournament_stay_where_they_are_as_results_come() {
    let service = Service::start("still_cup").await;
    let (_, organizer) = service.add_user("Maker", Role::Organizer).await;
    for (name, screen) in SCREENS {
        for (page, settings) in [
            ("", json!({ "name": "Cup", "format": "single_elimination", "description": "Be on time." })),
            ("/bracket", json!({ "name": "Cup", "format": "double_elimination" })),
            ("/schedule", json!({ "name": "Cup", "format": "double_elimination" })),
            ("/standings", json!({ "name": "Cup", "format": "single_elimination" })),
            ("/standings", json!({ "name": "League", "format": "round_robin" })),
        ] {
            let cup = Cup::begun(&service.client, &organizer, settings, 4).await;
            let browser = Chromium::open(&service.client.url, name, screen).await;
            browser.go(&format!("/tournaments/{}{page}", cup.id)).await;
            browser.comes_to_say("4 of ").await;
            browser.run("window.loadedOnce = true").await;
            browser.watch_for_shifts().await;
            let shown = async || {
                let version = cup.get("").await["version"].clone();
                eventually(&format!("{page} shows version {version}"), async || {
                    let shown = browser
                        .run("return Number(document.querySelector('#tournament').dataset.version)")
                        .await;
                    (shown == version).then_some(())
                })
                .await;
            };
            let ready = async || {
                let all = cup.matches().await;
                let open = all.iter().find(|one| one["status"] == "ready")?;
                open["key"].as_str().map(str::to_owned)
            };
            while let Some(key) = ready().await {
                cup.reports(&key, 2, 1).await;
                shown().await;
            }
            assert_eq!(browser.run("return window.loadedOnce").await, true, "nothing was loaded again");
            assert_still(&browser, &format!("{page} on {name}")).await;
            browser.close().await;
        }
    }
    service.stop().await;
}

#[actix_web::test]
async fn pages_of_a_tournament_stay_where_they_are_as_it_goes_from_step_to_step() {
    let service = Service::start("still_steps").await;
    let (_, organizer) = service.add_user("Maker", Role::Organizer).await;
    for (name, screen) in SCREENS {
        for page in ["", "/bracket", "/schedule", "/participants", "/standings"] {
            let settings =
                json!({ "name": "Cup", "format": "double_elimination", "description": "Be on time." });
            let cup = Cup::draft(&service.client, &organizer, settings).await;
            cup.moves_to("registration_open").await;
            for number in 1..=4 {
                cup.enters(&format!("P{number}")).await;
            }
            let browser = Chromium::open(&service.client.url, name, screen).await;
            browser.go(&format!("/tournaments/{}{page}", cup.id)).await;
            for step in ["registration_closed", "in_progress"] {
                browser.watch_for_shifts().await;
                cup.moves_to(step).await;
                eventually(&format!("{page} shows {step}"), async || {
                    let shown =
                        browser.run("return document.querySelector('#tournament')?.dataset.status").await;
                    (shown == step).then_some(())
                })
                .await;
                // What came as a page of its own is looked at from its beginning.
                if browser.run("return window.shifts === undefined").await == true {
                    browser.watch_for_shifts_from_the_beginning().await;
                }
                assert_still(&browser, &format!("{page} at {step} on {name}")).await;
            }
            browser.close().await;
        }
    }
    service.stop().await;
}

#[actix_web::test]
async fn what_is_on_a_page_keeps_its_place_while_the_rest_arrives() {
    let service = Service::start("still_arrival").await;
    let options = SimulateOptions {
        dialect: DialectChoice::G3,
        matches: 2,
        seed: 12,
        match_length: 150..=200,
        ..SimulateOptions::new(&service.client.url, vec![service.client.token.clone()])
    };
    run(options, |_| {}).await.unwrap();
    service.client.settled().await;
    let first = async |path: &str, list: &str, key: &str| {
        let answer = service.client.get(path).await.json();
        answer[list][0][key].as_str().unwrap().to_owned()
    };
    let player = first("/api/v1/stats/leaderboard", "players", "player_id").await;
    let match_id = first("/api/v1/stats/matches", "matches", "match_id").await;
    let map = first("/api/v1/stats/maps", "maps", "map_name").await;
    for (name, screen) in SCREENS {
        let browser = Chromium::open(&service.client.url, name, screen).await;
        for path in [
            "/".to_owned(),
            "/leaderboard".to_owned(),
            format!("/players/{player}"),
            format!("/matches/{match_id}"),
            format!("/maps/{map}"),
            "/tournaments".to_owned(),
        ] {
            browser.go(&path).await;
            browser.watch_for_shifts_from_the_beginning().await;
            // What is further down comes when somebody goes there.
            browser.run("document.querySelector('#heatmap')?.scrollIntoView()").await;
            if browser.run("return Boolean(document.querySelector('[data-heatmap]'))").await == true {
                eventually("the heatmap is drawn", async || {
                    let drawn = "const canvas = document.querySelector('[data-heatmap] canvas');
                        return canvas.getContext('2d').getImageData(1, 1, 1, 1).data[3] > 0";
                    (browser.run(drawn).await == true).then_some(())
                })
                .await;
            }
            assert_still(&browser, &format!("{path} on {name}")).await;
        }
        browser.close().await;
    }
    service.stop().await;
}

#[actix_web::test]
async fn hardly_anything_moves_as_fonts_come_late() {
    let service = Service::start("still_fonts").await;
    let mut game = Game::begins(&service.client, "evening").await;
    game.kill("1", "2").await;
    let (_, organizer) = service.add_user("Maker", Role::Organizer).await;
    let cup =
        Cup::begun(&service.client, &organizer, json!({"name": "Cup", "format": "single_elimination"}), 8)
            .await;
    service.client.settled().await;
    let slow = SlowFiles::before(&service.client.url, ".woff2");
    for (name, screen) in SCREENS {
        let bracket = format!("/tournaments/{}/bracket", cup.id);
        for page in ["/", "/leaderboard", "/tournaments", &bracket, "/login"] {
            // Nothing is kept of the page before.
            let browser = Chromium::open(&slow.url, name, screen).await;
            browser.go(page).await;
            browser.watch_for_shifts_from_the_beginning().await;
            eventually("the fonts are there", async || {
                let faces = "return [...document.fonts].filter(it => it.status === 'loaded' && !it.family.includes('fallback')).length";
                (browser.run(faces).await == 2).then_some(())
            })
            .await;
            let shifts = browser.shifts().await;
            let moved = browser.run("return window.shifts.reduce((sum, it) => sum + it.value, 0)").await;
            assert!(moved.as_f64() < Some(0.02), "{page} on {name}: {shifts:?}");
            browser.close().await;
        }
    }
    slow.close().await;
    service.stop().await;
}
