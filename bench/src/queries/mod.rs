//! What questions cost over much data: each answer's statements, rows and bytes that they read, and its time beside that
//! of the bare statements; then how fast warm answers come under load.
//!
//! The service runs on the stores of a seeded data directory, with a recording [`proxy`] in front of ClickHouse. Before
//! each question a new data version is left in Redis, as another node leaves one that has stored something, and the
//! moment is passed in which earlier answers still serve: so every statement of an answer goes to the engine. The bare
//! time is that of the very same requests sent again to the engine, one after the other on one connection; an answer
//! whose statements go at once on several cores may take less.

mod catalogue;
mod load;
mod proxy;
mod report;

pub(crate) use catalogue::{Known, openapi};
pub(crate) use load::{ACCEPT_ENCODING, part};

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use bytes::Bytes;
use hyper::{Request, StatusCode};
use serde::Deserialize;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::process::Command;
use url::Url;
use uuid::Uuid;

use self::catalogue::Question;
use self::proxy::{Asked, RecordingProxy};
pub use self::report::QueriesReport;
use self::report::{AnswerCost, Scale, StatementCost};
use crate::clickhouse::ClickHouse;
use crate::connection::Connection;
use crate::error::BenchError;
use crate::process::Program;
use crate::run::load_average;
use crate::stores::{self, Stores};

/// Longer than answers of the version before serve (0.5 s) and than names from PostgreSQL are kept (1 s).
const UNTIL_COLD: Duration = Duration::from_millis(1_200);
/// Protects nothing: the service listens on this machine for as long as it is measured.
const JWT_SECRET: &str = "5b0f6d1c9e3a4782b6c0d5e4f3a29187";

pub struct QueriesOptions {
    pub service: PathBuf,
    pub data_dirs: Vec<PathBuf>,
    /// Times that each answer is asked for cold.
    pub rounds: usize,
    /// Requests a second of the load.
    pub rate: u32,
    pub length: Duration,
}

/// Measures over each data directory in turn.
///
/// # Errors
/// When stores or service can't be started, or nothing is stored.
pub async fn measure(options: &QueriesOptions) -> Result<QueriesReport, BenchError> {
    let mut scales = Vec::new();
    for data_dir in &options.data_dirs {
        let stores = Stores::of_data_dir(data_dir).await?;
        let scale = over(options, data_dir, &stores).await;
        stores.stop().await;
        scales.push(scale?);
    }
    Ok(QueriesReport { scales })
}

async fn over(options: &QueriesOptions, data_dir: &Path, stores: &Stores) -> Result<Scale, BenchError> {
    stores::migrate(&options.service, data_dir).await?;
    let clickhouse = ClickHouse::of_url(&stores.urls.clickhouse_url)?;
    let events = stored_events(&clickhouse).await?;
    eprintln!("queries: {events} events in {}", data_dir.display());
    let known = Known::ask(&clickhouse).await?;
    let proxy = RecordingProxy::start(&clickhouse).await?;
    let service = start_service(&options.service, data_dir, stores, &proxy).await?;
    let before = load_average();
    let measured = async {
        let mut connection = Connection::open(service.address).await?;
        let openapi = catalogue::openapi(&mut connection).await?;
        let (mut questions, unasked) = known.questions(&openapi);
        questions.extend(known.pages());
        let mut asker = Asker { connection, proxy: &proxy, clickhouse, redis_url: &stores.urls.redis_url };
        let mut answers = Vec::new();
        for (place, question) in questions.iter().enumerate() {
            let cost = asker.cost(question, options.rounds).await?;
            eprintln!(
                "queries: {} of {}, {}: {} rows, {:.0} ms",
                place + 1,
                questions.len(),
                cost.name,
                cost.read_rows,
                cost.answer_ms
            );
            answers.push(cost);
        }
        // What fails cold fails warm too, and stands in the table.
        questions.retain(|question| {
            let answers_well = |it: &AnswerCost| it.name == question.name && it.status == 200;
            question.is_plain() && answers.iter().any(answers_well)
        });
        let load = load::run(service.address, &questions, options.rate, options.length).await?;
        Ok(Scale {
            events,
            load_average_before: before,
            load_average_after: load_average(),
            answers,
            unasked,
            load,
        })
    }
    .await;
    service.stop().await;
    measured
}

