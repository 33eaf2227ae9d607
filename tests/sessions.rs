//! Sessions: tokens that renew each other, and what ends them.

use mohaa_stats::users::Role;
use serde_json::{Value, json};

use crate::support::{Browser, Providers, Reply, Service, eventually, schemas};

async fn refresh(service: &Service, refresh_token: &str) -> Reply {
    let body = json!({ "refresh_token": refresh_token }).to_string();
    let headers = [("Content-Type", "application/json")];
    service.client.post("/api/v1/auth/refresh", &headers, body).await.unwrap()
}

fn text<'a>(body: &'a Value, name: &str) -> &'a str {
    body[name].as_str().unwrap_or_else(|| panic!("no {name} in {body}"))
}

#[actix_web::test]
async fn a_refresh_token_is_good_once_and_shown_again_it_ends_its_session() {
    let service = Service::start("refresh").await;
    let (_, opened) = service.add_session("Anna", Role::Player).await;
    let first = opened.refresh_token.unwrap();
    let renewed = refresh(&service, &first).await.json();
    assert_eq!((&renewed["token_type"], &renewed["expires_in"]), (&"Bearer".into(), &900.into()));
    let (access, second) = (text(&renewed, "access_token"), text(&renewed, "refresh_token"));
    assert_ne!(second, first);
    assert_eq!(service.client.get_as(access, "/api/v1/users/me").await.status, 200);

    let third = refresh(&service, second).await.json();
    refresh(&service, second).await.assert_refused(401, "invalid_refresh_token");
    // The thief's and the owner's tokens alike.
    refresh(&service, text(&third, "refresh_token")).await.assert_refused(401, "invalid_refresh_token");
    service
        .client
        .get_as(text(&third, "access_token"), "/api/v1/users/me")
        .await
        .assert_refused(401, "token_revoked");
    refresh(&service, "nonsense").await.assert_refused(401, "invalid_refresh_token");
    service.stop().await;
}

#[actix_web::test]
async fn of_two_who_show_one_refresh_token_at_once_at_most_one_gets_on() {
    let service = Service::start("race").await;
    let (_, opened) = service.add_session("Anna", Role::Player).await;
    let token = opened.refresh_token.unwrap();
    let (one, other) = tokio::join!(refresh(&service, &token), refresh(&service, &token));
    let mut statuses = [one.status.as_u16(), other.status.as_u16()];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 401]);
    service.stop().await;
}

#[actix_web::test]
async fn a_session_that_ends_on_one_node_opens_nothing_on_another() {
    let urls = schemas::database("two_nodes").await;
    let one = Service::start_on(&urls, &[], Default::default()).await;
    let other = Service::start_on(&urls, &[], Default::default()).await;
    let (user_id, opened) = one.add_session("Anna", Role::Admin).await;
    let token = opened.access_token;
    assert_eq!(other.client.get_as(&token, "/api/v1/users/me").await.status, 200);
    let (_, admin) = one.add_user("Admin", Role::Admin).await;

    let listed = one.client.get_as(&token, "/api/v1/users/me/sessions").await.json();
    assert_eq!(
        (&listed["sessions"][0]["kind"], &listed["sessions"][0]["current"]),
        (&"device".into(), &true.into()),
        "{listed}"
    );
    assert_eq!(
        one.client.call_as(&token, "POST", "/api/v1/auth/logout-everywhere", json!({})).await.status,
        204
    );
    one.client.get_as(&token, "/api/v1/users/me").await.assert_refused(401, "token_revoked");
    eventually("the other node hears of it", async || {
        (other.client.get_as(&token, "/api/v1/users/me").await.status == 401).then_some(())
    })
    .await;

    // A ban too, and an access token made before it never comes back to life.
    let again = one.sessions().open(user_id, mohaa_stats::auth::SessionKind::Device, "again").await.unwrap();
    assert_eq!(other.client.get_as(&again.access_token, "/api/v1/users/me").await.status, 200);
    let ban = format!("/api/v1/admin/users/{user_id}/ban");
    assert_eq!(one.client.call_as(&admin, "POST", &ban, json!({"reason": "aimbot"})).await.status, 204);
    eventually("the other node hears of the ban", async || {
        (other.client.get_as(&again.access_token, "/api/v1/users/me").await.status == 403).then_some(())
    })
    .await;
    let log = one.client.get_as(&admin, "/api/v1/admin/audit").await;
    assert!(log.text.contains("user.ban") && !log.text.contains("aimbot"), "{}", log.text);
    refresh(&other, &again.refresh_token.unwrap()).await.assert_refused(403, "banned");
    assert_eq!(one.client.call_as(&admin, "DELETE", &ban, json!(null)).await.status, 204);
    one.client.get_as(&again.access_token, "/api/v1/users/me").await.assert_refused(401, "token_revoked");
    one.stop().await;
    other.stop().await;
}

