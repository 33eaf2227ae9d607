//! Simulated servers against a service that does not take everything: what they say they sent is what is stored.

use std::net::TcpListener;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use actix_web::dev::ServerHandle;
use actix_web::http::StatusCode;
use actix_web::web::{self, Bytes, Data};
use actix_web::{App, HttpRequest, HttpResponse, HttpServer};
use mohaa_faults::process::Signal;
use mohaa_stats::config::BrokerUrl;
use mohaa_stats::mqtt;
use mohaa_stats::simulate::{self, DialectChoice, Publisher, Report, SimulateOptions, courier};
use mohaa_stats::startup::Surroundings;

use crate::support::{Broker, SERVER_PASSWORD, Service, eventually, schemas};

/// A line to a service on which some requests don't come through, and some answers don't come back.
struct FlakyLine {
    url: String,
    server: ServerHandle,
}

struct Line {
    origin: String,
    requests: AtomicUsize,
    loses_answers: bool,
}

impl FlakyLine {
    fn before(origin: &str, loses_answers: bool) -> Self {
        let line =
            Data::new(Line { origin: origin.to_owned(), requests: AtomicUsize::new(0), loses_answers });
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let application = move || {
            App::new()
                .app_data(line.clone())
                .app_data(web::PayloadConfig::new(4 << 20))
                .default_service(web::to(pass_on))
        };
        let server =
            HttpServer::new(application).workers(1).disable_signals().listen(listener).unwrap().run();
        let handle = server.handle();
        actix_web::rt::spawn(server);
        Self { url, server: handle }
    }
}

async fn pass_on(line: Data<Line>, request: HttpRequest, body: Bytes) -> HttpResponse {
    let number = line.requests.fetch_add(1, Ordering::Relaxed);
    match number {
        // Whoever looks whether anybody is there comes first.
        0 => {}
        _ if number % 7 == 3 => {
            return HttpResponse::TooManyRequests().insert_header(("Retry-After", "0")).finish();
        }
        // An outage of ten requests.
        50..60 => return HttpResponse::ServiceUnavailable().insert_header(("Retry-After", "0")).finish(),
        _ => {}
    }
    let mut asked = courier::client()
        .unwrap()
        .request(request.method().as_str().parse().unwrap(), format!("{}{}", line.origin, request.uri()))
        .body(body.to_vec());
    for (name, value) in request.headers() {
        if !matches!(name.as_str(), "host" | "content-length") {
            asked = asked.header(name.as_str(), value.as_bytes());
        }
    }
    let answer = asked.send().await.unwrap();
    if line.loses_answers && number % 11 == 5 {
        return HttpResponse::GatewayTimeout().finish();
    }
    let status = StatusCode::from_u16(answer.status().as_u16()).unwrap();
    HttpResponse::build(status).body(answer.bytes().await.unwrap())
}

fn options(url: &str, tokens: Vec<String>, dialect: DialectChoice) -> SimulateOptions {
    SimulateOptions {
        matches: 2,
        dialect,
        match_length: 60..=90,
        first_pause: Duration::from_millis(1),
        ..SimulateOptions::new(url, tokens)
    }
}

async fn played(options: SimulateOptions) -> Report {
    simulate::run(options, |_| {}).await.unwrap()
}

async fn stored(service: &Service) -> u64 {
    service.client.settled().await;
    service.warehouse.count("SELECT count() FROM raw_events").await
}

