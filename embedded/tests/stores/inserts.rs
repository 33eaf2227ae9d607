//! Inserts: as the `clickhouse` crate sends them, cut short, repeated.

use clickhouse::Compression;
use tokio::io::AsyncWriteExt as _;

use crate::http::{Address, fresh, read_answer};

#[derive(clickhouse::Row, serde::Serialize, serde::Deserialize, PartialEq, Debug, Clone)]
struct Event {
    id: u64,
    text: String,
}

fn events(count: u64) -> Vec<Event> {
    // Blank lines and quotes: what text formats stumble over.
    (0..count).map(|id| Event { id, text: format!("event {id}\n\n'\\\"\0 FORMAT CSV;") }).collect()
}

async fn with_table(name: &str) -> Address {
    let address = fresh(name).await;
    address
        .sql(
            "CREATE TABLE events (id UInt64, text String) ENGINE = MergeTree ORDER BY id \
             SETTINGS non_replicated_deduplication_window = 100",
        )
        .await;
    address
}

async fn insert(client: &clickhouse::Client, rows: &[Event]) -> clickhouse::error::Result<()> {
    let mut insert = client.insert::<Event>("events").await?;
    for row in rows {
        insert.write(row).await?;
    }
    insert.end().await
}

/// Waits until the gateway knows a request of this id, or no longer does.
async fn until_known(address: &Address, query_id: &str, known: bool) {
    let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(20);
    let test = format!("KILL QUERY WHERE query_id = '{query_id}' TEST");
    while address.sql(&test).await.is_empty() == known {
        assert!(tokio::time::Instant::now() < deadline, "{query_id} known: expected {known}");
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn typed_inserts_store_every_byte_with_and_without_compression() {
    let address = with_table("typed_insert").await;
    let rows = events(20_000);
    for compression in [Compression::None, Compression::Lz4] {
        address.sql("TRUNCATE TABLE events").await;
        let client = address.client().with_compression(compression);
        insert(&client, &rows).await.unwrap();
        let stored: Vec<Event> =
            client.query("SELECT id, text FROM events ORDER BY id").fetch_all().await.unwrap();
        assert!(stored == rows, "{compression:?}");
    }
}

#[tokio::test]
async fn pre_encoded_row_binary_is_inserted() {
    let address = with_table("formatted").await;
    let mut body = Vec::new();
    for id in 0..50_000_u64 {
        body.extend_from_slice(&id.to_le_bytes());
        body.push(2);
        body.extend_from_slice(b"\n\n");
    }
    let mut insert = address.client().insert_formatted_with("INSERT INTO events (id, text) FORMAT RowBinary");
    insert.send(body.into()).await.unwrap();
    insert.end().await.unwrap();
    assert_eq!(
        address.sql("SELECT count(), sum(id), any(length(text)) FROM events").await,
        "50000\t1249975000\t2"
    );
}

#[tokio::test]
async fn a_repeated_token_stores_once_and_also_behind_a_view() {
    let address = with_table("token").await;
    address
        .sql(
            "CREATE TABLE daily (bucket UInt64, events UInt64) ENGINE = SummingMergeTree ORDER BY bucket \
             SETTINGS non_replicated_deduplication_window = 100",
        )
        .await;
    address
        .sql(
            "CREATE MATERIALIZED VIEW daily_view TO daily AS \
             SELECT id % 10 AS bucket, count() AS events FROM events GROUP BY bucket",
        )
        .await;
    let client = address
        .client()
        .with_setting("async_insert", "0")
        .with_setting("deduplicate_blocks_in_dependent_materialized_views", "1");
    let count = "SELECT (SELECT count() FROM events), (SELECT sum(events) FROM daily)";
    for _ in 0..3 {
        let client = client.clone().with_setting("insert_deduplication_token", "batch 1");
        insert(&client, &events(1_000)).await.unwrap();
        assert_eq!(address.sql(count).await, "1000\t1000");
    }
    insert(&client.with_setting("insert_deduplication_token", "batch 2"), &events(1_000)).await.unwrap();
    assert_eq!(address.sql(count).await, "2000\t2000");
}

#[tokio::test]
async fn a_client_that_leaves_in_the_middle_of_a_body_stores_nothing() {
    let address = with_table("cut").await;
    let query = "&query=INSERT+INTO+events+FORMAT+CSV&query_id=cut";
    let mut stream = address.connect().await;
    let head = address.head("POST", query, "Transfer-Encoding: chunked\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(b"4\r\n1,a\n\r\n").await.unwrap();
    stream.flush().await.unwrap();
    until_known(&address, "cut", true).await;
    drop(stream);
    until_known(&address, "cut", false).await;
    assert_eq!(address.sql("SELECT count() FROM events").await, "0");
}

#[tokio::test]
async fn a_killed_insert_whose_body_is_on_its_way_never_runs() {
    let address = with_table("kill_body").await;
    let query = "&query=INSERT+INTO+events+FORMAT+CSV&query_id=slow";
    let mut stream = address.connect().await;
    let head = address.head("POST", query, "Content-Length: 8\r\n");
    stream.write_all(&[head.as_bytes(), b"1,a\n"].concat()).await.unwrap();
    until_known(&address, "slow", true).await;
    // ASYNC: with SYNC the kill would wait for the request, which here waits for the kill.
    address.sql("KILL QUERY WHERE query_id = 'slow' ASYNC").await;
    stream.write_all(b"2,b\n").await.unwrap();
    let answer = read_answer(&mut stream).await;
    assert_eq!(answer.header("X-ClickHouse-Exception-Code"), Some("394"), "{}", answer.body);
    assert_eq!(address.sql("SELECT count() FROM events").await, "0");
}

#[tokio::test]
async fn a_client_that_leaves_after_its_body_is_served_to_the_end() {
    let address = with_table("left").await;
    let rows = "1,a\n".repeat(200_000);
    let query = "&query=INSERT+INTO+events+FORMAT+CSV";
    let head = address.head("POST", query, &format!("Content-Length: {}\r\n", rows.len()));
    let mut stream = address.connect().await;
    stream.write_all(&[head.as_bytes(), rows.as_bytes()].concat()).await.unwrap();
    // Half-closed: every byte is on its way before the connection goes.
    stream.shutdown().await.unwrap();
    drop(stream);
    let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(20);
    while address.sql("SELECT count() FROM events").await != "200000" {
        assert!(tokio::time::Instant::now() < deadline, "the rows of a complete request are missing");
    }
}

#[tokio::test]
async fn broken_bodies_store_nothing_and_say_why() {
    let address = with_table("broken").await;
    let query = "&query=INSERT+INTO+events+FORMAT+CSV";
    let bad_row = address.post(query, b"1,a\nx,b\n").await;
    assert_eq!(bad_row.status, 400, "{}", bad_row.body);
    let not_framed = address.post(&format!("{query}&decompress=1"), &[7; 64]).await;
    assert_eq!(not_framed.header("X-ClickHouse-Exception-Code"), Some("271"), "{}", not_framed.body);
    let wrong_table = address.post("&query=INSERT+INTO+missing+FORMAT+CSV", b"1\n").await;
    assert_eq!(wrong_table.header("X-ClickHouse-Exception-Code"), Some("60"), "{}", wrong_table.body);
    assert_eq!(address.sql("SELECT count() FROM events").await, "0");
}

#[tokio::test]
async fn rows_in_the_statements_text_are_kept_apart_from_it() {
    let address = with_table("inline").await;
    address.sql("INSERT INTO events VALUES (1, 'a\n\nb; c'), (2, 'it''s')").await;
    address.sql("INSERT INTO events (id, text) FORMAT JSONEachRow {\"id\": 3, \"text\": \"x\"}\n\n{\"id\": 4, \"text\": \"y\"}").await;
    address.sql("INSERT INTO events SELECT 5, 'z'").await;
    assert_eq!(address.sql("SELECT count(), max(id) FROM events").await, "5\t5");
    assert_eq!(address.sql("SELECT text FROM events WHERE id = 1 FORMAT TSV").await, "a\\n\\nb; c");
}