#[actix_web::test]
async fn another_role_ends_access_tokens_and_comes_with_the_next() {
    let service = Service::start("roles").await;
    let (_, admin) = service.add_user("Admin", Role::Admin).await;
    let (user_id, opened) = service.add_session("Anna", Role::Player).await;
    let role = format!("/api/v1/admin/users/{user_id}/role");
    assert_eq!(service.client.call_as(&admin, "POST", &role, json!({"role": "admin"})).await.status, 204);
    service
        .client
        .get_as(&opened.access_token, "/api/v1/users/me")
        .await
        .assert_refused(401, "token_revoked");
    let renewed = refresh(&service, &opened.refresh_token.unwrap()).await.json();
    let audit = service.client.get_as(text(&renewed, "access_token"), "/api/v1/admin/audit").await.json();
    assert_eq!(audit["entries"][0]["action"], "user.set_role", "{audit}");
    assert_eq!(audit["entries"][0]["before"]["role"], "player");
    service
        .client
        .call_as(&admin, "POST", &role, json!({"role": "emperor"}))
        .await
        .assert_refused(422, "validation_failed");
    service.stop().await;
}

#[actix_web::test]
async fn there_is_always_an_admin() {
    let service = Service::start("last_admin").await;
    let (admin_id, admin) = service.add_user("Admin", Role::Admin).await;
    let role = format!("/api/v1/admin/users/{admin_id}/role");
    service
        .client
        .call_as(&admin, "POST", &role, json!({"role": "player"}))
        .await
        .assert_refused(409, "last_admin");
    let ban = format!("/api/v1/admin/users/{admin_id}/ban");
    service.client.call_as(&admin, "POST", &ban, json!({})).await.assert_refused(409, "last_admin");
    service
        .client
        .call_as(&admin, "DELETE", "/api/v1/users/me", json!({}))
        .await
        .assert_refused(409, "last_admin");
    service.stop().await;
}

#[actix_web::test]
async fn a_browser_stays_signed_in_by_its_refresh_cookie_and_requests_side_by_side_do_it_no_harm() {
    let service = Service::start("cookies").await;
    let user = service.add_user("Anna", Role::Player).await.0;
    let opened = service
        .sessions()
        .open(user, mohaa_stats::auth::SessionKind::Browser, "Firefox on Linux")
        .await
        .unwrap();
    let cookie = format!("mohaa_refresh={}", opened.refresh_token.unwrap());
    let account = async || service.client.get_with("/account", &[("Cookie", cookie.as_str())]).await;
    let (one, other) = tokio::join!(account(), account());
    assert_eq!((one.status.as_u16(), other.status.as_u16()), (200, 200), "{}", other.text);
    let set = |reply: &Reply, name: &str| {
        let all = reply.headers.get_all("set-cookie").into_iter().filter_map(|value| value.to_str().ok());
        all.filter(|cookie| cookie.starts_with(name)).map(str::to_owned).next()
    };
    for reply in [&one, &other] {
        let session = set(reply, "mohaa_session=").unwrap();
        assert!(session.contains("HttpOnly") && session.contains("SameSite=Lax"), "{session}");
    }
    let renewed = [&one, &other].iter().filter(|reply| set(reply, "mohaa_refresh=").is_some()).count();
    assert_eq!(renewed, 1, "one of them got the next refresh token");

    // The same token at the API, where programs are on their own, is stolen.
    let stolen = cookie.strip_prefix("mohaa_refresh=").unwrap();
    refresh(&service, stolen).await.assert_refused(401, "invalid_refresh_token");
    assert_eq!(account().await.status, 303);
    service.stop().await;
}

