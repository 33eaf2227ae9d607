//! Devices that are signed in by somebody at a browser.

use mohaa_stats::users::Role;
use serde_json::{Value, json};

use crate::support::{Browser, Reply, Service};

async fn begin(service: &Service) -> Value {
    let body = json!({"client_name": "kitchen <script>alert(1)</script>"}).to_string();
    let headers = [("Content-Type", "application/json")];
    let reply = service.client.post("/api/v1/auth/device/init", &headers, body).await.unwrap();
    assert_eq!(reply.status, 200, "{}", reply.text);
    reply.json()
}

async fn poll(service: &Service, begun: &Value) -> Reply {
    let body = json!({"device_code": begun["device_code"]}).to_string();
    let headers = [("Content-Type", "application/json")];
    service.client.post("/api/v1/auth/device/poll", &headers, body).await.unwrap()
}

#[track_caller]
fn assert_not_yet(reply: &Reply, code: &str) {
    assert_eq!(reply.status, 400, "{}", reply.text);
    let body = reply.json();
    assert_eq!((&body["error"], &body["code"]), (&code.into(), &code.into()), "{body}");
    assert!(body["error_description"].is_string());
}

async fn signed_in(service: &Service) -> (i32, Browser) {
    let (user_id, token) = service.add_user("Anna", Role::Player).await;
    let browser = Browser::new(&service.client);
    browser.set_cookie("mohaa_session", &token);
    (user_id, browser)
}

#[actix_web::test]
async fn an_approved_device_gets_its_tokens_once() {
    let service = Service::start("device").await;
    let begun = begin(&service).await;
    assert_eq!((&begun["interval"], &begun["expires_in"]), (&5.into(), &600.into()));
    let user_code = begun["user_code"].as_str().unwrap();
    assert_eq!(begun["verification_uri"], format!("{}/device", service.client.url));
    assert_eq!(
        begun["verification_uri_complete"],
        format!("{}/device?user_code={user_code}", service.client.url)
    );
    assert_not_yet(&poll(&service, &begun).await, "authorization_pending");
    assert_not_yet(&poll(&service, &begun).await, "slow_down");

    let (user_id, browser) = signed_in(&service).await;
    let typed = user_code.to_lowercase().replace('-', "");
    let page = browser.get(&format!("/device?user_code={typed}")).await;
    assert!(
        page.text.contains("kitchen &lt;script&gt;") || page.text.contains("kitchen &lt;"),
        "{}",
        page.text
    );
    assert!(!page.text.contains("<script>alert"), "{}", page.text);
    let answered = browser.post("/device", &[("user_code", &typed), ("answer", "approve")]).await;
    assert_eq!(answered.header("location"), Some("/device?done=approved"), "{}", answered.text);
    assert_eq!(browser.post("/device", &[("user_code", &typed), ("answer", "deny")]).await.status, 404);

    let tokens = poll(&service, &begun).await;
    assert_eq!(tokens.status, 200, "{}", tokens.text);
    let tokens = tokens.json();
    assert_eq!((&tokens["token_type"], &tokens["expires_in"]), (&"Bearer".into(), &900.into()));
    assert!(tokens["refresh_token"].is_string());
    let me = service.client.get_as(tokens["access_token"].as_str().unwrap(), "/api/v1/users/me").await.json();
    assert_eq!(me["user_id"], user_id);
    assert_not_yet(&poll(&service, &begun).await, "expired_token");
    service.stop().await;
}

#[actix_web::test]
async fn a_denied_or_expired_device_gets_nothing() {
    let service = Service::start("device_denied").await;
    let (_, browser) = signed_in(&service).await;
    browser.get("/device").await;
    let denied = begin(&service).await;
    let code = denied["user_code"].as_str().unwrap();
    let answered = browser.post("/device", &[("user_code", code), ("answer", "deny")]).await;
    assert_eq!(answered.header("location"), Some("/device?done=denied"), "{}", answered.text);
    assert_not_yet(&poll(&service, &denied).await, "access_denied");

    let expired = begin(&service).await;
    sqlx::query("UPDATE device_codes SET expires_at = now() - interval '1 second'")
        .execute(&service.application.postgres)
        .await
        .unwrap();
    assert_not_yet(&poll(&service, &expired).await, "expired_token");
    let code = expired["user_code"].as_str().unwrap();
    assert_eq!(browser.post("/device", &[("user_code", code), ("answer", "approve")]).await.status, 404);
    service.stop().await;
}

