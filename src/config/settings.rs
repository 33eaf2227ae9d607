//! The one table of settings: name, meaning, default, what is allowed, and how the text becomes part of the
//! configuration. Flags, environment, file, `--help` and `mohaa-stats config` are all made from it.

use super::{
    Config,
    choices::{RateLimits, RegistrationPolicy, SpoolFsync, jwt_secret},
    parse::{self, Problem},
    secret::Secret,
    store_urls::{BrokerUrl, ClickHouseUrl, RedisUrl, StoreUrl},
};
use std::{path::PathBuf, time::Duration};
use url::Url;

/// One setting. Its name is that of the environment variable; the file's key is the name in lower case, the
/// flag has dashes (`WORKER_COUNT`, `worker_count`, `--worker-count`).
pub struct Setting {
    pub name: &'static str,
    pub meaning: &'static str,
    pub allowed: &'static str,
    pub default: Preset,
    pub shown: Shown,
    pub apply: fn(&mut Config, &str) -> Result<(), Problem>,
}

/// What holds where nothing is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Preset {
    Unset,
    Value(&'static str),
    /// Private stores serve one machine, so the service around them starts careful with the network and
    /// generous with limits.
    Depends {
        with_own_stores: &'static str,
        otherwise: &'static str,
    },
}

impl Preset {
    pub fn text(self, own_stores: bool) -> Option<&'static str> {
        match self {
            Self::Unset => None,
            Self::Value(text) => Some(text),
            Self::Depends { with_own_stores, .. } if own_stores => Some(with_own_stores),
            Self::Depends { otherwise, .. } => Some(otherwise),
        }
    }
}

/// How much of a value may be shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shown {
    Whole,
    /// A URL without its password.
    WithoutPassword,
    /// Nothing. Such a setting has no flag either: a command line can be read by every user of a machine.
    Nothing,
}

impl Setting {
    pub fn flag(&self) -> String {
        self.name.to_ascii_lowercase().replace('_', "-")
    }

    pub fn file_key(&self) -> String {
        self.name.to_ascii_lowercase()
    }

    pub fn show(&self, value: &str) -> String {
        match self.shown {
            Shown::Whole => value.to_owned(),
            Shown::WithoutPassword => super::store_urls::without_password(value),
            Shown::Nothing => super::secret::HIDDEN.to_owned(),
        }
    }

    const fn new(
        name: &'static str,
        default: Preset,
        allowed: &'static str,
        meaning: &'static str,
        apply: fn(&mut Config, &str) -> Result<(), Problem>,
    ) -> Self {
        Self { name, meaning, allowed, default, shown: Shown::Whole, apply }
    }

    const fn without_password(mut self) -> Self {
        self.shown = Shown::WithoutPassword;
        self
    }

    const fn hidden(mut self) -> Self {
        self.shown = Shown::Nothing;
        self
    }
}

const fn milliseconds(count: u64) -> Duration {
    Duration::from_millis(count)
}

const fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

const DAY: u64 = 86_400;
const MIB: u64 = 1 << 20;

fn set<T>(field: &mut T, value: Result<T, Problem>) -> Result<(), Problem> {
    *field = value?;
    Ok(())
}

fn set_some<T>(field: &mut Option<T>, value: Result<T, Problem>) -> Result<(), Problem> {
    *field = Some(value?);
    Ok(())
}

/// An origin as browsers see it, without a trailing slash.
fn public_url(text: &str) -> Result<String, Problem> {
    let url = Url::parse(text).map_err(|error| format!("is not a URL ({error})"))?;
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
        return Err("is not an http or https address".to_owned());
    }
    if url.path() != "/" || url.query().is_some() || url.fragment().is_some() || !url.username().is_empty() {
        return Err("has more than scheme, host and port".to_owned());
    }
    Ok(url.origin().ascii_serialization())
}

fn not_empty(text: &str) -> Result<Secret, Problem> {
    Ok(Secret::new(text))
}

const HTTP_ADDRESS: &str = "http:// or https:// with a host and perhaps a port";

const DURATION: &str = "a duration (500ms, 2s, 10m, 12h, 7d; a bare number counts seconds)";

