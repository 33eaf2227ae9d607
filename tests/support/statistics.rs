//! Statistics over rows that a test puts into ClickHouse itself, at a fixed time.

use std::sync::{Arc, Mutex};

use actix_web::http::StatusCode;
use actix_web::http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use chrono::{DateTime, TimeDelta, Utc};
use mohaa_actors::live::LiveFeeds;
use mohaa_domain::event::{Event, Millis, Stamp};
use mohaa_domain::row;
use mohaa_domain::vocabulary::{EventType, GameType, KillKind, Team};
use mohaa_embedded::StoreUrls;
use mohaa_stats::access;
use mohaa_stats::achievements::AchievementStore;
use mohaa_stats::clickhouse::cluster::Engines;
use mohaa_stats::config::{ClickHouseUrl, RedisUrl, StoreUrl};
use mohaa_stats::data_version::DataVersion;
use mohaa_stats::http::assets::Assets;
use mohaa_stats::http::{self, error_answers, requests, security};
use mohaa_stats::live::{self, Live, LiveNodes, Viewers};
use mohaa_stats::pages::{self, Pages};
use mohaa_stats::players::CanonicalIds;
use mohaa_stats::postgres;
use mohaa_stats::redis::LiveNodesStore;
use mohaa_stats::servers::ServerStatuses;
use mohaa_stats::stats::{self, AnswerCache, Stats};
use prometheus::Registry;
use serde_json::Value;
use sqlx::PgPool;
use uuid::Uuid;

use super::{Warehouse, contract, schemas};

/// Where everybody reaches the pages.
pub const PUBLIC_URL: &str = "https://stats.example.org";
/// A Sunday, the last day of ISO week 47.
pub const NOW: &str = "2026-11-22T12:00:00Z";
pub const MAP: &str = "dm/mohdm1";
pub const SERVER: Uuid = Uuid::from_u128(0x5e1);

/// Statistics over a database of their own, at a time that stands still.
pub struct StatsUnderTest {
    pub clickhouse: clickhouse::Client,
    pub postgres: PgPool,
    stats: Stats,
    live: Live,
    data_version: DataVersion,
    registry: Registry,
    now: Arc<Mutex<DateTime<Utc>>>,
    assets: Assets,
    _assets_directory: tempfile::TempDir,
    /// Of its own: dropped with it.
    database: Option<Warehouse>,
}

impl Drop for StatsUnderTest {
    fn drop(&mut self) {
        let Some(database) = self.database.take() else { return };
        // On a thread of its own: the test's can't wait within what it runs.
        let dropping = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(database.drop_tables());
        });
        // A test that has failed says more than what can't be dropped after it.
        let _ = dropping.join();
    }
}

pub struct Answer {
    pub status: StatusCode,
    pub headers: actix_web::http::header::HeaderMap,
    pub text: String,
    /// What was sent; `text` is what it says.
    pub bytes: Vec<u8>,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error} in {}", self.text))
    }

    pub fn header(&self, name: impl actix_web::http::header::AsHeaderName) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

impl StatsUnderTest {
    pub async fn start(name_hint: &str) -> Self {
        let urls = schemas::database(name_hint).await;
        let mut this = Self::on(&urls).await;
        this.database = Some(Warehouse::new(&urls.clickhouse_url));
        this
    }

    /// Statistics whose ClickHouse can't be reached.
    pub async fn without_clickhouse(name_hint: &str) -> Self {
        let mut urls = schemas::database(name_hint).await;
        urls.clickhouse_url = "http://user:password@127.0.0.1:9/none".to_owned();
        Self::on(&urls).await
    }

    /// Over a ClickHouse without tables.
    pub async fn on(urls: &StoreUrls) -> Self {
        Self::over(urls, None).await
    }

    pub fn engines(&self) -> Engines {
        Engines::single(self.clickhouse.clone())
    }

    /// As it asks a cluster.
    pub async fn over(urls: &StoreUrls, cluster: Option<&str>) -> Self {
        let engines = Engines::connect(&ClickHouseUrl::parse(&urls.clickhouse_url).unwrap(), cluster);
        let clickhouse = engines.questions().clone();
        let postgres = postgres::pool(&StoreUrl::postgres(&urls.postgres_url).unwrap()).await.unwrap();
        postgres::migrate(&postgres).await.unwrap();
        let (data_version, registry) = (DataVersion::default(), Registry::new());
        let cache = AnswerCache::new(data_version.clone(), &registry).unwrap();
        let now = Arc::new(Mutex::new(NOW.parse().unwrap()));
        let clock = now.clone();
        let clock = Arc::new(move || *clock.lock().unwrap());
        let assets_directory = tempfile::tempdir().unwrap();
        let stats = Stats::with_clock(clickhouse.clone(), postgres.clone(), cache, clock);
        // Nothing is played.
        let redis_url = RedisUrl::parse(&urls.redis_url).unwrap();
        let redis = mohaa_stats::redis::connect(&redis_url).unwrap();
        let nodes = LiveNodesStore::new(redis, &redis_url).unwrap();
        let (nodes, _) = LiveNodes::new(
            nodes,
            tokio::sync::mpsc::unbounded_channel().0,
            tokio::sync::mpsc::unbounded_channel().0,
        );
        let ids = CanonicalIds::default();
        let achievements = AchievementStore::new(postgres.clone(), stats.clone(), ids.clone());
        let viewers = Viewers::new(&registry).unwrap();
        StatsUnderTest {
            live: Live::new(LiveFeeds::default(), nodes, ids, achievements, viewers),
            stats,
            data_version,
            registry,
            now,
            database: None,
            assets: Assets::unpack(assets_directory.path()).unwrap(),
            clickhouse,
            postgres,
            _assets_directory: assets_directory,
        }
    }

