//! Signing in with other services, and everything that must not sign anybody in.

use mohaa_stats::users::Role;
use serde_json::json;

use crate::support::{Browser, Providers, Reply, Service};

const DISCORD: &str = "/api/v1/auth/discord";
const STEAM: &str = "/api/v1/auth/steam";
const STEAM_ID: &str = "76561198000000001";

async fn start(name: &str) -> (Service, Providers) {
    let providers = Providers::start();
    let settings = providers.settings();
    let settings: Vec<(&str, &str)> = settings.iter().map(|(name, value)| (*name, value.as_str())).collect();
    (Service::start_with(name, &settings, Default::default()).await, providers)
}

async fn stop(service: Service, providers: Providers) {
    service.stop().await;
    providers.stop().await;
}

async fn me(service: &Service, browser: &Browser) -> serde_json::Value {
    let token = browser.cookie("mohaa_session").expect("nobody is signed in");
    service.client.get_as(&token, "/api/v1/users/me").await.json()
}

#[track_caller]
fn assert_nobody(reply: &Reply, browser: &Browser, status: u16) {
    assert_eq!(reply.status.as_u16(), status, "{}", reply.text);
    assert_eq!(browser.cookie("mohaa_session"), None);
}

#[actix_web::test]
async fn the_first_sign_in_makes_an_account_and_the_next_one_finds_it() {
    let (service, providers) = start("sign_in").await;
    for (provider, id) in [(DISCORD, "80351110224678912"), (STEAM, STEAM_ID)] {
        let browser = Browser::new(&service.client);
        providers.sign_in(id, "Anna\u{7} ^1Red");
        let arrived = browser.sign_in(&format!("{provider}?return_to=/leaderboard%3Fstat=deaths")).await;
        assert_eq!(
            (arrived.status.as_u16(), arrived.header("location")),
            (303, Some("/leaderboard?stat=deaths"))
        );
        let first = me(&service, &browser).await;
        assert_eq!((&first["display_name"], &first["role"]), (&"Anna ^1Red".into(), &"player".into()));
        assert_eq!(browser.cookie("mohaa_sign_in"), None);

        let elsewhere = Browser::new(&service.client);
        providers.sign_in(id, "Another name there");
        assert_eq!(elsewhere.sign_in(provider).await.header("location"), Some("/"));
        assert_eq!(me(&service, &elsewhere).await["user_id"], first["user_id"]);
        let page = elsewhere.get("/account").await;
        assert!(page.status == 200 && page.text.contains("Another name there"), "{}", page.text);
    }
    stop(service, providers).await;
}

#[actix_web::test]
async fn providers_without_credentials_are_not_offered() {
    let service = Service::start("no_providers").await;
    for path in [DISCORD, STEAM, "/api/v1/auth/discord/callback", "/api/v1/auth/steam/callback"] {
        service.client.get(path).await.assert_refused(404, "provider_not_offered");
    }
    let page = service.client.get("/login").await;
    assert!(page.status == 200 && page.text.contains("No sign-in service is set up here"), "{}", page.text);
    service.stop().await;
}

#[actix_web::test]
async fn an_answer_is_taken_only_from_the_browser_that_was_sent_for_it_and_once() {
    let (service, providers) = start("state").await;
    providers.sign_in(STEAM_ID, "Mallory");
    for provider in [DISCORD, STEAM] {
        let (mallory, victim) = (Browser::new(&service.client), Browser::new(&service.client));
        let callback = mallory.at_provider(provider).await;
        // Into a browser that never began, and into one that began something else.
        assert_nobody(&victim.get(&callback).await, &victim, 400);
        victim.at_provider(provider).await;
        assert_nobody(&victim.get(&callback).await, &victim, 400);
        let other_provider = if provider == DISCORD { STEAM } else { DISCORD };
        victim.at_provider(other_provider).await;
        assert_nobody(&victim.get(&callback).await, &victim, 400);
        // Without, or with another state.
        let state = callback.split("state=").nth(1).unwrap().split('&').next().unwrap();
        assert_nobody(&mallory.get(&callback.replace(state, "")).await, &mallory, 400);
        assert_nobody(&mallory.get(&callback.replace(state, "another")).await, &mallory, 400);

        let attempt = mallory.cookie("mohaa_sign_in").unwrap();
        assert_eq!(mallory.get(&callback).await.status, 303);
        let replaying = Browser::new(&service.client);
        replaying.set_cookie("mohaa_sign_in", &attempt);
        let replayed = replaying.get(&callback).await;
        assert_eq!(replayed.status, 400, "it was taken, whatever the provider says: {}", replayed.text);
        assert_eq!(replaying.cookie("mohaa_session"), None);
        // A session's token is no attempt.
        replaying.set_cookie("mohaa_sign_in", &mallory.cookie("mohaa_session").unwrap());
        assert_nobody(&replaying.get(&callback).await, &replaying, 400);
    }
    stop(service, providers).await;
}

