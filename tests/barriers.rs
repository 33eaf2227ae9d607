//! Every page in a real browser: nothing on it is a barrier and nothing stands beside it, whatever the screen and the theme, however wide
//! names are; and whoever is on two of them has the same figures on both.

use std::collections::BTreeSet;

use mohaa_stats::auth::make_login_link;
use mohaa_stats::routes;
use mohaa_stats::simulate::{DialectChoice, SimulateOptions, run};
use mohaa_stats::users::{self, Role};
use serde_json::{Value, json};

use crate::support::{Chromium, Cup, DESKTOP, PHONE, Service, Theme, eventually};

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

/// 31 characters, which is what the game shows, all of the widest glyph.
const WIDE: &str = "^1W^2W^3WWWWWWWWWWWWWWWWWWWWWWWWWWWWW";
const WIDE_MAP: &str = "dm/WWWWWWWWWWWWWWWWWWWWWWWWWWWW";

/// As whom a page is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum As {
    Nobody,
    Player,
    Admin,
}

/// A page, by its route and the address of one that has something to show.
struct Shown {
    route: &'static str,
    path: String,
    viewer: As,
    status: u16,
}

fn shown(viewer: As, route: &'static str, path: impl Into<String>) -> Shown {
    Shown { route, path: path.into(), viewer, status: 200 }
}

/// What is wrong says so, in the site's own words.
fn refused(viewer: As, route: &'static str, path: impl Into<String>, status: u16) -> Shown {
    Shown { status, ..shown(viewer, route, path) }
}

/// A service with something on each page, and who looks at them.
struct World {
    service: Service,
    pages: Vec<Shown>,
    /// Where player and admin sign in; each is good once.
    player_links: Vec<String>,
    admin_links: Vec<String>,
}

/// Where somebody signs in, once for each browser.
async fn links(service: &Service, user_id: i32) -> Vec<String> {
    let pool = &service.application.postgres;
    let mut links = Vec::new();
    for _ in 0..2 {
        links.push(make_login_link(pool, user_id, "").await.unwrap());
    }
    links
}

/// A match of wide names on a wide map that is over, and one that goes on.
async fn wide_matches(service: &Service) -> String {
    let (server_id, token) = service.add_server(&"W".repeat(31)).await;
    let server = service.client.with_token(&token);
    for match_id in ["wide", "wide-now"] {
        let at = |at: f64, of: Value| {
            let mut event = of;
            event["match_id"] = match_id.into();
            event["timestamp"] = at.into();
            event["map_name"] = WIDE_MAP.into();
            event["gametype"] = 2.into();
            event
        };
        let mut events = vec![at(1.0, json!({"type": "match_start"}))];
        for number in 0..8 {
            let (killer, victim) = if number % 2 == 0 { ("wide-1", "wide-2") } else { ("wide-2", "wide-1") };
            let sides = if number % 2 == 0 { ("allies", "axis") } else { ("axis", "allies") };
            events.push(at(
                5.0 + f64::from(number) * 9.0,
                json!({
                    "type": "player_kill", "weapon": "M1 Garand", "hitloc": "head",
                    "attacker_name": WIDE, "attacker_guid": killer, "attacker_team": sides.0,
                    "attacker_x": 10.0, "attacker_y": 20.0, "attacker_z": 0.0,
                    "victim_name": WIDE, "victim_guid": victim, "victim_team": sides.1,
                    "victim_x": 500.0, "victim_y": 700.0, "victim_z": 0.0,
                }),
            ));
        }
        events.push(at(80.0, json!({
            "type": "heartbeat", "allies_score": 12_345, "axis_score": 54_321, "player_count": 2, "round_number": 2,
        })));
        if match_id == "wide" {
            events.push(at(90.0, json!({"type": "match_end", "winning_team": "allies"})));
        }
        let count = events.len() as u64;
        server.send(json!(events).to_string()).await.assert_batch(202, count, &[]);
    }
    server_id.to_string()
}

