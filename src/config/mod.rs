//! The configuration: flags over environment over a TOML file over defaults, understood and checked as a whole
//! before anything starts. Every mistake is told at once, with the value (unless it is a secret), where it stands
//! and what is allowed; a key of the file that is no setting is a mistake too, for it is most likely a misspelt one.

mod choices;
pub mod kept;
mod mistakes;
mod parse;
mod secret;
mod settings;
mod several_hosts;
mod sources;
mod store_urls;

pub use choices::{LimitedCalls, Rate, RateLimits, RegistrationPolicy, SpoolFsync};
pub use mistakes::{ConfigError, Mistake, Mistakes};
pub use secret::{HIDDEN, Secret};
pub use settings::{Preset, SETTINGS, Setting, Shown};
pub use sources::{STORES_FILE, Source, Sources, StoresFile};
pub use store_urls::{BrokerUrl, ClickHouseUrl, RedisUrl, StoreUrl, StoreUrls};

use ipnet::IpNet;
use sources::Layers;
use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::PathBuf,
    time::Duration,
};

/// Every setting, understood. What each means stands in the settings' table.
///
/// `Default` is only the ground that `load` builds on: what holds by default stands in that table.
#[derive(Debug, Clone, Default)]
pub struct Config {
    listen_ip: Option<IpAddr>,
    port: u16,
    /// Without a trailing slash.
    pub public_url: Option<String>,
    /// Sources of `frame-ancestors` of what is made for embedding.
    pub embed_ancestors: String,
    pub ops_listen: Option<SocketAddr>,
    pub data_dir: PathBuf,
    pub postgres_url: Option<StoreUrl>,
    pub clickhouse_url: Option<ClickHouseUrl>,
    /// Of ClickHouse's `remote_servers`.
    pub clickhouse_cluster: Option<String>,
    pub redis_url: Option<RedisUrl>,
    pub mqtt_url: Option<BrokerUrl>,
    pub mqtt_shared: bool,
    pub worker_count: usize,
    pub worker_queue_events: usize,
    pub worker_batch_rows: usize,
    pub worker_flush_interval: Duration,
    pub worker_batch_max_rows: usize,
    pub ingest_max_body_bytes: u64,
    pub ingest_max_events: usize,
    pub ingest_chunk_timeout: Duration,
    pub spool_dir: Option<PathBuf>,
    pub spool_fsync: SpoolFsync,
    pub spool_max_bytes: u64,
    pub spool_segment_bytes: u64,
    pub event_time_past: Duration,
    pub event_time_future: Duration,
    /// 0 keeps them for ever.
    pub raw_events_ttl_days: u32,
    pub jwt_secret: Option<Secret>,
    pub jwt_secret_previous: Option<Secret>,
    pub discord_client_id: Option<String>,
    pub discord_client_secret: Option<Secret>,
    pub discord_url: String,
    pub steam_api_key: Option<Secret>,
    pub steam_url: String,
    pub steam_api_url: String,
    pub registration_policy: RegistrationPolicy,
    pub trusted_proxies: Vec<IpNet>,
    pub rate_limits: RateLimits,
    pub webhook_allowed_networks: Vec<IpNet>,
    pub webhook_timeout: Duration,
    pub server_query: bool,
    pub server_query_allowed_networks: Vec<IpNet>,
    pub shutdown_timeout: Duration,
}

/// What a configuration is for: it decides which settings can't be missing, and a few defaults.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Purpose {
    /// The process runs private stores: their URLs come later, and some defaults are those of one machine.
    pub own_stores: bool,
    pub stores_file: StoresFile,
    pub default_data_dir: &'static str,
    pub required: &'static [&'static str],
}

