//! Where the tables are: in one engine, or on the nodes of a cluster.
//!
//! **One engine.** The database of `CLICKHOUSE_URL` holds the tables.
//!
//! **A cluster** (`CLICKHOUSE_CLUSTER`). Each node has two databases. The *local* one holds the tables and views of the single form,
//! by the same names and from the same migrations ([`schema`]): what a shard's servers sent, and all that is counted from it, as a
//! server's events are all on one shard. The database of `CLICKHOUSE_URL` holds a `Distributed` table of the same name above each
//! of them. Questions and inserts name tables as ever and mean all shards; only what is about one engine's own tables (migrations,
//! comparisons of roll-ups, deletion) goes to each shard.
//!
//! Two small tables are needed whole by every node, as questions join them: they are replicated over all nodes, and are in the
//! second database themselves ([`form::SHARED`]).
//!
//! Which nodes there are is asked of ClickHouse (`system.clusters`). Each is spoken to over HTTP, by the port and the user of
//! `CLICKHOUSE_URL`: nothing waits for a queue that a lost node holds up, and a node that fails has a name.

pub mod form;
pub mod schema;

use std::time::Duration;

use clickhouse::error::Error;
use clickhouse::{Client, Row};
use serde::Deserialize;

use super::client::connect;
use crate::config::ClickHouseUrl;

/// A node that is asked whether it is there answers within this, or is away.
const SIGN_OF_LIFE: Duration = Duration::from_secs(5);

/// A database that every server has.
const ALWAYS_THERE: &str = "system";

/// Settings of everything that goes to `Distributed` tables. Named also where they are the default: a server's profile may say
/// otherwise, and any other value gives wrong answers or loses rows.
const SETTINGS_OF_CLUSTERS: &[(&str, &str)] = &[
    // What stands within IN or JOIN means all shards, not each shard its own.
    ("distributed_product_mode", "global"),
    // Half an answer is none.
    ("skip_unavailable_shards", "0"),
    // An insert ends when the shards have its rows, not when the node that was asked has them in a queue.
    ("distributed_foreground_insert", "1"),
    ("insert_distributed_one_random_shard", "0"),
    // Whoever asks after an insert asks the replica that took it, while it is there.
    ("load_balancing", "in_order"),
];

#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    #[error("ClickHouse: {0}")]
    ClickHouse(#[from] Error),
    #[error("ClickHouse knows no cluster {name} (CLICKHOUSE_CLUSTER); it knows {}", .known.join(", "))]
    Unknown { name: String, known: Vec<String> },
    #[error(
        "shard {shard} of cluster {name} has no internal_replication: its tables replicate themselves, and rows would be there twice"
    )]
    NotReplicated { name: String, shard: u32 },
    #[error("no node of shard {shard} answers: {source}")]
    ShardAway { shard: u32, source: Error },
    #[error("node {node} does not answer: {source}")]
    NodeAway { node: String, source: Error },
}

impl ClusterError {
    /// Whether it may be otherwise in a moment, without anybody's doing.
    pub fn is_for_now(&self) -> bool {
        !matches!(self, ClusterError::Unknown { .. } | ClusterError::NotReplicated { .. })
    }
}

/// One engine or a cluster.
#[derive(Clone)]
pub struct Engines {
    /// Tables by their plain names, wherever they are.
    questions: Client,
    cluster: Option<Cluster>,
}

/// What is known of a cluster before it is asked.
#[derive(Clone)]
struct Cluster {
    name: String,
    url: ClickHouseUrl,
}

/// How the tables of a cluster are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replication {
    /// Each shard's replicas find each other through Keeper.
    ByKeeper,
    /// All shards are databases of one engine: there is nothing to replicate.
    OneHost,
}

/// A part of the events, by their server.
#[derive(Clone)]
pub struct Shard {
    pub number: u32,
    /// In the order in which they are asked.
    pub nodes: Vec<Node>,
}

/// One engine with a copy of a shard.
#[derive(Clone)]
pub struct Node {
    /// For people: host and shard.
    pub name: String,
    /// In the database that holds the tables themselves.
    pub local: Client,
    pub local_database: String,
    /// In the database of `CLICKHOUSE_URL`; none where that is the same one.
    pub whole: Option<Client>,
    pub whole_database: String,
    /// Where `Distributed` tables find the local ones: the name of a database, empty where the cluster names one for each shard.
    pub named_database: String,
}

