//! Users and their one-time login links against a real PostgreSQL.

use crate::database::fresh_database;
use actix_web::{
    App,
    http::header::AUTHORIZATION,
    test::{TestRequest, call_service, init_service, read_body_json},
    web,
};
use mohaa_stats::{
    auth::{AccessTokens, LoginLinkError, consume_login_link, find_login_link, make_login_link},
    config::Secret,
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
    let (one, other) =
        tokio::join!(consume_login_link(&database.pool, code), consume_login_link(&database.pool, code));
    let signed_in: Vec<_> = [one, other].into_iter().flatten().collect();
    assert_eq!(signed_in, [user], "of two at once, one is signed in");
    assert!(matches!(find_login_link(&database.pool, code).await, Err(LoginLinkError::Gone)));
    assert!(matches!(consume_login_link(&database.pool, "unknown").await, Err(LoginLinkError::Gone)));
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
    assert!(matches!(consume_login_link(&database.pool, code).await, Err(LoginLinkError::Gone)));
}

#[actix_web::test]
async fn the_signed_in_user_is_told_who_it_is() {
    let database = fresh_database("me").await;
    let user = users::add(&database.pool, &name("Ännchen ^1!"), Role::Organizer).await.unwrap();
    sqlx::query("INSERT INTO user_identities (player_id, user_id) VALUES ('4711', $1)")
        .bind(user.user_id)
        .execute(&database.pool)
        .await
        .unwrap();
    let tokens = AccessTokens::new(&Secret::new("0f8a3c5e7b9d1f2a4c6e8b0d3f5a7c9e"), None);
    let (known, unknown) = (
        tokens.issue(user.user_id, user.role).unwrap(),
        tokens.issue(user.user_id + 1, Role::Admin).unwrap(),
    );
    let app = init_service(
        App::new()
            .app_data(web::Data::new(tokens))
            .app_data(web::Data::new(database.pool.clone()))
            .route("/api/v1/users/me", web::get().to(users::me)),
    )
    .await;
    let request = |token: Option<&str>| {
        let request = TestRequest::get().uri("/api/v1/users/me");
        match token {
            Some(token) => request.insert_header((AUTHORIZATION, format!("Bearer {token}"))).to_request(),
            None => request.to_request(),
        }
    };
    let answer = call_service(&app, request(Some(&known))).await;
    assert_eq!(answer.status(), 200);
    let me: serde_json::Value = read_body_json(answer).await;
    assert_eq!(me["user_id"], FIRST_USER_ID);
    assert_eq!((&me["display_name"], &me["role"]), (&"Ännchen ^1!".into(), &"organizer".into()));
    assert_eq!(me["player_ids"], serde_json::json!(["4711"]));

    for token in [None, Some(unknown.as_str()), Some("nonsense")] {
        let answer = call_service(&app, request(token)).await;
        assert_eq!(answer.status(), 401, "{token:?}");
        let error: serde_json::Value = read_body_json(answer).await;
        assert!(error["code"].is_string() && error["error"].is_string(), "{error}");
    }
}
