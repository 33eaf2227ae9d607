//! Steam: OpenID 2.0 in its stateless form. What the browser brings back is checked here, then with Steam itself
//! (`check_authentication`), and taken once.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use serde::Deserialize;
use sqlx::PgPool;
use url::form_urlencoded;

use super::attempt::take_once;
use super::{ProviderError, ProvidersAccount, body_of};
use crate::config::Secret;

pub(super) const NAME: &str = "steam";

const OPENID: &str = "http://specs.openid.net/auth/2.0";
const IDENTIFIER_SELECT: &str = "http://specs.openid.net/auth/2.0/identifier_select";
/// Of a nonce: clocks of theirs and ours may differ by so much, and an answer is on its way for so long.
const FRESH_FOR: TimeDelta = TimeDelta::minutes(5);
/// What the signature has to cover (OpenID 2.0, 10.1).
const SIGNED_FIELDS: [&str; 6] =
    ["op_endpoint", "claimed_id", "identity", "return_to", "response_nonce", "assoc_handle"];
/// A SteamID64 in decimal.
const ID_DIGITS: usize = 17;

pub(super) struct Steam {
    http: reqwest::Client,
    endpoint: String,
    id_prefix: String,
    api_url: String,
    api_key: Secret,
    realm: String,
    return_to: String,
}

#[derive(Deserialize)]
struct Summaries {
    response: SummaryList,
}

#[derive(Deserialize)]
struct SummaryList {
    players: Vec<Summary>,
}

#[derive(Deserialize)]
struct Summary {
    personaname: String,
}

impl Steam {
    pub(super) fn new(
        http: reqwest::Client,
        steam_url: &str,
        api_url: &str,
        api_key: Secret,
        base_url: &str,
    ) -> Self {
        Self {
            http,
            endpoint: format!("{steam_url}/openid/login"),
            id_prefix: format!("{steam_url}/openid/id/"),
            api_url: api_url.to_owned(),
            api_key,
            realm: base_url.to_owned(),
            return_to: format!("{base_url}/api/v1/auth/steam/callback"),
        }
    }

