//! Stand-ins for Discord and Steam that speak their real protocols on this machine.

use std::collections::{HashMap, HashSet};
use std::net::TcpListener;
use std::sync::{Arc, Mutex, MutexGuard};

use actix_web::dev::ServerHandle;
use actix_web::web::{Data, Form, Query};
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use chrono::Utc;
use serde_json::json;
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

const DISCORD_ID: &str = "application-1";
const DISCORD_SECRET: &str = "d1sc0rd-s3cret-of-the-application";
const STEAM_KEY: &str = "st3am-k3y-of-the-web-api";

/// Who is signed in at a provider, and what it does wrong.
#[derive(Clone, Default)]
pub struct ProviderState {
    pub id: String,
    pub name: String,
    /// Answers 500 to everything that our service asks.
    pub is_broken: bool,
    /// Codes of Discord with the challenge that they were asked for with.
    codes: HashMap<String, String>,
    /// Signatures that Steam has made, each with the fields it covers, and that were not checked yet.
    signed: HashSet<String>,
}

pub struct Providers {
    pub url: String,
    state: Arc<Mutex<ProviderState>>,
    server: ServerHandle,
}

impl Providers {
    pub fn start() -> Self {
        let state = Arc::new(Mutex::new(ProviderState::default()));
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let shared = Data::from(state.clone());
        let endpoint = Data::new(url.clone());
        let server = HttpServer::new(move || {
            App::new()
                .app_data(shared.clone())
                .app_data(endpoint.clone())
                .route("/oauth2/authorize", web::get().to(authorize))
                .route("/api/oauth2/token", web::post().to(token))
                .route("/api/users/@me", web::get().to(me))
                .route("/openid/login", web::get().to(assert))
                .route("/openid/login", web::post().to(check))
                .route("/ISteamUser/GetPlayerSummaries/v2/", web::get().to(summaries))
        })
        .workers(1)
        .disable_signals()
        .listen(listener)
        .unwrap()
        .run();
        let handle = server.handle();
        actix_web::rt::spawn(server);
        Self { url, state, server: handle }
    }

    pub fn state(&self) -> MutexGuard<'_, ProviderState> {
        self.state.lock().unwrap()
    }

    /// Whoever is sent there next is this account.
    pub fn sign_in(&self, id: &str, name: &str) {
        let mut state = self.state();
        (state.id, state.name) = (id.to_owned(), name.to_owned());
    }

    /// What a service needs to be told to use these.
    pub fn settings(&self) -> Vec<(&'static str, String)> {
        vec![
            ("DISCORD_URL", self.url.clone()),
            ("DISCORD_CLIENT_ID", DISCORD_ID.to_owned()),
            ("DISCORD_CLIENT_SECRET", DISCORD_SECRET.to_owned()),
            ("STEAM_URL", self.url.clone()),
            ("STEAM_API_URL", self.url.clone()),
            ("STEAM_API_KEY", STEAM_KEY.to_owned()),
        ]
    }

    pub async fn stop(self) {
        self.server.stop(false).await;
    }
}

type State = Data<Mutex<ProviderState>>;

fn redirect(location: String) -> HttpResponse {
    HttpResponse::Found().insert_header(("Location", location)).finish()
}

async fn authorize(state: State, query: Query<HashMap<String, String>>) -> HttpResponse {
    for (name, expected) in [
        ("response_type", "code"),
        ("client_id", DISCORD_ID),
        ("scope", "identify"),
        ("code_challenge_method", "S256"),
    ] {
        assert_eq!(query.get(name).map(String::as_str), Some(expected), "{query:?}");
    }
    let code = Uuid::new_v4().to_string();
    state.lock().unwrap().codes.insert(code.clone(), query["code_challenge"].clone());
    redirect(format!("{}?code={code}&state={}", query["redirect_uri"], query["state"]))
}

