//! Patterns of hosts, paths and values, from text.
//!
//! A path pattern is compared with the normalised path of a request, so it has to be normalised itself: what
//! could never match is an error, not a route that is silently dead.

use std::sync::Arc;

use super::model::{HostPattern, PathPattern, Segment};
use super::reason::Reason;

/// A host pattern.
///
/// # Errors
/// What would be right.
pub(super) fn host(text: &str) -> Result<HostPattern, Reason> {
    let lower = text.to_ascii_lowercase();
    if lower == "*" {
        return Err("leave `host` out to match every host".into());
    }
    if let Some((host, port)) = lower.rsplit_once(':')
        && !lower.ends_with(']')
        && port.bytes().all(|byte| byte.is_ascii_digit())
    {
        return Err(Reason::repeating(
            "write \"{}\": hosts are matched without their port",
            [&host],
        ));
    }
    if lower.contains("://") || lower.contains('/') {
        return Err("expected a host alone, such as \"api.example.com\"".into());
    }
    if !lower.is_ascii() {
        return Err("write it in its ASCII form (xn--..)".into());
    }
    if lower.starts_with('[') {
        let inner = lower
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'));
        let address = inner.and_then(|inner| inner.parse::<std::net::Ipv6Addr>().ok());
        return match address {
            // As the host of a request is spelled (`proxy::normalise`).
            Some(address) => Ok(HostPattern::Exact(format!("[{address}]"))),
            None => Err("it is no IPv6 address".into()),
        };
    }
    if lower.contains(['{', '}']) {
        return template(text);
    }
    let (wildcard, name) = match lower.strip_prefix("*.") {
        Some(rest) => (true, rest),
        None => (false, lower.as_str()),
    };
    if name.contains('*') {
        return Err("a `*` stands alone as the first label: \"*.example.com\"".into());
    }
    labels(name)?;
    Ok(if wildcard {
        HostPattern::Suffix(format!(".{name}"))
    } else {
        HostPattern::Exact(lower)
    })
}

/// A host pattern with parameters, `{tenant}.example.com`; the case of their names stays.
fn template(text: &str) -> Result<HostPattern, Reason> {
    let mut template = Vec::new();
    no_dot_at_its_end(text)?;
    for label in text.split('.') {
        let name = label
            .strip_prefix('{')
            .and_then(|rest| rest.strip_suffix('}'));
        let label = match name {
            None if label.contains(['{', '}']) => {
                return Err(Reason::repeating(
                    "`{}`: a parameter is a whole label, such as \"{tenant}.example.com\"",
                    [&label],
                ));
            }
            None if label.contains('*') => {
                return Err(
                    "a `*` does not stand beside parameters: \"{tenant}.example.com\"".into(),
                );
            }
            None => Segment::Literal(label.to_ascii_lowercase()),
            Some(name) if is_param(name) => Segment::Param(Arc::from(name)),
            Some(name) => return Err(no_parameter(name)),
        };
        if let Segment::Param(name) = &label
            && template.contains(&label)
        {
            return Err(twice(name));
        }
        template.push(label);
    }
    let plain = template.iter().map(|label| match label {
        Segment::Literal(text) => text.as_str(),
        Segment::Param(_) => "p",
    });
    labels(&plain.collect::<Vec<_>>().join("."))?;
    Ok(HostPattern::Template(template))
}

fn no_parameter(name: &str) -> Reason {
    Reason::repeating(
        "`{{}}` names no parameter; a name has letters, digits, `_` and `-`, and starts with a letter or `_`",
        [&name],
    )
}

fn twice(name: &str) -> Reason {
    Reason::repeating("`{{}}` is there twice; give each its own name", [&name])
}

/// Whether this is a host name: labels of letters, digits, `-` and `_`.
///
/// # Errors
/// What would be right.
pub(super) fn labels(name: &str) -> Result<(), Reason> {
    no_dot_at_its_end(name)?;
    for label in name.split('.') {
        if label.is_empty() {
            return Err("a label of it is empty".into());
        }
        let sound = label
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_');
        if !sound || label.starts_with('-') || label.ends_with('-') {
            return Err(Reason::repeating(
                "`{}` is no label of a host name",
                [&label],
            ));
        }
    }
    Ok(())
}

