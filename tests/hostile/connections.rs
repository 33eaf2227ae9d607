//! Senders that break HTTP, or that hold on to what they have.

use std::time::Duration;

use mohaa_stats::startup::Surroundings;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use super::{JUMP, assert_unharmed, exchange, request, rest_of, statuses};
use crate::support::{PATIENCE, Service};

/// Connections of one kind at the same time.
const MANY: usize = 50;

#[actix_web::test]
async fn a_body_that_drips_is_408_and_nobody_else_waits() {
    let settings = [("INGEST_CHUNK_TIMEOUT", "300ms")];
    let service = Service::start_with("drips", &settings, Surroundings::default()).await;
    let address = service.application.address;
    let head = request(&service.client.token, "Content-Length: 1000000\r\n", "[");
    let drips: Vec<_> = (0..MANY)
        .map(|_| {
            let head = head.clone();
            tokio::task::spawn_local(async move {
                let mut connection = TcpStream::connect(address).await.unwrap();
                connection.write_all(&head).await.unwrap();
                let (mut reading, mut writing) = connection.split();
                let mut answer = String::new();
                // Never a pause that would be too long, and never enough.
                let drip = async {
                    let mut tick = tokio::time::interval(Duration::from_millis(50));
                    loop {
                        tick.tick().await;
                        if writing.write_all(b" ").await.is_err() {
                            break;
                        }
                    }
                };
                tokio::select! {
                    () = drip => {}
                    read = tokio::time::timeout(
                        PATIENCE,
                        tokio::io::AsyncReadExt::read_to_string(&mut reading, &mut answer),
                    ) => drop(read.expect("it is given up")),
                }
                answer
            })
        })
        .collect();
    let mut served = 0;
    while drips.iter().any(|drip| !drip.is_finished()) {
        service.client.send(JUMP).await.assert_batch(202, 1, &[]);
        served += 1;
        tokio::task::yield_now().await;
    }
    for drip in drips {
        let answer = drip.await.unwrap();
        // A reset may overtake the answer.
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 408"), "{answer}");
        assert!(answer.is_empty() || answer.contains("body_too_slow"), "{answer}");
    }
    assert_unharmed(&service, served).await;
    service.stop().await;
}

#[actix_web::test]
async fn floods_of_headers_are_refused() {
    let service = Service::start("header_flood").await;
    let address = service.application.address;
    let token = service.client.token.clone();
    let length = format!("Content-Length: {}\r\n", JUMP.len());
    let many: String = (0..10_000).map(|number| format!("X-{number}: {number}\r\n")).collect();
    let same = "X-Server-Token: wrong\r\n".repeat(5_000);
    let huge = format!("X-Huge: {}\r\n", "a".repeat(1 << 20));
    let endless_name = format!("{}: 1\r\n", "a".repeat(1 << 20));
    let folded = format!("X-Folded: a\r\n {}\r\n", "b".repeat(100));
    for headers in [many, same, huge, endless_name, folded] {
        let answer = exchange(address, &request(&token, &format!("{length}{headers}"), JUMP)).await;
        let statuses = statuses(&answer);
        assert!(statuses.iter().all(|status| (400..500).contains(status)), "{statuses:?}: {answer:.300}");
    }
    let endless_path = format!("GET /{} HTTP/1.1\r\nHost: test\r\n\r\n", "a".repeat(1 << 20));
    let answer = exchange(address, endless_path.as_bytes()).await;
    assert!(statuses(&answer).iter().all(|status| (400..500).contains(status)), "{answer:.300}");
    service.client.send(JUMP).await.assert_batch(202, 1, &[]);
    assert_unharmed(&service, 1).await;
    service.stop().await;
}

