//! Traces, as a collector of OpenTelemetry gets them.

use std::net::TcpListener;
use std::path::Path;
use std::sync::{Arc, Mutex};

use actix_web::dev::ServerHandle;
use actix_web::web::{Bytes, Data};
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use mohaa_faults::process::ServiceProcess;
use mohaa_stats::startup::Surroundings;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use prost::Message as _;

use crate::support::{Service, ServiceClient, eventually, schemas};

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const CALLER: &str = "b7ad6b7169203331";
const COLLECTORS_KEY: &str = "c0llect0rs-key";

type Taken = Mutex<Vec<ExportTraceServiceRequest>>;

/// A collector that takes OTLP over HTTP.
struct Collector {
    url: String,
    taken: Arc<Taken>,
    server: ServerHandle,
}

impl Collector {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let taken = Arc::new(Taken::default());
        let kept = Data::from(taken.clone());
        let server = HttpServer::new(move || {
            App::new().app_data(kept.clone()).route("/v1/traces", web::post().to(take))
        })
        .workers(1)
        .disable_signals()
        .listen(listener)
        .unwrap()
        .run();
        let handle = server.handle();
        actix_web::rt::spawn(server);
        Self { url, taken, server: handle }
    }

    fn spans(&self) -> Vec<Span> {
        let taken = self.taken.lock().unwrap();
        let scopes = taken.iter().flat_map(|request| &request.resource_spans).flat_map(|it| &it.scope_spans);
        scopes.flat_map(|scope| scope.spans.iter().cloned()).collect()
    }
}

async fn take(request: HttpRequest, kept: Data<Taken>, body: Bytes) -> HttpResponse {
    let header = |name: &str| request.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
    assert_eq!(header("content-type").as_deref(), Some("application/x-protobuf"));
    assert_eq!(header("x-api-key").as_deref(), Some(COLLECTORS_KEY));
    kept.lock().unwrap().push(ExportTraceServiceRequest::decode(body).unwrap());
    HttpResponse::Ok().finish()
}

fn attribute(span: &Span, name: &str) -> Option<String> {
    let found = span.attributes.iter().find(|attribute| attribute.key == name)?;
    match found.value.as_ref()?.value.as_ref()? {
        Value::StringValue(text) => Some(text.clone()),
        Value::IntValue(number) => Some(number.to_string()),
        other => panic!("{name} is {other:?}"),
    }
}

