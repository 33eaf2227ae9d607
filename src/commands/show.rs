//! `config` and `openapi`: what the service is, without running it.

use super::{CommandError, print_json};
use crate::{
    cli::SettingFlags,
    config::{Config, Purpose},
};
use serde_json::{Map, Value, json};

/// `{"NAME": {"value": "…", "source": "env"}, …}`, both null where a setting is not set.
pub fn config(settings: SettingFlags) -> Result<(), CommandError> {
    let loaded = Config::load(&settings.sources(), Purpose::SHOW)?;
    let shown: Map<String, Value> = loaded
        .effective
        .into_iter()
        .map(|effective| {
            (effective.name.to_owned(), json!({ "value": effective.value, "source": effective.source }))
        })
        .collect();
    print_json(&shown)
}

/// The contract as the handlers' own types state it.
pub fn openapi() -> Result<(), CommandError> {
    print_json(&crate::openapi::document())
}