/// Makes another callback of a true one.
type Forge<'a> = Box<dyn Fn(&str) -> String + 'a>;

#[actix_web::test]
async fn a_forged_assertion_signs_nobody_in() {
    let (service, providers) = start("forged").await;
    providers.sign_in(STEAM_ID, "Mallory");
    let encoded = |text: &str| url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    let own = encoded(&format!("{}/openid/id/{STEAM_ID}", providers.url));
    let forgeries: Vec<(&str, Forge)> = vec![
        ("another account", Box::new(|callback| callback.replace(STEAM_ID, "76561198000000002"))),
        (
            "another host",
            Box::new(|callback| {
                callback.replace(&own, &encoded("https://evil.example/openid/id/76561198000000001"))
            }),
        ),
        ("an id with more behind it", Box::new(|callback| callback.replace(&own, &format!("{own}9")))),
        ("no signature of the claimed id", Box::new(|callback| callback.replace("claimed_id%2C", ""))),
        ("no signature of the nonce", Box::new(|callback| callback.replace("response_nonce%2C", ""))),
        ("another signature", Box::new(|callback| callback.replace("openid.sig=", "openid.sig=x"))),
        (
            "another address to return to",
            Box::new(|callback| callback.replace("openid.return_to=http", "openid.return_to=https")),
        ),
        (
            "another provider",
            Box::new(|callback| callback.replace("openid.op_endpoint=http", "openid.op_endpoint=https")),
        ),
        (
            "no assertion",
            Box::new(|callback| callback.replace("openid.mode=id_res", "openid.mode=setup_needed")),
        ),
        ("a field twice", Box::new(|callback| format!("{callback}&openid.claimed_id={own}"))),
        (
            "an old nonce",
            Box::new(|callback| callback.replace("openid.response_nonce=2", "openid.response_nonce=1")),
        ),
        ("nothing", Box::new(|callback| callback.split("&openid").next().unwrap().to_owned())),
    ];
    for (name, forge) in forgeries {
        let browser = Browser::new(&service.client);
        let callback = browser.at_provider(STEAM).await;
        let forged = forge(&callback);
        assert_ne!(forged, callback, "{name} forges nothing");
        let reply = browser.get(&forged).await;
        assert_eq!(reply.status, 400, "{name}: {}", reply.text);
        assert_nobody(&reply, &browser, 400);
    }
    let browser = Browser::new(&service.client);
    let cancelled = browser.at_provider(STEAM).await.replace("openid.mode=id_res", "openid.mode=cancel");
    assert_nobody(&browser.get(&cancelled).await, &browser, 403);
    stop(service, providers).await;
}

#[actix_web::test]
async fn a_refused_or_broken_provider_signs_nobody_in_and_says_what_to_do() {
    let (service, providers) = start("broken_provider").await;
    providers.sign_in("80351110224678912", "Anna");
    let browser = Browser::new(&service.client);
    let callback = browser.at_provider(DISCORD).await;
    let state = callback.split("state=").nth(1).unwrap();
    let denied = browser.get(&format!("{DISCORD}/callback?error=access_denied&state={state}")).await;
    assert_nobody(&denied, &browser, 403);
    assert!(denied.header("content-type").unwrap().starts_with("text/html"), "a person reads this");
    assert!(denied.text.contains("cancelled") && denied.text.contains("href=\"/login\">Sign in</a></p>"));
    assert!(!denied.text.contains("Your account may not do this"), "nobody has one yet: {}", denied.text);
    let callback = browser.at_provider(DISCORD).await;
    let state = callback.split("state=").nth(1).unwrap();
    let invented = browser.get(&format!("{DISCORD}/callback?code=invented&state={state}")).await;
    assert_nobody(&invented, &browser, 403);

    providers.state().is_broken = true;
    for provider in [DISCORD, STEAM] {
        providers.sign_in(STEAM_ID, "Anna");
        let reply = browser.sign_in(provider).await;
        assert_nobody(&reply, &browser, 503);
    }
    stop(service, providers).await;
}

