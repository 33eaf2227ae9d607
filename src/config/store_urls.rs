//! Addresses of the three stores. They carry passwords, so they show themselves without.

use super::{parse::Problem, secret::Secret, several_hosts::SeveralHosts};
use deadpool_redis::redis;
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
    pub redis: RedisUrl,
}

/// The URL of PostgreSQL as its client library takes it, or one for each of several servers.
#[derive(Clone, PartialEq, Eq)]
pub struct StoreUrl {
    whole: Secret,
    /// In the order in which they were written.
    servers: Vec<Secret>,
}

/// What libpq asks of a server is asked here of all: that it is the primary.
const ATTRIBUTES: &str = "target_session_attrs";

impl StoreUrl {
    /// `postgres://user:password@host:port/database`, or `postgresql://`; with several hosts divided by commas for a primary and its
    /// standbys.
    pub fn postgres(text: &str) -> Result<Self, Problem> {
        let schemes = ["postgres", "postgresql"];
        let servers = match several_hosts(text) {
            Some(several) => {
                check_scheme(several.scheme, &schemes)?;
                let wanted = several.parameters.iter().find(|(name, _)| *name == ATTRIBUTES);
                if wanted.is_some_and(|(_, value)| !matches!(*value, "read-write" | "primary")) {
                    return Err(format!("asks for {ATTRIBUTES} other than read-write or primary"));
                }
                several.hosts.iter().map(|host| several.of_host(host, |name| name == ATTRIBUTES)).collect()
            }
            None => {
                let url = Url::parse(text).map_err(|error| format!("is not a URL ({error})"))?;
                check_scheme(url.scheme(), &schemes)?;
                vec![text.to_owned()]
            }
        };
        // The library's own reader knows parameters that ours doesn't; its message may quote the text, ours not.
        for server in &servers {
            server.parse::<PgConnectOptions>().map_err(|_| "is not a PostgreSQL address".to_owned())?;
        }
        Ok(Self { whole: Secret::new(text), servers: servers.into_iter().map(Secret::new).collect() })
    }

    /// The address of each server, the first of which is the primary as a rule.
    pub fn servers(&self) -> impl ExactSizeIterator<Item = &str> {
        self.servers.iter().map(Secret::expose)
    }

    pub fn expose(&self) -> &str {
        self.whole.expose()
    }
}

/// The address, where it has more than one host.
fn several_hosts(text: &str) -> Option<SeveralHosts<'_>> {
    SeveralHosts::parse(text).ok().filter(|found| found.hosts.len() > 1)
}

fn check_scheme(scheme: &str, allowed: &[&str]) -> Result<(), Problem> {
    match allowed.contains(&scheme) {
        true => Ok(()),
        // What stands before the first colon may be a user name or worse: it is not quoted.
        false => Err(format!("has a scheme other than {}", allowed.join(", "))),
    }
}

/// Where Redis is.
#[derive(Clone, PartialEq, Eq)]
pub enum RedisUrl {
    /// One server, as its client library takes it.
    Server(Secret),
    /// Sentinels, which know the server that is the master.
    Sentinels {
        hosts: Vec<(String, u16)>,
        /// The name by which they know it.
        master: String,
        database: i64,
        user: Option<String>,
        password: Option<Secret>,
        /// Of the sentinels themselves.
        sentinel_password: Option<Secret>,
        is_tls: bool,
    },
}

const SENTINEL_PORT: u16 = 26_379;

impl RedisUrl {
    /// `redis://[user:password@]host:port[/number]`, `rediss://` with TLS, `redis+unix:///path`; or
    /// `redis+sentinel://[user:password@]host:port,host:port/master[/number][?sentinel_password=…]`, `rediss+sentinel://` with TLS.
    pub fn parse(text: &str) -> Result<Self, Problem> {
        if let Some((scheme @ ("redis+sentinel" | "rediss+sentinel"), _)) = text.split_once("://") {
            return Self::parse_sentinels(text, scheme == "rediss+sentinel");
        }
        let url = Url::parse(text).map_err(|error| format!("is not a URL ({error})"))?;
        check_scheme(
            url.scheme(),
            &["redis", "rediss", "redis+unix", "unix", "redis+sentinel", "rediss+sentinel"],
        )?;
        Ok(Self::Server(Secret::new(text)))
    }

