//! Kills, restarts, take-overs.

use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use mohaa_embedded::{EmbeddedStores, Error, StoreUrls};
use rustix::process::{Pid, Signal, kill_process};
use sqlx::{Connection as _, Row as _};

use crate::http::Address;

const PATIENCE: Duration = Duration::from_secs(20);

/// A folder that PostgreSQL's user can pass through, removed at the end.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let path = std::env::temp_dir().join(format!("mohaa-lifecycle-{}-{name}", std::process::id()));
        std::fs::DirBuilder::new().mode(0o711).create(&path).unwrap();
        Folder(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

async fn put_rows(urls: &StoreUrls) {
    Address::of(&urls.clickhouse_url).sql("CREATE TABLE kept (a Int8) ENGINE = MergeTree ORDER BY a").await;
    Address::of(&urls.clickhouse_url).sql("INSERT INTO kept VALUES (1), (2)").await;
    let mut connection = sqlx::PgConnection::connect(&urls.postgres_url).await.unwrap();
    sqlx::query("CREATE TABLE kept AS SELECT 1 AS a UNION SELECT 2").execute(&mut connection).await.unwrap();
    redis(&urls.redis_url, "SET kept 2").await;
    // `appendfsync everysec` writes to the file before it answers; a kill loses nothing.
    assert_eq!(redis(&urls.redis_url, "GET kept").await.unwrap(), "2");
}

async fn rows_are_there(urls: &StoreUrls) {
    assert_eq!(Address::of(&urls.clickhouse_url).sql("SELECT count() FROM kept").await, "2");
    let mut connection = sqlx::PgConnection::connect(&urls.postgres_url).await.unwrap();
    let row = sqlx::query("SELECT count(*) FROM kept").fetch_one(&mut connection).await.unwrap();
    assert_eq!(row.get::<i64, _>(0), 2);
    assert_eq!(redis(&urls.redis_url, "GET kept").await.unwrap(), "2");
}

/// One inline command; the bulk answer's text, if it is one.
async fn redis(url: &str, command: &str) -> Option<String> {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let (password, rest) = url.strip_prefix("redis://:").unwrap().split_once('@').unwrap();
    let host = rest.split_once('/').unwrap().0;
    let mut stream = tokio::net::TcpStream::connect(host).await.unwrap();
    stream.write_all(format!("AUTH {password}\r\n{command}\r\nQUIT\r\n").as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let lines: Vec<&str> = answer.lines().collect();
    lines.get(2).filter(|_| lines[1].starts_with('$')).map(|line| (*line).to_owned())
}

fn kill(pid: u32, signal: Signal) {
    kill_process(Pid::from_raw(pid.cast_signed()).unwrap(), signal).unwrap();
}

/// Store processes that name this folder in their command line, still running.
fn processes_of(folder: &Path) -> Vec<String> {
    let needle = folder.to_str().unwrap();
    std::fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| {
            let entry = entry.ok()?;
            let pid: u32 = entry.file_name().to_str()?.parse().ok()?;
            let bytes = std::fs::read(entry.path().join("cmdline")).ok()?;
            let line = String::from_utf8_lossy(&bytes).replace('\0', " ");
            (pid != std::process::id() && line.contains(needle) && !line.contains("serve")).then_some(line)
        })
        .collect()
}

async fn until(what: &str, mut happened: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !happened().await {
        assert!(Instant::now() < deadline, "not in time: {what}");
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_killed_store_comes_back_at_the_same_address_with_its_data() {
    let folder = Folder::new("killed");
    let stores = EmbeddedStores::start(&folder.0).await.unwrap();
    let urls = stores.urls();
    put_rows(&urls).await;
    let killed = Instant::now();
    for health in stores.restarts() {
        kill(health.pid.unwrap(), Signal::KILL);
    }
    until("every store answers again", async || {
        stores.health().await.iter().all(|health| health.healthy && health.restarts > 0)
    })
    .await;
    assert!(killed.elapsed() < Duration::from_secs(15), "{:?}", killed.elapsed());
    rows_are_there(&urls).await;
    assert_eq!(stores.urls(), urls);
    stores.stop().await;
    assert_eq!(processes_of(&folder.0), Vec::<String>::new());
}

#[tokio::test]
async fn two_sets_run_side_by_side_and_one_directory_takes_one() {
    let (one, two) = (Folder::new("one"), Folder::new("two"));
    let (first, second) = tokio::join!(EmbeddedStores::start(&one.0), EmbeddedStores::start(&two.0));
    let (first, second) = (first.unwrap(), second.unwrap());
    assert_ne!(first.urls(), second.urls());
    let refused = EmbeddedStores::start(&one.0).await;
    assert!(matches!(refused, Err(Error::InUse(_))), "{:?}", refused.err());
    // The refused start changed nothing.
    put_rows(&first.urls()).await;
    let text = std::fs::read_to_string(one.0.join("stores.env")).unwrap();
    let urls = first.urls();
    let expected = format!(
        "POSTGRES_URL={}\nREDIS_URL={}\nCLICKHOUSE_URL={}\n",
        urls.postgres_url, urls.redis_url, urls.clickhouse_url
    );
    assert_eq!(text, expected);
    for file in ["stores.env", "stores.keys"] {
        assert_eq!(
            std::fs::metadata(one.0.join(file)).unwrap().permissions().mode() & 0o777,
            0o600,
            "{file}"
        );
    }
    tokio::join!(first.stop(), second.stop());
    assert!(!one.0.join("stores.env").exists());
    let again = EmbeddedStores::start(&one.0).await.unwrap();
    assert_eq!(again.urls(), urls);
    rows_are_there(&urls).await;
    again.stop().await;
}

/// What `stores.env` says.
fn urls_in(folder: &Path) -> StoreUrls {
    let text = std::fs::read_to_string(folder.join("stores.env")).unwrap();
    let value = |name: &str| {
        text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('=')).unwrap().to_owned()
    };
    StoreUrls {
        postgres_url: value("POSTGRES_URL"),
        redis_url: value("REDIS_URL"),
        clickhouse_url: value("CLICKHOUSE_URL"),
    }
}

/// The program that holds the stores, in a process of its own that can be killed.
struct Service(Child);

impl Service {
    fn start(folder: &Path) -> Service {
        let here = std::env::current_exe().unwrap();
        let program = here.parent().unwrap().parent().unwrap().join("examples/serve");
        let mut child =
            Command::new(program).arg(folder).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line.trim(), "ready");
        Service(child)
    }

    fn end(&mut self, signal: Signal) -> std::process::ExitStatus {
        kill(self.0.id(), signal);
        self.0.wait().unwrap()
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test]
async fn stores_end_with_their_killed_service_and_the_next_start_takes_over() {
    let folder = Folder::new("parent");
    let mut service = Service::start(&folder.0);
    let urls = urls_in(&folder.0);
    put_rows(&urls).await;
    service.end(Signal::KILL);
    // At once, while the old stores are still ending.
    let stores = EmbeddedStores::start(&folder.0).await.unwrap();
    assert_eq!(stores.urls(), urls);
    rows_are_there(&urls).await;
    stores.stop().await;

    let mut service = Service::start(&folder.0);
    service.end(Signal::KILL);
    until("no store is left", async || processes_of(&folder.0).is_empty()).await;
}

#[tokio::test]
async fn stopped_stores_and_their_sessions_are_taken_over_too() {
    let folder = Folder::new("frozen");
    let mut service = Service::start(&folder.0);
    let urls = urls_in(&folder.0);
    put_rows(&urls).await;
    let mut session = sqlx::PgConnection::connect(&urls.postgres_url).await.unwrap();
    let session_pid: i32 =
        sqlx::query("SELECT pg_backend_pid()").fetch_one(&mut session).await.unwrap().get(0);
    for store in ["postgres", "redis", "clickhouse"] {
        let pid = std::fs::read_to_string(folder.0.join("run").join(format!("{store}.pid"))).unwrap();
        kill(pid.trim().parse().unwrap(), Signal::STOP);
    }
    kill(session_pid.cast_unsigned(), Signal::STOP);
    service.end(Signal::KILL);
    let stores = EmbeddedStores::start(&folder.0).await.unwrap();
    rows_are_there(&stores.urls()).await;
    stores.stop().await;
}

#[tokio::test]
async fn a_terminated_service_leaves_nothing_running() {
    let folder = Folder::new("terminated");
    let mut service = Service::start(&folder.0);
    assert!(service.end(Signal::INT).success());
    assert_eq!(processes_of(&folder.0), Vec::<String>::new());
    assert!(!folder.0.join("stores.env").exists());
}

#[tokio::test]
async fn a_first_start_is_not_disturbed_by_an_earlier_one_that_is_tidying_up() {
    let folder = Folder::new("interrupted");
    // As `initdb` does for a moment after its service was ended.
    let tidies = "while :; do rm -rf \"$0\"/postgres/data.new; done";
    let tidying = Command::new("sh").args(["-c", tidies]).arg(&folder.0).spawn().unwrap();
    let _tidying = Service(tidying);
    let stores = EmbeddedStores::start(&folder.0).await.unwrap();
    put_rows(&stores.urls()).await;
    stores.stop().await;
}