#[actix_web::test]
async fn half_open_connections_are_ended_and_nobody_else_waits() {
    let service = Service::start("half_open").await;
    let address = service.application.address;
    let mut held = Vec::new();
    for beginning in ["", "P", "POST /api/v1/ingest/events HTTP/1.1\r\n", "GET / HTTP/1.1\r\nHost: te"] {
        for _ in 0..MANY {
            let mut connection = TcpStream::connect(address).await.unwrap();
            connection.write_all(beginning.as_bytes()).await.unwrap();
            held.push(connection);
        }
    }
    for _ in 0..20 {
        service.client.send(JUMP).await.assert_batch(202, 1, &[]);
        assert_eq!(service.client.get("/health").await.status.as_u16(), 200);
    }
    for connection in &mut held {
        let answer = rest_of(connection).await;
        assert!(statuses(&answer).iter().all(|status| *status == 408), "{answer}");
    }
    assert_unharmed(&service, 20).await;
    service.stop().await;
}

#[actix_web::test]
async fn a_request_that_ends_in_the_middle_is_no_event() {
    let service = Service::start("cut").await;
    let address = service.application.address;
    let whole = request(&service.client.token, &format!("Content-Length: {}\r\n", JUMP.len()), JUMP);
    for length in 0..whole.len() {
        let answer = exchange(address, &whole[..length]).await;
        assert!(statuses(&answer).iter().all(|status| (400..500).contains(status)), "{length}: {answer}");
    }
    let chunked = request(&service.client.token, "Transfer-Encoding: chunked\r\n", &chunks(JUMP));
    // The last five bytes are the end: without it nobody knows whether more was meant.
    for length in 0..chunked.len() - 5 {
        let answer = exchange(address, &chunked[..length]).await;
        assert!(statuses(&answer).iter().all(|status| (400..500).contains(status)), "{length}: {answer}");
    }
    assert_unharmed(&service, 0).await;
    assert_eq!(statuses(&exchange(address, &whole).await), [202]);
    assert_eq!(statuses(&exchange(address, &chunked).await), [202]);
    assert_unharmed(&service, 2).await;
    service.stop().await;
}

