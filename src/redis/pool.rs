//! Connections to Redis: to one server, or to whichever the sentinels name as the master.
//!
//! A connection that comes back to the pool is asked whether its server is still the master: one that was demoted goes on
//! answering, and refuses what is written.

use deadpool::managed::{self, Metrics, RecycleError};
use deadpool_redis::redis::aio::{ConnectionLike, MultiplexedConnection};
use deadpool_redis::redis::sentinel::{SentinelClient, SentinelClientBuilder, SentinelServerType};
use deadpool_redis::redis::{
    Client, Cmd, ConnectionAddr, Pipeline, RedisError, RedisFuture, RedisResult, TlsMode, Value, cmd,
};
use tokio::sync::Mutex;

use crate::config::RedisUrl;

/// Connections that are shared.
pub type Pool = managed::Pool<Manager, Connection>;
pub type PoolError = managed::PoolError<RedisError>;

/// One that goes back to the pool when it is dropped.
pub struct Connection(managed::Object<Manager>);

impl From<managed::Object<Manager>> for Connection {
    fn from(connection: managed::Object<Manager>) -> Self {
        Self(connection)
    }
}

impl ConnectionLike for Connection {
    fn req_packed_command<'a>(&'a mut self, command: &'a Cmd) -> RedisFuture<'a, Value> {
        self.0.req_packed_command(command)
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        commands: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        self.0.req_packed_commands(commands, offset, count)
    }

    fn get_db(&self) -> i64 {
        self.0.get_db()
    }
}

/// Where connections lead.
pub enum Manager {
    Server(Client),
    Sentinels(Mutex<SentinelClient>),
}

impl Manager {
    /// # Errors
    /// When the address can't be used.
    pub fn new(url: &RedisUrl) -> RedisResult<Self> {
        match url {
            RedisUrl::Server(url) => Ok(Manager::Server(Client::open(url.expose())?)),
            RedisUrl::Sentinels { .. } => Ok(Manager::Sentinels(Mutex::new(sentinel_client(url)?))),
        }
    }

    /// A client of the server that is the master now.
    ///
    /// # Errors
    /// When no sentinel knows one.
    pub async fn client(&self) -> RedisResult<Client> {
        match self {
            Manager::Server(client) => Ok(client.clone()),
            Manager::Sentinels(sentinels) => sentinels.lock().await.async_get_client().await,
        }
    }
}

fn sentinel_client(url: &RedisUrl) -> RedisResult<SentinelClient> {
    let RedisUrl::Sentinels { hosts, master, database, user, password, sentinel_password, is_tls } = url
    else {
        return Err(RedisError::from((
            deadpool_redis::redis::ErrorKind::InvalidClientConfig,
            "not an address of sentinels",
        )));
    };
    let addresses = hosts.iter().map(|(host, port)| match is_tls {
        false => ConnectionAddr::Tcp(host.clone(), *port),
        true => ConnectionAddr::TcpTls { host: host.clone(), port: *port, insecure: false, tls_params: None },
    });
    let mut builder = SentinelClientBuilder::new(addresses, master, SentinelServerType::Master)?
        .set_client_to_redis_db(*database);
    if let Some(user) = user {
        builder = builder.set_client_to_redis_username(user);
    }
    if let Some(password) = password {
        builder = builder.set_client_to_redis_password(password.expose());
    }
    if let Some(password) = sentinel_password {
        builder = builder.set_client_to_sentinel_password(password.expose());
    }
    if *is_tls {
        builder = builder.set_client_to_redis_tls_mode(TlsMode::Secure);
    }
    builder.build()
}

impl managed::Manager for Manager {
    type Type = MultiplexedConnection;
    type Error = RedisError;

    async fn create(&self) -> Result<MultiplexedConnection, RedisError> {
        self.client().await?.get_multiplexed_async_connection().await
    }

    async fn recycle(
        &self,
        connection: &mut MultiplexedConnection,
        _: &Metrics,
    ) -> managed::RecycleResult<RedisError> {
        match self {
            Manager::Server(_) => {
                cmd("PING").query_async::<String>(connection).await?;
            }
            Manager::Sentinels(_) => {
                let role: Vec<Value> = cmd("ROLE").query_async(connection).await?;
                let is_master = match role.first() {
                    Some(Value::BulkString(role)) => role.as_slice() == b"master",
                    Some(Value::SimpleString(role)) => role == "master",
                    _ => false,
                };
                if !is_master {
                    return Err(RecycleError::message("its server is no master any more"));
                }
            }
        }
        Ok(())
    }
}
