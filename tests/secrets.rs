//! After a day of everything, secrets and addresses of people stand nowhere: not in logs, metrics, answers to others,
//! rows of PostgreSQL and ClickHouse, Redis or files.

use std::path::{Path, PathBuf};

use deadpool_redis::redis::{self, cmd};
use mohaa_faults::process::{JWT_SECRET, ServiceProcess};
use mohaa_stats::auth::make_login_link;
use mohaa_stats::config::StoreUrl;
use mohaa_stats::postgres;
use mohaa_stats::users::{self, Role};
use serde_json::json;
use sqlx::PgPool;

use crate::support::{Browser, Providers, Reply, ServiceClient, Warehouse, eventually, schemas};

/// Of somebody's browser, and of somebody's game.
const BROWSER_ADDRESS: &str = "198.51.100.77";
const PLAYER_ADDRESS: &str = "203.0.113.99";
const WEBHOOK_PATH: &str = "w3bhook-path-of-olga";
const WEBHOOK_KEY: &str = "w3bhook-key-of-olga";
const PASSWORD: &str = "hunter2-of-a-player";

/// What must not be found, each with what it is.
#[derive(Default)]
struct Secrets(Vec<(&'static str, String)>);

impl Secrets {
    fn add(&mut self, what: &'static str, secret: &str) {
        assert!(secret.len() >= 8, "{what} is too short to be looked for: {secret}");
        self.0.push((what, secret.to_owned()));
    }

    #[track_caller]
    fn assert_none_in(&self, place: &str, text: &str) {
        for (what, secret) in &self.0 {
            if let Some(at) = text.find(secret.as_str()) {
                let around: String = text[..at].chars().rev().take(200).collect();
                let around: String = around.chars().rev().collect();
                panic!("{what} stands in {place}, behind {around:?}");
            }
        }
    }
}

/// Every row of every table, as text.
async fn rows_of_postgres(pool: &PgPool) -> String {
    let tables: Vec<String> = sqlx::query_scalar(
        "SELECT format('%I.%I', table_schema, table_name) FROM information_schema.tables
         WHERE table_schema NOT IN ('pg_catalog', 'information_schema')",
    )
    .fetch_all(pool)
    .await
    .unwrap();
    assert!(tables.len() > 10, "{tables:?}");
    let mut rows = String::new();
    for table in tables {
        let sql = sqlx::AssertSqlSafe(format!("SELECT row_to_json(it)::text FROM {table} AS it"));
        let found: Vec<String> = sqlx::query_scalar(sql).fetch_all(pool).await.unwrap();
        rows.push_str(&format!("{table}:\n{}\n", found.join("\n")));
    }
    rows
}

async fn rows_of_clickhouse(warehouse: &Warehouse) -> String {
    let tables = warehouse
        .rows(
            "SELECT name FROM system.tables WHERE database = currentDatabase() AND engine NOT LIKE '%View' \
             AND name NOT LIKE '%_recount_%'",
        )
        .await;
    assert!(tables.len() > 5, "{tables:?}");
    let mut rows = String::new();
    for table in tables {
        let name = table["name"].as_str().unwrap();
        // States of aggregates are bytes, which no text can hold.
        let columns = warehouse
            .rows(&format!(
                "SELECT name FROM system.columns WHERE database = currentDatabase() AND table = '{name}' \
                 AND type NOT LIKE 'AggregateFunction%'"
            ))
            .await;
        let columns: Vec<String> =
            columns.iter().map(|column| format!("toString({})", column["name"].as_str().unwrap())).collect();
        let sql = format!("SELECT arrayStringConcat([{}], ' ') AS row FROM {name}", columns.join(", "));
        for row in warehouse.rows(&sql).await {
            rows.push_str(&format!("{name}: {row}\n"));
        }
    }
    assert!(rows.contains("M1 Garand") || rows.contains("m1_garand"), "the events are there");
    rows
}

async fn keys_of_redis(url: &str) -> String {
    let client = redis::Client::open(url).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    let keys: Vec<Vec<u8>> = cmd("KEYS").arg("*").query_async(&mut connection).await.unwrap();
    let mut text = String::new();
    for key in keys {
        let value: Vec<u8> = cmd("GET").arg(&key).query_async(&mut connection).await.unwrap_or_default();
        text.push_str(&String::from_utf8_lossy(&key));
        text.push_str(&String::from_utf8_lossy(&value));
        text.push('\n');
    }
    text
}

fn files_below(directory: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { files.extend(files_below(&path)) } else { files.push(path) }
    }
    files
}

async fn json_post(
    client: &ServiceClient,
    path: &str,
    headers: &[(&str, &str)],
    body: serde_json::Value,
) -> Reply {
    let mut all = vec![("Content-Type", "application/json"), ("X-Forwarded-For", BROWSER_ADDRESS)];
    all.extend_from_slice(headers);
    client.post(path, &all, body.to_string()).await.unwrap()
}

#[actix_web::test]
async fn no_secret_and_no_address_is_kept_or_told() {
    let providers = Providers::start();
    providers.sign_in("80351110224678912", "Anna");
    let urls = schemas::database("secrets").await;
    let pool = postgres::pool(&StoreUrl::postgres(&urls.postgres_url).unwrap()).await.unwrap();
    let data_dir = tempfile::tempdir().unwrap();
    let provider_settings = providers.settings();
    let mut settings: Vec<(&str, &str)> =
        provider_settings.iter().map(|(name, value)| (*name, value.as_str())).collect();
    settings.extend([
        ("RUST_LOG", "debug"),
        ("REGISTRATION_POLICY", "approval"),
        ("TRUSTED_PROXIES", "127.0.0.1"),
        ("WEBHOOK_ALLOWED_NETWORKS", "127.0.0.1"),
        ("RATE_LIMITS", "ingest=1000/h,api=1000/h,auth=1000/h,register=1000/h"),
    ]);
    let program = Path::new(env!("CARGO_BIN_EXE_mohaa-stats"));
    let process = ServiceProcess::start(program, data_dir.path(), &urls, &settings).await.unwrap();
    let client = ServiceClient::new(process.url.clone(), String::new());
    postgres::migrate(&pool).await.unwrap();

    let mut secrets = Secrets::default();
    secrets.add("the signing key", JWT_SECRET);
    secrets.add("the browser's address", BROWSER_ADDRESS);
    secrets.add("the player's address", PLAYER_ADDRESS);
    secrets.add("a password", PASSWORD);
    for (name, value) in &provider_settings {
        if matches!(*name, "DISCORD_CLIENT_SECRET" | "STEAM_API_KEY") {
            secrets.add(name, value);
        }
    }
    for url in [&urls.postgres_url, &urls.redis_url, &urls.clickhouse_url] {
        if let Some(password) = url::Url::parse(url).unwrap().password().filter(|it| it.len() >= 8) {
            secrets.add("a store's password", password);
        }
    }

    // Signing in: by Discord, by a link, by a device.
    let browser = Browser::new(&client);
    browser.sign_in("/api/v1/auth/discord").await;
    let admin = users::add(&pool, &"Chief".parse().unwrap(), Role::Admin).await.unwrap();
    let link = make_login_link(&pool, admin.user_id, "").await.unwrap();
    secrets.add("a login link", link.rsplit('/').next().unwrap());
    let chief = Browser::new(&client);
    chief.get(&link).await;
    assert_eq!(chief.post(&link, &[]).await.status, 303);
    let begun =
        json_post(&client, "/api/v1/auth/device/init", &[], json!({"client_name": "kitchen"})).await.json();
    secrets.add("a device code", begun["device_code"].as_str().unwrap());
    let user_code = begun["user_code"].as_str().unwrap();
    secrets.add("a user code", user_code);
    assert_eq!(browser.post("/device", &[("user_code", user_code), ("answer", "approve")]).await.status, 403);
    browser.get("/device").await;
    browser.post("/device", &[("user_code", user_code), ("answer", "approve")]).await;
    let device = json!({"device_code": begun["device_code"]});
    let tokens = json_post(&client, "/api/v1/auth/device/poll", &[], device).await.json();
    secrets.add("a device's refresh token", tokens["refresh_token"].as_str().unwrap());
    let refresh = json!({"refresh_token": tokens["refresh_token"]});
    let refreshed = json_post(&client, "/api/v1/auth/refresh", &[], refresh.clone()).await.json();
    for name in ["access_token", "refresh_token"] {
        secrets.add(name, refreshed[name].as_str().unwrap());
    }
    for person in [&browser, &chief] {
        for name in ["mohaa_session", "mohaa_refresh", "mohaa_csrf"] {
            secrets.add(name, &person.cookie(name).unwrap());
        }
    }
    let chiefs_token = chief.cookie("mohaa_session").unwrap();

    // Servers: made, rotated, registered with a key and without.
    let made =
        client.call_as(&chiefs_token, "POST", "/api/v1/servers", json!({"name": "Omaha"})).await.json();
    let path = format!("/api/v1/servers/{}/rotate-token", made["server_id"].as_str().unwrap());
    let rotated = client.call_as(&chiefs_token, "POST", &path, json!({})).await.json();
    let key = client.call_as(&chiefs_token, "POST", "/api/v1/servers/keys", json!({})).await.json();
    let key = key["key"].as_str().unwrap();
    let keyed = json!({"name": format!("Keyed [key:{key}]"), "port": 1}).to_string();
    let keyed = client.post("/api/v1/servers/register", &[], keyed).await.unwrap();
    assert_eq!(keyed.status, 200, "{}", keyed.text);
    let waiting = json!({"name": "Waiting", "port": 2}).to_string();
    let waiting = client.post("/api/v1/servers/register", &[], waiting).await.unwrap().json();
    secrets.add("a server key", key);
    secrets.add("a server key", &key.replace('-', ""));
    let server_tokens = [
        made["token"].as_str().unwrap().to_owned(),
        rotated["token"].as_str().unwrap().to_owned(),
        keyed.json()["token"].as_str().unwrap().to_owned(),
        waiting["token"].as_str().unwrap().to_owned(),
    ];
    server_tokens.iter().for_each(|token| secrets.add("a server token", token));

    // A webhook, at an address that holds what opens it; nobody there knows what to do with a message.
    let address = format!("{}/api/webhooks/1/{WEBHOOK_PATH}?key={WEBHOOK_KEY}", providers.url);
    let hook = json!({"kind": "generic", "name": "x", "url": address, "events": ["achievement"]});
    let hook = client.call_as(&chiefs_token, "POST", "/api/v1/webhooks", hook).await.json();
    let hook_path = format!("/api/v1/webhooks/{}", hook["webhook_id"].as_str().unwrap());
    secrets.add("a webhook's secret", hook["secret"].as_str().unwrap());
    let rotate = format!("{hook_path}/rotate-secret");
    let rotated = client.call_as(&chiefs_token, "POST", &rotate, json!({})).await.json();
    secrets.add("a webhook's secret", rotated["secret"].as_str().unwrap());
    secrets.add("a webhook's path", WEBHOOK_PATH);
    secrets.add("a webhook's key", WEBHOOK_KEY);
    let test = format!("{hook_path}/test");
    assert_eq!(client.call_as(&chiefs_token, "POST", &test, json!({})).await.status, 202);
    let sent = eventually("a message has been tried", async || {
        let log = client.get_as(&chiefs_token, &format!("{hook_path}/deliveries")).await;
        log.json()["deliveries"][0]["response_code"].is_number().then_some(log.text)
    })
    .await;

    // A team, and a code that lets into it.
    let team =
        client.call_as(&chiefs_token, "POST", "/api/v1/teams", json!({"name": "Rangers"})).await.json();
    let invites = format!("/api/v1/teams/{}/invites", team["team_id"].as_str().unwrap());
    let made = client.call_as(&chiefs_token, "POST", &invites, json!({})).await.json();
    secrets.add("a team's code", made["code"].as_str().unwrap());

    // The game: codes, and events that say too much in every dialect.
    let anna = refreshed["access_token"].as_str().unwrap();
    let mut codes = Vec::new();
    for path in ["/api/v1/auth/game-token", "/api/v1/auth/claim/init", "/api/v1/auth/claim/init"] {
        let code =
            client.call_as(anna, "POST", path, json!({})).await.json()["code"].as_str().unwrap().to_owned();
        secrets.add("a code", &code);
        codes.push(code);
    }
    let verify = json!({"token": codes[0], "player_guid": "unauth_1", "server_ip": PLAYER_ADDRESS});
    assert_eq!(json_post(&client, "/api/v1/auth/verify", &[], verify.clone()).await.status, 200);
    let again = json_post(&client, "/api/v1/auth/verify", &[], verify).await;
    for token in &server_tokens[1..] {
        let speaker = client.with_token(token);
        let event = json!([{
            "type": "player_kill", "match_id": "m", "timestamp": 20.0, "weapon": "M1 Garand", "server_token": token,
            "attacker_name": "A", "attacker_guid": "4711", "victim_name": "B", "victim_guid": "4712",
            "ip": PLAYER_ADDRESS, "player_ip": PLAYER_ADDRESS, "address": PLAYER_ADDRESS, "auth_token": token,
            "password": PASSWORD, "player": {"name": "A", "ip": PLAYER_ADDRESS, "password": PASSWORD},
            "nested": {"deep": [{"player_ip": PLAYER_ADDRESS, "server_token": token}]},
        }, {"type": "chat", "player_name": "A", "player_guid": "4711", "message": format!("!claim {}", codes[2])}]);
        speaker.send(event.to_string()).await.assert_batch(202, 2, &[]);
        let form = format!(
            "type=connect&player_name=C&player_guid=4713&ip={PLAYER_ADDRESS}:12203&password={PASSWORD}&server_token={token}"
        );
        let reply = client.post("/api/v1/ingest/events", &[], form).await.unwrap();
        reply.assert_batch(202, 1, &[]);
    }

    // What goes wrong says too much easily.
    let mut answers = vec![again.text, sent];
    for (path, body) in [
        ("/api/v1/auth/refresh", refresh),
        ("/api/v1/auth/device/poll", json!({"device_code": begun["device_code"], "x": PASSWORD})),
        ("/api/v1/auth/verify", json!({"token": codes[1]})),
        ("/api/v1/auth/claim/verify", json!({"code": codes[1], "player_guid": "", "password": PASSWORD})),
    ] {
        let headers = [("X-Server-Token", server_tokens[1].as_str()), ("Authorization", "Bearer nonsense")];
        answers.push(json_post(&client, path, &headers, body).await.text);
    }
    for path in [format!("/nowhere/{}", codes[1]), format!("/login/link/{}", codes[1])] {
        let reply = client.get_with(&path, &[("X-Forwarded-For", BROWSER_ADDRESS)]).await;
        assert!(reply.status.is_client_error(), "{}", reply.text);
    }
    let bad = client.with_token("mohaa_s_notatoken-notatoken").send("{").await;
    answers.push(bad.text);

    client.settled().await;
    let warehouse = Warehouse::new(&urls.clickhouse_url);
    eventually("the events are stored", async || {
        (warehouse.count("SELECT count() FROM raw_events WHERE type = 'kill'").await == 2).then_some(())
    })
    .await;
    secrets.assert_none_in("an answer to somebody else", &answers.join("\n"));
    secrets.assert_none_in("the metrics", &client.metrics_text().await);
    for page in ["/", "/leaderboard", "/matches", "/api/v1/servers", "/api/openapi.json"] {
        secrets.assert_none_in(page, &client.get(page).await.text);
    }
    secrets.assert_none_in("PostgreSQL", &rows_of_postgres(&pool).await);
    secrets.assert_none_in("ClickHouse", &rows_of_clickhouse(&warehouse).await);
    let redis = keys_of_redis(&urls.redis_url).await;
    assert!(redis.contains("track:") && redis.contains("limit:"), "{redis}");
    secrets.assert_none_in("Redis", &redis);
    let log = process.log().unwrap();
    assert!(log.contains("/api/v1/auth/verify") && log.contains("DEBUG"), "the log says what was called");
    process.terminate().await.unwrap();
    for path in files_below(data_dir.path()) {
        let content = String::from_utf8_lossy(&std::fs::read(&path).unwrap()).into_owned();
        secrets.assert_none_in(&path.display().to_string(), &content);
    }
    providers.stop().await;
}