    pub fn pass_time(&self, by: TimeDelta) {
        *self.now.lock().unwrap() += by;
    }

    /// Statements that were sent to ClickHouse so far.
    pub fn statements_sent(&self) -> u64 {
        let families = self.registry.gather();
        let sent = families.iter().find(|family| family.name() == "mohaa_answer_cache_misses_total");
        sent.unwrap().get_metric()[0].get_counter().get_value() as u64
    }

    /// Stores events without telling anybody.
    pub async fn store_unnoticed(&self, events: &[(Event, Stamp)]) {
        let names: Vec<&str> = row::COLUMNS.iter().map(|column| column.name).collect();
        let mut rows = Vec::new();
        for (index, (event, stamp)) in events.iter().enumerate() {
            let stamp = Stamp { spool_seq: index as u64 + 1, ..stamp.clone() };
            rows.extend_from_slice(&[0; 16]);
            row::encode(event, &stamp, &mut rows);
        }
        let statement = format!("INSERT INTO raw_events (batch_id, {}) FORMAT RowBinary", names.join(", "));
        let mut insert = self.clickhouse.insert_formatted_with(statement);
        insert.send(rows.into()).await.unwrap();
        insert.end().await.unwrap();
    }

    pub async fn store(&self, events: &[(Event, Stamp)]) {
        self.store_unnoticed(events).await;
        self.data_version.advance();
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.get_with(path, &[]).await
    }

    pub async fn get_with(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        use actix_web::{App, middleware::from_fn, test, web, web::Data};
        let pages = Pages::new(&self.assets, self.stats.clone(), Some(PUBLIC_URL)).unwrap();
        let app = test::init_service(
            App::new()
                .app_data(Data::new(pages))
                .app_data(Data::new(self.stats.clone()))
                .app_data(Data::new(self.live.clone()))
                .app_data(Data::new(AchievementStore::new(
                    self.postgres.clone(),
                    self.stats.clone(),
                    CanonicalIds::default(),
                )))
                .app_data(Data::new(ServerStatuses::default()))
                .app_data(Data::new(self.postgres.clone()))
                .app_data(pages::error_pages())
                .configure(http::configure_extractors)
                .configure(|service| access::mount(service, &stats::routes()))
                .configure(|service| access::mount(service, &live::routes()))
                .configure(|config| self.assets.configure(config))
                .configure(|service| access::mount(service, &pages::routes()))
                .default_service(web::to(error_answers::nothing_here))
                .wrap(from_fn(security::headers))
                .wrap(from_fn(error_answers::shape))
                .wrap(from_fn(requests::trace)),
        )
        .await;
        let request = headers
            .iter()
            .fold(test::TestRequest::get().uri(path), |request, header| request.insert_header(*header));
        let response = test::call_service(&app, request.to_request()).await;
        let (status, headers) = (response.status(), response.headers().clone());
        let bytes = test::read_body(response).await.to_vec();
        let text = match headers.get(CONTENT_ENCODING).map(|encoding| encoding.to_str().unwrap()) {
            None => String::from_utf8_lossy(&bytes).into_owned(),
            Some("br") => read_whole(brotli::Decompressor::new(&*bytes, 4096)),
            Some("gzip") => read_whole(flate2::read::GzDecoder::new(&*bytes)),
            Some(other) => panic!("{path} comes as {other}"),
        };
        let content_type = headers.get(CONTENT_TYPE).map_or("", |value| value.to_str().unwrap());
        contract::assert_kept("GET", path, status.as_u16(), content_type, &text);
        Answer { status, headers, text, bytes }
    }
}

fn read_whole(mut from: impl std::io::Read) -> String {
    let mut text = String::new();
    from.read_to_string(&mut text).unwrap();
    text
}

/// An event at `at` in the match of `SERVER` with number `match_number`, on `MAP`.
pub fn event(event_type: EventType, at: &str, match_number: u128) -> (Event, Stamp) {
    let at = Millis(at.parse::<DateTime<Utc>>().unwrap().timestamp_millis());
    let event = Event {
        event_type,
        source_type: event_type.as_str().into(),
        source_match_id: format!("round-{match_number}").into(),
        ..Event::default()
    };
    let stamp = Stamp {
        received_at: at,
        event_at: at,
        server_id: SERVER,
        match_id: Uuid::from_u128(match_number),
        map_name: MAP.into(),
        game_type: GameType::TeamDeathmatch,
        ..Stamp::default()
    };
    (event, stamp)
}

/// `who` did it to `whom`; `""` is nobody.
pub fn between((mut event, mut stamp): (Event, Stamp), who: &str, whom: &str) -> (Event, Stamp) {
    event.player.name = who.into();
    event.target.name = whom.into();
    stamp.player_id = who.into();
    stamp.target_id = whom.into();
    stamp.player_team = Team::Allies;
    stamp.target_team = Team::Axis;
    (event, stamp)
}

pub fn kill(who: &str, whom: &str, at: &str, match_number: u128) -> (Event, Stamp) {
    let (event, stamp) = between(event(EventType::Kill, at, match_number), who, whom);
    (event, Stamp { kill_kind: KillKind::Kill, weapon: "m1-garand".into(), ..stamp })
}
