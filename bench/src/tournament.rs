//! How long a report of a result takes over HTTP, with many tournaments at once.
//!
//! Tournaments are made and begun first: half of them single elimination, half round robin. Then results are reported in an open
//! loop, each due at its time whether or not those before are answered, in turns over the tournaments and in the order of
//! each bracket. Every report that is answered 200 is one committed transaction of PostgreSQL, whose settings of
//! durability are read and shown.

use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use hyper::{Request, StatusCode};
use serde::Serialize;
use serde_json::{Value, json};
use sqlx::{Connection as _, PgConnection};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use crate::connection::{Answer, Connection};
use crate::error::BenchError;
use crate::process::cpu_seconds;
use crate::queries::part;
use crate::service::Service;
use crate::stores::read_urls;
use crate::targets::{Measured, Target};

/// Reports a second that are not counted, before those that are: statements are prepared, connections opened.
const WARMING: Duration = Duration::from_secs(2);
/// Tournaments that are made at a time.
const MADE_AT_ONCE: usize = 4;

pub struct TournamentOptions {
    pub service: PathBuf,
    pub data_dir: PathBuf,
    pub tournaments: usize,
    /// Reports a second of all tournaments together.
    pub rate: u32,
    pub length: Duration,
}

/// What was measured.
#[derive(Debug, Serialize)]
pub struct TournamentReport {
    pub tournaments: usize,
    pub reports_per_second: u32,
    pub seconds: f64,
    pub reports: usize,
    /// Not answered 200.
    pub refused: usize,
    /// The first of these answers.
    pub first_refusal: Option<String>,
    /// From the moment at which a report should have left.
    pub p50_ms: f64,
    pub p90_ms: f64,
    pub p99_ms: f64,
    pub max_ms: f64,
    /// Transactions of PostgreSQL that were committed meanwhile, for each report: those that read, too.
    pub commits_per_report: f64,
    pub service_cores: f64,
    pub fsync: String,
    pub synchronous_commit: String,
    /// Processes that ran or waited to, the mean of the last minute: before and after.
    pub machine_load: [f64; 2],
    pub machine_cores: usize,
}

impl TournamentReport {
    /// What came of the targets; one refused report is none.
    pub fn measured(&self) -> Vec<Measured> {
        let figure = if self.refused == 0 { self.p99_ms } else { f64::NAN };
        let detail = format!(
            "{} reports/s, {} tournaments, {} refused, p50 {:.1} ms, fsync {}",
            self.reports_per_second, self.tournaments, self.refused, self.p50_ms, self.fsync
        );
        vec![Measured::new(Target::Reports, figure, detail)]
    }
}

impl fmt::Display for TournamentReport {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            out,
            "{} reports/s over {} tournaments, {:.0} s: {} reports, {} refused",
            self.reports_per_second, self.tournaments, self.seconds, self.reports, self.refused
        )?;
        writeln!(
            out,
            "due to answered      p50 {:.1} ms, p90 {:.1} ms, p99 {:.1} ms, at most {:.1} ms",
            self.p50_ms, self.p90_ms, self.p99_ms, self.max_ms
        )?;
        writeln!(
            out,
            "PostgreSQL           {:.1} transactions a report, fsync {}, synchronous_commit {}",
            self.commits_per_report, self.fsync, self.synchronous_commit
        )?;
        writeln!(
            out,
            "machine              {} cores, load {:.1} before and {:.1} after; service {:.2} cores",
            self.machine_cores, self.machine_load[0], self.machine_load[1], self.service_cores
        )?;
        if let Some(refusal) = &self.first_refusal {
            writeln!(out, "first refusal        {refusal}")?;
        }
        Ok(())
    }
}

/// A report that is due.
struct Due {
    path: String,
    is_counted: bool,
}

/// The service, and in whose name it is asked.
#[derive(Clone)]
struct Caller {
    address: SocketAddr,
    bearer: Arc<str>,
    idle: Arc<Mutex<Vec<Connection>>>,
}

impl Caller {
    async fn post(&self, path: &str, body: &Value) -> Result<Answer, BenchError> {
        let kept = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut connection = match kept {
            Some(connection) => connection,
            None => Connection::open(self.address).await?,
        };
        let request = Request::post(path)
            .header("Authorization", self.bearer.as_ref())
            .header("Content-Type", "application/json");
        let answer = connection.send(request, Bytes::from(body.to_string())).await?;
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
        Ok(answer)
    }