#[actix_web::test]
async fn requests_of_other_sites_get_nothing_done_by_a_cookie() {
    let service = Service::start("cross_site").await;
    let (_, token) = service.add_user("Anna", Role::Player).await;
    let cookie = format!("mohaa_session={token}");
    let game_token = async |headers: &[(&str, &str)]| {
        let mut all = vec![("Cookie", cookie.as_str())];
        all.extend_from_slice(headers);
        service.client.post("/api/v1/auth/game-token", &all, "").await.unwrap()
    };
    assert_eq!(game_token(&[]).await.status, 201);
    assert_eq!(game_token(&[("Origin", &service.client.url)]).await.status, 201);
    assert_eq!(game_token(&[("Sec-Fetch-Site", "same-origin")]).await.status, 201);
    for hostile in [
        ("Origin", "https://evil.example"),
        ("Origin", "null"),
        ("Sec-Fetch-Site", "cross-site"),
        ("Sec-Fetch-Site", "same-site"),
    ] {
        game_token(&[hostile]).await.assert_refused(403, "cross_site");
    }
    // Looking is harmless: no other site can read the answer.
    let looked = service
        .client
        .get_with("/api/v1/users/me", &[("Cookie", &cookie), ("Sec-Fetch-Site", "cross-site")])
        .await;
    assert_eq!(looked.status, 200);
    let allowed = looked.header("access-control-allow-origin");
    assert_eq!(allowed, None);
    service.stop().await;
}

#[actix_web::test]
async fn a_browser_that_signs_in_as_somebody_else_is_signed_out_before() {
    let service = Service::start("other_user").await;
    let browser = Browser::new(&service.client);
    let mut tokens = Vec::new();
    for name in ["Anna", "Bert"] {
        let pool = &service.application.postgres;
        let user = mohaa_stats::users::add(pool, &name.parse().unwrap(), Role::Player).await.unwrap();
        let link = mohaa_stats::auth::make_login_link(pool, user.user_id, "").await.unwrap();
        browser.get(&link).await;
        assert_eq!(browser.post(&link, &[]).await.status, 303);
        tokens.push(browser.cookie("mohaa_session").unwrap());
    }
    service.client.get_as(&tokens[0], "/api/v1/users/me").await.assert_refused(401, "token_revoked");
    assert_eq!(service.client.get_as(&tokens[1], "/api/v1/users/me").await.json()["display_name"], "Bert");
    service.stop().await;
}

#[actix_web::test]
async fn a_session_that_is_used_all_the_time_ends_all_the_same() {
    let service = Service::start("long_session").await;
    let (_, opened) = service.add_session("Anna", Role::Player).await;
    sqlx::query("UPDATE sessions SET authenticated_at = now() - interval '180 days' + interval '1 hour'")
        .execute(&service.application.postgres)
        .await
        .unwrap();
    let refreshed = refresh(&service, &opened.refresh_token.unwrap()).await;
    assert_eq!(refreshed.status, 200, "{}", refreshed.text);
    let left: bool = sqlx::query_scalar("SELECT max(expires_at) <= now() + interval '1 hour' FROM sessions")
        .fetch_one(&service.application.postgres)
        .await
        .unwrap();
    assert!(left, "it lives for the hour that is left of half a year");
    service.stop().await;
}