    fn parse_sentinels(text: &str, is_tls: bool) -> Result<Self, Problem> {
        let found = SeveralHosts::parse(text)?;
        let mut hosts = Vec::new();
        for host in &found.hosts {
            let url =
                Url::parse(&format!("redis://{host}")).map_err(|_| "names a host that is none".to_owned())?;
            let name = url.host_str().ok_or("names no host")?.trim_matches(['[', ']']).to_owned();
            hosts.push((name, url.port().unwrap_or(SENTINEL_PORT)));
        }
        let (master, database) = found.path.split_once('/').unwrap_or((found.path, "0"));
        if master.is_empty() {
            return Err("names no master after the hosts".to_owned());
        }
        let mut sentinel_password = None;
        for (name, value) in &found.parameters {
            match *name {
                "sentinel_password" => sentinel_password = Some(Secret::new(decoded(value)?)),
                _ => return Err("has a parameter other than sentinel_password".to_owned()),
            }
        }
        let user = decoded(found.user)?;
        Ok(Self::Sentinels {
            hosts,
            master: decoded(master)?,
            database: database.parse().map_err(|_| "has a database that is no number".to_owned())?,
            user: (!user.is_empty()).then_some(user),
            password: found.password.map(decoded).transpose()?.map(Secret::new),
            sentinel_password,
            is_tls,
        })
    }

    /// The number of the database.
    ///
    /// # Errors
    /// When the address can't be used.
    pub fn database(&self) -> redis::RedisResult<i64> {
        match self {
            Self::Server(url) => {
                Ok(redis::Client::open(url.expose())?.get_connection_info().redis_settings().db())
            }
            Self::Sentinels { database, .. } => Ok(*database),
        }
    }
}

impl fmt::Display for RedisUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Server(url) => formatter.write_str(&without_password(url.expose())),
            Self::Sentinels { hosts, master, database, .. } => {
                let hosts: Vec<String> = hosts.iter().map(|(host, port)| format!("{host}:{port}")).collect();
                write!(formatter, "redis+sentinel://{}/{master}/{database}", hosts.join(","))
            }
        }
    }
}

impl fmt::Debug for RedisUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
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
    if let Some(several) = several_hosts(text) {
        return several.shown(HIDDEN_PASSWORD);
    }
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
        assert!(RedisUrl::parse("redis://:pw@cache:6379/3").is_ok());
        assert!(RedisUrl::parse("cache:6379").is_err());
    }

    #[test]
    fn postgresql_may_be_several_servers_each_with_an_address_of_its_own() {
        let url = StoreUrl::postgres(
            "postgres://u:p%40ss@a:5432,b:5433/db?target_session_attrs=read-write&sslmode=disable",
        )
        .unwrap();
        let servers: Vec<&str> = url.servers().collect();
        assert_eq!(
            servers,
            [
                "postgres://u:p%40ss@a:5432/db?sslmode=disable",
                "postgres://u:p%40ss@b:5433/db?sslmode=disable"
            ]
        );
        assert_eq!(format!("{url}"), "postgres://u:***@a:5432,b:5433/db");
        assert!(StoreUrl::postgres("postgres://a,b/db?target_session_attrs=standby").is_err());
        assert_eq!(StoreUrl::postgres("postgres://a/db").unwrap().servers().len(), 1);
    }

    #[test]
    fn sentinels_are_told_apart_from_the_master_that_they_name() {
        let url =
            RedisUrl::parse("redis+sentinel://:p%40ss@s1:26379,s2/main/3?sentinel_password=other").unwrap();
        assert_eq!(format!("{url:?}"), "redis+sentinel://s1:26379,s2:26379/main/3");
        let RedisUrl::Sentinels { hosts, master, database, user, password, sentinel_password, is_tls } = url
        else {
            panic!("not of sentinels")
        };
        assert_eq!((hosts.len(), master.as_str(), database, user, is_tls), (2, "main", 3, None, false));
        assert_eq!(password.unwrap().expose(), "p@ss");
        assert_eq!(sentinel_password.unwrap().expose(), "other");
        assert!(!without_password("redis+sentinel://:s3cret@a,b/main").contains("s3cret"));
        for wrong in [
            "redis+sentinel://s1,s2",
            "redis+sentinel://s1/main/x",
            "redis+sentinel://s1/main?db=1",
            "redis+sentinel:///main",
        ] {
            assert!(RedisUrl::parse(wrong).is_err(), "{wrong}");
        }
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
