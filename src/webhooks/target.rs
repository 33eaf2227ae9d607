//! The address of a webhook, as far as it can be judged without asking anybody.

use std::fmt;

use url::{Host, Url};

use crate::networks::AllowedNetworks;

const LONGEST_URL_BYTES: usize = 2_048;
/// Where something else than HTTP is likely to listen: a body sent there might be taken for commands.
const LOWEST_UNRESERVED_PORT: u16 = 1_024;
const HIDDEN: &str = "…";

/// An http or https address with a port that is HTTP's or nobody's; whether its host may be sent to is checked when it is
/// connected to. Formatted without what opens it.
#[derive(Clone, PartialEq, Eq)]
pub struct TargetUrl(Url);

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidTarget {
    #[error("is no http or https address of at most {LONGEST_URL_BYTES} bytes")]
    NoAddress,
    #[error("names a user or password: messages are signed instead")]
    Credentials,
    #[error("names a port other than 80, 443 or one from {LOWEST_UNRESERVED_PORT} on")]
    Port,
    #[error("leads to an address that is not public")]
    Private,
}

impl TargetUrl {
    /// # Errors
    /// When nothing could be sent there.
    pub fn parse(text: &str, networks: &AllowedNetworks) -> Result<Self, InvalidTarget> {
        let text = text.trim();
        if text.len() > LONGEST_URL_BYTES {
            return Err(InvalidTarget::NoAddress);
        }
        let mut url = Url::parse(text).map_err(|_| InvalidTarget::NoAddress)?;
        if !matches!(url.scheme(), "http" | "https") || url.as_str().len() > LONGEST_URL_BYTES {
            return Err(InvalidTarget::NoAddress);
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(InvalidTarget::Credentials);
        }
        if !matches!(url.port_or_known_default(), Some(80 | 443 | LOWEST_UNRESERVED_PORT..)) {
            return Err(InvalidTarget::Port);
        }
        url.set_fragment(None);
        let target = Self(url);
        target.check_literal(networks)?;
        Ok(target)
    }

    /// One that was taken before.
    pub fn kept(text: &str) -> Option<Self> {
        Url::parse(text).ok().map(Self)
    }

    /// An address that stands there as such needs no name server, and the HTTP client asks nobody about it.
    ///
    /// # Errors
    /// [`InvalidTarget::Private`].
    pub fn check_literal(&self, networks: &AllowedNetworks) -> Result<(), InvalidTarget> {
        let address = match self.0.host().ok_or(InvalidTarget::NoAddress)? {
            Host::Ipv4(address) => address.into(),
            Host::Ipv6(address) => address.into(),
            Host::Domain(_) => return Ok(()),
        };
        networks.check(address).map_err(|_| InvalidTarget::Private)
    }

    /// Host and port of one that stands there by name.
    pub fn name_and_port(&self) -> Option<(&str, u16)> {
        Some((self.0.domain()?, self.0.port_or_known_default()?))
    }

    /// The whole address, with what opens it.
    pub fn expose(&self) -> &str {
        self.0.as_str()
    }

    /// The address without its path and query: Discord's, and those of others who know receivers by a secret path, hold what
    /// opens them there, in whichever part. Of Discord's the webhook's number is told, which opens nothing.
    pub fn shown(&self) -> String {
        let mut shown = format!("{}://{}", self.0.scheme(), self.0.host_str().unwrap_or_default());
        if let Some(port) = self.0.port() {
            shown.push_str(&format!(":{port}"));
        }
        let path = self.0.path();
        shown.push('/');
        if let Some(number) = discords_number(path) {
            shown.push_str(&format!("api/webhooks/{number}/"));
        }
        if path != "/" {
            shown.push_str(HIDDEN);
        }
        if self.0.query().is_some() {
            shown.push_str(&format!("?{HIDDEN}"));
        }
        shown
    }
}

/// The number in `/api/webhooks/123/token`, which may say a version and what follows.
fn discords_number(path: &str) -> Option<&str> {
    let mut parts = path.strip_prefix("/api/")?.split('/').peekable();
    parts.next_if(|part| part.strip_prefix('v').is_some_and(|it| it.parse::<u8>().is_ok()));
    parts.next_if_eq(&"webhooks")?;
    parts.next().filter(|number| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()))
}

impl fmt::Debug for TargetUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.shown())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn parse(text: &str) -> Result<TargetUrl, InvalidTarget> {
        TargetUrl::parse(text, &AllowedNetworks::default())
    }

    #[test]
    fn an_address_is_http_on_a_port_of_http_or_of_nobody() {
        for good in [
            "https://example.org/hook",
            "http://example.org:8080/",
            "https://example.org:443",
            "http://[2606:4700::1]/x",
        ] {
            assert!(parse(good).is_ok(), "{good}");
        }
        for (wrong, why) in [
            ("", InvalidTarget::NoAddress),
            ("example.org/hook", InvalidTarget::NoAddress),
            ("ftp://example.org/", InvalidTarget::NoAddress),
            ("file:///etc/passwd", InvalidTarget::NoAddress),
            ("gopher://example.org:70/", InvalidTarget::NoAddress),
            ("https://user@example.org/", InvalidTarget::Credentials),
            ("https://user:word@example.org/", InvalidTarget::Credentials),
            ("http://example.org:25/", InvalidTarget::Port),
            ("http://example.org:22/", InvalidTarget::Port),
            ("https://example.org:0/", InvalidTarget::Port),
        ] {
            assert_eq!(parse(wrong).unwrap_err(), why, "{wrong}");
        }
        let long = format!("https://example.org/{}", "x".repeat(2_048));
        assert_eq!(parse(&long).unwrap_err(), InvalidTarget::NoAddress);
    }

    #[test]
    fn private_addresses_are_known_however_they_are_written() {
        for wrong in [
            "http://127.0.0.1/",
            "http://127.1/",
            "http://2130706433/",
            "http://0x7f.0.0.1/",
            "http://017700000001/",
            "http://[::1]/",
            "http://[::ffff:127.0.0.1]/",
            "http://[::ffff:7f00:1]/",
            "http://169.254.169.254/latest",
            "http://0/",
            "http://[fe80::1]/",
            "https://10.0.0.1:8443/",
            "http://１２７.0.0.1/",
        ] {
            assert_eq!(parse(wrong).unwrap_err(), InvalidTarget::Private, "{wrong}");
        }
    }

    #[test]
    fn what_opens_an_address_is_not_shown() {
        for (url, shown) in [
            ("https://discord.com/api/webhooks/123/s3cret", "https://discord.com/api/webhooks/123/…"),
            ("https://example.org:8443/hook?key=s3cret#part", "https://example.org:8443/…?…"),
            ("http://example.org", "http://example.org/"),
            ("https://discord.com/api/webhooks/123/s3cret/", "https://discord.com/api/webhooks/123/…"),
            (
                "https://discord.com/api/v10/webhooks/123/s3cret/slack",
                "https://discord.com/api/webhooks/123/…",
            ),
            ("https://discord.com/api/webhooks/s3cret/x", "https://discord.com/…"),
            ("https://example.org/s3cret/b/", "https://example.org/…"),
            ("https://hooks.example.org/services/s3cret/s3cret", "https://hooks.example.org/…"),
        ] {
            let target = parse(url).unwrap();
            assert_eq!(target.shown(), shown);
            assert!(!format!("{target:?}").contains("s3cret"));
        }
    }
}