/// All settings, in the order in which they are shown.
pub static SETTINGS: [Setting; 43] = [
    Setting::new("PORT", Preset::Value("8080"), "0 to 65535, 0 for any free port", "TCP port to listen on", |config, text| {
        set(&mut config.port, parse::whole_number(text, 0..=65_535))
    }),
    Setting::new(
        "LISTEN",
        Preset::Depends { with_own_stores: "127.0.0.1", otherwise: "0.0.0.0" },
        "an IP address, with or without a port; localhost; :port",
        "Address to listen on; a port given here beats PORT",
        |config, text| {
            let address = parse::listen_address(text)?;
            config.listen_ip = address.ip.or(config.listen_ip);
            config.port = address.port.unwrap_or(config.port);
            Ok(())
        },
    ),
    Setting::new(
        "PUBLIC_URL",
        Preset::Unset,
        HTTP_ADDRESS,
        "Address at which browsers reach the service; cookies are Secure when it is https",
        |config, text| set_some(&mut config.public_url, public_url(text)),
    ),
    Setting::new(
        "EMBED_ANCESTORS",
        Preset::Value("*"),
        "*, none, self, or origins divided by blanks (https://example.org https://*.example.net)",
        "Sites that may show what is made for embedding (/embed/…, bracket.svg) in a frame; all other pages are shown in none",
        |config, text| set(&mut config.embed_ancestors, parse::frame_ancestors(text)),
    ),
    Setting::new(
        "OPS_LISTEN",
        Preset::Unset,
        "an IP address and a port",
        "Address of a second listener for health, readiness and metrics",
        |config, text| set_some(&mut config.ops_listen, parse::socket_address(text)),
    ),
    Setting::new("DATA_DIR", Preset::Value("data"), "a folder", "Folder for everything kept on this machine (demo: data/demo)", |config, text| {
        set(&mut config.data_dir, Ok(PathBuf::from(text)))
    }),
    Setting::new(
        "POSTGRES_URL",
        Preset::Unset,
        "postgres://user:password@host:port/database, or several hosts divided by commas, of which one is the primary",
        "PostgreSQL: users, servers, tournaments",
        |config, text| set_some(&mut config.postgres_url, StoreUrl::postgres(text)),
    )
    .without_password(),
    Setting::new(
        "CLICKHOUSE_URL",
        Preset::Unset,
        "http(s)://user:password@host:port/database, or clickhouse://host:9000/database for that host's HTTP port 8123",
        "ClickHouse's HTTP interface: events and statistics",
        |config, text| set_some(&mut config.clickhouse_url, ClickHouseUrl::parse(text)),
    )
    .without_password(),
    Setting::new(
        "CLICKHOUSE_CLUSTER",
        Preset::Unset,
        "a name of letters, digits, _ and -",
        "Cluster of ClickHouse over whose nodes the tables are spread; without it ClickHouse is one engine",
        |config, text| set_some(&mut config.clickhouse_cluster, parse::plain_name(text)),
    ),
    Setting::new(
        "REDIS_URL",
        Preset::Unset,
        "redis://user:password@host:port, rediss:// with TLS, or redis+sentinel://user:password@host:port,host:port/master",
        "Redis: what is live and shared between nodes",
        |config, text| set_some(&mut config.redis_url, RedisUrl::parse(text)),
    )
    .without_password(),
    Setting::new("MQTT_URL", Preset::Unset, "mqtt://user:password@host:port, or mqtts:// with TLS", "Broker of MQTT to take events from, besides those that are posted", |config, text| {
        set_some(&mut config.mqtt_url, BrokerUrl::parse(text))
    })
    .without_password(),
    Setting::new(
        "MQTT_SHARED",
        Preset::Value("on"),
        "on or off",
        "Whether nodes share what the broker delivers; off for a single node, whose subscription the broker then keeps over its own restart",
        |config, text| set(&mut config.mqtt_shared, parse::switch(text)),
    ),
    Setting::new("WORKER_COUNT", Preset::Value("2"), "1 to 256", "Writers into ClickHouse", |config, text| {
        set(&mut config.worker_count, parse::whole_number(text, 1..=256))
    }),
    Setting::new(
        "WORKER_QUEUE_SIZE",
        Preset::Value("10000"),
        "1 to 100000000",
        "Events that may wait for the spool before requests are answered 429",
        |config, text| set(&mut config.worker_queue_events, parse::whole_number(text, 1..=100_000_000)),
    ),
    Setting::new(
        "WORKER_BATCH_SIZE",
        Preset::Value("20000"),
        "1 to 1000000",
        "Rows that seal a batch when a writer is free",
        |config, text| set(&mut config.worker_batch_rows, parse::whole_number(text, 1..=1_000_000)),
    ),
    Setting::new(
        "WORKER_FLUSH_INTERVAL",
        Preset::Value("500ms"),
        DURATION,
        "Age that seals a batch when a writer is free, from 1ms to 60s; over 1s, answers are older than 2 s",
        |config, text| set(&mut config.worker_flush_interval, parse::duration(text, milliseconds(1)..=seconds(60))),
    ),
    Setting::new(
        "WORKER_BATCH_MAX",
        Preset::Value("200000"),
        "1 to 1000000",
        "Rows that a batch may grow to while no writer is free; at least WORKER_BATCH_SIZE",
        |config, text| set(&mut config.worker_batch_max_rows, parse::whole_number(text, 1..=1_000_000)),
    ),
    Setting::new(
        "INGEST_MAX_BODY",
        Preset::Value("1MiB"),
        "a size from 1KiB to 1GiB (65536, 64MB, 1MiB)",
        "Largest body of events, after decompression",
        |config, text| set(&mut config.ingest_max_body_bytes, parse::size(text, 1_024..=1_024 * MIB)),
    ),
    Setting::new("INGEST_MAX_EVENTS", Preset::Value("5000"), "1 to 1000000", "Most events of one request", |config, text| {
        set(&mut config.ingest_max_events, parse::whole_number(text, 1..=1_000_000))
    }),
    Setting::new(
        "INGEST_CHUNK_TIMEOUT",
        Preset::Value("10s"),
        DURATION,
        "Longest wait for the next part of a body, from 10ms to 10m",
        |config, text| set(&mut config.ingest_chunk_timeout, parse::duration(text, milliseconds(10)..=seconds(600))),
    ),
    Setting::new("SPOOL_DIR", Preset::Unset, "a folder", "Folder of the spool; without it DATA_DIR/spool", |config, text| {
        set_some(&mut config.spool_dir, Ok(PathBuf::from(text)))
    }),
    Setting::new(
        "SPOOL_FSYNC",
        Preset::Value("interval"),
        "always, interval, interval:250ms or never",
        "When accepted events reach the disk: before the answer, every 100 ms, or when the kernel likes",
        |config, text| set(&mut config.spool_fsync, SpoolFsync::parse(text)),
    ),
    Setting::new(
        "SPOOL_MAX_BYTES",
        Preset::Value("4GiB"),
        "a size from 1MiB",
        "Disk that the spool may take before requests are answered 429",
        |config, text| set(&mut config.spool_max_bytes, parse::size(text, MIB..=u64::MAX)),
    ),
    Setting::new(
        "SPOOL_SEGMENT_BYTES",
        Preset::Value("64MiB"),
        "a size from 64KiB to 4GiB",
        "Size at which a new segment of the spool begins; at most a quarter of SPOOL_MAX_BYTES",
        |config, text| set(&mut config.spool_segment_bytes, parse::size(text, 65_536..=4_096 * MIB)),
    ),
    Setting::new(
        "EVENT_TIME_PAST",
        Preset::Value("7d"),
        DURATION,
        "How far back an event's own time may lie",
        |config, text| set(&mut config.event_time_past, parse::duration(text, Duration::ZERO..=seconds(3_650 * DAY))),
    ),
    Setting::new(
        "EVENT_TIME_FUTURE",
        Preset::Value("5m"),
        DURATION,
        "How far ahead an event's own time may lie, at most 1d",
        |config, text| set(&mut config.event_time_future, parse::duration(text, Duration::ZERO..=seconds(DAY))),
    ),
    Setting::new(
        "RAW_EVENTS_TTL",
        Preset::Value("0"),
        "a number of days, 0 to keep them for ever",
        "Days after which raw events are deleted; statistics stay",
        |config, text| set(&mut config.raw_events_ttl_days, parse::days(text)),
    ),
    Setting::new(
        "JWT_SECRET",
        Preset::Unset,
        "at least 32 bytes, and no example value",
        "Key that signs access tokens; `serve --embedded` makes one and keeps it",
        |config, text| set_some(&mut config.jwt_secret, jwt_secret(text)),
    )
    .hidden(),
    Setting::new(
        "JWT_SECRET_PREVIOUS",
        Preset::Unset,
        "at least 32 bytes, and no example value",
        "Key whose tokens are still taken, while keys change",
        |config, text| set_some(&mut config.jwt_secret_previous, jwt_secret(text)),
    )
    .hidden(),
    Setting::new("DISCORD_CLIENT_ID", Preset::Unset, "", "Application id to sign in with Discord", |config, text| {
        set_some(&mut config.discord_client_id, Ok(text.to_owned()))
    }),
    Setting::new("DISCORD_CLIENT_SECRET", Preset::Unset, "", "Secret of that application", |config, text| {
        set_some(&mut config.discord_client_secret, not_empty(text))
    })
    .hidden(),
    Setting::new("STEAM_API_KEY", Preset::Unset, "", "Key to sign in with Steam", |config, text| {
        set_some(&mut config.steam_api_key, not_empty(text))
    })
    .hidden(),
    Setting::new(
        "DISCORD_URL",
        Preset::Value("https://discord.com"),
        HTTP_ADDRESS,
        "Where Discord is",
        |config, text| set(&mut config.discord_url, public_url(text)),
    ),
    Setting::new(
        "STEAM_URL",
        Preset::Value("https://steamcommunity.com"),
        HTTP_ADDRESS,
        "Where people sign in with Steam",
        |config, text| set(&mut config.steam_url, public_url(text)),
    ),
    Setting::new(
        "STEAM_API_URL",
        Preset::Value("https://api.steampowered.com"),
        HTTP_ADDRESS,
        "Where names of Steam accounts are asked for",
        |config, text| set(&mut config.steam_api_url, public_url(text)),
    ),
    Setting::new(
        "REGISTRATION_POLICY",
        Preset::Value("closed"),
        "closed, approval or open",
        "Whether game scripts may register servers",
        |config, text| set(&mut config.registration_policy, RegistrationPolicy::parse(text)),
    ),
    Setting::new(
        "TRUSTED_PROXIES",
        Preset::Unset,
        "addresses and networks divided by commas (127.0.0.1,10.0.0.0/8)",
        "Proxies whose X-Forwarded-For names the client",
        |config, text| set(&mut config.trusted_proxies, parse::networks(text)),
    ),
    Setting::new(
        "RATE_LIMITS",
        Preset::Depends {
            with_own_stores: "off",
            otherwise: "ingest=200/s,events=2000/s,api=50/s,auth=60/m,register=30/h",
        },
        "off, or a list of ingest, events, quota, api, auth, register such as api=20/s,quota=5000000/d",
        "Requests and events of one game server (ingest, events), its events for the long run too (quota); requests of one user, or else one address (api, auth, register)",
        |config, text| set(&mut config.rate_limits, RateLimits::parse(text)),
    ),
    Setting::new(
        "WEBHOOK_ALLOWED_NETWORKS",
        Preset::Unset,
        "addresses and networks divided by commas (127.0.0.1,10.0.0.0/8)",
        "Networks that webhooks may lead to although they are not public; every other private address is refused",
        |config, text| set(&mut config.webhook_allowed_networks, parse::networks(text)),
    ),
    Setting::new(
        "WEBHOOK_TIMEOUT",
        Preset::Value("10s"),
        DURATION,
        "Longest wait for a webhook's answer, from 100ms to 30s",
        |config, text| set(&mut config.webhook_timeout, parse::duration(text, milliseconds(100)..=seconds(30))),
    ),
    Setting::new(
        "SERVER_QUERY",
        Preset::Value("off"),
        "on or off",
        "Ask game servers over UDP for their map, game type, slots and players, every 30 seconds",
        |config, text| set(&mut config.server_query, parse::switch(text)),
    ),
    Setting::new(
        "SERVER_QUERY_ALLOWED_NETWORKS",
        Preset::Unset,
        "addresses and networks divided by commas (127.0.0.1,10.0.0.0/8)",
        "Networks in which game servers are asked although they are not public; every other private address is left alone",
        |config, text| set(&mut config.server_query_allowed_networks, parse::networks(text)),
    ),
    Setting::new(
        "SHUTDOWN_TIMEOUT",
        Preset::Value("20s"),
        DURATION,
        "Longest wait for requests and writers at shutdown, at most 10m",
        |config, text| set(&mut config.shutdown_timeout, parse::duration(text, Duration::ZERO..=seconds(600))),
    ),
];
