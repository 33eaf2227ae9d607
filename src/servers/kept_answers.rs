//! The live tokens as a file of the data directory, so that a service restarted while PostgreSQL is away still knows
//! its servers. It holds hashes, never tokens, is readable by its owner only and replaced in one step.

use super::{identify::ServerIdentity, token::TokenHash};
use crate::config::kept::write_private_file;
use chrono::{DateTime, Utc};
use mohaa_domain::tracker::BotName;
use serde::{Deserialize, Serialize};
use std::{
    fs, io,
    path::{Path, PathBuf},
};
use uuid::Uuid;

#[derive(Serialize, Deserialize)]
struct FileContent {
    /// When PostgreSQL last said so.
    confirmed_at: DateTime<Utc>,
    tokens: Vec<FileToken>,
}

#[derive(Serialize, Deserialize)]
struct FileToken {
    hash: String,
    server_id: Uuid,
    name: String,
    approved: bool,
    #[serde(default)]
    bot_names: Vec<BotName>,
}

/// What PostgreSQL last said, and when.
pub struct KeptAnswers {
    pub confirmed_at: DateTime<Utc>,
    pub tokens: Vec<(TokenHash, ServerIdentity)>,
}

#[derive(Debug, thiserror::Error)]
#[error("the kept answers about server tokens in {} can't be {action}: {reason}", path.display())]
pub struct KeptAnswersError {
    path: PathBuf,
    action: &'static str,
    reason: String,
}

impl KeptAnswers {
    /// None when nothing was kept yet.
    pub fn read(path: &Path) -> Result<Option<Self>, KeptAnswersError> {
        let failed = |reason: String| KeptAnswersError { path: path.to_owned(), action: "read", reason };
        let text = match fs::read(path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed(error.to_string())),
        };
        let content: FileContent =
            serde_json::from_slice(&text).map_err(|error| failed(error.to_string()))?;
        let read_token = |token: FileToken| {
            let hash = TokenHash::from_hex(&token.hash)?;
            let identity = ServerIdentity {
                server_id: token.server_id,
                name: token.name.into(),
                approved: token.approved,
                bot_names: token.bot_names.into(),
            };
            Some((hash, identity))
        };
        let tokens: Option<Vec<_>> = content.tokens.into_iter().map(read_token).collect();
        let tokens = tokens.ok_or_else(|| failed("a hash is not one".to_owned()))?;
        Ok(Some(Self { confirmed_at: content.confirmed_at, tokens }))
    }

    pub fn write(self, path: &Path) -> Result<(), KeptAnswersError> {
        let failed = |reason: String| KeptAnswersError { path: path.to_owned(), action: "written", reason };
        let write_token = |(hash, identity): (TokenHash, ServerIdentity)| FileToken {
            hash: hash.to_hex(),
            server_id: identity.server_id,
            name: identity.name.to_string(),
            approved: identity.approved,
            bot_names: identity.bot_names.to_vec(),
        };
        let content = FileContent {
            confirmed_at: self.confirmed_at,
            tokens: self.tokens.into_iter().map(write_token).collect(),
        };
        let text = serde_json::to_vec(&content).map_err(|error| failed(error.to_string()))?;
        write_private_file(path, &text).map_err(|error| failed(error.to_string()))
    }
}
