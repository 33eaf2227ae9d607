//! The address that a request comes from.

use std::net::{IpAddr, Ipv4Addr};

use actix_web::HttpRequest;

/// The address that limits are counted for. It is neither stored nor logged.
pub fn client_address(request: &HttpRequest) -> IpAddr {
    request.peer_addr().map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |address| address.ip())
}
