//! Tournaments by their pages: a whole cup in real browsers, and one by plain forms.

use mohaa_stats::auth::make_login_link;
use mohaa_stats::users::{self, Role};
use serde_json::json;

use crate::support::{
    Browser, Chromium, Cup, DESKTOP, PHONE, Reply, Service, SlowFiles, eventually, sooner_or_later,
};

/// A name that would be markup, if names were.
const HOSTILE: &str = "^1<script>alert(1)</script>\"&";

async fn link_of(service: &Service, name: &str, role: Role) -> (i32, String) {
    let pool = &service.application.postgres;
    let user = users::add(pool, &name.parse().unwrap(), role).await.unwrap();
    (user.user_id, make_login_link(pool, user.user_id, "").await.unwrap())
}

/// Somebody who is signed in, without scripts.
async fn signed_in(service: &Service, name: &str, role: Role) -> Browser {
    signed_in_with_guid(service, name, role).await.0
}

/// And as whom they play.
async fn signed_in_with_guid(service: &Service, name: &str, role: Role) -> (Browser, String) {
    let (user_id, link) = link_of(service, name, role).await;
    let guid = format!("guid-{user_id}");
    service.link_player(user_id, &guid).await;
    let browser = Browser::new(&service.client);
    assert_eq!(browser.get(&link).await.status, 200);
    assert_eq!(browser.post(&link, &[]).await.status, 303);
    (browser, guid)
}

/// A game of two players on the service's own server, of which the first wins with ten to four.
async fn is_played(service: &Service, match_token: &str, winner: &str, loser: &str) {
    let kill = json!({
        "type": "player_kill", "match_id": "game", "timestamp": 10.0, "weapon": "M1 Garand", "map_name": "dm/mohdm1",
        "gametype": "tdm", "match_token": match_token,
        "attacker_name": "A", "attacker_guid": winner, "attacker_team": "allies",
        "victim_name": "B", "victim_guid": loser, "victim_team": "axis",
    });
    let mut back = kill.clone();
    for (to, from) in [("attacker_guid", "victim_guid"), ("attacker_team", "victim_team")] {
        back[to] = kill[from].clone();
        back[from] = kill[to].clone();
    }
    back["timestamp"] = json!(20.0);
    let end = json!({"type": "match_end", "match_id": "game", "timestamp": 60.0, "allies_score": 10, "axis_score": 4});
    service.client.send(json!([kill, back, end]).to_string()).await.assert_batch(202, 3, &[]);
}

/// A form that does what it says, and leads to a page.
async fn does(browser: &Browser, path: &str, fields: &[(&str, &str)]) -> String {
    let reply = browser.post(path, fields).await;
    assert_eq!(reply.status, 303, "{path}: {}", reply.text);
    let location = reply.header("location").unwrap().to_owned();
    location.split('#').next().unwrap().to_owned()
}

async fn sees(browser: &Browser, path: &str) -> String {
    let page = browser.get(path).await;
    assert_eq!(page.status, 200, "{path}: {}", page.text);
    page.text
}

/// Waits until the service says so over its API.
async fn is_so(service: &Service, path: &str, field: &str, value: serde_json::Value) {
    eventually(&format!("{field} of {path} is {value}"), async || {
        (service.client.get(path).await.json()[field] == value).then_some(())
    })
    .await;
}

