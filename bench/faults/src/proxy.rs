//! A proxy in front of ClickHouse that speaks HTTP just enough to fail like a store: it hangs, breaks off in the middle
//! of an insert, loses the answer of an insert that happened, answers exceptions, and takes bytes at a bounded rate.
//!
//! Questions (anything but an insert into `raw_events`) pass, except while it hangs.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::handshake;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::Instant;

use crate::cuttable::CuttableProxy;
use crate::error::{FaultsError, Result};

/// What becomes of inserts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum InsertFault {
    /// They pass.
    None,
    /// Half of the body reaches the store, whose connection then breaks; the client gets a bare 500.
    BreakMidway,
    /// The store ends the insert; the client's connection breaks before the answer.
    LoseAnswer,
    /// The store does not hear of it; the client gets an exception of this code and name.
    Exception { code: u32, name: &'static str },
    /// Bodies pass at so many bytes a second, all together.
    Throttle { bytes_per_second: f64 },
}

struct Shared {
    store: SocketAddr,
    fault: Mutex<InsertFault>,
    hangs: AtomicBool,
    /// When the throttle has room again.
    next_free: Mutex<Instant>,
    inserted_bytes: AtomicU64,
    faulted_inserts: AtomicU64,
}

impl Shared {
    fn fault(&self) -> InsertFault {
        *self.fault.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub struct FaultProxy {
    front: CuttableProxy,
    shared: Arc<Shared>,
}

/// Why a connection to the client ends without an answer.
#[derive(Debug, thiserror::Error)]
enum NoAnswer {
    #[error("the answer is lost on purpose")]
    Lost,
    #[error("the store can't be reached: {0}")]
    Connect(#[from] std::io::Error),
    #[error("the store's answer can't be had: {0}")]
    Http(#[from] hyper::Error),
}

impl FaultProxy {
    /// Stands in front of the ClickHouse at `url`.
    ///
    /// # Errors
    /// When there is no such address, or no port to be had.
    pub async fn start(url: &str) -> Result<Self> {
        let wrong = |reason: String| FaultsError::StoreAddress(reason);
        let address = url::Url::parse(url).map_err(|error| wrong(error.to_string()))?;
        let store = address
            .socket_addrs(|| Some(8123))
            .map_err(|error| wrong(error.to_string()))?
            .first()
            .copied()
            .ok_or_else(|| wrong(format!("no address of {:?}", address.host_str())))?;
        let shared = Arc::new(Shared {
            store,
            fault: Mutex::new(InsertFault::None),
            hangs: AtomicBool::new(false),
            next_free: Mutex::new(Instant::now()),
            inserted_bytes: AtomicU64::new(0),
            faulted_inserts: AtomicU64::new(0),
        });
        let for_connections = shared.clone();
        let front = CuttableProxy::start_with(move |stream| serve(for_connections.clone(), stream)).await;
        Ok(Self { front: front.map_err(FaultsError::Proxy)?, shared })
    }

    /// `url` of the store, through this proxy.
    ///
    /// # Errors
    /// When it is no URL.
    pub fn in_front_of(&self, url: &str) -> Result<String> {
        self.front.in_front_of(url).map_err(|error| FaultsError::StoreAddress(error.to_string()))
    }

    pub fn set(&self, fault: InsertFault) {
        *self.shared.fault.lock().unwrap_or_else(PoisonError::into_inner) = fault;
    }

    /// Takes connections and requests, and answers none.
    pub fn hang(&self) {
        self.shared.hangs.store(true, Ordering::Relaxed);
    }

    /// New requests pass; those that hang do so for ever, as when a network lost their connections without a word.
    pub fn forget_what_hangs(&self) {
        self.shared.hangs.store(false, Ordering::Relaxed);
    }

    /// No connection is taken, those that were break.
    pub async fn refuse(&self) {
        self.front.cut().await;
    }

    /// Everything passes again; requests that hang see their connections break.
    ///
    /// # Errors
    /// When the port is gone.
    pub async fn mend(&self) -> Result<()> {
        self.set(InsertFault::None);
        self.forget_what_hangs();
        self.front.cut().await;
        self.front.mend().await.map_err(FaultsError::Proxy)
    }

    /// Bytes of insert bodies that were passed on whole.
    pub fn inserted_bytes(&self) -> u64 {
        self.shared.inserted_bytes.load(Ordering::Relaxed)
    }

    /// Inserts that met a fault.
    pub fn faulted_inserts(&self) -> u64 {
        self.shared.faulted_inserts.load(Ordering::Relaxed)
    }
}

async fn serve(shared: Arc<Shared>, stream: TcpStream) {
    let service = service_fn(move |request| answer(shared.clone(), request));
    // Breaking connections is what this is for.
    let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

async fn answer(
    shared: Arc<Shared>,
    request: Request<Incoming>,
) -> std::result::Result<Response<Full<Bytes>>, NoAnswer> {
    if shared.hangs.load(Ordering::Relaxed) {
        // Ends with its connection.
        return std::future::pending().await;
    }
    let is_insert = request.uri().query().is_some_and(|query| query.contains("INSERT+INTO+raw_events"));
    let fault = if is_insert { shared.fault() } else { InsertFault::None };
    let (parts, body) = request.into_parts();
    let body = body.collect().await?.to_bytes();
    if !matches!(fault, InsertFault::None | InsertFault::Throttle { .. }) {
        shared.faulted_inserts.fetch_add(1, Ordering::Relaxed);
    }
    match fault {
        InsertFault::None => {}
        InsertFault::Throttle { bytes_per_second } => wait_for_turn(&shared, &body, bytes_per_second).await,
        InsertFault::LoseAnswer => {
            forward(&shared, parts, body).await?;
            return Err(NoAnswer::Lost);
        }
        InsertFault::BreakMidway => {
            break_midway(&shared, &parts, &body).await?;
            return Ok(plain(StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error"));
        }
        InsertFault::Exception { code, name } => {
            let text = format!("Code: {code}. DB::Exception: made by the fault proxy. ({name})\n");
            let mut answer = plain(StatusCode::INTERNAL_SERVER_ERROR, &text);
            answer.headers_mut().insert("X-ClickHouse-Exception-Code", code.into());
            return Ok(answer);
        }
    }
    let bytes = body.len() as u64;
    let answer = forward(&shared, parts, body).await?;
    if is_insert && answer.status().is_success() {
        shared.inserted_bytes.fetch_add(bytes, Ordering::Relaxed);
    }
    Ok(answer)
}

async fn wait_for_turn(shared: &Shared, body: &Bytes, bytes_per_second: f64) {
    let takes = Duration::from_secs_f64(body.len() as f64 / bytes_per_second);
    let done_at = {
        let mut next_free = shared.next_free.lock().unwrap_or_else(PoisonError::into_inner);
        *next_free = (*next_free).max(Instant::now()) + takes;
        *next_free
    };
    tokio::time::sleep_until(done_at).await;
}

async fn forward(
    shared: &Shared,
    parts: hyper::http::request::Parts,
    body: Bytes,
) -> std::result::Result<Response<Full<Bytes>>, NoAnswer> {
    let stream = TcpStream::connect(shared.store).await?;
    stream.set_nodelay(true)?;
    let (mut sender, connection) = handshake(TokioIo::new(stream)).await?;
    let connection = tokio::spawn(connection);
    let mut request = Request::from_parts(parts, Full::new(body));
    // The body is whole now and has a length; hyper writes its own.
    request.headers_mut().remove(hyper::header::TRANSFER_ENCODING);
    request.headers_mut().remove(hyper::header::CONTENT_LENGTH);
    let (mut parts, body) = sender.send_request(request).await?.into_parts();
    let body = body.collect().await?.to_bytes();
    connection.abort();
    parts.headers.remove(hyper::header::TRANSFER_ENCODING);
    parts.headers.remove(hyper::header::CONTENT_LENGTH);
    Ok(Response::from_parts(parts, Full::new(body)))
}

/// Sends the head and half of the body, and hangs up.
async fn break_midway(
    shared: &Shared,
    parts: &hyper::http::request::Parts,
    body: &Bytes,
) -> std::result::Result<(), NoAnswer> {
    use tokio::io::AsyncWriteExt as _;
    let mut stream = TcpStream::connect(shared.store).await?;
    let mut head = format!("{} {} HTTP/1.1\r\nContent-Length: {}\r\n", parts.method, parts.uri, body.len());
    for (name, value) in &parts.headers {
        if *name != hyper::header::CONTENT_LENGTH && *name != hyper::header::TRANSFER_ENCODING {
            head.push_str(&format!("{name}: {}\r\n", value.to_str().unwrap_or_default()));
        }
    }
    head.push_str("\r\n");
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(&body[..body.len() / 2]).await?;
    stream.shutdown().await?;
    Ok(())
}

fn plain(status: StatusCode, text: &str) -> Response<Full<Bytes>> {
    let mut answer = Response::new(Full::new(Bytes::from(text.to_owned())));
    *answer.status_mut() = status;
    answer
}
