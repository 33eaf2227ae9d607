//! The commands as an operator runs them: what they print, where, and their exit codes.

use crate::database::fresh_database;
use mohaa_actors::dead_letters::{DeadLetter, DeadLetters};
use mohaa_domain::{
    event::{Event, Millis, Stamp},
    row,
};
use mohaa_stats::{config::Secret, servers::ServerTokens};
use serde_json::Value;
use std::process::Output;
use std::time::Instant;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::process::Command;

const SECRET: &str = "0f8a3c5e7b9d1f2a4c6e8b0d3f5a7c9e";

/// Runs a command in an empty directory, with no environment but what is given.
async fn run(directory: &tempfile::TempDir, arguments: &[&str], environment: &[(&str, &str)]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_mohaa-stats"))
        .args(arguments)
        .env_clear()
        .envs(environment.iter().copied())
        .current_dir(directory.path())
        .output()
        .await
        .unwrap()
}

fn json(output: &Output) -> Value {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[tokio::test]
async fn the_effective_configuration_is_shown_without_secrets() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("mohaa.toml"), "worker_batch_size = 700\n").unwrap();
    let output = run(
        &directory,
        &["config", "--worker-count", "3", "--config", "mohaa.toml"],
        &[("JWT_SECRET", SECRET), ("POSTGRES_URL", "postgres://mohaa:s3cret@db/mohaa"), ("PORT", "9000")],
    )
    .await;
    let shown = json(&output);
    assert_eq!(shown["WORKER_COUNT"], serde_json::json!({ "value": "3", "source": "flag" }));
    assert_eq!(shown["PORT"], serde_json::json!({ "value": "9000", "source": "env" }));
    assert_eq!(shown["WORKER_BATCH_SIZE"], serde_json::json!({ "value": "700", "source": "file" }));
    assert_eq!(shown["WORKER_QUEUE_SIZE"], serde_json::json!({ "value": "10000", "source": "default" }));
    assert_eq!(shown["STEAM_API_KEY"], serde_json::json!({ "value": null, "source": null }));
    assert_eq!(shown["JWT_SECRET"]["value"], "[hidden]");
    let everything = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(!everything.contains(SECRET) && !everything.contains("s3cret"));
}

#[tokio::test]
async fn a_wrong_configuration_lists_every_mistake_and_exits_with_2() {
    let directory = tempfile::tempdir().unwrap();
    let environment = [("WORKER_COUNT", "none"), ("JWT_SECRET", "secret"), ("REDIS_URL", "cache:6379")];
    let output = run(&directory, &["serve"], &environment).await;
    assert_eq!(output.status.code(), Some(2));
    assert!(output.stdout.is_empty());
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    for name in ["WORKER_COUNT", "JWT_SECRET", "REDIS_URL", "POSTGRES_URL", "CLICKHOUSE_URL"] {
        assert!(told.contains(&format!("\n  {name}")), "{name} in {told}");
    }
    assert!(std::fs::read_dir(directory.path()).unwrap().next().is_none(), "nothing was begun");
}

#[tokio::test]
async fn wrong_usage_exits_with_2_and_help_with_0() {
    let directory = tempfile::tempdir().unwrap();
    for wrong in
        [&["frobnicate"][..], &["serve", "--no-such-flag"], &["user", "add", "--name", "A", "--role", "king"]]
    {
        assert_eq!(run(&directory, wrong, &[]).await.status.code(), Some(2), "{wrong:?}");
    }
    let help = run(&directory, &["help", "serve"], &[]).await;
    assert!(help.status.success());
    assert!(String::from_utf8_lossy(&help.stdout).contains("--worker-flush-interval"));
}

#[tokio::test]
async fn a_data_directory_without_running_stores_is_told_plainly() {
    let directory = tempfile::tempdir().unwrap();
    let output = run(&directory, &["server", "list", "--data-dir", "nowhere"], &[]).await;
    assert_eq!(output.status.code(), Some(2));
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(told.contains("is `mohaa-stats serve --embedded --data-dir nowhere` running?"), "{told}");
}

