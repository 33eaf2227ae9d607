//! Addresses of the three stores. They carry passwords, so they show themselves without.

use super::{parse::Problem, secret::Secret};
use percent_encoding::percent_decode_str;
use sqlx::postgres::PgConnectOptions;
use std::fmt;
use url::Url;

/// What stands in place of a password in a URL that is shown.
const HIDDEN_PASSWORD: &str = "***";

/// The stores that a process uses, wherever they come from.
#[derive(Debug, Clone)]
pub struct StoreUrls {
    pub postgres: StoreUrl,
    pub clickhouse: ClickHouseUrl,
    pub redis: StoreUrl,
}

/// The URL of PostgreSQL or Redis as its client library takes it.
#[derive(Clone, PartialEq, Eq)]
pub struct StoreUrl(Secret);

impl StoreUrl {
    /// `postgres://user:password@host:port/database`, or `postgresql://`.
    pub fn postgres(text: &str) -> Result<Self, Problem> {
        Self::of_scheme(text, &["postgres", "postgresql"])?;
        // The library's own reader knows parameters that ours doesn't; its message may quote the text, ours not.
        text.parse::<PgConnectOptions>().map_err(|_| "is not a PostgreSQL address".to_owned())?;
        Ok(Self(Secret::new(text)))
    }

    /// `redis://[user:password@]host:port[/number]`, `rediss://` with TLS, `redis+unix:///path`.
    pub fn redis(text: &str) -> Result<Self, Problem> {
        Self::of_scheme(text, &["redis", "rediss", "redis+unix", "unix"])
    }

    fn of_scheme(text: &str, schemes: &[&str]) -> Result<Self, Problem> {
        let url = Url::parse(text).map_err(|error| format!("is not a URL ({error})"))?;
        if !schemes.contains(&url.scheme()) {
            // What stands before the first colon may be a user name or worse: it is not quoted.
            return Err(format!("has a scheme other than {}", schemes.join(", ")));
        }
        Ok(Self(Secret::new(text)))
    }

    pub fn expose(&self) -> &str {
        self.0.expose()
    }
}

impl fmt::Display for StoreUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&without_password(self.expose()))
    }
}

impl fmt::Debug for StoreUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

/// A broker of MQTT, taken apart as its client wants it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BrokerUrl {
    /// Without the brackets of an IPv6 address.
    pub host: String,
    pub port: u16,
    pub is_tls: bool,
    pub credentials: Option<(String, Secret)>,
}

const MQTT_PORT: u16 = 1883;
const MQTTS_PORT: u16 = 8883;

impl BrokerUrl {
    /// `mqtt://[user:password@]host[:port]`, `mqtts://` with TLS.
    pub fn parse(text: &str) -> Result<Self, Problem> {
        let url = Url::parse(text).map_err(|error| format!("is not a URL ({error})"))?;
        let (is_tls, default_port) = match url.scheme() {
            "mqtt" => (false, MQTT_PORT),
            "mqtts" => (true, MQTTS_PORT),
            _ => return Err("has a scheme other than mqtt, mqtts".to_owned()),
        };
        let host = url.host_str().filter(|host| !host.is_empty()).ok_or("names no host")?;
        if !matches!(url.path(), "" | "/") || url.query().is_some() || url.fragment().is_some() {
            return Err("has more than user, password, host and port".to_owned());
        }
        let user = decoded(url.username())?;
        let password = Secret::new(decoded(url.password().unwrap_or_default())?);
        if user.is_empty() && url.password().is_some() {
            return Err("has a password and no user".to_owned());
        }
        Ok(Self {
            host: host.trim_matches(['[', ']']).to_owned(),
            port: url.port().unwrap_or(default_port),
            is_tls,
            credentials: (!user.is_empty()).then_some((user, password)),
        })
    }
}

/// A part of a URL as it is meant.
fn decoded(part: &str) -> Result<String, Problem> {
    percent_decode_str(part)
        .decode_utf8()
        .map(String::from)
        .map_err(|_| "is not UTF-8 once decoded".to_owned())
}

/// ClickHouse's HTTP interface, taken apart as its client wants it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClickHouseUrl {
    /// `http://host:port` or `https://host:port`, without credentials and path.
    pub endpoint: String,
    pub user: String,
    pub password: Secret,
    pub database: String,
}

/// The native protocol's ports and the HTTP ports of the same server: an operator who copies the native
/// address means that server.
const NATIVE_PORT: u16 = 9000;
const NATIVE_TLS_PORT: u16 = 9440;
const HTTP_PORT: u16 = 8123;
const HTTPS_PORT: u16 = 8443;

impl ClickHouseUrl {
    /// `http(s)://user:password@host:port/database`, or `clickhouse://…` whose port 9000 means that host's HTTP
    /// port 8123, 9440 its 8443 with TLS, and any other port is HTTP.
    pub fn parse(text: &str) -> Result<Self, Problem> {
        let url = Url::parse(text).map_err(|error| format!("is not a URL ({error})"))?;
        let host = url.host_str().filter(|host| !host.is_empty()).ok_or("names no host")?;
        let (scheme, port) = match (url.scheme(), url.port_or_known_default()) {
            ("http", Some(port)) => ("http", port),
            ("https", Some(port)) => ("https", port),
            ("clickhouse", None | Some(NATIVE_PORT)) => ("http", HTTP_PORT),
            ("clickhouse", Some(NATIVE_TLS_PORT)) => ("https", HTTPS_PORT),
            ("clickhouse", Some(port)) => ("http", port),
            _ => return Err("has a scheme other than http, https, clickhouse".to_owned()),
        };
        if url.query().is_some() || url.fragment().is_some() {
            return Err("has parameters after the database".to_owned());
        }
        let or_default = |part: String| if part.is_empty() { "default".to_owned() } else { part };
        let database = decoded(url.path().trim_matches('/'))?;
        if database.contains('/') {
            return Err("has a path that is not one database name".to_owned());
        }
        Ok(Self {
            endpoint: format!("{scheme}://{host}:{port}"),
            user: or_default(decoded(url.username())?),
            password: Secret::new(decoded(url.password().unwrap_or_default())?),
            database: or_default(database),
        })
    }
}

