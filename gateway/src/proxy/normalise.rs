//! What a request asks for, brought into one form before anything decides by it.
//!
//! Routing, plugins and the upstream see the one string made here. Whatever two servers could read differently is
//! refused instead of being guessed at.

#[cfg(any(test, feature = "fuzzing"))]
pub mod properties;

use http::header::{HOST, TRANSFER_ENCODING};
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, Version};

use crate::message::host::{self, OwnPort};
use crate::message::path::{self, Form, Special};

/// What a request asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Host and port in their one spelling. Empty where a client of HTTP/1.0 names none.
    pub authority: HeaderValue,
    /// The normalised path, and the query as it came. `*` for `OPTIONS *`.
    pub path: PathAndQuery,
    /// What came in the path that not every route takes.
    pub special: Special,
}

/// Why a request is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct Refusal {
    /// What the client gets.
    pub status: StatusCode,
    /// Why, for the log.
    pub reason: &'static str,
}

const fn bad(reason: &'static str) -> Refusal {
    Refusal {
        status: StatusCode::BAD_REQUEST,
        reason,
    }
}

/// Checks the head of a request and says what it asks for; `secure`: the client sees `https`.
///
/// # Errors
/// A [`Refusal`] with 400, or 501 for CONNECT.
pub fn target(
    method: &Method,
    uri: &Uri,
    headers: &HeaderMap,
    version: Version,
    secure: bool,
) -> Result<Target, Refusal> {
    if method == Method::CONNECT {
        return Err(Refusal {
            status: StatusCode::NOT_IMPLEMENTED,
            reason: "CONNECT is not served",
        });
    }
    framing(headers)?;
    let authority = authority(uri, headers, version, secure)?;
    let plain = |path| Form {
        path,
        special: Special::default(),
    };
    let form = match uri.path_and_query() {
        Some(path) if path.as_str() == "*" && method == Method::OPTIONS => plain(path.clone()),
        Some(path) => path::from_client(path).map_err(|unfit| bad(unfit.reason()))?,
        None if uri.scheme().is_some() => plain(PathAndQuery::from_static("/")),
        None => return Err(bad("the target is neither a path nor a URL")),
    };
    Ok(Target {
        authority,
        path: form.path,
        special: form.special,
    })
}

/// Transfer-Encoding once and exactly `chunked` (RFC 9112, 6.1).
fn framing(headers: &HeaderMap) -> Result<(), Refusal> {
    let Some(first) = headers.get(TRANSFER_ENCODING) else {
        return Ok(());
    };
    if !first.as_bytes().eq_ignore_ascii_case(b"chunked") {
        return Err(bad("Transfer-Encoding is not exactly chunked"));
    }
    if headers.get_all(TRANSFER_ENCODING).iter().nth(1).is_some() {
        return Err(bad("Transfer-Encoding came twice"));
    }
    Ok(())
}

/// Host, `:authority` or the authority of an absolute target; where there are two they must mean the same
/// (RFC 9112, 3.2; RFC 9113, 8.3.1).
fn authority(
    uri: &Uri,
    headers: &HeaderMap,
    version: Version,
    secure: bool,
) -> Result<HeaderValue, Refusal> {
    let host = headers.get(HOST);
    let repeats_any = headers.keys_len() < headers.len();
    if repeats_any && headers.get_all(HOST).iter().nth(1).is_some() {
        return Err(bad("Host came twice"));
    }
    let own = OwnPort::of(uri, secure).map_err(bad)?;
    let host = host.map(|host| host::spelled(host, own)).transpose();
    let host = host.map_err(bad)?;
    match (uri.authority(), host) {
        (None, Some(host)) => Ok(host),
        (Some(authority), Some(host)) => {
            let is_same = authority.as_str().as_bytes() == host.as_bytes();
            let respelled = || host::respelled(authority.as_str().as_bytes(), own).map_err(bad);
            if !is_same && respelled()? != host {
                return Err(bad("Host differs from the authority of the target"));
            }
            Ok(host)
        }
        (Some(_), None) if version == Version::HTTP_11 => Err(bad("Host is missing")),
        (Some(authority), None) => {
            let authority = HeaderValue::from_str(authority.as_str());
            let authority = authority.map_err(|_| bad("the authority is no field value"))?;
            host::spelled(&authority, own).map_err(bad)
        }
        (None, None) if version <= Version::HTTP_10 => Ok(HeaderValue::from_static("")),
        (None, None) => Err(bad("Host is missing")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(
        method: &str,
        uri: &str,
        version: Version,
        fields: &[(&'static str, &str)],
    ) -> Result<Target, u16> {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, value.parse().unwrap());
        }
        let (method, uri) = (method.parse().unwrap(), uri.parse().unwrap());
        target(&method, &uri, &headers, version, false).map_err(|refusal| refusal.status.as_u16())
    }

    #[test]
    fn a_host_is_there_once_and_agrees_with_the_target() {
        let h1 = Version::HTTP_11;
        assert_eq!(
            ask("GET", "/", h1, &[("host", "a:81")]).unwrap().authority,
            "a:81"
        );
        assert_eq!(
            ask("GET", "/", h1, &[("host", "[::1]:80")])
                .unwrap()
                .authority,
            "[::1]"
        );
        assert_eq!(
            ask("GET", "http://A/x", h1, &[("host", "a")]).unwrap().path,
            "/x"
        );
        for fields in [
            &[][..],
            &[("host", "a"), ("host", "a")],
            &[("host", "")],
            &[("host", "a b")],
            &[("host", "a/b")],
        ] {
            assert_eq!(ask("GET", "/", h1, fields), Err(400), "{fields:?}");
        }
        for host in ["u@a", "a:b", "a:99999", "a:", "a,b", "a%2e"] {
            assert_eq!(ask("GET", "/", h1, &[("host", host)]), Err(400), "{host}");
        }
        assert_eq!(ask("GET", "http://b/", h1, &[("host", "a")]), Err(400));
        assert_eq!(ask("GET", "http://a/", h1, &[]), Err(400));
        assert_eq!(
            ask("GET", "https://a/", Version::HTTP_2, &[])
                .unwrap()
                .authority,
            "a"
        );
        assert_eq!(
            ask("GET", "https://a/", Version::HTTP_2, &[("host", "b")]),
            Err(400)
        );
        assert!(ask("GET", "/", Version::HTTP_10, &[]).is_ok());
    }

    #[test]
    fn only_chunked_once_frames_a_body() {
        let with = |fields: &[(&'static str, &str)]| {
            let mut all = vec![("host", "a")];
            all.extend_from_slice(fields);
            ask("POST", "/", Version::HTTP_11, &all).map(|_| ())
        };
        assert_eq!(with(&[("transfer-encoding", "chunked")]), Ok(()));
        assert_eq!(with(&[("transfer-encoding", "Chunked")]), Ok(()));
        assert_eq!(with(&[("transfer-encoding", "gzip, chunked")]), Err(400));
        assert_eq!(
            with(&[
                ("transfer-encoding", "chunked"),
                ("transfer-encoding", "chunked")
            ]),
            Err(400)
        );
    }

    #[test]
    fn connect_is_not_served_and_the_asterisk_is_for_options() {
        let host = [("host", "a")];
        assert_eq!(ask("CONNECT", "a:443", Version::HTTP_11, &host), Err(501));
        assert_eq!(
            ask("OPTIONS", "*", Version::HTTP_11, &host).unwrap().path,
            "*"
        );
        assert_eq!(ask("GET", "*", Version::HTTP_11, &host), Err(400));
        assert_eq!(ask("GET", "a:443", Version::HTTP_11, &host), Err(400));
    }
}