#[actix_web::test]
async fn a_deleted_account_is_gone_and_what_it_took_along_was_everything() {
    let service = Service::start("deleted").await;
    let (user_id, opened) = service.add_session("Anna ^1Red", Role::Player).await;
    service.link_player(user_id, "4711").await;
    let ended =
        service.sessions().open(user_id, mohaa_stats::auth::SessionKind::Device, "ended").await.unwrap();
    service.sessions().end(user_id, ended.session_id).await.unwrap();
    let token = opened.access_token;
    let export = service.client.get_as(&token, "/api/v1/users/me/export").await;
    assert!(export.header("content-disposition").is_some_and(|value| value.starts_with("attachment")));
    let export = export.json();
    assert_eq!(
        (&export["display_name"], &export["players"][0]["player_id"]),
        (&"Anna ^1Red".into(), &"4711".into())
    );

    assert_eq!((&export["servers"], &export["server_keys"]), (&json!([]), &json!([])));
    assert_eq!(export["audit"][0]["action"], "user.add", "{export}");
    let sessions = export["sessions"].as_array().unwrap();
    assert_eq!(sessions.len(), 2, "{export}");
    assert!(sessions.iter().any(|session| session["label"] == "ended" && session["ended_at"].is_string()));

    // What can't be undone is not done by a wish that can't be read.
    for unreadable in [json!({"anonymise_players": "true"}), json!([1])] {
        let refused = service.client.call_as(&token, "DELETE", "/api/v1/users/me", unreadable).await;
        refused.assert_refused(422, "validation_failed");
    }
    let body = json!({"anonymise_players": true});
    assert_eq!(service.client.call_as(&token, "DELETE", "/api/v1/users/me", body).await.status, 204);
    service.client.get_as(&token, "/api/v1/users/me").await.assert_refused(401, "token_revoked");
    refresh(&service, &opened.refresh_token.unwrap()).await.assert_refused(401, "invalid_refresh_token");
    let pool = &service.application.postgres;
    let left: (String, i64, i64, i64) = sqlx::query_as(
        "SELECT display_name, (SELECT count(*) FROM user_identities), (SELECT count(*) FROM sign_ins),
                (SELECT count(*) FROM anonymous_players) FROM users WHERE id = $1",
    )
    .bind(user_id)
    .fetch_one(pool)
    .await
    .unwrap();
    assert_eq!(left, ("deleted user".to_owned(), 0, 0, 2));
    let (next, _) = service.add_user("Next", Role::Player).await;
    assert!(next > user_id, "an id is never given twice");
    service.stop().await;
}

#[actix_web::test]
async fn signing_out_everywhere_leaves_nothing_that_signs_in_later() {
    let service = Service::start("everywhere").await;
    let (opened_by, opened) = service.add_session("Anna", Role::Player).await;
    let token = opened.access_token;
    let made = service.client.call_as(&token, "POST", "/api/v1/auth/game-token", json!({})).await.json();
    let begun = service.client.call("POST", "/api/v1/auth/device/init", &[], "").await.json();
    let browser = Browser::new(&service.client);
    browser.set_cookie("mohaa_session", &token);
    browser.get("/device").await;
    let typed = [("user_code", text(&begun, "user_code")), ("answer", "approve")];
    assert_eq!(browser.post("/device", &typed).await.status, 303);
    let pool = &service.application.postgres;
    let link = mohaa_stats::auth::make_login_link(pool, opened_by, "").await.unwrap();
    assert_eq!(service.client.get(&link).await.status, 200);
    let everywhere = "/api/v1/auth/logout-everywhere";
    assert_eq!(service.client.call_as(&token, "POST", everywhere, json!({})).await.status, 204);
    assert_eq!(service.client.get(&link).await.status, 410);
    let link = mohaa_stats::auth::make_login_link(pool, opened_by, "").await.unwrap();
    let (_, admin) = service.add_user("Admin", Role::Admin).await;
    let sign_out = format!("/api/v1/admin/users/{opened_by}/sign-out");
    assert_eq!(service.client.call_as(&admin, "POST", &sign_out, json!({})).await.status, 204);
    assert_eq!(service.client.get(&link).await.status, 410, "as an admin's does");

    let poll = json!({"device_code": begun["device_code"]}).to_string();
    let reply = service.client.call("POST", "/api/v1/auth/device/poll", &[], poll).await;
    assert_eq!((reply.status.as_u16(), &reply.json()["error"]), (400, &json!("access_denied")));
    let verify = json!({"token": made["code"]}).to_string();
    assert_eq!(service.client.call("POST", "/api/v1/auth/verify", &[], verify).await.status, 401);
    service.stop().await;
}