#[actix_web::test]
async fn a_cup_is_run_by_pages_while_a_spectator_follows_it() {
    let service = Service::start("cup_by_pages").await;
    let (_, link) = link_of(&service, "Chief", Role::Organizer).await;
    let organizer = Chromium::open(&service.client.url, "cup-organizer", DESKTOP).await;
    organizer.go(&link).await;
    organizer.click("Sign in").await;
    organizer.arrives_at("/").await;
    organizer.go("/tournaments").await;
    organizer.comes_to_say("No tournament yet").await;
    organizer.click("New tournament").await;
    organizer.arrives_at("/tournaments/new").await;
    organizer.assert_fits().await;
    organizer.picture("1-new").await;
    organizer.type_into("#name", "Winter Cup").await;
    organizer.click("Make the tournament").await;
    organizer.comes_to_say("Nothing was done yet").await;
    let admin = organizer.path().await;
    let cup = admin.strip_suffix("/admin").unwrap().to_owned();
    let api = format!("/api/v1{cup}");
    organizer.click("Open registration").await;
    organizer.comes_to_say("Close registration").await;

    let spectator = Chromium::open(&service.client.url, "cup-spectator", PHONE).await;
    spectator.go(&cup).await;
    spectator.comes_to_say("Registration open").await;
    spectator.run("window.loadedOnce = true").await;
    let (mut players, mut guids) = (Vec::new(), Vec::new());
    for name in ["Anna", "Bert", "Cleo", "Dora", "Emil", "Frida", "Gustav", "Hanna"] {
        let (player, guid) = signed_in_with_guid(&service, name, Role::Player).await;
        assert!(sees(&player, &cup).await.contains("Take part"));
        assert_eq!(does(&player, &format!("{cup}/register"), &[]).await, cup);
        players.push(player);
        guids.push(guid);
    }
    spectator.comes_to_say("8 of 64 players").await;
    organizer.comes_to_say("Hanna").await;
    organizer.run("window.loadedOnce = true").await;
    organizer.click("Close registration").await;
    organizer.comes_to_say("Open check-in").await;
    organizer.click("Open check-in").await;
    is_so(&service, &api, "status", json!("checkin")).await;
    assert_eq!(
        organizer.run("return window.loadedOnce").await,
        true,
        "forms are sent without loading the page"
    );
    assert_eq!(organizer.path().await, admin, "the address of a form is nobody's to come back to");
    for player in &players {
        assert!(sees(player, &cup).await.contains("Check in"));
        does(player, &format!("{cup}/checkin"), &[]).await;
    }
    organizer.go(&admin).await;
    organizer.assert_fits().await;
    organizer.picture("2-check-in").await;
    spectator.go(&format!("{cup}/bracket")).await;
    spectator.comes_to_say("The bracket is not drawn yet").await;
    organizer.click("Start").await;
    spectator.comes_to_say("Semi-finals").await;
    spectator.comes_to_say("Hanna").await;
    // Each step until the beginning comes as a page of its own; from here on nothing does.
    spectator.run("window.loadedOnce = true").await;
    spectator.assert_fits().await;
    spectator.picture("3-bracket").await;

    // The first against the last: both captains agree.
    let [anna, _, _, dora, emil, _, _, hanna] = &players[..] else { panic!("there are eight") };
    let one = |key: &str, act: &str| format!("{cup}/matches/{key}{act}");
    assert!(sees(anna, &cup).await.contains("Your next match"));
    does(anna, &one("R1.1", "/report"), &[("score1", "10"), ("score2", "4")]).await;
    assert!(!sees(anna, &one("R1.1", "")).await.contains("Confirm this result"));
    assert!(sees(hanna, &one("R1.1", "")).await.contains("Confirm this result"));
    spectator.comes_to_say("Reported").await;
    does(hanna, &one("R1.1", "/confirm"), &[]).await;
    // Dora and Emil don't.
    does(dora, &one("R1.2", "/report"), &[("score1", "10"), ("score2", "8")]).await;
    does(emil, &one("R1.2", "/report"), &[("score1", "3"), ("score2", "10")]).await;
    spectator.comes_to_say("Disputed").await;
    organizer.go(&admin).await;
    organizer.comes_to_say("Disputes").await;
    organizer.go(&one("R1.2", "")).await;
    organizer.comes_to_say("The reports differ.").await;
    let page = organizer.text().await;
    assert!(page.contains("10–8") && page.contains("3–10"), "{page}");
    organizer.assert_fits().await;
    organizer.picture("4-dispute").await;
    organizer.click("This one holds").await;
    is_so(&service, &format!("{api}/matches/R2.1"), "status", json!("ready")).await;
    // Bert's and Gustav's game is reported by the server that it is given to.
    organizer.go(&one("R1.3", "")).await;
    let has_server = "return document.querySelector('#server_id').value = document.querySelector('#server_id').options[1].value";
    assert_eq!(organizer.run(has_server).await, service.server_id.to_string());
    organizer.click("Save").await;
    organizer.comes_to_say("It is shown this once").await;
    let match_token = organizer.text_of(".code-plate code").await;
    is_played(&service, &match_token, &guids[1], &guids[6]).await;
    is_so(&service, &format!("{api}/matches/R1.3"), "status", json!("completed")).await;
    organizer.go(&one("R1.3", "")).await;
    organizer.comes_to_say("by game server").await;

    // The referee's word on the rest, and on the final.
    for key in ["R1.4", "R2.1", "R2.2", "R3.1"] {
        organizer.go(&one(key, "")).await;
        organizer.type_into("#report-score1", "10").await;
        organizer.type_into("#report-score2", "2").await;
        organizer.click("Report").await;
        is_so(&service, &format!("{api}/matches/{key}"), "status", json!("completed")).await;
    }
    is_so(&service, &api, "status", json!("completed")).await;
    eventually("the result is announced", async || {
        let said = spectator.run("return document.querySelector('[data-said-by]').textContent").await;
        (said == "R3.1: Anna 10, Bert 2").then_some(())
    })
    .await;
    assert_eq!(spectator.run("return window.loadedOnce").await, true, "nothing was loaded again");
    spectator.assert_fits().await;
    spectator.picture("5-over").await;
    organizer.go(&cup).await;
    assert!(organizer.text_of(".place-1").await.contains("Anna"));
    organizer.picture("6-champion").await;

    // Hanna had won after all: semi-final and final fall, and one undo brings them back.
    organizer.go(&one("R1.1", "/correct")).await;
    organizer.retype("#correct-score1", "4").await;
    organizer.retype("#correct-score2", "10").await;
    organizer.click("See what follows").await;
    organizer.comes_to_say("2 later matches fall").await;
    organizer.comes_to_say("The tournament is under way again").await;
    organizer.picture("7-preview").await;
    assert_eq!(service.client.get(&api).await.json()["status"], "completed", "a preview changes nothing");
    organizer.click("Correct it").await;
    is_so(&service, &api, "status", json!("in_progress")).await;
    spectator.comes_to_say("Under way").await;
    organizer.go(&admin).await;
    organizer.comes_to_say("fell: R2.1, R3.1").await;
    organizer.click("Take the last change back").await;
    let asked = organizer.text_of("dialog[open]").await;
    assert!(asked.contains("Corrected R1.1: 4–10") && asked.contains("fell: R2.1, R3.1"), "{asked}");
    organizer.picture("8-undo").await;
    organizer.click("Take it back").await;
    is_so(&service, &api, "status", json!("completed")).await;
    spectator.go(&cup).await;
    assert!(spectator.text_of(".place-1").await.contains("Anna"));
    spectator.assert_fits().await;
    spectator.close().await;
    organizer.close().await;
    service.stop().await;
}