async fn stored_events(clickhouse: &ClickHouse) -> Result<u64, BenchError> {
    #[derive(Deserialize)]
    struct Count {
        events: u64,
    }
    let sql = "SELECT count() AS events FROM raw_events";
    let rows: Vec<Count> = clickhouse.rows(&mut clickhouse.connect().await?, sql).await?;
    rows.first()
        .map(|row| row.events)
        .filter(|events| *events > 0)
        .ok_or(BenchError::NothingStored { what: "event" })
}

async fn start_service(
    service: &Path,
    data_dir: &Path,
    stores: &Stores,
    proxy: &RecordingProxy,
) -> Result<Program, BenchError> {
    let own_dir = data_dir.join("bench-service");
    std::fs::create_dir_all(&own_dir).map_err(|source| BenchError::File { path: own_dir.clone(), source })?;
    let mut command = Command::new(service);
    command
        .arg("serve")
        .env("LISTEN", "127.0.0.1:0")
        .env("DATA_DIR", &own_dir)
        .env("POSTGRES_URL", &stores.urls.postgres_url)
        .env("REDIS_URL", &stores.urls.redis_url)
        .env("CLICKHOUSE_URL", proxy.in_front_of(&stores.urls.clickhouse_url)?)
        .env("JWT_SECRET", JWT_SECRET)
        .env("RATE_LIMITS", "off");
    Program::run(command, &own_dir.join("service.log")).await
}

struct Asker<'a> {
    connection: Connection,
    proxy: &'a RecordingProxy,
    clickhouse: ClickHouse,
    redis_url: &'a str,
}

impl Asker<'_> {
    /// Asks several times with nothing in memory, then the bare statements of the median answer as often.
    async fn cost(&mut self, question: &Question, rounds: usize) -> Result<AnswerCost, BenchError> {
        let mut answers: Vec<(Duration, StatusCode, Vec<Asked>)> = Vec::with_capacity(rounds);
        for _ in 0..rounds.max(1) {
            leave_data_version(self.redis_url).await?;
            tokio::time::sleep(UNTIL_COLD).await;
            self.proxy.take();
            let began = Instant::now();
            let answer = self.connection.send(Request::get(&question.path), Bytes::new()).await?;
            answers.push((began.elapsed(), answer.status, self.proxy.take()));
        }
        answers.sort_by_key(|(elapsed, ..)| *elapsed);
        let (elapsed, status, asked) = answers.swap_remove(answers.len() / 2);
        let mut engine = self.clickhouse.connect().await?;
        let mut statements = Vec::with_capacity(asked.len());
        for statement in &asked {
            let mut times = Vec::with_capacity(rounds);
            for _ in 0..rounds.max(1) {
                times.push(statement.again(&mut engine).await?);
            }
            times.sort_unstable();
            statements.push(StatementCost::new(statement, times[times.len() / 2]));
        }
        Ok(AnswerCost::new(question, status, elapsed, statements))
    }
}

/// As another node does that has stored something.
async fn leave_data_version(redis_url: &str) -> Result<(), BenchError> {
    let failed = |error: &dyn std::fmt::Display| BenchError::Redis(error.to_string());
    let url = Url::parse(redis_url).map_err(|error| failed(&error))?;
    let address = url.socket_addrs(|| Some(6379)).map_err(|error| failed(&error))?;
    let mut stream = TcpStream::connect(&*address).await.map_err(|error| failed(&error))?;
    let (password, token) = (url.password().unwrap_or_default(), Uuid::new_v4());
    let commands = format!("AUTH {password}\r\nSET data:version {token}\r\nQUIT\r\n");
    stream.write_all(commands.as_bytes()).await.map_err(|error| failed(&error))?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.map_err(|error| failed(&error))?;
    let is_set = answer.matches("+OK").count() >= 2;
    if is_set { Ok(()) } else { Err(BenchError::Redis(answer.trim().to_owned())) }
}