    /// Where to send a browser.
    pub(super) fn start(&self, state: &str) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        query
            .append_pair("openid.ns", OPENID)
            .append_pair("openid.mode", "checkid_setup")
            .append_pair("openid.claimed_id", IDENTIFIER_SELECT)
            .append_pair("openid.identity", IDENTIFIER_SELECT)
            .append_pair("openid.realm", &self.realm)
            .append_pair("openid.return_to", &self.return_to_of(state));
        format!("{}?{}", self.endpoint, query.finish())
    }

    fn return_to_of(&self, state: &str) -> String {
        format!("{}?state={state}", self.return_to)
    }

    /// The account that the answer in a callback's query stands for.
    pub(super) async fn finish(
        &self,
        query: &str,
        state: &str,
        pool: &PgPool,
    ) -> Result<ProvidersAccount, ProviderError> {
        let fields = openid_fields(query)?;
        let subject = self.checked(&fields, state, Utc::now())?;
        self.check_authentication(&fields).await?;
        take_once(pool, fields.get("response_nonce").map_or("", String::as_str)).await?;
        let display_name = self.name_of(&subject).await.unwrap_or_else(|error| {
            // A name is not worth keeping anybody out.
            tracing::warn!(%error, "a Steam account's name can't be read");
            format!("Steam player {}", &subject[subject.len() - 4..])
        });
        Ok(ProvidersAccount { provider: NAME, subject, display_name })
    }

    /// The id that the fields claim, if they are what our own question led to.
    fn checked(
        &self,
        fields: &BTreeMap<String, String>,
        state: &str,
        now: DateTime<Utc>,
    ) -> Result<String, ProviderError> {
        let field = |name: &str| fields.get(name).map_or("", String::as_str);
        match field("mode") {
            "id_res" => {}
            "cancel" => return Err(ProviderError::Refused("it was cancelled".to_owned())),
            _ => return Err(ProviderError::Forged("it is no assertion")),
        }
        if field("ns") != OPENID || field("op_endpoint") != self.endpoint {
            return Err(ProviderError::Forged("it is from another provider"));
        }
        if field("return_to") != self.return_to_of(state) {
            return Err(ProviderError::Forged("it was meant for another address"));
        }
        let signed: Vec<&str> = field("signed").split(',').collect();
        if !SIGNED_FIELDS.iter().all(|name| signed.contains(name)) || field("sig").is_empty() {
            return Err(ProviderError::Forged("not all of it is signed"));
        }
        let digits = field("claimed_id").strip_prefix(&self.id_prefix).unwrap_or("");
        let is_id = digits.len() == ID_DIGITS && digits.bytes().all(|byte| byte.is_ascii_digit());
        if !is_id || field("identity") != field("claimed_id") {
            return Err(ProviderError::Forged("it claims no account of this provider"));
        }
        let sent_at = field("response_nonce").get(..20).and_then(|time| time.parse::<DateTime<Utc>>().ok());
        if sent_at.is_none_or(|sent_at| (now - sent_at).abs() > FRESH_FOR) {
            return Err(ProviderError::Forged("it is too old"));
        }
        Ok(digits.to_owned())
    }

    /// Asks Steam whether the signature is its own (OpenID 2.0, 11.4.2).
    async fn check_authentication(&self, fields: &BTreeMap<String, String>) -> Result<(), ProviderError> {
        let mut question = form_urlencoded::Serializer::new(String::new());
        for (name, value) in fields {
            let value = if name == "mode" { "check_authentication" } else { value };
            question.append_pair(&format!("openid.{name}"), value);
        }
        let response = self
            .http
            .post(&self.endpoint)
            .header("Content-Type", "application/x-www-form-urlencoded")
            .body(question.finish())
            .send()
            .await
            .and_then(reqwest::Response::error_for_status)
            .map_err(|error| ProviderError::unavailable(error.without_url()))?;
        let answer = body_of(response).await?;
        match is_confirmation(&String::from_utf8_lossy(&answer)) {
            true => Ok(()),
            false => Err(ProviderError::Forged("the provider did not sign it")),
        }
    }

    async fn name_of(&self, subject: &str) -> Result<String, ProviderError> {
        let url = format!("{}/ISteamUser/GetPlayerSummaries/v2/", self.api_url);
        let mut query = form_urlencoded::Serializer::new(String::new());
        // The key has to stand in the query: the interface takes it nowhere else. Errors are told without their URL.
        query.append_pair("key", self.api_key.expose()).append_pair("steamids", subject);
        let response = self
            .http
            .get(format!("{url}?{}", query.finish()))
            .send()
            .await
            .and_then(reqwest::Response::error_for_status)
            .map_err(|error| ProviderError::unavailable(error.without_url()))?;
        let summaries: Summaries =
            serde_json::from_slice(&body_of(response).await?).map_err(ProviderError::unavailable)?;
        let first = summaries.response.players.into_iter().next();
        first.map(|player| player.personaname).ok_or_else(|| ProviderError::unavailable("no such account"))
    }
}

/// Whether an answer in key-value form (OpenID 2.0, 4.1.1) says that an assertion is the provider's own. One that says
/// something twice says nothing.
fn is_confirmation(answer: &str) -> bool {
    let said = |name: &str| {
        let mut values = answer
            .lines()
            .filter_map(|line| line.split_once(':'))
            .filter_map(|(said, value)| (said.trim() == name).then_some(value.trim()));
        values.next().filter(|_| values.next().is_none())
    };
    said("is_valid") == Some("true") && said("ns") == Some(OPENID)
}

/// The `openid.…` fields of a query, without that beginning. One that came twice could mean two things.
fn openid_fields(query: &str) -> Result<BTreeMap<String, String>, ProviderError> {
    let mut fields = BTreeMap::new();
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        let Some(name) = name.strip_prefix("openid.") else { continue };
        if fields.insert(name.to_owned(), value.into_owned()).is_some() {
            return Err(ProviderError::Forged("a field came twice"));
        }
    }
    Ok(fields)
}

#[cfg(test)]
mod tests {
    use super::is_confirmation;

    #[test]
    fn an_answer_confirms_only_if_it_says_so_once() {
        let ns = "ns:http://specs.openid.net/auth/2.0";
        for confirming in [format!("{ns}\nis_valid:true\n"), format!("is_valid: true\r\n{ns}\r\n")] {
            assert!(is_confirmation(&confirming), "{confirming:?}");
        }
        for other in [
            format!("{ns}\nis_valid:false\n"),
            format!("{ns}\nis_valid:false\nis_valid:true\n"),
            format!("{ns}\nis_valid:true\nis_valid:false\n"),
            format!("{ns}\nis_valid:true\nis_valid:true\n"),
            format!("ns:http://openid.net/signon/1.1\n{ns}\nis_valid:true\n"),
            "is_valid:true\n".to_owned(),
            format!("{ns}\nis_valid:true false\n"),
        ] {
            assert!(!is_confirmation(&other), "{other:?}");
        }
    }
}