#[tokio::test]
async fn a_server_made_at_the_command_line_is_known_until_it_is_revoked() {
    let database = fresh_database("commands").await;
    let directory = tempfile::tempdir().unwrap();
    let stores =
        format!("POSTGRES_URL={}\nREDIS_URL=redis://none\nCLICKHOUSE_URL=http://none\n", database.url);
    std::fs::write(directory.path().join("stores.env"), stores).unwrap();

    let added =
        json(&run(&directory, &["server", "add", "--name", "Südfront", "--data-dir", "."], &[]).await);
    let (server_id, token) = (added["server_id"].as_str().unwrap(), added["token"].as_str().unwrap());
    let tokens = ServerTokens::start(database.pool.clone(), None).await;
    assert_eq!(tokens.identify(token).await.unwrap().server_id.to_string(), server_id);

    let listed = json(&run(&directory, &["server", "list", "--data-dir", "."], &[]).await);
    assert_eq!(listed["servers"][0]["name"], "Südfront");
    assert_eq!(listed["servers"][0]["live_tokens"], 1);
    assert!(!listed.to_string().contains(token));

    let marked = ["server", "bot-names", server_id, "Bot*", "^1AI ?", "--data-dir", "."];
    let marked = json(&run(&directory, &marked, &[]).await);
    assert_eq!(marked["bot_names"], serde_json::json!(["bot*", "ai ?"]));
    let marks_all = ["server", "add", "--name", "x", "--bot-names", "Bot*,*", "--data-dir", "."];
    let marks_all = run(&directory, &marks_all, &[]).await;
    assert_eq!(marks_all.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&marks_all.stderr).contains("can't mark bots"));
    let listed = json(&run(&directory, &["server", "list", "--data-dir", "."], &[]).await);
    assert_eq!(listed["servers"][0]["bot_names"], marked["bot_names"]);
    assert_eq!(listed["servers"].as_array().unwrap().len(), 1);

    let revoked = json(&run(&directory, &["server", "revoke", server_id, "--data-dir", "."], &[]).await);
    assert_eq!(revoked["revoked_tokens"], 1);
    let listed = json(&run(&directory, &["server", "list", "--data-dir", "."], &[]).await);
    assert_eq!(listed["servers"][0]["live_tokens"], 0);

    let nobody = uuid::Uuid::nil().to_string();
    let output = run(&directory, &["server", "revoke", &nobody, "--data-dir", "."], &[]).await;
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("there is no server"));
}

#[tokio::test]
async fn a_user_made_at_the_command_line_gets_a_token_and_a_link() {
    let database = fresh_database("commands_user").await;
    let directory = tempfile::tempdir().unwrap();
    let environment = [
        ("POSTGRES_URL", database.url.as_str()),
        ("JWT_SECRET", SECRET),
        ("PUBLIC_URL", "https://stats.example.org"),
    ];
    let added =
        json(&run(&directory, &["user", "add", "--name", "Anna", "--role", "organizer"], &environment).await);
    assert_eq!(added["user_id"], 1_000_000_001);
    assert!(added["login_url"].as_str().unwrap().starts_with("https://stats.example.org/login/link/"));
    let verifier = mohaa_stats::auth::AccessTokens::new(&Secret::new(SECRET), None);
    let claims = verifier.verify(added["access_token"].as_str().unwrap()).unwrap();
    assert_eq!(claims.sub, "1000000001");

    let again = json(&run(&directory, &["user", "login-link", "1000000001"], &environment).await);
    assert_eq!(again["user_id"], 1_000_000_001);
    let link = again["login_url"].as_str().unwrap();
    assert!(link.starts_with("https://stats.example.org/login/link/") && link != added["login_url"]);
    let code = link.rsplit('/').next().unwrap();
    let found = mohaa_stats::auth::find_login_link(&database.pool, code).await.unwrap();
    assert_eq!(found.user_id, 1_000_000_001);
    let nobody = run(&directory, &["user", "login-link", "7"], &environment).await;
    assert_eq!(nobody.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&nobody.stderr).contains("there is no user 7"));

    let without_secret =
        run(&directory, &["user", "add", "--name", "Bert", "--role", "player"], &environment[..1]).await;
    assert_eq!(without_secret.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&without_secret.stderr).contains("JWT_SECRET"));
}

#[tokio::test]
async fn a_link_that_is_made_beside_a_service_leads_to_where_that_service_is_reached() {
    let urls = mohaa_embedded::testing::TestStores::shared().await.database("commands_link").await;
    let directory = tempfile::tempdir().unwrap();
    let program = std::path::Path::new(env!("CARGO_BIN_EXE_mohaa-stats"));
    let settings = [("PUBLIC_URL", "https://stats.example.org")];
    let service = mohaa_faults::process::ServiceProcess::start(program, directory.path(), &urls, &settings)
        .await
        .unwrap();
    let environment = [
        ("POSTGRES_URL", urls.postgres_url.as_str()),
        ("JWT_SECRET", mohaa_faults::process::JWT_SECRET),
        ("DATA_DIR", directory.path().to_str().unwrap()),
    ];
    let added =
        json(&run(&directory, &["user", "add", "--name", "Anna", "--role", "admin"], &environment).await);
    let link = added["login_url"].as_str().unwrap();
    assert!(link.starts_with("https://stats.example.org/login/link/"), "{link}");
    assert!(service.terminate().await.unwrap().0.success());
}

