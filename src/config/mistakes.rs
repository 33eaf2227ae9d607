//! Everything that is wrong with a configuration, told at once: an operator corrects it in one go.

use super::sources::Source;
use std::{fmt, path::PathBuf};

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("{0}")]
    Mistakes(Mistakes),
    #[error("cannot read the configuration file {}: {reason}", path.display())]
    File { path: PathBuf, reason: String },
    #[error("cannot read {}: {reason}; is `mohaa-stats serve --embedded --data-dir {}` running?", path.display(), data_dir.display())]
    StoresFile { path: PathBuf, data_dir: PathBuf, reason: String },
    #[error("the signing key kept in {} can't be used: {reason}", data_dir.display())]
    Kept { data_dir: PathBuf, reason: String },
    #[error("the default of {0} {1}")]
    Default(&'static str, String),
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    pub name: String,
    /// Where the value stands; none when it is missing.
    pub source: Option<Source>,
    /// The value as it may be shown: secrets are already hidden.
    pub value: Option<String>,
    pub problem: String,
    /// What would be right; empty when the problem says it all.
    pub allowed: String,
}

impl fmt::Display for Mistake {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.name)?;
        if let Some(value) = &self.value {
            write!(formatter, " = {value:?}")?;
        }
        if let Some(source) = &self.source {
            write!(formatter, " ({source})")?;
        }
        write!(formatter, ": {}", self.problem)?;
        if !self.allowed.is_empty() {
            write!(formatter, "; allowed: {}", self.allowed)?;
        }
        Ok(())
    }
}

/// All mistakes of one configuration, in the order of the settings' table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistakes(pub Vec<Mistake>);

impl fmt::Display for Mistakes {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.len() {
            1 => write!(formatter, "the configuration has 1 mistake:")?,
            count => write!(formatter, "the configuration has {count} mistakes:")?,
        }
        for mistake in &self.0 {
            write!(formatter, "\n  {mistake}")?;
        }
        Ok(())
    }
}
