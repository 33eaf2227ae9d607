//! What people do with their accounts, in a real browser against the whole service.

use mohaa_stats::auth::make_login_link;
use mohaa_stats::users::{self, Role};
use serde_json::json;

use crate::support::{Chromium, Cup, DESKTOP, PHONE, Providers, Service, eventually};

async fn start(name: &str) -> (Service, Providers) {
    let providers = Providers::start();
    let settings = providers.settings();
    let settings: Vec<(&str, &str)> = settings.iter().map(|(name, value)| (*name, value.as_str())).collect();
    (Service::start_with(name, &settings, Default::default()).await, providers)
}

/// What is to be typed in the game: with a `login` or a `claim` code.
async fn command(browser: &Chromium, kind: &str) -> String {
    browser.text_of(&format!("#{kind}-code code")).await
}

#[actix_web::test]
async fn somebody_signs_in_plays_under_the_account_claims_a_player_and_signs_out_everywhere() {
    let (service, providers) = start("browser_account").await;
    providers.sign_in("80351110224678912", "Anna");
    let browser = Chromium::open(&service.client.url, "account", PHONE).await;
    browser.go("/account").await;
    browser.arrives_at("/login?return_to=%2Faccount").await;
    browser.assert_fits().await;
    browser.picture("1-login").await;
    browser.click("Sign in with Discord").await;
    browser.arrives_at("/account").await;
    assert_eq!(browser.text_of("h1").await, "Anna");
    assert_eq!(browser.readable_cookies().await, "", "no script reads a session");
    browser.assert_fits().await;

    // In the game: `login CODE`, and what the script does then.
    browser.click("Make a login code").await;
    browser.comes_to_say("Say this in the game").await;
    browser.comes_to_say("Good once, for ").await;
    let login = command(&browser, "login").await;
    browser.picture("2-login-code").await;
    let code = login.strip_prefix("!login ").unwrap();
    let body = json!({"token": code, "player_guid": "unauth_3", "player_name": "Anna", "server_id": "x"});
    let headers = [("Content-Type", "application/x-www-form-urlencoded")];
    let verified = service.client.post("/api/v1/auth/verify", &headers, body.to_string()).await.unwrap();
    assert_eq!(verified.status, 200, "{}", verified.text);
    let user_id = verified.json()["forum_user_id"].to_string();
    let kill = json!({
        "type": "player_kill", "match_id": "evening", "timestamp": 20.0, "weapon": "M1 Garand",
        "attacker_name": "Anna", "attacker_guid": user_id, "attacker_smf_id": user_id,
        "victim_name": "Bert", "victim_guid": "4711",
    });
    service.client.send(json!(vec![kill; 3]).to_string()).await.assert_batch(202, 3, &[]);
    eventually("the profile shows the kills", async || {
        let reply = service.client.get(&format!("/api/v1/stats/player/{user_id}")).await;
        (reply.status == 200 && reply.json()["total_kills"] == 3).then_some(())
    })
    .await;
    browser.go("/account").await;
    browser.comes_to_say("Your login code was used").await;
    browser.click("Your statistics").await;
    browser.arrives_at(&format!("/players/{user_id}")).await;
    let profile = browser.text().await;
    assert!(profile.contains("Anna") && profile.contains("M1 Garand"), "{profile}");
    browser.assert_fits().await;
    browser.picture("3-profile").await;

    // In the chat: `!claim CODE`.
    browser.go("/account").await;
    browser.click("Make a claim code").await;
    browser.comes_to_say("!claim ").await;
    let chat = json!([{
        "type": "chat", "match_id": "evening", "timestamp": 30.0, "player_name": "Bert", "player_guid": "4711",
        "message": command(&browser, "claim").await,
    }]);
    service.client.send(chat.to_string()).await.assert_batch(202, 1, &[]);
    browser.reload_until("4711").await;
    browser.picture("4-claimed").await;

    let elsewhere = Chromium::open(&service.client.url, "elsewhere", DESKTOP).await;
    elsewhere.go("/login").await;
    elsewhere.click("Sign in with Discord").await;
    elsewhere.arrives_at("/").await;
    elsewhere.go("/account").await;
    elsewhere.assert_fits().await;
    elsewhere.picture("account").await;
    elsewhere.click("Sign out everywhere").await;
    elsewhere.comes_to_say("this one too").await;
    elsewhere.picture("asked").await;
    elsewhere.click("End all sessions").await;
    elsewhere.arrives_at("/").await;
    for browser in [&browser, &elsewhere] {
        browser.go("/account").await;
        browser.arrives_at("/login?return_to=%2Faccount").await;
    }
    elsewhere.close().await;
    browser.close().await;
    service.stop().await;
    providers.stop().await;
}

