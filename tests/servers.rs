//! Server tokens against a real PostgreSQL, with outages made by a proxy in between.

use crate::database::fresh_database;
use crate::support::PATIENCE;
use chrono::{DateTime, TimeDelta, Utc};
use mohaa_faults::cuttable::CuttableProxy;
use mohaa_stats::{
    config::StoreUrl,
    postgres,
    servers::{
        Changer, Clock, NewServer, ServerError, ServerToken, ServerTokens, TokenError, TokenHash, add_server,
        list_servers, revoke_server_tokens, rotate_server_token,
    },
};
use sqlx::PgPool;
use std::{
    os::unix::fs::PermissionsExt,
    sync::{Arc, Mutex},
    time::Duration,
};
use uuid::Uuid;

fn named(name: &str) -> NewServer {
    NewServer { name: name.to_owned(), ..NewServer::default() }
}

/// Asks until the answer is as expected: what happens between processes takes its moment.
async fn becomes(tokens: &ServerTokens, token: &ServerToken, expected: Result<(), TokenError>) {
    let asking = async {
        while tokens.identify(token.expose()).await.map(|_| ()) != expected {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let in_time = tokio::time::timeout(PATIENCE, asking).await;
    assert!(in_time.is_ok(), "the answer never became {expected:?}");
}

/// A clock that a test moves.
fn movable_clock() -> (Clock, impl Fn(TimeDelta)) {
    let moved_by = Arc::new(Mutex::new(TimeDelta::zero()));
    let shared = moved_by.clone();
    let clock: Clock = Arc::new(move || -> DateTime<Utc> { Utc::now() + *shared.lock().unwrap() });
    (clock, move |by| *moved_by.lock().unwrap() += by)
}

/// A pool of the same database whose connections a test can cut.
async fn through_proxy(url: &str) -> (PgPool, CuttableProxy) {
    let address = url::Url::parse(url).unwrap();
    let target = format!("{}:{}", address.host_str().unwrap(), address.port().unwrap_or(5432));
    let proxy = CuttableProxy::start(target).await.unwrap();
    let through_proxy = proxy.in_front_of(url).unwrap();
    let pool = postgres::pool(&StoreUrl::postgres(&through_proxy).unwrap()).await.unwrap();
    (pool, proxy)
}

#[tokio::test]
async fn a_token_names_its_server_and_no_other_text_does() {
    let database = fresh_database("token").await;
    let added = add_server(&database.pool, &named("  Stalingrad  ")).await.unwrap();
    let tokens = ServerTokens::start(database.pool.clone(), None).await;
    let identity = tokens.identify(added.token.expose()).await.unwrap();
    assert_eq!(
        (identity.server_id, &*identity.name, identity.approved),
        (added.server_id, "Stalingrad", true)
    );
    let uppercase = added.token.expose().to_uppercase();
    for other in ["", "mohaa_s_", "x", &uppercase, &"x".repeat(10_000)] {
        assert_eq!(tokens.identify(other).await, Err(TokenError::Unknown), "{other}");
    }
}

#[tokio::test]
async fn the_database_holds_hashes_and_no_token() {
    let database = fresh_database("hashes").await;
    let added = add_server(&database.pool, &named("Remagen")).await.unwrap();
    let rows: Vec<String> =
        sqlx::query_scalar("SELECT server_tokens::text || servers::text FROM server_tokens, servers")
            .fetch_all(&database.pool)
            .await
            .unwrap();
    assert!(rows[0].contains(&TokenHash::of(added.token.expose()).to_hex()));
    assert!(!rows[0].contains(added.token.expose().trim_start_matches("mohaa_s_")));
}

#[tokio::test]
async fn a_new_server_is_known_at_once_even_if_its_token_was_refused_before() {
    let database = fresh_database("new").await;
    let tokens = ServerTokens::start(database.pool.clone(), None).await;
    let guessed = ServerToken::random();
    assert_eq!(tokens.identify(guessed.expose()).await, Err(TokenError::Unknown));
    let added = add_server(&database.pool, &named("Omaha")).await.unwrap();
    becomes(&tokens, &added.token, Ok(())).await;
    sqlx::query("INSERT INTO server_tokens (server_id, token_hash) VALUES ($1, $2)")
        .bind(added.server_id)
        .bind(TokenHash::of(guessed.expose()).as_bytes().as_slice())
        .execute(&database.pool)
        .await
        .unwrap();
    becomes(&tokens, &guessed, Ok(())).await;
}

#[tokio::test]
async fn a_revocation_wins_at_once_and_a_rotation_brings_one_new_token() {
    let database = fresh_database("revoke").await;
    let added = add_server(&database.pool, &named("V2")).await.unwrap();
    let tokens = ServerTokens::start(database.pool.clone(), None).await;
    assert!(tokens.identify(added.token.expose()).await.is_ok());

    let rotated = rotate_server_token(&database.pool, Changer::Operator, added.server_id).await.unwrap();
    becomes(&tokens, &added.token, Err(TokenError::Unknown)).await;
    becomes(&tokens, &rotated, Ok(())).await;

    assert_eq!(revoke_server_tokens(&database.pool, Changer::Operator, added.server_id).await.unwrap(), 1);
    becomes(&tokens, &rotated, Err(TokenError::Unknown)).await;
    assert_eq!(revoke_server_tokens(&database.pool, Changer::Operator, added.server_id).await.unwrap(), 0);
    let nobody = Uuid::nil();
    assert!(
        matches!(revoke_server_tokens(&database.pool, Changer::Operator, nobody).await, Err(ServerError::Unknown(id)) if id == nobody)
    );
    assert!(matches!(
        rotate_server_token(&database.pool, Changer::Operator, nobody).await,
        Err(ServerError::Unknown(_))
    ));
}

#[tokio::test]
async fn a_change_of_the_server_itself_is_heard_of() {
    let database = fresh_database("rename").await;
    let added = add_server(&database.pool, &named("Before")).await.unwrap();
    let tokens = ServerTokens::start(database.pool.clone(), None).await;
    assert!(tokens.identify(added.token.expose()).await.unwrap().approved);
    sqlx::query("UPDATE servers SET name = 'After', approved_at = NULL")
        .execute(&database.pool)
        .await
        .unwrap();
    let renamed = async {
        loop {
            let identity = tokens.identify(added.token.expose()).await.unwrap();
            if &*identity.name == "After" {
                break identity;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    assert!(!tokio::time::timeout(PATIENCE, renamed).await.unwrap().approved);
    sqlx::query("UPDATE servers SET removed_at = now()").execute(&database.pool).await.unwrap();
    becomes(&tokens, &added.token, Err(TokenError::Unknown)).await;
}

#[tokio::test]
async fn an_outage_leaves_known_tokens_good_and_makes_others_unavailable() {
    let database = fresh_database("outage").await;
    let never_seen = add_server(&database.pool, &named("Hunt")).await.unwrap();
    let (pool, proxy) = through_proxy(&database.url).await;
    let (clock, advance) = movable_clock();
    let tokens = ServerTokens::start_with_clock(pool, None, clock).await;

    proxy.cut().await;
    let stranger = ServerToken::random();
    assert_eq!(tokens.identify(stranger.expose()).await, Err(TokenError::Unavailable));
    assert!(
        tokens.identify(never_seen.token.expose()).await.is_ok(),
        "tokens are known before their first use"
    );
    advance(TimeDelta::hours(23));
    assert!(tokens.identify(never_seen.token.expose()).await.is_ok());
    advance(TimeDelta::hours(2));
    assert_eq!(tokens.identify(never_seen.token.expose()).await, Err(TokenError::Unavailable));

    proxy.mend().await.unwrap();
    becomes(&tokens, &stranger, Err(TokenError::Unknown)).await;
    becomes(&tokens, &never_seen.token, Ok(())).await;
}

#[tokio::test]
async fn a_revocation_missed_in_an_outage_is_made_up_for() {
    let database = fresh_database("missed").await;
    let added = add_server(&database.pool, &named("Brest")).await.unwrap();
    let (pool, proxy) = through_proxy(&database.url).await;
    let tokens = ServerTokens::start(pool, None).await;
    proxy.cut().await;
    revoke_server_tokens(&database.pool, Changer::Operator, added.server_id).await.unwrap();
    assert!(tokens.identify(added.token.expose()).await.is_ok(), "nobody could tell yet");
    proxy.mend().await.unwrap();
    becomes(&tokens, &added.token, Err(TokenError::Unknown)).await;
}

#[tokio::test]
async fn a_restart_in_an_outage_still_knows_the_servers() {
    let database = fresh_database("restart").await;
    let with_bots = NewServer { bot_names: vec!["Bot*".to_owned()], ..named("Bazaar") };
    let added = add_server(&database.pool, &with_bots).await.unwrap();
    let revoked = add_server(&database.pool, &named("Gone")).await.unwrap();
    let (pool, proxy) = through_proxy(&database.url).await;
    let directory = tempfile::tempdir().unwrap();
    let kept_file = directory.path().join("server_tokens.json");

    let tokens = ServerTokens::start(pool.clone(), Some(kept_file.clone())).await;
    revoke_server_tokens(&database.pool, Changer::Operator, revoked.server_id).await.unwrap();
    becomes(&tokens, &revoked.token, Err(TokenError::Unknown)).await;
    let revoked_hash = TokenHash::of(revoked.token.expose()).to_hex();
    let kept = async {
        loop {
            let kept = std::fs::read_to_string(&kept_file).unwrap_or(revoked_hash.clone());
            if !kept.contains(&revoked_hash) {
                break kept;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let kept = tokio::time::timeout(PATIENCE, kept).await.unwrap();
    assert!(
        kept.contains(&TokenHash::of(added.token.expose()).to_hex()) && !kept.contains("mohaa_s_"),
        "{kept}"
    );
    assert_eq!(std::fs::metadata(&kept_file).unwrap().permissions().mode() & 0o777, 0o600);

    drop(tokens);
    proxy.cut().await;
    let restarted = ServerTokens::start(pool.clone(), Some(kept_file.clone())).await;
    let identity = restarted.identify(added.token.expose()).await.unwrap();
    assert_eq!((identity.server_id, identity.bot_names[0].as_str()), (added.server_id, "bot*"));
    assert_eq!(restarted.identify(revoked.token.expose()).await, Err(TokenError::Unavailable));

    let (clock, advance) = movable_clock();
    advance(TimeDelta::hours(25));
    let much_later = ServerTokens::start_with_clock(pool, Some(kept_file), clock).await;
    assert_eq!(much_later.identify(added.token.expose()).await, Err(TokenError::Unavailable));
}

#[tokio::test]
async fn a_damaged_file_of_kept_answers_does_not_keep_the_service_from_starting() {
    let database = fresh_database("damaged").await;
    let added = add_server(&database.pool, &named("Destroyed")).await.unwrap();
    let directory = tempfile::tempdir().unwrap();
    let kept_file = directory.path().join("server_tokens.json");
    std::fs::write(&kept_file, "{\"confirmed_at\":").unwrap();
    let tokens = ServerTokens::start(database.pool.clone(), Some(kept_file)).await;
    assert!(tokens.identify(added.token.expose()).await.is_ok());
}

#[tokio::test]
async fn a_crowd_with_one_token_that_must_be_looked_up_gets_its_answer() {
    let database = fresh_database("crowd").await;
    let added = add_server(&database.pool, &named("Crowd")).await.unwrap();
    // The token is hidden from the first reading, so that it has to be looked up.
    sqlx::query("UPDATE servers SET removed_at = now()").execute(&database.pool).await.unwrap();
    let tokens = ServerTokens::start(database.pool.clone(), None).await;
    sqlx::query("ALTER TABLE servers DISABLE TRIGGER USER").execute(&database.pool).await.unwrap();
    sqlx::query("UPDATE servers SET removed_at = NULL").execute(&database.pool).await.unwrap();

    let crowd: Vec<_> = (0..200)
        .map(|_| {
            let (tokens, token) = (tokens.clone(), added.token.clone());
            tokio::spawn(async move { tokens.identify(token.expose()).await })
        })
        .collect();
    for one in crowd {
        assert_eq!(one.await.unwrap().unwrap().server_id, added.server_id);
    }
}

#[tokio::test]
async fn a_flood_of_made_up_tokens_leaves_known_ones_alone() {
    let database = fresh_database("flood").await;
    let added = add_server(&database.pool, &named("Calm")).await.unwrap();
    let tokens = ServerTokens::start(database.pool.clone(), None).await;
    let flood: Vec<_> = (0..3_000)
        .map(|number| {
            let tokens = tokens.clone();
            tokio::spawn(async move { tokens.identify(&format!("made-up-{number}")).await })
        })
        .collect();
    let known = tokio::time::timeout(Duration::from_millis(500), tokens.identify(added.token.expose())).await;
    assert!(known.unwrap().is_ok());
    for one in flood {
        assert!(matches!(one.await.unwrap(), Err(TokenError::Unknown | TokenError::Unavailable)));
    }
}

#[tokio::test]
async fn servers_are_listed_by_name_with_their_live_tokens() {
    let database = fresh_database("list").await;
    for name in ["beta", "Alpha"] {
        let new = NewServer { port: Some(12_203), region: Some("eu".to_owned()), ..named(name) };
        add_server(&database.pool, &new).await.unwrap();
    }
    let listed = list_servers(&database.pool, None).await.unwrap();
    let names: Vec<&str> = listed.iter().map(|server| server.name.as_str()).collect();
    assert_eq!(names, ["Alpha", "beta"]);
    assert_eq!((listed[0].live_tokens, listed[0].port, listed[0].approved), (1, Some(12_203), true));
    assert!(
        list_servers(&database.pool, None)
            .await
            .unwrap()
            .iter()
            .all(|server| server.region.as_deref() == Some("eu"))
    );
    for wrong in ["", "   ", "a\nb", &"x".repeat(201)] {
        assert!(
            matches!(add_server(&database.pool, &named(wrong)).await, Err(ServerError::Name)),
            "{wrong:?}"
        );
    }
}
