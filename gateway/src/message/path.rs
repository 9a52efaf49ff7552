//! Which paths pass: what a client's becomes, and whether one that was made here may leave.
//!
//! Whatever two servers could read differently is refused instead of being guessed at. The SDK has the rule for plugins
//! a second time: `tests/vectors/paths.txt` holds both to it.

mod leaving;
mod parameter;

pub use leaving::{of_location, of_sub_request, of_sub_request_host, rewritten, set_by_plugin};
pub use parameter::parameter;

use bytes::{Bytes, BytesMut};
use http::uri::PathAndQuery;

/// Why a path does not pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unfit(&'static str);

const NO_SLASH: Unfit = Unfit("the path does not begin with a slash");
const ODD: Unfit = Unfit("the path has bytes that no path may have");
const DOTS: Unfit = Unfit("the path has a segment `.` or `..`");

/// The most that a log shows of a path or of a rule that made it, in bytes.
const SHOWN: usize = 200;

/// The beginning of a path or of a rule that made it, as a log shows it.
pub fn shown(text: &str) -> &str {
    &text[..text.floor_char_boundary(SHOWN)]
}

impl Unfit {
    /// The reason as text.
    pub fn reason(self) -> &'static str {
        self.0
    }
}

/// Brings a path into the one form: dot segments removed (RFC 3986, 5.2.4), `//` merged, escapes in upper case and
/// only where they must be. An empty path is `/` (RFC 9112, 3.2.1), and the query stays as it is.
///
/// # Errors
/// For what servers read differently: `%2f`, `%5c`, `%00`, `\`, `;`, double encoding, broken escapes, bytes
/// beyond ASCII.
pub fn from_client(path_and_query: &PathAndQuery) -> Result<PathAndQuery, Unfit> {
    let path = path_and_query.path();
    if !path.starts_with('/') {
        return Err(NO_SLASH);
    }
    let ascii = path_and_query.as_str().is_ascii();
    if !ascii {
        return Err(Unfit("the target is not ASCII"));
    }
    // Of `http://a?q` the path is empty, and no slash stands before the query.
    let written = path_and_query.as_str().starts_with('/');
    if written && is_plain(path.as_bytes()) {
        return Ok(path_and_query.clone());
    }
    let decoded = decode(path.as_bytes())?;
    let mut whole = remove_dots(&decoded);
    if let Some(query) = path_and_query.query() {
        whole.extend_from_slice(b"?");
        whole.extend_from_slice(query.as_bytes());
    }
    let whole: Bytes = whole.freeze();
    PathAndQuery::from_maybe_shared(whole).map_err(|_| ODD)
}

/// Whether a path is read in one way only: no escapes, no parameters, no backslash, no dot or empty segment. One pass,
/// and most paths need no other.
fn is_plain(path: &[u8]) -> bool {
    let mut slash = false;
    for byte in path {
        match byte {
            b'%' | b';' | b'\\' => return false,
            b'/' | b'.' if slash => return false,
            _ => slash = *byte == b'/',
        }
    }
    true
}

/// Decodes the escapes of unreserved characters and refuses the ambiguous ones.
fn decode(path: &[u8]) -> Result<BytesMut, Unfit> {
    let mut out = BytesMut::with_capacity(path.len() + 1);
    let mut at = 0;
    while let Some(byte) = path.get(at) {
        match byte {
            b'\\' => return Err(Unfit("the path has a backslash")),
            b';' => refuse_parameters(path, at, 0)?,
            b'%' => {
                let decoded = escape(path, at)?;
                if decoded == b';' {
                    // Of no name at all it is text.
                    refuse_parameters(path, at, 1)?;
                }
                at += 3;
                match decoded {
                    b'/' => return Err(Unfit("the path has %2F")),
                    b'\\' => return Err(Unfit("the path has %5C")),
                    0 => return Err(Unfit("the path has %00")),
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
        return Err(Unfit("the path is encoded twice"));
    }
    Ok(out)
}

/// `/..;x/` is a parent directory to some servers and a name to others, `/.;/` and `/;/` likewise. Refuses a name of
/// `least` dots up to two.
fn refuse_parameters(path: &[u8], at: usize, least: usize) -> Result<(), Unfit> {
    let start = memchr::memrchr(b'/', &path[..at]).map_or(0, |slash| slash + 1);
    let mut name = &path[start..at];
    let mut dots = 0;
    while let [rest @ .., b'.'] | [rest @ .., b'%', b'2', b'e' | b'E'] = name {
        name = rest;
        dots += 1;
    }
    if name.is_empty() && (least..=2).contains(&dots) {
        Err(Unfit("the path has parameters on a dot segment"))
    } else {
        Ok(())
    }
}

/// The byte that the escape at `at` stands for.
fn escape(path: &[u8], at: usize) -> Result<u8, Unfit> {
    let digit = |at: usize| path.get(at).and_then(|byte| char::from(*byte).to_digit(16));
    match (path.get(at), digit(at + 1), digit(at + 2)) {
        (Some(b'%'), Some(high), Some(low)) => {
            Ok(u8::try_from(high * 16 + low).unwrap_or_default())
        }
        _ => Err(Unfit("the path has a broken escape")),
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
        from_client(&path)
            .map(|path| path.as_str().to_owned())
            .map_err(Unfit::reason)
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
            ("/...;v=1", "/...;v=1"),
            ("/%3ba", "/%3Ba"),
            ("/100%25", "/100%25"),
            ("/a/../?q", "/?q"),
            ("?q", "/?q"),
            ("?/..", "/?/.."),
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
            "/..%3b/a",
            "/a/%2e%3Bx",
            "/a%",
            "/a%2",
            "/a%zz",
            "/é",
        ] {
            assert!(path(from).is_err(), "{from} gave {:?}", path(from));
        }
    }
}