fn hex(id: &[u8]) -> String {
    id.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[actix_web::test]
async fn a_collector_is_told_of_requests_in_their_callers_trace_of_statements_and_of_inserts_and_of_no_secret()
 {
    let urls = schemas::database("traces").await;
    let silent = Service::start_on(&urls, &[], Surroundings::default()).await;
    let collector = Collector::start();
    let data_dir = tempfile::tempdir().unwrap();
    let settings = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url.as_str()),
        ("OTEL_EXPORTER_OTLP_HEADERS", &format!("x-api-key={COLLECTORS_KEY}")),
        ("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test"),
    ];
    let program = Path::new(env!("CARGO_BIN_EXE_mohaa-stats"));
    let process = ServiceProcess::start(program, data_dir.path(), &urls, &settings).await.unwrap();
    let client = ServiceClient::new(process.url.clone(), silent.client.token.clone());
    client.send(r#"[{"type":"jump"},{"type":"jump"}]"#).await.assert_batch(202, 2, &[]);
    client.settled().await;
    let parent = format!("00-{TRACE}-{CALLER}-01");
    let asked = eventually("the board is there", async || {
        let path = "/api/v1/stats/leaderboard?filter[map]=a-secret-map";
        let answer = client.get_with(path, &[("traceparent", &parent)]).await;
        (answer.status == 200).then_some(answer)
    })
    .await;
    client.get_with("/nowhere?key=a-secret-key", &[]).await;
    process.terminate().await.unwrap();

    // What was open is sent before the process ends.
    let spans = collector.spans();
    let named = |name: &str| spans.iter().filter(|span| span.name == name).cloned().collect::<Vec<_>>();
    let asked_id = asked.header("x-request-id").unwrap().to_owned();
    let boards = named("GET /api/v1/stats/leaderboard");
    let board = boards.iter().find(|span| attribute(span, "id").as_ref() == Some(&asked_id));
    let board = board.unwrap_or_else(|| panic!("request {asked_id} is not among {spans:#?}"));
    assert_eq!((hex(&board.trace_id).as_str(), hex(&board.parent_span_id).as_str()), (TRACE, CALLER));
    assert_eq!(board.kind, SpanKind::Server as i32);
    assert_eq!(attribute(board, "http.route").as_deref(), Some("/api/v1/stats/leaderboard"));
    assert_eq!(attribute(board, "http.request.method").as_deref(), Some("GET"));
    assert_eq!(attribute(board, "http.response.status_code").as_deref(), Some("200"));
    assert!(board.status.as_ref().is_none_or(|status| status.code != StatusCode::Error as i32));
    let within: Vec<Span> =
        named("statement").into_iter().filter(|span| span.parent_span_id == board.span_id).collect();
    assert!(!within.is_empty(), "a board is asked for");
    for statement in &within {
        assert_eq!(statement.trace_id, board.trace_id);
        assert_eq!(attribute(statement, "db.system.name").as_deref(), Some("clickhouse"));
        assert!(attribute(statement, "db.query.text").unwrap().contains("SELECT"));
    }
    assert_eq!(named("POST /api/v1/ingest/events").len(), 1);
    let rows: i64 =
        named("insert").iter().map(|span| attribute(span, "rows").unwrap().parse::<i64>().unwrap()).sum();
    assert_eq!(rows, 2);
    assert_eq!(named("GET unmatched").len(), 1);

    let taken = std::mem::take(&mut *collector.taken.lock().unwrap());
    let resource = format!("{:?}", taken[0].resource_spans[0].resource);
    for told in ["mohaa-stats", env!("CARGO_PKG_VERSION"), "deployment.environment.name"] {
        assert!(resource.contains(told), "{resource}");
    }
    let everything = format!("{taken:?}");
    let log = std::fs::read_to_string(data_dir.path().join("service.log")).unwrap();
    for secret in [silent.client.token.as_str(), "a-secret", COLLECTORS_KEY] {
        assert!(!everything.contains(secret), "{secret} is in a trace");
        assert!(!log.contains(secret), "{secret} is in the log");
    }
    assert!(log.contains(&format!("trace_id={TRACE}")), "a line leads to its trace: {log}");
    collector.server.stop(false).await;
    silent.stop().await;
}

#[actix_web::test]
async fn a_collector_that_is_not_there_keeps_nobody_waiting() {
    let urls = schemas::database("traces_nowhere").await;
    let silent = Service::start_on(&urls, &[], Surroundings::default()).await;
    let data_dir = tempfile::tempdir().unwrap();
    // A port that nobody listens on: it was free a moment ago.
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let endpoint = format!("http://{free}");
    let settings = [("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str())];
    let program = Path::new(env!("CARGO_BIN_EXE_mohaa-stats"));
    let process = ServiceProcess::start(program, data_dir.path(), &urls, &settings).await.unwrap();
    let client = ServiceClient::new(process.url.clone(), silent.client.token.clone());
    client.send(r#"[{"type":"jump"}]"#).await.assert_batch(202, 1, &[]);
    client.settled().await;
    let (status, _) = process.terminate().await.unwrap();
    assert_eq!(status.code(), Some(0));
    silent.stop().await;
}

#[actix_web::test]
async fn a_collectors_address_that_can_not_be_read_is_said_and_the_service_goes_on() {
    let urls = schemas::database("traces_wrong").await;
    let data_dir = tempfile::tempdir().unwrap();
    let settings = [("OTEL_EXPORTER_OTLP_ENDPOINT", "no address")];
    let program = Path::new(env!("CARGO_BIN_EXE_mohaa-stats"));
    let process = ServiceProcess::start(program, data_dir.path(), &urls, &settings).await.unwrap();
    process.terminate().await.unwrap();
    let log = std::fs::read_to_string(data_dir.path().join("service.log")).unwrap();
    assert!(log.contains("there are no traces"), "{log}");
}
