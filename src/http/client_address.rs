//! The address that a request comes from: the connection's, or what a trusted proxy says it is.

use std::borrow::Cow;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use actix_web::HttpRequest;
use actix_web::http::header::HeaderMap;
use actix_web::web::Data;
use ipnet::IpNet;

const X_FORWARDED_FOR: &str = "X-Forwarded-For";

/// Proxies whose `X-Forwarded-For` is believed (TRUSTED_PROXIES). The application holds `web::Data<TrustedProxies>`; without
/// it nobody is believed.
#[derive(Clone, Debug, Default)]
pub struct TrustedProxies(pub Vec<IpNet>);

impl TrustedProxies {
    fn trusts(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(&address))
    }

    /// The client of a connection from `peer` whose request has these headers: the first address from the right that is
    /// no trusted proxy. What stands left of it the client may have written itself.
    fn client(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let mut client = peer;
        // What is no text names no address; the proxy's own word stands right of it.
        let values: Vec<Cow<'_, str>> =
            headers.get_all(X_FORWARDED_FOR).map(|value| String::from_utf8_lossy(value.as_bytes())).collect();
        for named in values.iter().rev().flat_map(|value| value.rsplit(',')) {
            if !self.trusts(client) {
                break;
            }
            let Some(address) = address_in(named) else { break };
            client = address;
        }
        client
    }
}

/// An address as proxies write it, with or without a port.
fn address_in(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    let without_brackets = text.trim_start_matches('[').trim_end_matches(']');
    let address =
        without_brackets.parse::<IpAddr>().or_else(|_| text.parse::<SocketAddr>().map(|it| it.ip()));
    address.ok().map(|address| address.to_canonical())
}

/// The address that limits are counted for. It is neither stored with what anybody does nor logged.
pub fn client_address(request: &HttpRequest) -> IpAddr {
    let peer =
        request.peer_addr().map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |address| address.ip().to_canonical());
    match request.app_data::<Data<TrustedProxies>>() {
        Some(proxies) => proxies.client(peer, request.headers()),
        None => peer,
    }
}

/// What limits count as one client: whoever has an IPv6 address has a whole /64 of them.
pub fn client_network(request: &HttpRequest) -> IpAddr {
    match client_address(request) {
        address @ IpAddr::V4(_) => address,
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use actix_web::test::TestRequest;

    fn client(peer: &str, forwarded: &[&str]) -> String {
        let proxies = TrustedProxies(vec!["10.0.0.0/8".parse().unwrap(), "fd00::/8".parse().unwrap()]);
        let request = forwarded
            .iter()
            .fold(TestRequest::default(), |request, value| request.append_header((X_FORWARDED_FOR, *value)));
        let request = request.peer_addr(peer.parse().unwrap()).app_data(Data::new(proxies)).to_http_request();
        client_address(&request).to_string()
    }

    #[test]
    fn only_a_trusted_proxy_is_believed() {
        assert_eq!(client("203.0.113.7:1000", &["198.51.100.1"]), "203.0.113.7");
        assert_eq!(client("10.0.0.1:1000", &["198.51.100.1"]), "198.51.100.1");
        assert_eq!(client("10.0.0.1:1000", &[]), "10.0.0.1");
    }

    #[test]
    fn what_the_client_wrote_itself_is_not_believed() {
        assert_eq!(client("10.0.0.1:1", &["192.0.2.9, 198.51.100.1, 10.0.0.2"]), "198.51.100.1");
        assert_eq!(client("10.0.0.1:1", &["192.0.2.9", "198.51.100.1"]), "198.51.100.1");
        assert_eq!(client("10.0.0.1:1", &["192.0.2.9, nonsense"]), "10.0.0.1");
        assert_eq!(client("10.0.0.1:1", &["\u{e9}, 198.51.100.1"]), "198.51.100.1");
    }

    #[test]
    fn addresses_are_read_as_proxies_write_them() {
        assert_eq!(client("10.0.0.1:1", &["198.51.100.1:4711"]), "198.51.100.1");
        assert_eq!(client("10.0.0.1:1", &["[2001:db8::1]:4711"]), "2001:db8::1");
        assert_eq!(client("[::ffff:10.0.0.1]:1", &["::ffff:198.51.100.1"]), "198.51.100.1");
        assert_eq!(client("[fd00::1]:1", &["2001:db8::1"]), "2001:db8::1");
    }
}
