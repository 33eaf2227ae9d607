//! HTTP: from a request's bytes to a job of the engine, and back.
//!
//! A body is read and decompressed completely before the engine hears of the insert. So a client that
//! goes away in the middle of one stores nothing, and one that goes away after its end changes
//! nothing: the job runs in its own task.

use std::convert::Infallible;
use std::fmt::Write as _;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};

use crate::engine::{Answer, ConnectionKey, Engine, Job};
use crate::exception::{Code, Exception};
use crate::framing::{self, FrameDecoder};
use crate::request::{RequestHead, form_fields};
use crate::sql::{self, Refusal, Statement};

/// Plain bytes of one request body; a client with more splits it.
const MAX_BODY_BYTES: usize = 1 << 30;

/// The one account; the engine itself has no users.
pub struct Account {
    pub user: String,
    pub password: String,
    pub database: String,
}

pub struct Gateway {
    pub engine: Arc<Engine>,
    pub account: Account,
}

type HttpAnswer = Response<Full<Bytes>>;

/// A request that didn't come to its end gets no answer: nobody is there.
enum Failure {
    Exception(Exception),
    Disconnected(hyper::Error),
}

impl From<Exception> for Failure {
    fn from(exception: Exception) -> Self {
        Failure::Exception(exception)
    }
}

impl Gateway {
    pub async fn answer(self: Arc<Self>, request: Request<Incoming>) -> Result<HttpAnswer, Infallible> {
        // A server knows no such path; ours takes its own URL as it is handed out, database and all.
        let path = match request.uri().path() {
            path if path.strip_prefix('/') == Some(self.account.database.as_str()) => "/",
            path => path,
        };
        let mut answer = match (request.method(), path) {
            (&Method::GET | &Method::HEAD, "/ping" | "/replicas_status") => plain(StatusCode::OK, "Ok.\n"),
            (&Method::OPTIONS, _) => plain(StatusCode::NO_CONTENT, ""),
            (&Method::GET | &Method::HEAD, "/") if request.uri().query().is_none() => {
                plain(StatusCode::OK, "Ok.\n")
            }
            (&Method::GET | &Method::POST, "/" | "/query") => {
                // In its own task: hyper drops this future as soon as it sees the connection end, which
                // may be before the last bytes of a complete body were looked at.
                let gateway = Arc::clone(&self);
                let task = tokio::spawn(async move { gateway.statement(request).await });
                task.await.unwrap_or_else(|error| {
                    let message = format!("the request's task ended early: {error}");
                    failed(&Exception::new(Code::UnknownException, message), None, false)
                })
            }
            (_, "/" | "/query") => plain(StatusCode::METHOD_NOT_ALLOWED, "use GET or POST\n"),
            (_, path) => plain(StatusCode::NOT_FOUND, format!("There is no handle {path}\n")),
        };
        answer.headers_mut().insert("X-ClickHouse-Server-Display-Name", HeaderValue::from_static("embedded"));
        Ok(answer)
    }

    async fn statement(&self, request: Request<Incoming>) -> HttpAnswer {
        let (parts, body) = request.into_parts();
        let head = match RequestHead::read(&parts.method, &parts.uri, &parts.headers) {
            Ok(head) => head,
            Err(exception) => return failed(&exception, None, false),
        };
        let query_id = head.query_id.clone().unwrap_or_else(random_id);
        let compress = head.compress;
        match self.run(head, &query_id, body).await {
            Ok(answer) => succeeded(answer, &query_id, &self.engine.timezone, compress),
            Err(Failure::Exception(exception)) => {
                tracing::debug!(query_id, error = exception.text, "statement failed");
                failed(&exception, Some(&query_id), compress)
            }
            Err(Failure::Disconnected(error)) => {
                tracing::info!(query_id, %error, "client left before its request was complete: nothing is run");
                plain(StatusCode::BAD_REQUEST, "the request is incomplete\n")
            }
        }
    }

