//! What a request asks for, brought into one form before anything decides by it.
//!
//! Routing, plugins and the upstream see the one string made here. Whatever two servers could read differently is
//! refused instead of being guessed at.

#[cfg(any(test, feature = "fuzzing"))]
pub mod properties;

use std::str;

use bytes::{Bytes, BytesMut};
use http::header::{HOST, TRANSFER_ENCODING};
use http::uri::{Authority, PathAndQuery};
use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, Version};

/// What a request asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Host and port, as the client wrote them.
    pub authority: HeaderValue,
    /// The normalised path, and the query as it came. `*` for `OPTIONS *`.
    pub path: PathAndQuery,
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

/// Checks the head of a request and says what it asks for.
///
/// # Errors
/// A [`Refusal`] with 400, or 501 for CONNECT.
pub fn target(
    method: &Method,
    uri: &Uri,
    headers: &HeaderMap,
    version: Version,
) -> Result<Target, Refusal> {
    if method == Method::CONNECT {
        return Err(Refusal {
            status: StatusCode::NOT_IMPLEMENTED,
            reason: "CONNECT is not served",
        });
    }
    framing(headers)?;
    let authority = authority(uri, headers, version)?;
    let path = match uri.path_and_query() {
        Some(path) if path.as_str() == "*" && method == Method::OPTIONS => path.clone(),
        Some(path) => normalise(path)?,
        None if uri.scheme().is_some() => PathAndQuery::from_static("/"),
        None => return Err(bad("the target is neither a path nor a URL")),
    };
    Ok(Target { authority, path })
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

/// Host, `:authority` or the authority of an absolute target; where there are two they must agree
/// (RFC 9112, 3.2; RFC 9113, 8.3.1).
fn authority(uri: &Uri, headers: &HeaderMap, version: Version) -> Result<HeaderValue, Refusal> {
    let mut hosts = headers.get_all(HOST).iter();
    let host = hosts.next();
    if hosts.next().is_some() {
        return Err(bad("Host came twice"));
    }
    if let Some(host) = host {
        check_authority(host.as_bytes())?;
    }
    match (uri.authority(), host) {
        (Some(authority), Some(host)) => {
            if !authority
                .as_str()
                .as_bytes()
                .eq_ignore_ascii_case(host.as_bytes())
            {
                return Err(bad("Host differs from the authority of the target"));
            }
            Ok(host.clone())
        }
        (None, Some(host)) => Ok(host.clone()),
        (Some(_), None) if version == Version::HTTP_11 => Err(bad("Host is missing")),
        (Some(authority), None) => {
            check_authority(authority.as_str().as_bytes())?;
            HeaderValue::from_str(authority.as_str())
                .map_err(|_| bad("the authority is no field value"))
        }
        (None, None) if version <= Version::HTTP_10 => Ok(HeaderValue::from_static("")),
        (None, None) => Err(bad("Host is missing")),
    }
}

/// Host and optional port, without user information (RFC 9110, 4.2.4).
fn check_authority(host: &[u8]) -> Result<(), Refusal> {
    if is_plain(host) {
        return Ok(());
    }
    // Two lines that someone joined have a comma; to others it is part of a name.
    if memchr::memchr3(b'@', b'%', b',', host).is_some() {
        return Err(bad("Host carries user information, escapes or a list"));
    }
    let authority = Authority::try_from(host).map_err(|_| bad("Host is not an authority"))?;
    let port = authority
        .as_str()
        .strip_prefix(authority.host())
        .unwrap_or_default();
    let port_is_whole = port.is_empty() || authority.port_u16().is_some();
    if authority.host().is_empty() || !port_is_whole {
        return Err(bad("Host is not an authority"));
    }
    Ok(())
}

/// A name or an IPv4 address, perhaps with a port of at most four digits: what nearly everybody sends.
fn is_plain(host: &[u8]) -> bool {
    let name = host
        .iter()
        .take_while(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_'))
        .count();
    let port_is_whole = match &host[name..] {
        [] => true,
        [b':', digits @ ..] => {
            (1..=4).contains(&digits.len()) && digits.iter().all(u8::is_ascii_digit)
        }
        _ => false,
    };
    name > 0 && port_is_whole
}

/// Brings a path into the one form: dot segments removed (RFC 3986, 5.2.4), `//` merged, escapes in upper case and
/// only where they must be. The query stays as it is.
///
/// # Errors
/// 400 for what servers read differently: `%2f`, `%5c`, `%00`, `\`, `;`, double encoding, broken escapes, bytes
/// beyond ASCII.
pub fn normalise(path_and_query: &PathAndQuery) -> Result<PathAndQuery, Refusal> {
    let path = path_and_query.path();
    if !path.starts_with('/') {
        return Err(bad("the path does not begin with a slash"));
    }
    let ascii = path_and_query.as_str().is_ascii();
    if !ascii {
        return Err(bad("the target is not ASCII"));
    }
    if !needs_work(path.as_bytes()) {
        return Ok(path_and_query.clone());
    }
    let decoded = decode(path.as_bytes())?;
    let mut whole = remove_dots(&decoded);
    if let Some(query) = path_and_query.query() {
        whole.extend_from_slice(b"?");
        whole.extend_from_slice(query.as_bytes());
    }
    let whole: Bytes = whole.freeze();
    PathAndQuery::from_maybe_shared(whole)
        .map_err(|_| bad("the path has bytes that no path may have"))
}

/// One pass; most paths end here.
fn needs_work(path: &[u8]) -> bool {
    let mut slash = false;
    for byte in path {
        match byte {
            b'%' | b';' | b'\\' => return true,
            b'/' | b'.' if slash => return true,
            _ => slash = *byte == b'/',
        }
    }
    false
}

/// Decodes the escapes of unreserved characters and refuses the ambiguous ones.
fn decode(path: &[u8]) -> Result<BytesMut, Refusal> {
    let mut out = BytesMut::with_capacity(path.len() + 1);
    let mut at = 0;
    while let Some(byte) = path.get(at) {
        match byte {
            b'\\' => return Err(bad("the path has a backslash")),
            b';' => refuse_parameters(path, at)?,
            b'%' => {
                let decoded = escape(path, at)?;
                at += 3;
                match decoded {
                    b'/' => return Err(bad("the path has %2F")),
                    b'\\' => return Err(bad("the path has %5C")),
                    0 => return Err(bad("the path has %00")),
                    b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                        out.extend_from_slice(&[decoded]);
                    }
                    _ => {
                        const HEX: &[u8; 16] = b"0123456789ABCDEF";
                        let (high, low) = (usize::from(decoded >> 4), usize::from(decoded & 15));
                        out.extend_from_slice(&[b'%', HEX[high], HEX[low]]);
                    }
                }
                continue;
            }
            _ => {}
        }
        out.extend_from_slice(&[*byte]);
        at += 1;
    }
    // Only now, since the digits behind `%25` may have been escapes themselves.
    if is_encoded_twice(&out) {
        return Err(bad("the path is encoded twice"));
    }
    Ok(out)
}

/// `/..;x/` is a parent directory to some servers and a name to others, `/.;/` and `/;/` likewise.
fn refuse_parameters(path: &[u8], at: usize) -> Result<(), Refusal> {
    let start = memchr::memrchr(b'/', &path[..at]).map_or(0, |slash| slash + 1);
    let mut name = &path[start..at];
    while let [rest @ .., b'.'] | [rest @ .., b'%', b'2', b'e' | b'E'] = name {
        name = rest;
    }
    if name.is_empty() {
        Err(bad("the path has parameters on a dot segment"))
    } else {
        Ok(())
    }
}

/// The byte that the escape at `at` stands for.
fn escape(path: &[u8], at: usize) -> Result<u8, Refusal> {
    let digit = |at: usize| path.get(at).and_then(|byte| char::from(*byte).to_digit(16));
    match (path.get(at), digit(at + 1), digit(at + 2)) {
        (Some(b'%'), Some(high), Some(low)) => {
            Ok(u8::try_from(high * 16 + low).unwrap_or_default())
        }
        _ => Err(bad("the path has a broken escape")),
    }
}

/// Whether two hex digits stand behind `%25`: to a server that decodes again they are an escape.
fn is_encoded_twice(path: &[u8]) -> bool {
    path.windows(5).any(|window| match window {
        [b'%', b'2', b'5', digits @ ..] => digits.iter().all(u8::is_ascii_hexdigit),
        _ => false,
    })
}

/// Merges slashes, and removes dot segments (RFC 3986, 5.2.4).
fn remove_dots(path: &[u8]) -> BytesMut {
    let mut out = BytesMut::with_capacity(path.len() + 1);
    let mut segments = path.split(|byte| *byte == b'/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        let last = segments.peek().is_none();
        match segment {
            b"" | b"." => {}
            b".." => {
                let parent = memchr::memrchr(b'/', &out).unwrap_or(0);
                out.truncate(parent);
            }
            name => {
                out.extend_from_slice(b"/");
                out.extend_from_slice(name);
            }
        }
        if last && matches!(segment, b"" | b"." | b"..") {
            out.extend_from_slice(b"/");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(path: &str) -> Result<String, &'static str> {
        let path: PathAndQuery = path.parse().map_err(|_| "no path")?;
        normalise(&path)
            .map(|path| path.as_str().to_owned())
            .map_err(|refusal| refusal.reason)
    }

    #[test]
    fn a_path_has_one_form() {
        for (from, to) in [
            ("/", "/"),
            ("/a/b?x=%2f//..", "/a/b?x=%2f//.."),
            ("/a//b///c", "/a/b/c"),
            ("//a", "/a"),
            ("/a/./b/../c", "/a/c"),
            ("/a/..", "/"),
            ("/a/b/..", "/a/"),
            ("/a/.", "/a/"),
            ("/../../a", "/a"),
            ("/a/%2e%2E/b", "/b"),
            ("/%7euser/%41%2d", "/~user/A-"),
            ("/%c3%a9", "/%C3%A9"),
            ("/a%20b%3a", "/a%20b%3A"),
            ("/.hidden", "/.hidden"),
            ("/a/...", "/a/..."),
            ("/a;v=1/b", "/a;v=1/b"),
            ("/100%25", "/100%25"),
            ("/a/../?q", "/?q"),
        ] {
            assert_eq!(path(from).as_deref(), Ok(to), "{from}");
        }
    }

    #[test]
    fn what_servers_read_differently_is_refused() {
        for from in [
            "/a%2fb",
            "/a%2Fb",
            "/a%5cb",
            "/a%5Cb",
            "/a%00",
            "/a%252fb",
            "/%252e%252e/",
            "/%25%32e",
            "/%252%65",
            "/%25%32%65",
            "/a\\b",
            "/..;/a",
            "/a/..;x=1/b",
            "/.;/a",
            "/;/a",
            "/%2e%2e;/a",
            "/%2E.;/a",
            "/a%",
            "/a%2",
            "/a%zz",
            "/é",
        ] {
            assert!(path(from).is_err(), "{from} gave {:?}", path(from));
        }
    }

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
        target(&method, &uri, &headers, version).map_err(|refusal| refusal.status.as_u16())
    }

    #[test]
    fn a_host_is_there_once_and_agrees_with_the_target() {
        let h1 = Version::HTTP_11;
        assert_eq!(
            ask("GET", "/", h1, &[("host", "a:80")]).unwrap().authority,
            "a:80"
        );
        assert_eq!(
            ask("GET", "/", h1, &[("host", "[::1]:80")])
                .unwrap()
                .authority,
            "[::1]:80"
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
