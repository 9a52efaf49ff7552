//! What changes of the path on the way upstream, and of the names of places on the way back.

mod cookies;
#[cfg(any(test, feature = "fuzzing"))]
pub mod properties;
mod public;

use std::borrow::Cow;

use http::uri::PathAndQuery;

use crate::config::PathRewrite;
use crate::message::path::{self, PathRules, Unfit, shown};

pub use cookies::cookie;
pub use public::Public;

/// What a rewrite made that may not leave, and why.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("the rewrite of {rule} makes {made:?}: {unfit}")]
pub struct Astray {
    /// The beginning of the rule.
    rule: String,
    /// The beginning of the path.
    made: String,
    unfit: Unfit,
}

/// The path after its rewrite, with the query as it came; none where it stays as it is. An empty path is `/`. `rules`
/// are those of the route.
///
/// # Errors
/// Where the result may not leave. It is judged as the path of a client is, but never repaired: a dot segment that a
/// rule makes of a part of the client's path would lead out of the place that the rule names.
pub fn path(
    rewrite: &PathRewrite,
    from: &PathAndQuery,
    rules: PathRules,
) -> Result<Option<PathAndQuery>, Astray> {
    let Some(made) = made(rewrite, from.path()) else {
        return Ok(None);
    };
    let path = if made.is_empty() { "/" } else { &made };
    path::rewritten(path, from.query(), rules)
        .map(Some)
        .map_err(|unfit| Astray {
            rule: rule(rewrite),
            made: shown(path).to_owned(),
            unfit,
        })
}

fn made(rewrite: &PathRewrite, from: &str) -> Option<String> {
    match rewrite {
        PathRewrite::Keep => None,
        // `OPTIONS *` asks for no path.
        _ if from == "*" => None,
        PathRewrite::Strip { strip, prefix } => stripped(strip, prefix, from),
        PathRewrite::Segments { count, prefix } => {
            let rest = &from[first_segments(from, *count).len()..];
            Some(format!("{prefix}{rest}"))
        }
        PathRewrite::Regex { regex, to } => match regex.replace_all(from, to.as_str()) {
            Cow::Borrowed(_) => None,
            Cow::Owned(made) => Some(made),
        },
    }
}

/// The path with another beginning, if it has the one that goes; not judged yet.
pub fn stripped(strip: &str, prefix: &str, path: &str) -> Option<String> {
    let rest = path.strip_prefix(strip)?;
    // `/api` must not take its letters off `/apis`.
    if !rest.is_empty() && !rest.starts_with('/') && !strip.ends_with('/') {
        return None;
    }
    let slash = if rest.starts_with('/') || (rest.is_empty() && !prefix.is_empty()) {
        ""
    } else {
        "/"
    };
    Some(format!("{}{slash}{rest}", prefix.trim_end_matches('/')))
}

/// What a path begins with: so many of its segments, or all that it has.
fn first_segments(path: &str, count: usize) -> &str {
    let end = path.match_indices('/').nth(count);
    &path[..end.map_or(path.len(), |(at, _)| at)]
}

