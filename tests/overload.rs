//! More events than the service can take at the moment: who is refused, how, and that nobody else loses anything.

use std::sync::Arc;

use serde_json::json;

use mohaa_faults::cuttable::CuttableProxy;
use mohaa_spool::testing::FakeStorage;
use mohaa_stats::startup::Surroundings;

use crate::support::{Reply, Service, ServiceClient, eventually, schemas};

fn jumps(names: &[String]) -> String {
    json!(names.iter().map(|name| json!({"type": "jump", "player_name": name})).collect::<Vec<_>>())
        .to_string()
}

fn post(client: &ServiceClient, names: &[String]) -> tokio::task::JoinHandle<Reply> {
    let (client, body) = (client.clone(), jumps(names));
    tokio::task::spawn_local(async move { client.send(body).await })
}

async fn depth_becomes(service: &Service, depth: u64) {
    eventually(&format!("{depth} events wait"), async || {
        let ready = service.client.get("/ready").await;
        (ready.json()["queue_depth"] == depth).then_some(())
    })
    .await;
}

async fn assert_stored(service: &Service, mut expected: Vec<String>) {
    service.client.settled().await;
    let rows = service.warehouse.rows("SELECT player_name FROM raw_events ORDER BY player_name").await;
    let stored: Vec<&str> = rows.iter().map(|row| row["player_name"].as_str().unwrap()).collect();
    expected.sort();
    assert_eq!(stored.len(), expected.len());
    assert_eq!(stored, expected);
}

