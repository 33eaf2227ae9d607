//! Redis (or Valkey) with an append-only file: what was acknowledged survives a kill.

use std::path::Path;
use std::time::Duration;

use rustix::process::Signal;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::kept::Kept;
use crate::supervise::{Plan, Supervised};
use crate::{Error, StoreKind, found, spawn, wait_ready, write_private};

/// One per test (see [`crate::testing`]) and some to spare; an empty one costs nothing.
pub const DATABASES: u32 = 1024;
const ANSWER_PATIENCE: Duration = Duration::from_secs(2);

pub struct RedisStore {
    pub supervised: Supervised,
    port: u16,
    password: String,
}

impl RedisStore {
    pub async fn start(data_dir: &Path, kept: &Kept) -> Result<Self, Error> {
        let program = found::redis_server()?;
        let folder = data_dir.join("redis");
        crate::make_private_folder(&folder)?;
        let configuration = folder.join("redis.conf");
        // `set-proc-title no` keeps the file's path in the command line, by which a later start
        // recognises the process.
        write_private(
            &configuration,
            &format!(
                "bind 127.0.0.1\nport {}\nrequirepass {}\ndir \"{}\"\ndatabases {DATABASES}\n\
                 appendonly yes\nappendfsync everysec\nsave \"\"\nset-proc-title no\nlogfile \"\"\ndaemonize no\n",
                kept.redis_port,
                kept.redis_password,
                folder.display()
            ),
        )?;
        let supervised = Supervised::start(Plan {
            store: StoreKind::Redis,
            data_dir: data_dir.to_owned(),
            stop_signal: Signal::TERM,
            command: Box::new(move || {
                let mut command = spawn::command(&program, Signal::TERM, None)?;
                command.arg(&configuration);
                Ok(command)
            }),
        })?;
        let store = RedisStore { supervised, port: kept.redis_port, password: kept.redis_password.clone() };
        wait_ready(&store.supervised, || store.answers()).await?;
        Ok(store)
    }

    pub fn url(&self) -> String {
        format!("redis://:{}@127.0.0.1:{}/0", self.password, self.port)
    }

    pub async fn answers(&self) -> bool {
        let ask = async {
            let mut stream = TcpStream::connect(("127.0.0.1", self.port)).await?;
            stream.write_all(format!("AUTH {}\r\nPING\r\n", self.password).as_bytes()).await?;
            let mut answer = Vec::new();
            let mut piece = [0; 256];
            while answer.iter().filter(|byte| **byte == b'\n').count() < 2 {
                let length = stream.read(&mut piece).await?;
                if length == 0 {
                    break;
                }
                answer.extend_from_slice(&piece[..length]);
            }
            // While it loads its file it answers PING with -LOADING.
            std::io::Result::Ok(answer == b"+OK\r\n+PONG\r\n")
        };
        matches!(tokio::time::timeout(ANSWER_PATIENCE, ask).await, Ok(Ok(true)))
    }
}
