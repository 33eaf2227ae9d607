//! `backup` and `restore`.

use super::{CommandError, block_on, load, open_postgres, print_json};
use crate::{
    backup::{self, Manifest, Stores},
    cli::{BackupArguments, RestoreArguments, SettingFlags},
    clickhouse,
    config::{ClickHouseUrl, Config, Purpose, StoreUrl},
};
use mohaa_embedded::EmbeddedStores;
use serde_json::json;
use std::path::Path;

/// Saves everything, or looks at what was saved; prints what the backup holds.
pub fn backup(arguments: BackupArguments) -> Result<(), CommandError> {
    let BackupArguments { to, check, embedded, settings } = arguments;
    if let Some(from) = check {
        let manifest = backup::check(&from).map_err(CommandError::failed)?;
        return print_contents(&from, &manifest);
    }
    let to = to.ok_or_else(|| CommandError::Usage("--to is not given".to_owned()))?;
    with_stores(embedded, settings, async |stores| {
        if !stores.spool_dir.is_dir() {
            let message =
                format!("there is no spool in {}: check DATA_DIR and SPOOL_DIR", stores.spool_dir.display());
            return Err(CommandError::Usage(message));
        }
        let manifest = stores.save(&to).await.map_err(CommandError::failed)?;
        print_contents(&to, &manifest)
    })
}

/// Fills empty stores; prints what they hold now.
pub fn restore(arguments: RestoreArguments) -> Result<(), CommandError> {
    let RestoreArguments { from, embedded, settings } = arguments;
    with_stores(embedded, settings, async |stores| {
        let manifest = stores.restore(&from).await.map_err(CommandError::failed)?;
        print_contents(&from, &manifest)
    })
}

fn print_contents(backup: &Path, manifest: &Manifest) -> Result<(), CommandError> {
    let postgres_rows: u64 = manifest.postgres.tables.iter().map(|table| table.rows).sum();
    print_json(&json!({
        "backup": backup,
        "made_at": manifest.made_at,
        "bytes": manifest.bytes(),
        "events": manifest.events(),
        "clickhouse_tables": manifest.clickhouse.tables.len(),
        "postgres_tables": manifest.postgres.tables.len(),
        "postgres_rows": postgres_rows,
        "files": manifest.files.len(),
    }))
}

/// Does it with the stores that are configured, or with private ones that run for as long as it takes.
fn with_stores(
    embedded: bool,
    settings: SettingFlags,
    work: impl AsyncFnOnce(Stores) -> Result<(), CommandError>,
) -> Result<(), CommandError> {
    let purpose = if embedded { Purpose::SERVE_WITH_OWN_STORES } else { Purpose::MIGRATE };
    let mut config = load(settings, purpose)?;
    block_on(async {
        let private = match embedded {
            true => Some(start_private_stores(&mut config).await?),
            false => None,
        };
        let done = async {
            let not_set = || CommandError::Usage("CLICKHOUSE_URL is not set".to_owned());
            let url = config.clickhouse_url.as_ref().ok_or_else(not_set)?;
            let postgres = open_postgres(&config).await?;
            if let (Some(cluster), false) = (&config.clickhouse_cluster, embedded) {
                let message = format!(
                    "ClickHouse is a cluster ({cluster}), which saves and restores itself (BACKUP … ON CLUSTER): see docs/operations.md"
                );
                return Err(CommandError::Usage(message));
            }
            work(Stores::new(&config, postgres, clickhouse::client::connect(url))).await
        };
        let done = done.await;
        if let Some(private) = private {
            private.stop().await;
        }
        done
    })
}

async fn start_private_stores(config: &mut Config) -> Result<EmbeddedStores, CommandError> {
    let stores = EmbeddedStores::start(&config.data_dir).await.map_err(CommandError::failed)?;
    let urls = stores.urls();
    config.postgres_url = Some(StoreUrl::postgres(&urls.postgres_url).map_err(CommandError::failed)?);
    config.clickhouse_url = Some(ClickHouseUrl::parse(&urls.clickhouse_url).map_err(CommandError::failed)?);
    Ok(stores)
}
