//! What happens to an account at the same time: each test holds a lock, so that both are under way for certain.

use std::time::{Duration, Instant};

use futures_util::poll;
use mohaa_stats::auth::{OpenedSession, make_login_link};
use mohaa_stats::startup::Surroundings;
use mohaa_stats::users::Role;
use serde_json::{Value, json};
use sqlx::{PgPool, Postgres, Transaction};

use crate::support::locks::{until_done_or_waiting, until_waiting};
use crate::support::{Browser, Providers, Reply, Service, ServiceClient, eventually};

const EVERYWHERE: &str = "/api/v1/auth/logout-everywhere";
const DISCORD: &str = "/api/v1/auth/discord";

/// A transaction that holds what this statement locks.
async fn holding(pool: &PgPool, statement: &str) -> Transaction<'static, Postgres> {
    let mut transaction = pool.begin().await.unwrap();
    sqlx::raw_sql(sqlx::AssertSqlSafe(statement.to_owned())).execute(&mut *transaction).await.unwrap();
    transaction
}

#[actix_web::test]
async fn whoever_goes_away_as_a_transaction_begins_leaves_none_to_others() {
    let service = Service::start("hung_up").await;
    let pool = &service.application.postgres;
    for attempt in 0..3_000 {
        // Dropped before, while and after PostgreSQL answers.
        let (mut begin, began_at) = (Box::pin(pool.begin()), Instant::now());
        while began_at.elapsed() < Duration::from_micros(2 * (attempt % 600))
            && poll!(&mut begin).is_pending()
        {
            tokio::task::yield_now().await;
        }
    }
    eventually("no connection of the pool is in a transaction", async || {
        let open: i64 = sqlx::query_scalar(
            "SELECT count(*) FROM pg_stat_activity
             WHERE datname = current_database() AND pid <> pg_backend_pid() AND state LIKE 'idle in transaction%'",
        )
        .fetch_one(pool)
        .await
        .unwrap();
        (open == 0).then_some(())
    })
    .await;
    service.stop().await;
}

async fn called(client: ServiceClient, token: String, method: &str, path: String, body: Value) -> Reply {
    client.call_as(&token, method, &path, body).await
}

async fn refreshed(service: &Service, opened: &Value) -> Reply {
    let body = json!({ "refresh_token": opened["refresh_token"] }).to_string();
    let headers = [("Content-Type", "application/json")];
    service.client.call("POST", "/api/v1/auth/refresh", &headers, body).await
}

/// Holds up whoever signs in: an old session, of somebody else, that they would clear away.
async fn holding_up_sign_ins(service: &Service) -> Transaction<'static, Postgres> {
    let pool = &service.application.postgres;
    let (_, old) = service.add_session("Old", Role::Player).await;
    sqlx::query("UPDATE sessions SET expires_at = now() - interval '60 days' WHERE id = $1")
        .bind(old.session_id)
        .execute(pool)
        .await
        .unwrap();
    holding(pool, "SELECT FROM sessions WHERE expires_at < now() FOR UPDATE").await
}

/// A device that this user has approved; its code.
async fn approved_device(service: &Service, user: &OpenedSession) -> Value {
    let begun = service.client.call("POST", "/api/v1/auth/device/init", &[], "").await.json();
    let body = json!({ "user_code": begun["user_code"] });
    let path = "/api/v1/auth/device/approve";
    assert_eq!(service.client.call_as(&user.access_token, "POST", path, body).await.status, 204);
    json!({ "device_code": begun["device_code"] })
}

