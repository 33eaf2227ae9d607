//! What clients of ours have in common that speak to services of others.

use std::sync::Arc;

#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    #[error("an HTTP client can't be made: {0}")]
    Client(#[from] reqwest::Error),
    #[error("TLS can't be set up: {0}")]
    Tls(#[from] rustls::Error),
}

/// TLS that trusts whom browsers trust, with `ring`.
///
/// # Errors
/// When `ring` lacks the protocol versions, which it does not.
pub fn tls() -> Result<rustls::ClientConfig, rustls::Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let roots = rustls::RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.into() };
    Ok(rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth())
}