#[actix_web::test]
async fn several_sign_ins_open_one_account_and_one_opens_one_account_only() {
    let (service, providers) = start("linking").await;
    let browser = Browser::new(&service.client);
    providers.sign_in("80351110224678912", "Anna");
    browser.sign_in(DISCORD).await;
    let anna = me(&service, &browser).await["user_id"].clone();
    providers.sign_in(STEAM_ID, "Anna at Steam");
    let linked = browser.sign_in(&format!("{STEAM}?link=1&return_to=/account")).await;
    assert_eq!(
        (linked.status.as_u16(), linked.header("location")),
        (303, Some("/account")),
        "{}",
        linked.text
    );
    let elsewhere = Browser::new(&service.client);
    elsewhere.sign_in(STEAM).await;
    assert_eq!(me(&service, &elsewhere).await["user_id"], anna);

    // Somebody else's sign-in stays theirs.
    let other = Browser::new(&service.client);
    providers.sign_in("111", "Bert");
    other.sign_in(DISCORD).await;
    providers.sign_in(STEAM_ID, "Anna at Steam");
    assert_eq!(other.sign_in(&format!("{STEAM}?link=1")).await.status, 409);

    // Whoever signs in as another user meanwhile links nothing to the first.
    providers.sign_in("222", "Mallory");
    let begun = browser.at_provider(&format!("{DISCORD}?link=1")).await;
    let (_, stranger) = service.add_user("Stranger", Role::Player).await;
    browser.set_cookie("mohaa_session", &stranger);
    assert_eq!(browser.get(&begun).await.status, 403);
    // Nobody is led to link by another site, or while signed out.
    let headers =
        [("Cookie", format!("mohaa_session={stranger}")), ("Sec-Fetch-Site", "cross-site".to_owned())];
    let headers = headers.each_ref().map(|(name, value)| (*name, value.as_str()));
    service.client.get_with(&format!("{DISCORD}?link=1"), &headers).await.assert_refused(403, "cross_site");
    service.client.get(&format!("{DISCORD}?link=1")).await.assert_refused(401, "not_signed_in");

    // The last way in stays.
    elsewhere.get("/account").await;
    let unlink = async |provider: &str, subject: &str| {
        elsewhere
            .post("/account/sign-ins/unlink", &[("provider", provider), ("subject", subject)])
            .await
            .status
            .as_u16()
    };
    assert_eq!(unlink("discord", "111").await, 404);
    assert_eq!(unlink("discord", "80351110224678912").await, 303);
    assert_eq!(unlink("steam", STEAM_ID).await, 409);
    stop(service, providers).await;
}

#[actix_web::test]
async fn a_banned_user_cant_sign_in_and_nobody_is_led_to_another_site() {
    let (service, providers) = start("banned").await;
    let browser = Browser::new(&service.client);
    providers.sign_in("80351110224678912", "Anna");
    for foreign in ["https://evil.example", "//evil.example", "/%5Cevil.example", "%2F%2Fevil.example"] {
        let arrived = browser.sign_in(&format!("{DISCORD}?return_to={foreign}")).await;
        assert_eq!((arrived.status.as_u16(), arrived.header("location")), (303, Some("/")), "{foreign}");
        let login = browser.get(&format!("/login?return_to={foreign}")).await;
        assert_eq!(login.header("location"), Some("/"), "{foreign}");
    }
    let user_id = me(&service, &browser).await["user_id"].clone();
    let (_, admin) = service.add_user("Admin", Role::Admin).await;
    let ban = format!("/api/v1/admin/users/{user_id}/ban");
    assert_eq!(service.client.call_as(&admin, "POST", &ban, json!({})).await.status, 204);
    let again = Browser::new(&service.client);
    assert_nobody(&again.sign_in(DISCORD).await, &again, 403);
    stop(service, providers).await;
}

#[actix_web::test]
async fn a_program_lists_the_ways_to_sign_in_and_takes_one_away() {
    let (service, providers) = start("own_sign_ins").await;
    let browser = Browser::new(&service.client);
    providers.sign_in("80351110224678912", "Anna");
    browser.sign_in(DISCORD).await;
    providers.sign_in(STEAM_ID, "Anna at Steam");
    browser.sign_in(&format!("{STEAM}?link=1")).await;
    let token = browser.cookie("mohaa_session").unwrap();
    let path = "/api/v1/users/me/sign-ins";
    let listed = service.client.get_as(&token, &format!("{path}?limit=1&page=2")).await.json();
    assert_eq!((&listed["page"], &listed["limit"], &listed["total"]), (&json!(2), &json!(1), &json!(2)));
    assert_eq!(
        (&listed["sign_ins"][0]["provider"], &listed["sign_ins"][0]["subject"]),
        (&json!("steam"), &json!(STEAM_ID)),
        "{listed}"
    );
    let delete = async |path: &str| service.client.call_as(&token, "DELETE", path, json!(null)).await;
    delete(&format!("{path}/steam/7")).await.assert_refused(404, "unknown_sign_in");
    assert_eq!(delete(&format!("{path}/steam/{STEAM_ID}")).await.status, 204);
    delete(&format!("{path}/discord/80351110224678912")).await.assert_refused(409, "last_sign_in");
    stop(service, providers).await;
}

#[actix_web::test]
async fn a_name_of_nothing_that_can_be_seen_is_not_taken_over() {
    let (service, providers) = start("invisible_names").await;
    for (id, name) in [
        ("80351110224678912", "\u{200b}"),
        ("80351110224678913", "\u{3164}\u{200d}"),
        ("80351110224678914", "^1^2"),
    ] {
        let browser = Browser::new(&service.client);
        providers.sign_in(id, name);
        browser.sign_in(DISCORD).await;
        assert_eq!(me(&service, &browser).await["display_name"], "discord user", "{name:?}");
    }
    stop(service, providers).await;
}
