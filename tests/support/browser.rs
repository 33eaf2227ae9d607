//! A browser without a screen: cookies, redirects, forms with their tokens.

use std::collections::BTreeMap;
use std::sync::Mutex;

use url::Url;

use super::{Reply, ServiceClient};

/// Remembers cookies; goes where it is told to, one step at a time.
pub struct Browser {
    client: ServiceClient,
    cookies: Mutex<BTreeMap<String, String>>,
}

impl Browser {
    pub fn new(client: &ServiceClient) -> Self {
        Self { client: client.clone(), cookies: Mutex::default() }
    }

    pub fn cookie(&self, name: &str) -> Option<String> {
        self.cookies.lock().unwrap().get(name).cloned()
    }

    pub fn set_cookie(&self, name: &str, value: &str) {
        self.cookies.lock().unwrap().insert(name.to_owned(), value.to_owned());
    }

    /// Opens a path of the service.
    pub async fn get(&self, path: &str) -> Reply {
        self.send("GET", path, "").await
    }

    /// Sends a form of the service's page, with the token that the page held.
    pub async fn post(&self, path: &str, fields: &[(&str, &str)]) -> Reply {
        let mut form = url::form_urlencoded::Serializer::new(String::new());
        form.append_pair("csrf", &self.cookie("mohaa_csrf").unwrap_or_default()).extend_pairs(fields);
        self.send("POST", path, &form.finish()).await
    }

    async fn send(&self, method: &str, path: &str, body: &str) -> Reply {
        let cookie = self
            .cookies
            .lock()
            .unwrap()
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect::<Vec<_>>()
            .join("; ");
        let headers = [
            ("Accept", "text/html"),
            ("Cookie", cookie.as_str()),
            ("Origin", self.client.url.as_str()),
            ("Content-Type", "application/x-www-form-urlencoded"),
        ];
        let reply = self.client.call(method, path, &headers, body).await;
        let mut cookies = self.cookies.lock().unwrap();
        for set in reply.headers.get_all("set-cookie") {
            let (name, rest) = set.to_str().unwrap().split_once('=').unwrap();
            let value = rest.split(';').next().unwrap();
            match value.is_empty() {
                true => cookies.remove(name),
                false => cookies.insert(name.to_owned(), value.to_owned()),
            };
        }
        reply
    }

    /// Goes to the provider that `start` leads to, and gives the path of our callback that it sends the browser to.
    pub async fn at_provider(&self, start: &str) -> String {
        let departed = self.get(start).await;
        assert_eq!(departed.status, 303, "{}", departed.text);
        let provider = departed.header("location").unwrap();
        let http = mohaa_stats::simulate::courier::client().unwrap();
        let reply = http.get(provider).send().await.unwrap();
        let back = Url::parse(reply.headers()["location"].to_str().unwrap()).unwrap();
        assert_eq!(back.origin().ascii_serialization(), self.client.url);
        format!("{}?{}", back.path(), back.query().unwrap())
    }

    /// Signs in by a provider.
    pub async fn sign_in(&self, start: &str) -> Reply {
        let callback = self.at_provider(start).await;
        self.get(&callback).await
    }
}
