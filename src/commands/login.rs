//! `login`: signs this command line in by somebody at a browser (RFC 8628).

use super::{CommandError, block_on, print_json};
use crate::{cli::LoginArguments, simulate::courier};
use reqwest::{Client, StatusCode, header::RETRY_AFTER};
use serde::Deserialize;
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use url::Url;

/// What a device that is told to slow down waits longer (RFC 8628, 3.5).
const SLOW_DOWN: Duration = Duration::from_secs(5);
/// After a lost connection, doubled each time.
const FIRST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(60);

#[derive(Deserialize)]
struct Begun {
    device_code: String,
    user_code: String,
    verification_uri: String,
    verification_uri_complete: String,
    /// Seconds.
    expires_in: u64,
    /// Seconds.
    interval: u64,
}

pub fn login(arguments: &LoginArguments) -> Result<(), CommandError> {
    let is_address = Url::parse(&arguments.url).is_ok_and(|url| matches!(url.scheme(), "http" | "https"));
    if !is_address {
        let why = format!("{} is no address: write http:// or https:// before it", arguments.url);
        return Err(CommandError::failed(why));
    }
    let url = arguments.url.trim_end_matches('/');
    block_on(async {
        let client = courier::client().map_err(CommandError::failed)?;
        let body = json!({ "client_name": arguments.name });
        let begun = match call(&client, &format!("{url}/api/v1/auth/device/init"), &body).await {
            Reply::Answer(StatusCode::OK, answer) => answer,
            Reply::Answer(_, answer) => return Err(refused(&answer)),
            Reply::NotNow { why, .. } => return Err(CommandError::failed(why)),
        };
        let begun: Begun = serde_json::from_value(begun).map_err(CommandError::failed)?;
        eprintln!("Open {} and type the code {}", begun.verification_uri, begun.user_code);
        eprintln!("or open {}", begun.verification_uri_complete);
        let poll = json!({ "device_code": begun.device_code });
        let expires_at = Instant::now() + Duration::from_secs(begun.expires_in);
        let mut interval = Duration::from_secs(begun.interval);
        let mut failures = 0;
        let mut wait = interval;
        loop {
            let left = expires_at.saturating_duration_since(Instant::now());
            if wait > left {
                tokio::time::sleep(left).await;
                return Err(CommandError::failed("the code has expired: begin again"));
            }
            tokio::time::sleep(wait).await;
            match call(&client, &format!("{url}/api/v1/auth/device/poll"), &poll).await {
                Reply::Answer(StatusCode::OK, answer) => return print_json(&answer),
                Reply::Answer(_, answer) => {
                    match answer["code"].as_str().unwrap_or_default() {
                        "authorization_pending" => {}
                        "slow_down" => interval += SLOW_DOWN,
                        _ => return Err(refused(&answer)),
                    }
                    failures = 0;
                    wait = interval;
                }
                Reply::NotNow { why, retry_after } => {
                    eprintln!("{why}: trying again");
                    let backed_off = FIRST_WAIT.saturating_mul(1 << failures).min(LONGEST_WAIT);
                    failures = (failures + 1).min(6);
                    wait = interval.max(backed_off).max(retry_after.unwrap_or_default());
                }
            }
        }
    })
}

/// What became of a call.
enum Reply {
    Answer(StatusCode, Value),
    /// A limit, an outage or no connection: the same call may be answered later.
    NotNow {
        why: String,
        retry_after: Option<Duration>,
    },
}

async fn call(client: &Client, url: &str, body: &Value) -> Reply {
    let not_now = |why: String| Reply::NotNow { why, retry_after: None };
    let request = client.post(url).header("Content-Type", "application/json").body(body.to_string());
    let response = match request.send().await {
        Ok(response) => response,
        Err(error) => return not_now(error.to_string()),
    };
    let status = response.status();
    if status == StatusCode::TOO_MANY_REQUESTS || status.is_server_error() {
        let seconds = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
        return Reply::NotNow {
            why: format!("{url} answers {status}"),
            retry_after: seconds.map(Duration::from_secs),
        };
    }
    match response.text().await {
        Ok(text) => match serde_json::from_str(&text) {
            Ok(answer) => Reply::Answer(status, answer),
            Err(_) => {
                let why = format!("{url} answers {status}, and not as mohaa-stats does");
                Reply::Answer(status, json!({ "error": why }))
            }
        },
        Err(error) => not_now(error.to_string()),
    }
}

fn refused(answer: &Value) -> CommandError {
    let sentence = answer["error_description"].as_str().or_else(|| answer["error"].as_str());
    CommandError::failed(sentence.unwrap_or("the service refused").to_owned())
}