#[actix_web::test]
async fn what_cannot_simply_be_done_again_is_asked_first() {
    let service = Service::start("asked_first").await;
    let chief = signed_in(&service, "Chief", Role::Organizer).await;
    let admin = does(&chief, "/tournaments", &[("name", "Cup"), ("format", "single_elimination")]).await;
    does(&chief, &format!("{admin}/status"), &[("status", "registration_open")]).await;
    let cup = admin.strip_suffix("/admin").unwrap().to_owned();
    let (anna_id, link) = link_of(&service, "Anna", Role::Player).await;
    service.link_player(anna_id, "anna").await;

    let anna = Chromium::open(&service.client.url, "asked-first", PHONE).await;
    anna.go(&link).await;
    anna.click("Sign in").await;
    anna.arrives_at("/").await;
    anna.go(&cup).await;
    anna.click("Take part").await;
    anna.comes_to_say("Withdraw").await;
    let is_in = async || {
        let now = service.client.get(&format!("/api/v1{cup}")).await.json();
        now["participants"] == 1
    };
    assert!(is_in().await);

    // By keyboard: asked, and left alone.
    let focused = "return document.activeElement.textContent.trim()";
    anna.run("document.querySelector('.ask > summary').focus()").await;
    anna.press("\u{e007}").await;
    anna.comes_to_say("Your place becomes free").await;
    assert_eq!(anna.run("return document.querySelector('dialog').matches(':modal')").await, true);
    assert_eq!(anna.run(focused).await, "Back", "the first key does no harm");
    anna.picture("dialog").await;
    anna.assert_fits().await;
    anna.press("\u{e00c}").await;
    anna.comes_to_hide("Your place becomes free").await;
    assert_eq!(anna.run(focused).await, "Withdraw");
    anna.click("Withdraw").await;
    anna.click("Back").await;
    anna.comes_to_hide("Your place becomes free").await;
    assert!(is_in().await);

    // What others do meanwhile takes nothing from under the hand.
    anna.click("Withdraw").await;
    let bert = signed_in(&service, "Bert", Role::Player).await;
    does(&bert, &format!("{cup}/register"), &[]).await;
    anna.comes_to_say("2 of 64 players").await;
    assert_eq!(anna.run("return document.querySelector('dialog').matches(':modal')").await, true);
    anna.run("document.querySelector('dialog .button-danger').click()").await;
    anna.comes_to_say("the place is given back").await;
    assert_eq!(anna.run("return document.querySelector('dialog[open]')").await, json!(null));
    anna.close().await;
    service.stop().await;
}

#[actix_web::test]
async fn a_cup_is_played_with_scripts_off() {
    let service = Service::start("cup_without_scripts").await;
    let (_, link) = link_of(&service, "Chief", Role::Organizer).await;
    let organizer = Chromium::open_without_scripts(&service.client.url, "plain-organizer", DESKTOP).await;
    organizer.go(&link).await;
    organizer.click("Sign in").await;
    organizer.arrives_at("/").await;
    organizer.go("/tournaments").await;
    organizer.click("New tournament").await;
    organizer.arrives_at("/tournaments/new").await;
    organizer.type_into("#name", "Winter Cup").await;
    organizer.click("Make the tournament").await;
    organizer.comes_to_say("Nothing was done yet").await;
    let admin = organizer.path().await;
    let cup = admin.strip_suffix("/admin").unwrap().to_owned();
    let api = format!("/api/v1{cup}");
    organizer.click("Open registration").await;
    is_so(&service, &api, "status", json!("registration_open")).await;

    let (anna_id, link) = link_of(&service, "Anna", Role::Player).await;
    service.link_player(anna_id, "anna").await;
    let anna = Chromium::open_without_scripts(&service.client.url, "plain-player", PHONE).await;
    anna.go(&link).await;
    anna.click("Sign in").await;
    anna.arrives_at("/").await;
    anna.go(&cup).await;
    anna.click("Take part").await;
    anna.comes_to_say("Withdraw").await;
    let mut others = Vec::new();
    for name in ["Bert", "Cleo", "Dora", "Emil", "Frida", "Gustav", "Hanna"] {
        let player = signed_in(&service, name, Role::Player).await;
        does(&player, &format!("{cup}/register"), &[]).await;
        others.push(player);
    }
    organizer.go(&admin).await;
    organizer.click("Close registration").await;
    organizer.comes_to_say("Open check-in").await;
    organizer.click("Open check-in").await;
    is_so(&service, &api, "status", json!("checkin")).await;
    anna.go(&cup).await;
    anna.click("Check in").await;
    anna.comes_to_say("Checked in").await;
    for player in &others {
        does(player, &format!("{cup}/checkin"), &[]).await;
    }
    organizer.go(&admin).await;
    organizer.click("Start").await;
    is_so(&service, &api, "status", json!("in_progress")).await;

    let [_, _, dora, emil, _, _, hanna] = &others[..] else { panic!("there are seven") };
    let one = |key: &str, act: &str| format!("{cup}/matches/{key}{act}");
    let reports = async |browser: &Chromium, key: &str, score1: &str, score2: &str| {
        browser.go(&one(key, "")).await;
        browser.type_into("#report-score1", score1).await;
        browser.type_into("#report-score2", score2).await;
        browser.click("Report").await;
    };
    // The first against the last: both captains agree.
    anna.go(&cup).await;
    anna.comes_to_say("Your next match").await;
    reports(&anna, "R1.1", "10", "4").await;
    anna.comes_to_say("Reported, not confirmed").await;
    anna.assert_fits().await;
    does(hanna, &one("R1.1", "/confirm"), &[]).await;
    // Dora and Emil don't.
    does(dora, &one("R1.2", "/report"), &[("score1", "10"), ("score2", "8")]).await;
    does(emil, &one("R1.2", "/report"), &[("score1", "3"), ("score2", "10")]).await;
    organizer.go(&one("R1.2", "")).await;
    organizer.comes_to_say("The reports differ.").await;
    organizer.click("This one holds").await;
    is_so(&service, &format!("{api}/matches/R2.1"), "status", json!("ready")).await;
    for key in ["R1.3", "R1.4", "R2.1", "R2.2", "R3.1"] {
        reports(&organizer, key, "10", "2").await;
        is_so(&service, &format!("{api}/matches/{key}"), "status", json!("completed")).await;
    }
    is_so(&service, &api, "status", json!("completed")).await;
    anna.go(&cup).await;
    assert!(anna.text_of(".place-1").await.contains("Anna"));
    anna.picture("champion").await;

    // Hanna had won: what Anna won later falls, until that is taken back.
    organizer.go(&one("R1.1", "/correct")).await;
    organizer.retype("#correct-score1", "4").await;
    organizer.retype("#correct-score2", "10").await;
    organizer.click("See what follows").await;
    organizer.comes_to_say("2 later matches fall").await;
    organizer.picture("preview").await;
    organizer.click("Correct it").await;
    is_so(&service, &api, "status", json!("in_progress")).await;
    organizer.go(&admin).await;
    organizer.click("Take the last change back").await;
    organizer.comes_to_say("Corrected R1.1: 4–10").await;
    organizer.picture("asked").await;
    organizer.click("Take it back").await;
    is_so(&service, &api, "status", json!("completed")).await;
    anna.go(&cup).await;
    assert!(anna.text_of(".place-1").await.contains("Anna"));
    for browser in [&organizer, &anna] {
        assert_eq!(browser.run("return typeof window.htmx").await, "undefined", "no script has run");
    }
    anna.close().await;
    organizer.close().await;
    service.stop().await;
}