async fn token(request: HttpRequest, state: State, form: Form<HashMap<String, String>>) -> HttpResponse {
    let mut state = state.lock().unwrap();
    if state.is_broken {
        return HttpResponse::InternalServerError().body("<html>broken</html>");
    }
    let expected = base64::prelude::BASE64_STANDARD.encode(format!("{DISCORD_ID}:{DISCORD_SECRET}"));
    let authorization = request.headers().get("Authorization").and_then(|value| value.to_str().ok());
    if authorization != Some(&format!("Basic {expected}")) {
        return HttpResponse::Unauthorized().json(json!({"error": "invalid_client"}));
    }
    let challenge = form.get("code").and_then(|code| state.codes.remove(code));
    let verifier = form.get("code_verifier").map_or("", String::as_str);
    let hashed = BASE64_URL_SAFE_NO_PAD.encode(Sha256::digest(verifier.as_bytes()));
    if challenge != Some(hashed) || form.get("grant_type").map(String::as_str) != Some("authorization_code") {
        return HttpResponse::BadRequest().json(json!({"error": "invalid_grant"}));
    }
    HttpResponse::Ok().json(json!({"access_token": "discords-token", "token_type": "Bearer", "expires_in": 604_800, "scope": "identify"}))
}

async fn me(request: HttpRequest, state: State) -> HttpResponse {
    let authorization = request.headers().get("Authorization").and_then(|value| value.to_str().ok());
    if authorization != Some("Bearer discords-token") {
        return HttpResponse::Unauthorized().json(json!({"message": "401: Unauthorized", "code": 0}));
    }
    let state = state.lock().unwrap();
    HttpResponse::Ok().json(json!({"id": state.id, "username": "user.name", "global_name": state.name}))
}

/// The assertion of Steam's page, as the browser carries it to our callback.
async fn assert(state: State, url: Data<String>, query: Query<HashMap<String, String>>) -> HttpResponse {
    assert_eq!(query["openid.mode"], "checkid_setup");
    assert!(query["openid.return_to"].starts_with(&query["openid.realm"]));
    let mut state = state.lock().unwrap();
    let claimed = format!("{}/openid/id/{}", url.as_str(), state.id);
    let signature = Uuid::new_v4().to_string();
    let nonce = format!("{}{}", Utc::now().format("%Y-%m-%dT%H:%M:%SZ"), &signature[..8]);
    let endpoint = format!("{}/openid/login", url.as_str());
    let fields = [
        ("ns", "http://specs.openid.net/auth/2.0"),
        ("mode", "id_res"),
        ("op_endpoint", &endpoint),
        ("claimed_id", &claimed),
        ("identity", &claimed),
        ("return_to", &query["openid.return_to"]),
        ("response_nonce", &nonce),
        ("assoc_handle", "1234567890"),
        ("signed", "signed,op_endpoint,claimed_id,identity,return_to,response_nonce,assoc_handle"),
        ("sig", &signature),
    ];
    state.signed.insert(covered(
        &fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
    ));
    let mut location = url::Url::parse(&query["openid.return_to"]).unwrap();
    for (name, value) in fields {
        location.query_pairs_mut().append_pair(&format!("openid.{name}"), value);
    }
    redirect(location.to_string())
}

/// The fields that a signature covers, and the signature.
fn covered(fields: &HashMap<String, String>) -> String {
    let field = |name: &str| fields.get(name).cloned().unwrap_or_default();
    field("signed").split(',').map(&field).chain([field("sig"), field("ns")]).collect::<Vec<_>>().join("\n")
}

async fn check(state: State, form: Form<HashMap<String, String>>) -> HttpResponse {
    let mut state = state.lock().unwrap();
    if state.is_broken {
        return HttpResponse::InternalServerError().finish();
    }
    let fields: HashMap<String, String> = form
        .iter()
        .map(|(name, value)| (name.trim_start_matches("openid.").to_owned(), value.clone()))
        .collect();
    let is_valid = fields["mode"] == "check_authentication" && state.signed.remove(&covered(&fields));
    HttpResponse::Ok()
        .content_type("text/plain")
        .body(format!("ns:http://specs.openid.net/auth/2.0\nis_valid:{is_valid}\n"))
}

async fn summaries(state: State, query: Query<HashMap<String, String>>) -> HttpResponse {
    if query.get("key").map(String::as_str) != Some(STEAM_KEY) {
        return HttpResponse::Forbidden().finish();
    }
    let state = state.lock().unwrap();
    HttpResponse::Ok()
        .json(json!({"response": {"players": [{"steamid": state.id, "personaname": state.name}]}}))
}
