//! ClickHouse: an installed server when it is recent enough, else the engine library behind the
//! gateway program. Both speak HTTP at the same URL.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use rustix::process::Signal;

use crate::kept::Kept;
use crate::supervise::{Plan, Supervised};
use crate::{Error, NAME, StoreKind, found, merge_settings, spawn, wait_ready, write_private};

const ANSWER_PATIENCE: Duration = Duration::from_secs(2);

pub struct ClickHouseStore {
    pub supervised: Supervised,
    port: u16,
    password: String,
}

impl ClickHouseStore {
    pub async fn start(data_dir: &Path, kept: &Kept) -> Result<Self, Error> {
        // The two have different files: a cluster once begun with one stays with it.
        let server_folder = data_dir.join("clickhouse-server");
        let engine_folder = data_dir.join("clickhouse");
        let server = found::clickhouse_server().filter(|_| !engine_folder.exists() || server_folder.exists());
        let command: Box<dyn Fn() -> Result<Command, Error> + Send> = match server {
            Some(program) => server_command(program, &server_folder, kept)?,
            None => gateway_command(&engine_folder, kept)?,
        };
        let supervised = Supervised::start(Plan {
            store: StoreKind::ClickHouse,
            data_dir: data_dir.to_owned(),
            stop_signal: Signal::TERM,
            command,
        })?;
        let store = ClickHouseStore {
            supervised,
            port: kept.clickhouse_port,
            password: kept.clickhouse_password.clone(),
        };
        wait_ready(&store.supervised, || store.answers()).await?;
        let create = store.client().query(&format!("CREATE DATABASE IF NOT EXISTS {NAME}"));
        create.execute().await.map_err(|error| Error::Prepare {
            store: StoreKind::ClickHouse.name(),
            message: error.to_string(),
        })?;
        Ok(store)
    }

    pub fn url(&self) -> String {
        format!("http://{NAME}:{}@127.0.0.1:{}/{NAME}", self.password, self.port)
    }

    /// Without a database: it may not exist yet.
    pub fn client(&self) -> clickhouse::Client {
        clickhouse::Client::default()
            .with_url(format!("http://127.0.0.1:{}", self.port))
            .with_user(NAME)
            .with_password(&self.password)
            .with_database("default")
    }

    pub async fn answers(&self) -> bool {
        let ask = self.client().query("SELECT 1").fetch_one::<u8>();
        matches!(tokio::time::timeout(ANSWER_PATIENCE, ask).await, Ok(Ok(1)))
    }
}

type BuildCommand = Box<dyn Fn() -> Result<Command, Error> + Send>;

fn gateway_command(folder: &Path, kept: &Kept) -> Result<BuildCommand, Error> {
    let library = found::engine_library()?;
    let program = found::gateway()?;
    crate::make_private_folder(folder)?;
    let credentials = folder.join("credentials");
    write_private(&credentials, &format!("{NAME}:{}\n", kept.clickhouse_password))?;
    let folder = folder.to_owned();
    let listen = format!("127.0.0.1:{}", kept.clickhouse_port);
    Ok(Box::new(move || {
        let mut command = spawn::command(&program, Signal::TERM, None)?;
        command.arg("--data-dir").arg(&folder).arg("--listen").arg(&listen);
        command.arg("--library").arg(&library).arg("--credentials").arg(&credentials);
        command.arg("--database").arg(NAME);
        Ok(command)
    }))
}

fn server_command(program: PathBuf, folder: &Path, kept: &Kept) -> Result<BuildCommand, Error> {
    crate::make_private_folder(folder)?;
    let path = folder.display();
    let users = folder.join("users.xml");
    write_private(
        &users,
        &format!(
            "<clickhouse>\n<profiles><default></default></profiles>\n<quotas><default></default></quotas>\n\
             <users><{NAME}><password>{}</password><networks><ip>127.0.0.1</ip></networks>\
             <profile>default</profile><quota>default</quota></{NAME}></users>\n</clickhouse>\n",
            kept.clickhouse_password
        ),
    )?;
    let configuration = folder.join("config.xml");
    write_private(
        &configuration,
        &format!(
            "<clickhouse>\n<logger><level>warning</level><console>1</console></logger>\n\
             <listen_host>127.0.0.1</listen_host>\n<http_port>{}</http_port>\n\
             <path>{path}/store/</path>\n<tmp_path>{path}/tmp/</tmp_path>\n\
             <user_files_path>{path}/user_files/</user_files_path>\n\
             <format_schema_path>{path}/format_schemas/</format_schema_path>\n\
             <users_config>{path}/users.xml</users_config>\n<default_profile>default</default_profile>\n\
             <default_database>default</default_database>\n<mark_cache_size>134217728</mark_cache_size>\n\
             {}</clickhouse>\n",
            kept.clickhouse_port,
            merge_settings()
        ),
    )?;
    Ok(Box::new(move || {
        let mut command = spawn::command(&program, Signal::TERM, None)?;
        command.arg("server").arg(format!("--config-file={}", configuration.display()));
        Ok(command)
    }))
}
