//! `serve`, `demo` and `migrate`.

use super::{CommandError, block_on, load, open_postgres};
use crate::{
    cli::SettingFlags,
    clickhouse::{self, cluster::Engines},
    config::{Config, Purpose, kept},
    startup::{self, ServeOptions},
};

pub fn serve(embedded: bool, settings: SettingFlags) -> Result<(), CommandError> {
    let purpose = if embedded { Purpose::SERVE_WITH_OWN_STORES } else { Purpose::SERVE };
    let mut config = load(settings, purpose)?;
    if embedded {
        prepare_own_stores(&mut config)?;
    }
    run_service(config, embedded, false)
}

pub fn demo(settings: SettingFlags) -> Result<(), CommandError> {
    let mut config = load(settings, Purpose::DEMO)?;
    prepare_own_stores(&mut config)?;
    run_service(config, true, true)
}

/// Private stores take the place of configured ones, and their service gets a signing key that outlives it.
fn prepare_own_stores(config: &mut Config) -> Result<(), CommandError> {
    let configured = [
        ("POSTGRES_URL", config.postgres_url.take().is_some()),
        ("CLICKHOUSE_URL", config.clickhouse_url.take().is_some()),
        ("REDIS_URL", config.redis_url.take().is_some()),
    ];
    config.clickhouse_cluster = None;
    for (name, _) in configured.into_iter().filter(|(_, was_set)| *was_set) {
        tracing::warn!("{name} is not used: private stores take its place");
    }
    if config.jwt_secret.is_none() {
        let in_data_dir = |error| {
            CommandError::failed(format!("the data directory {}: {error}", config.data_dir.display()))
        };
        config.jwt_secret = Some(kept::read_or_make_jwt_secret(&config.data_dir).map_err(in_data_dir)?);
    }
    Ok(())
}

fn run_service(config: Config, embedded: bool, demo: bool) -> Result<(), CommandError> {
    let options = ServeOptions { embedded, data_dir: config.data_dir.clone(), demo };
    actix_web::rt::System::new().block_on(startup::serve(config, options)).map_err(CommandError::failed)
}

/// Brings both schemas up to date. `serve` does so by itself at its start.
pub fn migrate(settings: SettingFlags) -> Result<(), CommandError> {
    let config = load(settings, Purpose::MIGRATE)?;
    let not_set = || CommandError::Usage("CLICKHOUSE_URL is not set".to_owned());
    let clickhouse_url = config.clickhouse_url.as_ref().ok_or_else(not_set)?;
    block_on(async {
        let postgres = open_postgres(&config).await?;
        let engines = Engines::connect(clickhouse_url, config.clickhouse_cluster.as_deref());
        clickhouse::upgrade::migrate(&engines, &postgres).await.map_err(CommandError::failed)
    })
}