#[actix_web::test]
async fn a_device_is_approved_by_who_is_signed_in_on_a_phone() {
    let (service, providers) = start("browser_device").await;
    providers.sign_in("80351110224678912", "Anna");
    let headers = [("Content-Type", "application/json")];
    let body = json!({"client_name": "kitchen"}).to_string();
    let begun = service.client.post("/api/v1/auth/device/init", &headers, body).await.unwrap().json();
    let browser = Chromium::open(&service.client.url, "device", PHONE).await;
    // The link that a device shows leads through signing in.
    let user_code = begun["user_code"].as_str().unwrap();
    browser.go(&format!("/device?user_code={user_code}")).await;
    browser.click("Sign in with Discord").await;
    browser.comes_to_say("wants to act in your name").await;
    let page = browser.text().await;
    assert!(page.contains("kitchen") && page.contains(user_code), "{page}");
    browser.assert_fits().await;
    browser.picture("1-asked").await;
    browser.click("Approve").await;
    browser.comes_to_say("Approved.").await;
    browser.picture("2-approved").await;

    let body = json!({"device_code": begun["device_code"]}).to_string();
    let polled = service.client.post("/api/v1/auth/device/poll", &headers, body).await.unwrap();
    assert_eq!(polled.status, 200, "{}", polled.text);
    let token = polled.json()["access_token"].as_str().unwrap().to_owned();
    assert_eq!(service.client.get_as(&token, "/api/v1/users/me").await.json()["display_name"], "Anna");
    browser.go("/device").await;
    browser.type_into("#user_code", "NOSUCHCODE").await;
    browser.click("Go on").await;
    browser.comes_to_say("No device waits with this code").await;
    browser.close().await;
    service.stop().await;
    providers.stop().await;
}