#[actix_web::test]
async fn a_device_approved_by_somebody_who_is_banned_meanwhile_is_denied() {
    let service = Service::start("device_banned").await;
    let (_, admin) = service.add_user("Admin", Role::Admin).await;
    let (user_id, browser) = signed_in(&service).await;
    browser.get("/device").await;
    let begun = begin(&service).await;
    let code = begun["user_code"].as_str().unwrap();
    let answered = browser.post("/device", &[("user_code", code), ("answer", "approve")]).await;
    assert_eq!(answered.header("location"), Some("/device?done=approved"), "{}", answered.text);
    let log = service.client.get_as(&admin, "/api/v1/admin/audit").await.json();
    assert_eq!(log["entries"][0]["action"], "user.approve_device", "{log}");
    let ban = format!("/api/v1/admin/users/{user_id}/ban");
    assert_eq!(service.client.call_as(&admin, "POST", &ban, json!({})).await.status, 204);
    assert_not_yet(&poll(&service, &begun).await, "access_denied");
    service.stop().await;
}

#[actix_web::test]
async fn a_device_is_approved_by_a_form_of_our_own_page_only() {
    let service = Service::start("device_csrf").await;
    let (_, browser) = signed_in(&service).await;
    let begun = begin(&service).await;
    let code = begun["user_code"].as_str().unwrap();
    browser.set_cookie("mohaa_csrf", "another-value-than-the");
    let token = browser.cookie("mohaa_session").unwrap();
    let cookie = format!("mohaa_session={token}");
    let body = format!("user_code={code}&answer=approve&csrf=");
    let headers = [("Cookie", cookie.as_str()), ("Content-Type", "application/x-www-form-urlencoded")];
    let reply = service.client.post("/device", &headers, body).await.unwrap();
    assert_eq!(reply.status, 403, "{}", reply.text);
    assert_not_yet(&poll(&service, &begun).await, "authorization_pending");
    service.stop().await;
}

#[actix_web::test]
async fn guessing_device_codes_comes_to_an_end() {
    let service = Service::start("device_guessing").await;
    let begun = begin(&service).await;
    for number in 0..20 {
        assert_not_yet(
            &poll(&service, &json!({"device_code": format!("wrong-{number}")})).await,
            "expired_token",
        );
    }
    poll(&service, &begun).await.assert_refused(429, "too_many_guesses");
    let (_, browser) = signed_in(&service).await;
    assert_eq!(browser.get("/device?user_code=WRONGCODE").await.status, 429);
    service.stop().await;
}

#[actix_web::test]
async fn a_program_in_which_somebody_is_signed_in_answers_devices_too() {
    let service = Service::start("device_api").await;
    let (_, token) = service.add_user("Anna", Role::Player).await;
    for (answer, code) in [("approve", None), ("deny", Some("access_denied"))] {
        let begun = begin(&service).await;
        let path = format!("/api/v1/auth/device/{answer}");
        let body = json!({ "user_code": begun["user_code"] });
        assert_eq!(service.client.call_as(&token, "POST", &path, body.clone()).await.status, 204);
        let polled = poll(&service, &begun).await;
        match code {
            None => assert_eq!(polled.status, 200, "{}", polled.text),
            Some(code) => assert_not_yet(&polled, code),
        }
        let again = service.client.call_as(&token, "POST", &path, body).await;
        again.assert_refused(404, "unknown_code");
    }
    // What a device calls itself may name anybody: it is in no entry.
    let (_, admin) = service.add_user("Admin", Role::Admin).await;
    let log = service.client.get_as(&admin, "/api/v1/admin/audit").await;
    assert!(
        log.text.contains("user.approve_device") && log.text.contains("user.deny_device"),
        "{}",
        log.text
    );
    assert!(!log.text.contains("kitchen"), "{}", log.text);
    let wrong = json!({ "user_code": "WRNGWRNGX" });
    for _ in 0..18 {
        let path = "/api/v1/auth/device/approve";
        service.client.call_as(&token, "POST", path, wrong.clone()).await.assert_refused(404, "unknown_code");
    }
    let path = "/api/v1/auth/device/deny";
    service.client.call_as(&token, "POST", path, wrong).await.assert_refused(429, "too_many_guesses");
    service.stop().await;
}
