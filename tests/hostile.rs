//! Input that is meant to harm: nobody else notices, nothing is lost or counted twice, and no answer is a 5xx.

mod bodies;
mod bombs;
mod connections;
mod names;
mod numbers;
mod questions;

use std::net::SocketAddr;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::{PATIENCE, Service, ServiceClient};

pub const EVENTS: &str = "/api/v1/ingest/events";
pub const JUMP: &str = r#"[{"type":"jump","player_name":"A"}]"#;

/// What has to hold whatever came in: `accepted` events are stored, each once; the books balance; no actor had to be
/// started again; no request was answered with a 5xx.
pub async fn assert_unharmed(service: &Service, accepted: u64) {
    assert_books_balance(&service.client).await;
    let rows = "FROM raw_events";
    assert_eq!(service.warehouse.count(&format!("SELECT count() {rows}")).await, accepted);
    let named = format!("SELECT uniqExact(spool_seq, spool_index) {rows}");
    assert_eq!(service.warehouse.count(&named).await, accepted, "an event is stored twice");
}

pub async fn assert_books_balance(client: &ServiceClient) {
    let metrics = client.settled().await;
    assert_eq!(metrics.value("mohaa_events_unaccounted_total"), 0.0);
    assert_eq!(metrics.value("mohaa_actor_restarts_total"), 0.0);
    assert_eq!(metrics.value("mohaa_dead_letters"), 0.0);
    let failed: Vec<String> = client
        .get("/metrics")
        .await
        .text
        .lines()
        .filter(|line| line.starts_with("mohaa_http_requests_total") && line.contains("status=\"5"))
        .map(str::to_owned)
        .collect();
    assert!(failed.is_empty(), "{failed:#?}");
}

/// Sends bytes as they are, ends the sending half, and gives all that is answered before the connection closes.
pub async fn exchange(address: SocketAddr, request: &[u8]) -> String {
    let mut connection = TcpStream::connect(address).await.unwrap();
    // The service may have answered and closed before it read everything.
    let _ = connection.write_all(request).await;
    let _ = connection.shutdown().await;
    rest_of(&mut connection).await
}

/// All that comes until the connection closes.
pub async fn rest_of(connection: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    let mut part = [0; 16 << 10];
    loop {
        let read = tokio::time::timeout(PATIENCE, connection.read(&mut part)).await;
        match read.expect("the service ends the connection") {
            // A reset after the answer: what was sent behind it was not read.
            Ok(0) | Err(_) => return String::from_utf8_lossy(&answer).into_owned(),
            Ok(bytes) => answer.extend_from_slice(&part[..bytes]),
        }
    }
}

/// Statuses of the answers on one connection, in order.
pub fn statuses(answers: &str) -> Vec<u16> {
    answers
        .split("HTTP/1.1 ")
        .skip(1)
        .map(|answer| answer.split([' ', '\r']).next().unwrap().parse().unwrap())
        .collect()
}

/// A request for events with these headers, each with its line end, and this body, however little they fit.
pub fn request(token: &str, headers: &str, body: &str) -> Vec<u8> {
    format!("POST {EVENTS} HTTP/1.1\r\nHost: test\r\nX-Server-Token: {token}\r\n{headers}\r\n{body}")
        .into_bytes()
}

/// One segment of a path, or one value of a query.
pub fn encoded(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}