impl Purpose {
    pub const SERVE: Self = Self {
        own_stores: false,
        stores_file: StoresFile::Optional,
        default_data_dir: "data",
        required: &["POSTGRES_URL", "CLICKHOUSE_URL", "REDIS_URL", "JWT_SECRET"],
    };
    pub const SERVE_WITH_OWN_STORES: Self =
        Self { own_stores: true, stores_file: StoresFile::Ignored, required: &[], ..Self::SERVE };
    /// Made-up matches never get into the stores of a real service.
    pub const DEMO: Self = Self { default_data_dir: "data/demo", ..Self::SERVE_WITH_OWN_STORES };
    /// Changes servers in PostgreSQL and ends.
    pub const CHANGE_SERVERS: Self =
        Self { stores_file: StoresFile::Required, required: &["POSTGRES_URL"], ..Self::SERVE };
    /// Changes users in PostgreSQL, signs a token and ends.
    pub const CHANGE_USERS: Self = Self { required: &["POSTGRES_URL", "JWT_SECRET"], ..Self::CHANGE_SERVERS };
    /// Changes servers, and keeps keys as the service knows them.
    pub const MAKE_KEYS: Self = Self::CHANGE_USERS;
    pub const MIGRATE: Self = Self { required: &["POSTGRES_URL", "CLICKHOUSE_URL"], ..Self::CHANGE_SERVERS };
    /// Writes events into the stores of a service, in a spool of its own.
    pub const IMPORT: Self =
        Self { required: &["POSTGRES_URL", "CLICKHOUSE_URL", "REDIS_URL"], ..Self::CHANGE_SERVERS };
    /// Reads and changes files beside the spool, and asks no store.
    pub const READ_SPOOL: Self = Self { required: &[], ..Self::SERVE };
    pub const SHOW: Self = Self { required: &[], ..Self::SERVE };

    fn default_of(&self, setting: &Setting) -> Option<&'static str> {
        match setting.name {
            "DATA_DIR" => Some(self.default_data_dir),
            _ => setting.default.text(self.own_stores),
        }
    }
}

/// One setting as it holds, fit to be shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Effective {
    pub name: &'static str,
    /// Secrets are hidden; none when unset.
    pub value: Option<String>,
    /// None when unset.
    pub source: Option<Source>,
}

/// A configuration and how it came about.
#[derive(Debug, Clone)]
pub struct Loaded {
    pub config: Config,
    pub effective: Vec<Effective>,
}

impl Config {
    pub fn load(sources: &Sources, purpose: Purpose) -> Result<Loaded, ConfigError> {
        let layers = Layers::read(sources, &purpose)?;
        let mut mistakes = layers.mistakes.clone();
        let mut config = Self::default();
        let mut effective = Vec::with_capacity(SETTINGS.len());

        for setting in &SETTINGS {
            let default = purpose.default_of(setting).map(|text| (Source::Default, text));
            // What is given may leave out a part (`LISTEN=:8081`), which is then that of the default.
            if let Some((_, text)) = default {
                (setting.apply)(&mut config, text)
                    .map_err(|problem| ConfigError::Default(setting.name, problem))?;
            }
            let given = layers.find(setting.name).map(|found| (found.source, found.text));
            let Some((source, text)) = given.or(default) else {
                effective.push(Effective { name: setting.name, value: None, source: None });
                if purpose.required.contains(&setting.name) {
                    mistakes.push(missing(setting, &purpose));
                }
                continue;
            };
            let shown = Some(setting.show(text));
            effective.push(Effective { name: setting.name, value: shown.clone(), source: Some(source) });
            if let Err(problem) = (setting.apply)(&mut config, text) {
                mistakes.push(Mistake {
                    name: setting.name.to_owned(),
                    source: Some(source),
                    value: shown,
                    problem,
                    allowed: setting.allowed.to_owned(),
                });
            }
        }
        config.settle_port(&layers, &mut effective);
        config.settle_sizes(&mut effective);
        mistakes.extend(config.contradictions());
        match mistakes.is_empty() {
            true => Ok(Loaded { config, effective }),
            false => Err(ConfigError::Mistakes(Mistakes(mistakes))),
        }
    }

    /// The address to listen on; port 0 means any free one.
    pub fn listen(&self) -> SocketAddr {
        SocketAddr::new(self.listen_ip.unwrap_or(Ipv4Addr::UNSPECIFIED.into()), self.port)
    }

    pub fn spool_dir(&self) -> PathBuf {
        self.spool_dir.clone().unwrap_or_else(|| self.data_dir.join("spool"))
    }

    /// Where browsers reach the service, without a trailing slash: as configured, else where a service with this
    /// data directory is reached (or was at last), else where this configuration would make it listen.
    pub fn base_url(&self) -> String {
        if let Some(url) = &self.public_url {
            return url.clone();
        }
        kept::read_service_url(&self.data_dir).unwrap_or_else(|| local_url(self.listen()))
    }

