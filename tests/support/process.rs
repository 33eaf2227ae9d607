//! The service as a child process, which can be killed without warning.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use mohaa_embedded::StoreUrls;
use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use super::JWT_SECRET;

/// A first start with private stores builds a PostgreSQL cluster.
const START_PATIENCE: Duration = Duration::from_secs(90);
const STOP_PATIENCE: Duration = Duration::from_secs(60);

/// What private stores need to know of the machine: programs, and where the engine is kept.
const KEPT_VARIABLES: [&str; 6] =
    ["PATH", "HOME", "TMPDIR", "XDG_CACHE_HOME", "MOHAA_ENGINE_CACHE", "MOHAA_CLICKHOUSE_ENGINE"];

pub struct ServiceProcess {
    child: Child,
    pub url: String,
    log: PathBuf,
}

impl ServiceProcess {
    /// `serve` on stores that live on when it is killed.
    pub async fn start(data_dir: &Path, urls: &StoreUrls, settings: &[(&str, &str)]) -> Self {
        let mut environment = vec![
            ("POSTGRES_URL", urls.postgres_url.as_str()),
            ("REDIS_URL", &urls.redis_url),
            ("CLICKHOUSE_URL", &urls.clickhouse_url),
            ("RATE_LIMITS", "off"),
            ("JWT_SECRET", JWT_SECRET),
        ];
        environment.extend_from_slice(settings);
        Self::spawn(data_dir, &["serve"], &environment).await
    }

    /// `serve --embedded`: its stores are its children.
    pub async fn start_embedded(data_dir: &Path) -> Self {
        Self::spawn(data_dir, &["serve", "--embedded"], &[]).await
    }

    async fn spawn(data_dir: &Path, arguments: &[&str], environment: &[(&str, &str)]) -> Self {
        let log = data_dir.join("service.log");
        let log_file = std::fs::OpenOptions::new().create(true).append(true).open(&log).unwrap();
        let kept = KEPT_VARIABLES.iter().filter_map(|name| Some((name, std::env::var_os(name)?)));
        let mut child = Command::new(env!("CARGO_BIN_EXE_mohaa-stats"))
            .args(arguments)
            .env_clear()
            .envs(kept)
            .env("LISTEN", "127.0.0.1:0")
            .env("DATA_DIR", data_dir)
            .envs(environment.iter().copied())
            .current_dir(data_dir)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log_file)
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let first = tokio::time::timeout(START_PATIENCE, lines.next_line()).await;
        let Ok(Ok(Some(line))) = first else {
            panic!("the service does not start: {}", std::fs::read_to_string(&log).unwrap());
        };
        let url = line.strip_prefix("listening on ").unwrap_or_else(|| panic!("it said {line:?}"));
        Self { url: url.to_owned(), child, log }
    }

    /// SIGKILL, as the kernel does it when memory runs out.
    pub async fn kill(mut self) {
        self.child.start_kill().unwrap();
        self.child.wait().await.unwrap();
    }

    /// SIGTERM; returns when it has ended, which it must do without an error.
    pub async fn terminate(mut self) {
        let pid = Pid::from_raw(self.child.id().unwrap().cast_signed()).unwrap();
        kill_process(pid, Signal::TERM).unwrap();
        let ended = tokio::time::timeout(STOP_PATIENCE, self.child.wait()).await;
        let status = ended.expect("it ends in time").unwrap();
        assert!(status.success(), "{status}: {}", self.log());
    }

    /// What it and its predecessors on this data directory wrote to standard error.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap()
    }
}