fn no_dot_at_its_end(name: &str) -> Result<(), Reason> {
    if name.ends_with('.') && name.len() > 1 {
        return Err(Reason::repeating(
            "write \"{}\", without the dot at its end",
            [&name.trim_end_matches('.')],
        ));
    }
    Ok(())
}

/// A path pattern: exact, `/**` at its end, or with `{name}` segments.
///
/// # Errors
/// What would be right.
pub(super) fn path(text: &str) -> Result<PathPattern, Reason> {
    if text == "**" || text == "*" {
        return Err("write \"/**\" for every path".into());
    }
    let (fixed, rest) = match text.strip_suffix("/**") {
        Some(fixed) => (fixed, true),
        None => (text, false),
    };
    if rest && fixed.is_empty() {
        return Ok(PathPattern::Prefix(String::new()));
    }
    let mut segments = Vec::new();
    let mut literal = true;
    starts_with_slash(text)?;
    for segment in fixed[1..].split('/') {
        let segment = self::segment(segment)?;
        if let Segment::Param(name) = &segment {
            literal = false;
            if segments.contains(&segment) {
                return Err(twice(name));
            }
        }
        segments.push(segment);
    }
    // Only the literal text has to be in normal form: braces are not part of a path.
    let shape: Vec<_> = segments
        .iter()
        .map(|segment| match segment {
            Segment::Literal(text) => text.as_str(),
            Segment::Param(_) => "p",
        })
        .collect();
    normalised(&format!("/{}", shape.join("/")))?;
    if rest && fixed.ends_with('/') {
        return Err(doubled_slash(text));
    }
    Ok(match (literal, rest) {
        (true, false) => PathPattern::Exact(fixed.to_owned()),
        (true, true) => PathPattern::Prefix(fixed.to_owned()),
        (false, _) => PathPattern::Template { segments, rest },
    })
}

fn segment(text: &str) -> Result<Segment, Reason> {
    if text.contains('*') {
        return Err(match text {
            "**" => "`**` stands at the end alone: \"/a/**\"".into(),
            _ => "`*` is no wildcard; write `{name}` for one segment, or `/**` at the end for all below".into(),
        });
    }
    let Some(start) = text.find(['{', '}']) else {
        return Ok(Segment::Literal(text.to_owned()));
    };
    let name = text
        .strip_prefix('{')
        .and_then(|rest| rest.strip_suffix('}'));
    match name {
        Some(name) if is_param(name) => Ok(Segment::Param(Arc::from(name))),
        Some(name) if !name.contains(['{', '}']) => Err(no_parameter(name)),
        _ => Err(
            Reason::repeating("`{}`: a parameter is a whole segment, such as \"/", [&text])
                .and(if start == 0 { "{id}/x" } else { "x/{id}" })
                .and("\"; use { regex = \"..\" } for parts of one"),
        ),
    }
}

fn is_param(name: &str) -> bool {
    name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-')
}

pub(super) fn starts_with_slash(text: &str) -> Result<(), Reason> {
    if text.starts_with('/') {
        return Ok(());
    }
    if text.contains("://") {
        return Err("a path starts with `/`; the host goes into `match.host`".into());
    }
    Err(Reason::repeating(
        "a path starts with `/`; write \"/{}\"",
        [&text],
    ))
}

fn doubled_slash(text: &str) -> Reason {
    let mut right = text.to_owned();
    while right.contains("//") {
        right = right.replace("//", "/");
    }
    Reason::repeating(
        "`//` never arrives: paths are normalised first; write \"{}\"",
        [&right],
    )
}

/// Whether a path is as the gateway normalises one (RFC 3986, section 6.2.2), so that it can match.
///
/// # Errors
/// What would be right.
pub(super) fn normalised(path: &str) -> Result<(), Reason> {
    starts_with_slash(path)?;
    if path.contains("//") {
        return Err(doubled_slash(path));
    }
    if path
        .split('/')
        .any(|segment| segment == "." || segment == "..")
    {
        return Err("`.` and `..` never arrive: paths are normalised first".into());
    }
    if let Some(mark) = path.chars().find(|&c| c == '?' || c == '#') {
        return Err(match mark {
            '?' => "the query is no part of the path; match it with `match.query`".into(),
            _ => "a fragment never reaches a server".into(),
        });
    }
    if let Some(odd) = path.chars().find(|&c| !c.is_ascii_graphic() || c == '\\') {
        let encoded = encoded(odd);
        return Err(match odd {
            '\\' | '\0' => "the gateway refuses such a path".into(),
            _ => Reason::repeating(
                "write {} as it arrives: `{}`",
                [&format!("{odd:?}"), &encoded],
            ),
        });
    }
    percent(path)
}

