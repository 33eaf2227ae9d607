//! Watches the stores and remembers how they are, so that asking costs nothing and a store that hangs can't make
//! `/ready` hang.

use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use futures_util::future::join3;
use mohaa_actors::pipeline::Pipeline;
use serde::Serialize;
use sqlx::PgPool;
use tokio::sync::watch;
use utoipa::ToSchema;

use crate::live::LiveNodes;
use crate::mqtt::MqttMetrics;

const INTERVAL: Duration = Duration::from_secs(1);
const PATIENCE: Duration = Duration::from_secs(2);

/// How one part is: `ok` or what is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct CheckResult {
    pub ok: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<&'static str>,
}

impl CheckResult {
    const OK: Self = Self { ok: true, problem: None };

    const fn failing(problem: &'static str) -> Self {
        Self { ok: false, problem: Some(problem) }
    }
}

#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Checks {
    pub postgres: CheckResult,
    pub clickhouse: CheckResult,
    pub redis: CheckResult,
    pub spool: CheckResult,
    /// The broker; none where none is configured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mqtt: Option<CheckResult>,
}

impl Checks {
    pub fn all_ok(&self) -> bool {
        let stores = [&self.postgres, &self.clickhouse, &self.redis, &self.spool];
        stores.into_iter().chain(&self.mqtt).all(|check| check.ok)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Phase {
    Starting = 0,
    Serving = 1,
    Draining = 2,
}

/// The service's own view of its health.
pub struct HealthMonitor {
    phase: AtomicU8,
    stores: RwLock<[CheckResult; 3]>,
    /// Counts the checks that found something else than the one before.
    changes: watch::Sender<u64>,
    pipeline: Pipeline,
    nodes: LiveNodes,
    broker: MqttMetrics,
}

impl HealthMonitor {
    pub fn new(pipeline: Pipeline, nodes: LiveNodes, broker: MqttMetrics) -> Arc<Self> {
        let unknown = CheckResult::failing("not asked yet");
        Arc::new(Self {
            phase: AtomicU8::new(Phase::Starting as u8),
            stores: RwLock::new([unknown.clone(), unknown.clone(), unknown]),
            changes: watch::Sender::new(0),
            pipeline,
            nodes,
            broker,
        })
    }

    pub fn enter(&self, phase: Phase) {
        self.phase.store(phase as u8, Ordering::Release);
    }

    pub fn phase(&self) -> Phase {
        match self.phase.load(Ordering::Acquire) {
            0 => Phase::Starting,
            1 => Phase::Serving,
            _ => Phase::Draining,
        }
    }

    pub fn checks(&self) -> Checks {
        let [postgres, clickhouse, redis] =
            self.stores.read().unwrap_or_else(PoisonError::into_inner).clone();
        let spool = match self.pipeline.spool.poisoned() {
            Some(_) => CheckResult::failing("can't write"),
            None if self.pipeline.spool.admit(1).is_err() => {
                let disk_is_low = self.pipeline.spool.stats().disk_is_low;
                CheckResult::failing(if disk_is_low { "its disk is almost full" } else { "full" })
            }
            None => CheckResult::OK,
        };
        let mqtt = self.broker.is_connected().map(|is_connected| match is_connected {
            true => CheckResult::OK,
            false => CheckResult::failing("not subscribed"),
        });
        Checks { postgres, clickhouse, redis, spool, mqtt }
    }

    /// Ingest outlives its stores, so only its own state decides: a store that fails must not take every node out
    /// of the balancer at once.
    pub fn is_ready(&self) -> bool {
        self.phase() == Phase::Serving && !self.is_drained() && self.checks().spool.ok
    }

    /// An operator wants this node out of the balancer; what comes is taken all the same.
    pub fn is_drained(&self) -> bool {
        self.nodes.is_drained()
    }

    /// In a word: what the process does, or what an operator has it do.
    pub fn state(&self) -> &'static str {
        match self.phase() {
            Phase::Starting => "starting",
            Phase::Serving if self.is_drained() => "drained",
            Phase::Serving => "serving",
            Phase::Draining => "stopping",
        }
    }

    /// Changes when a store that answered does so no more, or does again.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    pub fn queue_depth(&self) -> u64 {
        self.pipeline.batcher.depth()
    }

    /// Asks the stores for ever.
    pub async fn watch(
        self: Arc<Self>,
        postgres: PgPool,
        clickhouse: clickhouse::Client,
        redis: crate::redis::Pool,
    ) {
        loop {
            let (postgres, clickhouse, redis) = join3(
                check("PostgreSQL", async {
                    crate::postgres::check(&postgres).await.map_err(|error| error.to_string())
                }),
                check("ClickHouse", async {
                    clickhouse
                        .query("SELECT 1")
                        .fetch_one::<u8>()
                        .await
                        .map(drop)
                        .map_err(|error| error.to_string())
                }),
                check("Redis", async { crate::redis::ping(&redis).await.map_err(|error| error.to_string()) }),
            )
            .await;
            let found = [postgres, clickhouse, redis];
            let known = {
                let mut stores = self.stores.write().unwrap_or_else(PoisonError::into_inner);
                std::mem::replace(&mut *stores, found.clone())
            };
            if known != found {
                self.changes.send_modify(|changes| *changes += 1);
            }
            tokio::time::sleep(INTERVAL).await;
        }
    }
}

async fn check(store: &'static str, work: impl Future<Output = Result<(), String>>) -> CheckResult {
    match tokio::time::timeout(PATIENCE, work).await {
        Ok(Ok(())) => CheckResult::OK,
        Ok(Err(error)) => {
            tracing::debug!(store, error, "store does not answer");
            CheckResult::failing("not reachable")
        }
        Err(_) => CheckResult::failing("no answer in time"),
    }
}
