//! Users and their one-time login links against a real PostgreSQL.

use crate::database::fresh_database;
use crate::support::{Browser, Service, eventually};
use mohaa_stats::{
    auth::{LoginLinkError, consume_login_link, find_login_link, make_login_link},
    users::{self, DisplayName, Role},
};

const FIRST_USER_ID: i32 = 1_000_000_001;

fn name(text: &str) -> DisplayName {
    text.parse().unwrap()
}

#[tokio::test]
async fn user_ids_start_above_all_forum_ids_and_end_with_the_scripts_integers() {
    let database = fresh_database("user_ids").await;
    let first = users::add(&database.pool, &name("Anna"), Role::Admin).await.unwrap();
    let second = users::add(&database.pool, &name("Anna"), Role::Player).await.unwrap();
    assert_eq!((first.user_id, second.user_id), (FIRST_USER_ID, FIRST_USER_ID + 1));
    assert_eq!(users::find(&database.pool, first.user_id).await.unwrap(), Some(first));
    assert_eq!(users::find(&database.pool, 7).await.unwrap(), None);

    sqlx::query("SELECT setval('users_id_seq', 2147483647)").execute(&database.pool).await.unwrap();
    assert!(users::add(&database.pool, &name("Zoe"), Role::Player).await.is_err(), "no id is left");
}

#[tokio::test]
async fn a_login_link_signs_in_once_and_looking_at_it_uses_nothing_up() {
    let database = fresh_database("login_link").await;
    let user = users::add(&database.pool, &name("Anna"), Role::Organizer).await.unwrap();
    let link = make_login_link(&database.pool, user.user_id, "http://127.0.0.1:8080").await.unwrap();
    let code = link.strip_prefix("http://127.0.0.1:8080/login/link/").unwrap();
    assert!(code.len() >= 22, "at least 128 bits");

    for _ in 0..2 {
        assert_eq!(find_login_link(&database.pool, code).await.unwrap(), user);
    }
    let consume = async |code: &str| {
        let mut transaction = database.pool.begin().await.unwrap();
        let user = consume_login_link(&mut transaction, code).await?;
        transaction.commit().await.unwrap();
        Ok::<_, LoginLinkError>(user.user_id)
    };
    let (one, other) = tokio::join!(consume(code), consume(code));
    let signed_in: Vec<_> = [one, other].into_iter().flatten().collect();
    assert_eq!(signed_in, [user.user_id], "of two at once, one is signed in");
    assert!(matches!(find_login_link(&database.pool, code).await, Err(LoginLinkError::Gone)));
    assert!(matches!(consume("unknown").await, Err(LoginLinkError::Gone)));
    let kept: String = sqlx::query_scalar("SELECT login_links::text FROM login_links")
        .fetch_one(&database.pool)
        .await
        .unwrap();
    assert!(!kept.contains(code));
}

#[tokio::test]
async fn a_login_link_ends_after_24_hours() {
    let database = fresh_database("old_link").await;
    let user = users::add(&database.pool, &name("Anna"), Role::Player).await.unwrap();
    let link = make_login_link(&database.pool, user.user_id, "").await.unwrap();
    let code = link.rsplit('/').next().unwrap();
    let age = |interval: &'static str| {
        let pool = database.pool.clone();
        async move {
            sqlx::query("UPDATE login_links SET expires_at = expires_at - $1::text::interval")
                .bind(interval)
                .execute(&pool)
                .await
                .unwrap();
        }
    };
    age("23 hours 59 minutes").await;
    assert!(find_login_link(&database.pool, code).await.is_ok());
    age("2 minutes").await;
    assert!(matches!(find_login_link(&database.pool, code).await, Err(LoginLinkError::Gone)));
    let mut connection = database.pool.acquire().await.unwrap();
    assert!(matches!(consume_login_link(&mut connection, code).await, Err(LoginLinkError::Gone)));
}

