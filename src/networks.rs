//! Where the service sends of itself, at addresses that others name: to hosts of the public internet, and into networks that
//! the operator allows (WEBHOOK_ALLOWED_NETWORKS, SERVER_QUERY_ALLOWED_NETWORKS).
//!
//! An organizer names the address of a webhook, so it must not lead to what only this machine can reach. A name is resolved once, as the
//! connection is made; every address that it stands for is checked, and one of those is connected to: a name that changes
//! between a check and a connection gains nothing.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

/// A name server that takes longer is waited for no longer.
const LONGEST_LOOKUP: Duration = Duration::from_secs(5);

/// Networks that may be sent to although they are not public.
#[derive(Clone, Debug, Default)]
pub struct AllowedNetworks(Arc<[IpNet]>);

/// An address that nothing is sent to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("leads to an address that is not public")]
pub struct PrivateAddress;

#[derive(Debug, thiserror::Error)]
pub enum LookupError {
    #[error("is a name that can't be found")]
    NotFound,
    #[error(transparent)]
    Private(#[from] PrivateAddress),
}

impl AllowedNetworks {
    pub fn new(networks: &[IpNet]) -> Self {
        Self(networks.into())
    }

    /// # Errors
    /// [`PrivateAddress`] unless the address is public, or in a network that is allowed.
    pub fn check(&self, address: IpAddr) -> Result<(), PrivateAddress> {
        let address = address.to_canonical();
        let is_allowed = self.0.iter().any(|network| network.contains(&address));
        if is_allowed || is_public(address) { Ok(()) } else { Err(PrivateAddress) }
    }

    /// The addresses of a name, all of them checked: one that is not public refuses the name.
    ///
    /// # Errors
    /// When the name can't be found, or leads to where nothing is sent.
    pub async fn resolve(&self, host: &str, port: u16) -> Result<Vec<SocketAddr>, LookupError> {
        let found = tokio::time::timeout(LONGEST_LOOKUP, tokio::net::lookup_host((host, port))).await;
        let addresses: Vec<SocketAddr> = match found {
            Ok(Ok(addresses)) => addresses.collect(),
            _ => return Err(LookupError::NotFound),
        };
        if addresses.is_empty() {
            return Err(LookupError::NotFound);
        }
        addresses.iter().try_for_each(|address| self.check(address.ip()))?;
        Ok(addresses)
    }
}

/// Gives the HTTP client checked addresses only.
impl Resolve for AllowedNetworks {
    fn resolve(&self, name: Name) -> Resolving {
        let networks = self.clone();
        Box::pin(async move {
            let addresses = AllowedNetworks::resolve(&networks, name.as_str(), 0).await?;
            Ok(Box::new(addresses.into_iter()) as Addrs)
        })
    }
}

impl fmt::Display for AllowedNetworks {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let networks: Vec<String> = self.0.iter().map(ToString::to_string).collect();
        formatter.write_str(&networks.join(","))
    }
}