/// The rule as the log names it.
fn rule(rewrite: &PathRewrite) -> String {
    match rewrite {
        PathRewrite::Keep => String::new(),
        PathRewrite::Strip { strip, prefix } => {
            format!("{:?} to {:?}", shown(strip), shown(prefix))
        }
        PathRewrite::Segments { count, prefix } => {
            format!("{count} segments to {:?}", shown(prefix))
        }
        PathRewrite::Regex { regex, to } => {
            format!("{:?} to {:?}", shown(regex.as_str()), shown(to))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Regex;
    use crate::message::path::{EncodedSlashes, PathParameters};

    const KEEPS_SLASHES: PathRules = PathRules {
        slashes: EncodedSlashes::Keep,
        parameters: PathParameters::Refuse,
    };

    fn rewrite(rule: &PathRewrite, from: &str) -> Result<Option<String>, &'static str> {
        let path = path(rule, &from.parse().unwrap(), PathRules::default());
        path.map(|path| path.map(|path| path.to_string()))
            .map_err(|astray| astray.unfit.reason())
    }

    fn strip(strip: &str, prefix: &str, from: &str) -> Option<String> {
        let rule = PathRewrite::Strip {
            strip: strip.into(),
            prefix: prefix.into(),
        };
        rewrite(&rule, from).unwrap()
    }

    fn replace(regex: &str, to: &str, from: &str) -> Result<Option<String>, &'static str> {
        let rule = PathRewrite::Regex {
            regex: Regex::new(regex).unwrap(),
            to: to.into(),
        };
        rewrite(&rule, from)
    }

    #[test]
    fn a_stripped_prefix_ends_at_a_segment() {
        assert_eq!(strip("/api", "", "/api/x?q=1").as_deref(), Some("/x?q=1"));
        assert_eq!(strip("/api", "", "/api").as_deref(), Some("/"));
        assert_eq!(strip("/api", "", "/apis"), None);
        assert_eq!(strip("/api", "/v2", "/api/x").as_deref(), Some("/v2/x"));
        assert_eq!(strip("/api", "/v2", "/api").as_deref(), Some("/v2"));
        assert_eq!(strip("", "/v2", "/x").as_deref(), Some("/v2/x"));
        assert_eq!(strip("", "/v2", "*"), None);
        assert_eq!(strip("/api", "", "/api/").as_deref(), Some("/"));
    }

    #[test]
    fn segments_are_counted_by_slashes_that_are_written() {
        for (count, prefix, from, made) in [
            (1, "", "/api/x?q=1", "/x?q=1"),
            (1, "", "/api/x/", "/x/"),
            (1, "", "/api/", "/"),
            (1, "", "/api", "/"),
            (2, "", "/a/b/c/d", "/c/d"),
            (2, "", "/a", "/"),
            (2, "", "/", "/"),
            (2, "/v2", "/a/b/c", "/v2/c"),
            (2, "/v2", "/a/b", "/v2"),
            (2, "/v2", "/a", "/v2"),
            (2, "/v2", "/a/b/", "/v2/"),
        ] {
            let rule = PathRewrite::Segments {
                count,
                prefix: prefix.into(),
            };
            let left = rewrite(&rule, from).unwrap();
            assert_eq!(left.as_deref(), Some(made), "{count} {prefix} {from}");
        }
        let rule = PathRewrite::Segments {
            count: 1,
            prefix: String::new(),
        };
        let kept = path(&rule, &"/a%2Fb/c%2Fd".parse().unwrap(), KEEPS_SLASHES);
        assert_eq!(kept.unwrap().unwrap(), "/c%2Fd");
        assert_eq!(rewrite(&rule, "*"), Ok(None));
    }

    #[test]
    fn a_rule_of_a_route_that_keeps_slashes_makes_no_place_of_them() {
        let rule = PathRewrite::Regex {
            regex: Regex::new("^/files-(.*)").unwrap(),
            to: "/data/$1".into(),
        };
        let made = |from: &str| path(&rule, &from.parse().unwrap(), KEEPS_SLASHES);
        assert_eq!(made("/files-a%2Fb").unwrap().unwrap(), "/data/a%2Fb");
        // `files-..` and `files-` are names; what the rule makes of them is none.
        for from in ["/files-..%2Fb", "/files-%2Fb", "/files-;x%2Fb"] {
            assert!(made(from).is_err(), "{from}");
        }
    }

    #[test]
    fn a_regex_rewrites_the_path_and_leaves_the_query() {
        let query = "?x=/a/2&y=..%2f%E9//\\";
        for (regex, to, from, made) in [
            ("^/a/(.*)", "/b/$1", "/a/1", Some("/b/1")),
            ("^/a/(.*)", "/b/$1", "/a/caf%E9", Some("/b/caf%E9")),
            ("^/a/(.*)", "/b/$1", "/c", None),
            ("^/a", "", "/a", Some("/")),
            ("^/a/(.*)", "/b/$1", "/a/", Some("/b/")),
        ] {
            let made = made.map(|made| made.to_owned() + query);
            assert_eq!(replace(regex, to, &format!("{from}{query}")), Ok(made));
        }
    }

    #[test]
    fn what_a_rule_makes_leaves_only_if_servers_read_it_in_one_way() {
        for (regex, to, from) in [
            ("^/files-(.*)", "/data/$1", "/files-../secret"),
            ("^/files-(.*)", "/data/$1", "/files-."),
            ("^/files-(.*)", "/data/$1", "/files-/x"),
            ("^/files-(.*)", "$1", "/files-x"),
            ("^/files-", "", "/files-x/y"),
            ("^/(..)(..)", "/%25$1$2", "/2fabc"),
            ("-", "/..", "/a-"),
            ("-", " ", "/a-b"),
            ("-", "?", "/a-b"),
            ("-", "#", "/a-b"),
            ("-", "\\", "/a-b"),
            ("-", "%2F", "/a-b"),
            ("-", ";", "/a-b"),
            ("-", "%3b", "/a-b"),
            ("-(.)", "%3$1", "/a-Bc"),
            ("-", "\u{e9}", "/a-b"),
            ("-", "%", "/a-b"),
        ] {
            assert!(replace(regex, to, from).is_err(), "{regex} {to} {from}");
        }
    }

    #[test]
    fn what_the_log_says_of_it_is_bounded() {
        let rule = PathRewrite::Strip {
            strip: String::new(),
            prefix: "/a//".to_owned() + &"\u{e9}".repeat(10_000),
        };
        let from = format!("/{}", "b".repeat(10_000)).parse().unwrap();
        let said = path(&rule, &from, PathRules::default())
            .unwrap_err()
            .to_string();
        assert!(said.len() < 1_000, "{said}");
    }
}