#[actix_web::test]
async fn htmx_gets_what_differs_and_everybody_else_whole_pages() {
    let service = Service::start("parts_of_pages").await;
    let (_, organizer) = service.add_user("Maker", Role::Organizer).await;
    let cup =
        Cup::draft(&service.client, &organizer, json!({"name": "Cup", "format": "single_elimination"})).await;
    let path = format!("/tournaments/{}", cup.id);
    let ask =
        async |headers: &[(&str, &str)]| service.client.call("GET", &path, headers, String::new()).await;
    let whole = ask(&[]).await;
    assert!(whole.text.starts_with("<!doctype html>") && whole.text.trim_end().ends_with("</html>"));
    let part = ask(&[("HX-Request", "true"), ("HX-Request-Type", "partial")]).await;
    assert!(part.text.starts_with("<title>Cup · mohaa-stats</title>"), "{}", part.text);
    assert!(!part.text.contains("<html") && !part.text.contains("<nav class=\"site-nav\""), "{}", part.text);
    let content = |text: &str| text.split_once("<div id=\"tournament\"").unwrap().1.len();
    assert!(content(&whole.text) >= content(&part.text));
    for (reply, what) in [(&whole, "whole"), (&part, "part")] {
        let vary: Vec<&str> =
            reply.headers.get_all("vary").iter().filter_map(|value| value.to_str().ok()).collect();
        assert!(vary.join(", ").contains("HX-Request-Type"), "{what}: {vary:?}");
    }
    let full = ask(&[("HX-Request", "true"), ("HX-Request-Type", "full")]).await;
    assert!(full.text.starts_with("<!doctype html>"), "a page that is to be selected from is whole");
    service.stop().await;
}

#[actix_web::test]
async fn seeds_are_moved_by_buttons_and_dragged_rows_keep_their_numbers() {
    let service = Service::start("seeds_by_pages").await;
    let (_, link) = link_of(&service, "Chief", Role::Admin).await;
    let (_, organizer) = service.add_user("Maker", Role::Organizer).await;
    let cup =
        Cup::draft(&service.client, &organizer, json!({"name": "Cup", "format": "single_elimination"})).await;
    for name in ["First", "Second", "Third"] {
        cup.enters(name).await;
    }
    let browser = Chromium::open(&service.client.url, "seeds", DESKTOP).await;
    let kept = async |seeds: [&str; 3]| {
        sooner_or_later(&format!("the seeds {seeds:?} are kept"), async || {
            let all = cup.get("/participants").await;
            let entrants = all["participants"].as_array().into_iter().flatten();
            let names: Vec<_> = entrants.map(|one| one["name"].clone()).collect();
            if names == seeds { Ok(()) } else { Err(format!("{names:?}")) }
        })
        .await;
    };
    browser.go(&link).await;
    browser.click("Sign in").await;
    browser.arrives_at("/").await;
    browser.go(&format!("/tournaments/{}/admin", cup.id)).await;
    browser.run("document.querySelector('[aria-label=\"Move Third up\"]').click()").await;
    browser.run("document.querySelector('[aria-label=\"Move Third up\"]').click()").await;
    browser.picture("moved").await;
    browser.click("Save the seeds").await;
    kept(["Third", "First", "Second"]).await;
    // Over both of the others.
    browser.go(&format!("/tournaments/{}/admin", cup.id)).await;
    browser.drag(".seed-row:last-child .seed-handle", -200.0).await;
    browser.click("Save the seeds").await;
    kept(["Second", "Third", "First"]).await;
    browser.close().await;
    service.stop().await;
}

#[actix_web::test]
async fn a_live_match_is_seen_inside_its_bracket() {
    let service = Service::start("cup_live").await;
    let (_, organizer) = service.add_user("Maker", Role::Organizer).await;
    let cup =
        Cup::begun(&service.client, &organizer, json!({"name": "Cup", "format": "single_elimination"}), 4)
            .await;
    let (server_id, token) = service.add_server("Stalingrad").await;
    cup.does("/matches/R1.1/schedule", json!({"server_id": server_id})).await;
    let browser = Chromium::open(&service.client.url, "cup-live", PHONE).await;
    browser.go(&format!("/tournaments/{}/bracket", cup.id)).await;
    browser.comes_to_say("Semi-finals").await;
    browser.run("window.loadedOnce = true").await;
    browser.watch_for_shifts().await;
    let server = service.client.with_token(&token);
    let score = |at: f64, allies: i32| {
        json!({
            "type": "heartbeat", "match_id": "game", "timestamp": at, "allies_score": allies, "axis_score": 3, "player_count": 2,
        })
    };
    let start = json!({
        "type": "match_start", "match_id": "game", "timestamp": 1.0, "map_name": "dm/mohdm1", "gametype": 2,
    });
    server.send(json!([start, score(5.0, 5)]).to_string()).await.assert_batch(202, 2, &[]);
    browser.comes_to_say("5–3").await;
    browser.picture("1-live").await;
    server.send(json!([score(9.0, 7)]).to_string()).await.assert_batch(202, 1, &[]);
    browser.comes_to_say("7–3").await;
    assert_eq!(browser.shifts().await, Vec::<String>::new(), "nothing moves while scores arrive");
    assert_eq!(browser.run("return window.loadedOnce").await, true, "nothing was loaded again");
    browser.assert_fits().await;
    browser.close().await;
    service.stop().await;
}

