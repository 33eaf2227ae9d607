//! `login`: signs this command line in by somebody at a browser (RFC 8628).

use super::{CommandError, block_on, print_json};
use crate::{cli::LoginArguments, simulate::courier};
use reqwest::{Client, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};
use std::time::Duration;

/// What a device that is told to slow down waits longer (RFC 8628, 3.5).
const SLOW_DOWN: Duration = Duration::from_secs(5);

#[derive(Deserialize)]
struct Begun {
    device_code: String,
    user_code: String,
    verification_uri: String,
    verification_uri_complete: String,
    interval: u64,
}

pub fn login(arguments: &LoginArguments) -> Result<(), CommandError> {
    let url = arguments.url.trim_end_matches('/');
    block_on(async {
        let client = courier::client().map_err(CommandError::failed)?;
        let body = json!({ "client_name": arguments.name });
        let (status, answer) = call(&client, &format!("{url}/api/v1/auth/device/init"), &body).await?;
        if status != StatusCode::OK {
            return Err(refused(&answer));
        }
        let begun: Begun = serde_json::from_value(answer).map_err(CommandError::failed)?;
        eprintln!("Open {} and type the code {}", begun.verification_uri, begun.user_code);
        eprintln!("or open {}", begun.verification_uri_complete);
        let poll = json!({ "device_code": begun.device_code });
        let mut interval = Duration::from_secs(begun.interval);
        loop {
            tokio::time::sleep(interval).await;
            let (status, answer) = call(&client, &format!("{url}/api/v1/auth/device/poll"), &poll).await?;
            match (status, answer["code"].as_str().unwrap_or_default()) {
                (StatusCode::OK, _) => return print_json(&answer),
                (_, "authorization_pending") => {}
                (_, "slow_down") => interval += SLOW_DOWN,
                _ => return Err(refused(&answer)),
            }
        }
    })
}

async fn call(client: &Client, url: &str, body: &Value) -> Result<(StatusCode, Value), CommandError> {
    let request = client.post(url).header("Content-Type", "application/json").body(body.to_string());
    let response = request.send().await.map_err(CommandError::failed)?;
    let status = response.status();
    let text = response.text().await.map_err(CommandError::failed)?;
    let answer = serde_json::from_str(&text)
        .map_err(|_| CommandError::failed(format!("{url} answers {status}, and not as mohaa-stats does")))?;
    Ok((status, answer))
}

fn refused(answer: &Value) -> CommandError {
    let sentence = answer["error_description"].as_str().or_else(|| answer["error"].as_str());
    CommandError::failed(sentence.unwrap_or("the service refused").to_owned())
}