#[derive(Row, Deserialize)]
struct Replica {
    shard: u32,
    host: String,
    default_database: String,
    replicates_itself: u8,
}

impl Engines {
    /// `cluster` names one of `system.clusters`.
    pub fn connect(url: &ClickHouseUrl, cluster: Option<&str>) -> Self {
        let client = connect(url);
        match cluster {
            None => Self::single(client),
            Some(name) => Self {
                questions: SETTINGS_OF_CLUSTERS
                    .iter()
                    .fold(client, |client, (name, value)| client.with_setting(*name, *value)),
                cluster: Some(Cluster { name: name.to_owned(), url: url.clone() }),
            },
        }
    }

    pub fn single(client: Client) -> Self {
        Self { questions: client, cluster: None }
    }

    /// For whatever names tables and means all that is in them.
    pub fn questions(&self) -> &Client {
        &self.questions
    }

    /// The cluster's name.
    pub fn cluster(&self) -> Option<&str> {
        self.cluster.as_ref().map(|cluster| cluster.name.as_str())
    }

    /// Of a single engine, that one.
    ///
    /// # Errors
    /// When ClickHouse does not answer or knows no such cluster.
    pub async fn shards(&self) -> Result<Vec<Shard>, ClusterError> {
        Ok(self.shards_and_replication().await?.0)
    }

    /// Asks every shard for a sign of life.
    ///
    /// # Errors
    /// When one gives none.
    pub async fn answer(&self) -> Result<(), ClusterError> {
        for shard in self.shards().await? {
            let mut answer = Err(Error::TimedOut);
            for node in &shard.nodes {
                answer = node.answers().await;
                if answer.is_ok() {
                    break;
                }
            }
            answer.map_err(|source| ClusterError::ShardAway { shard: shard.number, source })?;
        }
        Ok(())
    }

    /// # Errors
    /// As [`shards`](Self::shards).
    pub async fn shards_and_replication(&self) -> Result<(Vec<Shard>, Replication), ClusterError> {
        let Some(cluster) = &self.cluster else {
            let node = Node {
                name: "ClickHouse".to_owned(),
                local: self.questions.clone(),
                local_database: String::new(),
                whole: None,
                whole_database: String::new(),
                named_database: String::new(),
            };
            return Ok((vec![Shard { number: 1, nodes: vec![node] }], Replication::OneHost));
        };
        let replicas = cluster.replicas().await?;
        let replication = cluster.replication(&replicas)?;
        let mut shards: Vec<Shard> = Vec::new();
        for replica in replicas {
            let number = replica.shard;
            let node = cluster.node(replica);
            match shards.last_mut().filter(|shard| shard.number == number) {
                Some(shard) => shard.nodes.push(node),
                None => shards.push(Shard { number, nodes: vec![node] }),
            }
        }
        Ok((shards, replication))
    }
}

impl Cluster {
    /// Sorted by shard.
    async fn replicas(&self) -> Result<Vec<Replica>, ClusterError> {
        let client = connect(&self.url).with_database(ALWAYS_THERE);
        let replicas: Vec<Replica> = client
            .query(
                "SELECT shard_num AS shard, host_name AS host, default_database, internal_replication AS replicates_itself \
                 FROM system.clusters WHERE cluster = ? ORDER BY shard_num, replica_num",
            )
            .bind(&self.name)
            .fetch_all()
            .await?;
        if replicas.is_empty() {
            let known = client.query("SELECT DISTINCT cluster FROM system.clusters ORDER BY cluster");
            return Err(ClusterError::Unknown { name: self.name.clone(), known: known.fetch_all().await? });
        }
        Ok(replicas)
    }

    fn replication(&self, replicas: &[Replica]) -> Result<Replication, ClusterError> {
        let are_of_one_host = replicas.iter().all(|replica| replica.host == replicas[0].host);
        let mut shards: Vec<u32> = replicas.iter().map(|replica| replica.shard).collect();
        shards.dedup();
        match replicas.iter().find(|replica| replica.replicates_itself == 0) {
            None => Ok(Replication::ByKeeper),
            Some(_) if are_of_one_host && shards.len() == replicas.len() => Ok(Replication::OneHost),
            Some(replica) => {
                Err(ClusterError::NotReplicated { name: self.name.clone(), shard: replica.shard })
            }
        }
    }