#[actix_web::test]
async fn a_bracket_is_a_list_on_phones_and_side_by_side_where_there_is_room_or_it_is_asked_for() {
    let service = Service::start("cup_views").await;
    let (_, organizer) = service.add_user("Maker", Role::Organizer).await;
    let cup =
        Cup::begun(&service.client, &organizer, json!({"name": "Cup", "format": "single_elimination"}), 8)
            .await;
    let bracket = format!("/tournaments/{}/bracket", cup.id);
    // Where each round begins, and whether the rounds are wider than what shows them.
    let rounds = "const at = [...document.querySelectorAll('.bracket-round')].map(it => it.getBoundingClientRect());
        const is = (before, now) => now.left > before.left ? 'beside' : now.top > before.bottom - 1 ? 'below' : 'over';
        return at.slice(1).map((now, number) => is(at[number], now)).join(' ')";
    let is_cut = "const shown = document.querySelector('.bracket-scroll'); return shown.scrollWidth > shown.clientWidth";

    let phone = Chromium::open(&service.client.url, "cup-views", PHONE).await;
    phone.go(&bracket).await;
    assert_eq!(phone.run(rounds).await, "below below");
    phone.assert_fits().await;
    phone.picture("1-list").await;
    phone.click("Side by side, as a bracket").await;
    phone.comes_to_say("Round by round, as a list").await;
    assert_eq!((phone.run(rounds).await, phone.run(is_cut).await), (json!("beside beside"), json!(true)));
    phone.click("Fit").await;
    assert_eq!(phone.run(is_cut).await, false, "all of it is seen");
    phone.picture("2-fits").await;
    cup.reports("R1.1", 2, 0).await;
    phone.comes_to_say("won").await;
    assert_eq!(phone.run(is_cut).await, false, "it keeps its size while matches are played");
    phone.click("+").await;
    assert_eq!(phone.run(is_cut).await, true);
    phone.assert_fits().await;
    phone.close().await;

    let desktop = Chromium::open_without_scripts(&service.client.url, "cup-views-plain", DESKTOP).await;
    desktop.go(&bracket).await;
    assert_eq!(desktop.text_of(".zoom").await, "", "what does nothing is not seen");
    desktop.picture("1-bracket").await;
    desktop.click("Round by round, as a list").await;
    desktop.comes_to_say("Side by side, as a bracket").await;
    desktop.picture("2-list").await;
    desktop.close().await;
    let reply = service.client.get(&format!("{bracket}?view=globe")).await;
    assert_eq!((reply.status.as_u16(), reply.text.contains("list or bracket")), (422, true));
    service.stop().await;
}

#[actix_web::test]
async fn a_page_follows_its_stream_however_late_its_scripts_come() {
    let service = Service::start("late_scripts").await;
    let (_, organizer) = service.add_user("Maker", Role::Organizer).await;
    let cup =
        Cup::begun(&service.client, &organizer, json!({"name": "Cup", "format": "single_elimination"}), 2)
            .await;
    let slow = SlowFiles::before(&service.client.url, "hx-");
    let browser = Chromium::open(&slow.url, "late-scripts", PHONE).await;
    browser.go(&format!("/tournaments/{}", cup.id)).await;
    cup.reports("R1.1", 2, 0).await;
    browser.comes_to_say("Final places").await;
    browser.close().await;
    slow.close().await;
    service.stop().await;
}