/// Whether an address is one that everybody reaches, by the registries of special addresses of IANA.
fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let special = match address.octets() {
        // This network, and the machine itself.
        [0 | 127, ..] => true,
        // Private, between a provider and its customers, of the link (where clouds tell machines their secrets).
        [10, ..] | [192, 168, ..] | [169, 254, ..] => true,
        [172, second, ..] => (16..32).contains(&second),
        [100, second, ..] => (64..128).contains(&second),
        // Protocol assignments, examples, the old anycast of 6to4, measurements.
        [192, 0, 0 | 2, _] | [198, 51, 100, _] | [203, 0, 113, _] | [192, 88, 99, _] => true,
        [198, second, ..] => matches!(second, 18 | 19),
        // Azure tells its machines their secrets at this one, which is public by its number.
        [168, 63, 129, 16] => true,
        // Multicast, reserved, broadcast.
        [224..=255, ..] => true,
        _ => false,
    };
    !special
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    if let Some(inside) = address.to_ipv4_mapped() {
        return is_public_v4(inside);
    }
    let [a, b, c, d, e, f, g, h] = address.segments();
    match (a, b) {
        // Addresses of IPv4 for hosts that have none (NAT64, RFC 6052).
        (0x64, 0xff9b) if (c, d, e, f) == (0, 0, 0, 0) => {
            let [[one, two], [three, four]] = [g.to_be_bytes(), h.to_be_bytes()];
            is_public_v4(Ipv4Addr::new(one, two, three, four))
        }
        // Protocol assignments (Teredo among them) and examples; 6to4; examples again.
        (0x2001, ..0x200 | 0xdb8) | (0x2002, _) | (0x3fff, ..0x1000) => false,
        // Of all others only the global ones are: not those of this machine, the link, a site, or a group.
        (0x2000..0x4000, _) => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn check(networks: &[&str], address: &str) -> bool {
        let networks: Vec<IpNet> = networks.iter().map(|network| network.parse().unwrap()).collect();
        AllowedNetworks::new(&networks).check(address.parse().unwrap()).is_ok()
    }

    #[test]
    fn what_is_not_public_is_refused_however_it_is_written() {
        for address in [
            "0.0.0.0",
            "10.1.2.3",
            "100.64.0.1",
            "100.100.100.200",
            "127.0.0.1",
            "127.8.9.1",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.8",
            "192.0.2.1",
            "192.88.99.1",
            "192.168.1.1",
            "198.18.0.1",
            "198.19.255.255",
            "198.51.100.7",
            "203.0.113.7",
            "224.0.0.1",
            "239.1.1.1",
            "240.0.0.1",
            "255.255.255.255",
            "168.63.129.16",
            "::",
            "::1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "::127.0.0.1",
            "fe80::1",
            "fec0::1",
            "fc00::1",
            "fd00:ec2::254",
            "ff02::1",
            "64:ff9b::7f00:1",
            "64:ff9b::a9fe:a9fe",
            "64:ff9b:1::1",
            "100::1",
            "2001::1",
            "2001:db8::1",
            "2001:10::1",
            "2002:7f00:1::",
            "3fff::1",
            "5f00::1",
            "4000::1",
        ] {
            assert!(!check(&[], address), "{address}");
        }
    }

    #[test]
    fn public_addresses_are_taken() {
        for address in [
            "1.1.1.1",
            "8.8.8.8",
            "100.63.255.255",
            "100.128.0.1",
            "172.15.0.1",
            "172.32.0.1",
            "192.0.1.1",
            "198.17.0.1",
            "198.20.0.1",
            "223.255.255.255",
            "::ffff:8.8.8.8",
            "2606:4700::1111",
            "2001:4860:4860::8888",
            "64:ff9b::808:808",
            "2a00:1450::1",
        ] {
            assert!(check(&[], address), "{address}");
        }
    }

    #[test]
    fn a_network_that_is_allowed_is_taken_and_nothing_beside_it() {
        let allowed = ["127.0.0.1/32", "10.20.0.0/16", "fd12::/16"];
        for address in ["127.0.0.1", "::ffff:127.0.0.1", "10.20.3.4", "fd12::7"] {
            assert!(check(&allowed, address), "{address}");
        }
        for address in ["127.0.0.2", "10.21.0.1", "::1", "fd13::7", "169.254.169.254"] {
            assert!(!check(&allowed, address), "{address}");
        }
    }

    #[tokio::test]
    async fn a_name_is_refused_for_any_of_its_addresses() {
        let resolve = |networks: &[&str]| {
            let networks: Vec<IpNet> = networks.iter().map(|network| network.parse().unwrap()).collect();
            async move { AllowedNetworks::new(&networks).resolve("localhost", 80).await }
        };
        assert!(matches!(resolve(&[]).await, Err(LookupError::Private(_))));
        assert!(resolve(&["127.0.0.0/8", "::1/128"]).await.is_ok());
    }
}
