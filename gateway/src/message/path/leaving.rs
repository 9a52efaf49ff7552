//! The judge of every path that leaves: made by a rewrite, by a plugin or for a redirect.
//!
//! A path of a client is brought into one form; one that was made here is not repaired, since whoever wrote the rule
//! that made it meant something else. It leaves as it is, or not at all.

use bytes::Bytes;
use http::HeaderValue;
use http::uri::{Authority, PathAndQuery};

use super::rules::{ENCODED_SLASH, PARAMETER};
use super::{DOTS, EncodedSlashes, PathParameters, PathRules, Unfit, decode, escape, is_plain};

/// The longest target, in bytes.
const LONGEST: usize = u16::MAX as usize - 1;

/// What an authority is not.
const NO_HOST: Unfit =
    Unfit("before its path a URL has a host, perhaps with a port, and nothing else");

/// Whether a segment may have a separator that is escaped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Separators {
    /// No: nor may it be encoded twice.
    Refused,
    /// A slash, if none of the parts is a dot segment or empty; it may not be encoded twice.
    Slashes,
    /// Yes, if none of the parts is a dot segment or empty, however often they are escaped.
    Kept,
}

/// What a path may have that servers read differently.
#[derive(Debug, Clone, Copy)]
struct Rules {
    separators: Separators,
    parameters: PathParameters,
}

impl From<PathRules> for Rules {
    fn from(
        PathRules {
            slashes,
            parameters,
        }: PathRules,
    ) -> Self {
        let separators = match slashes {
            EncodedSlashes::Refuse => Separators::Refused,
            EncodedSlashes::Keep => Separators::Slashes,
        };
        Self {
            separators,
            parameters,
        }
    }
}

/// The path and query that a plugin gives the request in hand (`set-path`), as they leave. What holds for the form of a
/// client's path ([`from_client`](super::from_client)) on the same route holds for them.
///
/// # Errors
/// For what is no target, and for a path that servers read differently: dot segments, however they are written, empty
/// segments, hidden separators, double encoding, and parameters unless the route keeps them.
pub fn set_by_plugin(target: String, rules: PathRules) -> Result<PathAndQuery, Unfit> {
    whole(target, rules.into())
}

/// The path that a rewrite made, by the same rule, with the query of the request.
///
/// # Errors
/// As for [`set_by_plugin`].
pub fn rewritten(path: &str, query: Option<&str>, rules: PathRules) -> Result<PathAndQuery, Unfit> {
    // A question mark would begin a query that the one of the request goes on with.
    if path.contains('?') {
        return Err(super::ODD);
    }
    judge_target(path, query.unwrap_or_default(), rules.into())?;
    let target = match query {
        Some(query) => [path, "?", query].concat(),
        None => path.to_owned(),
    };
    parse(target)
}

/// The path and query of a sub-request, as they leave. A name in them may have an escaped separator: the plugin wrote
/// the whole path. A parameter cuts a name short, so `parameters` of the route holds here, too.
///
/// # Errors
/// As for [`set_by_plugin`], but a segment may have an escaped separator, or be encoded twice, where no part of it is
/// `.`, `..` or empty.
pub fn of_sub_request(target: String, parameters: PathParameters) -> Result<PathAndQuery, Unfit> {
    let rules = Rules {
        separators: Separators::Kept,
        parameters,
    };
    whole(target, rules)
}

/// Whether a client may be sent to this location: a URL of http or https, or a path on this host (RFC 9110, 10.2.2).
///
/// # Errors
/// For what is neither, for an authority that is not a host and port, and for a path that could not be of a
/// sub-request: `//host` among them, which leads to another host. A parameter passes: it is of the configuration, or a
/// route keeps it, and where the client comes back with it, it is judged as one of a client.
pub fn of_location(location: &[u8]) -> Result<(), Unfit> {
    let Some(text) = str::from_utf8(location)
        .ok()
        .filter(|text| is_graphic(text))
    else {
        return Err(Unfit(
            "a URL has no such bytes unless they are percent-encoded",
        ));
    };
    let before_query = text.split(['?', '#']).next().unwrap_or_default();
    let absolute = ["https://", "http://"].map(|scheme| before_query.strip_prefix(scheme));
    let path = match absolute.into_iter().flatten().next() {
        Some(rest) => {
            let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
            judge_authority(authority)?;
            if path.is_empty() {
                return Ok(());
            }
            path
        }
        None => before_query,
    };
    let rules = Rules {
        separators: Separators::Kept,
        parameters: PathParameters::Keep,
    };
    judge(path, rules)
}

/// A host and perhaps a port, without user information (RFC 9110, 4.2.4).
fn judge_authority(text: &str) -> Result<(), Unfit> {
    let is_odd = |byte: u8| matches!(byte, b'@' | b'\\' | b'%');
    let authority = match text.bytes().any(is_odd) {
        true => Err(NO_HOST),
        false => Authority::try_from(text).map_err(|_| NO_HOST),
    }?;
    let port = text.strip_prefix(authority.host()).unwrap_or_default();
    let is_whole = port.is_empty() || authority.port_u16().is_some();
    match is_whole && !authority.host().is_empty() {
        true => Ok(()),
        false => Err(NO_HOST),
    }
}

