//! The service as a game server or a browser sees it.

use mohaa_stats::simulate::courier;
use reqwest::StatusCode;
use serde_json::Value;

use super::{Metrics, contract, eventually};

/// Talks to one service in the name of one game server.
#[derive(Clone)]
pub struct ServiceClient {
    http: reqwest::Client,
    pub url: String,
    pub token: String,
}

/// An answer, read to its end.
#[derive(Debug)]
pub struct Reply {
    pub status: StatusCode,
    pub headers: reqwest::header::HeaderMap,
    pub text: String,
}

impl Reply {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error} in {:?}", self.text))
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    /// The contract of every refusal: a status, a stable code, a sentence.
    #[track_caller]
    pub fn assert_refused(&self, status: u16, code: &str) {
        assert_eq!(self.status.as_u16(), status, "{}", self.text);
        let body = self.json();
        assert_eq!(body["code"], code, "{body}");
        assert!(body["error"].as_str().is_some_and(|sentence| sentence.len() > 5), "{body}");
        let may_retry = matches!(status, 429 | 503);
        let seconds = self.header("retry-after").map(|value| value.parse::<u32>().unwrap());
        assert_eq!(seconds.is_some_and(|seconds| seconds >= 1), may_retry, "Retry-After is {seconds:?}");
    }

    /// The contract of an answered batch: all counts, and the places of what was rejected.
    #[track_caller]
    pub fn assert_batch(&self, status: u16, processed: u64, rejected: &[u64]) {
        assert_eq!(self.status.as_u16(), status, "{}", self.text);
        let body = self.json();
        let word = if status == 202 { "accepted" } else { "rejected" };
        assert_eq!(
            (&body["status"], &body["processed"], &body["rejected"]),
            (&word.into(), &processed.into(), &rejected.len().into()),
            "{body}"
        );
        let errors = body["errors"].as_array().unwrap();
        let indexes: Vec<u64> = errors.iter().map(|error| error["index"].as_u64().unwrap()).collect();
        assert_eq!(indexes, rejected[..rejected.len().min(20)], "{body}");
        assert!(errors.iter().all(|error| error["error"].as_str().is_some_and(|text| !text.is_empty())));
    }
}

impl ServiceClient {
    pub fn new(url: String, token: String) -> Self {
        Self { http: courier::client().unwrap(), url, token }
    }

    /// The same service, spoken to with another token.
    pub fn with_token(&self, token: &str) -> Self {
        Self { token: token.to_owned(), ..self.clone() }
    }

    pub async fn get(&self, path: &str) -> Reply {
        self.get_with(path, &[]).await
    }

    pub async fn get_with(&self, path: &str, headers: &[(&str, &str)]) -> Reply {
        let request = self.http.get(format!("{}{path}", self.url));
        answered(with_headers(request, headers)).await.unwrap_or_else(|error| panic!("GET {path}: {error}"))
    }

    /// As a user with this access token.
    pub async fn get_as(&self, access_token: &str, path: &str) -> Reply {
        self.get_with(path, &[("Authorization", &format!("Bearer {access_token}"))]).await
    }

    /// A call with a JSON body, as a user with this access token.
    pub async fn call_as(&self, access_token: &str, method: &str, path: &str, body: Value) -> Reply {
        let headers = [
            ("Authorization", format!("Bearer {access_token}")),
            ("Content-Type", "application/json".to_owned()),
        ];
        let headers = headers.each_ref().map(|(name, value)| (*name, value.as_str()));
        self.call(method, path, &headers, body.to_string()).await
    }

    /// Any call at all, without anything added.
    pub async fn call(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Vec<u8>>,
    ) -> Reply {
        let method = method.parse().unwrap();
        let request = self.http.request(method, format!("{}{path}", self.url)).body(body.into());
        let answer = answered(with_headers(request, headers)).await;
        answer.unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    /// Posts events with the token in the header.
    pub async fn send(&self, body: impl Into<Vec<u8>>) -> Reply {
        self.send_with(&[], body).await
    }

    pub async fn send_with(&self, headers: &[(&str, &str)], body: impl Into<Vec<u8>>) -> Reply {
        let mut all = vec![("X-Server-Token", self.token.as_str())];
        all.extend_from_slice(headers);
        self.post("/api/v1/ingest/events", &all, body).await.unwrap()
    }

    /// Posts without adding anything.
    ///
    /// # Errors
    /// When no answer came.
    pub async fn post(
        &self,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Vec<u8>>,
    ) -> reqwest::Result<Reply> {
        let request = self.http.post(format!("{}{path}", self.url)).body(body.into());
        answered(with_headers(request, headers)).await
    }

    pub async fn metrics_text(&self) -> String {
        self.get("/metrics").await.text
    }

    pub async fn metrics(&self) -> Metrics {
        Metrics::parse(&self.metrics_text().await)
    }

    /// Returns when all events that came in have ended, and gives the books then.
    pub async fn settled(&self) -> Metrics {
        eventually("nothing is in flight", async || {
            let metrics = self.metrics().await;
            let settled = metrics.value("mohaa_events_in_flight") == 0.0 && metrics.missing_events() == 0.0;
            settled.then_some(metrics)
        })
        .await
    }
}

fn with_headers(mut request: reqwest::RequestBuilder, headers: &[(&str, &str)]) -> reqwest::RequestBuilder {
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request
}

/// Sends it, reads the answer to its end, and holds it against the contract.
async fn answered(request: reqwest::RequestBuilder) -> reqwest::Result<Reply> {
    let (client, request) = request.build_split();
    let request = request?;
    let (method, url) = (request.method().clone(), request.url().clone());
    let response = client.execute(request).await?;
    let (status, headers) = (response.status(), response.headers().clone());
    let text = String::from_utf8_lossy(&response.bytes().await?).into_owned();
    let reply = Reply { status, headers, text };
    let content_type = reply.header("content-type").unwrap_or_default();
    contract::assert_kept(method.as_str(), url.path(), status.as_u16(), content_type, &reply.text);
    Ok(reply)
}