/// A character as it stands in a path that may not have it otherwise.
pub(super) fn encoded(odd: char) -> String {
    let bytes = odd.to_string().into_bytes();
    bytes.iter().map(|byte| format!("%{byte:02X}")).collect()
}

/// The escapes of a path: their digits, and what they stand for.
///
/// # Errors
/// If one is broken.
pub(super) fn escapes(path: &str) -> Result<Vec<(&str, u8)>, Reason> {
    let mut escapes = Vec::new();
    for (at, _) in path.match_indices('%') {
        let digits = path.get(at + 1..at + 3).unwrap_or_default();
        match u8::from_str_radix(digits, 16) {
            Ok(byte) if digits.len() == 2 && !digits.starts_with('+') => {
                escapes.push((digits, byte));
            }
            _ => {
                return Err(
                    "a `%` is followed by two hexadecimal digits; write `%25` for itself".into(),
                );
            }
        }
    }
    Ok(escapes)
}

fn percent(path: &str) -> Result<(), Reason> {
    for (digits, byte) in escapes(path)? {
        // Of an escaped slash the route decides.
        if matches!(byte, b'\\' | 0) {
            return Err(Reason::repeating(
                "`%{}` never arrives: the gateway refuses such a path",
                [&digits],
            ));
        }
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            let plain = char::from(byte);
            return Err(Reason::repeating(
                "`%{}` arrives as `{}`; write that",
                [&digits, &plain],
            ));
        }
        if digits.bytes().any(|digit| digit.is_ascii_lowercase()) {
            let upper = digits.to_ascii_uppercase();
            return Err(Reason::repeating(
                "`%{}` arrives as `%{}`; write that",
                [&digits, &upper],
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn debug(text: &str) -> String {
        format!("{:?}", path(text).unwrap())
    }

    #[test]
    fn paths_become_the_simplest_pattern() {
        assert_eq!(debug("/a"), "Exact(\"/a\")");
        assert_eq!(debug("/"), "Exact(\"/\")");
        assert_eq!(debug("/a/**"), "Prefix(\"/a\")");
        assert_eq!(debug("/**"), "Prefix(\"\")");
        assert!(debug("/a/{id}").starts_with("Template"));
        assert!(debug("/a/{id}/**").ends_with("rest: true }"));
    }

    #[test]
    fn paths_that_can_never_match_are_refused() {
        for text in [
            "a",
            "",
            "*",
            "**",
            "/a/*",
            "/**/a",
            "/a**",
            "/a//b",
            "//**",
            "/a//**",
            "/../a",
            "/./a",
            "/a%2fb",
            "/%00",
            "/%5c",
            "/%41",
            "/caf\u{e9}",
            "/%c3%A9",
            "/%zz",
            "/a b",
            "/a?b",
            "/a#b",
            "/{a}/{a}",
            "/x{a}",
            "/{a}x",
            "/{}",
            "/{1a}",
            "/{a",
            "/a\\b",
        ] {
            assert!(path(text).is_err(), "{text}");
        }
        assert!(path("/caf%C3%A9/{user-id}").is_ok());
    }

    #[test]
    fn hosts_are_names_without_ports() {
        assert_eq!(
            host("API.example.com"),
            Ok(HostPattern::Exact("api.example.com".into()))
        );
        assert_eq!(
            host("*.example.com"),
            Ok(HostPattern::Suffix(".example.com".into()))
        );
        assert_eq!(host("[::1]"), Ok(HostPattern::Exact("[::1]".into())));
        for text in [
            "*",
            "a:80",
            "http://a",
            "a.*",
            "*a.com",
            "a..b",
            "a.",
            "",
            "b\u{fc}.de",
            "-a",
        ] {
            assert!(host(text).is_err(), "{text}");
        }
    }
}
