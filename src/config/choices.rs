//! Settings whose values are words of their own.

use super::parse::{self, Problem};
use std::{collections::BTreeMap, time::Duration};

/// When an appended event reaches the disk (`SPOOL_FSYNC`); each value is documented by what it survives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SpoolFsync {
    /// Before its request is answered: nothing accepted is lost when the power fails.
    Always,
    /// At most this long after: nothing accepted is lost by a killed process; a power failure costs that long.
    Interval(Duration),
    /// When the kernel likes: nothing accepted is lost by a killed process; a power failure may cost 30 s and more.
    Never,
}

impl Default for SpoolFsync {
    fn default() -> Self {
        Self::Interval(Duration::from_millis(100))
    }
}

impl SpoolFsync {
    pub fn parse(text: &str) -> Result<Self, Problem> {
        match text.split_once(':') {
            None if text == "always" => Ok(Self::Always),
            None if text == "interval" => Ok(Self::default()),
            None if text == "never" => Ok(Self::Never),
            Some(("interval", length)) => {
                parse::duration(length, Duration::from_millis(1)..=Duration::from_secs(60))
                    .map(Self::Interval)
            }
            _ => Err("is not a known policy".to_owned()),
        }
    }
}

/// Whether game scripts may register servers by themselves (`REGISTRATION_POLICY`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RegistrationPolicy {
    /// They can't: the operator makes servers and hands out tokens.
    #[default]
    Closed,
    /// They can; their events are held until an admin approves the server.
    Approval,
    /// They can, and count at once: trusted networks only.
    Open,
}

impl RegistrationPolicy {
    pub fn parse(text: &str) -> Result<Self, Problem> {
        match text {
            "closed" => Ok(Self::Closed),
            "approval" => Ok(Self::Approval),
            "open" => Ok(Self::Open),
            _ => Err("is not a known policy".to_owned()),
        }
    }
}

/// What a caller's requests are counted under.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LimitedCalls {
    /// Requests of events, of a game server.
    Ingest,
    /// Their events.
    Events,
    /// Their events too, by a rate of its own for the long run.
    Quota,
    /// Pages and calls that are none of the others.
    Api,
    /// Signing in, and codes.
    Auth,
    /// Game servers that register, of an address.
    Register,
}

impl LimitedCalls {
    pub const ALL: [Self; 6] =
        [Self::Ingest, Self::Events, Self::Quota, Self::Api, Self::Auth, Self::Register];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ingest => "ingest",
            Self::Events => "events",
            Self::Quota => "quota",
            Self::Api => "api",
            Self::Auth => "auth",
            Self::Register => "register",
        }
    }
}

/// So many requests in so long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    pub requests: u32,
    pub per: Duration,
}

/// How much one game server, user or else client address may do (`RATE_LIMITS`); a kind that is absent is not limited.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RateLimits(pub BTreeMap<LimitedCalls, Rate>);

impl RateLimits {
    /// `off`, or `ingest=200/s,events=2000/s,quota=5000000/d,api=20/s,auth=30/m,register=10/h`.
    pub fn parse(text: &str) -> Result<Self, Problem> {
        if text == "off" {
            return Ok(Self::default());
        }
        let mut limits = BTreeMap::new();
        for part in parse::list(text) {
            let (kind, rate) = part.split_once('=').ok_or_else(|| format!("has {part:?} without a rate"))?;
            let calls = match kind.trim() {
                "ingest" => LimitedCalls::Ingest,
                "events" => LimitedCalls::Events,
                "quota" => LimitedCalls::Quota,
                "api" => LimitedCalls::Api,
                "auth" => LimitedCalls::Auth,
                "register" => LimitedCalls::Register,
                unknown => return Err(format!("limits {unknown:?}, which is not a kind of call")),
            };
            if limits.insert(calls, Self::rate(rate.trim())?).is_some() {
                return Err(format!("limits {kind:?} twice"));
            }
        }
        match limits.is_empty() {
            true => Err("limits nothing".to_owned()),
            false => Ok(Self(limits)),
        }
    }