    async fn does(&self, path: &str, body: &Value) -> Result<Value, BenchError> {
        Ok(serde_json::from_slice(&self.post(path, body).await?.success()?)?)
    }
}

/// Measures with a service of its own.
///
/// # Errors
/// When the service can't be started, or tournaments can't be made.
pub async fn measure(options: &TournamentOptions) -> Result<TournamentReport, BenchError> {
    let file_error = |source| BenchError::File { path: options.data_dir.clone(), source };
    let _ = std::fs::remove_dir_all(&options.data_dir);
    std::fs::create_dir_all(&options.data_dir).map_err(file_error)?;
    let data_dir = options.data_dir.join("data");
    let log = options.data_dir.join("service.log");
    let service = Service::start(&options.service, &data_dir, &log, &[]).await?;
    let (pid, address) = (service.pid(), service.address());
    let bearer = format!("Bearer {}", organizer(&options.service, &data_dir)?).into();
    let caller = Caller { address, bearer, idle: Arc::default() };
    let rate = f64::from(options.rate);
    let of_each =
        ((WARMING + options.length).as_secs_f64() * rate / options.tournaments as f64).ceil() as usize;
    let dues = make_tournaments(&caller, options.tournaments, of_each).await?;
    let mut postgres = PgConnection::connect(&read_urls(&data_dir)?.postgres_url).await?;
    let fsync: String = sqlx::query_scalar("SHOW fsync").fetch_one(&mut postgres).await?;
    let synchronous_commit: String =
        sqlx::query_scalar("SHOW synchronous_commit").fetch_one(&mut postgres).await?;

    let load_before = machine_load()?;
    let (commits_before, cpu_before, began) =
        (commits(&mut postgres).await?, cpu_seconds(pid)?, Instant::now());
    let mut tasks = JoinSet::new();
    let mut number = 0;
    // In turns, in the order of each bracket.
    for place in 0..of_each {
        for reports in &dues {
            let due = began + Duration::from_secs_f64(f64::from(number) / rate);
            let (caller, path) = (caller.clone(), reports[place].clone());
            let due_report = Due { path, is_counted: due >= began + WARMING };
            number += 1;
            sleep_until(due).await;
            tasks.spawn(async move {
                let answer = caller.post(&due_report.path, &json!({ "score1": 2, "score2": 1 })).await;
                (due_report.is_counted, answer, due.elapsed())
            });
        }
    }
    let all_reports = tasks.len();
    let mut times = Vec::new();
    let (mut refused, mut first_refusal) = (0, None);
    while let Some(ended) = tasks.join_next().await {
        let (is_counted, answer, elapsed) = ended?;
        if is_counted {
            times.push(elapsed.as_secs_f64() * 1_000.0);
        }
        let refusal = match answer {
            Ok(answer) if answer.status == StatusCode::OK => continue,
            Ok(answer) => answer.unexpected().to_string(),
            Err(error) => error.to_string(),
        };
        refused += 1;
        first_refusal.get_or_insert(refusal);
    }
    let (seconds, cpu) = (began.elapsed().as_secs_f64(), cpu_seconds(pid)? - cpu_before);
    // PostgreSQL's own count comes up to a second late.
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    let committed = commits(&mut postgres).await? - commits_before;
    let load_after = machine_load()?;
    postgres.close().await?;
    service.stop().await;
    let _ = std::fs::remove_dir_all(&options.data_dir);
    times.sort_by(f64::total_cmp);
    Ok(TournamentReport {
        tournaments: options.tournaments,
        reports_per_second: options.rate,
        seconds,
        reports: times.len(),
        refused,
        first_refusal,
        p50_ms: part(&times, 0.5),
        p90_ms: part(&times, 0.9),
        p99_ms: part(&times, 0.99),
        max_ms: part(&times, 1.0),
        commits_per_report: committed as f64 / all_reports.max(1) as f64,
        service_cores: cpu / seconds,
        fsync,
        synchronous_commit,
        machine_load: [load_before, load_after],
        machine_cores: std::thread::available_parallelism().map_or(1, usize::from),
    })
}