#[actix_web::test]
async fn who_signs_in_while_they_sign_out_everywhere_is_signed_out() {
    let service = Service::start("sign_in_races").await;
    let pool = &service.application.postgres;
    let (user_id, user) = service.add_session("Anna", Role::Player).await;
    let device = approved_device(&service, &user).await;
    let hold = holding_up_sign_ins(&service).await;
    let client = service.client.clone();
    let polling = actix_web::rt::spawn(async move {
        client.call("POST", "/api/v1/auth/device/poll", &[], device.to_string()).await
    });
    until_waiting(pool, 1).await;
    let ending = called(service.client.clone(), user.access_token, "POST", EVERYWHERE.to_owned(), json!({}));
    let ending = actix_web::rt::spawn(ending);
    until_done_or_waiting(pool, &ending, 2).await;
    hold.rollback().await.unwrap();
    let (polled, ended) = (polling.await.unwrap(), ending.await.unwrap());
    assert_eq!((polled.status.as_u16(), ended.status.as_u16()), (200, 204), "{}", polled.text);
    let token = polled.json()["access_token"].as_str().unwrap().to_owned();
    service.client.get_as(&token, "/api/v1/users/me").await.assert_refused(401, "token_revoked");
    refreshed(&service, &polled.json()).await.assert_refused(401, "invalid_refresh_token");
    let open: i64 =
        sqlx::query_scalar("SELECT count(*) FROM sessions WHERE user_id = $1 AND ended_at IS NULL")
            .bind(user_id)
            .fetch_one(pool)
            .await
            .unwrap();
    assert_eq!(open, 0);
    service.stop().await;
}

#[actix_web::test]
async fn who_signs_in_by_a_link_while_an_admin_bans_them_stays_out_when_the_ban_is_lifted() {
    let service = Service::start("ban_races").await;
    let pool = &service.application.postgres;
    let (_, admin) = service.add_user("Admin", Role::Admin).await;
    let (user_id, _) = service.add_user("Anna", Role::Player).await;
    let link = make_login_link(pool, user_id, "").await.unwrap();
    let browser = Browser::new(&service.client);
    browser.get(&link).await;
    let hold = holding_up_sign_ins(&service).await;
    let signing_in = actix_web::rt::spawn(async move {
        let reply = browser.post(&link, &[]).await;
        (reply, browser)
    });
    until_waiting(pool, 1).await;
    let ban = format!("/api/v1/admin/users/{user_id}/ban");
    let banning = called(service.client.clone(), admin.clone(), "POST", ban.clone(), json!({}));
    let banning = actix_web::rt::spawn(banning);
    until_done_or_waiting(pool, &banning, 2).await;
    hold.rollback().await.unwrap();
    let ((signed_in, browser), banned) = (signing_in.await.unwrap(), banning.await.unwrap());
    assert_eq!(banned.status, 204, "{}", banned.text);
    assert_eq!(signed_in.status, 303, "it came before the ban: {}", signed_in.text);
    assert_eq!(service.client.call_as(&admin, "DELETE", &ban, json!(null)).await.status, 204);
    let refresh = json!({ "refresh_token": browser.cookie("mohaa_refresh").unwrap() });
    refreshed(&service, &refresh).await.assert_refused(401, "invalid_refresh_token");
    service.stop().await;
}

#[actix_web::test]
async fn what_outlives_a_session_is_not_made_by_one_that_has_ended_meanwhile() {
    let service = Service::start("ended_callers").await;
    let pool = &service.application.postgres;
    let begun = service.client.call("POST", "/api/v1/auth/device/init", &[], "").await.json();
    let approval = json!({ "user_code": begun["user_code"] });
    for (path, body) in [
        ("/api/v1/auth/device/approve", approval),
        ("/api/v1/auth/game-token", json!({})),
        ("/api/v1/auth/claim/init", json!({})),
    ] {
        let (user_id, user) = service.add_session("Anna", Role::Player).await;
        let mut signing_out =
            holding(pool, &format!("SELECT FROM users WHERE id = {user_id} FOR NO KEY UPDATE")).await;
        let asking = called(service.client.clone(), user.access_token, "POST", path.to_owned(), body);
        let asking = actix_web::rt::spawn(asking);
        until_done_or_waiting(pool, &asking, 1).await;
        sqlx::query("UPDATE sessions SET ended_at = now() WHERE user_id = $1")
            .bind(user_id)
            .execute(&mut *signing_out)
            .await
            .unwrap();
        signing_out.commit().await.unwrap();
        asking.await.unwrap().assert_refused(401, "token_revoked");
    }
    service.stop().await;
}

