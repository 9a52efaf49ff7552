//! Who may use the admin listener.
//!
//! With a token, who presents it; a token for reading changes nothing. Without one the listener is on loopback, and the
//! danger is a browser on the same machine: a name that an attacker points at 127.0.0.1 (DNS rebinding), or a form posted
//! from a foreign page. Or it is a unix socket, whose file says who may connect.

use std::hint::black_box;
use std::net::IpAddr;

use http::header::{AUTHORIZATION, HOST, ORIGIN};
use http::uri::Authority;
use http::{HeaderMap, Method, Request};
use sha2::{Digest, Sha256};

use crate::config::Secret;

/// What requests must carry. Without both, nothing.
#[derive(Debug, Clone, Default)]
pub struct Tokens {
    /// For everything.
    pub all: Option<Secret>,
    /// For what changes nothing.
    pub read: Option<Secret>,
}

/// How requests come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// Over TCP: from whatever connects to an address, browsers too.
    Ip,
    /// Over a unix socket: from who may write to its file, and no browser does.
    Unix,
}

/// What a request may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rights {
    /// Everything.
    All,
    /// What changes nothing.
    Read,
}

/// The rule in force.
pub(super) struct Guard {
    /// The digests of the tokens: digests have one length, whatever a client sends.
    all: Option<Digested>,
    read: Option<Digested>,
    way: Way,
}

type Digested = [u8; 32];

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
    pub(super) fn new(tokens: &Tokens, way: Way) -> Self {
        let digested = |token: &Option<Secret>| {
            let token = token.as_ref()?;
            Some(digest(token.reveal().as_bytes()))
        };
        Self {
            all: digested(&tokens.all),
            read: digested(&tokens.read),
            way,
        }
    }

    /// Whether a token can have the right to change something: one is set for that, or none is asked for.
    pub(super) fn has_writers(&self) -> bool {
        self.all.is_some() || self.read.is_none()
    }

    /// What a request may do.
    pub(super) fn check<B>(&self, request: &Request<B>) -> Result<Rights, Denied> {
        if self.all.is_some() || self.read.is_some() {
            return self.presented(request.headers()).ok_or(Denied::Token);
        }
        if self.way == Way::Ip && !is_local(request) {
            return Err(Denied::Host);
        }
        let is_read = matches!(*request.method(), Method::GET | Method::HEAD);
        match !is_read && request.headers().contains_key(ORIGIN) {
            true => Err(Denied::Origin),
            false => Ok(Rights::All),
        }
    }

    /// The rights of the token that is presented. It is compared with both in any case.
    fn presented(&self, headers: &HeaderMap) -> Option<Rights> {
        let sent = digest(bearer(headers)?);
        let is = |token: &Option<Digested>| token.as_ref().is_some_and(|token| same(token, &sent));
        match (is(&self.all), is(&self.read)) {
            (true, _) => Some(Rights::All),
            (false, true) => Some(Rights::Read),
            (false, false) => None,
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

fn digest(text: &[u8]) -> Digested {
    Sha256::digest(text).into()
}

/// Looks at every byte, whether or not the first ones differ.
fn same(one: &Digested, other: &Digested) -> bool {
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
