//! Builds the running service out of its parts and takes it down again.
//!
//! [`Application::start`] begins to take events as soon as the spool is read, whether or not the stores answer: the
//! schema of both databases is brought up to date in the background, and until ClickHouse has its schema the writers
//! wait at their gate. Shutdown goes the other way round: not ready, stop accepting, drain, flush until the
//! deadline, exit; the spool makes every step after the first optional. A second signal skips the rest.

use std::io::Write;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix_web::dev::ServerHandle;
use actix_web::middleware::{Compress, NormalizePath, TrailingSlash, from_fn};
use actix_web::web::{self, Data};
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
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;

use crate::access;
use crate::achievements::AchievementStore;
use crate::auth::{self, AccessTokens, Revocations, SessionCookies, Sessions, ShortCodes};
use crate::clickhouse::cluster::Engines;
use crate::clickhouse::history::StoredMatches;
use crate::clickhouse::reconcile::{Comparisons, Reconciler};
use crate::clickhouse::store::ClickHouseStore;
use crate::clickhouse::touched_days::TouchedDays;
use crate::clickhouse::upgrade::UpgradeError;
use crate::clickhouse::{schema, upgrade};
use crate::config::{
    ClickHouseUrl, Config, RedisUrl, RegistrationPolicy, SpoolFsync, StoreUrl, StoreUrls, kept, local_url,
};
use crate::data_version::DataVersion;
use crate::http::BaseUrl;
use crate::http::assets::Assets;
use crate::http::client_address::TrustedProxies;
use crate::http::{self, error_answers, requests, security};
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
use crate::{demo, postgres, routes};

/// Claims of players that wait to be looked up; further ones are not heard.
const MOST_WAITING_CLAIMS: usize = 1_000;
/// Servers whose map nobody knows and that are to be asked for it.
const MOST_UNKNOWN_MAPS: usize = 1_000;
/// Bytes of a batch's largest size for each row of `WORKER_BATCH_MAX`, which is twice what rows have.
const BATCH_BYTES_A_ROW: usize = 670;
/// How long the start waits for PostgreSQL's schema.
const SCHEMA_PATIENCE: Duration = Duration::from_secs(3);
/// A store that takes a connection and does not answer the simplest question within this is away.
const QUESTION_PATIENCE: Duration = Duration::from_secs(10);
/// Between two tries to bring a schema up to date.
const SCHEMA_RETRY: Duration = Duration::from_secs(2);
/// Keep-alive of game servers' connections: they post every two seconds at least.
const KEEP_ALIVE: Duration = Duration::from_secs(75);
/// How long connections are still taken after `/ready` turned 503, at most a quarter of SHUTDOWN_TIMEOUT: a balancer
/// that asks every second stops sending before its connections are refused.
const BALANCER_NOTICE: Duration = Duration::from_secs(1);
/// The third of the time for shutdown that writers get even when requests don't end.
const FLUSH_SHARE: u32 = 3;
/// The tenth of it that is kept to close the spool when the writers don't end.
const CLOSE_SHARE: u32 = 10;
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

#[derive(Clone, Copy, PartialEq, Eq)]
enum StopSignal {
    /// SIGTERM: from a supervisor.
    Terminate,
    /// SIGINT: from a person at a terminal.
    Interrupt,
}

/// What tells the process to stop.
struct StopSignals {
    terminate: Option<Signal>,
    interrupt: Option<Signal>,
}

impl StopSignals {
    /// Listens from this call on: whoever reads that the service listens may stop it at once.
    fn listen() -> Self {
        let listen = |kind: SignalKind| {
            signal(kind)
                .inspect_err(|error| tracing::error!(%error, "a signal can't be waited for and ends this process at once"))
                .ok()
        };
        Self { terminate: listen(SignalKind::terminate()), interrupt: listen(SignalKind::interrupt()) }
    }

