//! What a request says of where it is to go: its key, or the cookie that names its endpoint.

use http::HeaderMap;

use super::{hash, sticky};
use crate::config::{Balance, HashOn, octets};
use crate::message::peer::Address;
use crate::upstream::group::Upstream;

/// What is looked at of a request.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// The header fields.
    pub headers: &'a HeaderMap,
    /// The raw query, without `?`.
    pub query: &'a str,
    /// The client, behind trusted proxies.
    pub client: Address,
}

impl Upstream {
    /// What leads a request to an endpoint, for [`Upstream::pick`]: with `balance = "hash"` the hash of its key, or, where it
    /// has none, of the client's address, if that has one; with `sticky` what its cookie says; else none. `attribute` finds what plugins
    /// left.
    #[inline]
    pub fn key<'a>(
        &self,
        asked: impl FnOnce() -> Asked<'a>,
        attribute: impl FnOnce(&str) -> Option<&'a str>,
    ) -> Option<u64> {
        match (&self.config.balance, &self.config.sticky) {
            (Balance::Hash(on), _) => hash_of(on, asked(), attribute),
            (_, Some(sticky)) => sticky::token(asked().headers, &sticky.cookie),
            (_, None) => None,
        }
    }
}

fn hash_of<'a>(
    on: &HashOn,
    asked: Asked<'a>,
    attribute: impl FnOnce(&str) -> Option<&'a str>,
) -> Option<u64> {
    let Asked {
        headers,
        query,
        client,
    } = asked;
    let hash = match on {
        HashOn::Client(key) => {
            let key = key.find(headers, query, client);
            key.map(|key| hash::of(&key))
        }
        HashOn::Attribute(name) => {
            let key = attribute(name).filter(|key| !key.is_empty());
            key.map(|key| hash::of(key.as_bytes()))
        }
    };
    hash.or_else(|| octets(client).map(|octets| hash::of(&octets)))
}
