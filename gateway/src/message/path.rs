//! Which paths pass: what a client's becomes, and whether one that a plugin made may leave for an upstream.
//!
//! Whatever two servers could read differently is refused instead of being guessed at. The harness of the SDK has the
//! rule for plugins a second time: `tests/vectors/paths.txt` holds both to it.

use bytes::{Bytes, BytesMut};
use http::uri::PathAndQuery;

/// Why a path does not pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unfit(&'static str);

const NO_SLASH: Unfit = Unfit("the path does not begin with a slash");
const ODD: Unfit = Unfit("the path has bytes that no path may have");

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

/// A path and query that a plugin gives the request in hand (`set-path`), as they leave.
///
/// # Errors
/// For a dot segment, however it is written, for what hides a separator or a NUL, and for bytes that a target has
/// percent-encoded.
pub fn set_by_plugin(path: String) -> Result<PathAndQuery, Unfit> {
    let sound = |byte: u8| byte.is_ascii_graphic() && byte != b'#';
    if !path.bytes().all(sound) {
        return Err(ODD);
    }
    let path = parse(path)?;
    if hides_separator(path.path().as_bytes()) {
        return Err(Unfit("the path hides a separator or a NUL"));
    }
    refuse_dots(path.path())?;
    Ok(path)
}

/// The path and query of a sub-request, as they leave. A name in them may have an escaped separator: the plugin wrote
/// the whole path.
///
/// # Errors
/// For a dot segment, however it is written, and for bytes that no target has.
pub fn of_sub_request(path: String) -> Result<PathAndQuery, Unfit> {
    let path = parse(path)?;
    refuse_dots(path.path())?;
    Ok(path)
}

fn parse(path: String) -> Result<PathAndQuery, Unfit> {
    if !path.starts_with('/') {
        return Err(NO_SLASH);
    }
    PathAndQuery::from_maybe_shared(Bytes::from(path)).map_err(|_| ODD)
}

fn hides_separator(path: &[u8]) -> bool {
    let hidden = |escape: &[u8]| {
        [b"%2f", b"%5c", b"%00"]
            .iter()
            .any(|hidden| escape.eq_ignore_ascii_case(*hidden))
    };
    path.contains(&b'\\') || path.windows(3).any(hidden)
}

/// Refuses a segment `.` or `..`, however it is written: a server that resolves it leaves the place that the plugin
/// meant (RFC 3986, section 5.2.4). What decodes a separator, or takes `\` for one, sees more segments.
fn refuse_dots(path: &str) -> Result<(), Unfit> {
    if is_plain(path.as_bytes()) {
        return Ok(());
    }
    let plain = path.to_ascii_lowercase().replace("%2e", ".");
    let plain = plain.replace("%2f", "/").replace("%5c", "/");
    let dots = plain.split(['/', '\\']).any(|segment| {
        let name = segment.split(';').next().unwrap_or(segment);
        name == "." || name == ".."
    });
    match dots {
        true => Err(Unfit("the path has a segment `.` or `..`")),
        false => Ok(()),
    }
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
            b';' => refuse_parameters(path, at)?,
            b'%' => {
                let decoded = escape(path, at)?;
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

/// `/..;x/` is a parent directory to some servers and a name to others, `/.;/` and `/;/` likewise.
fn refuse_parameters(path: &[u8], at: usize) -> Result<(), Unfit> {
    let start = memchr::memrchr(b'/', &path[..at]).map_or(0, |slash| slash + 1);
    let mut name = &path[start..at];
    while let [rest @ .., b'.'] | [rest @ .., b'%', b'2', b'e' | b'E'] = name {
        name = rest;
    }
    if name.is_empty() {
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
            "/a%",
            "/a%2",
            "/a%zz",
            "/é",
        ] {
            assert!(path(from).is_err(), "{from} gave {:?}", path(from));
        }
    }

    /// The shared vectors: whether `set-path` and a sub-request take a path.
    fn vectors() -> impl Iterator<Item = (bool, bool, String)> {
        include_str!("../../../tests/vectors/paths.txt")
            .lines()
            .filter(|line| !line.is_empty() && !line.starts_with('#'))
            .map(|line| {
                let (set, rest) = line.split_once(' ').unwrap();
                let (asked, path) = rest.trim().split_once(' ').unwrap();
                let path = serde_json::from_str(path.trim()).unwrap();
                (set == "yes", asked == "yes", path)
            })
    }

    #[test]
    fn a_path_of_a_plugin_leaves_or_not_as_the_vectors_say() {
        for (set, asked, path) in vectors() {
            let left = set_by_plugin(path.clone());
            let left = left.ok().map(|left| left.as_str().to_owned());
            assert_eq!(left, set.then(|| path.clone()), "set-path: {path:?}");
            let left = of_sub_request(path.clone());
            assert_eq!(left.is_ok(), asked, "sub-request: {path:?}");
        }
    }

    #[test]
    fn what_passes_from_a_client_passes_from_a_plugin() {
        for (_, _, from) in vectors() {
            if let Ok(once) = path(&from) {
                assert!(set_by_plugin(once.clone()).is_ok(), "{from:?}: {once}");
            }
        }
    }
}
