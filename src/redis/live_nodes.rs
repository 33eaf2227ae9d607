//! What nodes say to each other about live matches: leases, and channels that are named by the database's number, because
//! Redis keeps channels of its databases together.
//!
//! - `live:{<server>}:owner`: the node that follows a server's matches; it expires unless it is renewed.
//! - `live:{<server>}:fence`: counts the owners.
//! - channel `<database>:live:node:<node>`: what one node is told, `<database>:live:list`: what all are.

use std::time::Duration;

use deadpool_redis::redis::{Msg, cmd, pipe};
use futures_util::{Stream, StreamExt as _};
use uuid::Uuid;

use super::{Pool, RedisError, within_patience};
use crate::config::RedisUrl;

/// An owner that says nothing for so long is gone.
const LEASE: Duration = Duration::from_millis(2_500);

/// Takes or renews a lease; says whether it is ours, and its fence or who has it.
const LEASE_SCRIPT: &str = "\
    local owner = redis.call('GET', KEYS[1]) \
    if owner == ARGV[1] then \
        redis.call('PEXPIRE', KEYS[1], ARGV[2]) \
        return {1, redis.call('GET', KEYS[2]) or '0'} \
    end \
    if owner then return {0, owner} end \
    redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2]) \
    return {1, tostring(redis.call('INCR', KEYS[2]))}";

const RELEASE_SCRIPT: &str =
    "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0";

/// Who has a lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lease {
    Ours { fence: u64 },
    Of { node: Uuid },
}

/// Redis as nodes use it to find each other.
#[derive(Clone)]
pub struct LiveNodesStore {
    pool: Pool,
    database: i64,
}

impl LiveNodesStore {
    /// # Errors
    /// When the URL can't be used.
    pub fn new(pool: Pool, url: &RedisUrl) -> Result<Self, RedisError> {
        Ok(Self { pool, database: url.database()? })
    }

    pub fn channel_of(&self, node: Uuid) -> String {
        format!("{}:live:node:{node}", self.database)
    }

    pub fn list_channel(&self) -> String {
        format!("{}:live:list", self.database)
    }

    /// Takes or renews the leases of these servers for a node; the answers are in their order.
    ///
    /// # Errors
    /// When Redis does not answer in time.
    pub async fn lease(&self, node: Uuid, servers: &[Uuid]) -> Result<Vec<Lease>, RedisError> {
        let mut pipeline = pipe();
        for server_id in servers {
            pipeline
                .cmd("EVAL")
                .arg(LEASE_SCRIPT)
                .arg(2)
                .arg(owner_key(*server_id))
                .arg(fence_key(*server_id));
            pipeline.arg(node.to_string()).arg(LEASE.as_millis().to_string());
        }
        let answers: Vec<(u8, String)> = within_patience(async {
            let mut connection = self.pool.get().await?;
            Ok(pipeline.query_async(&mut connection).await?)
        })
        .await?;
        let read = |(is_ours, text): (u8, String)| match is_ours {
            1 => Lease::Ours { fence: text.parse().unwrap_or_default() },
            // A name that nobody can be called by expires like any other.
            _ => Lease::Of { node: text.parse().unwrap_or_default() },
        };
        Ok(answers.into_iter().map(read).collect())
    }

    /// Gives leases of this node back.
    ///
    /// # Errors
    /// When Redis does not answer in time; they expire then.
    pub async fn release(&self, node: Uuid, servers: &[Uuid]) -> Result<(), RedisError> {
        let mut pipeline = pipe();
        for server_id in servers {
            pipeline.cmd("EVAL").arg(RELEASE_SCRIPT).arg(1).arg(owner_key(*server_id)).arg(node.to_string());
        }
        within_patience(async {
            let mut connection = self.pool.get().await?;
            pipeline.query_async::<()>(&mut connection).await?;
            Ok(())
        })
        .await
    }

    /// Says something on a channel; how many listen there.
    ///
    /// # Errors
    /// When Redis does not answer in time.
    pub async fn publish(&self, channel: &str, message: &[u8]) -> Result<u64, RedisError> {
        within_patience(async {
            let mut connection = self.pool.get().await?;
            Ok(cmd("PUBLISH").arg(channel).arg(message).query_async(&mut connection).await?)
        })
        .await
    }

    /// What is said on these channels, until the connection is lost.
    ///
    /// # Errors
    /// When Redis can't be reached.
    pub async fn listen(
        &self,
        channels: &[String],
    ) -> Result<impl Stream<Item = Vec<u8>> + Unpin + use<>, RedisError> {
        let subscribing = async {
            let mut heard = self.pool.manager().client().await?.get_async_pubsub().await?;
            for channel in channels {
                heard.subscribe(channel).await?;
            }
            Ok::<_, RedisError>(heard)
        };
        let heard = tokio::time::timeout(Duration::from_secs(5), subscribing)
            .await
            .map_err(|_| RedisError::Timeout)??;
        Ok(heard.into_on_message().map(|message: Msg| message.get_payload_bytes().to_vec()))
    }
}

fn owner_key(server_id: Uuid) -> String {
    format!("live:{{{server_id}}}:owner")
}

pub(super) fn fence_key(server_id: Uuid) -> String {
    format!("live:{{{server_id}}}:fence")
}
