//! Builds the running service out of its parts.
//!
//! [`Application::start`] begins to take events as soon as the spool is read, whether or not the stores answer: the
//! schema of both databases is brought up to date in the background, and until ClickHouse has its schema the writers
//! wait at their gate. [`shutdown`] goes the other way round; a second signal skips the rest of it.

mod service;
mod shutdown;
mod signals;
mod stores;

use std::io::Write;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::ServerHandle;
use actix_web::middleware::{NormalizePath, TrailingSlash, from_fn};
use actix_web::web::Data;
use actix_web::{App, HttpServer};
use mohaa_actors::batcher::{BatcherOptions, BatcherSignal, Outlets};
use mohaa_actors::clock::Clock;
use mohaa_actors::live::LivePorts;
use mohaa_actors::pipeline::{Pipeline, PipelineError, PipelineOptions};
use mohaa_domain::tracker::EventWindow;
use mohaa_embedded::EmbeddedStores;
use mohaa_spool::{FileSystem, Fsync, SpoolOptions, Storage};
use prometheus::Registry;
use sqlx::PgPool;
use tokio::sync::mpsc;

use self::signals::{StopSignal, StopSignals};
use crate::achievements::AchievementStore;
use crate::auth::{AccessTokens, Revocations, SessionCookies, Sessions, ShortCodes};
use crate::clickhouse::cluster::Engines;
use crate::clickhouse::history::StoredMatches;
use crate::clickhouse::reconcile::{Comparisons, Reconciler};
use crate::clickhouse::store::ClickHouseStore;
use crate::clickhouse::touched_days::TouchedDays;
use crate::config::{ClickHouseUrl, Config, RedisUrl, SpoolFsync, StoreUrl, StoreUrls, kept, local_url};
use crate::data_version::DataVersion;
use crate::http::BaseUrl;
use crate::http::assets::Assets;
use crate::http::client_address::TrustedProxies;
use crate::http::{self, error_answers, requests};
use crate::ingest::held_results::HeldResults;
use crate::ingest::metrics::IngestMetrics;
use crate::ingest::results::{LatestResults, settle_results};
use crate::ingest::{Ingest, IngestLimits};
use crate::limits::{self, GuessLimits, Limits};
use crate::live::{Live, LiveNodes, MatchSummaries, Viewers};
use crate::mqtt::{MqttIngest, MqttMetrics, MqttSources};
use crate::networks::AllowedNetworks;
use crate::ops::handlers::Ops;
use crate::ops::health::Phase;
use crate::ops::{HealthMonitor, OpsMetrics, OpsSources, OpsWatch};
use crate::pages::{self, FrameAncestors, Pages};
use crate::players::{self, CanonicalIds, NameEraser, PlayerLinksCopy};
use crate::postgres::watch::Watcher;
use crate::ratings::RatingKeeper;
use crate::redis::{
    self as redis_store, LiveNodesStore, LiveSnapshots, SharedDataVersion, SharedLimits, TrackerStates,
};
use crate::servers::{self, LastSeen, ServerQuery, ServerStatuses, ServerTokens};
use crate::sign_in::{Devices, SignIn};
use crate::stats::{AnswerCache, Stats};
use crate::tournaments::{Tournaments, Witness};
use crate::webhooks::{Sealer, WebhookOutbox, WebhookSending, WebhookSettings};
use crate::{backup, demo, postgres};

/// Claims of players that wait to be looked up; further ones are not heard.
const MOST_WAITING_CLAIMS: usize = 1_000;
/// Servers whose map nobody knows and that are to be asked for it.
const MOST_UNKNOWN_MAPS: usize = 1_000;
/// Bytes of a batch's largest size for each row of `WORKER_BATCH_MAX`, which is twice what rows have.
const BATCH_BYTES_A_ROW: usize = 670;
/// How long the start waits for PostgreSQL's schema.
const SCHEMA_PATIENCE: Duration = Duration::from_secs(3);
/// Keep-alive of game servers' connections: they post every two seconds at least.
const KEEP_ALIVE: Duration = Duration::from_secs(75);
/// How long connections are still taken after `/ready` turned 503, at most a quarter of SHUTDOWN_TIMEOUT: a balancer
/// that asks every second stops sending before its connections are refused.
const BALANCER_NOTICE: Duration = Duration::from_secs(1);
/// Exit status after a second signal; a shell gives the same to a process that SIGTERM ended.
const ENDED_AT_ONCE: i32 = 143;
/// A header block that takes longer than this is not sent by a game server.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);

