//! How this node presents itself to the broker.

use std::sync::Arc;
use std::time::Duration;

use rumqttc::{MqttOptions, TlsConfiguration, Transport};
use rustls::{ClientConfig, RootCertStore};
use uuid::Uuid;

use crate::config::BrokerUrl;

/// A broker that says nothing for twice as long is gone.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// All that MQTT can carry. A packet beyond a limit here would end the connection, and come again with the next one, for
/// ever; the broker's own limit is where large messages are refused.
const LARGEST_PACKET: usize = 268_435_455;

/// TLS can't be set up.
#[derive(Debug, thiserror::Error)]
#[error("TLS for the broker can't be set up: {0}")]
pub struct TlsError(#[from] rustls::Error);

/// Options of every connection. The session belongs to the spool, which knows what it was given.
pub(super) fn of(url: &BrokerUrl, spool_id: Uuid) -> Result<MqttOptions, TlsError> {
    let mut options = of_client(url, &format!("mohaa-stats-{spool_id}"))?;
    options.set_clean_session(false).set_manual_acks(true);
    Ok(options)
}

/// Options of a client's connections to a broker.
///
/// # Errors
/// When TLS can't be set up.
pub fn of_client(url: &BrokerUrl, client_id: &str) -> Result<MqttOptions, TlsError> {
    let mut options = MqttOptions::new(client_id, &url.host, url.port);
    options.set_keep_alive(KEEP_ALIVE).set_max_packet_size(LARGEST_PACKET, LARGEST_PACKET);
    if let Some((user, password)) = &url.credentials {
        options.set_credentials(user, password.expose());
    }
    if url.is_tls {
        let config = TlsConfiguration::Rustls(Arc::new(tls()?));
        options.set_transport(Transport::tls_with_config(config));
    }
    Ok(options)
}

/// Trusts whom browsers trust and whom this machine trusts: a broker may have a certificate of its operator's own authority
/// (`SSL_CERT_FILE`).
fn tls() -> Result<ClientConfig, TlsError> {
    let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.into() };
    let of_this_machine = rustls_native_certs::load_native_certs();
    for error in of_this_machine.errors {
        tracing::debug!(%error, "certificates of this machine can't be read");
    }
    roots.add_parsable_certificates(of_this_machine.certs);
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    Ok(ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth())
}
