//! What tells one client from another: `split_on` of routes, `hash_on` of upstreams.

use std::borrow::Cow;
use std::net::IpAddr;

use http::{HeaderMap, HeaderName};

use crate::message::peer::Address;
use crate::message::{cookies, query};

/// What tells one client from another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClientKey {
    /// `cookie:NAME`
    Cookie(String),
    /// `header:NAME`
    Header(HeaderName),
    /// `query:NAME`, decoded.
    Query(String),
    /// `client_address`
    ClientAddress,
}

impl ClientKey {
    /// The key of a request with these fields and this raw query, from a client at this address. The first of a name
    /// counts, and an empty one is none.
    pub fn find<'a>(
        &self,
        headers: &'a HeaderMap,
        query: &'a str,
        client: Address,
    ) -> Option<Cow<'a, [u8]>> {
        let key = match self {
            Self::Cookie(name) => Cow::from(cookies::first(headers, name)?),
            Self::Header(name) => Cow::from(headers.get(name)?.as_bytes()),
            Self::Query(name) => match query::first(query, name)? {
                Cow::Borrowed(text) => Cow::from(text.as_bytes()),
                Cow::Owned(text) => Cow::from(text.into_bytes()),
            },
            Self::ClientAddress => Cow::from(octets(client)?),
        };
        (!key.is_empty()).then_some(key)
    }
}

/// An address as a key: the same whether IPv4 comes as itself or inside IPv6. Clients without one are not one client.
pub fn octets(client: Address) -> Option<Vec<u8>> {
    Some(match client.ip()?.to_canonical() {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    })
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use super::*;

    #[test]
    fn an_ipv4_address_is_the_same_client_inside_ipv6() {
        let mapped = Ipv4Addr::new(192, 0, 2, 1).to_ipv6_mapped();
        let key = |ip: IpAddr| octets(ip.into()).unwrap();
        assert_eq!(key(mapped.into()), [192, 0, 2, 1]);
        assert_eq!(key(Ipv6Addr::LOCALHOST.into()).len(), 16);
        assert_eq!(octets(Address::Unix), None);
    }
}
