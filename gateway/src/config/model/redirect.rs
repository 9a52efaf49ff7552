//! `routes.redirect`: where a client is sent.

use http::StatusCode;

use crate::config::Template;

/// `routes.redirect`.
#[derive(Debug, Clone)]
pub struct Redirect {
    /// Where to: an absolute URL or a path.
    pub to: Template<RedirectValue>,
    /// As it is written.
    pub written: String,
    /// 301, 302, 303, 307 or 308 (the default).
    pub status: StatusCode,
}

/// What stands in a hole of a redirect: that of the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RedirectValue {
    /// `{host}`, with its port.
    Host,
    /// `{path}`
    Path,
    /// `{query}`, without its question mark.
    Query,
}

impl Template<RedirectValue> {
    /// The location for a request. Behind a `?` or `#` host and path are part of a value: what would end it is
    /// percent-encoded there. The query stands as it came.
    pub fn location(&self, host: &[u8], path: &str, query: &str) -> Vec<u8> {
        let mut location = Vec::new();
        self.write(&mut location, b"", |to, hole| {
            let value = match hole {
                RedirectValue::Host => host,
                RedirectValue::Path => path.as_bytes(),
                RedirectValue::Query => query.as_bytes(),
            };
            match hole {
                RedirectValue::Host | RedirectValue::Path if is_behind_path(to) => {
                    as_value(value, to);
                }
                _ => to.extend_from_slice(value),
            }
            !value.is_empty()
        });
        location
    }
}

/// Whether what comes after this is no part of a path any more.
pub fn is_behind_path(location: &[u8]) -> bool {
    location.iter().any(|byte| matches!(byte, b'?' | b'#'))
}

/// Escapes what is not escaped already and could end a value.
fn as_value(value: &[u8], to: &mut Vec<u8>) {
    for byte in value {
        if byte.is_ascii_alphanumeric() || b"-._~/:%".contains(byte) {
            to.push(*byte);
        } else {
            to.extend_from_slice(format!("%{byte:02X}").as_bytes());
        }
    }
}