/// A cup with results, a dispute and a plan; one that is over; a league; one that can be entered; and a draft.
async fn cups(service: &Service, organizer: &str, server_id: &str) -> [Cup; 5] {
    let client = &service.client;
    let name = "W".repeat(31);
    let settings = json!({
        "name": name, "format": "double_elimination", "best_of": 3, "description": "Be on time.",
        "map_pool": [WIDE_MAP, "dm/mohdm1", "dm/mohdm2"],
    });
    let bracket = Cup::draft(client, organizer, settings).await;
    bracket.moves_to("registration_open").await;
    let wide = |last: char| format!("^1W^2W^3{}{last}", "W".repeat(28));
    for name in [WIDE, "Two", &wide('M'), "Four", &wide('@'), "Six", "Seven", &wide('&')] {
        bracket.enters(name).await;
    }
    bracket.moves_to("registration_closed").await;
    bracket.moves_to("in_progress").await;
    bracket.reports("W1.1", 2, 1).await;
    bracket.reports("W1.2", 0, 2).await;
    bracket.does("/matches/W1.3/report", json!({ "forfeit": 2 })).await;
    bracket.does("/matches/W1.3/dispute", json!({ "reason": "W".repeat(200) })).await;
    let plan = json!({ "server_id": server_id, "scheduled_at": "2030-01-02T20:00:00Z", "map": WIDE_MAP });
    bracket.does("/matches/W1.4/schedule", plan).await;
    let settings =
        json!({ "name": name, "format": "single_elimination", "options": { "third_place": true } });
    let over = Cup::begun(client, organizer, settings, 4).await;
    over.plays(|_| 1).await;
    let league = json!({ "name": name, "format": "round_robin" });
    let league = Cup::begun(client, organizer, league, 5).await;
    league.reports("G1.R1.1", 2, 1).await;
    let open = json!({ "name": name, "format": "swiss", "start_time": "2030-01-02T20:00:00Z" });
    let open = Cup::draft(client, organizer, open).await;
    open.moves_to("registration_open").await;
    open.enters(WIDE).await;
    let draft = json!({ "name": name, "format": "group_stage", "team_size": 4 });
    [bracket, over, league, open, Cup::draft(client, organizer, draft).await]
}

