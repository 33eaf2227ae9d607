//! `health`: whether the service answers, asked from beside it. An image that holds nothing but the service has no other
//! program that could.

use super::{CommandError, block_on, load};
use crate::{
    cli::SettingFlags,
    config::{Purpose, local_url},
    simulate::courier,
};
use std::time::Duration;

/// Less than the time that a supervisor gives.
const PATIENCE: Duration = Duration::from_secs(2);

/// Exit code 0 when `/health` is 200.
pub fn health(settings: SettingFlags) -> Result<(), CommandError> {
    let url = format!("{}/health", local_url(load(settings, Purpose::SHOW)?.listen()));
    block_on(async {
        let client = courier::client().map_err(CommandError::failed)?;
        let answer = client.get(&url).timeout(PATIENCE).send().await.map_err(CommandError::failed)?;
        answer.error_for_status().map_err(CommandError::failed)?;
        Ok(())
    })
}
