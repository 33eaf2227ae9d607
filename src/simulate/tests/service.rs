//! A service that does nothing but answer and remember.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use actix_web::dev::ServerHandle;
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use tokio::sync::watch;

use super::recount::Recount;

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Answers {
    AllAccepted,
    EveryThirdRefused,
    Unauthorized,
}

#[derive(Debug)]
struct Memory {
    answers: Answers,
    received: Mutex<usize>,
    accepted: Mutex<BTreeMap<String, Vec<Vec<u8>>>>,
    /// What each token's server has told so far.
    told: Mutex<BTreeMap<String, Recount>>,
    matches: watch::Sender<usize>,
}

impl Memory {
    /// How many events the body has.
    fn remember(&self, token: String, body: Vec<u8>) -> usize {
        let mut told = self.told.lock().unwrap();
        let recount = told.entry(token.clone()).or_default();
        let processed = recount.follow(&body);
        self.accepted.lock().unwrap().entry(token).or_default().push(body);
        // Last, because who waits for it looks at the rest.
        self.matches.send_replace(told.values().map(|recount| recount.matches).sum());
        processed
    }
}

pub struct TestService {
    memory: Arc<Memory>,
    handle: ServerHandle,
    port: u16,
}

impl TestService {
    pub async fn start(answers: Answers) -> Self {
        let memory = Arc::new(Memory {
            answers,
            received: Mutex::default(),
            accepted: Mutex::default(),
            told: Mutex::default(),
            matches: watch::channel(0).0,
        });
        let shared = web::Data::from(Arc::clone(&memory));
        let server = HttpServer::new(move || {
            App::new()
                .app_data(shared.clone())
                .app_data(web::PayloadConfig::new(1 << 20))
                .route("/api/v1/ingest/events", web::post().to(ingest))
        })
        .workers(1)
        .bind("127.0.0.1:0")
        .unwrap();
        let port = server.addrs()[0].port();
        let server = server.run();
        let handle = server.handle();
        actix_web::rt::spawn(server);
        Self { memory, handle, port }
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}/", self.port)
    }

    pub fn received(&self) -> usize {
        *self.memory.received.lock().unwrap()
    }

    /// Bodies of the accepted requests, by token.
    pub fn accepted(&self) -> Vec<Vec<Vec<u8>>> {
        self.memory.accepted.lock().unwrap().values().cloned().collect()
    }

    /// Ready once events of so many matches have arrived.
    pub fn reached_matches(&self, matches: usize) -> impl Future<Output = ()> + use<> {
        let mut seen = self.memory.matches.subscribe();
        async move {
            seen.wait_for(|seen| *seen >= matches).await.unwrap();
        }
    }

    pub async fn stop(self) {
        self.handle.stop(false).await;
    }
}

async fn ingest(request: HttpRequest, body: web::Bytes, memory: web::Data<Memory>) -> HttpResponse {
    let received = {
        let mut received = memory.received.lock().unwrap();
        *received += 1;
        *received
    };
    match memory.answers {
        Answers::Unauthorized => HttpResponse::Unauthorized().finish(),
        Answers::EveryThirdRefused if received % 3 == 0 => HttpResponse::TooManyRequests().finish(),
        Answers::AllAccepted | Answers::EveryThirdRefused => {
            let token = token(&request, &body);
            let processed = memory.remember(token, body.to_vec());
            HttpResponse::Accepted()
                .json(serde_json::json!({"status": "accepted", "processed": processed, "rejected": 0, "errors": []}))
        }
    }
}

fn token(request: &HttpRequest, body: &[u8]) -> String {
    let header = |name: &str| request.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
    if let Some(token) = header("x-server-token").or(header("authorization")) {
        return token.trim_start_matches("Bearer ").to_owned();
    }
    let body = String::from_utf8_lossy(body);
    let (_, after) = body.split_once("&server_token=").unwrap();
    after.split('&').next().unwrap().to_owned()
}