async fn world(name: &str) -> World {
    use As::{Admin, Nobody, Player};
    let service = season(name).await;
    let pool = service.application.postgres.clone();
    let wide_server = wide_matches(&service).await;
    service.client.settled().await;
    let (admin_id, admin) = service.add_user(&"W".repeat(31), Role::Admin).await;
    let player = users::add(&pool, &"W".repeat(31).parse().unwrap(), Role::Player).await.unwrap();
    service.link_player(player.user_id, "wide-1").await;
    let waiting = json!({ "client_name": "W".repeat(31) }).to_string();
    let headers = [("Content-Type", "application/json")];
    let device = service.client.post("/api/v1/auth/device/init", &headers, waiting).await.unwrap().json();
    let user_code = device["user_code"].as_str().unwrap();
    let unused = make_login_link(&pool, player.user_id, "").await.unwrap();
    let [bracket, over, league, open, draft] = cups(&service, &admin, &wide_server).await;

    let wide_match = eventually("the wide match is over", async || {
        let list = service.client.get("/api/v1/stats/player/wide-1/matches").await.json();
        let matches = list["matches"].as_array()?;
        let over = matches.iter().find(|one| !one["ended_at"].is_null())?;
        (matches.len() == 2).then(|| over["match_id"].as_str().map(str::to_owned))?
    })
    .await;
    let players = listed(&service, "/api/v1/stats/leaderboard", "players", "player_id").await;
    let matches = listed(&service, "/api/v1/stats/matches?limit=100", "matches", "match_id").await;
    let live = listed(&service, "/api/v1/stats/live", "matches", "match_id").await;
    let maps = listed(&service, "/api/v1/stats/maps", "maps", "map_name").await;
    let weapons = listed(&service, "/api/v1/stats/weapons", "weapons", "slug").await;
    let (one, ended) = (&players[0], matches.last().unwrap());

    let mut pages = vec![
        shown(Nobody, "/", "/"),
        shown(Nobody, "/leaderboard", "/leaderboard"),
        shown(Nobody, "/leaderboard", "/leaderboard?stat=accuracy&period=week"),
        shown(Nobody, "/leaderboard", "/leaderboard?filter[map]=dm/none"),
        refused(Nobody, "/leaderboard", "/leaderboard?nonsense=1", 422),
        shown(Nobody, "/players/{id}", format!("/players/{one}")),
        shown(Nobody, "/players/{id}", "/players/wide-1"),
        refused(Nobody, "/players/{id}", "/players/nobody-at-all", 404),
        shown(Nobody, "/players/{id}/maps", "/players/wide-1/maps"),
        shown(Nobody, "/players/{id}/matches", "/players/wide-1/matches"),
        shown(Nobody, "/players/{id}/rivals", "/players/wide-1/rivals"),
        shown(Nobody, "/compare", format!("/compare?players=wide-1,wide-2,{one}")),
        shown(Nobody, "/matches", "/matches"),
        shown(Nobody, "/matches/{id}", format!("/matches/{ended}")),
        shown(Nobody, "/matches/{id}", format!("/matches/{wide_match}")),
        shown(Nobody, "/maps", "/maps"),
        shown(Nobody, "/maps/{map:.+}", format!("/maps/{}", maps[0])),
        shown(Nobody, "/maps/{map:.+}", format!("/maps/{WIDE_MAP}")),
        shown(Nobody, "/weapons", "/weapons"),
        shown(Nobody, "/weapons/{slug}", format!("/weapons/{}", weapons[0])),
        shown(Nobody, "/servers", "/servers"),
        shown(Nobody, "/servers/{id}", format!("/servers/{wide_server}")),
        shown(Nobody, "/search", "/search"),
        shown(Nobody, "/search", "/search?q=W"),
        shown(Nobody, "/search", "/search?q=nobody-at-all"),
        shown(Nobody, "/achievements", "/achievements"),
        shown(Nobody, "/live", "/live"),
        shown(Nobody, "/tournaments", "/tournaments"),
        shown(Nobody, "/login", "/login"),
        shown(Nobody, "/login/link/{code}", unused),
        shown(Nobody, "/api/docs", "/api/docs"),
        refused(Nobody, "", "/nowhere", 404),
        shown(Player, "/account", "/account"),
        shown(Player, "/device", "/device"),
        shown(Player, "/device", format!("/device?user_code={user_code}")),
        refused(Player, "/admin", "/admin", 403),
        shown(Admin, "/admin", "/admin"),
        shown(Admin, "/admin/servers", "/admin/servers"),
        shown(Admin, "/admin/users", "/admin/users"),
        shown(Admin, "/admin/players", "/admin/players"),
        shown(Admin, "/admin/maps", "/admin/maps"),
        shown(Admin, "/admin/audit", "/admin/audit"),
        shown(Admin, "/ops", "/ops"),
        shown(Admin, "/ops/runbook", "/ops/runbook"),
        shown(Admin, "/tournaments/new", "/tournaments/new"),
    ];
    pages.extend(live.iter().map(|id| shown(Nobody, "/live/{id}", format!("/live/{id}"))));
    let of = |viewer, cup: &Cup, routes: &[&'static str]| {
        routes
            .iter()
            .map(move |route| shown(viewer, route, route.replace("{id}", &cup.id).replace("{key}", "W1.3")))
            .collect::<Vec<_>>()
    };
    let everybodys = [
        "/tournaments/{id}",
        "/tournaments/{id}/participants",
        "/tournaments/{id}/bracket",
        "/tournaments/{id}/standings",
        "/tournaments/{id}/schedule",
    ];
    let embedded = ["/embed/tournaments/{id}", "/embed/tournaments/{id}/overlay"];
    for cup in [&bracket, &over, &league] {
        pages.extend(of(Nobody, cup, &everybodys));
        pages.extend(of(Nobody, cup, &embedded));
    }
    pages.extend(of(Nobody, &bracket, &["/tournaments/{id}/matches/{key}"]));
    pages.extend(of(Player, &open, &everybodys[..2]));
    let organizers = [
        "/tournaments/{id}/matches/{key}",
        "/tournaments/{id}/admin",
        "/tournaments/{id}/admin/settings",
        "/tournaments/{id}/admin/audit",
    ];
    pages.extend(of(Admin, &bracket, &organizers));
    pages.extend(of(Admin, &draft, &organizers[1..]));
    let correct = "/tournaments/{id}/matches/{key}/correct";
    for query in ["", "?score1=1&score2=2"] {
        let path = format!("/tournaments/{}/matches/W1.1/correct{query}", bracket.id);
        pages.push(shown(Admin, correct, path));
    }
    let (player_links, admin_links) =
        (links(&service, player.user_id).await, links(&service, admin_id).await);
    World { service, pages, player_links, admin_links }
}