/// The Host that a sub-request names: a host and perhaps a port.
///
/// # Errors
/// For what is neither.
pub fn of_sub_request_host(host: &str) -> Result<HeaderValue, Unfit> {
    judge_authority(host)?;
    HeaderValue::from_str(host).map_err(|_| NO_HOST)
}

/// Judges a path of a client that has an escaped slash, once it has its form; of parameters its route says what passes.
pub(super) fn judge_form(path: &[u8]) -> Result<(), Unfit> {
    let path = str::from_utf8(path).map_err(|_| super::ODD)?;
    let rules = Rules {
        separators: Separators::Slashes,
        parameters: PathParameters::Keep,
    };
    judge(path, rules)
}

fn whole(target: String, rules: Rules) -> Result<PathAndQuery, Unfit> {
    let (path, query) = target.split_once('?').unwrap_or((&target, ""));
    judge_target(path, query, rules)?;
    parse(target)
}

fn parse(target: String) -> Result<PathAndQuery, Unfit> {
    if target.len() > LONGEST {
        return Err(Unfit("the target is longer than 65,534 bytes"));
    }
    PathAndQuery::from_maybe_shared(Bytes::from(target)).map_err(|_| super::ODD)
}

fn judge_target(path: &str, query: &str, rules: Rules) -> Result<(), Unfit> {
    // To the parser a fragment is the end of a target; none is sent.
    let sound = |text: &str| is_graphic(text) && !text.contains('#');
    match sound(path) && sound(query) {
        true => judge(path, rules),
        false => Err(super::ODD),
    }
}

fn is_graphic(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_graphic())
}

fn judge(path: &str, rules: Rules) -> Result<(), Unfit> {
    let Some(behind) = path.strip_prefix('/') else {
        return Err(super::NO_SLASH);
    };
    if is_plain(path.as_bytes()) {
        return Ok(());
    }
    let mut segments = behind.split('/').peekable();
    while let Some(segment) = segments.next() {
        // The last one may be empty: a slash at the end.
        if !segment.is_empty() || segments.peek().is_some() {
            judge_segment(segment.as_bytes(), rules)?;
        }
    }
    Ok(())
}

/// Refuses a segment that is `.`, `..` or empty, or parts of which are (RFC 3986, 5.2.4): a server that resolves them
/// leaves the place that was meant. So does one that cuts parameters off.
fn judge_segment(segment: &[u8], rules: Rules) -> Result<(), Unfit> {
    let mut has_parameter = false;
    let seen = match rules.separators {
        Separators::Refused => {
            let decoded = decode(segment)?;
            if decoded.special.slash {
                return Err(ENCODED_SLASH);
            }
            has_parameter = decoded.special.parameter;
            decoded.bytes.to_vec()
        }
        Separators::Slashes => {
            decode(segment)?;
            see_through(segment)?
        }
        Separators::Kept => see_through(segment)?,
    };
    for part in seen.split(|byte| matches!(byte, b'/' | b'\\')) {
        match part.split(|byte| *byte == b';').next() {
            Some(b"." | b"..") => return Err(DOTS),
            _ if part.is_empty() => return Err(Unfit("the path has an empty segment")),
            _ => {}
        }
    }
    has_parameter |= seen.contains(&b';');
    match has_parameter && rules.parameters == PathParameters::Refuse {
        true => Err(PARAMETER),
        false => Ok(()),
    }
}

/// What a server sees that decodes as long as there is something to decode.
fn see_through(segment: &[u8]) -> Result<Vec<u8>, Unfit> {
    if segment.contains(&b'\\') {
        return Err(Unfit("the path has a backslash"));
    }
    let mut seen = Vec::with_capacity(segment.len());
    for (at, byte) in segment.iter().enumerate() {
        match byte {
            b'%' => {
                escape(segment, at)?;
            }
            // Of no name at all, before which some see a separator.
            b';' if matches!(seen.last(), None | Some(b'/' | b'\\')) => {
                return Err(Unfit("the path has parameters on an empty segment"));
            }
            _ => {}
        }
        seen.push(*byte);
        // Each byte may end an escape, and what that stands for may end another.
        while let Some(start) = seen.len().checked_sub(3)
            && let Ok(decoded) = escape(&seen, start)
        {
            seen.truncate(start);
            seen.push(decoded);
        }
    }
    match seen.contains(&0) {
        true => Err(Unfit("the path has %00")),
        false => Ok(seen),
    }
}

#[cfg(test)]
mod tests {
    use super::super::from_client;
    use super::*;

    /// On which routes a path may leave.
    #[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
    enum May {
        No,
        /// On those that keep parameters.
        Parameters,
        Yes,
    }

    impl May {
        fn read(word: &str) -> Self {
            match word {
                "yes" => Self::Yes,
                ";" => Self::Parameters,
                _ => Self::No,
            }
        }