#[actix_web::test]
async fn what_belongs_to_one_person_is_kept_in_no_cache() {
    let service = Service::start("no_store").await;
    let (_, token) = service.add_user("Anna", Role::Organizer).await;
    for path in ["", "/sessions", "/players", "/export"] {
        let reply = service.client.get_as(&token, &format!("/api/v1/users/me{path}")).await;
        assert_eq!((reply.status.as_u16(), reply.header("cache-control")), (200, Some("no-store")), "{path}");
    }
    for path in ["/api/v1/auth/game-token", "/api/v1/servers/keys"] {
        let reply = service.client.call_as(&token, "POST", path, json!({})).await;
        assert_eq!((reply.status.as_u16(), reply.header("cache-control")), (201, Some("no-store")), "{path}");
    }
    service.stop().await;
}

#[actix_web::test]
async fn lists_of_ones_own_come_in_pages() {
    let service = Service::start("own_lists").await;
    let (user_id, token) = service.add_user("Anna", Role::Player).await;
    for player_id in ["1", "2", "3"] {
        service.link_player(user_id, player_id).await;
        service.sessions().open(user_id, mohaa_stats::auth::SessionKind::Device, "another").await.unwrap();
    }
    for (list, total) in [("players", 3), ("sessions", 4)] {
        let path = format!("/api/v1/users/me/{list}");
        let page = service.client.get_as(&token, &format!("{path}?page=2&limit=2")).await.json();
        assert_eq!(
            (&page["page"], &page["limit"], &page["total"]),
            (&json!(2), &json!(2), &json!(total)),
            "{page}"
        );
        assert_eq!(page[list].as_array().unwrap().len(), total - 2, "{page}");
        service
            .client
            .get_as(&token, &format!("{path}?pages=1"))
            .await
            .assert_refused(422, "validation_failed");
    }
    service.stop().await;
}

/// A NUL is in no name, and PostgreSQL stores none: that is the caller's mistake, whoever finds it.
#[actix_web::test]
async fn texts_with_a_nul_are_refused_and_nothing_is_unavailable() {
    let service = Service::start("nul").await;
    let (user_id, admin) = service.add_user("Admin", Role::Admin).await;
    for path in ["/api/v1/users/me/players/a%00b", "/api/v1/admin/merges/%00"] {
        let reply = service.client.call_as(&admin, "DELETE", path, json!(null)).await;
        reply.assert_refused(404, "not_found");
    }
    let ban = format!("/api/v1/admin/users/{user_id}/ban");
    let refused = service.client.call_as(&admin, "POST", &ban, json!({"reason": "a\0b"})).await;
    refused.assert_refused(422, "validation_failed");
    assert!(refused.json()["fields"]["reason"].is_string(), "{}", refused.text);
    let found = service.client.get_as(&admin, "/api/v1/admin/users?q=a%00b").await;
    found.assert_refused(422, "validation_failed");
    let role = format!("/api/v1/admin/users/{user_id}/role");
    for (body, field) in [(json!({}), "role"), (json!({"role": 7}), "role"), (json!("x"), "body")] {
        let refused = service.client.call_as(&admin, "POST", &role, body).await;
        refused.assert_refused(422, "validation_failed");
        assert!(refused.json()["fields"][field].is_string(), "{}", refused.text);
    }
    service.stop().await;
}

#[actix_web::test]
async fn what_decides_who_gets_in_needs_a_sign_in_of_the_last_hour() {
    let providers = Providers::start();
    let settings = providers.settings();
    let settings: Vec<(&str, &str)> = settings.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let service = Service::start_with("recent", &settings, Default::default()).await;
    let (_, token) = service.add_user("Anna", Role::Player).await;
    sqlx::query("UPDATE sessions SET authenticated_at = now() - interval '61 minutes'")
        .execute(&service.application.postgres)
        .await
        .unwrap();
    let link = service.client.get_as(&token, "/api/v1/auth/steam?link=1").await;
    link.assert_refused(403, "sign_in_again");
    let delete = service.client.call_as(&token, "DELETE", "/api/v1/users/me", json!({})).await;
    delete.assert_refused(403, "sign_in_again");
    let browser = Browser::new(&service.client);
    browser.set_cookie("mohaa_session", &token);
    let account = browser.get("/account").await;
    assert_eq!(account.status, 200, "all else goes on: {}", account.text);
    let fields = [("provider", "steam"), ("subject", "1")];
    assert_eq!(browser.post("/account/sign-ins/unlink", &fields).await.status, 403);
    service.stop().await;
    providers.stop().await;
}

