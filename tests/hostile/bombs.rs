//! A whole process under bodies that want its memory, and texts that want its log.

use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

use mohaa_faults::process::ServiceProcess;
use mohaa_stats::config::StoreUrl;
use mohaa_stats::postgres;
use mohaa_stats::servers::{NewServer, add_server};
use serde_json::json;

use super::names::NAMES;
use super::{EVENTS, JUMP, assert_books_balance, exchange};
use crate::support::{ServiceClient, schemas};

/// What one bomb would unpack to, and how many come at once.
const BOMB_BYTES: usize = 100 << 20;
const AT_ONCE: usize = 16;
/// Far below what two bombs take when they are unpacked, far above what requests of the largest size need.
const MOST_GROWTH: u64 = 256 << 20;

async fn start(
    name_hint: &str,
    data_dir: &Path,
    settings: &[(&str, &str)],
) -> (ServiceProcess, ServiceClient) {
    let urls = schemas::database(name_hint).await;
    let pool = postgres::pool(&StoreUrl::postgres(&urls.postgres_url).unwrap()).await.unwrap();
    postgres::migrate(&pool).await.unwrap();
    let added =
        add_server(&pool, &NewServer { name: "Omaha".to_owned(), ..NewServer::default() }).await.unwrap();
    let program = Path::new(env!("CARGO_BIN_EXE_mohaa-stats"));
    let process = ServiceProcess::start(program, data_dir, &urls, settings).await.unwrap();
    let client = ServiceClient::new(process.url.clone(), added.token.expose().to_owned());
    // Until ClickHouse has its tables, pages are 503.
    client.send(JUMP).await.assert_batch(202, 1, &[]);
    client.settled().await;
    (process, client)
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// A zstd frame that asks for a window of 128 MB and holds next to nothing.
fn wide_window() -> Vec<u8> {
    let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 1).unwrap();
    encoder.window_log(27).unwrap();
    encoder.write_all(JUMP.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

#[actix_web::test]
async fn bodies_that_want_all_memory_get_a_bounded_part_of_it() {
    let data_dir = tempfile::tempdir().unwrap();
    let (process, client) = start("bombs", data_dir.path(), &[]).await;
    let full = |member: &str| {
        format!("[{{\"type\":\"jump\",{}\"a\":1}}]", member.repeat((1 << 20) / member.len() - 20))
    };
    let zeroes = vec![b' '; BOMB_BYTES];
    let many_members = gzip(&zeroes[..1 << 20]).repeat(100);
    let bombs: Vec<(&str, &str, Vec<u8>, u16)> = vec![
        ("gzip", "gzip", gzip(&zeroes), 413),
        ("gzip of many members", "gzip", many_members, 413),
        ("zstd", "zstd", zstd::encode_all(&zeroes[..], 19).unwrap(), 413),
        ("zstd of a wide window", "zstd", wide_window(), 400),
        ("gzip of gzip", "gzip", gzip(&gzip(&zeroes)), 400),
        ("wide", "identity", full("\"k\":1,").into_bytes(), 202),
        ("deep", "identity", format!("[{{\"type\":\"jump\",\"a\":{}", "[".repeat(1 << 19)).into_bytes(), 202),
        ("of control characters", "identity", full("\"\u{1}\u{2}\":\"\u{3}\u{4}\u{5}\",").into_bytes(), 202),
        (
            "of events",
            "identity",
            format!("[{}]", ["{\"type\":\"\u{1}\"}"; 5_000].join(",")).into_bytes(),
            202,
        ),
    ];
    drop(zeroes);
    // What every process needs once, before the first is counted.
    for _ in 0..20 {
        client.send(JUMP).await.assert_batch(202, 1, &[]);
    }
    client.settled().await;
    let before = process.resident_bytes().unwrap();
    for (name, encoding, body, status) in &bombs {
        let requests: Vec<_> = (0..AT_ONCE)
            .map(|_| {
                let (client, body, encoding) = (client.clone(), body.clone(), (*encoding).to_owned());
                tokio::task::spawn_local(async move {
                    client.send_with(&[("Content-Encoding", &encoding)], body).await
                })
            })
            .collect();
        let mut most = 0;
        while requests.iter().any(|request| !request.is_finished()) {
            most = most.max(process.resident_bytes().unwrap());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        for request in requests {
            let reply = request.await.unwrap();
            // More events than the mailbox holds are refused, which bounds memory too.
            let is_full = reply.status.as_u16() == 429 && *status == 202;
            assert!(is_full || reply.status.as_u16() == *status, "{name}: {} {}", reply.status, reply.text);
        }
        client.settled().await;
        most = most.max(process.resident_bytes().unwrap());
        assert!(most < before + MOST_GROWTH, "{name}: from {before} to {most} bytes");
    }
    assert_books_balance(&client).await;
    assert!(process.terminate().await.unwrap().0.success());
}

#[actix_web::test]
async fn nothing_that_is_sent_can_write_into_the_log() {
    let data_dir = tempfile::tempdir().unwrap();
    let (process, client) = start("hostile_log", data_dir.path(), &[("RUST_LOG", "debug")]).await;
    for text in NAMES {
        let body =
            json!([{"type": text, "player_name": text, "match_id": text, "map_name": text, "message": text}]);
        client.send(body.to_string()).await;
        client.send(format!("type=jump&player_name={text}&timestamp={text}")).await;
        client.send(format!("{{\"type\":{text}}}")).await;
        client.post(EVENTS, &[], format!("type=jump&server_token={text}")).await.unwrap();
        let headers: String =
            ["X-Server-Token", "X-Request-Id", "Idempotency-Key", "Content-Encoding", "User-Agent", "Host"]
                .map(|name| format!("{name}: {text}\r\n"))
                .concat();
        for target in [format!("/{text}"), format!("/players/{text}"), format!("/matches?filter[map]={text}")]
        {
            let request = format!("GET {target} HTTP/1.1\r\nConnection: close\r\n{headers}\r\n");
            exchange(process.address(), request.as_bytes()).await;
            let encoded = super::encoded(&target).replace("%2F", "/");
            exchange(
                process.address(),
                format!("GET {encoded} HTTP/1.1\r\nConnection: close\r\n\r\n").as_bytes(),
            )
            .await;
        }
        let method = format!("{text} / HTTP/1.1\r\nConnection: close\r\n\r\n");
        exchange(process.address(), method.as_bytes()).await;
    }
    assert_books_balance(&client).await;
    let log = process.log().unwrap();
    assert!(process.terminate().await.unwrap().0.success());
    assert!(log.len() > 10_000, "the log says too little to be judged: {log}");
    assert!(!log.contains(&client.token), "a token is logged");
    if let Some(line) = log.lines().find(|line| line.chars().any(turns_a_terminal)) {
        panic!("the log holds {line:?}");
    }
    // Whoever breaks a line writes the next one himself.
    let forged = log.lines().find(|line| line.starts_with("Set-Cookie") || line.starts_with("X-"));
    assert_eq!(forged, None);
}

/// Control characters, and those that turn the text of a line around.
fn turns_a_terminal(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{2028}' | '\u{2029}')
}
