//! What senders of events are answered: statuses, bodies, and which requests count as repeats.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use mohaa_faults::cuttable::CuttableProxy;
use mohaa_stats::servers::{Changer, revoke_server_tokens};
use mohaa_stats::startup::Surroundings;

use crate::support::{Service, eventually, schemas};

const EVENTS: &str = "/api/v1/ingest/events";
const JUMP: &str = r#"[{"type":"jump","player_name":"A"}]"#;

#[actix_web::test]
async fn an_address_with_a_slash_at_its_end_and_a_path_behind_it_is_understood() {
    let service = Service::start("double_slash").await;
    let headers = [("X-Server-Token", service.client.token.as_str())];
    let body = r#"[{"type":"jump","player_guid":"4711"}]"#;
    for path in ["//api/v1/ingest/events", "/api//v1/ingest//events"] {
        let taken = service.client.post(path, &headers, body.to_owned()).await.unwrap();
        taken.assert_batch(202, 1, &[]);
    }
    service.stop().await;
}

#[actix_web::test]
async fn a_request_without_a_readable_event_is_rejected_by_index() {
    let service = Service::start("rejected").await;
    for body in ["", "[]", " \n\0", "{}", "[{}]", "nothing of this is an event"] {
        let reply = service.client.send(body).await;
        assert_eq!(reply.status.as_u16(), 400, "{body:?}: {}", reply.text);
        let answer = reply.json();
        assert_eq!(
            (&answer["status"], &answer["processed"]),
            (&"rejected".into(), &0.into()),
            "{body:?}: {answer}"
        );
        assert!(answer["errors"].is_array() && answer["rejected"].is_u64(), "{body:?}: {answer}");
    }
    service.client.send("[]").await.assert_batch(400, 0, &[]);
    service.client.send("").await.assert_batch(400, 0, &[]);
    service.client.send(r#"[{"x":1},{"type":" "}]"#).await.assert_batch(400, 0, &[0, 1]);

    let all_wrong: Vec<u64> = (0..30).collect();
    service.client.send(json!(all_wrong).to_string()).await.assert_batch(400, 0, &all_wrong);
    let mut mixed: Vec<Value> = all_wrong.iter().map(|number| json!(number)).collect();
    mixed.insert(7, json!({"type": "jump"}));
    let wrong: Vec<u64> = (0..31).filter(|index| *index != 7).collect();
    service.client.send(json!(mixed).to_string()).await.assert_batch(202, 1, &wrong);
    service.stop().await;
}

#[actix_web::test]
async fn a_token_is_looked_for_in_its_header_then_in_authorization_then_in_the_body() {
    let service = Service::start("token_order").await;
    let (_, token) = service.add_server("Second").await;
    let client = &service.client;
    let good = token.as_str();
    let bearer = format!("Bearer {token}");
    let lower = format!("bearer {token}");
    let form = |token: &str| format!("type=jump&player_name=A&server_token={token}");
    let accepted: [(&[(&str, &str)], String); 9] = [
        (&[("X-Server-Token", good)], JUMP.to_owned()),
        (&[("Authorization", good)], JUMP.to_owned()),
        (&[("Authorization", &bearer)], JUMP.to_owned()),
        (&[("Authorization", &lower)], JUMP.to_owned()),
        (&[], form(good)),
        (&[], format!(r#"[{{"type":"jump","server_token":"{good}"}}]"#)),
        (&[("X-Server-Token", good), ("Authorization", "Bearer wrong")], form("wrong")),
        (&[("Authorization", &bearer)], form("wrong")),
        (&[("X-Server-Token", ""), ("Authorization", &bearer)], JUMP.to_owned()),
    ];
    for (headers, body) in accepted {
        let reply = client.post(EVENTS, headers, body.clone()).await.unwrap();
        assert_eq!(reply.status.as_u16(), 202, "{} for {body}", reply.text);
    }
    let refused: [(&[(&str, &str)], String); 6] = [
        (&[], JUMP.to_owned()),
        (&[("X-Server-Token", "wrong")], JUMP.to_owned()),
        (&[("X-Server-Token", "wrong"), ("Authorization", &bearer)], form(good)),
        (&[("Authorization", "Bearer wrong")], form(good)),
        (&[("Authorization", "Bearer ")], JUMP.to_owned()),
        (&[], form("wrong")),
    ];
    for (headers, body) in refused {
        let code = if headers.iter().any(|(_, value)| value.contains("wrong")) || body.contains("wrong") {
            "invalid_token"
        } else {
            "missing_token"
        };
        client.post(EVENTS, headers, body).await.unwrap().assert_refused(401, code);
    }
    for query in ["server_token", "token", "X-Server-Token", "access_token"] {
        let path = format!("{EVENTS}?{query}={token}");
        client.post(&path, &[], JUMP).await.unwrap().assert_refused(401, "missing_token");
    }
    service.stop().await;
}

#[actix_web::test]
async fn a_request_without_a_good_token_is_401_whatever_else_is_wrong_with_it() {
    let service = Service::start("token_first").await;
    let stranger = service.client.with_token("mohaa_s_stranger");
    for body in ["", "[]", "no event at all"] {
        stranger.send(body).await.assert_refused(401, "invalid_token");
        stranger.post(EVENTS, &[], body).await.unwrap().assert_refused(401, "missing_token");
    }
    stranger.send(vec![b' '; 2 << 20]).await.assert_refused(401, "invalid_token");
    stranger.send_with(&[("Content-Encoding", "br")], JUMP).await.assert_refused(401, "invalid_token");
    stranger.send_with(&[("Idempotency-Key", "!")], JUMP).await.assert_refused(401, "invalid_token");
    service.stop().await;
}

#[actix_web::test]
async fn a_revoked_token_is_refused_within_a_second() {
    let service = Service::start("revoked").await;
    service.client.send(JUMP).await.assert_batch(202, 1, &[]);
    revoke_server_tokens(&service.application.postgres, Changer::Operator, service.server_id).await.unwrap();
    let revoked_at = Instant::now();
    let reply = eventually("a revoked token is refused", async || {
        let reply = service.client.send(JUMP).await;
        (reply.status.as_u16() != 202).then_some(reply)
    })
    .await;
    assert!(revoked_at.elapsed() < Duration::from_secs(1), "after {:?}", revoked_at.elapsed());
    reply.assert_refused(401, "invalid_token");
    service.stop().await;
}

#[actix_web::test]
async fn a_token_that_nobody_can_check_is_never_401() {
    let urls = schemas::database("unchecked").await;
    let address = url::Url::parse(&urls.postgres_url).unwrap();
    let proxy = CuttableProxy::start(format!("127.0.0.1:{}", address.port().unwrap())).await.unwrap();
    let through_proxy = proxy.in_front_of(&urls.postgres_url).unwrap();
    let service =
        Service::start_on(&urls, &[("POSTGRES_URL", through_proxy.as_str())], Surroundings::default()).await;
    service.client.send(JUMP).await.assert_batch(202, 1, &[]);
    proxy.cut().await;
    service.client.with_token("never seen").send(JUMP).await.assert_refused(503, "tokens_unavailable");
    service.client.send(JUMP).await.assert_batch(202, 1, &[]);
    let ready = eventually("the outage shows", async || {
        let ready = service.client.get("/ready").await;
        (ready.json()["degraded"] == true).then_some(ready)
    })
    .await;
    assert_eq!((ready.status.as_u16(), &ready.json()["ready"]), (200, &true.into()), "{}", ready.text);
    proxy.mend().await.unwrap();
    service.client.send(JUMP).await.assert_batch(202, 1, &[]);
    service.stop().await;
}

#[actix_web::test]
async fn too_many_bytes_or_events_are_413_and_an_unknown_encoding_415() {
    let service = Service::start("limits").await;
    let client = &service.client;
    let with_length = |length: usize| {
        let mut body = JUMP.as_bytes().to_vec();
        body.resize(length, b' ');
        body
    };
    client.send(with_length(1 << 20)).await.assert_batch(202, 1, &[]);
    client.send(with_length((1 << 20) + 1)).await.assert_refused(413, "body_too_large");
    let bomb = zstd::encode_all(&with_length(64 << 20)[..], 1).unwrap();
    assert!(bomb.len() < 1 << 20);
    client.send_with(&[("Content-Encoding", "zstd")], bomb).await.assert_refused(413, "body_too_large");

    let events = |count: usize| json!(vec![json!({"type": "jump"}); count]).to_string();
    client.send(events(5_000)).await.assert_batch(202, 5_000, &[]);
    client.send(events(5_001)).await.assert_refused(413, "too_many_events");

    for encoding in ["br", "deflate", "gzip, zstd"] {
        let reply = client.send_with(&[("Content-Encoding", encoding)], JUMP).await;
        reply.assert_refused(415, "unsupported_encoding");
    }
    let empty = client.send_with(&[("Content-Encoding", "gzip")], "").await;
    assert_eq!((empty.status.as_u16(), &empty.json()["status"]), (400, &json!("rejected")), "{}", empty.text);
    let damaged = client.send_with(&[("Content-Encoding", "gzip")], JUMP).await;
    assert_eq!(damaged.status.as_u16(), 400, "{}", damaged.text);

    // Cut in the middle, of events that don't repeat themselves.
    let many: Vec<_> = (0..2_000).map(|n| json!({"type": "jump", "n": n, "r": n * 7919 % 10007})).collect();
    let many = json!(many).to_string();
    for (encoding, whole) in
        [("gzip", gzipped(&many)), ("zstd", zstd::encode_all(many.as_bytes(), 3).unwrap())]
    {
        let cut = &whole[..whole.len() * 3 / 4];
        let with_key = [("Content-Encoding", encoding), ("Idempotency-Key", encoding)];
        // Whoever can repeat it is told, and can repeat it.
        client.send_with(&with_key, cut).await.assert_refused(400, "unreadable_body");
        client.send_with(&with_key, whole.clone()).await.assert_batch(202, 2_000, &[]);
        let salvaged = client.send_with(&with_key[..1], cut).await;
        match salvaged.status.as_u16() {
            202 => {
                let body = salvaged.json();
                let (processed, rejected) = (body["processed"].as_u64(), body["rejected"].as_u64());
                assert!(processed.is_some_and(|count| (1..2_000).contains(&count)), "{encoding}: {body}");
                assert!(rejected.is_some_and(|count| count >= 1), "{encoding}: {body}");
                assert!(body.to_string().contains("damaged or cut short"), "{encoding}: {body}");
            }
            // Nothing of it could be unpacked.
            _ => salvaged.assert_refused(400, "unreadable_body"),
        }
    }
    let mut wrong_checksum = gzipped(&many);
    let checksum_at = wrong_checksum.len() - 8;
    wrong_checksum[checksum_at] ^= 1;
    let told = client.send_with(&[("Content-Encoding", "gzip")], wrong_checksum).await;
    told.assert_batch(202, 2_000, &[2_000]);

    let smaller = Service::start_with(
        "smaller_limits",
        &[("INGEST_MAX_BODY", "1KiB"), ("INGEST_MAX_EVENTS", "2")],
        Surroundings::default(),
    )
    .await;
    smaller.client.send(with_length(1024)).await.assert_batch(202, 1, &[]);
    smaller.client.send(with_length(1025)).await.assert_refused(413, "body_too_large");
    smaller.client.send(events(3)).await.assert_refused(413, "too_many_events");
    smaller.stop().await;
    service.stop().await;
}

fn gzipped(text: &str) -> Vec<u8> {
    use std::io::Write as _;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

#[actix_web::test]
async fn a_repeated_request_gets_the_first_answer_and_stores_nothing() {
    let service = Service::start("repeats").await;
    let client = &service.client;
    let body = r#"[{"type":"jump","player_name":"once"},5]"#;
    let key = [("Idempotency-Key", "batch_1-A")];
    let first = client.send_with(&key, body).await;
    first.assert_batch(202, 1, &[1]);
    assert_eq!(first.header("idempotent-replayed"), None);
    for _ in 0..2 {
        let again = client.send_with(&key, body).await;
        assert_eq!((again.status, &again.text), (first.status, &first.text));
        assert_eq!(again.header("idempotent-replayed"), Some("true"));
    }
    client.send_with(&key, JUMP).await.assert_refused(422, "idempotency_mismatch");

    let (_, other_token) = service.add_server("Other").await;
    let of_other = client.with_token(&other_token).send_with(&key, JUMP).await;
    of_other.assert_batch(202, 1, &[]);
    assert_eq!(of_other.header("idempotent-replayed"), None, "a key belongs to one server");

    let longest = "k".repeat(64);
    client.send_with(&[("Idempotency-Key", &longest)], JUMP).await.assert_batch(202, 1, &[]);
    for wrong in ["", "with space", "ümlaut", "semi;colon", &"k".repeat(65)] {
        let reply = client.send_with(&[("Idempotency-Key", wrong)], JUMP).await;
        assert_eq!(reply.status.as_u16(), 422, "{wrong:?}: {}", reply.text);
    }
    let metrics = client.settled().await;
    assert_eq!(metrics.series(r#"mohaa_events_rejected_total{reason="idempotent_replay"}"#), 2.0);
    assert_eq!(metrics.series(r#"mohaa_events_rejected_total{reason="idempotency_mismatch"}"#), 1.0);
    let stored = "SELECT count() FROM raw_events WHERE player_name = 'once'";
    assert_eq!(service.warehouse.count(stored).await, 1);
    service.stop().await;
}

#[actix_web::test]
async fn only_accepted_requests_are_remembered() {
    let service = Service::start("not_remembered").await;
    let client = &service.client;
    let key = [("Idempotency-Key", "again")];
    client.send_with(&key, "[]").await.assert_batch(400, 0, &[]);
    client.with_token("wrong").send_with(&key, JUMP).await.assert_refused(401, "invalid_token");
    let accepted = client.send_with(&key, JUMP).await;
    accepted.assert_batch(202, 1, &[]);
    assert_eq!(accepted.header("idempotent-replayed"), None);
    service.stop().await;
}

#[actix_web::test]
async fn of_simultaneous_repeats_one_is_stored_and_all_are_answered_alike() {
    let service = Service::start("simultaneous").await;
    for round in 0..5 {
        let key = format!("round-{round}");
        let headers = [("Idempotency-Key", key.as_str())];
        let body = json!([{"type": "jump", "player_name": key}]).to_string();
        let send = || service.client.send_with(&headers, body.clone());
        let (a, b, c, d) = tokio::join!(send(), send(), send(), send());
        let replies = [a, b, c, d];
        replies.iter().for_each(|reply| reply.assert_batch(202, 1, &[]));
        let firsts = replies.iter().filter(|reply| reply.header("idempotent-replayed").is_none()).count();
        assert_eq!(firsts, 1);
        assert_eq!(service.warehouse.events_of(&key, 1).await.len(), 1);
    }
    service.client.settled().await;
    assert_eq!(service.warehouse.count("SELECT count() FROM raw_events").await, 5);
    service.stop().await;
}

#[actix_web::test]
async fn a_body_that_stops_coming_is_given_up() {
    let settings = [("INGEST_CHUNK_TIMEOUT", "300ms")];
    let service = Service::start_with("slow", &settings, Surroundings::default()).await;
    let head = format!(
        "POST {EVENTS} HTTP/1.1\r\nHost: test\r\nX-Server-Token: {}\r\nContent-Length: 1000\r\n\r\n[{{\"type\":",
        service.client.token
    );
    let mut connection = TcpStream::connect(service.application.address).await.unwrap();
    connection.write_all(head.as_bytes()).await.unwrap();
    let began = Instant::now();
    let mut answer = Vec::new();
    // The connection may be closed, or answered and left to the sender.
    let mut part = [0; 4096];
    let read = tokio::time::timeout(Duration::from_secs(10), connection.read(&mut part)).await;
    answer.extend_from_slice(&part[..read.expect("it is given up in time").unwrap_or(0)]);
    assert!(began.elapsed() >= Duration::from_millis(250), "after {:?}", began.elapsed());
    let text = String::from_utf8_lossy(&answer);
    assert!(text.is_empty() || text.starts_with("HTTP/1.1 408"), "{text}");
    service.client.send(JUMP).await.assert_batch(202, 1, &[]);

    // A slow sender that keeps sending is no stalled one.
    let body = JUMP.as_bytes();
    let mut connection = TcpStream::connect(service.application.address).await.unwrap();
    let head = format!(
        "POST {EVENTS} HTTP/1.1\r\nHost: test\r\nConnection: close\r\nX-Server-Token: {}\r\nContent-Length: {}\r\n\r\n",
        service.client.token,
        body.len()
    );
    connection.write_all(head.as_bytes()).await.unwrap();
    for part in body.chunks(7) {
        connection.write_all(part).await.unwrap();
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let mut text = String::new();
    connection.read_to_string(&mut text).await.unwrap();
    assert!(text.starts_with("HTTP/1.1 202"), "{text}");
    service.stop().await;
}

#[actix_web::test]
async fn keys_are_remembered_over_a_restart() {
    use std::path::Path;

    use mohaa_faults::process::ServiceProcess;
    use mohaa_stats::postgres;
    use mohaa_stats::servers::{NewServer, add_server};

    let urls = schemas::database("remembered").await;
    let pool =
        postgres::pool(&mohaa_stats::config::StoreUrl::postgres(&urls.postgres_url).unwrap()).await.unwrap();
    postgres::migrate(&pool).await.unwrap();
    let added =
        add_server(&pool, &NewServer { name: "Omaha".to_owned(), ..NewServer::default() }).await.unwrap();
    let data_dir = tempfile::tempdir().unwrap();
    let program = Path::new(env!("CARGO_BIN_EXE_mohaa-stats"));
    let key = [("Idempotency-Key", "over-a-restart")];
    let mut answers = Vec::new();
    for stop in ["kill", "terminate", "kill"] {
        let process = ServiceProcess::start(program, data_dir.path(), &urls, &[]).await.unwrap();
        let client = crate::support::ServiceClient::new(process.url.clone(), added.token.expose().to_owned());
        let reply = client.send_with(&key, r#"[{"type":"jump"},{"no":"type"}]"#).await;
        reply.assert_batch(202, 1, &[1]);
        answers.push((reply.text.clone(), reply.header("idempotent-replayed").map(str::to_owned)));
        client.send_with(&key, JUMP).await.assert_refused(422, "idempotency_mismatch");
        match stop {
            "kill" => process.kill().await.unwrap(),
            _ => assert!(process.terminate().await.unwrap().0.success()),
        }
    }
    assert_eq!(answers[0].1, None);
    assert!(
        answers[1..].iter().all(|again| *again == (answers[0].0.clone(), Some("true".to_owned()))),
        "{answers:?}"
    );
}