#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("{name} is not set")]
    MissingSetting { name: &'static str },
    #[error("can't listen on {address}: {source}")]
    Listen { address: SocketAddr, source: std::io::Error },
    #[error(transparent)]
    Pipeline(#[from] PipelineError),
    #[error("private stores: {0}")]
    Embedded(#[from] mohaa_embedded::Error),
    #[error("private stores gave an address that can't be used: {0}")]
    StoreAddress(String),
    #[error(transparent)]
    Postgres(#[from] postgres::PostgresError),
    #[error(transparent)]
    Redis(#[from] redis_store::RedisError),
    #[error(transparent)]
    Metrics(#[from] prometheus::Error),
    #[error(transparent)]
    HttpMetrics(#[from] http::metrics::MetricsError),
    #[error(transparent)]
    Assets(#[from] http::assets::AssetsError),
    #[error(transparent)]
    SignIn(#[from] crate::sign_in::SetupError),
    #[error(transparent)]
    Webhooks(#[from] crate::webhooks::OutboxError),
    #[error(transparent)]
    Broker(#[from] crate::mqtt::TlsError),
    #[error(transparent)]
    Pages(#[from] pages::PagesError),
    #[error("{path}: {source}", path = .path.display())]
    Files { path: PathBuf, source: std::io::Error },
    #[error("{} is of a restore that did not end: begin it anew", .0.display())]
    UnfinishedRestore(PathBuf),
    #[error("the service ended: {0}")]
    Server(#[source] std::io::Error),
}

/// How `serve` and `demo` differ from a plain service.
#[derive(Clone, Debug)]
pub struct ServeOptions {
    pub embedded: bool,
    pub data_dir: PathBuf,
    pub demo: bool,
}

/// Runs the service until SIGINT or SIGTERM.
///
/// # Errors
/// When it can't start; a store that is away is no such reason.
pub async fn serve(mut config: Config, options: ServeOptions) -> Result<(), StartError> {
    let stores = match options.embedded {
        false => None,
        true => {
            let stores = EmbeddedStores::start(&options.data_dir).await?;
            let urls = stores.urls();
            config.postgres_url =
                Some(StoreUrl::postgres(&urls.postgres_url).map_err(StartError::StoreAddress)?);
            config.redis_url = Some(RedisUrl::parse(&urls.redis_url).map_err(StartError::StoreAddress)?);
            config.clickhouse_url =
                Some(ClickHouseUrl::parse(&urls.clickhouse_url).map_err(StartError::StoreAddress)?);
            Some(stores)
        }
    };
    let shutdown_timeout = config.shutdown_timeout;
    let public_url = config.public_url.clone();
    let application = Application::start(config).await?;
    let url = application.url();
    if let Err(source) = kept::write_service_url(&options.data_dir, public_url.as_ref().unwrap_or(&url)) {
        tracing::warn!(error = %source, "the address can't be kept for other commands");
    }
    let mut stop_signals = StopSignals::listen();
    announce(&url);
    if options.demo {
        actix_web::rt::spawn(demo::run(application.postgres.clone(), url));
    }
    let first = stop_signals.next().await;
    let taken_down = async {
        application.withdraw();
        let notice = match first {
            StopSignal::Terminate => BALANCER_NOTICE.min(shutdown_timeout / 4),
            StopSignal::Interrupt => Duration::ZERO,
        };
        tokio::time::sleep(notice).await;
        application.stop(shutdown_timeout.saturating_sub(notice)).await;
        if let Some(stores) = stores {
            stores.stop().await;
        }
    };
    tokio::select! {
        () = taken_down => Ok(()),
        _ = stop_signals.next() => {
            tracing::warn!("told again: ending at once; what is not stored waits in the spool for the next start");
            // Not by returning: dropping the private stores would wait for them. They end with this process.
            std::process::exit(ENDED_AT_ONCE)
        }
    }
}

/// Standard output carries this line and nothing else.
fn announce(url: &str) {
    let mut output = std::io::stdout();
    if writeln!(output, "listening on {url}").and_then(|()| output.flush()).is_err() {
        tracing::warn!(url, "standard output is closed; listening all the same");
    }
}

/// What a service takes from the machine it runs on, besides what its configuration names. Tests bring a disk that
/// stalls or a clock that they move.
pub struct Surroundings {
    /// Under the spool.
    pub storage: Arc<dyn Storage>,
    pub clock: Clock,
}

impl Default for Surroundings {
    fn default() -> Self {
        Self { storage: Arc::new(FileSystem), clock: Clock::system() }
    }
}

/// A running service. Tests start one on port 0 and talk to it as anybody would.
pub struct Application {
    pub address: SocketAddr,
    pub postgres: PgPool,
    pub pipeline: Pipeline,
    live: Live,
    live_nodes: LiveNodes,
    health: Arc<HealthMonitor>,
    server: ServerHandle,
    touched_days: Arc<TouchedDays>,
    comparisons: Arc<Comparisons>,
    ops_server: Option<ServerHandle>,
    background: Vec<actix_web::rt::task::JoinHandle<()>>,
    /// Keeps the leases of the servers whose matches this node follows, and what goes to and fro for them.
    following: actix_web::rt::task::JoinHandle<()>,
    /// Ends behind the Batcher.
    keeping_trackers: actix_web::rt::task::JoinHandle<()>,
    webhook_sending: WebhookSending,
    mqtt: Option<MqttIngest>,
    /// Ends when dropped.
    _revocations_watcher: Watcher,
    _tournaments_watcher: Watcher,
}

impl Application {
    /// # Errors
    /// When the configuration lacks a store, the spool can't be read or the address is taken.
    pub async fn start(config: Config) -> Result<Self, StartError> {
        Self::start_with(config, Surroundings::default()).await
    }

    /// Starts with another disk or clock than this machine's.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub async fn start_with(config: Config, surroundings: Surroundings) -> Result<Self, StartError> {
        let Surroundings { storage, clock } = surroundings;
        let urls = store_urls(&config)?;
        let registry = Registry::new();
        let postgres = postgres::observed_pool(&urls.postgres, &registry).await?;
        let redis = redis_store::connect(&urls.redis)?;
        let engines = Engines::connect(&urls.clickhouse, config.clickhouse_cluster.as_deref());
        let clickhouse = engines.questions().clone();
        let spool_directory = config.spool_dir();
        if backup::is_unfinished(&spool_directory) {
            return Err(StartError::UnfinishedRestore(spool_directory));
        }
        let in_spool = |source| StartError::Files { path: spool_directory.clone(), source };
        std::fs::create_dir_all(&spool_directory).map_err(in_spool)?;
        // Names and chat lines are nobody else's business.
        std::fs::set_permissions(&spool_directory, std::fs::Permissions::from_mode(0o700))
            .map_err(in_spool)?;
        let touched_days = Arc::new(TouchedDays::open(&spool_directory, clock.clone()).map_err(in_spool)?);

        // Whoever reads the tables from here on finds them; a PostgreSQL that is away is tried again below.
        if tokio::time::timeout(SCHEMA_PATIENCE, postgres::migrate(&postgres)).await.is_err() {
            tracing::warn!("PostgreSQL does not answer; events of known servers are taken all the same");
        }

        let tracker_states = TrackerStates::new(redis.clone());
        let (changed_trackers, changes) = mpsc::unbounded_channel();
        let (claims, claimed) = mpsc::channel(MOST_WAITING_CLAIMS);
        let (unknown_maps, wanted_maps) = mpsc::channel(MOST_UNKNOWN_MAPS);
        let data_version = DataVersion::default();
        let store =
            Arc::new(ClickHouseStore::new(engines.clone(), touched_days.clone(), data_version.clone()));
        let canonical_ids = CanonicalIds::default();
        let answer_cache = AnswerCache::new(data_version.clone(), &registry)?;
        let stats = Stats::new(clickhouse.clone(), postgres.clone(), answer_cache);
        let achievements = AchievementStore::new(postgres.clone(), stats.clone(), canonical_ids.clone());
        let (node_news, mut heard) = mpsc::unbounded_channel();
        let nodes_store = LiveNodesStore::new(redis.clone(), &urls.redis)?;
        let (node_orders, orders) = mpsc::unbounded_channel();
        let (live_nodes, live_nodes_work) = LiveNodes::new(nodes_store, node_news, node_orders);
        let summaries = MatchSummaries::open(postgres.clone(), &spool_directory).map_err(in_spool)?;
        let held_results = HeldResults::open(&spool_directory).map_err(in_spool)?;
        let pipeline = Pipeline::start(
            pipeline_options(&config, storage),
            store,
            &registry,
            clock.clone(),
            Outlets { tracker_states: changed_trackers, claims, unknown_maps },
            LivePorts {
                snapshots: Arc::new(LiveSnapshots::new(redis.clone())),
                history: Arc::new(StoredMatches::new(clickhouse.clone())),
                achievements: Arc::new(achievements.clone()),
                summaries: Arc::new(summaries.clone()),
                nodes: Arc::new(live_nodes.clone()),
            },
        )?;
        let tournaments = Arc::new(Tournaments::new(
            postgres.clone(),
            achievements.clone(),
            stats.clone(),
            clock.clone(),
            pipeline.mailbox_metrics.of_kind("tournament"),
            pipeline.actors.clone(),
        ));
        let tournaments_watcher = tournaments.watch().await;
        let witness = Witness::new(postgres.clone());
        let mqtt_metrics = MqttMetrics::new(&registry)?;
        let health = HealthMonitor::new(pipeline.clone(), live_nodes.clone(), mqtt_metrics.clone());
        let http_metrics = http::metrics::http_metrics(&registry)?;
        let reconciler = Reconciler::new(
            engines.clone(),
            postgres.clone(),
            &pipeline,
            touched_days.clone(),
            config.raw_events_ttl_days,
            clock.clone(),
            data_version.clone(),
            &registry,
        )?;
        let comparisons = reconciler.comparisons();
        let server_tokens =
            ServerTokens::start(postgres.clone(), Some(config.data_dir.join("server-tokens.json"))).await;
        let revocations = Revocations::default();
        let revocations_watcher = revocations.watch(postgres.clone()).await;
        let secret = config.jwt_secret.as_ref().ok_or(StartError::MissingSetting { name: "JWT_SECRET" })?;
        let access_tokens = AccessTokens::new(secret, config.jwt_secret_previous.as_ref());
        let short_codes = ShortCodes::new(secret, config.jwt_secret_previous.as_ref());
        let sessions = Sessions::new(postgres.clone(), access_tokens, revocations);

        let limits = Arc::new(Limits::new(&config.rate_limits, secret, &registry)?);
        let guess_limits = Arc::new(GuessLimits::new(secret, Some(SharedLimits::new(redis.clone()))));
        let last_seen = LastSeen::default();
        let links = PlayerLinksCopy::new(
            postgres.clone(),
            clickhouse.clone(),
            data_version.clone(),
            canonical_ids.clone(),
        );
        links.read().await;
        let names = NameEraser::new(postgres.clone(), engines.clone(), data_version.clone(), &registry)?;
        let ratings =
            RatingKeeper::new(postgres.clone(), clickhouse.clone(), data_version.clone(), &registry)?;
        let live = Live::new(
            pipeline.live.clone(),
            live_nodes.clone(),
            canonical_ids.clone(),
            achievements.clone(),
            Viewers::new(&registry)?,
        );
        let batcher = pipeline.batcher.clone();
        let following = actix_web::rt::spawn(live_nodes_work.run(pipeline.spool_id, pipeline.live.clone()));
        let keeping_trackers = actix_web::rt::spawn(tracker_states.clone().keep(changes));
        let mut background = vec![
            actix_web::rt::spawn(async move {
                while let Some(news) = heard.recv().await {
                    batcher.tell(BatcherSignal::Nodes(news));
                }
            }),
            actix_web::rt::spawn(achievements.keep_catalogue()),
            actix_web::rt::spawn(tournaments.clone().keep_time()),
            actix_web::rt::spawn(ratings.clone().measure_lag()),
            actix_web::rt::spawn(tournaments.clone().keep_witnessing(witness.clone(), canonical_ids.clone())),
            actix_web::rt::spawn(health.clone().watch(postgres.clone(), clickhouse.clone(), redis.clone())),
            actix_web::rt::spawn(data_version.clone().keep(SharedDataVersion::new(redis.clone()))),
            actix_web::rt::spawn(limits::share_limits(
                limits.clone(),
                guess_limits.clone(),
                SharedLimits::new(redis),
            )),
            actix_web::rt::spawn(last_seen.clone().keep(postgres.clone())),
            actix_web::rt::spawn(servers::release_held(pipeline.clone(), postgres.clone())),
            actix_web::rt::spawn(summaries.clone().keep_paying()),
            actix_web::rt::spawn(stores::keep_postgres_schema(postgres.clone())),
            actix_web::rt::spawn(players::take_claims(
                claimed,
                postgres.clone(),
                short_codes.clone(),
                guess_limits.clone(),
            )),
            actix_web::rt::spawn(pipeline.replay_dead_letters()),
            actix_web::rt::spawn(stores::prepare_clickhouse(
                (engines.clone(), postgres.clone()),
                pipeline.clone(),
                config.raw_events_ttl_days,
                data_version.clone(),
                stores::Keepers { links, ratings, names },
                reconciler,
            )),
        ];

        let webhook_settings = WebhookSettings {
            sealer: Sealer::new(secret, config.jwt_secret_previous.as_ref()),
            networks: AllowedNetworks::new(&config.webhook_allowed_networks),
        };
        let outbox = WebhookOutbox::new(
            postgres.clone(),
            webhook_settings.sealer.clone(),
            webhook_settings.networks.clone(),
            config.webhook_timeout,
            &registry,
        )?;
        let webhook_sending = WebhookSending::start(outbox, &pipeline, clock.clone());
        background.push(actix_web::rt::spawn(webhook_sending.clone().watch(postgres.clone())));

        let server_statuses = ServerStatuses::default();
        let server_query = ServerQuery::new(
            postgres.clone(),
            pipeline.batcher.clone(),
            server_statuses.clone(),
            last_seen.clone(),
            AllowedNetworks::new(&config.server_query_allowed_networks),
            &registry,
        )?;
        if config.server_query {
            background.push(actix_web::rt::spawn(server_query.run(wanted_maps)));
        }

        let listener = service::bind(config.listen())?;
        let address = listener
            .local_addr()
            .map_err(|source| StartError::Listen { address: config.listen(), source })?;
        let base_url = BaseUrl::new(config.public_url.clone().unwrap_or_else(|| local_url(address)));
        let assets = Assets::unpack(&config.data_dir.join("assets"))?;
        background.push(actix_web::rt::spawn(live.clone().keep_list(stats.clone())));
        background.push(actix_web::rt::spawn(live.clone().keep_names()));
        let ingest = Data::new(Ingest {
            pipeline: pipeline.clone(),
            tracker_states,
            live_nodes: live_nodes.clone(),
            clock,
            metrics: IngestMetrics::new(&registry)?,
            last_seen,
            results: LatestResults::default(),
            held_results,
            summaries,
            witness,
            limits: IngestLimits {
                max_body_bytes: usize::try_from(config.ingest_max_body_bytes).unwrap_or(usize::MAX),
                max_events: config.ingest_max_events,
                chunk_timeout: config.ingest_chunk_timeout,
            },
        });
        background.push(actix_web::rt::spawn(settle_results(
            ingest.clone(),
            stats.clone(),
            postgres.clone(),
        )));
        let mqtt = match &config.mqtt_url {
            None => None,
            Some(url) => {
                let sources = MqttSources {
                    ingest: ingest.clone().into_inner(),
                    server_tokens: server_tokens.clone(),
                    limits: limits.clone(),
                    metrics: mqtt_metrics,
                };
                Some(MqttIngest::start(url, config.mqtt_shared, sources)?)
            }
        };
        let ops_watch = OpsWatch::new(OpsSources {
            pipeline: pipeline.clone(),
            health: health.clone(),
            live: live.clone(),
            nodes: live_nodes.clone(),
            stats: stats.clone(),
            engines,
            registry: registry.clone(),
        });
        background.push(actix_web::rt::spawn(ops_watch.clone().keep()));
        background.push(actix_web::rt::spawn(ops_watch.clone().obey(orders)));
        let state = service::State {
            pages: Data::new(Pages::new(&assets, stats.clone(), config.public_url.as_deref())?),
            assets,
            stats: Data::new(stats),
            achievements: Data::new(achievements),
            ingest,
            ops: Data::new(Ops {
                health: health.clone(),
                metrics: OpsMetrics::new(registry)?,
                pipeline: pipeline.clone(),
                watch: ops_watch,
            }),
            postgres: Data::new(postgres.clone()),
            server_tokens: Data::new(server_tokens),
            sessions: Data::new(sessions),
            sign_in: Data::new(SignIn::new(&config, base_url.as_str())?),
            devices: Data::new(Devices::new(postgres.clone(), short_codes.clone())),
            base_url: Data::new(base_url),
            short_codes: Data::new(short_codes),
            frame_ancestors: Data::new(FrameAncestors(config.embed_ancestors.clone())),
            session_cookies: Data::new(SessionCookies::new(config.public_url.as_deref())),
            guess_limits: Data::from(guess_limits),
            live: Data::new(live.clone()),
            tournaments: Data::from(tournaments),
            limits: Data::from(limits),
            trusted_proxies: Data::new(TrustedProxies(config.trusted_proxies.clone())),
            registration_policy: Data::new(config.registration_policy),
            webhook_settings: Data::new(webhook_settings),
            server_statuses: Data::new(server_statuses),
            metrics_are_elsewhere: config.ops_listen.is_some(),
        };
        let ops_server = match config.ops_listen {
            Some(ops_address) => Some(service::serve_ops(ops_address, state.ops.clone())?),
            None => None,
        };
        let server = HttpServer::new(move || {
            App::new()
                .configure(|service| state.configure(service))
                .wrap(from_fn(limits::limit))
                .wrap(from_fn(error_answers::shape))
                .wrap(http_metrics.clone())
                .wrap(from_fn(requests::trace))
                // An address that ends with a slash, and the path behind it: scripts can't be mended everywhere.
                .wrap(NormalizePath::new(TrailingSlash::MergeOnly))
        })
        .keep_alive(KEEP_ALIVE)
        // A compressed answer goes out in parts, of which Nagle's algorithm holds the last one back for 40 ms.
        .tcp_nodelay(true)
        .client_request_timeout(HEADER_TIMEOUT)
        // `stop` gives up before this, to the millisecond.
        .shutdown_timeout(config.shutdown_timeout.as_secs().saturating_add(1))
        .disable_signals()
        .listen(listener)
        .map_err(|source| StartError::Listen { address, source })?
        .run();
        let handle = server.handle();
        actix_web::rt::spawn(server);
        health.enter(Phase::Serving);
        Ok(Self {
            address,
            postgres,
            pipeline,
            live,
            live_nodes,
            health,
            server: handle,
            touched_days,
            comparisons,
            ops_server,
            background,
            following,
            keeping_trackers,
            webhook_sending,
            mqtt,
            _revocations_watcher: revocations_watcher,
            _tournaments_watcher: tournaments_watcher,
        })
    }

    /// Where it listens, as a browser on this machine would write it.
    pub fn url(&self) -> String {
        crate::config::local_url(self.address)
    }
}

fn store_urls(config: &Config) -> Result<StoreUrls, StartError> {
    let missing = |name| StartError::MissingSetting { name };
    Ok(StoreUrls {
        postgres: config.postgres_url.clone().ok_or(missing("POSTGRES_URL"))?,
        clickhouse: config.clickhouse_url.clone().ok_or(missing("CLICKHOUSE_URL"))?,
        redis: config.redis_url.clone().ok_or(missing("REDIS_URL"))?,
    })
}

fn pipeline_options(config: &Config, storage: Arc<dyn Storage>) -> PipelineOptions {
    let millis = |duration: Duration| i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
    PipelineOptions {
        spool: SpoolOptions {
            fsync: match config.spool_fsync {
                SpoolFsync::Always => Fsync::Always,
                SpoolFsync::Interval(interval) => Fsync::Interval(interval),
                SpoolFsync::Never => Fsync::Never,
            },
            max_bytes: config.spool_max_bytes,
            segment_bytes: config.spool_segment_bytes,
            storage,
            ..SpoolOptions::new(config.spool_dir())
        },
        batcher: BatcherOptions {
            batch_rows: config.worker_batch_rows,
            batch_max_rows: config.worker_batch_max_rows,
            batch_max_bytes: config.worker_batch_max_rows.saturating_mul(BATCH_BYTES_A_ROW),
            flush_interval: config.worker_flush_interval,
            event_window: EventWindow {
                past_ms: millis(config.event_time_past),
                future_ms: millis(config.event_time_future),
            },
            writer_count: config.worker_count,
        },
        queue_events: config.worker_queue_events as u64,
    }
}