#[actix_web::test]
async fn an_account_of_a_provider_is_not_linked_to_a_user_who_is_being_deleted() {
    let providers = Providers::start();
    let settings = providers.settings();
    let settings: Vec<(&str, &str)> = settings.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let service = Service::start_with("link_races", &settings, Surroundings::default()).await;
    let pool = &service.application.postgres;
    let (user_id, user) = service.add_session("Anna", Role::Player).await;
    approved_device(&service, &user).await;
    let browser = Browser::new(&service.client);
    browser.set_cookie("mohaa_session", &user.access_token);
    providers.sign_in("80351110224678912", "Anna");
    let callback = browser.at_provider(&format!("{DISCORD}?link=1&return_to=/account")).await;

    // The deletion has taken the sign-ins and waits for this before it goes on.
    let hold = holding(pool, &format!("SELECT FROM device_codes WHERE user_id = {user_id} FOR UPDATE")).await;
    let own = "/api/v1/users/me".to_owned();
    let deleting = called(service.client.clone(), user.access_token, "DELETE", own, json!({}));
    let deleting = actix_web::rt::spawn(deleting);
    until_waiting(pool, 1).await;
    let linking = actix_web::rt::spawn(async move { browser.get(&callback).await });
    until_done_or_waiting(pool, &linking, 2).await;
    hold.rollback().await.unwrap();
    assert_eq!(deleting.await.unwrap().status, 204);
    let linked = linking.await.unwrap();
    assert_ne!(linked.header("location"), Some("/account"), "{}", linked.text);

    // The account of Discord is nobody's and opens a new one here.
    let browser = Browser::new(&service.client);
    assert_eq!(browser.sign_in(DISCORD).await.status, 303);
    let token = browser.cookie("mohaa_session").expect("it signs in");
    let me = service.client.get_as(&token, "/api/v1/users/me").await.json();
    assert!(me["user_id"].as_i64() > Some(user_id.into()), "{me}");
    service.stop().await;
    providers.stop().await;
}

#[actix_web::test]
async fn of_two_admins_who_demote_each_other_one_is_left_and_both_are_answered() {
    let service = Service::start("demotions").await;
    let pool = &service.application.postgres;
    let (one, ones_token) = service.add_user("One", Role::Admin).await;
    let (other, others_token) = service.add_user("Other", Role::Admin).await;
    let hold = holding(pool, "SELECT FROM users ORDER BY id FOR UPDATE").await;
    let demotion = |token: &str, user_id: i32| {
        let path = format!("/api/v1/admin/users/{user_id}/role");
        let body = json!({"role": "player"});
        actix_web::rt::spawn(called(service.client.clone(), token.to_owned(), "POST", path, body))
    };
    let both = [demotion(&ones_token, other), demotion(&others_token, one)];
    until_waiting(pool, 2).await;
    hold.rollback().await.unwrap();
    let replies = futures_util::future::join_all(both).await;
    let mut statuses: Vec<u16> = replies.into_iter().map(|reply| reply.unwrap().status.as_u16()).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [204, 403]);
    let left: i64 =
        sqlx::query_scalar("SELECT count(*) FROM users WHERE role = 'admin'").fetch_one(pool).await.unwrap();
    assert_eq!(left, 1);
    service.stop().await;
}