/// The URL with its password replaced, also one given as a parameter; a text that is no URL is hidden whole.
pub fn without_password(text: &str) -> String {
    let Ok(mut url) = Url::parse(text) else { return super::secret::HIDDEN.to_owned() };
    // `user:password@host` without a scheme reads as a URL of the scheme `user`.
    if url.cannot_be_a_base() {
        return super::secret::HIDDEN.to_owned();
    }
    if url.password().is_some() && url.set_password(Some(HIDDEN_PASSWORD)).is_err() {
        return super::secret::HIDDEN.to_owned();
    }
    if url.query().is_some() {
        let shown: Vec<(String, String)> = url
            .query_pairs()
            .map(|(name, value)| match name.to_ascii_lowercase().contains("pass") {
                true => (name.into_owned(), HIDDEN_PASSWORD.to_owned()),
                false => (name.into_owned(), value.into_owned()),
            })
            .collect();
        url.query_pairs_mut().clear().extend_pairs(shown);
    }
    url.into()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[track_caller]
    fn assert_clickhouse(text: &str, endpoint: &str, user: &str, password: &str, database: &str) {
        let url = ClickHouseUrl::parse(text).unwrap();
        let found = (url.endpoint.as_str(), url.user.as_str(), url.password.expose(), url.database.as_str());
        assert_eq!(found, (endpoint, user, password, database));
    }

    #[test]
    fn a_clickhouse_address_names_the_http_port_of_its_server() {
        assert_clickhouse("http://u:p@db:8124/mohaa", "http://db:8124", "u", "p", "mohaa");
        assert_clickhouse("https://db:8443/mohaa", "https://db:8443", "default", "", "mohaa");
        assert_clickhouse("clickhouse://db:9000/mohaa", "http://db:8123", "default", "", "mohaa");
        assert_clickhouse("clickhouse://u:p%40ss@db:9440/x", "https://db:8443", "u", "p@ss", "x");
        assert_clickhouse("clickhouse://db:18123/x", "http://db:18123", "default", "", "x");
        assert_clickhouse("clickhouse://db", "http://db:8123", "default", "", "default");
        assert_clickhouse("http://[::1]:8123/x", "http://[::1]:8123", "default", "", "x");
        for wrong in
            ["db:9000/x", "tcp://db:9000/x", "http://db:8123/a/b", "http://db:8123/x?y=1", "clickhouse:///x"]
        {
            assert!(ClickHouseUrl::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_shown_address_holds_no_password() {
        let url = StoreUrl::postgres("postgres://mohaa:s3cret@db:5432/mohaa?sslmode=require").unwrap();
        assert_eq!(format!("{url}"), "postgres://mohaa:***@db:5432/mohaa?sslmode=require");
        assert!(!format!("{url:?}").contains("s3cret"));
        assert!(!without_password("postgres://db/mohaa?user=a&password=s3cret").contains("s3cret"));
        assert_eq!(without_password("s3cret"), "[hidden]");
        assert_eq!(without_password("mohaa:s3cret@db/mohaa"), "[hidden]");
        let clickhouse = ClickHouseUrl::parse("http://u:s3cret@db:8123/x").unwrap();
        assert!(!format!("{clickhouse:?}").contains("s3cret"));
    }

    #[test]
    fn a_store_is_reached_by_its_own_scheme() {
        assert!(StoreUrl::postgres("postgresql://db/mohaa").is_ok());
        assert!(StoreUrl::postgres("mysql://db/mohaa").unwrap_err().contains("postgresql"));
        assert!(StoreUrl::redis("redis://:pw@cache:6379/3").is_ok());
        assert!(StoreUrl::redis("cache:6379").is_err());
    }

    #[test]
    fn a_broker_is_told_apart_from_its_credentials() {
        let broker = BrokerUrl::parse("mqtts://stats:p%40ss@broker").unwrap();
        assert_eq!((broker.host.as_str(), broker.port, broker.is_tls), ("broker", 8883, true));
        let (user, password) = broker.credentials.clone().unwrap();
        assert_eq!((user.as_str(), password.expose()), ("stats", "p@ss"));
        assert!(!format!("{broker:?}").contains("p@ss"));
        let plain = BrokerUrl::parse("mqtt://[::1]:1884/").unwrap();
        assert_eq!((plain.host.as_str(), plain.port, plain.is_tls), ("::1", 1884, false));
        assert!(plain.credentials.is_none());
        for wrong in ["http://broker", "broker:1883", "mqtt://", "mqtt://broker/events", "mqtt://:pw@broker"]
        {
            assert!(BrokerUrl::parse(wrong).is_err(), "{wrong}");
        }
    }
}
