//! Which endpoints are gateways of this fleet: those of an upstream that says so, and the listeners of this process.
//!
//! It is found out when a configuration is built, never per request.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::Arc;

use crate::config;
use crate::message::depth::Marks;
use crate::message::target::Target;

/// The gateways of a configuration.
#[derive(Debug, Clone)]
pub struct Fleet {
    /// How they are told the depth of a request.
    pub marks: Arc<Marks>,
    /// Where this process listens.
    pub listening: Vec<Target>,
}

impl Fleet {
    /// Whether an endpoint of an upstream is one of the gateways.
    pub(in crate::upstream) fn has(&self, upstream: &config::Upstream, endpoint: &Target) -> bool {
        let is_own = |listener: &Target| match (endpoint, listener) {
            (Target::Tcp(endpoint), Target::Tcp(listener)) => leads_to(*endpoint, *listener),
            (endpoint, listener) => endpoint == listener,
        };
        upstream.gateway || self.listening.iter().any(is_own)
    }
}

/// Whether a connection to an endpoint comes out at a listener of this process, as far as this host can tell: what
/// another host hands back is not seen.
fn leads_to(endpoint: SocketAddr, listener: SocketAddr) -> bool {
    let target = match endpoint.ip().to_canonical() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    let ip = listener.ip().to_canonical();
    // A listener at `::` takes IPv4 too.
    let takes_all = ip.is_unspecified() && (ip.is_ipv6() || target.is_ipv4());
    listener.port() == endpoint.port() && (ip == target || takes_all && is_of_this_host(target))
}

/// Whether an address is one of this host's: the kernel would speak to it from there. Nothing is sent.
fn is_of_this_host(ip: IpAddr) -> bool {
    let any: IpAddr = match ip {
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let source = || {
        let socket = UdpSocket::bind((any, 0))?;
        socket.connect((ip, 1))?;
        socket.local_addr()
    };
    ip.is_loopback() || source().is_ok_and(|source| source.ip() == ip)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_a_listener_by_every_address_that_reaches_it() {
        for (endpoint, listener, leads) in [
            ("127.0.0.1:80", "127.0.0.1:80", true),
            ("127.0.0.1:80", "127.0.0.1:81", false),
            ("127.0.0.2:80", "127.0.0.1:80", false),
            ("127.0.0.2:80", "0.0.0.0:80", true),
            ("[::ffff:127.0.0.1]:80", "127.0.0.1:80", true),
            ("0.0.0.0:80", "127.0.0.1:80", true),
            ("0.0.0.0:80", "0.0.0.0:80", true),
            ("[::]:80", "[::1]:80", true),
            ("[::1]:80", "[::]:80", true),
            ("[::1]:80", "0.0.0.0:80", false),
            ("127.0.0.1:80", "[::]:80", true),
            ("127.0.0.1:80", "[::1]:80", false),
            ("192.0.2.1:80", "0.0.0.0:80", false),
            ("192.0.2.1:80", "192.0.2.1:80", true),
            ("[2001:db8::1]:80", "[::]:80", false),
        ] {
            assert_eq!(
                leads_to(endpoint.parse().unwrap(), listener.parse().unwrap()),
                leads,
                "{endpoint} at {listener}"
            );
        }
    }
}