#[actix_web::test]
async fn an_admin_adds_and_approves_servers() {
    let service =
        Service::start_with("browser_servers", &[("REGISTRATION_POLICY", "approval")], Default::default())
            .await;
    let pool = &service.application.postgres;
    let admin = users::add(pool, &"Chief".parse().unwrap(), Role::Admin).await.unwrap();
    let link = make_login_link(pool, admin.user_id, "").await.unwrap();
    let registered = service
        .client
        .call(
            "POST",
            "/api/v1/servers/register",
            &[],
            json!({"name": "^1Wait<b>ing", "port": 12203}).to_string(),
        )
        .await
        .json();
    let waiting = service.client.with_token(registered["token"].as_str().unwrap());
    waiting.send(r#"[{"type":"jump"}]"#).await.assert_batch(202, 1, &[]);

    let browser = Chromium::open(&service.client.url, "servers", DESKTOP).await;
    browser.go(&link).await;
    browser.picture("1-login-link").await;
    browser.click("Sign in").await;
    browser.arrives_at("/").await;
    browser.go("/admin/servers").await;
    let page = browser.text().await;
    assert!(page.contains("Wait<b>ing") && page.contains("1 event held"), "{page}");
    browser.picture("2-waiting").await;
    browser.click("Approve").await;
    eventually("nothing waits any more", async || {
        (!browser.text().await.contains("waits for approval")).then_some(())
    })
    .await;
    eventually("the held event is stored", async || {
        let sql = format!(
            "SELECT count() FROM raw_events WHERE server_id = '{}'",
            registered["server_id"].as_str()?
        );
        (service.warehouse.count(&sql).await == 1).then_some(())
    })
    .await;

    browser.type_into("#name", "Stalingrad").await;
    browser.type_into("#port", "99999").await;
    browser.click("Add the server").await;
    browser.comes_to_say("port: must be 1 to 65535").await;
    browser.arrives_at("/admin/servers").await;
    browser.picture("3-wrong-port").await;
    browser.type_into("#name", "Stalingrad").await;
    browser.click("Add the server").await;
    browser.comes_to_say("shown this once").await;
    let token = browser.text_of("#secret code").await;
    browser.picture("4-token").await;
    service.client.with_token(&token).send(r#"[{"type":"jump"}]"#).await.assert_batch(202, 1, &[]);
    browser.go("/admin/servers").await;
    let page = browser.text().await;
    assert!(page.contains("Stalingrad") && !page.contains(&token), "it is shown once: {page}");
    browser.close().await;
    service.stop().await;
}

#[actix_web::test]
async fn a_spectator_follows_a_match_to_its_end_without_loading_a_page_again() {
    let service = Service::start("browser_live").await;
    let kill = |at: f64, killer: &str, victim: &str| {
        json!({
            "type": "player_kill", "match_id": "evening", "timestamp": at, "weapon": "M1 Garand", "hitloc": "head",
            "attacker_name": format!("^2Hero {killer}"), "attacker_guid": killer, "attacker_team": "allies",
            "victim_name": format!("<b>{victim}"), "victim_guid": victim, "victim_team": "axis",
        })
    };
    let score = |at: f64, allies: i32| json!({"type": "heartbeat", "match_id": "evening", "timestamp": at, "allies_score": allies, "axis_score": 1, "player_count": 2, "round_number": 2});
    let send = async |events: serde_json::Value| {
        let count = events.as_array().unwrap().len() as u64;
        service.client.send(events.to_string()).await.assert_batch(202, count, &[]);
    };
    let browser = Chromium::open(&service.client.url, "live", PHONE).await;
    browser.go("/live").await;
    browser.comes_to_say("All quiet").await;
    let start = json!({"type": "match_start", "match_id": "evening", "timestamp": 1.0, "map_name": "dm/mohdm1", "gametype": 2});
    send(json!([start, kill(5.0, "1001", "1002"), score(6.0, 3)])).await;
    // It appears by itself.
    browser.comes_to_say("mohdm1").await;
    browser.picture("1-list").await;
    browser.assert_fits().await;
    browser.click("mohdm1").await;
    browser.comes_to_say("Hero 1001").await;
    browser.run("window.loadedOnce = true").await;
    browser.assert_fits().await;
    browser.watch_for_shifts().await;

    send(json!([kill(8.0, "1001", "1002"), kill(9.0, "1001", "1002"), score(10.0, 7)])).await;
    browser.comes_to_say("2 at a stroke").await;
    eventually("the score is announced", async || {
        let said = browser.run("return document.querySelector('[data-live-announcer]').textContent").await;
        (said == "Allies 7, axis 1").then_some(())
    })
    .await;
    let feed = browser.text_of(".kills").await;
    assert!(feed.contains("<b>1002"), "names are text: {feed}");
    let kills: Vec<_> = (0..4).map(|number| kill(20.0 + 6.0 * f64::from(number), "1001", "1002")).collect();
    send(json!(kills)).await;
    eventually("an achievement falls", async || {
        browser.text_of("[data-live-part=achievement]").await.contains("Hero 1001").then_some(())
    })
    .await;
    assert_eq!(browser.run("return window.loadedOnce").await, true, "nothing was loaded again");
    assert_eq!(browser.shifts().await, Vec::<String>::new(), "nothing moves while news arrive");
    browser.assert_fits().await;
    browser.picture("2-match").await;

    let end =
        json!({"type": "match_end", "match_id": "evening", "timestamp": 60.0, "winning_team": "allies"});
    send(json!([end])).await;
    eventually("the page of the match follows", async || {
        browser.path().await.starts_with("/matches/").then_some(())
    })
    .await;
    browser.picture("3-after").await;
    browser.close().await;
    service.stop().await;
}

#[actix_web::test]
async fn times_are_those_of_the_reader() {
    let service = Service::start("browser_times").await;
    let (_, organizer) = service.add_user("Maker", Role::Organizer).await;
    let settings = json!({
        "name": "Cup", "format": "single_elimination", "start_time": "2030-01-02T20:30:00Z",
    });
    let cup = Cup::draft(&service.client, &organizer, settings).await;
    cup.moves_to("registration_open").await;
    let path = format!("/tournaments/{}", cup.id);
    assert!(service.client.get(&path).await.text.contains("2030-01-02 20:30"), "without scripts it is UTC");
    let browser = Chromium::open_in_zone(&service.client.url, "times", PHONE, "Asia/Tokyo").await;
    browser.go(&path).await;
    browser.comes_to_say("starts 2030-01-03 05:30").await;
    browser.comes_to_say("Times: Asia/Tokyo").await;
    // What comes later is in the reader's zone, too.
    cup.enters("Two").await;
    browser.comes_to_say("1 of 64 players").await;
    browser.comes_to_say("starts 2030-01-03 05:30").await;
    assert!(!browser.text().await.contains("20:30"));
    browser.close().await;
    service.stop().await;
}
