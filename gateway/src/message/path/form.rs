//! What a client's path becomes before anything decides by it.

use bytes::{Bytes, BytesMut};
use http::uri::PathAndQuery;

use super::{Decoded, NO_SLASH, ODD, Special, Unfit, decode, is_plain, leaving};

/// The one form of a client's path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Form {
    /// The path in that form, and the query as it came.
    pub path: PathAndQuery,
    /// What came in it that not every route keeps, perhaps in a segment that a dot segment removed.
    pub special: Special,
}

/// Brings a path into the one form: dot segments removed (RFC 3986, 5.2.4), `//` merged, escapes in upper case and
/// only where they must be. An empty path is `/` (RFC 9112, 3.2.1), and the query stays as it is.
///
/// An escaped slash stays inside its segment, where each part of that is a name, and so does a parameter: the route says
/// whether they pass.
///
/// # Errors
/// For what servers read differently: `%5c`, `%00`, `\`, double encoding, broken escapes, bytes beyond ASCII, parameters
/// of a dot segment or of none, and beside `%2f` a part that is `.`, `..` or empty.
pub fn from_client(path_and_query: &PathAndQuery) -> Result<Form, Unfit> {
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
        return Ok(Form {
            path: path_and_query.clone(),
            special: Special::default(),
        });
    }
    let Decoded { bytes, special } = decode(path.as_bytes())?;
    let mut whole = remove_dots(&bytes);
    if special.slash {
        leaving::judge_form(&whole)?;
    }
    if let Some(query) = path_and_query.query() {
        whole.extend_from_slice(b"?");
        whole.extend_from_slice(query.as_bytes());
    }
    let whole: Bytes = whole.freeze();
    let path = PathAndQuery::from_maybe_shared(whole).map_err(|_| ODD)?;
    Ok(Form { path, special })
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
            .map(|form| form.path.as_str().to_owned())
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
    fn an_escaped_slash_stays_in_its_segment_and_is_told() {
        for (from, to) in [
            ("/a%2fb", "/a%2Fb"),
            ("/a%2F%7eb//c/../d", "/a%2F~b/d"),
            ("/a/%2e%2e/b%2Fc", "/b%2Fc"),
            ("/a%2Fb/%2E%2e/c", "/c"),
            ("/a;x%2Fb;y", "/a;x%2Fb;y"),
            ("/...%2F..b", "/...%2F..b"),
        ] {
            assert_eq!(path(from).as_deref(), Ok(to), "{from}");
            let form = from_client(&from.parse().unwrap()).unwrap();
            assert!(form.special.slash, "{from}");
        }
        for from in [
            "/%2F",
            "/%2Fa",
            "/a%2F",
            "/a%2f%2Fb",
            "/a%2F/b",
            "/a%2F./b",
            "/a%2F..%2Fb",
            "/..%2Fb",
            "/%2e%2E%2fb",
            "/a/..%2f",
            "/a%2F..;x",
            "/a%2F..%3Bx",
            "/a%2F%2e%2E%3bx/b",
            "/a%2F;x",
            "/a%2F%5Cb",
            "/a%2Fb%5Cc",
            "/a%2F\\b",
            "/a%2Fb%00",
            "/a%252Fb",
            "/a%2Fb%252e",
            "/a%2Fb%25%32%46c",
            "/a%2",
        ] {
            assert!(path(from).is_err(), "{from} gave {:?}", path(from));
        }
    }

    #[test]
    fn a_parameter_is_told_wherever_it_came() {
        for (from, told) in [
            ("/a;v=1/b", true),
            ("/a/b;", true),
            ("/a%3Bv/b", true),
            ("/a/%3b", true),
            ("/a;b/../c", true),
            ("/a%2Fb;c", true),
            ("/a/b?c;d", false),
            ("/a/b?%3B", false),
            ("/%61/b", false),
        ] {
            let form = from_client(&from.parse().unwrap()).unwrap();
            assert_eq!(form.special.parameter, told, "{from}");
        }
    }

    #[test]
    fn what_servers_read_differently_is_refused() {
        for from in [
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