#[tokio::test]
async fn dead_letters_are_listed_shown_asked_for_and_dropped_without_a_service() {
    let directory = tempfile::tempdir().unwrap();
    let spool = directory.path().join("data/spool");
    let nothing_there = run(&directory, &["dead-letters", "list"], &[]).await;
    assert_eq!(nothing_there.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&nothing_there.stderr).contains("there is no spool in"));

    std::fs::create_dir_all(&spool).unwrap();
    let server_id = uuid::Uuid::from_u128(7);
    let event = Event { source_type: "jump".into(), level_time: Some(12.5), ..Event::default() };
    let received_at = Millis(1_790_000_000_000);
    let request =
        DeadLetter::request(server_id, received_at, None, &[event.clone(), event.clone()], "a defect");
    let stamp = Stamp { server_id, received_at, ..Stamp::default() };
    let mut row = Vec::new();
    row::encode(&event, &stamp, &mut row);
    let reason = (117, "incorrect data".to_owned());
    let refused = DeadLetter::row(server_id, (41, 3), received_at.day(), row::COLUMNS.len(), &row, reason);
    let letters = DeadLetters::open(&spool).unwrap();
    letters.keep(&request).unwrap();
    letters.keep(&refused).unwrap();

    let listed = json(&run(&directory, &["dead-letters", "list"], &[]).await);
    let kinds: Vec<_> =
        listed["dead_letters"].as_array().unwrap().iter().map(|letter| &letter["kind"]).collect();
    assert_eq!(kinds, ["request", "row"]);
    assert_eq!(listed["dead_letters"][0]["events"], 2);

    let shown = json(&run(&directory, &["dead-letters", "show", &refused.id], &[]).await);
    assert_eq!((&shown["clickhouse_code"], &shown["reason"]), (&117.into(), &"incorrect data".into()));
    assert_eq!(shown["events"][0]["source_type"], "jump");
    assert_eq!(shown["events"][0]["level_time"], 12.5);
    assert_eq!(shown["events"][0]["server_id"], server_id.to_string());
    assert_eq!(shown["events"][0]["received_at"], "2026-09-21T14:13:20+00:00");

    json(&run(&directory, &["dead-letters", "replay", &refused.id], &[]).await);
    assert_eq!(letters.asked_for().unwrap(), std::slice::from_ref(&refused.id));
    let unknown = run(&directory, &["dead-letters", "drop", "../../identity"], &[]).await;
    assert_eq!(unknown.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&unknown.stderr).contains("no dead letter has the id"));
    json(&run(&directory, &["dead-letters", "drop", "--all"], &[]).await);
    assert_eq!((letters.ids().unwrap().len(), letters.count()), (0, 1), "what is to be replayed is kept");
    let neither = run(&directory, &["dead-letters", "drop"], &[]).await;
    assert_eq!(neither.status.code(), Some(2));
}

/// What a service answers to one request after the other; an empty text hangs up. Tells when each came.
async fn answers_in_turn(answers: Vec<String>) -> (String, tokio::task::JoinHandle<Vec<Instant>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let answering = tokio::spawn(async move {
        let mut came = Vec::new();
        for answer in answers {
            let (mut connection, _) = listener.accept().await.unwrap();
            let mut request = Vec::new();
            while !request.ends_with(b"}") {
                assert_ne!(connection.read_buf(&mut request).await.unwrap(), 0);
            }
            came.push(Instant::now());
            connection.write_all(answer.as_bytes()).await.unwrap();
        }
        came
    });
    (url, answering)
}

fn http_answer(status: u16, header: &str, body: &str) -> String {
    let length = body.len();
    format!("HTTP/1.1 {status} X\r\nConnection: close\r\n{header}Content-Length: {length}\r\n\r\n{body}")
}

fn begun_for(seconds: u32) -> String {
    let begun = serde_json::json!({
        "device_code": "d", "user_code": "K7WQ-2MXHT", "verification_uri": "http://x/device",
        "verification_uri_complete": "http://x/device?user_code=K7WQ-2MXHT", "expires_in": seconds, "interval": 0,
    });
    http_answer(200, "", &begun.to_string())
}

#[tokio::test]
async fn a_device_that_signs_in_bears_limits_outages_and_lost_connections() {
    let (url, answering) = answers_in_turn(vec![
        begun_for(60),
        http_answer(429, "Retry-After: 2\r\n", r#"{"error":"slower","code":"rate_limited"}"#),
        String::new(),
        http_answer(503, "", "<html>a proxy's page</html>"),
        http_answer(200, "", r#"{"access_token":"a","refresh_token":"r"}"#),
    ])
    .await;
    let directory = tempfile::tempdir().unwrap();
    let signed_in = json(&run(&directory, &["login", "--url", &url], &[]).await);
    assert_eq!(signed_in["access_token"], "a");
    let came = answering.await.unwrap();
    let waited = |number: usize| came[number + 1].duration_since(came[number]).as_secs_f32();
    assert!(waited(1) >= 2.0, "as Retry-After says: {}", waited(1));
    assert!(
        waited(2) >= 1.0 && waited(3) >= waited(2) * 1.5,
        "longer each time: {}, {}",
        waited(2),
        waited(3)
    );
}

#[tokio::test]
async fn a_device_gives_up_when_its_code_has_expired() {
    let (url, answering) = answers_in_turn(vec![begun_for(1), String::new()]).await;
    let directory = tempfile::tempdir().unwrap();
    let output = run(&directory, &["login", "--url", &url], &[]).await;
    assert_eq!(output.status.code(), Some(1));
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(told.contains("expired"), "{told}");
    answering.await.unwrap();
}
