//! Who may use the admin listener.
//!
//! With a token, who presents it. Without one the listener is on loopback, and the danger is a browser on the same
//! machine: a name that an attacker points at 127.0.0.1 (DNS rebinding), or a form posted from a foreign page.

use std::hint::black_box;
use std::net::IpAddr;

use http::header::{AUTHORIZATION, HOST, ORIGIN};
use http::uri::Authority;
use http::{HeaderMap, Method, Request};
use sha2::{Digest, Sha256};

use crate::config::Secret;

/// The rule in force.
pub(super) struct Guard {
    /// The digest of the token: digests have one length, whatever a client sends.
    token: Option<[u8; 32]>,
}

/// Why a request is turned away.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Denied {
    /// No token, or another one.
    Token,
    /// A `Host` that is no loopback name.
    Host,
    /// A page in a browser wants to change something.
    Origin,
}

impl Guard {
    pub(super) fn new(token: Option<&Secret>) -> Self {
        Self {
            token: token.map(|token| digest(token.reveal().as_bytes())),
        }
    }

    /// Whether a request may go on.
    pub(super) fn check<B>(&self, request: &Request<B>) -> Result<(), Denied> {
        match &self.token {
            Some(token) => match bearer(request.headers()) {
                Some(sent) if same(token, &digest(sent)) => Ok(()),
                _ => Err(Denied::Token),
            },
            None if !is_local(request) => Err(Denied::Host),
            None if request.method() == Method::POST && request.headers().contains_key(ORIGIN) => {
                Err(Denied::Origin)
            }
            None => Ok(()),
        }
    }
}

/// The credentials of the one `Authorization` field (RFC 6750 section 2.1).
fn bearer(headers: &HeaderMap) -> Option<&[u8]> {
    let mut fields = headers.get_all(AUTHORIZATION).iter();
    let (Some(field), None) = (fields.next(), fields.next()) else {
        return None;
    };
    let (scheme, token) = field.as_bytes().split_at_checked(b"Bearer ".len())?;
    scheme
        .eq_ignore_ascii_case(b"Bearer ")
        .then(|| token.trim_ascii())
}

fn digest(text: &[u8]) -> [u8; 32] {
    Sha256::digest(text).into()
}

/// Looks at every byte, whether or not the first ones differ.
fn same(one: &[u8; 32], other: &[u8; 32]) -> bool {
    one.iter().zip(other).fold(0, |difference, (one, other)| {
        black_box(difference | (one ^ other))
    }) == 0
}

/// Whether the request names this machine by a loopback name, in `Host` and in an absolute target.
fn is_local<B>(request: &Request<B>) -> bool {
    let mut hosts = request.headers().get_all(HOST).iter();
    let (Some(host), None) = (hosts.next(), hosts.next()) else {
        return false;
    };
    let host = Authority::try_from(host.as_bytes());
    host.is_ok_and(|host| is_loopback(&host)) && request.uri().authority().is_none_or(is_loopback)
}

fn is_loopback(authority: &Authority) -> bool {
    let host = authority.host();
    let address = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'))
        .unwrap_or(host);
    host.eq_ignore_ascii_case("localhost")
        || address
            .parse()
            .is_ok_and(|address: IpAddr| address.to_canonical().is_loopback())
}
