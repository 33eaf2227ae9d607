//! Signing in with accounts of other services, and devices that are signed in by somebody at a browser.
//!
//! - [`discord`]: OAuth 2.0, authorization code with PKCE and state.
//! - [`steam`]: OpenID 2.0, verified with the provider itself.
//! - [`device`]: RFC 8628.
//!
//! A sign-in begins with an [`attempt`], which the browser keeps in a cookie: what comes back from a provider is taken only
//! from the browser that was sent there.

mod accounts;
mod attempt;
mod device;
mod device_handlers;
mod discord;
mod handlers;
mod own_sign_ins;
mod steam;

pub use accounts::{SignInError, unlink_sign_in};
pub use device::{AskedDevice, Devices};
pub(crate) use device_handlers::answer_device;
pub(crate) use handlers::safe_return;
pub use handlers::{SignInApi, routes};
pub use own_sign_ins::{OwnSignInsApi, QUERY_SHAPES};

use std::time::Duration;

use crate::config::Config;
use crate::http::outgoing;
use discord::Discord;
use steam::Steam;

/// Providers take no longer than a second or two; whoever signs in waits for them.
const PROVIDER_TIMEOUT: Duration = Duration::from_secs(10);
/// Their answers are small.
const MOST_PROVIDER_BYTES: usize = 256 << 10;

/// The providers that this service has credentials for.
pub struct SignIn {
    attempts: attempt::Attempts,
    discord: Option<Discord>,
    steam: Option<Steam>,
}

/// Why sign-in can't be set up.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    #[error("JWT_SECRET is not set")]
    NoSecret,
    #[error("an HTTP client can't be made: {0}")]
    Client(#[from] reqwest::Error),
    #[error("TLS can't be set up: {0}")]
    Tls(#[from] rustls::Error),
    #[error("the address of a provider can't be used: {0}")]
    Address(#[from] oauth2::url::ParseError),
}

impl SignIn {
    /// `base_url` is where browsers reach this service.
    ///
    /// # Errors
    /// When an address among the settings is none.
    pub fn new(config: &Config, base_url: &str) -> Result<Self, SetupError> {
        let client = client()?;
        let secret = config.jwt_secret.as_ref().ok_or(SetupError::NoSecret)?;
        let discord = match (&config.discord_client_id, &config.discord_client_secret) {
            (Some(id), Some(secret)) => {
                Some(Discord::new(client.clone(), &config.discord_url, id, secret.expose(), base_url)?)
            }
            _ => None,
        };
        let steam = config
            .steam_api_key
            .clone()
            .map(|key| Steam::new(client.clone(), &config.steam_url, &config.steam_api_url, key, base_url));
        Ok(Self {
            attempts: attempt::Attempts::new(secret, config.jwt_secret_previous.as_ref()),
            discord,
            steam,
        })
    }

    /// Names of the providers that are offered.
    pub fn offered(&self) -> Vec<&'static str> {
        let discord = self.discord.as_ref().map(|_| "discord");
        let steam = self.steam.as_ref().map(|_| "steam");
        discord.into_iter().chain(steam).collect()
    }
}

/// A client that follows nobody elsewhere and doesn't wait for long.
fn client() -> Result<reqwest::Client, SetupError> {
    Ok(reqwest::Client::builder()
        .timeout(PROVIDER_TIMEOUT)
        .redirect(reqwest::redirect::Policy::none())
        .tls_backend_preconfigured(outgoing::tls()?)
        .user_agent(concat!("mohaa-stats/", env!("CARGO_PKG_VERSION")))
        .build()?)
}

/// What a provider says of an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProvidersAccount {
    pub provider: &'static str,
    /// The account's id there.
    pub subject: String,
    pub display_name: String,
}

/// Why a provider's answer signs nobody in.
#[derive(Debug, thiserror::Error)]
pub enum ProviderError {
    /// The person, or the provider, said no.
    #[error("the provider did not sign anybody in: {0}")]
    Refused(String),
    #[error("what the provider's page sent can't be trusted: {0}")]
    Forged(&'static str),
    #[error("the provider can't be asked at the moment: {0}")]
    Unavailable(Box<dyn std::error::Error + Send + Sync>),
    #[error(transparent)]
    Store(#[from] sqlx::Error),
}

impl ProviderError {
    fn unavailable(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Unavailable(error.into())
    }
}

/// The whole body of a provider's answer, if it is not too long.
async fn body_of(mut response: reqwest::Response) -> Result<Vec<u8>, ProviderError> {
    let mut body = Vec::new();
    while let Some(part) = response.chunk().await.map_err(ProviderError::unavailable)? {
        if body.len() + part.len() > MOST_PROVIDER_BYTES {
            return Err(ProviderError::unavailable("the answer is too long"));
        }
        body.extend_from_slice(&part);
    }
    Ok(body)
}
