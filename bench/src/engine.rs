//! The same rows straight into the service's own ClickHouse: a second database with the same schema and views.

use std::net::{SocketAddr, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use hyper::Request;
use mohaa_domain::event::Millis;
use mohaa_domain::row;
use mohaa_domain::tracker::{EventWindow, Trackers};
use mohaa_domain::wire::{self, Limits};
use mohaa_hot::traffic::ServerTraffic;
use tokio::task::JoinSet;
use url::Url;
use url::form_urlencoded::Serializer;
use uuid::Uuid;

use crate::connection::Connection;
use crate::error::BenchError;
use crate::service::WRITERS;

/// Bare inserts go there.
const DATABASE: &str = "bare";
/// What an insert of JSON pins. Bodies come again and again, which the engine must not take for repetitions.
const JSON_SETTINGS: [(&str, &str); 3] =
    [("insert_deduplicate", "0"), ("async_insert_deduplicate", "0"), ("wait_end_of_query", "1")];
/// What the service pins at each insert, as far as it changes the cost.
pub(crate) const INSERT_SETTINGS: [(&str, &str); 10] = [
    ("async_insert", "0"),
    ("insert_deduplicate", "1"),
    ("deduplicate_blocks_in_dependent_materialized_views", "1"),
    ("max_insert_block_size", "1048576"),
    ("min_insert_block_size_rows", "1048576"),
    ("min_insert_block_size_bytes", "268435456"),
    ("max_insert_threads", "1"),
    ("parallel_view_processing", "0"),
    ("optimize_on_insert", "1"),
    ("wait_end_of_query", "1"),
];
const MERGES_PATIENCE: Duration = Duration::from_secs(5);
const MERGES_POLL: Duration = Duration::from_millis(200);

/// How the engine is reached.
#[derive(Clone)]
pub struct Engine {
    address: SocketAddr,
    user: String,
    password: String,
    schema: PathBuf,
    database: &'static str,
}

/// Encoded rows of every server's batches, in the order in which they would arrive.
pub struct Rows {
    bytes: Vec<u8>,
    /// Where each row ends.
    ends: Vec<usize>,
}

/// What bare inserts took.
#[derive(Clone, Copy, Debug)]
pub struct BareResult {
    pub rows: usize,
    pub inserts: usize,
    pub elapsed: Duration,
}

impl Rows {
    /// Decodes and stamps the batches as the service would, had they all arrived within seconds of `now`.
    ///
    /// # Errors
    /// When a body can't be read.
    pub fn of_traffic(servers: &[ServerTraffic], now: Millis) -> Result<Self, wire::DecodeError> {
        let mut trackers = Trackers::default();
        let window = EventWindow::default();
        let server_ids: Vec<Uuid> = servers.iter().map(|_| Uuid::new_v4()).collect();
        let mut rows = Rows { bytes: Vec::new(), ends: Vec::new() };
        let mut spool_seq = 0;
        let rounds = servers.iter().map(|server| server.batches.len()).max().unwrap_or(0);
        for round in 0..=rounds {
            for (server, &server_id) in servers.iter().zip(&server_ids) {
                let body = match round {
                    0 => Some(&server.prelude),
                    _ => server.batches.get(round - 1),
                };
                let Some(body) = body else { continue };
                spool_seq += 1;
                let received_at = Millis(now.0 + i64::try_from(spool_seq).unwrap_or(0) / 4);
                let decoded = wire::decode(body, Limits { max_events: usize::MAX })?;
                for (index, event) in decoded.events.iter().enumerate() {
                    let mut stamp = trackers.stamp(server_id, event, received_at, &window);
                    stamp.spool_seq = spool_seq;
                    stamp.spool_index = index as u32;
                    row::encode(event, &stamp, &mut rows.bytes);
                    rows.ends.push(rows.bytes.len());
                }
            }
        }
        Ok(rows)
    }

    pub fn count(&self) -> usize {
        self.ends.len()
    }

    /// The body of an insert of `count` rows from the place `first` on, beginning anew behind the last.
    fn body(&self, first: usize, count: usize, batch_id: Uuid) -> Bytes {
        let mut body = Vec::with_capacity(count * (self.bytes.len() / self.ends.len() + 17));
        for place in first..first + count {
            let place = place % self.ends.len();
            let start = if place == 0 { 0 } else { self.ends[place - 1] };
            row::encode_batch_id(batch_id, &mut body);
            body.extend_from_slice(&self.bytes[start..self.ends[place]]);
        }
        Bytes::from(body)
    }
}

impl Engine {
    /// Reads the address from the stores' list in `data_dir`; `schema` is the folder of the numbered files.
    pub fn of_data_dir(data_dir: &Path, schema: &Path) -> Result<Self, BenchError> {
        let path = data_dir.join("stores.env");
        let text = std::fs::read_to_string(&path)
            .map_err(|source| BenchError::File { path: path.clone(), source })?;
        let url = text.lines().find_map(|line| line.strip_prefix("CLICKHOUSE_URL="));
        let url = url.and_then(|url| Url::parse(url).ok());
        let reached = url.as_ref().and_then(|url| {
            let address = (url.host_str()?, url.port()?).to_socket_addrs().ok()?.next()?;
            Some(Engine {
                address,
                user: url.username().to_owned(),
                password: url.password().unwrap_or_default().to_owned(),
                schema: schema.to_owned(),
                database: DATABASE,
            })
        });
        reached.ok_or(BenchError::NoEngineUrl { path })
    }

    /// The same engine, in another database.
    pub fn in_database(&self, database: &'static str) -> Self {
        Self { database, ..self.clone() }
    }

    pub async fn connect(&self) -> Result<Connection, BenchError> {
        Connection::open(self.address).await
    }

    /// Makes the database anew.
    pub async fn prepare(&self) -> Result<(), BenchError> {
        let (mut connection, database) = (self.connect().await?, self.database);
        self.run(&mut connection, "default", &format!("DROP DATABASE IF EXISTS {database} SYNC")).await?;
        self.run(&mut connection, "default", &format!("CREATE DATABASE {database}")).await?;
        let in_schema = |source| BenchError::File { path: self.schema.clone(), source };
        let listing = std::fs::read_dir(&self.schema).and_then(Iterator::collect::<Result<Vec<_>, _>>);
        let mut files: Vec<PathBuf> = listing.map_err(in_schema)?.iter().map(|entry| entry.path()).collect();
        files.retain(|path| path.extension().is_some_and(|extension| extension == "sql"));
        files.sort();
        for path in files {
            let sql = std::fs::read_to_string(&path).map_err(|source| BenchError::File { path, source })?;
            let code: Vec<&str> = sql.lines().filter(|line| !line.trim_start().starts_with("--")).collect();
            for statement in code.join("\n").split(";\n") {
                let statement = statement.trim().trim_end_matches(';');
                if !statement.is_empty() {
                    self.run(&mut connection, database, statement).await?;
                }
            }
        }
        Ok(())
    }

    /// Inserts `count` rows in batches of `batch_rows` on as many connections as the service has writers.
    pub async fn insert(
        &self,
        rows: &Arc<Rows>,
        count: usize,
        batch_rows: usize,
    ) -> Result<BareResult, BenchError> {
        let inserts = count.div_ceil(batch_rows);
        let next = Arc::new(AtomicUsize::new(0));
        let began = Instant::now();
        let mut tasks = JoinSet::new();
        for _ in 0..WRITERS {
            let (engine, rows, next) = (self.clone(), rows.clone(), next.clone());
            tasks.spawn(async move {
                let mut connection = Connection::open(engine.address).await?;
                loop {
                    let first = next.fetch_add(1, Ordering::Relaxed) * batch_rows;
                    if first >= count {
                        return Ok::<(), BenchError>(());
                    }
                    let batch_id = Uuid::new_v4();
                    let body = rows.body(first, batch_rows.min(count - first), batch_id);
                    engine.insert_batch(&mut connection, batch_id, body).await?;
                }
            });
        }
        while let Some(ended) = tasks.join_next().await {
            ended??;
        }
        Ok(BareResult { rows: count, inserts, elapsed: began.elapsed() })
    }

    async fn insert_batch(
        &self,
        connection: &mut Connection,
        batch_id: Uuid,
        body: Bytes,
    ) -> Result<(), BenchError> {
        connection.send(self.signed(&insert_target(self.database, batch_id)), body).await?.success()?;
        Ok(())
    }

    /// Inserts rows of JSON, answered when they are stored. `gathers`: the engine may put them together with those of others.
    ///
    /// # Errors
    /// When it is refused.
    pub async fn insert_json(
        &self,
        connection: &mut Connection,
        rows: Bytes,
        gathers: bool,
    ) -> Result<(), BenchError> {
        let gathers = if gathers { "1" } else { "0" };
        let target = Serializer::new(String::from("/?"))
            .append_pair("database", self.database)
            .append_pair("query", "INSERT INTO raw_events FORMAT JSONEachRow")
            .append_pair("async_insert", gathers)
            .append_pair("wait_for_async_insert", gathers)
            .extend_pairs(JSON_SETTINGS)
            .finish();
        connection.send(self.signed(&target), rows).await?.success()?;
        Ok(())
    }

    /// Rows of the table as an insert of JSON would bring them.
    ///
    /// # Errors
    /// When they can't be read.
    pub async fn json_rows(
        &self,
        count: usize,
    ) -> Result<Vec<serde_json::Map<String, serde_json::Value>>, BenchError> {
        let sql = format!(
            "SELECT * EXCEPT (batch_id) FROM raw_events LIMIT {count} FORMAT JSONEachRow \
             SETTINGS output_format_json_quote_64bit_integers = 0"
        );
        let rows = self.run(&mut self.connect().await?, self.database, &sql).await?;
        let lines = rows.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        lines.map(|line| serde_json::from_slice(line).map_err(BenchError::from)).collect()
    }

    /// Rows of the table, and inserts that they came in.
    ///
    /// # Errors
    /// When the engine does not say.
    pub async fn rows_and_inserts(&self) -> Result<(u64, u64), BenchError> {
        let database = self.database;
        // The numbers of blocks grow by one with each insert into a partition, whatever is merged since.
        let sql = format!(
            "SELECT (SELECT count() FROM raw_events), (SELECT sum(blocks) FROM (SELECT max(max_block_number) AS blocks \
             FROM system.parts WHERE database = '{database}' AND table = 'raw_events' GROUP BY partition_id)) \
             FORMAT TabSeparated"
        );
        let answer = self.run(&mut self.connect().await?, database, &sql).await?;
        let text = String::from_utf8_lossy(&answer);
        let mut numbers = text.split_whitespace().map(|number| number.parse().unwrap_or_default());
        Ok((numbers.next().unwrap_or_default(), numbers.next().unwrap_or_default()))
    }

    /// Lets the merges run that were held back, and waits until none is left, for a while.
    pub async fn merge(&self) -> Result<(), BenchError> {
        let mut connection = Connection::open(self.address).await?;
        self.run(&mut connection, "default", "SYSTEM START MERGES").await?;
        let began = Instant::now();
        while began.elapsed() < MERGES_PATIENCE {
            tokio::time::sleep(MERGES_POLL).await;
            let merges = "SELECT count() FROM system.merges FORMAT TabSeparated";
            if self.run(&mut connection, "default", merges).await?.trim_ascii() == b"0" {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Holds merges back. They run when the engine pleases, so those of one side would fall into the other's time.
    pub async fn hold_merges(&self) -> Result<(), BenchError> {
        let mut connection = Connection::open(self.address).await?;
        self.run(&mut connection, "default", "SYSTEM STOP MERGES").await?;
        // Those under way are cancelled, which takes them a moment.
        tokio::time::sleep(MERGES_POLL).await;
        Ok(())
    }

    async fn run(&self, connection: &mut Connection, database: &str, sql: &str) -> Result<Bytes, BenchError> {
        let target = format!("/?database={database}&wait_end_of_query=1");
        connection.send(self.signed(&target), Bytes::copy_from_slice(sql.as_bytes())).await?.success()
    }

    fn signed(&self, target: &str) -> hyper::http::request::Builder {
        Request::post(target)
            .header("X-ClickHouse-User", &self.user)
            .header("X-ClickHouse-Key", &self.password)
    }
}

/// Path and query of an insert of whole rows.
fn insert_target(database: &str, batch_id: Uuid) -> String {
    let columns: Vec<&str> = row::COLUMNS.iter().map(|column| column.name).collect();
    let statement = format!("INSERT INTO raw_events (batch_id, {}) FORMAT RowBinary", columns.join(", "));
    Serializer::new(String::from("/?"))
        .append_pair("database", database)
        .append_pair("query", &statement)
        .append_pair("insert_deduplication_token", &batch_id.to_string())
        .extend_pairs(INSERT_SETTINGS)
        .finish()
}