    async fn next(&mut self) -> StopSignal {
        async fn received(signal: &mut Option<Signal>) {
            match signal {
                Some(signal) => drop(signal.recv().await),
                None => std::future::pending().await,
            }
        }
        tokio::select! {
            () = received(&mut self.terminate) => {
                tracing::info!("SIGTERM: stopping");
                StopSignal::Terminate
            }
            () = received(&mut self.interrupt) => {
                tracing::info!("SIGINT: stopping");
                StopSignal::Interrupt
            }
        }
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

/// What is on its way to a webhook by then is sent again after the next start.
const WEBHOOKS_END_WITHIN: Duration = Duration::from_secs(2);
/// Redis may be away; this node's own spool has the states too.
const TRACKERS_KEPT_WITHIN: Duration = Duration::from_secs(2);
/// A connection that is in use is waited for.
const POSTGRES_CLOSES_WITHIN: Duration = Duration::from_secs(2);

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
        let urls = store_urls(&config)?;
        let registry = Registry::new();
        let postgres = postgres::pool(&urls.postgres)?;
        let redis = redis_store::connect(&urls.redis)?;
        let engines = Engines::connect(&urls.clickhouse, config.clickhouse_cluster.as_deref());
        let clickhouse = engines.questions().clone();
        let spool_directory = config.spool_dir();
        let in_spool = |source| StartError::Files { path: spool_directory.clone(), source };
        std::fs::create_dir_all(&spool_directory).map_err(in_spool)?;
        // Names and chat lines are nobody else's business.
        std::fs::set_permissions(&spool_directory, std::fs::Permissions::from_mode(0o700))
            .map_err(in_spool)?;
        let touched_days = Arc::new(TouchedDays::open(&spool_directory).map_err(in_spool)?);

        // Whoever reads the tables from here on finds them; a PostgreSQL that is away is tried again below.
        if tokio::time::timeout(SCHEMA_PATIENCE, postgres::migrate(&postgres)).await.is_err() {
            tracing::warn!("PostgreSQL does not answer; events of known servers are taken all the same");
        }

        let Surroundings { storage, clock } = surroundings;
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
        let (live_nodes, live_nodes_work) = LiveNodes::new(nodes_store, node_news);
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
            actix_web::rt::spawn(keep_postgres_schema(postgres.clone())),
            actix_web::rt::spawn(players::take_claims(
                claimed,
                postgres.clone(),
                short_codes.clone(),
                guess_limits.clone(),
            )),
            actix_web::rt::spawn(pipeline.replay_dead_letters()),
            actix_web::rt::spawn(prepare_clickhouse(
                (engines.clone(), postgres.clone()),
                pipeline.clone(),
                config.raw_events_ttl_days,
                data_version.clone(),
                Keepers { links, ratings, names },
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

        let listener = bind(config.listen())?;
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
        let state = State {
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
            Some(ops_address) => Some(serve_ops(ops_address, state.ops.clone())?),
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

    /// Says on `/ready` that nothing more should be sent here; what comes is taken all the same.
    pub fn withdraw(&self) {
        self.health.enter(Phase::Draining);
    }

    /// Takes the service down within `patience`; what is not stored by then stays in the spool.
    pub async fn stop(self, patience: Duration) {
        let deadline = Instant::now() + patience;
        self.withdraw();
        self.live.end();
        let messages_end = async {
            if let Some(mqtt) = self.mqtt {
                mqtt.stop(patience / FLUSH_SHARE).await;
            }
        };
        let requests_end = async { tokio::join!(self.server.stop(true), messages_end) };
        if tokio::time::timeout(patience - patience / FLUSH_SHARE, requests_end).await.is_err() {
            tracing::warn!("open requests don't end; they get no answer");
        }
        if let Some(ops_server) = self.ops_server {
            ops_server.stop(false).await;
        }
        let left = deadline.saturating_duration_since(Instant::now());
        let drained = self.pipeline.shut_down(left.saturating_sub(patience / CLOSE_SHARE)).await;
        // Before its servers are anybody's: who follows them next asks Redis which matches they are in.
        let mut keeping_trackers = self.keeping_trackers;
        if tokio::time::timeout(TRACKERS_KEPT_WITHIN.min(patience / CLOSE_SHARE), &mut keeping_trackers)
            .await
            .is_err()
        {
            tracing::warn!(
                "trackers' states are not all kept in Redis; matches may begin anew on other nodes"
            );
            keeping_trackers.abort();
        }
        // Or it could renew a lease that was given back.
        self.following.abort();
        self.live_nodes.leave().await;
        self.webhook_sending.stop(WEBHOOKS_END_WITHIN.min(patience / CLOSE_SHARE)).await;
        for task in self.background {
            task.abort();
        }
        // Actors of live matches, which nobody waits for, hold connections too. They give them back on their own threads.
        if tokio::time::timeout(POSTGRES_CLOSES_WITHIN, self.postgres.close()).await.is_err() {
            tracing::warn!("connections to PostgreSQL are left behind");
        }
        self.pipeline.actors.end_threads();
        if !drained {
            tracing::warn!("not everything is stored; the rest waits in the spool for the next start");
            return;
        }
        if !self.comparisons.are_up_to_date() {
            tracing::info!("roll-ups were not compared to the end; the next start does it");
        } else if let Err(error) = self.touched_days.clear() {
            tracing::warn!(%error, "the next start compares roll-ups again");
        }
        tracing::info!("everything that was accepted is stored");
    }
}

/// What each HTTP worker is given.
#[derive(Clone)]
struct State {
    assets: Assets,
    pages: Data<Pages>,
    stats: Data<Stats>,
    achievements: Data<AchievementStore>,
    ingest: Data<Ingest>,
    ops: Data<Ops>,
    postgres: Data<PgPool>,
    server_tokens: Data<ServerTokens>,
    sessions: Data<Sessions>,
    session_cookies: Data<SessionCookies>,
    short_codes: Data<ShortCodes>,
    sign_in: Data<SignIn>,
    devices: Data<Devices>,
    base_url: Data<BaseUrl>,
    frame_ancestors: Data<FrameAncestors>,
    guess_limits: Data<GuessLimits>,
    live: Data<Live>,
    tournaments: Data<Tournaments>,
    limits: Data<Limits>,
    trusted_proxies: Data<TrustedProxies>,
    registration_policy: Data<RegistrationPolicy>,
    webhook_settings: Data<WebhookSettings>,
    server_statuses: Data<ServerStatuses>,
    metrics_are_elsewhere: bool,
}

impl State {
    fn configure(&self, service: &mut web::ServiceConfig) {
        service
            .app_data(self.pages.clone())
            .app_data(self.stats.clone())
            .app_data(self.achievements.clone())
            .app_data(self.ingest.clone())
            .app_data(self.ops.clone())
            .app_data(self.postgres.clone())
            .app_data(self.session_cookies.clone())
            .app_data(self.short_codes.clone())
            .app_data(self.sign_in.clone())
            .app_data(self.devices.clone())
            .app_data(self.base_url.clone())
            .app_data(self.frame_ancestors.clone())
            .app_data(self.guess_limits.clone())
            .app_data(self.live.clone())
            .app_data(self.tournaments.clone())
            .app_data(self.limits.clone())
            .app_data(self.trusted_proxies.clone())
            .app_data(self.registration_policy.clone())
            .app_data(self.webhook_settings.clone())
            .app_data(self.server_statuses.clone())
            .app_data(self.server_tokens.clone())
            .app_data(self.sessions.clone())
            .app_data(pages::error_pages())
            .configure(http::configure_extractors)
            // Thousands of requests a second with answers of a line: nothing here for a browser to heed or unpack.
            .configure(|service| access::mount(service, &routes::of_game_servers()))
            .service(
                web::scope("")
                    .wrap(from_fn(requests::refuse_nul))
                    .wrap(from_fn(auth::keep_signed_in))
                    .wrap(from_fn(pages::tell_what_was_done))
                    .wrap(from_fn(security::headers))
                    .wrap(Compress::default())
                    .configure(|service| self.configure_what_people_see(service)),
            );
    }

    fn configure_what_people_see(&self, service: &mut web::ServiceConfig) {
        self.assets.configure(service);
        access::mount(service, &routes::of_people(self.metrics_are_elsewhere));
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

fn bind(address: SocketAddr) -> Result<TcpListener, StartError> {
    TcpListener::bind(address).map_err(|source| StartError::Listen { address, source })
}

fn serve_ops(address: SocketAddr, ops: Data<Ops>) -> Result<ServerHandle, StartError> {
    let listener = bind(address)?;
    if let Ok(bound) = listener.local_addr() {
        tracing::info!(url = crate::config::local_url(bound), "health, readiness and metrics");
    }
    let server = HttpServer::new(move || {
        App::new().app_data(ops.clone()).configure(|service| access::mount(service, &routes::of_operators()))
    })
    .workers(1)
    .disable_signals()
    .listen(listener)
    .map_err(|source| StartError::Listen { address, source })?
    .run();
    let handle = server.handle();
    actix_web::rt::spawn(server);
    Ok(handle)
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

async fn keep_postgres_schema(pool: PgPool) {
    while let Err(error) = postgres::migrate(&pool).await {
        tracing::warn!(%error, "PostgreSQL's schema can't be brought up to date yet");
        tokio::time::sleep(SCHEMA_RETRY).await;
    }
}

/// Who keeps ClickHouse true to what PostgreSQL says.
struct Keepers {
    links: PlayerLinksCopy,
    ratings: RatingKeeper,
    names: NameEraser,
}

/// Holds the writers back until ClickHouse has the schema that they write to, then watches over the roll-ups.
async fn prepare_clickhouse(
    (engines, postgres): (Engines, PgPool),
    pipeline: Pipeline,
    raw_events_ttl_days: u32,
    data_version: DataVersion,
    keepers: Keepers,
    reconciler: Reconciler,
) {
    let writers_wait = pipeline.gate.clone().write_owned().await;
    loop {
        let prepared: Result<(), UpgradeError> = async {
            // A store that hangs must not be waited for: the next try may meet it awake.
            let awake = tokio::time::timeout(QUESTION_PATIENCE, engines.answer());
            awake.await.map_err(|_| clickhouse::error::Error::TimedOut)??;
            upgrade::migrate(&engines, &postgres).await?;
            schema::check(&engines).await?;
            Ok(schema::set_raw_events_ttl(&engines, raw_events_ttl_days).await?)
        }
        .await;
        match prepared {
            Ok(()) => break,
            Err(error) if error.is_for_now() => {
                tracing::warn!(%error, "ClickHouse's schema can't be brought up to date yet");
            }
            Err(error) => tracing::error!(%error, "events stay in the spool until the schema is mended"),
        }
        tokio::time::sleep(SCHEMA_RETRY).await;
    }
    data_version.changed();
    drop(writers_wait);
    let _links_are_copied = keepers.links.watch().await;
    let _ratings_are_kept = keepers.ratings.watch().await;
    let _names_are_erased = keepers.names.watch().await;
    reconciler.watch().await;
}
