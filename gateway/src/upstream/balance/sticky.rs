//! The cookie that keeps a client on its endpoint: `sticky` of an upstream.
//!
//! Its value is a hash of where the endpoint listens, so that every gateway of a fleet knows it, after a restart too, and
//! no client reads addresses in it. It is a wish and no key: an endpoint that takes no requests gets none by it.

use std::fmt::Write;

use http::{HeaderMap, HeaderValue};

use crate::config::{SameSite, Sticky};
use crate::message::cookies;
use crate::upstream::endpoint::{Member, Members, Picked};
use crate::upstream::group::Upstream;

/// Digits of a value.
const DIGITS: usize = 16;

/// The endpoint that a request names.
pub(in crate::upstream) fn token(headers: &HeaderMap, cookie: &str) -> Option<u64> {
    let value = cookies::first(headers, cookie)?;
    let value = std::str::from_utf8(value).ok()?;
    let is_one = value.len() == DIGITS && value.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_one.then(|| u64::from_str_radix(value, 16).ok())?
}

impl Upstream {
    /// The `Set-Cookie` of an answer to a client whose request had this key and went to this endpoint, if it needs one.
    /// `secure` says whether the client asked over TLS.
    #[inline]
    pub fn set_cookie(
        &self,
        picked: &Picked,
        key: Option<u64>,
        secure: bool,
    ) -> Option<HeaderValue> {
        match &self.config.sticky {
            Some(sticky) if key != Some(picked.token) && !self.takes(key) => {
                written(sticky, picked.token, secure)
            }
            _ => None,
        }
    }

    /// Whether the endpoint that a request names takes requests: then it went elsewhere for once, as by a retry, and its
    /// client stays where it is. A backup takes some only where there is no other.
    fn takes(&self, key: Option<u64>) -> bool {
        let open = |member: &Member| member.endpoint.standing.is_clear();
        let is_open = |token| {
            self.members(|members| {
                let Members { first, backups, .. } = members;
                let are_backups_asked = || !first.members().iter().any(open);
                first.named(token, open).is_some()
                    || backups.named(token, open).is_some() && are_backups_asked()
            })
        };
        key.is_some_and(is_open)
    }
}

/// RFC 6265bis, section 4.1.
fn written(sticky: &Sticky, token: u64, secure: bool) -> Option<HeaderValue> {
    let mut text = format!("{}={token:0DIGITS$x}; Path=/; HttpOnly", sticky.cookie);
    if let Some(ttl) = sticky.ttl {
        // A string takes whatever is written.
        let _never = write!(text, "; Max-Age={}", ttl.as_secs());
    }
    if sticky.secure.unwrap_or(secure) {
        text.push_str("; Secure");
    }
    text.push_str(match sticky.same_site {
        SameSite::Strict => "; SameSite=Strict",
        SameSite::Lax => "; SameSite=Lax",
        SameSite::None => "; SameSite=None",
    });
    HeaderValue::try_from(text).ok()
}