    fn node(&self, replica: Replica) -> Node {
        let database = &self.url.database;
        let local_database = match replica.default_database.is_empty() {
            true => format!("{database}_local"),
            false => replica.default_database.clone(),
        };
        let client = connect(&ClickHouseUrl {
            endpoint: on_host(&self.url.endpoint, &replica.host),
            ..self.url.clone()
        });
        Node {
            name: format!("{} (shard {})", replica.host, replica.shard),
            local: client.clone().with_database(&local_database),
            named_database: if replica.default_database.is_empty() {
                local_database.clone()
            } else {
                String::new()
            },
            local_database,
            whole: Some(client.with_database(database)),
            whole_database: database.clone(),
        }
    }
}

impl Shard {
    /// The first node that answers. The only one need not be asked whether it does: what is asked next says so.
    ///
    /// # Errors
    /// When none does.
    pub async fn answering(&self) -> Result<&Node, ClusterError> {
        if let [node] = self.nodes.as_slice() {
            return Ok(node);
        }
        let mut last = Error::TimedOut;
        for node in &self.nodes {
            match node.answers().await {
                Ok(()) => return Ok(node),
                Err(error) => {
                    tracing::debug!(%error, node = node.name, "a node of ClickHouse does not answer");
                    last = error;
                }
            }
        }
        Err(ClusterError::ShardAway { shard: self.number, source: last })
    }

    /// Those that answer, at least one.
    ///
    /// # Errors
    /// When none does.
    pub async fn all_answering(&self) -> Result<Vec<&Node>, ClusterError> {
        if let [node] = self.nodes.as_slice() {
            return Ok(vec![node]);
        }
        let mut answering = Vec::new();
        let mut last = Error::TimedOut;
        for node in &self.nodes {
            match node.answers().await {
                Ok(()) => answering.push(node),
                Err(error) => last = error,
            }
        }
        match answering.is_empty() {
            true => Err(ClusterError::ShardAway { shard: self.number, source: last }),
            false => Ok(answering),
        }
    }
}

impl Node {
    /// # Errors
    /// When it doesn't, at once.
    pub async fn answers(&self) -> Result<(), Error> {
        let client = match &self.whole {
            Some(_) => self.anywhere(),
            None => self.local.clone(),
        };
        let ask = client.query("SELECT 1").fetch_one::<u8>();
        tokio::time::timeout(SIGN_OF_LIFE, ask).await.unwrap_or(Err(Error::TimedOut))?;
        Ok(())
    }

    /// In no database of the service, which may not be there yet.
    pub fn anywhere(&self) -> Client {
        self.local.clone().with_database(ALWAYS_THERE)
    }

    /// Waits until this replica has what other replicas of its shard were given.
    ///
    /// # Errors
    /// When it does not come by, as where another replica has it and is away.
    pub async fn catch_up(&self, table: &str) -> Result<(), Error> {
        let question = "SELECT count() FROM system.tables WHERE database = currentDatabase() AND name = ? AND startsWith(engine, 'Replicated')";
        if self.local.query(question).bind(table).fetch_one::<u64>().await? > 0 {
            self.local.query_raw(&format!("SYSTEM SYNC REPLICA {table} LIGHTWEIGHT")).execute().await?;
        }
        Ok(())
    }
}

/// `http://host:port` with another host.
fn on_host(endpoint: &str, host: &str) -> String {
    let (scheme, rest) = endpoint.split_once("://").unwrap_or(("http", endpoint));
    let port = rest.rsplit_once(':').map_or("8123", |(_, port)| port);
    match host.contains(':') {
        true => format!("{scheme}://[{host}]:{port}"),
        false => format!("{scheme}://{host}:{port}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_is_reached_by_the_scheme_and_port_of_the_address() {
        assert_eq!(on_host("https://db:8443", "ch2.internal"), "https://ch2.internal:8443");
        assert_eq!(on_host("http://[::1]:8123", "ch2"), "http://ch2:8123");
        assert_eq!(on_host("http://db:8124", "fd00::2"), "http://[fd00::2]:8124");
    }
}