#[actix_web::test]
async fn a_claim_and_the_deletion_of_its_user_both_are_answered_and_leave_no_link() {
    let service = Service::start("claim_races").await;
    let pool = &service.application.postgres;
    let (_, user) = service.add_session("Anna", Role::Player).await;
    let token = user.access_token;
    let made = service.client.call_as(&token, "POST", "/api/v1/auth/claim/init", json!({})).await.json();
    let hold = holding(pool, "SELECT FROM identity_codes FOR UPDATE").await;
    let client = service.client.clone();
    let claiming = actix_web::rt::spawn(async move {
        let headers = [("X-Server-Token", client.token.as_str())];
        let body = json!({"code": made["code"], "player_guid": "4711"}).to_string();
        client.call("POST", "/api/v1/auth/claim/verify", &headers, body).await
    });
    until_waiting(pool, 1).await;
    let own = "/api/v1/users/me".to_owned();
    let deleting = actix_web::rt::spawn(called(service.client.clone(), token, "DELETE", own, json!({})));
    until_waiting(pool, 2).await;
    hold.rollback().await.unwrap();
    let (claimed, deleted) = (claiming.await.unwrap(), deleting.await.unwrap());
    assert_eq!((claimed.status.as_u16(), deleted.status.as_u16()), (200, 204), "{}", claimed.text);
    let links: i64 =
        sqlx::query_scalar("SELECT count(*) FROM user_identities").fetch_one(pool).await.unwrap();
    assert_eq!(links, 0);
    service.stop().await;
}

#[actix_web::test]
async fn of_codes_that_are_asked_for_at_once_one_is_good() {
    let service = Service::start("codes_at_once").await;
    let pool = &service.application.postgres;
    let (user_id, user) = service.add_session("Anna", Role::Player).await;
    let hold = holding(pool, &format!("SELECT FROM users WHERE id = {user_id} FOR UPDATE")).await;
    let asking: Vec<_> = (0..3)
        .map(|_| {
            let path = "/api/v1/auth/claim/init".to_owned();
            let (client, token) = (service.client.clone(), user.access_token.clone());
            actix_web::rt::spawn(called(client, token, "POST", path, json!({})))
        })
        .collect();
    until_waiting(pool, 3).await;
    hold.rollback().await.unwrap();
    for reply in futures_util::future::join_all(asking).await {
        assert_eq!(reply.unwrap().status, 201);
    }
    let good: i64 = sqlx::query_scalar("SELECT count(*) FROM identity_codes WHERE used_at IS NULL")
        .fetch_one(pool)
        .await
        .unwrap();
    assert_eq!(good, 1);
    service.stop().await;
}

#[actix_web::test]
async fn servers_that_register_at_once_are_counted_one_by_one() {
    let settings = [("REGISTRATION_POLICY", "approval")];
    let service = Service::start_with("waiting_at_once", &settings, Surroundings::default()).await;
    let pool = &service.application.postgres;
    let register = |number: u16| {
        let client = service.client.clone();
        let body = json!({"name": "Omaha", "ip_address": "203.0.113.7", "port": number}).to_string();
        async move { client.call("POST", "/api/v1/servers/register", &[], body).await.status.as_u16() }
    };
    for number in 1..=9 {
        assert_eq!(register(number).await, 200);
    }
    let hold = holding(pool, "LOCK TABLE servers IN SHARE MODE").await;
    let registering: Vec<_> = (10..13).map(|number| actix_web::rt::spawn(register(number))).collect();
    until_waiting(pool, 3).await;
    hold.rollback().await.unwrap();
    let replies = futures_util::future::join_all(registering).await;
    let mut statuses: Vec<u16> = replies.into_iter().map(Result::unwrap).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 429, 429]);
    service.stop().await;
}