/// Whether a route leads people to a page: not programs, and to no picture or stream.
fn is_page(path: &str) -> bool {
    let is_for_programs = path.starts_with("/api/") && path != "/api/docs";
    let is_for_operators = ["/health", "/ready", "/metrics"].contains(&path);
    let is_part = [".png", ".svg", "/stream"].iter().any(|ending| path.ends_with(ending));
    !is_for_programs && !is_for_operators && !is_part
}

#[actix_web::test]
async fn no_page_has_a_barrier_or_scrolls_sideways_on_any_screen_in_either_theme() {
    let world = world("barriers").await;
    let looked_at: BTreeSet<&str> = world.pages.iter().map(|page| page.route).collect();
    let routes = routes::all();
    let gets = routes.iter().filter(|route| route.method == "GET" && is_page(route.path));
    let missing: Vec<&str> = gets.map(|route| route.path).filter(|path| !looked_at.contains(path)).collect();
    assert_eq!(missing, Vec::<&str>::new(), "pages that nobody looks at");

    let mut found = Vec::new();
    for (number, (name, screen, theme)) in
        [("phone", PHONE, Theme::Dark), ("desktop", DESKTOP, Theme::Light)].into_iter().enumerate()
    {
        let browser = Chromium::open_in(&world.service.client.url, name, screen, theme).await;
        for viewer in [As::Nobody, As::Player, As::Admin] {
            let links = match viewer {
                As::Nobody => None,
                As::Player => Some(&world.player_links),
                As::Admin => Some(&world.admin_links),
            };
            if let Some(links) = links {
                browser.forget().await;
                browser.go(&links[number]).await;
                browser.click("Sign in").await;
                browser.arrives_at("/").await;
            }
            for page in world.pages.iter().filter(|page| page.viewer == viewer) {
                let problems = problems(&browser, page, theme).await;
                found.extend(
                    problems.into_iter().map(|it| format!("{} as {viewer:?}, {name}: {it}", page.path)),
                );
            }
        }
        browser.close().await;
    }
    assert!(found.is_empty(), "{} barriers:\n{}", found.len(), found.join("\n"));
    world.service.stop().await;
}

/// What is wrong with a page: as it comes, and in the other theme.
async fn problems(browser: &Chromium, page: &Shown, theme: Theme) -> Vec<String> {
    browser.go(&page.path).await;
    let mut found = Vec::new();
    let status = browser.run("return performance.getEntriesByType('navigation')[0].responseStatus").await;
    if status != page.status {
        found.push(format!("answers {status}"));
    }
    browser.run("document.querySelectorAll('details').forEach(it => { it.open = true })").await;
    browser.picture(&page.path.replace(['/', '?', '[', ']', '='], "_")).await;
    let (media, other) = match theme {
        Theme::Dark => ("dark", "light"),
        Theme::Light => ("light", "dark"),
    };
    let is_followed = format!("return matchMedia('(prefers-color-scheme: {media})').matches");
    assert_eq!(browser.run(&is_followed).await, true);
    found.extend(browser.stands_out().await);
    for theme in [media, other] {
        browser.run(&format!("document.documentElement.dataset.theme = '{theme}'")).await;
        found.extend(browser.barriers().await.into_iter().map(|barrier| format!("{theme}: {barrier}")));
    }
    found
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
