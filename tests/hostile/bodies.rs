//! Bodies that are deep, wide or torn.

use mohaa_stats::startup::Surroundings;

use super::{EVENTS, JUMP, assert_unharmed};
use crate::support::Service;

const DEEP: usize = 100_000;
const WIDE: usize = 1_000_000;

#[actix_web::test]
async fn nesting_of_any_depth_costs_no_more_than_its_own_event() {
    let service = Service::start("deep").await;
    let (arrays, closing) = ("[".repeat(DEEP), "]".repeat(DEEP));
    let (objects, ends) = (r#"{"a":"#.repeat(DEEP), "}".repeat(DEEP));
    let neighbour = r#"{"type":"jump","player_name":"neighbour"}"#;
    let mut accepted = 0;
    for value in [
        format!("{arrays}{closing}"),
        format!("{objects}1{ends}"),
        arrays.clone(),
        objects.clone(),
        format!("{arrays}}}{objects}"),
        format!("{}{}", "[{\"a\":".repeat(DEEP / 2), "}]".repeat(DEEP / 2)),
    ] {
        for field in ["deep", "player", "timestamp", "type", "message", "server_token"] {
            let body = format!(r#"[{neighbour},{{"type":"jump","{field}":{value}}},{neighbour}]"#);
            let reply = service.client.send(body).await;
            assert_eq!(reply.status.as_u16(), 202, "{field}: {}", reply.text);
            accepted += reply.json()["processed"].as_u64().unwrap();
        }
    }
    // Nothing but depth: no event in it, or those that a reader who is not strict finds.
    for body in [arrays.clone(), objects.clone(), format!("{arrays}{closing}"), format!("{objects}1{ends}")] {
        let reply = service.client.send(body).await;
        assert_eq!(reply.status.as_u16(), 400, "{}", reply.text);
    }
    let deep = "SELECT count() FROM raw_events WHERE player_name = ''";
    assert_unharmed(&service, accepted).await;
    assert_eq!(
        service.warehouse.count("SELECT count() FROM raw_events WHERE player_name = 'neighbour'").await
            + service.warehouse.count(deep).await,
        accepted
    );
    service.stop().await;
}

#[actix_web::test]
async fn an_object_of_a_million_keys_is_refused_by_its_size_or_stored() {
    let keys: String = (0..WIDE).map(|number| format!("\"k{number}\":{number},")).collect();
    let wide = format!(r#"[{{"type":"jump",{keys}"player_name":"wide"}}]"#);
    let repeated = format!(r#"[{{"type":"jump",{}"player_name":"wide"}}]"#, r#""k":1,"#.repeat(WIDE));
    let known =
        format!(r#"[{{{}"type":"jump","player_name":"wide"}}]"#, r#""victim_name":"v","#.repeat(WIDE / 2));
    let blocks = format!(
        r#"[{{"type":"kill","player":{{{}"name":"wide"}}}}]"#,
        r#""name":"n","guid":"g","#.repeat(WIDE / 4)
    );
    let form = format!("type=jump&{}player_name=wide", "k=v&".repeat(WIDE));

    let service = Service::start("wide").await;
    for body in [&wide, &repeated, &known, &blocks, &form] {
        assert!(body.len() > 1 << 20);
        service.client.send(body.as_str()).await.assert_refused(413, "body_too_large");
    }
    // As wide as the limit lets it be; what is missing at the end is no more than brackets.
    let cut = wide[..1 << 20].rfind(',').unwrap();
    service.client.send(&wide[..cut]).await.assert_batch(202, 1, &[]);
    assert_unharmed(&service, 1).await;
    service.stop().await;

    let service =
        Service::start_with("wider", &[("INGEST_MAX_BODY", "32MiB")], Surroundings::default()).await;
    for body in [&wide, &repeated, &known, &blocks, &form] {
        service.client.send(body.as_str()).await.assert_batch(202, 1, &[]);
    }
    assert_unharmed(&service, 5).await;
    let of_all = "SELECT count() FROM raw_events WHERE player_name = 'wide'";
    assert_eq!(service.warehouse.count(of_all).await, 5);
    service.stop().await;
}

#[actix_web::test]
async fn what_grows_beyond_a_record_of_the_spool_is_413_and_not_a_failure() {
    // Each control character is written with six in JSON.
    let text = "\u{1}".repeat(14 << 20);
    let body = format!(r#"[{{"type":"jump","note":"{text}"}}]"#);
    let service =
        Service::start_with("grown", &[("INGEST_MAX_BODY", "32MiB")], Surroundings::default()).await;
    service.client.send(body).await.assert_refused(413, "body_too_large");
    service.client.send(JUMP).await.assert_batch(202, 1, &[]);
    assert_unharmed(&service, 1).await;
    service.stop().await;
}

#[actix_web::test]
async fn bytes_without_any_meaning_are_400_or_cost_themselves() {
    let service = Service::start("noise").await;
    // A generator of its own, so that every run sends the same (Knuth's MMIX constants).
    let mut state = 1_u64;
    let mut noise = |length: usize| -> Vec<u8> {
        (0..length)
            .map(|_| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                (state >> 56) as u8
            })
            .collect()
    };
    let mut accepted = 0;
    let token = service.client.token.clone();
    for round in 0..60 {
        let mut body = noise(200 + round * 50);
        if round % 2 == 0 {
            body.splice(0..0, *b"[{\"type\":\"jump\"},{");
        }
        let reply = service.client.post(EVENTS, &[("X-Server-Token", &token)], body).await.unwrap();
        assert!(matches!(reply.status.as_u16(), 202 | 400), "{} {}", reply.status, reply.text);
        accepted += reply.json()["processed"].as_u64().unwrap();
    }
    assert!(accepted >= 30, "the event before the noise is read");
    assert_unharmed(&service, accepted).await;
    service.stop().await;
}