    async fn run(&self, mut head: RequestHead, query_id: &str, body: Incoming) -> Result<Answer, Failure> {
        self.authenticate(&head)?;
        let attempt = self.engine.attempts.register(query_id.to_owned())?;
        let blocks = read_body(body, head.decompress).await?;
        let mut blocks = blocks;
        if let Some(boundary) = head.form_boundary.take() {
            for (name, value) in form_fields(&blocks.concat(), &boundary)? {
                if name == "query" {
                    head.query = value;
                } else {
                    head.add(&name, value);
                }
            }
            blocks.clear();
        }
        let (statement, rows) = split(&head.query, blocks)?;
        for (name, _) in &head.settings {
            self.engine.check_setting(name)?;
        }
        let job = Job {
            key: ConnectionKey {
                user: head.user,
                database: head.database.unwrap_or_else(|| self.account.database.clone()),
                settings: head.settings,
            },
            session: head.session,
            statement,
            default_format: head.default_format.unwrap_or_else(|| "TabSeparated".to_owned()),
            parameters: head.parameters,
            rows,
            attempt,
        };
        Ok(self.engine.run(job).await?)
    }

    fn authenticate(&self, head: &RequestHead) -> Result<(), Exception> {
        let known = same(&head.user, &self.account.user) & same(&head.password, &self.account.password);
        if known {
            return Ok(());
        }
        Err(Exception::new(
            Code::AuthenticationFailed,
            format!(
                "{}: Authentication failed: password is incorrect, or there is no user with such name",
                head.user
            ),
        ))
    }
}

/// Compares without telling by its duration how much is equal.
fn same(left: &str, right: &str) -> bool {
    let differences = left.bytes().zip(right.bytes()).fold(0, |sum, (a, b)| sum | (a ^ b));
    left.len() == right.len() && differences == 0
}

/// The statement is the URL's `query` followed by the body; of an insert the rest are rows.
fn split(query: &str, blocks: Vec<Bytes>) -> Result<(Statement, Vec<Bytes>), Exception> {
    let refused = |refusal: Refusal| {
        let code = match refusal {
            Refusal::Empty | Refusal::SeveralStatements => Code::SyntaxError,
            Refusal::File | Refusal::Kill => Code::NotImplemented,
        };
        Exception::new(code, refusal)
    };
    if !query.trim().is_empty() {
        let statement = sql::parse(query).map_err(refused)?;
        if let Statement::Insert { data, .. } = &statement {
            let inline = Bytes::copy_from_slice(data.as_bytes());
            let rows = std::iter::once(inline).filter(|data| !data.is_empty()).chain(blocks).collect();
            return Ok((statement, rows));
        }
        if blocks.is_empty() {
            return Ok((statement, Vec::new()));
        }
    }
    let mut whole = query.as_bytes().to_vec();
    if !whole.is_empty() {
        whole.push(b'\n');
    }
    whole.extend(blocks.concat());
    // Rows in the same body as their INSERT may be binary: only the statement must be text.
    let text = match String::from_utf8(whole) {
        Ok(text) => text,
        Err(error) => {
            return Err(Exception::new(
                Code::SyntaxError,
                format!(
                    "the statement isn't UTF-8 ({}); send binary rows with the query in the URL",
                    error.utf8_error()
                ),
            ));
        }
    };
    let statement = sql::parse(&text).map_err(refused)?;
    let rows = match &statement {
        Statement::Insert { data, .. } if !data.is_empty() => vec![Bytes::copy_from_slice(data.as_bytes())],
        _ => Vec::new(),
    };
    Ok((statement, rows))
}

