//! Whose a header field is. The rest of the gateway asks here.
//!
//! The SDK has the rule for plugins a second time, since it stands without the gateway: `tests/vectors/fields.txt`
//! holds both to it. Names are in lower case, as those of [`HeaderName`] are.

use http::HeaderName;
use http::header::{CONTENT_LENGTH, HOST, TRANSFER_ENCODING};

/// What belongs to one connection (RFC 9110, section 7.6.1) and ends with it.
pub const OF_CONNECTION: [&str; 9] = [
    "connection",
    "keep-alive",
    "proxy-connection",
    "te",
    "transfer-encoding",
    "upgrade",
    "http2-settings",
    "proxy-authenticate",
    "proxy-authorization",
];

/// A bit for each length of a name in [`OF_CONNECTION`]: it tells most others apart.
const LENGTHS: u32 = {
    let (mut lengths, mut at) = (0, 0);
    while at < OF_CONNECTION.len() {
        lengths |= 1 << OF_CONNECTION[at].len();
        at += 1;
    }
    lengths
};

/// The place of a name in [`OF_CONNECTION`].
#[inline]
pub fn of_connection(name: &str) -> Option<usize> {
    // None of them has 31 bytes.
    if LENGTHS >> name.len().min(31) & 1 == 0 {
        return None;
    }
    OF_CONNECTION.iter().position(|of| *of == name)
}

/// Whether a field is the gateway's own, which no plugin and no configuration may write: those of a connection,
/// framing, and the host.
#[inline]
pub fn is_own(name: &str) -> bool {
    matches!(name, "host" | "content-length" | "trailer") || of_connection(name).is_some()
}

/// Whether the client of upstreams writes the field itself: the host, and how long the body is.
#[inline]
pub fn is_written_last(name: &HeaderName) -> bool {
    [HOST, CONTENT_LENGTH, TRANSFER_ENCODING].contains(name)
}

/// Whether Connection cannot remove the field: no honest client names it there, and others rely on it.
#[inline]
pub fn is_protected(name: &str) -> bool {
    matches!(
        name,
        "host" | "content-length" | "forwarded" | "x-request-id"
    ) || name.starts_with("x-forwarded-")
}

/// Whether a field says who asks, and how: Forwarded (RFC 7239), X-Forwarded-* whatever follows, X-Real-IP. Servers in
/// the manner of CGI (RFC 3875, section 4.1.18) read `x_real_ip` as the same field, and some `x.real.ip`.
#[inline]
pub fn tells_client(name: &str) -> bool {
    let parts = |byte: &u8| !byte.is_ascii_alphanumeric();
    match name.as_bytes() {
        [b'x', part, rest @ ..] if parts(part) => match rest.strip_prefix(b"forwarded") {
            Some(rest) => rest.first().is_some_and(parts),
            None => matches!(rest, [b'r', b'e', b'a', b'l', part, b'i', b'p'] if parts(part)),
        },
        name => name == b"forwarded",
    }
}

/// Whether a field of a client's request does not go on from here: Expect, which this gateway answers, what gateways tell
/// each other, and Proxy, of which servers in the manner of CGI make the variable `HTTP_PROXY` (CVE-2016-5385).
#[inline]
pub fn ends_here(name: &str) -> bool {
    matches!(name, "expect" | "proxy" | "x-gateway-depth")
}

/// Whether a field may come after the body: not what frames, routes, authenticates or describes the message
/// (RFC 9110, section 6.5.1).
pub fn may_trail(name: &str) -> bool {
    let comes_first = matches!(
        name,
        "authorization"
            | "cache-control"
            | "cookie"
            | "max-forwards"
            | "range"
            | "set-cookie"
            | "www-authenticate"
            | "x-request-id"
    );
    let prefixes = ["content-", "if-", "proxy-", "transfer-"];
    !(comes_first
        || is_own(name)
        || ends_here(name)
        || tells_client(name)
        || prefixes.iter().any(|prefix| name.starts_with(prefix)))
}

/// Whether a text is a token (RFC 9110, section 5.6.2).
pub fn is_token(text: &[u8]) -> bool {
    let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
    !text.is_empty() && text.iter().all(is_part)
}

/// Whether a name has letters, digits and `-` alone, so that all servers read it alike (see [`names`](super::names)).
#[inline]
pub fn is_usual(name: &str) -> bool {
    let bytes = name.as_bytes();
    let (words, _) = bytes.as_chunks();
    match bytes.last_chunk() {
        // The last word may have bytes of the one before.
        Some(last) => words.iter().all(|word| are_usual(*word)) && are_usual(*last),
        None => bytes.iter().all(|byte| is_usual_byte(*byte)),
    }
}

#[inline]
fn is_usual_byte(byte: u8) -> bool {
    byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-'
}

/// [`is_usual_byte`] of eight bytes at once, all of them ASCII. Every request pays for each of its names.
#[inline]
fn are_usual(word: [u8; 8]) -> bool {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x80 * ONES;
    let word = u64::from_ne_bytes(word);
    // The high bit of each byte that is at least the given one: what is added carries into no other byte.
    let at_least = |low: u8| word + u64::from(0x80 - low) * ONES;
    let letters = at_least(b'a') & !at_least(b'z' + 1);
    let digits = at_least(b'0') & !at_least(b'9' + 1);
    let hyphens = at_least(b'-') & !at_least(b'-' + 1);
    (letters | digits | hyphens) & HIGH == HIGH
}

/// The shared vectors: a name, and what it is.
#[cfg(test)]
pub(crate) fn vectors() -> impl Iterator<Item = (&'static str, Vec<&'static str>)> {
    include_str!("../../../tests/vectors/fields.txt")
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(|line| {
            let mut words = line.split_whitespace();
            (words.next().unwrap(), words.collect())
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_whose_the_vectors_say() {
        for (name, words) in vectors().filter(|(name, _)| !name.starts_with(':')) {
            let says = |word| words.contains(&word);
            assert_eq!(is_own(name), says("own"), "{name}");
            let of = of_connection(name);
            assert_eq!(of.is_some(), says("connection"), "{name}");
            assert_eq!(may_trail(name), says("trailer"), "{name}");
        }
        for name in OF_CONNECTION {
            assert!(vectors().any(|(known, _)| known == name), "{name}");
        }
    }

    #[test]
    fn who_asks_never_comes_after_the_body() {
        for name in [
            "forwarded",
            "x-forwarded-host",
            "x_real_ip",
            "x.forwarded.for",
        ] {
            assert!(tells_client(name) && !may_trail(name), "{name}");
        }
        assert!(!tells_client("x-forwarded"));
    }

    #[test]
    fn eight_bytes_at_once_are_judged_like_each_of_them() {
        for byte in 0..128_u8 {
            for at in 0..20 {
                for length in at + 1..=20 {
                    let mut name = vec![b'x'; length];
                    name[at] = byte;
                    let name = String::from_utf8(name).unwrap();
                    assert_eq!(is_usual(&name), is_usual_byte(byte), "{name:?}");
                }
            }
        }
        for usual in ["", "te", "x-user", "x-amz-content-sha256", "az09-"] {
            assert!(is_usual(usual), "{usual}");
        }
    }
}