    fn rate(text: &str) -> Result<Rate, Problem> {
        let problem = || format!("has the rate {text:?}, which is not a number per s, m, h or d");
        let (requests, unit) = text.split_once('/').ok_or_else(problem)?;
        let per = match unit {
            "s" => Duration::from_secs(1),
            "m" => Duration::from_secs(60),
            "h" => Duration::from_secs(3_600),
            "d" => Duration::from_secs(24 * 3_600),
            _ => return Err(problem()),
        };
        match requests.parse() {
            Ok(requests) if requests > 0 => Ok(Rate { requests, per }),
            _ => Err(problem()),
        }
    }
}

/// Fewer bytes than this can be guessed by trying.
pub const SHORTEST_JWT_SECRET_BYTES: usize = 32;

/// Beginnings of what examples and tutorials put where a secret belongs, as letters and digits alone.
const EXAMPLE_SECRETS: [&str; 12] = [
    "changeit",
    "changeme",
    "changethis",
    "defaultsecret",
    "insecure",
    "placeholder",
    "replaceme",
    "replacethis",
    "supersecret",
    "your256bit",
    "yoursecret",
    "yourjwt",
];

/// A key to sign tokens with: long enough, and none that stands in an example somewhere.
pub fn jwt_secret(text: &str) -> Result<super::Secret, Problem> {
    if text.len() < SHORTEST_JWT_SECRET_BYTES {
        return Err(format!("has {} bytes, which is too short", text.len()));
    }
    let plain: String =
        text.chars().filter(char::is_ascii_alphanumeric).map(|letter| letter.to_ascii_lowercase()).collect();
    if EXAMPLE_SECRETS.iter().any(|example| plain.contains(example)) {
        return Err("is an example value that others know".to_owned());
    }
    Ok(super::Secret::new(text))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_spool_is_synced_always_at_intervals_or_never() {
        assert_eq!(SpoolFsync::parse("always").unwrap(), SpoolFsync::Always);
        assert_eq!(SpoolFsync::parse("interval").unwrap(), SpoolFsync::Interval(Duration::from_millis(100)));
        assert_eq!(
            SpoolFsync::parse("interval:250ms").unwrap(),
            SpoolFsync::Interval(Duration::from_millis(250))
        );
        assert_eq!(SpoolFsync::parse("never").unwrap(), SpoolFsync::Never);
        for wrong in ["", "sometimes", "interval:", "interval:0s", "interval:2h", "always:1s"] {
            assert!(SpoolFsync::parse(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn rate_limits_name_kinds_of_calls() {
        let limits = RateLimits::parse("api=20/s, auth=30/m").unwrap().0;
        assert_eq!(limits[&LimitedCalls::Api], Rate { requests: 20, per: Duration::from_secs(1) });
        assert_eq!(limits[&LimitedCalls::Auth], Rate { requests: 30, per: Duration::from_secs(60) });
        assert_eq!(limits.get(&LimitedCalls::Ingest), None);
        assert!(RateLimits::parse("off").unwrap().0.is_empty());
        for wrong in ["", "api", "api=0/s", "api=1/w", "cats=1/s", "api=1/s,api=2/s"] {
            assert!(RateLimits::parse(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn a_signing_secret_is_long_and_no_example() {
        assert!(jwt_secret("c1f3a0b5d89e4c7f8a6b2d3e4f5a6b7c").is_ok());
        assert!(jwt_secret("short").unwrap_err().contains("5 bytes"));
        assert!(jwt_secret("change-me-change-me-change-me-change-me").unwrap_err().contains("example"));
        assert!(jwt_secret("your-256-bit-secret-your-256-bit-secret").is_err());
        assert!(jwt_secret("Super_Secret_Key_for_development_only!").is_err());
    }

    #[test]
    fn registration_is_closed_by_approval_or_open() {
        assert_eq!(RegistrationPolicy::parse("approval").unwrap(), RegistrationPolicy::Approval);
        assert_eq!(RegistrationPolicy::parse("open").unwrap(), RegistrationPolicy::Open);
        assert_eq!(RegistrationPolicy::parse("closed").unwrap(), RegistrationPolicy::default());
        assert!(RegistrationPolicy::parse("Open?").is_err());
    }
}