#[actix_web::test]
async fn who_loses_a_role_meanwhile_makes_nothing_with_it() {
    let service = Service::start("demoted_callers").await;
    let pool = &service.application.postgres;
    let hook =
        json!({"kind": "generic", "name": "x", "url": "https://example.org/x", "events": ["achievement"]});
    for (path, body) in [
        ("/api/v1/servers", json!({"name": "Omaha"})),
        ("/api/v1/servers/keys", json!({})),
        ("/api/v1/webhooks", hook),
        ("/api/v1/tournaments", json!({"name": "Cup", "format": "swiss"})),
    ] {
        let (user_id, token) = service.add_user("Olga", Role::Organizer).await;
        let mut demoting =
            holding(pool, &format!("SELECT FROM users WHERE id = {user_id} FOR NO KEY UPDATE")).await;
        let asking = called(service.client.clone(), token, "POST", path.to_owned(), body);
        let asking = actix_web::rt::spawn(asking);
        until_done_or_waiting(pool, &asking, 1).await;
        sqlx::query("UPDATE users SET role = 'player' WHERE id = $1")
            .bind(user_id)
            .execute(&mut *demoting)
            .await
            .unwrap();
        demoting.commit().await.unwrap();
        asking.await.unwrap().assert_refused(401, "token_revoked");
    }
    service.stop().await;
}

#[actix_web::test]
async fn a_server_that_is_given_away_meanwhile_gives_its_earlier_owner_no_token() {
    let service = Service::start("given_away").await;
    let pool = &service.application.postgres;
    let (_, olga) = service.add_user("Olga", Role::Organizer).await;
    let (otto_id, _) = service.add_user("Otto", Role::Organizer).await;
    for (method, rest) in [("POST", "/rotate-token"), ("DELETE", "")] {
        let made = service.client.call_as(&olga, "POST", "/api/v1/servers", json!({"name": "Omaha"})).await;
        let server_id = made.json()["server_id"].as_str().unwrap().to_owned();
        let mut giving =
            holding(pool, &format!("SELECT FROM servers WHERE id = '{server_id}' FOR UPDATE")).await;
        let path = format!("/api/v1/servers/{server_id}{rest}");
        let asking = called(service.client.clone(), olga.clone(), method, path, json!({}));
        let asking = actix_web::rt::spawn(asking);
        until_done_or_waiting(pool, &asking, 1).await;
        sqlx::query("UPDATE servers SET created_by = $1 WHERE id = $2::uuid")
            .bind(otto_id)
            .bind(&server_id)
            .execute(&mut *giving)
            .await
            .unwrap();
        giving.commit().await.unwrap();
        asking.await.unwrap().assert_refused(403, "not_your_server");
    }
    service.stop().await;
}

#[actix_web::test]
async fn a_key_of_who_is_banned_meanwhile_lets_no_server_in() {
    let service = Service::start("keys_of_banned").await;
    let pool = &service.application.postgres;
    let (olga_id, olga) = service.add_user("Olga", Role::Organizer).await;
    let key = service.client.call_as(&olga, "POST", "/api/v1/servers/keys", json!({})).await.json();
    let body =
        json!({"name": format!("Omaha [key:{}]", key["key"].as_str().unwrap()), "port": 1}).to_string();
    let mut banning =
        holding(pool, &format!("SELECT FROM users WHERE id = {olga_id} FOR NO KEY UPDATE")).await;
    let client = service.client.clone();
    let registering =
        actix_web::rt::spawn(async move { client.call("POST", "/api/v1/servers/register", &[], body).await });
    until_done_or_waiting(pool, &registering, 1).await;
    sqlx::query("UPDATE users SET banned_at = now() WHERE id = $1")
        .bind(olga_id)
        .execute(&mut *banning)
        .await
        .unwrap();
    banning.commit().await.unwrap();
    registering.await.unwrap().assert_refused(403, "registration_closed");
    service.stop().await;
}