async fn read_body(mut body: Incoming, decompress: bool) -> Result<Vec<Bytes>, Failure> {
    let mut blocks = Vec::new();
    let mut decoder = FrameDecoder::default();
    let mut counted = 0;
    let mut size = 0;
    while let Some(frame) = body.frame().await {
        let Ok(piece) = frame.map_err(Failure::Disconnected)?.into_data() else {
            continue;
        };
        if decompress {
            decoder.push(&piece, &mut blocks).map_err(compression)?;
        } else if !piece.is_empty() {
            blocks.push(piece);
        }
        size += blocks[counted..].iter().map(Bytes::len).sum::<usize>();
        counted = blocks.len();
        if size > MAX_BODY_BYTES {
            return Err(Exception::new(
                Code::TooManyBytes,
                format!("the body is larger than {MAX_BODY_BYTES} bytes"),
            )
            .into());
        }
    }
    decoder.finish().map_err(compression)?;
    Ok(blocks)
}

fn compression(error: framing::FrameError) -> Failure {
    Exception::new(Code::CannotDecompress, error).into()
}

fn random_id() -> String {
    let number: u128 = rand::random();
    let hex = format!("{number:032x}");
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}

fn plain(status: StatusCode, text: impl Into<String>) -> HttpAnswer {
    let mut answer = Response::new(Full::new(Bytes::from(text.into())));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=UTF-8"));
    answer
}

fn failed(exception: &Exception, query_id: Option<&str>, compress: bool) -> HttpAnswer {
    let mut answer = plain(exception.status(), "");
    let text = format!("{}\n", exception.text);
    let body = if compress { framing::encode(text.as_bytes()) } else { text.into() };
    *answer.body_mut() = Full::new(body);
    answer.headers_mut().insert("X-ClickHouse-Exception-Code", HeaderValue::from(exception.code));
    insert_header(&mut answer, "X-ClickHouse-Query-Id", query_id.unwrap_or_default());
    answer
}

fn succeeded(answer: Answer, query_id: &str, timezone: &str, compress: bool) -> HttpAnswer {
    let statistics = answer.statistics;
    let mut summary = String::from("{");
    // `elapsed_seconds` is never negative, and 2^64 ns are 584 years.
    let elapsed_ns = (statistics.elapsed_seconds * 1e9) as u64;
    for (name, value) in [
        ("read_rows", statistics.read_rows),
        ("read_bytes", statistics.read_bytes),
        ("written_rows", statistics.written_rows),
        ("written_bytes", statistics.written_bytes),
        ("total_rows_to_read", 0),
        ("result_rows", statistics.result_rows),
        ("result_bytes", answer.body.len() as u64),
        ("elapsed_ns", elapsed_ns),
    ] {
        let comma = if summary.len() > 1 { "," } else { "" };
        // Writing to a `String` cannot fail.
        let _ = write!(summary, "{comma}\"{name}\":\"{value}\"");
    }
    summary.push('}');
    let content_type = content_type(&answer.format);
    let body = if compress { framing::encode(&answer.body) } else { answer.body };
    let mut http = Response::new(Full::new(body));
    http.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    insert_header(&mut http, "X-ClickHouse-Summary", &summary);
    insert_header(&mut http, "X-ClickHouse-Query-Id", query_id);
    insert_header(&mut http, "X-ClickHouse-Format", &answer.format);
    insert_header(&mut http, "X-ClickHouse-Timezone", timezone);
    http
}

fn insert_header(answer: &mut HttpAnswer, name: &'static str, value: &str) {
    // A client's id may hold what no header can; it then knows it anyway.
    if let Ok(value) = HeaderValue::from_str(value) {
        answer.headers_mut().insert(name, value);
    }
}

fn content_type(format: &str) -> &'static str {
    if format.starts_with("JSONEachRow") || format == "JSONLines" || format == "NDJSON" {
        "application/x-ndjson; charset=UTF-8"
    } else if format.starts_with("JSON") {
        "application/json; charset=UTF-8"
    } else if format.starts_with("CSV") {
        "text/csv; charset=UTF-8; header=absent"
    } else if format.starts_with("TabSeparated") || format.starts_with("TSV") {
        "text/tab-separated-values; charset=UTF-8"
    } else if matches!(format, "Native" | "Parquet" | "Arrow" | "ArrowStream")
        || format.starts_with("RowBinary")
    {
        "application/octet-stream"
    } else {
        "text/plain; charset=UTF-8"
    }
}