#[actix_web::test]
async fn the_signed_in_user_is_told_who_it_is() {
    let service = Service::start("me").await;
    let (user_id, token) = service.add_user("Ännchen ^1!", Role::Organizer).await;
    service.link_player(user_id, "4711").await;
    let me = service.client.get_as(&token, "/api/v1/users/me").await;
    assert_eq!(me.status, 200, "{}", me.text);
    let me = me.json();
    assert_eq!(me["user_id"], FIRST_USER_ID);
    assert_eq!((&me["display_name"], &me["role"]), (&"Ännchen ^1!".into(), &"organizer".into()));
    assert_eq!(me["player_ids"], serde_json::json!(["4711"]));

    service.client.get("/api/v1/users/me").await.assert_refused(401, "not_signed_in");
    service.client.get_as("nonsense", "/api/v1/users/me").await.assert_refused(401, "invalid_token");
    service.stop().await;
}

async fn browser_of(service: &Service, name: &str, role: Role) -> (i32, Browser) {
    let (user_id, token) = service.add_user(name, role).await;
    let browser = Browser::new(&service.client);
    browser.set_cookie("mohaa_session", &token);
    browser.get("/account").await;
    (user_id, browser)
}

#[actix_web::test]
async fn the_account_leads_to_statistics_once_there_are_some() {
    let service = Service::start("account_statistics").await;
    let (user_id, browser) = browser_of(&service, "Anna", Role::Player).await;
    let link = format!("href=\"/players/{user_id}\"");
    // While nobody can say the link is there.
    eventually("it is known that nothing is there yet", async || {
        (!browser.get("/account").await.text.contains(&link)).then_some(())
    })
    .await;
    let jump = format!(
        r#"[{{"type":"jump","match_id":"m","timestamp":20,"player_guid":"{user_id}","player_name":"Anna"}}]"#
    );
    service.client.send(jump).await.assert_batch(202, 1, &[]);
    eventually("the statistics are there", async || {
        (browser.get(&format!("/players/{user_id}")).await.status == 200).then_some(())
    })
    .await;
    assert!(browser.get("/account").await.text.contains(&link));
    service.stop().await;
}

#[actix_web::test]
async fn the_account_shows_every_code_that_is_good_still() {
    let service = Service::start("account_codes").await;
    let (_, browser) = browser_of(&service, "Anna", Role::Player).await;
    for path in ["/account/game-token", "/account/claim"] {
        assert_eq!(browser.post(path, &[]).await.status, 303);
    }
    let page = browser.get("/account").await.text;
    let code = |lead: &str| {
        let behind = page.split_once(&format!("class=\"command\">{lead} ")).expect(lead).1;
        behind.split('<').next().unwrap().to_owned()
    };
    let (login, claim) = (code("!login"), code("!claim"));
    assert_ne!(login, claim);
    // A new one takes the place of the one before it.
    browser.post("/account/game-token", &[]).await;
    let page = browser.get("/account").await.text;
    assert!(page.contains(&format!("!claim {claim}")) && !page.contains(&login), "{page}");
    service.stop().await;
}

#[actix_web::test]
async fn a_server_is_removed_only_by_who_says_so_twice() {
    let service = Service::start("remove_server").await;
    let (_, browser) = browser_of(&service, "Chief", Role::Admin).await;
    let path = format!("/admin/servers/{}/remove", service.server_id);
    let listed = async || browser.get("/admin/servers").await.text.contains(&service.server_id.to_string());
    browser.post(&path, &[]).await;
    assert!(listed().await, "by a slip");
    assert_eq!(browser.post(&path, &[("confirmed", "yes")]).await.status, 303);
    assert!(!listed().await);
    service.stop().await;
}

#[actix_web::test]
async fn whose_session_has_ended_is_led_to_where_people_sign_in() {
    let service = Service::start("ended_session").await;
    let (user_id, browser) = browser_of(&service, "Anna", Role::Player).await;
    service.sessions().end_all(user_id).await.unwrap();
    let refused = eventually("the session has ended", async || {
        let reply = browser.post("/account/claim", &[]).await;
        (reply.status == 401).then_some(reply)
    })
    .await;
    assert!(refused.text.contains("href=\"/login\">Sign in</a></p>"), "{}", refused.text);
    assert!(!refused.text.contains("This page is for people who are signed in"), "{}", refused.text);
    service.stop().await;
}