#[actix_web::test]
async fn a_full_mailbox_refuses_the_next_event_and_loses_none_of_those_it_holds() {
    let disk = FakeStorage::new();
    let surroundings = Surroundings { storage: Arc::new(disk.clone()), ..Surroundings::default() };
    let settings = [("WORKER_QUEUE_SIZE", "10"), ("SPOOL_FSYNC", "never")];
    let service = Service::start_with("mailbox", &settings, surroundings).await;
    let name = |number: u32| format!("jumper-{number:03}");
    // To an empty mailbox a request is admitted whatever its size.
    let large: Vec<String> = (100..125).map(name).collect();
    service.client.send(jumps(&large)).await.assert_batch(202, 25, &[]);
    depth_becomes(&service, 0).await;

    disk.stall();
    let mut waiting = Vec::new();
    for number in 0..9 {
        waiting.push(post(&service.client, &[name(number)]));
    }
    depth_becomes(&service, 9).await;
    service.client.send(jumps(&[name(200), name(201)])).await.assert_refused(429, "mailbox_full");
    waiting.push(post(&service.client, &[name(9)]));
    depth_becomes(&service, 10).await;
    for _ in 0..3 {
        service.client.send(jumps(&[name(202)])).await.assert_refused(429, "mailbox_full");
    }
    let metrics = service.client.metrics().await;
    assert_eq!(metrics.value("mohaa_worker_queue_depth"), 10.0);
    assert_eq!(metrics.value("mohaa_events_load_shed_total"), 5.0);
    assert_eq!(metrics.series(r#"mohaa_events_rejected_total{reason="mailbox_full"}"#), 5.0);
    assert_eq!(metrics.series(r#"mohaa_mailbox_capacity{actor="batcher"}"#), 10.0);
    // Whoever hangs up before the answer has sent his events all the same.
    waiting[3].abort();

    disk.release();
    for (number, answer) in waiting.into_iter().enumerate() {
        if number != 3 {
            answer.await.unwrap().assert_batch(202, 1, &[]);
        }
    }
    depth_becomes(&service, 0).await;
    service.client.send(jumps(&[name(300)])).await.assert_batch(202, 1, &[]);
    let mut expected: Vec<String> = (0..10).chain([300]).map(name).collect();
    expected.extend(large);
    assert_stored(&service, expected).await;
    service.stop().await;
}

#[actix_web::test]
async fn a_disk_that_takes_nothing_is_503_and_what_was_answered_503_is_not_stored() {
    let disk = FakeStorage::new();
    let surroundings = Surroundings { storage: Arc::new(disk.clone()), ..Surroundings::default() };
    let service = Service::start_with("full_disk", &[], surroundings).await;
    service.client.send(jumps(&["before".to_owned()])).await.assert_batch(202, 1, &[]);
    disk.fail_writes_after(0, std::io::ErrorKind::StorageFull);
    for number in 0..3 {
        let reply = service.client.send(jumps(&[format!("refused-{number}")])).await;
        reply.assert_refused(503, "spool_failed");
    }
    disk.heal();
    service.client.send(jumps(&["after".to_owned()])).await.assert_batch(202, 1, &[]);
    assert_stored(&service, vec!["after".to_owned(), "before".to_owned()]).await;
    service.stop().await;
}

#[actix_web::test]
async fn a_failed_fsync_ends_acknowledgement_and_readiness() {
    let disk = FakeStorage::new();
    let surroundings = Surroundings { storage: Arc::new(disk.clone()), ..Surroundings::default() };
    let service = Service::start_with("fsync", &[("SPOOL_FSYNC", "always")], surroundings).await;
    service.client.send(jumps(&["before".to_owned()])).await.assert_batch(202, 1, &[]);
    service.client.settled().await;
    disk.fail_syncs(std::io::ErrorKind::Other);
    service.client.send(jumps(&["refused".to_owned()])).await.assert_refused(503, "spool_failed");
    let ready = service.client.get("/ready").await;
    assert_eq!(ready.status.as_u16(), 503);
    assert_eq!(ready.json()["checks"]["spool"]["problem"], "can't write");
    disk.heal();
    // A second fsync that succeeds would prove nothing.
    service.client.send(jumps(&["still refused".to_owned()])).await.assert_refused(503, "spool_failed");
    assert_eq!(service.client.get("/").await.status.as_u16(), 200, "pages don't need the disk");
    assert_stored(&service, vec!["before".to_owned()]).await;
    service.stop().await;
}

#[actix_web::test]
async fn without_clickhouse_events_are_taken_until_the_spool_is_full_and_all_arrive_later() {
    let urls = schemas::database("spool_full").await;
    let address = url::Url::parse(&urls.clickhouse_url).unwrap();
    let proxy = CuttableProxy::start(format!("127.0.0.1:{}", address.port().unwrap())).await.unwrap();
    let through_proxy = proxy.in_front_of(&urls.clickhouse_url).unwrap();
    let settings = [
        ("CLICKHOUSE_URL", through_proxy.as_str()),
        ("SPOOL_MAX_BYTES", "1MiB"),
        ("WORKER_BATCH_MAX", "5000"),
    ];
    let service = Service::start_on(&urls, &settings, Surroundings::default()).await;
    service.client.send(jumps(&["first".to_owned()])).await.assert_batch(202, 1, &[]);
    service.client.settled().await;
    proxy.cut().await;

    let mut accepted = vec!["first".to_owned()];
    let mut number = 0;
    let refusal = loop {
        let names: Vec<String> = (0..50).map(|index| format!("{number:04}-{index:02}")).collect();
        let reply = service.client.send(jumps(&names)).await;
        if reply.status.as_u16() != 202 {
            break reply;
        }
        accepted.extend(names);
        number += 1;
        assert!(number < 1_000, "the spool takes more than it may");
    };
    refusal.assert_refused(429, "spool_full");
    assert!(accepted.len() > 1_000, "a spool of a megabyte holds more than {} events", accepted.len());
    let ready = service.client.get("/ready").await;
    assert_eq!(ready.status.as_u16(), 503, "{}", ready.text);
    assert_eq!(
        (&ready.json()["ready"], &ready.json()["checks"]["spool"]["ok"]),
        (&false.into(), &false.into())
    );
    let metrics = service.client.metrics().await;
    assert!(
        metrics.value("mohaa_spool_bytes") <= f64::from(1 << 20),
        "{}",
        metrics.value("mohaa_spool_bytes")
    );
    assert_eq!(metrics.value("mohaa_events_in_flight"), accepted.len() as f64 - 1.0);
    assert_eq!(metrics.missing_events(), 0.0);

    proxy.mend().await.unwrap();
    eventually("it is ready again", async || {
        (service.client.get("/ready").await.status.as_u16() == 200).then_some(())
    })
    .await;
    service.client.send(jumps(&["last".to_owned()])).await.assert_batch(202, 1, &[]);
    accepted.push("last".to_owned());
    assert_stored(&service, accepted).await;
    let metrics = service.client.metrics().await;
    assert_eq!(metrics.series(r#"mohaa_events_rejected_total{reason="spool_full"}"#), 50.0);
    assert_eq!(metrics.value("mohaa_dead_letters"), 0.0);
    service.warehouse.assert_rollups_agree().await;
    service.stop().await;
}
