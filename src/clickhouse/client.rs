//! A ClickHouse client whose connections send at once.
//!
//! The crate's own connector leaves Nagle's algorithm on, which holds the last part of each insert back for 40 ms.

use clickhouse::{Client, Compression};
use hyper_rustls::HttpsConnectorBuilder;
use hyper_util::client::legacy::Client as HttpClient;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use std::time::Duration;

use crate::config::ClickHouseUrl;

/// ClickHouse closes idle connections after 3 s by default; ours must go first.
const IDLE_TIMEOUT: Duration = Duration::from_secs(2);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// A client for the database that `url` names.
pub fn connect(url: &ClickHouseUrl) -> Client {
    let mut http = HttpConnector::new();
    http.set_nodelay(true);
    http.set_connect_timeout(Some(CONNECT_TIMEOUT));
    http.enforce_http(false);
    let connector =
        HttpsConnectorBuilder::new().with_webpki_roots().https_or_http().enable_http1().wrap_connector(http);
    let client = HttpClient::builder(TokioExecutor::new()).pool_idle_timeout(IDLE_TIMEOUT).build(connector);
    Client::with_http_client(client)
        .with_url(&url.endpoint)
        .with_user(&url.user)
        .with_password(url.password.expose())
        .with_database(&url.database)
        // The store is on the same machine or network: the time to compress costs more than the bytes.
        .with_compression(Compression::None)
}