        fn on(self, parameters: PathParameters) -> bool {
            match self {
                Self::Yes => true,
                Self::Parameters => parameters == PathParameters::Keep,
                Self::No => false,
            }
        }
    }

    /// A line of the shared vectors.
    #[derive(Debug)]
    struct Vector {
        /// Whether `set-path` and a rewrite may make the path.
        set: May,
        /// Whether they may on a route that keeps escaped slashes.
        kept: May,
        /// Whether a sub-request may ask for it.
        asked: May,
        path: String,
    }

    fn vectors() -> impl Iterator<Item = Vector> {
        include_str!("../../../../tests/vectors/paths.txt")
            .lines()
            .filter(|line| !line.is_empty() && !line.starts_with('#'))
            .map(|line| {
                let quote = line.find('"').unwrap();
                let may: Vec<_> = line[..quote].split_whitespace().collect();
                let [set, kept, asked] = may[..] else {
                    panic!("{line}");
                };
                Vector {
                    set: May::read(set),
                    kept: May::read(kept),
                    asked: May::read(asked),
                    path: serde_json::from_str(&line[quote..]).unwrap(),
                }
            })
    }

    #[test]
    fn a_path_of_a_plugin_leaves_as_it_is_or_not_as_the_vectors_say() {
        for Vector {
            set,
            kept,
            asked,
            path,
        } in vectors()
        {
            let (before, query) = match path.split_once('?') {
                Some((before, query)) => (before, Some(query)),
                None => (path.as_str(), None),
            };
            for parameters in [PathParameters::Refuse, PathParameters::Keep] {
                let rules = |slashes| PathRules {
                    slashes,
                    parameters,
                };
                let refuse = rules(EncodedSlashes::Refuse);
                let keep = rules(EncodedSlashes::Keep);
                for (may, left) in [
                    (set, set_by_plugin(path.clone(), refuse)),
                    (set, rewritten(before, query, refuse)),
                    (kept, set_by_plugin(path.clone(), keep)),
                    (kept, rewritten(before, query, keep)),
                    (asked, of_sub_request(path.clone(), parameters)),
                ] {
                    let left = left.ok().map(|left| left.as_str().to_owned());
                    let may = may.on(parameters).then(|| path.clone());
                    assert_eq!(left, may, "{path:?} {parameters:?}");
                }
            }
        }
    }

    #[test]
    fn what_passes_from_a_client_passes_from_a_plugin() {
        for Vector { path: from, .. } in vectors() {
            let asked = from.parse().ok();
            if let Some(once) = asked.and_then(|asked| from_client(&asked).ok()) {
                let rules = once.special.rules();
                let once = once.path.as_str().to_owned();
                let set = set_by_plugin(once.clone(), rules);
                assert!(set.is_ok(), "{from:?}: {once}");
                let asked = of_sub_request(once.clone(), rules.parameters);
                assert!(asked.is_ok(), "{from:?}: {once}");
            }
        }
    }

    #[test]
    fn a_rewrite_makes_no_query() {
        let refuse = PathRules::default();
        assert_eq!(rewritten("/a?b", None, refuse), Err(super::super::ODD));
        let left = rewritten("/a", Some("b?c"), refuse).unwrap();
        assert_eq!(left, "/a?b?c");
    }

    #[test]
    fn who_may_make_less_may_make_it_elsewhere() {
        for vector in vectors() {
            assert!(vector.kept >= vector.set, "{vector:?}");
            assert!(vector.asked >= vector.kept, "{vector:?}");
        }
    }

    #[test]
    fn many_layers_of_escapes_are_seen_through_in_one_pass() {
        let deep = format!("/%{}2e.", "25".repeat(30_000));
        assert_eq!(of_sub_request(deep, PathParameters::Keep), Err(DOTS));
    }

    #[test]
    fn a_location_is_a_url_or_a_path_of_this_host() {
        for location in [
            "/",
            "/a/b?c=//d#e",
            "/a%2Fb",
            "/a;v=1/%3B",
            "https://example.com",
            "http://example.com:8080/a",
            "https://[::1]:8443/",
            "https://example.com?a=/../b",
        ] {
            assert_eq!(of_location(location.as_bytes()), Ok(()), "{location}");
        }
        for location in [
            "",
            "a",
            "?a",
            "//evil.example/",
            "/\\evil.example",
            "/a\\..\\b",
            "/a/../b",
            "/%2e%2e/b",
            "/%252e%252e/b",
            "/a//b",
            "/a b",
            "/a\r\nset-cookie: b",
            "/\u{e9}",
            "https://",
            "https:///a",
            "https://me@example.com/",
            "https://example.com\\@evil.example/",
            "https://example.com:/",
            "https://example.com:x/",
            "https://example.com//a",
            "ftp://example.com/",
            "javascript:alert(1)",
        ] {
            assert!(of_location(location.as_bytes()).is_err(), "{location:?}");
        }
    }
}