#[actix_web::test]
async fn servers_with_the_scripts_of_this_project_lose_nothing_to_refusals_outages_and_lost_answers() {
    let service = Service::start("emulator_keeps").await;
    let line = FlakyLine::before(&service.client.url, true);
    let (_, second) = service.add_server("Second").await;
    let tokens = vec![service.client.token.clone(), second];
    let report = played(options(&line.url, tokens, DialectChoice::Tracker)).await;
    let events = &report.events;
    assert!(events.sent > 1_000, "{events:?}");
    assert_eq!((events.accepted, events.refused, events.unanswered, events.lost), (events.sent, 0, 0, 0));
    assert!(report.requests.sent_again > 20, "{:?}", report.requests);
    assert_eq!(stored(&service).await, events.sent);
    // Answers that were lost were given again.
    let metrics = service.client.metrics().await;
    assert!(metrics.series(r#"mohaa_events_rejected_total{reason="idempotent_replay"}"#) > 0.0);
    assert!(report.complaints.is_empty(), "{:?}", report.complaints);
    line.server.stop(false).await;
    service.stop().await;
}

#[actix_web::test]
async fn servers_with_the_scripts_of_the_field_lose_what_was_refused_and_nothing_else() {
    let service = Service::start("emulator_forgets").await;
    let line = FlakyLine::before(&service.client.url, false);
    let mut tokens = vec![service.client.token.clone()];
    for number in 0..4 {
        tokens.push(service.add_server(&format!("Server {number}")).await.1);
    }
    let report = played(options(&line.url, tokens, DialectChoice::Mixed)).await;
    let (events, requests) = (&report.events, &report.requests);
    assert_eq!((events.unanswered, events.lost, requests.sent_again), (0, 0, 0), "{events:?}");
    assert!(events.refused > 100, "{events:?}");
    assert_eq!(events.accepted + events.rejected + events.refused, events.sent, "{events:?}");
    assert_eq!(stored(&service).await, events.accepted);
    line.server.stop(false).await;
    service.stop().await;
}

#[actix_web::test]
async fn a_server_whose_token_is_not_known_registers_anew_and_plays_on() {
    let settings = [("REGISTRATION_POLICY", "open")];
    let service = Service::start_with("emulator_registers", &settings, Surroundings::default()).await;
    for (number, dialect) in
        [DialectChoice::G1, DialectChoice::G3, DialectChoice::Live].into_iter().enumerate()
    {
        let before = stored(&service).await;
        let tokens = vec![format!("mohaa_s_forgotten-{number}")];
        let report = played(options(&service.client.url, tokens, dialect)).await;
        let events = &report.events;
        assert_eq!(report.requests.registrations, 1, "{dialect:?}");
        assert_eq!(events.accepted + events.refused, events.sent);
        // What is written with the old token already, and no more.
        assert!(events.refused > 0 && events.refused < 60, "{dialect:?}: {events:?}");
        assert_eq!(stored(&service).await - before, events.accepted, "{dialect:?}");
    }
    // Ours is told by a person, and keeps what it has until then.
    let tokens = vec!["mohaa_s_forgotten".to_owned()];
    let before = stored(&service).await;
    let report = played(options(&service.client.url, tokens, DialectChoice::Tracker)).await;
    assert_eq!((report.requests.registrations, report.events.accepted), (0, 0));
    assert_eq!(report.events.refused, report.events.sent);
    assert!(report.complaints.iter().any(|complaint| complaint.contains("token")), "{:?}", report.complaints);
    assert_eq!(stored(&service).await, before);
    service.stop().await;
}

#[actix_web::test]
async fn what_simulated_servers_publish_at_a_broker_is_stored_though_the_broker_restarts() {
    let urls = schemas::database("emulator_mqtt").await;
    // Who the servers are is known before there is a broker with users for them.
    let before = Service::start_on(&urls, &[], Surroundings::default()).await;
    let (one, one_token) = before.add_server("One").await;
    let (other, other_token) = before.add_server("Other").await;
    before.stop().await;
    let mut broker = Broker::start(&[one, other]).await;
    let url = broker.url();
    let service =
        Service::start_on(&urls, &[("MQTT_URL", &url), ("MQTT_SHARED", "off")], Surroundings::default())
            .await;
    eventually("the service is subscribed", async || {
        (service.client.metrics().await.value("mohaa_mqtt_connected") == 1.0).then_some(())
    })
    .await;
    let publishers = [one, other].map(|server| {
        let account = format!("mqtt://{server}:{SERVER_PASSWORD}@127.0.0.1:{}", broker.port);
        let client = format!("simulated-{server}");
        let account = mqtt::options_of_client(&BrokerUrl::parse(&account).unwrap(), &client).unwrap();
        Publisher::new(account, mqtt::topic_of(&server.to_string()))
    });
    let fleet = SimulateOptions {
        publishers: publishers.to_vec(),
        // Slow enough for the broker's restart to come in the midst of it.
        rate: Some(1_000.0),
        ..options(&service.client.url, vec![one_token, other_token], DialectChoice::G3)
    };
    let restart = async {
        eventually("some of it is stored", async || {
            (service.warehouse.count("SELECT count() FROM raw_events").await > 300).then_some(())
        })
        .await;
        broker.save().await;
        broker.end(Signal::TERM).await;
        broker.run().await;
    };
    let (report, ()) = futures_util::join!(played(fleet), restart);
    let events = &report.events;
    assert!(events.sent > 1_000, "{events:?}");
    assert_eq!(
        (events.accepted, events.refused, events.unanswered),
        (events.sent, 0, 0),
        "{:?}",
        report.complaints
    );
    eventually("all of it is stored, once", async || {
        (service.warehouse.count("SELECT count() FROM raw_events").await == events.sent).then_some(())
    })
    .await;
    let kills: u64 = report.players.iter().map(|player| player.tally.kills).sum();
    eventually("the board has what the servers say", async || {
        let board = service.client.get("/api/v1/stats/leaderboard?limit=100").await.json();
        let told = board["players"].as_array().unwrap().iter().map(|row| row["kills"].as_u64().unwrap());
        (told.sum::<u64>() == kills).then_some(())
    })
    .await;
    service.stop().await;
}
