//! A value that must not be read by accident: it hides itself wherever it is formatted, so that a log line, an
//! error chain or a debug dump of the configuration can't leak it.

use std::fmt;

/// A secret text. `expose` is the only way to its content, so that every use can be found by name.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

/// What stands in place of a secret.
pub const HIDDEN: &str = "[hidden]";

impl Secret {
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(HIDDEN)
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(HIDDEN)
    }
}

#[cfg(test)]
mod tests {
    use super::Secret;

    #[test]
    fn a_secret_hides_in_debug_and_display() {
        let secret = Secret::new("correct horse");
        assert_eq!(format!("{secret} {secret:?} {:?}", Some(&secret)), "[hidden] [hidden] Some([hidden])");
        assert_eq!(secret.expose(), "correct horse");
    }
}
