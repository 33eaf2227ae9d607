//! Names by which a server's settings mark bots that have no `bot_*` guid.

use serde::{Deserialize, Serialize};

use crate::event::Text;
use crate::name::comparison_key;

/// A name, in which each `*` stands for any text. Compared like names in search: no colours, no case. Shown in the form
/// in which it is compared.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BotName(Text);

impl BotName {
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// `None` for a pattern that would mark everybody.
    pub fn parse(pattern: &str) -> Option<Self> {
        let pattern = comparison_key(pattern);
        pattern.contains(|character| character != '*').then(|| BotName(pattern.into()))
    }

    pub fn matches(&self, raw_name: &str) -> bool {
        let name = comparison_key(raw_name);
        let Some((first, others)) = self.0.split_once('*') else { return name == self.0 };
        let (inner, last) = others.rsplit_once('*').unwrap_or(("", others));
        let Some(rest) = name.strip_prefix(first) else { return false };
        let Some(mut rest) = rest.strip_suffix(last) else { return false };
        for part in inner.split('*') {
            let Some(at) = rest.find(part) else { return false };
            rest = &rest[at + part.len()..];
        }
        true
    }
}
