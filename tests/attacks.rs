//! Attacks on accounts and pages: each is refused, and none makes the service fail.

use jsonwebtoken::{Algorithm, EncodingKey, Header};
use mohaa_stats::auth::AccessTokens;
use mohaa_stats::config::Secret;
use mohaa_stats::routes;
use mohaa_stats::users::Role;
use serde_json::json;

use crate::hostile::{exchange, statuses};
use crate::support::{Browser, Chromium, DESKTOP, JWT_SECRET, Reply, Service, eventually};

const OTHER_SECRET: &str = "another secret of thirty-two bytes!";
/// Runs if anything takes it for markup, wherever it stands.
const MARKUP: &str = r#""'><img src=x onerror="document.title='taken'">"#;

async fn me(service: &Service, token: &str) -> Reply {
    service.client.get_as(token, "/api/v1/users/me").await
}

#[actix_web::test]
async fn no_token_but_ours_signs_anybody_in() {
    let service = Service::start("token_attacks").await;
    let (_, opened) = service.add_session("Anna", Role::Admin).await;
    let token = opened.access_token;
    assert_eq!(me(&service, &token).await.status, 200);
    let claims = AccessTokens::new(&Secret::new(JWT_SECRET), None).verify(&token).unwrap();
    let ours = jsonwebtoken::decode_header(&token).unwrap();
    let signed = |header: &Header, secret: &str| {
        jsonwebtoken::encode(header, &claims, &EncodingKey::from_secret(secret.as_bytes())).unwrap()
    };
    let (head, rest) = token.split_once('.').unwrap();
    let (payload, signature) = rest.split_once('.').unwrap();
    let encoded = |text: &str| {
        use base64::Engine as _;
        base64::prelude::BASE64_URL_SAFE_NO_PAD.encode(text)
    };
    let kid = ours.kid.clone().unwrap();
    let unsigned = encoded(&format!(r#"{{"alg":"none","typ":"JWT","kid":"{kid}"}}"#));
    let other_payload = encoded(&serde_json::to_string(&claims).unwrap().replace("Anna", "Bert"));
    let forged = [
        // Nobody signed it.
        format!("{unsigned}.{payload}."),
        format!("{unsigned}.{payload}.{signature}"),
        format!("{head}.{payload}."),
        // Our secret under another algorithm, and another secret under ours.
        signed(&Header { alg: Algorithm::HS384, ..ours.clone() }, JWT_SECRET),
        signed(&Header { alg: Algorithm::HS512, ..ours.clone() }, JWT_SECRET),
        signed(&ours, OTHER_SECRET),
        // The key's name is not the key, and a key that comes along is none.
        signed(&ours, &kid),
        signed(&ours, ""),
        signed(&Header { kid: None, ..ours.clone() }, JWT_SECRET),
        signed(&Header { kid: Some("../../dev/null".to_owned()), ..ours.clone() }, ""),
        signed(&Header { jku: Some("https://evil.example/keys".to_owned()), ..ours.clone() }, OTHER_SECRET),
        // Another's words under our signature.
        format!("{head}.{other_payload}.{}", signature.chars().rev().collect::<String>()),
        // Tokens of other kinds.
        opened.refresh_token.unwrap(),
        service.client.token.clone(),
        "a.b.c".to_owned(),
        "..".to_owned(),
        "x".repeat(8_000),
    ];
    for forged in &forged {
        me(&service, forged).await.assert_refused(401, "invalid_token");
        let cookie = format!("mohaa_session={forged}");
        let reply = service.client.get_with("/api/v1/users/me", &[("Cookie", &cookie)]).await;
        reply.assert_refused(401, "invalid_token");
    }
    // And a user is no game server.
    let events = [("X-Server-Token", token.as_str())];
    let reply = service.client.post("/api/v1/ingest/events", &events, "[]").await.unwrap();
    reply.assert_refused(401, "invalid_token");
    service.stop().await;
}

#[actix_web::test]
async fn a_token_in_an_address_opens_nothing() {
    let service = Service::start("url_tokens").await;
    let (_, token) = service.add_user("Anna", Role::Admin).await;
    for name in ["token", "access_token", "mohaa_session", "authorization", "jwt"] {
        let reply = service.client.get(&format!("/api/v1/users/me?{name}={token}")).await;
        reply.assert_refused(401, "not_signed_in");
        let path = format!("/api/v1/ingest/events?{name}={0}&server_token={0}", service.client.token);
        let reply = service.client.post(&path, &[], r#"[{"type":"jump"}]"#).await.unwrap();
        reply.assert_refused(401, "missing_token");
    }
    service.stop().await;
}

#[actix_web::test]
async fn no_form_is_taken_that_our_page_did_not_make() {
    let service = Service::start("csrf").await;
    let (_, token) = service.add_user("Anna", Role::Admin).await;
    let session = format!("mohaa_session={token}");
    let with_csrf = format!("{session}; mohaa_csrf={}", "a".repeat(43));
    let logged =
        async || service.client.get_as(&token, "/api/v1/admin/audit").await.json()["total"].as_i64().unwrap();
    let before = logged().await;
    let mut tried = 0;
    for route in routes::all() {
        let is_form = !route.path.starts_with("/api/") && route.method == "POST";
        let is_call = route.path.starts_with("/api/") && route.method != "GET";
        if !is_form && !is_call {
            continue;
        }
        tried += 1;
        const NIL: &str = "00000000-0000-0000-0000-000000000000";
        let has_uuid = route.path.contains("/servers/") || route.path.starts_with("/tournaments/");
        let id = if has_uuid { NIL } else { "1" };
        let path = route.path.replace("{id}", id).replace("{code}", "none").replace("{key}", "R1.1");
        let path = path.replace("{node}", NIL).replace("{match_id}", NIL).replace("{writer}", "0");
        let fields = "role=admin&action=role&answer=approve&csrf=";
        let attempts: [(&str, &str, String); 4] = [
            // A form elsewhere, which the browser sends with our cookies.
            (&session, "cross-site", fields.to_owned()),
            (&session, "same-site", format!("{fields}{}", "a".repeat(43))),
            (&with_csrf, "cross-site", format!("{fields}{}", "a".repeat(43))),
            // Without its token, or with another, even from here.
            (&with_csrf, "same-origin", format!("{fields}{}", "b".repeat(43))),
        ];
        let count = if is_form { 4 } else { 3 };
        for (cookie, site, body) in attempts.into_iter().take(count) {
            let headers = [
                ("Cookie", cookie),
                ("Sec-Fetch-Site", site),
                ("Content-Type", "application/x-www-form-urlencoded"),
            ];
            let reply = service.client.call(route.method.as_str(), &path, &headers, body).await;
            let status = reply.status.as_u16();
            let is_for_all = ["/api/v1/auth/", "/api/v1/servers/register", "/api/v1/ingest/"];
            match is_for_all.iter().any(|open| path.starts_with(open)) {
                // Nobody's session is looked at here.
                true => assert!(status < 500, "{path}: {}", reply.text),
                false => assert_eq!(status, 403, "{} {path} by {site}: {}", route.method, reply.text),
            }
        }
    }
    assert!(tried > 30, "{tried}");
    assert_eq!(logged().await, before, "nothing was done");
    assert_eq!(me(&service, &token).await.status, 200, "and nobody was signed out");
    service.stop().await;
}

#[actix_web::test]
async fn nothing_can_be_framed_or_made_to_run_what_is_not_ours() {
    let service = Service::start("frames").await;
    let (_, token) = service.add_user("Anna", Role::Admin).await;
    let mut seen = 0;
    for route in routes::of_people(false).into_iter().filter(|route| route.method == "GET") {
        // It does not end.
        if matches!(route.path, "/api/v1/live" | "/live/stream" | "/ops/stream") {
            continue;
        }
        let path = route.path.replace("{id}", "1").replace("{code}", "none").replace("{map:.+}", "none");
        let reply = service.client.get_as(&token, &path).await;
        let policy = reply.header("content-security-policy").unwrap_or_default();
        for part in ["default-src 'none'", "script-src 'self'", "frame-ancestors 'none'", "base-uri 'none'"] {
            assert!(policy.contains(part), "{path}: {policy}");
        }
        assert!(!policy.contains("unsafe"), "{path}: {policy}");
        assert_eq!(reply.header("x-frame-options"), Some("DENY"), "{path}");
        assert_eq!(reply.header("x-content-type-options"), Some("nosniff"), "{path}");
        assert!(!reply.text.contains("<script>") && !reply.text.contains(" style="), "{path}: inline");
        seen += 1;
    }
    assert!(seen > 30, "{seen}");
    assert_eq!(service.client.get("/nowhere").await.header("x-frame-options"), Some("DENY"));
    service.stop().await;
}

#[actix_web::test]
async fn by_tls_browsers_are_told_to_stay_with_it() {
    let settings = [("PUBLIC_URL", "https://stats.example.org")];
    let service = Service::start_with("tls", &settings, Default::default()).await;
    let page = service.client.get("/login").await;
    assert_eq!(page.header("strict-transport-security"), Some("max-age=31536000; includeSubDomains"));
    let (user_id, _) = service.add_user("Anna", Role::Player).await;
    let link = mohaa_stats::auth::make_login_link(&service.application.postgres, user_id, "").await.unwrap();
    let browser = Browser::new(&service.client);
    browser.get(&link).await;
    // What a site beside ours, or who answers in our name without TLS, can set is not what ours is called.
    let csrf = browser.cookie("__Host-mohaa_csrf").expect("it is ours alone");
    let sent = async |cookie: String| {
        let headers = [("Cookie", cookie.as_str()), ("Content-Type", "application/x-www-form-urlencoded")];
        service.client.call("POST", &link, &headers, format!("csrf={csrf}")).await
    };
    assert_eq!(sent(format!("mohaa_csrf={csrf}")).await.status, 403);
    let signed_in = sent(format!("__Host-mohaa_csrf={csrf}")).await;
    assert_eq!(signed_in.status, 303, "{}", signed_in.text);
    let set: Vec<&str> =
        signed_in.headers.get_all("set-cookie").iter().map(|cookie| cookie.to_str().unwrap()).collect();
    assert!(set.len() >= 2, "{set:?}");
    for cookie in &set {
        assert!(cookie.starts_with("__Host-mohaa_") && cookie.contains("; Secure"), "{cookie}");
        assert!(cookie.contains("; Path=/") && !cookie.contains("Domain"), "{cookie}");
    }
    let refresh = set.iter().find_map(|cookie| cookie.strip_prefix("__Host-mohaa_refresh=")).unwrap();
    let refresh = refresh.split(';').next().unwrap();
    let me = async |cookie: String| {
        service.client.get_with("/api/v1/users/me", &[("Cookie", &cookie)]).await.status.as_u16()
    };
    assert_eq!(me(format!("mohaa_refresh={refresh}")).await, 401);
    assert_eq!(me(format!("__Host-mohaa_refresh={refresh}")).await, 200);
    // By its plain name a program sends a token; to a browser such a cookie was given by somebody else.
    let (_, token) = service.add_user("Max", Role::Player).await;
    let planted = format!("mohaa_session={token}");
    assert_eq!(me(planted.clone()).await, 200);
    let as_a_browser = [("Cookie", planted.as_str()), ("Sec-Fetch-Site", "same-origin")];
    assert_eq!(service.client.get_with("/api/v1/users/me", &as_a_browser).await.status, 401);
    assert_eq!(me(format!("{planted}; __Host-mohaa_csrf={csrf}")).await, 401);
    service.stop().await;
}

#[actix_web::test]
async fn an_error_answer_is_what_its_headers_say_it_is() {
    let service = Service::start("error_bodies").await;
    eventually("the tables are there", async || {
        (service.client.get("/api/v1/search?q=nobody").await.status == 200).then_some(())
    })
    .await;
    let (_, token) = service.add_user("Anna", Role::Player).await;
    let bearer = format!("Bearer {token}");
    let long = "a".repeat(300_000);
    for (method, path, body, status, begins) in [
        ("GET", "/players/nobody", "", 404, "<!doctype html>"),
        ("GET", "/matches/nothing", "", 404, "<!doctype html>"),
        ("POST", "/api/v1/auth/verify", long.as_str(), 413, "{\"error\""),
        ("POST", "/account/players/unlink", "x=1", 403, "<!doctype html>"),
    ] {
        for encoding in ["gzip", "br", "zstd"] {
            let headers = [
                ("Accept-Encoding", encoding),
                ("Authorization", bearer.as_str()),
                ("Content-Type", "application/x-www-form-urlencoded"),
            ];
            let reply = service.client.call(method, path, &headers, body).await;
            assert_eq!(reply.status, status, "{path}");
            assert_eq!(reply.header("content-encoding"), None, "{path}: {}", reply.text);
            assert!(reply.text.to_lowercase().starts_with(begins), "{path}: {}", reply.text);
        }
    }
    service.stop().await;
}

#[actix_web::test]
async fn static_files_lead_to_no_other_files() {
    let service = Service::start("traversal").await;
    let address = service.application.address;
    for path in [
        "/static/../Cargo.toml",
        "/static/../../../../../../etc/passwd",
        "/static/%2e%2e/%2e%2e/%2e%2e/%2e%2e/etc/passwd",
        "/static/..%2f..%2f..%2f..%2fetc%2fpasswd",
        "/static/%252e%252e%252fetc%252fpasswd",
        "/static/..%5c..%5cetc%5cpasswd",
        "/static/..\\..\\etc\\passwd",
        "/static//etc/passwd",
        "/static/%00/etc/passwd",
        "/static/css/%c0%ae%c0%ae/%c0%ae%c0%ae/etc/passwd",
        "/static/",
        "/static/css/",
        "/static/.",
        "//etc/passwd",
        "/../jwt_secret",
        "/static/../../jwt_secret",
    ] {
        let request = format!("GET {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n");
        let answer = exchange(address, request.as_bytes()).await;
        let status = statuses(&answer)[0];
        assert!((400..500).contains(&status), "{path}: {status}");
        assert!(!answer.contains("root:") && !answer.contains("[package]"), "{path}: {answer}");
    }
    service.stop().await;
}

#[actix_web::test]
async fn a_form_leads_back_to_our_own_pages_only() {
    let service = Service::start("way_back").await;
    let (_, token) = service.add_user("Anna", Role::Organizer).await;
    let browser = Browser::new(&service.client);
    browser.set_cookie("mohaa_session", &token);
    browser.get("/admin/servers").await;
    let csrf = browser.cookie("mohaa_csrf").unwrap();
    let cookie = format!("mohaa_session={token}; mohaa_csrf={csrf}");
    let refused = async |referer: &str| {
        let headers = [
            ("Cookie", cookie.as_str()),
            ("Referer", referer),
            ("Content-Type", "application/x-www-form-urlencoded"),
        ];
        let body = format!("csrf={csrf}&name=x&port=99999");
        service.client.call("POST", "/admin/servers", &headers, body).await
    };
    let url = &service.client.url;
    let back = refused(&format!("{url}/admin/servers?a=1#add")).await;
    assert_eq!((back.status.as_u16(), back.header("location")), (303, Some("/admin/servers?a=1")));
    for hostile in [
        "https://evil.example/admin/servers".to_owned(),
        format!("{url}//evil.example/"),
        format!("{url}/\\evil.example"),
        format!("{}@evil.example/", url),
        "javascript:alert(1)".to_owned(),
        "nonsense".to_owned(),
    ] {
        let reply = refused(&hostile).await;
        assert_eq!((reply.status.as_u16(), reply.header("location")), (422, None), "{hostile}");
    }
    service.stop().await;
}

#[actix_web::test]
async fn whatever_people_and_servers_write_is_text_on_every_page() {
    let service =
        Service::start_with("markup", &[("REGISTRATION_POLICY", "approval")], Default::default()).await;
    let (admin_id, admin) = service.add_user("Admin", Role::Admin).await;
    let pool = &service.application.postgres;
    // The longest that a name can be, so that nothing of it is cut off.
    let (user_id, _) = service.add_user("Anna", Role::Organizer).await;
    sqlx::query("UPDATE users SET display_name = $1").bind(MARKUP).execute(pool).await.unwrap();
    sqlx::query("UPDATE sessions SET label = $1").bind(MARKUP).execute(pool).await.unwrap();
    service.link_player(user_id, "4711").await;
    let ban = json!({ "reason": MARKUP });
    let path = format!("/api/v1/admin/users/{user_id}/ban");
    assert_eq!(service.client.call_as(&admin, "POST", &path, ban).await.status, 204);
    let server =
        json!({"name": MARKUP, "address": "203.0.113.7", "region": "\"><img src=x>", "description": MARKUP});
    assert_eq!(service.client.call_as(&admin, "POST", "/api/v1/servers", server).await.status, 201);
    let registered = json!({"name": MARKUP, "ip_address": "203.0.113.7", "port": 1});
    let reply = service.client.call("POST", "/api/v1/servers/register", &[], registered.to_string()).await;
    assert_eq!(reply.status, 200, "{}", reply.text);
    sqlx::query("UPDATE servers SET name = $1, address = $1").bind(MARKUP).execute(pool).await.unwrap();
    let device = json!({ "client_name": MARKUP }).to_string();
    let headers = [("Content-Type", "application/json")];
    let device = service.client.post("/api/v1/auth/device/init", &headers, device).await.unwrap().json();
    let event = |kind: &str| {
        json!({
            "type": kind, "match_id": "m", "timestamp": 20.0, "map_name": MARKUP, "gametype": MARKUP,
            "weapon": MARKUP, "hitloc": MARKUP, "mod": MARKUP, "message": MARKUP, "item": MARKUP,
            "player_name": MARKUP, "player_guid": "4712",
            "attacker_name": MARKUP, "attacker_guid": "4711", "victim_name": MARKUP, "victim_guid": "4712",
        })
    };
    let events = ["match_start", "player_kill", "chat", "weapon_fire", MARKUP].map(event);
    service.client.send(json!(events).to_string()).await.assert_batch(202, 5, &[]);
    let player = format!("/players/{user_id}");
    eventually("the player has a page", async || {
        (service.client.get(&player).await.status == 200).then_some(())
    })
    .await;
    let matches = service.client.get("/api/v1/stats/matches").await.json();
    let match_page = format!("/matches/{}", matches["matches"][0]["match_id"].as_str().unwrap());

    let browser = Chromium::open(&service.client.url, "markup", DESKTOP).await;
    let link = mohaa_stats::auth::make_login_link(pool, admin_id, "").await.unwrap();
    browser.go(&link).await;
    browser.click("Sign in").await;
    browser.arrives_at("/").await;
    let code = device["user_code"].as_str().unwrap();
    let encoded = crate::hostile::encoded(MARKUP);
    for path in [
        "/".to_owned(),
        "/leaderboard".to_owned(),
        "/matches".to_owned(),
        match_page,
        player,
        "/players/4712".to_owned(),
        "/account".to_owned(),
        "/admin".to_owned(),
        "/admin/servers".to_owned(),
        "/admin/users".to_owned(),
        "/admin/audit".to_owned(),
        format!("/device?user_code={code}"),
        format!("/device?user_code={encoded}"),
        format!("/admin/users?q={encoded}"),
        format!("/admin/players?from={encoded}&into=4711"),
        "/admin/players?from=4711&into=4712".to_owned(),
        format!("/leaderboard?filter[map]={encoded}"),
        format!("/players/{encoded}"),
        format!("/{encoded}"),
        format!("/login?return_to={encoded}"),
        "/api/docs".to_owned(),
    ] {
        browser.go(&path).await;
        let images = browser.run("return document.querySelectorAll('img[src=x], [onerror]').length").await;
        assert_eq!(images, 0, "{path} takes a text for markup");
        let title = browser.run("return document.title").await;
        assert_ne!(title, "taken", "{path} runs it");
    }
    browser.close().await;
    service.stop().await;
}