#[actix_web::test]
async fn a_cup_is_run_by_plain_forms() {
    let service = Service::start("cup_by_forms").await;
    let organizer = signed_in(&service, "Chief", Role::Organizer).await;
    let mistaken = organizer.post("/tournaments", &[("name", ""), ("description", "Kept")]).await;
    assert_eq!(mistaken.status, 422, "{}", mistaken.text);
    assert!(mistaken.text.contains("Name: 1 to 200 characters") && mistaken.text.contains("Kept"));
    let wrong = r#"name="name" value="" required maxlength="200" autocomplete="off" aria-invalid="true" aria-describedby="name-mistake name-help""#;
    assert!(mistaken.text.contains(wrong) && mistaken.text.matches("aria-invalid").count() == 1);
    let late = [
        ("name", "Cup"),
        ("registration_start", "2030-01-02T20:00"),
        ("registration_end", "2030-01-01T20:00"),
    ];
    let mistaken = organizer.post("/tournaments", &late).await.text;
    assert!(mistaken.contains("Registration closes: after “Registration opens”"), "{mistaken}");
    let settings = [
        ("name", HOSTILE),
        ("format", "single_elimination"),
        ("best_of", "3"),
        ("map_pool", "dm/mohdm1\r\ndm/mohdm2\r\nobj/obj_team2\r\nobj/obj_team1"),
        ("options.third_place", "yes"),
    ];
    let admin = does(&organizer, "/tournaments", &settings).await;
    let cup = admin.strip_suffix("/admin").unwrap().to_owned();
    let start_time = "2030-01-02T20:00:07.500Z";
    let id = cup.rsplit('/').next().unwrap();
    let path = format!("/api/v1/tournaments/{id}");
    let (_, chief) = service.add_user("Admin", Role::Admin).await;
    service.client.call_as(&chief, "PUT", &path, json!({ "start_time": start_time })).await;
    let page = sees(&organizer, &format!("{admin}/settings")).await;
    let shown = page.split("name=\"start_time\" value=\"").nth(1).and_then(|rest| rest.split('"').next());
    let changed = [
        ("description", "Be on time."),
        ("options.best_of_rounds", "final 5"),
        ("start_time", shown.unwrap()),
    ];
    assert_eq!(does(&organizer, &format!("{admin}/settings"), &changed).await, admin);
    let api = service.client.get(&format!("/api/v1{cup}")).await.json();
    assert_eq!(
        (&api["best_of"], &api["options"]["third_place"]),
        (&json!(3), &json!(true)),
        "what was not sent stays"
    );
    assert_eq!(api["options"]["best_of_rounds"], json!({"final": 5}));
    assert_eq!(api["start_time"], start_time, "a field that nobody touched cuts nothing off");
    for name in ["Two", HOSTILE, "Three", "Four"] {
        does(&organizer, &format!("{admin}/enter"), &[("name", name)]).await;
    }
    let twice = [("seed_1", "1"), ("seed_2", "1")];
    let refused = organizer.post(&format!("{admin}/seeds"), &twice).await;
    assert_eq!(refused.status, 422, "{}", refused.text);
    does(&organizer, &format!("{admin}/seeds"), &[("seed_2", "1"), ("seed_1", "2")]).await;
    does(&organizer, &format!("{admin}/status"), &[("status", "registration_open")]).await;
    let stranger = signed_in(&service, "Stranger", Role::Player).await;
    does(&stranger, &format!("{cup}/register"), &[]).await;
    does(&stranger, &format!("{cup}/withdraw"), &[]).await;
    let not_allowed = stranger.post(&format!("{admin}/status"), &[("status", "cancelled")]).await;
    assert_eq!(not_allowed.status, 403);
    assert_eq!(stranger.get(&admin).await.status, 403);
    let as_staff = [("user_id", "7"), ("role", "referee")];
    assert_eq!(organizer.post(&format!("{admin}/staff"), &as_staff).await.status, 422);
    does(&organizer, &format!("{admin}/status"), &[("status", "registration_closed")]).await;
    does(&organizer, &format!("{admin}/status"), &[("status", "in_progress")]).await;

    let one = |key: &str, act: &str| format!("{cup}/matches/{key}{act}");
    does(&organizer, &one("R1.1", "/veto"), &[("map", "dm/mohdm1")]).await;
    does(&organizer, &one("R1.1", "/start"), &[]).await;
    let planned = [
        ("scheduled_at", "2030-01-02T20:00"),
        ("map", "dm/mohdm2"),
        ("stream_url", "https://example.org/live"),
    ];
    does(&organizer, &one("R1.1", "/schedule"), &planned).await;
    let page = sees(&organizer, &one("R1.1", "")).await;
    assert!(page.contains("2030-01-02 20:00") && page.contains("https://example.org/live"), "{page}");
    let games = [
        ("game1_map", "dm/mohdm2"),
        ("game1_score1", "10"),
        ("game1_score2", "4"),
        ("game2_map", "obj/obj_team2"),
        ("game2_score1", "10"),
        ("game2_score2", "9"),
    ];
    does(&organizer, &one("R1.1", "/report"), &games).await;
    let told = service.client.get(&format!("/api/v1{}", one("R1.1", ""))).await.json();
    assert_eq!((&told["slots"][0]["score"], &told["games"][1]["score2"]), (&json!(2), &json!(9)));
    let form = sees(&organizer, &one("R1.1", "/correct")).await;
    for held in [
        r#"name="game1_score2" value="4""#,
        r#"name="game2_score1" value="10""#,
        "<option selected>dm/mohdm2",
    ] {
        assert!(form.contains(held), "a correction begins with the games that hold: {held} in {form}");
    }
    let games =
        "game1_map=dm%2Fmohdm2&game1_score1=4&game1_score2=10&game2_map=&game2_score1=3&game2_score2=10";
    let preview = sees(&organizer, &one("R1.1", &format!("/correct?{games}"))).await;
    for typed in [r#"name="game2_score1" value="3""#, r#"type="hidden" name="game2_score1" value="3""#] {
        assert!(preview.contains(typed), "{typed} in {preview}");
    }
    assert!(
        preview.contains("What follows")
            && sees(&organizer, &admin).await.contains("Correct one of 1 result")
    );
    does(&organizer, &one("R1.2", "/report"), &[("forfeit", "2")]).await;
    let page = sees(&organizer, &one("R1.1", "/correct?score1=1&score2=2")).await;
    assert!(page.contains("No later match falls"), "{page}");
    does(&organizer, &one("R2.1", "/report"), &[("score1", "3"), ("score2", "1")]).await;
    does(&organizer, &one("R2.1", "/dispute"), &[("reason", "Was it?")]).await;
    assert!(sees(&organizer, &one("R2.1", "")).await.contains("Was it?"));
    does(&organizer, &one("R2.1", "/resolve"), &[("score1", "3"), ("score2", "0")]).await;
    let page = sees(&organizer, &one("R1.1", "/correct?score1=1&score2=2&winner=&forfeit=")).await;
    assert!(page.contains("1 later match falls"), "{page}");
    let stale = [("version", "1"), ("score1", "1"), ("score2", "2")];
    assert_eq!(
        organizer.post(&one("R1.1", "/correct"), &stale).await.status,
        409,
        "something has changed since"
    );
    does(&organizer, &one("R1.1", "/correct"), &[("score1", "1"), ("score2", "2")]).await;
    does(&organizer, &format!("{admin}/undo"), &[]).await;
    does(&organizer, &one("C1", "/report"), &[("score1", "2"), ("score2", "0")]).await;
    assert!(sees(&organizer, &cup).await.contains("Final places"));
    does(&organizer, &one("C1", "/reset"), &[]).await;
    does(&organizer, &format!("{admin}/disqualify"), &[("participant_id", "3"), ("reason", "Cheated")]).await;
    assert!(sees(&organizer, &format!("{cup}/participants")).await.contains("Cheated"));

    // Everybody's pages: whole, named, and text remains text. The front page needs tables that come one after the other.
    for page in ["/", "/maps"] {
        eventually("statistics can be read", async || {
            (service.client.get(page).await.status == 200).then_some(())
        })
        .await;
    }
    let rest = [
        "",
        "/bracket",
        "/standings",
        "/schedule",
        "/participants",
        "/matches/R1.1",
        "/matches/R2.1",
        "/admin",
        "/admin/settings",
        "/admin/audit",
    ];
    let mut pages = vec![
        "/tournaments".to_owned(),
        "/".to_owned(),
        format!("/embed{cup}"),
        format!("/embed{cup}/overlay"),
    ];
    pages.extend(rest.map(|rest| format!("{cup}{rest}")));
    for path in &pages {
        let page = sees(&organizer, path).await;
        assert!(!page.contains("<script>alert"), "{path}");
        assert_eq!(page.matches("<h1").count(), 1, "{path} has one heading of the first rank");
        assert!(page.contains("<title>") && !page.contains("<title> ·"), "{path}");
        assert!(!page.contains(" style=") && !page.contains("<style"), "{path}");
        assert!(page.len() < 60 * 1024, "{path} has {} bytes", page.len());
    }
    assert_framed(&organizer.get(&format!("{cup}/bracket")).await, false);
    assert_framed(&organizer.get(&format!("/embed{cup}")).await, true);
    let picture = organizer.get(&format!("{cup}/bracket.svg")).await;
    assert_framed(&picture, true);
    assert_eq!(picture.header("content-type"), Some("image/svg+xml"));
    assert!(
        picture.text.contains("&lt;script&gt;alert(1)") && !picture.text.contains("<script"),
        "{}",
        picture.text
    );
    service.stop().await;
}

