//! Discord: OAuth 2.0, authorization code with PKCE. Asks for `identify` alone: id and name.

use oauth2::basic::BasicClient;
use oauth2::{
    AuthUrl, AuthorizationCode, ClientId, ClientSecret, CsrfToken, EndpointNotSet, EndpointSet, HttpRequest,
    HttpResponse, PkceCodeChallenge, PkceCodeVerifier, RedirectUrl, RequestTokenError, Scope, TokenResponse,
    TokenUrl,
};
use serde::Deserialize;

use super::{ProviderError, ProvidersAccount, SetupError, body_of};

pub(super) const NAME: &str = "discord";

type OAuthClient = BasicClient<EndpointSet, EndpointNotSet, EndpointNotSet, EndpointNotSet, EndpointSet>;

pub(super) struct Discord {
    http: reqwest::Client,
    oauth: OAuthClient,
    user_url: String,
}

/// Where to send a browser, and what its attempt has to hold.
pub(super) struct Start {
    pub(super) url: String,
    pub(super) state: String,
    pub(super) verifier: String,
}

#[derive(Deserialize)]
struct DiscordUser {
    id: String,
    username: String,
    #[serde(default)]
    global_name: Option<String>,
}

impl Discord {
    pub(super) fn new(
        http: reqwest::Client,
        discord_url: &str,
        client_id: &str,
        client_secret: &str,
        base_url: &str,
    ) -> Result<Self, SetupError> {
        let oauth = BasicClient::new(ClientId::new(client_id.to_owned()))
            .set_client_secret(ClientSecret::new(client_secret.to_owned()))
            .set_auth_uri(AuthUrl::new(format!("{discord_url}/oauth2/authorize"))?)
            .set_token_uri(TokenUrl::new(format!("{discord_url}/api/oauth2/token"))?)
            .set_redirect_uri(RedirectUrl::new(format!("{base_url}/api/v1/auth/discord/callback"))?);
        Ok(Self { http, oauth, user_url: format!("{discord_url}/api/users/@me") })
    }

    pub(super) fn start(&self) -> Start {
        let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
        let (url, state) = self
            .oauth
            .authorize_url(CsrfToken::new_random)
            .add_scope(Scope::new("identify".to_owned()))
            .set_pkce_challenge(challenge)
            .url();
        Start { url: url.into(), state: state.into_secret(), verifier: verifier.into_secret() }
    }

    /// The account that the code stands for.
    pub(super) async fn finish(&self, code: &str, verifier: &str) -> Result<ProvidersAccount, ProviderError> {
        let send = |request: HttpRequest| send(self.http.clone(), request);
        let tokens = self
            .oauth
            .exchange_code(AuthorizationCode::new(code.to_owned()))
            .set_pkce_verifier(PkceCodeVerifier::new(verifier.to_owned()))
            .request_async(&send)
            .await
            .map_err(|error| match error {
                RequestTokenError::ServerResponse(refusal) => ProviderError::Refused(refusal.to_string()),
                RequestTokenError::Request(error) => error,
                RequestTokenError::Parse(error, _) => ProviderError::unavailable(error.to_string()),
                RequestTokenError::Other(error) => ProviderError::unavailable(error),
            })?;
        let response = self
            .http
            .get(&self.user_url)
            .bearer_auth(tokens.access_token().secret())
            .send()
            .await
            .and_then(reqwest::Response::error_for_status)
            .map_err(|error| ProviderError::unavailable(error.without_url()))?;
        let user: DiscordUser =
            serde_json::from_slice(&body_of(response).await?).map_err(ProviderError::unavailable)?;
        // Their ids are decimal numbers of 64 bits.
        if user.id.parse::<u64>().is_err() {
            return Err(ProviderError::Forged("the account has no id"));
        }
        let display_name = user.global_name.filter(|name| !name.trim().is_empty()).unwrap_or(user.username);
        Ok(ProvidersAccount { provider: NAME, subject: user.id, display_name })
    }
}

/// Sends a request of the library's by our client.
async fn send(http: reqwest::Client, request: HttpRequest) -> Result<HttpResponse, ProviderError> {
    let request = reqwest::Request::try_from(request).map_err(ProviderError::unavailable)?;
    let response =
        http.execute(request).await.map_err(|error| ProviderError::unavailable(error.without_url()))?;
    let (status, headers) = (response.status(), response.headers().clone());
    let mut answer = HttpResponse::new(body_of(response).await?);
    (*answer.status_mut(), *answer.headers_mut()) = (status, headers);
    Ok(answer)
}