#[actix_web::test]
async fn a_session_that_approves_a_device_gets_no_younger_by_it() {
    let service = Service::start("approved_by_itself").await;
    let (_, opened) = service.add_session("Anna", Role::Player).await;
    sqlx::query("UPDATE sessions SET authenticated_at = now() - interval '2 hours'")
        .execute(&service.application.postgres)
        .await
        .unwrap();
    let begun = service.client.call("POST", "/api/v1/auth/device/init", &[], "").await.json();
    let browser = Browser::new(&service.client);
    browser.set_cookie("mohaa_session", &opened.access_token);
    browser.get("/device").await;
    let typed = [("user_code", text(&begun, "user_code")), ("answer", "approve")];
    assert_eq!(browser.post("/device", &typed).await.status, 303);
    let poll = json!({"device_code": begun["device_code"]}).to_string();
    let tokens = service.client.call("POST", "/api/v1/auth/device/poll", &[], poll).await.json();
    let device = text(&tokens, "access_token");
    let delete = service.client.call_as(device, "DELETE", "/api/v1/users/me", json!({})).await;
    delete.assert_refused(403, "sign_in_again");
    service.stop().await;
}

#[actix_web::test]
async fn a_ban_ends_what_would_open_the_account_again_when_it_is_lifted() {
    let service = Service::start("ban_ends").await;
    let (_, admin) = service.add_user("Admin", Role::Admin).await;
    let (user_id, opened) = service.add_session("Anna", Role::Player).await;
    let token = opened.access_token;
    let made = service.client.call_as(&token, "POST", "/api/v1/auth/game-token", json!({})).await.json();
    let ban = format!("/api/v1/admin/users/{user_id}/ban");
    assert_eq!(service.client.call_as(&admin, "POST", &ban, json!({})).await.status, 204);
    assert_eq!(service.client.call_as(&admin, "DELETE", &ban, json!(null)).await.status, 204);
    refresh(&service, &opened.refresh_token.unwrap()).await.assert_refused(401, "invalid_refresh_token");
    let verify = json!({"token": made["code"]}).to_string();
    assert_eq!(service.client.call("POST", "/api/v1/auth/verify", &[], verify).await.status, 401);
    let users = service.client.get_as(&admin, &format!("/api/v1/admin/users?q={user_id}")).await.json();
    assert_eq!(users["users"][0]["open_sessions"], 0, "{users}");
    service.stop().await;
}

#[actix_web::test]
async fn a_code_is_shown_to_whoever_made_it_and_to_nobody_who_signs_in_later() {
    let service = Service::start("shown_code").await;
    let (_, anna) = service.add_user("Anna", Role::Player).await;
    let (_, carl) = service.add_user("Carl", Role::Player).await;
    let browser = Browser::new(&service.client);
    browser.set_cookie("mohaa_session", &anna);
    browser.get("/account").await;
    assert_eq!(browser.post("/account/game-token", &[]).await.status, 303);
    let shown = browser.cookie("mohaa_code").unwrap();
    let code = shown.split('.').nth(1).unwrap().to_owned();
    assert!(browser.get("/account").await.text.contains(&code));
    browser.post("/account/sign-out", &[]).await;
    assert_eq!(browser.cookie("mohaa_code"), None);
    // Also where a browser would keep it.
    browser.set_cookie("mohaa_code", &shown);
    browser.set_cookie("mohaa_session", &carl);
    let page = browser.get("/account").await;
    assert!(page.status == 200 && !page.text.contains(&code), "{}", page.text);
    service.stop().await;
}