fn assert_framed(reply: &Reply, may_be: bool) {
    let policy = reply.header("content-security-policy").unwrap();
    assert_eq!(policy.contains("frame-ancestors *"), may_be, "{policy}");
    assert_eq!(reply.header("x-frame-options").is_none(), may_be);
}

#[actix_web::test]
async fn a_result_that_can_not_be_stands_as_it_was_typed() {
    let service = Service::start("refused_result").await;
    let (user_id, token) = service.add_user("Chief", Role::Admin).await;
    let settings = json!({ "name": "Cup", "format": "single_elimination", "best_of": 3 });
    let cup = Cup::begun(&service.client, &token, settings, 4).await;
    let page = format!("/tournaments/{}/matches/R1.1", cup.id);
    let sign_in = async || make_login_link(&service.application.postgres, user_id, "").await.unwrap();

    // Without scripts.
    let plain = Browser::new(&service.client);
    let link = sign_in().await;
    assert_eq!(plain.get(&link).await.status, 200);
    assert_eq!(plain.post(&link, &[]).await.status, 303);
    let typed = [
        ("score1", "5"),
        ("score2", "1"),
        ("game1_map", "dm/mohdm1"),
        ("game1_score1", "10"),
        ("winner", "2"),
    ];
    let refused = plain.post(&format!("{page}/report"), &typed).await;
    assert_eq!(refused.status, 422, "{}", refused.text);
    let shown = [
        "role=\"alert\" data-refused",
        "value=\"5\"",
        "value=\"1\"",
        "value=\"dm/mohdm1\"",
        "value=\"10\"",
        "<option value=\"2\" selected>",
    ];
    for shown in shown {
        assert!(refused.text.contains(shown), "{shown} is missing in {}", refused.text);
    }
    let nothing = plain.get("/tournaments/nothing").await;
    assert_eq!(nothing.status, 404);
    assert!(nothing.text.contains("Your account, signed in as"), "{}", nothing.text);

    // With scripts.
    let browser = Chromium::open(&service.client.url, "refused-result", PHONE).await;
    browser.go(&sign_in().await).await;
    browser.click("Sign in").await;
    browser.arrives_at("/").await;
    browser.go(&page).await;
    browser.type_into("#report-score1", "5").await;
    browser.type_into("#report-score2", "1").await;
    browser.run("document.querySelector('#report-score2').scrollIntoView(); window.loadedOnce = true").await;
    let before = browser.run("return scrollY").await.as_f64().unwrap();
    browser.run("document.querySelector('#report-score2').form.requestSubmit()").await;
    browser.comes_to_say("one side needs 2 games won").await;
    let seen = browser
        .run("return ['1', '2'].map((side) => document.querySelector('#report-score' + side).value)")
        .await;
    assert_eq!(seen, json!(["5", "1"]));
    let after = browser.run("return scrollY").await.as_f64().unwrap();
    assert!(before > 100.0 && (after - before).abs() < 400.0, "the page went from {before} to {after}");
    browser.run("document.querySelector('#report-score1').value = '2'").await;
    browser.run("document.querySelector('#report-score2').form.requestSubmit()").await;
    browser.comes_to_say("by organizer").await;
    assert_eq!(browser.run("return window.loadedOnce").await, true);
    browser.close().await;

    let correction = sees(&plain, &format!("{page}/correct")).await;
    for shown in [
        "name=\"score1\" inputmode=\"numeric\" pattern=\"[0-9]*\" maxlength=\"8\" autocomplete=\"off\" value=\"2\"",
        "autocomplete=\"off\" value=\"1\"",
    ] {
        assert!(correction.contains(shown), "{shown} is missing in {correction}");
    }
    service.stop().await;
}

#[actix_web::test]
async fn a_schedule_is_in_the_order_in_which_matches_can_be_played() {
    let service = Service::start("schedule_order").await;
    let (_, token) = service.add_user("Chief", Role::Admin).await;
    let settings = json!({ "name": "Cup", "format": "double_elimination" });
    let cup = Cup::begun(&service.client, &token, settings, 4).await;
    let page = service.client.get(&format!("/tournaments/{}/schedule", cup.id)).await.text;
    let keys: Vec<&str> = page.split("id=\"m-").skip(1).map(|rest| rest.split('"').next().unwrap()).collect();
    assert_eq!(keys, ["W1.1", "W1.2", "W2.1", "L1.1", "L2.1", "GF1"]);
    // Those with a time come first, by day; the others by what can be played at once.
    cup.does("/matches/L2.1/schedule", json!({ "scheduled_at": "2031-05-17T20:00:00Z" })).await;
    let page = service.client.get(&format!("/tournaments/{}/schedule", cup.id)).await.text;
    let headings =
        page.split("<h3 class=\"sitting\">").skip(1).map(|rest| rest.split("</h3>").next().unwrap());
    let headings: Vec<&str> = headings.collect();
    let day = "<time datetime=\"2031-05-17\">2031-05-17</time> UTC <small>Lower final</small>";
    let rounds = ["Upper semi-finals", "Upper final, Lower round 1", "Grand final"];
    assert_eq!(headings, [&[day][..], &rounds].concat());
    service.stop().await;
}