    /// The URLs of all three stores; none while one is missing, which `load` rules out for a service that runs no
    /// stores of its own.
    pub fn store_urls(&self) -> Option<StoreUrls> {
        Some(StoreUrls {
            postgres: self.postgres_url.clone()?,
            clickhouse: self.clickhouse_url.clone()?,
            redis: self.redis_url.clone()?,
        })
    }

    /// A port within LISTEN beats PORT when both were said in the same place; else the stronger place wins.
    fn settle_port(&mut self, layers: &Layers, effective: &mut [Effective]) {
        let port = layers.find("PORT");
        let listen_has_port =
            |text: &str| parse::listen_address(text).is_ok_and(|address| address.port.is_some());
        let listen = layers.find("LISTEN").filter(|found| listen_has_port(found.text));
        let listen_names_port = match (&listen, &port) {
            (Some(listen), Some(port)) => listen.rank <= port.rank,
            (listen, _) => listen.is_some(),
        };
        if let (false, Some(port)) = (listen_names_port, &port) {
            self.port = port.text.parse().unwrap_or(self.port);
        }
        for shown in effective {
            match shown.name {
                "LISTEN" => shown.value = Some(self.listen().to_string()),
                "PORT" => {
                    shown.value = Some(self.port.to_string());
                    if listen_names_port {
                        shown.source = listen.as_ref().map(|found| found.source);
                    }
                }
                _ => {}
            }
        }
    }

    /// Sizes that only make sense together follow the one that bounds them: who shrinks the spool needn't know of
    /// segments, who wants larger batches needn't know of their growth.
    fn settle_sizes(&mut self, effective: &mut [Effective]) {
        self.spool_segment_bytes = self.spool_segment_bytes.min(self.spool_max_bytes / 4);
        self.worker_batch_max_rows = self.worker_batch_max_rows.max(self.worker_batch_rows);
        let mut show = |name: &str, value: String| {
            if let Some(shown) = effective.iter_mut().find(|shown| shown.name == name) {
                shown.value = Some(value);
            }
        };
        show("SPOOL_SEGMENT_BYTES", self.spool_segment_bytes.to_string());
        show("WORKER_BATCH_MAX", self.worker_batch_max_rows.to_string());
    }

    fn contradictions(&self) -> Vec<Mistake> {
        let mut mistakes = Vec::new();
        let mut contradiction = |name: &str, problem: &str| {
            mistakes.push(Mistake {
                name: name.to_owned(),
                source: None,
                value: None,
                problem: problem.to_owned(),
                allowed: String::new(),
            });
        };
        if self.discord_client_id.is_some() && self.discord_client_secret.is_none() {
            contradiction("DISCORD_CLIENT_SECRET", "is missing, and DISCORD_CLIENT_ID is set");
        }
        if self.discord_client_secret.is_some() && self.discord_client_id.is_none() {
            contradiction("DISCORD_CLIENT_ID", "is missing, and DISCORD_CLIENT_SECRET is set");
        }
        if self.ops_listen.is_some_and(|ops| ops.port() != 0 && ops == self.listen()) {
            contradiction("OPS_LISTEN", "is the address of LISTEN");
        }
        if self.jwt_secret.is_some() && self.jwt_secret == self.jwt_secret_previous {
            contradiction("JWT_SECRET_PREVIOUS", "is the same as JWT_SECRET");
        }
        mistakes
    }
}

/// `http://…` of an address to listen on, as a client on the same machine would write it.
pub fn local_url(listen: SocketAddr) -> String {
    let reachable = match listen.ip() {
        ip if !ip.is_unspecified() => ip,
        IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
    };
    format!("http://{}", SocketAddr::new(reachable, listen.port()))
}

fn missing(setting: &Setting, purpose: &Purpose) -> Mistake {
    let advice = match (purpose.stores_file, setting.shown) {
        (StoresFile::Required, Shown::WithoutPassword) => {
            "; or name the data directory of a running `mohaa-stats serve --embedded` with --data-dir"
        }
        (StoresFile::Optional, _) => "; or let `serve --embedded` bring its own",
        _ => "",
    };
    Mistake {
        name: setting.name.to_owned(),
        source: None,
        value: None,
        problem: "is not set".to_owned(),
        allowed: format!("{}{advice}", setting.allowed),
    }
}

#[cfg(test)]
mod tests;