#[actix_web::test]
async fn a_sign_in_that_is_taken_away_meanwhile_lets_nobody_in() {
    let providers = Providers::start();
    let settings = providers.settings();
    let settings: Vec<(&str, &str)> = settings.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let service = Service::start_with("unlink_races", &settings, Surroundings::default()).await;
    let pool = &service.application.postgres;
    let (user_id, user) = service.add_session("Anna", Role::Player).await;
    sqlx::query(
        "INSERT INTO sign_ins (provider, subject, user_id, display_name)
         VALUES ('discord', '80351110224678912', $1, 'Anna')",
    )
    .bind(user_id)
    .execute(pool)
    .await
    .unwrap();
    providers.sign_in("80351110224678912", "Mallory");
    let browser = Browser::new(&service.client);
    let callback = browser.at_provider(DISCORD).await;
    // As somebody does who takes it away.
    let mut unlinking =
        holding(pool, &format!("SELECT FROM users WHERE id = {user_id} FOR NO KEY UPDATE")).await;
    let signing_in = actix_web::rt::spawn(async move {
        let reply = browser.get(&callback).await;
        (reply, browser)
    });
    until_waiting(pool, 1).await;
    sqlx::query("DELETE FROM sign_ins WHERE user_id = $1")
        .bind(user_id)
        .execute(&mut *unlinking)
        .await
        .unwrap();
    unlinking.commit().await.unwrap();
    let (refused, browser) = signing_in.await.unwrap();
    assert_eq!((refused.status.as_u16(), browser.cookie("mohaa_session")), (409, None), "{}", refused.text);
    let listed = service.client.get_as(&user.access_token, "/api/v1/users/me/sessions").await.json();
    assert_eq!(listed["total"], 1, "{listed}");
    service.stop().await;
    providers.stop().await;
}

#[actix_web::test]
async fn an_account_is_not_deleted_by_a_session_that_has_ended_meanwhile() {
    let service = Service::start("ended_deletions").await;
    let pool = &service.application.postgres;
    let (user_id, user) = service.add_session("Anna", Role::Player).await;
    let mut ending =
        holding(pool, &format!("SELECT FROM users WHERE id = {user_id} FOR NO KEY UPDATE")).await;
    let own = "/api/v1/users/me".to_owned();
    let deleting = called(service.client.clone(), user.access_token, "DELETE", own, json!({}));
    let deleting = actix_web::rt::spawn(deleting);
    until_waiting(pool, 1).await;
    sqlx::query("UPDATE sessions SET ended_at = now() WHERE user_id = $1")
        .bind(user_id)
        .execute(&mut *ending)
        .await
        .unwrap();
    ending.commit().await.unwrap();
    deleting.await.unwrap().assert_refused(401, "token_revoked");
    service.stop().await;
}

#[actix_web::test]
async fn a_renewal_and_an_end_of_everything_lock_the_user_first_both() {
    let service = Service::start("renewal_races").await;
    let pool = &service.application.postgres;
    let (user_id, user) = service.add_session("Anna", Role::Player).await;
    let hold = holding(pool, &format!("SELECT FROM users WHERE id = {user_id} FOR NO KEY UPDATE")).await;
    let client = service.client.clone();
    let body = json!({ "refresh_token": user.refresh_token }).to_string();
    let renewing = actix_web::rt::spawn(async move {
        let headers = [("Content-Type", "application/json")];
        client.call("POST", "/api/v1/auth/refresh", &headers, body).await
    });
    until_done_or_waiting(pool, &renewing, 1).await;
    assert!(!renewing.is_finished(), "it holds nothing that comes after the user");
    let ending = called(service.client.clone(), user.access_token, "POST", EVERYWHERE.to_owned(), json!({}));
    let ending = actix_web::rt::spawn(ending);
    until_waiting(pool, 2).await;
    hold.rollback().await.unwrap();
    let (renewed, ended) = (renewing.await.unwrap(), ending.await.unwrap());
    assert_eq!(ended.status, 204, "{}", ended.text);
    assert!(matches!(renewed.status.as_u16(), 200 | 401), "{}", renewed.text);
    if renewed.status == 200 {
        refreshed(&service, &renewed.json()).await.assert_refused(401, "invalid_refresh_token");
    }
    service.stop().await;
}
