//! Addresses, filters and forms that want more than to ask.

use super::names::{NAMES, assert_page_is_harmless};
use super::{JUMP, assert_unharmed, encoded, exchange, statuses};
use crate::support::Service;

/// As they stand in an address.
const RAW: [&str; 24] = [
    "%00",
    "%0d%0aX:%20y",
    "%ff%fe",
    "%",
    "%zz",
    "%2e%2e%2f%2e%2e%2fetc%2fpasswd",
    "..%2f..%2f",
    "....//....//",
    "%252e%252e",
    "%c0%ae%c0%ae",
    "9223372036854775808",
    "-1",
    "1e999",
    "NaN",
    "00000000-0000-0000-0000-000000000000",
    "ffffffff-ffff-ffff-ffff-ffffffffffff",
    "0000-00-00",
    "9999-12-31",
    "-9999-01-01",
    "292278994-08-17",
    "2026-11-25T00%3a00%3a00Z",
    "'%20OR%201=1",
    "%3Cscript%3Ealert(1)%3C/script%3E",
    "{p:String}",
];

const QUERIES: [&str; 16] = [
    "filter[map]=",
    "filter[server]=",
    "filter[gametype]=",
    "filter[weapon]=",
    "filter[team]=",
    "filter[from]=",
    "filter[to]=",
    "filter[player]=",
    "filter[bots]=",
    "page=",
    "limit=",
    "stat=",
    "period=",
    "filter[from]=2026-01-01&filter[to]=",
    "filter[map]=a&filter[map]=",
    "unknown=",
];

const ASKED: [&str; 6] = [
    "/api/v1/stats/leaderboard",
    "/api/v1/stats/matches",
    "/api/v1/stats/player/4711",
    "/api/v1/stats/live/matches",
    "/leaderboard",
    "/matches",
];

const NAMED: [&str; 9] = [
    "/api/v1/stats/player/",
    "/api/v1/stats/match/",
    "/api/v1/stats/leaderboard/map/",
    "/api/v1/stats/leaderboard/weapon/",
    "/players/",
    "/matches/",
    "/login/link/",
    "/static/",
    "/",
];

#[actix_web::test]
async fn no_address_and_no_filter_makes_an_answer_fail_or_a_page_harmful() {
    let service = Service::start("questions").await;
    service
        .client
        .send(r#"[{"type":"kill","attacker_guid":"4711","victim_guid":"4712"}]"#)
        .await
        .assert_batch(202, 1, &[]);
    service.client.settled().await;
    let long = "a".repeat(8_000);
    let brackets = format!("{}{}", "%5B".repeat(1_000), "%5D".repeat(1_000));
    let texts: Vec<String> = RAW
        .into_iter()
        .map(str::to_owned)
        .chain(NAMES.into_iter().map(encoded))
        .chain([long, brackets])
        .collect();
    let mut paths: Vec<String> =
        NAMED.iter().flat_map(|path| texts.iter().map(move |text| format!("{path}{text}"))).collect();
    for path in ASKED {
        for query in QUERIES {
            paths.extend(texts.iter().map(|text| format!("{path}?{query}{text}")));
        }
        paths.extend(texts.iter().map(|text| format!("{path}?filter[{text}]=1")));
        paths.extend(texts.iter().map(|text| format!("{path}?{text}={text}")));
        paths.push(format!("{path}?{}", "filter[a]".repeat(500)));
        paths.push(format!("{path}?filter{}=1", "[a]".repeat(1_000)));
        paths.push(format!("{path}?{}", "a=b&".repeat(2_000)));
        paths.push(format!("{path}?page=4294967295&limit=100"));
    }
    for path in paths {
        let address = service.application.address;
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: test\r\nAccept-Encoding: identity\r\nConnection: close\r\n\r\n"
        );
        let answer = exchange(address, request.as_bytes()).await;
        let statuses = statuses(&answer);
        assert!(matches!(statuses[..], [200..500]), "{path}: {answer:.2000}");
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_default();
        let head = head.to_ascii_lowercase();
        assert!(!head.contains("\r\nx: y"), "{path}: {head}");
        if head.contains("content-type: application/json") {
            assert!(
                serde_json::from_str::<serde_json::Value>(&unchunked(&head, body)).is_ok(),
                "{path}: {body}"
            );
        } else if head.contains("content-type: text/html") {
            assert_page_is_harmless(&path, &unchunked(&head, body));
        }
    }
    assert_unharmed(&service, 1).await;
    service.stop().await;
}

#[actix_web::test]
async fn methods_and_targets_that_nobody_expects_are_refused() {
    let service = Service::start("methods").await;
    let address = service.application.address;
    let token = &service.client.token;
    for line in [
        "TRACE / HTTP/1.1",
        "CONNECT example.com:443 HTTP/1.1",
        "OPTIONS * HTTP/1.1",
        "BREW / HTTP/1.1",
        "PUT /api/v1/ingest/events HTTP/1.1",
        "DELETE /api/v1/ingest/events HTTP/1.1",
        "GET http://example.com/api/v1/ingest/events HTTP/1.1",
        "GET //example.com/%2e%2e/ HTTP/1.1",
        "GET /\u{202e} HTTP/1.1",
        "GET / HTTP/0.9",
        "GET /",
        "\u{1b}[31mGET / HTTP/1.1",
    ] {
        let request = format!(
            "{line}\r\nHost: test\r\nConnection: close\r\nX-Server-Token: {token}\r\nContent-Length: 0\r\n\r\n"
        );
        let answer = exchange(address, request.as_bytes()).await;
        assert!(statuses(&answer).iter().all(|status| *status < 500), "{line}: {answer}");
    }
    service.client.send(JUMP).await.assert_batch(202, 1, &[]);
    assert_unharmed(&service, 1).await;
    service.stop().await;
}

/// A body without the frames of its chunks.
fn unchunked(head: &str, body: &str) -> String {
    if !head.contains("transfer-encoding: chunked") {
        return body.to_owned();
    }
    let mut whole = String::new();
    let mut rest = body;
    while let Some((size, following)) = rest.split_once("\r\n") {
        let size = usize::from_str_radix(size, 16).unwrap();
        let Some((chunk, behind)) = following.split_at_checked(size) else { break };
        whole.push_str(chunk);
        rest = behind.strip_prefix("\r\n").unwrap_or_default();
    }
    whole
}