#[actix_web::test]
async fn garbage_behind_a_request_costs_neither_it_nor_others() {
    let service = Service::start("pipelined").await;
    let address = service.application.address;
    let length = format!("Content-Length: {}\r\n", JUMP.len());
    let good = request(&service.client.token, &length, JUMP);
    let garbage: [&[u8]; 6] = [
        b"\0\0\0\0\r\n\r\n",
        b"\xff\xfe\xfd HTTP/1.1\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"[{\"type\":\"jump\"}]\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ];
    for garbage in garbage {
        let answer = exchange(address, &[&good, &good, garbage].concat()).await;
        let statuses = statuses(&answer);
        assert_eq!(statuses[..2], [202, 202], "{answer}");
        assert!(statuses[2..].iter().all(|status| (400..500).contains(status)), "{answer}");
    }
    assert_unharmed(&service, 12).await;
    service.stop().await;
}

#[actix_web::test]
async fn where_a_body_ends_is_never_a_matter_of_opinion() {
    let service = Service::start("smuggling").await;
    let address = service.application.address;
    let token = service.client.token.clone();
    let hidden_body = r#"[{"type":"jump","player_name":"smuggled"}]"#;
    let hidden = String::from_utf8(request(
        &token,
        &format!("Content-Length: {}\r\n", hidden_body.len()),
        hidden_body,
    ))
    .unwrap();
    let ends_and_hidden = format!("0\r\n\r\n{hidden}");
    let length = ends_and_hidden.len();
    for headers in [
        format!("Content-Length: {length}\r\nTransfer-Encoding: chunked\r\n"),
        format!("Transfer-Encoding: chunked\r\nContent-Length: {length}\r\n"),
        format!("Content-Length: {length}\r\nContent-Length: 5\r\n"),
        format!("Content-Length: 5\r\nContent-Length: {length}\r\n"),
        format!("Content-Length: {length}, 5\r\n"),
        format!("Content-Length: +{length}\r\n"),
        "Content-Length: -1\r\n".to_owned(),
        "Content-Length: 0x10\r\n".to_owned(),
        "Content-Length: 1e3\r\n".to_owned(),
        "Content-Length: 99999999999999999999999\r\n".to_owned(),
        "Content-Length: \r\n".to_owned(),
        format!("Transfer-Encoding: xchunked\r\nContent-Length: {length}\r\n"),
        format!("Transfer-Encoding: chunked, identity\r\nContent-Length: {length}\r\n"),
        format!("Transfer-Encoding : chunked\r\nContent-Length: {length}\r\n"),
        format!("Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\nContent-Length: {length}\r\n"),
    ] {
        let answer = exchange(address, &request(&token, &headers, &ends_and_hidden)).await;
        let statuses = statuses(&answer);
        assert!(statuses.iter().all(|status| (400..500).contains(status)), "{headers}: {answer}");
    }
    for size in ["FFFFFFFFFFFFFFFFF", "-5", "zz", "0x5", "5;", " 5", "5 5", "7fffffffffffffff"] {
        let body = format!("{size}\r\n{hidden}\r\n0\r\n\r\n");
        let answer = exchange(address, &request(&token, "Transfer-Encoding: chunked\r\n", &body)).await;
        assert!(statuses(&answer).iter().all(|status| (400..500).contains(status)), "{size}: {answer}");
    }
    assert_unharmed(&service, 0).await;
    service.stop().await;
}

#[actix_web::test]
async fn header_values_that_are_no_text_are_no_token_and_no_key() {
    let service = Service::start("header_bytes").await;
    let address = service.application.address;
    let send = async |headers: &[u8]| {
        let head = b"POST /api/v1/ingest/events HTTP/1.1\r\nHost: test\r\nConnection: close\r\n";
        let length = format!("Content-Length: {}\r\n\r\n{JUMP}", JUMP.len());
        statuses(&exchange(address, &[head, headers, length.as_bytes()].concat()).await)
    };
    let huge = [b"X-Server-Token: ", &[b'a'; 60_000][..], b"\r\n"].concat();
    for headers in [
        &b"X-Server-Token: \xff\xfe\xc3\x28\r\n"[..],
        b"X-Server-Token: mohaa_s_\xc3\xa9\r\n",
        b"Authorization: Bearer \xf0\x9f\x98\r\n",
        b"Authorization: Bearer\r\n",
        b"X-Server-Token: ' OR 1=1 --\r\n",
        &huge,
    ] {
        assert_eq!(
            send(headers).await,
            [401],
            "{:?}",
            String::from_utf8_lossy(&headers[..headers.len().min(99)])
        );
    }
    assert_eq!(send(b"X-Server-Token: a\0b\r\n").await, [400]);
    let token = format!("X-Server-Token: {}\r\n", service.client.token);
    for header in [
        &b"Idempotency-Key: \xff\r\n"[..],
        b"Idempotency-Key: a b\r\n",
        b"Idempotency-Key: ../../x\r\n",
        b"Idempotency-Key: \r\n",
    ] {
        assert_eq!(send(&[token.as_bytes(), header].concat()).await, [422]);
    }
    for header in [&b"Content-Encoding: \xff\r\n"[..], b"Content-Encoding: gzip, gzip\r\n"] {
        assert_eq!(send(&[token.as_bytes(), header].concat()).await, [415]);
    }
    let odd = b"X-Request-Id: \x1b[31m\r\nContent-Type: \xff/\xff; charset=\"\r\nAccept-Encoding: \xff\r\nCookie: \xff=\xff\r\n";
    let with_text =
        b"X-Request-Id: [31m<script>\r\nAccept-Language: \xff\r\nCookie: \xff=\xff\r\nOrigin: null\r\n";
    assert_eq!(send(&[token.as_bytes(), odd].concat()).await, [400], "ESC is not for headers");
    assert_eq!(send(&[token.as_bytes(), with_text].concat()).await, [202]);
    assert_unharmed(&service, 1).await;
    service.stop().await;
}

/// A chunked body of two chunks.
fn chunks(text: &str) -> String {
    let (left, right) = text.split_at(text.len() / 2);
    format!("{:x}\r\n{left}\r\n{:x}\r\n{right}\r\n0\r\n\r\n", left.len(), right.len())
}
