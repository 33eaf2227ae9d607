//! A proxy between service and ClickHouse that passes everything on and writes down each question of the statistics: its
//! text, how long it took, and what the engine says that it read.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::header::{CONTENT_LENGTH, HOST, TRANSFER_ENCODING};
use hyper::http::request::Parts;
use hyper::service::service_fn;
use hyper::{Request, Response, Uri};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::{TcpListener, TcpStream};

use crate::clickhouse::{ClickHouse, Cost};
use crate::connection::Connection;
use crate::error::BenchError;

/// A setting that only questions of the statistics come with; the service's other statements have none or others.
const MARK_OF_QUESTIONS: &str = "max_memory_usage=";

/// A question as it was asked, so that it can be asked again.
#[derive(Clone)]
pub struct Asked {
    pub text: String,
    pub elapsed: Duration,
    pub cost: Cost,
    request: Arc<(Parts, Bytes)>,
}

impl Asked {
    /// Asks it again, straight; how long that took.
    ///
    /// # Errors
    /// When the engine refuses.
    pub async fn again(&self, connection: &mut Connection) -> Result<Duration, BenchError> {
        let (parts, body) = &*self.request;
        let mut request = Request::builder().method(parts.method.clone()).uri(parts.uri.clone());
        for (name, value) in &parts.headers {
            // The connection writes its own.
            if ![HOST, CONTENT_LENGTH, TRANSFER_ENCODING].contains(name) {
                request = request.header(name, value);
            }
        }
        let began = Instant::now();
        connection.send(request, body.clone()).await?.success()?;
        Ok(began.elapsed())
    }
}

struct Shared {
    engine: SocketAddr,
    client: Client<HttpConnector, Full<Bytes>>,
    asked: Mutex<Vec<Asked>>,
}

pub struct RecordingProxy {
    address: SocketAddr,
    shared: Arc<Shared>,
}

/// Why a connection of the service ends without an answer.
#[derive(Debug, thiserror::Error)]
enum NoAnswer {
    #[error("the engine's answer can't be had: {0}")]
    Http(#[from] hyper::Error),
    #[error("the engine can't be reached: {0}")]
    Client(#[from] hyper_util::client::legacy::Error),
    #[error("the request can't be passed on: {0}")]
    Request(#[from] hyper::http::Error),
}

impl RecordingProxy {
    /// # Errors
    /// When there is no port to be had.
    pub async fn start(clickhouse: &ClickHouse) -> Result<Self, BenchError> {
        let listener = TcpListener::bind("127.0.0.1:0").await.map_err(BenchError::Connect)?;
        let address = listener.local_addr().map_err(BenchError::Connect)?;
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        let shared = Arc::new(Shared {
            engine: clickhouse.address,
            client: Client::builder(TokioExecutor::new())
                // Before the engine closes it.
                .pool_idle_timeout(Duration::from_secs(2))
                .build(connector),
            asked: Mutex::new(Vec::new()),
        });
        let for_connections = shared.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(for_connections.clone(), stream));
            }
        });
        Ok(Self { address, shared })
    }

    /// `url` of the engine, through this proxy.
    ///
    /// # Errors
    /// When it is no URL.
    pub fn in_front_of(&self, url: &str) -> Result<String, BenchError> {
        let unusable = |_| BenchError::StoreUrl { store: "ClickHouse" };
        let mut url = url::Url::parse(url).map_err(unusable)?;
        url.set_ip_host(self.address.ip())
            .and_then(|()| url.set_port(Some(self.address.port())))
            .map_err(|()| BenchError::StoreUrl { store: "ClickHouse" })?;
        Ok(url.into())
    }

    /// What was asked since this was called last.
    pub fn take(&self) -> Vec<Asked> {
        std::mem::take(&mut *self.shared.asked.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

async fn serve(shared: Arc<Shared>, stream: TcpStream) {
    // Its failure shows in the service's answers.
    let _ = stream.set_nodelay(true);
    let service = service_fn(move |request| answer(shared.clone(), request));
    let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

async fn answer(shared: Arc<Shared>, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, NoAnswer> {
    let (mut parts, body) = request.into_parts();
    let body = body.collect().await?.to_bytes();
    let is_question = parts.uri.query().is_some_and(|query| query.contains(MARK_OF_QUESTIONS));
    // The body is whole now and has a length; hyper writes its own.
    parts.headers.remove(TRANSFER_ENCODING);
    parts.headers.remove(CONTENT_LENGTH);
    let target = parts.uri.path_and_query().map_or("/", |target| target.as_str());
    let uri =
        Uri::builder().scheme("http").authority(shared.engine.to_string()).path_and_query(target).build()?;
    let mut passed_on = parts.clone();
    passed_on.uri = uri;
    let began = Instant::now();
    let (mut head, passed_back) =
        shared.client.request(Request::from_parts(passed_on, Full::new(body.clone()))).await?.into_parts();
    let passed_back = passed_back.collect().await?.to_bytes();
    if is_question {
        let summary = head.headers.get("X-ClickHouse-Summary").and_then(|summary| summary.to_str().ok());
        let asked = Asked {
            text: String::from_utf8_lossy(&body).into_owned(),
            elapsed: began.elapsed(),
            cost: Cost::of_summary(summary.unwrap_or_default()),
            request: Arc::new((parts, body)),
        };
        shared.asked.lock().unwrap_or_else(PoisonError::into_inner).push(asked);
    }
    head.headers.remove(TRANSFER_ENCODING);
    head.headers.remove(CONTENT_LENGTH);
    Ok(Response::from_parts(head, Full::new(passed_back)))
}