#[actix_web::test]
async fn settings_that_can_no_longer_change_are_shown_and_not_sent() {
    let service = Service::start("fixed_settings").await;
    let (user_id, token) = service.add_user("Chief", Role::Admin).await;
    let settings = json!({ "name": "Cup", "format": "single_elimination", "best_of": 3 });
    let cup = Cup::begun(&service.client, &token, settings, 4).await;
    let (user_link, link) = (
        make_login_link(&service.application.postgres, user_id, "").await.unwrap(),
        format!("/tournaments/{}/admin/settings", cup.id),
    );
    let organizer = Browser::new(&service.client);
    assert_eq!(organizer.get(&user_link).await.status, 200);
    assert_eq!(organizer.post(&user_link, &[]).await.status, 303);
    let page = sees(&organizer, &link).await;
    let is_fixed = |page: &str, name: &str| {
        let (_, control) = page.split_once(&format!(" name=\"{name}\"")).unwrap();
        control.split_once('>').unwrap().0.contains(" disabled")
    };
    for (name, fixed) in [
        ("name", false),
        ("description", false),
        ("format", true),
        ("best_of", true),
        ("map_pool", false),
        ("options.third_place", true),
        ("options.auto_accept_minutes", false),
    ] {
        assert_eq!(is_fixed(&page, name), fixed, "{name}: {page}");
    }
    // A browser sends nothing of what is greyed out.
    does(&organizer, &link, &[("name", "Evening cup"), ("options.auto_accept_minutes", "5")]).await;
    let now = service.client.get(&format!("/api/v1/tournaments/{}", cup.id)).await.json();
    assert_eq!((&now["name"], &now["best_of"]), (&json!("Evening cup"), &json!(3)));
    service.stop().await;
}

#[actix_web::test]
async fn who_is_out_of_a_knockout_is_told_their_place_while_others_play() {
    let service = Service::start("known_places").await;
    let (_, token) = service.add_user("Chief", Role::Admin).await;
    let settings = json!({ "name": "Cup", "format": "single_elimination" });
    let cup = Cup::begun(&service.client, &token, settings, 4).await;
    let standings = format!("/tournaments/{}/standings", cup.id);
    let nobody = service.client.get(&standings).await.text;
    let gaps = |page: &str| page.matches("<span class=\"waits\">–</span>").count();
    assert!(nobody.contains("Places so far") && gaps(&nobody) == 4, "{nobody}");
    cup.reports("R1.1", 2, 1).await;
    let api = service.client.get(&format!("/api/v1{standings}")).await.json();
    let loser = api["known"][0]["participant_ids"][0].clone();
    assert_eq!(api["known"], json!([{ "first": 3, "last": 4, "participant_ids": [loser] }]));
    assert_eq!(api["final"], json!([]));
    let page = service.client.get(&standings).await.text;
    assert!(page.contains("<span class=\"place-number\">3–4</span> <span class=\"name\">"), "{page}");
    assert_eq!(gaps(&page), 3);
    let still_in = |page: &str| {
        let (_, list) = page.split_once("Still in it")?;
        Some(list.split_once("</p>")?.0.matches("class=\"name\"").count())
    };
    assert_eq!((still_in(&nobody), still_in(&page)), (Some(4), Some(3)));
    cup.reports("R1.2", 2, 1).await;
    cup.reports("R2.1", 2, 1).await;
    let page = service.client.get(&standings).await.text;
    assert!(page.contains("Final places") && gaps(&page) == 0, "{page}");
    assert_eq!(still_in(&page), None);

    // What is not there leads to where it would be listed.
    let nowhere = service.client.get("/tournaments/00000000-0000-0000-0000-000000000000").await;
    assert_eq!(nowhere.status, 404);
    assert!(nowhere.text.contains("href=\"/tournaments\">See all tournaments"), "{}", nowhere.text);
    let drafts = service.client.get("/tournaments?filter[status]=draft").await.text;
    assert!(drafts.contains("<option value=\"draft\" selected>Draft"), "{drafts}");
    service.stop().await;
}

#[actix_web::test]
async fn a_disputed_result_stands_among_what_was_said_and_can_be_upheld() {
    let service = Service::start("disputed_result").await;
    let (user_id, token) = service.add_user("Chief", Role::Admin).await;
    let settings = json!({ "name": "Cup", "format": "single_elimination", "best_of": 3 });
    let cup = Cup::begun(&service.client, &token, settings, 4).await;
    cup.reports("R1.1", 2, 1).await;
    cup.does("/matches/R1.1/dispute", json!({ "reason": "One game was not played" })).await;
    let link = make_login_link(&service.application.postgres, user_id, "").await.unwrap();
    let organizer = Browser::new(&service.client);
    assert_eq!(organizer.get(&link).await.status, 200);
    assert_eq!(organizer.post(&link, &[]).await.status, 303);
    let one = format!("/tournaments/{}/matches/R1.1", cup.id);
    let page = sees(&organizer, &one).await;
    assert!(page.contains("holds until it is decided") && page.contains("2–1"), "{page}");
    does(&organizer, &format!("{one}/resolve"), &[("score1", "2"), ("score2", "1")]).await;
    assert!(!sees(&organizer, &one).await.contains("Decide the dispute"));
    service.stop().await;
}