/// The access token of an organizer who is made for it: good for 15 minutes.
fn organizer(program: &Path, data_dir: &Path) -> Result<String, BenchError> {
    let output = Command::new(program)
        .args(["user", "add", "--name", "Bench", "--role", "organizer", "--data-dir"])
        .arg(data_dir)
        .output()
        .map_err(|source| BenchError::Run { program: program.to_owned(), source })?;
    let added: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
    match added["access_token"].as_str() {
        Some(token) => Ok(token.to_owned()),
        None => {
            let message = String::from_utf8_lossy(&output.stderr).trim().to_owned();
            Err(BenchError::NoOrganizer { program: program.to_owned(), message })
        }
    }
}

/// The paths of `of_each` reports of each tournament, in an order in which they can be made.
async fn make_tournaments(
    caller: &Caller,
    tournaments: usize,
    of_each: usize,
) -> Result<Vec<Vec<String>>, BenchError> {
    let mut making = JoinSet::new();
    let mut made = Vec::new();
    for number in 0..tournaments {
        if making.len() >= MADE_AT_ONCE
            && let Some(one) = making.join_next().await
        {
            made.push(one??);
        }
        let caller = caller.clone();
        making.spawn(async move { make_tournament(&caller, number, of_each).await });
    }
    while let Some(one) = making.join_next().await {
        made.push(one??);
    }
    Ok(made)
}

async fn make_tournament(caller: &Caller, number: usize, of_each: usize) -> Result<Vec<String>, BenchError> {
    let is_knockout = number.is_multiple_of(2);
    let format = if is_knockout { "single_elimination" } else { "round_robin" };
    // N - 1 matches, or N (N - 1) / 2.
    let entrants = match is_knockout {
        true => (of_each + 1).next_power_of_two(),
        false => (2..).find(|entrants| entrants * (entrants - 1) / 2 >= of_each).unwrap_or(2),
    };
    let settings =
        json!({ "name": format!("Bench {number}"), "format": format, "max_participants": entrants });
    let draft = caller.does("/api/v1/tournaments", &settings).await?;
    let path = format!("/api/v1/tournaments/{}", draft["id"].as_str().unwrap_or_default());
    caller.does(&format!("{path}/status"), &json!({ "status": "registration_open" })).await?;
    for entrant in 1..=entrants {
        caller.does(&format!("{path}/register"), &json!({ "name": format!("Entrant {entrant}") })).await?;
    }
    for status in ["registration_closed", "in_progress"] {
        caller.does(&format!("{path}/status"), &json!({ "status": status })).await?;
    }
    let bracket = Connection::open(caller.address)
        .await?
        .send(Request::get(format!("{path}/bracket")), Bytes::new())
        .await?
        .success()?;
    let bracket: Value = serde_json::from_slice(&bracket)?;
    let mut keys = Vec::new();
    collect_keys(&bracket["stages"], &mut keys);
    keys.truncate(of_each);
    Ok(keys.into_iter().map(|key| format!("{path}/matches/{key}/report")).collect())
}

/// The keys of matches in the order of a bracket, which is one in which they can be played.
fn collect_keys(value: &Value, keys: &mut Vec<String>) {
    match value {
        Value::Array(all) => all.iter().for_each(|one| collect_keys(one, keys)),
        Value::Object(fields) => match fields.get("key").and_then(Value::as_str) {
            Some(key) => keys.push(key.to_owned()),
            None => fields.values().for_each(|one| collect_keys(one, keys)),
        },
        _ => {}
    }
}

async fn commits(postgres: &mut PgConnection) -> Result<i64, BenchError> {
    let committed =
        sqlx::query_scalar("SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()");
    Ok(committed.fetch_one(postgres).await?)
}

/// Of the last minute.
fn machine_load() -> Result<f64, BenchError> {
    let path = Path::new("/proc/loadavg");
    let text =
        std::fs::read_to_string(path).map_err(|source| BenchError::File { path: path.to_owned(), source })?;
    Ok(text.split(' ').next().and_then(|load| load.parse().ok()).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_found_in_the_order_of_the_bracket() {
        let stages = json!([{ "kind": "swiss", "groups": [{ "rounds": [
            { "matches": [{ "key": "S1.1", "slots": [{ "from": { "match": "x" } }] }, { "key": "S1.2" }] },
            { "matches": [{ "key": "S2.1" }] },
        ] }] }]);
        let mut keys = Vec::new();
        collect_keys(&stages, &mut keys);
        assert_eq!(keys, ["S1.1", "S1.2", "S2.1"]);
    }
}
