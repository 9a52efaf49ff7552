//! What holds for every path that leaves, whatever a rule or a plugin makes of what a client sent; fuzz/ and the tests
//! below look for what breaks it.

use http::uri::PathAndQuery;

use crate::config::{PathRewrite, Regex};
use crate::message::path::{self, EncodedSlashes, Form, PathParameters, PathRules};

/// The most memory that a compiled expression takes, in bytes.
const EXPRESSION: usize = 1 << 20;

/// Three lines: an expression or a prefix that goes, what comes in its place, and the target of a client. The second is
/// also what a plugin sets and asks for, and where a client is sent.
///
/// # Panics
/// When what leaves is read differently by some server, or the query is another.
pub fn left(input: &[u8]) {
    let Ok(text) = str::from_utf8(input) else {
        return;
    };
    let mut lines = text.splitn(3, '\n');
    let mut line = || lines.next().unwrap_or_default();
    let (from, to, asked) = (line(), line(), line());
    made_here(to);
    let asked = PathAndQuery::try_from(asked).ok();
    let Some(Form {
        path: form,
        special,
    }) = asked.and_then(|asked| path::from_client(&asked).ok())
    else {
        return;
    };
    let rules = special.rules();
    check(&form, rules);
    let expression = Regex::within(from, EXPRESSION);
    let replaced = expression.ok().map(|regex| PathRewrite::Regex {
        regex,
        to: to.to_owned(),
    });
    let stripped = PathRewrite::Strip {
        strip: from.to_owned(),
        prefix: to.to_owned(),
    };
    let segments = PathRewrite::Segments {
        count: from.len() % 4,
        prefix: to.to_owned(),
    };
    for rule in replaced.iter().chain([&stripped, &segments]) {
        match super::path(rule, &form, rules) {
            Ok(Some(left)) => {
                check(&left, rules);
                assert_eq!(left.query(), form.query(), "the query stays");
            }
            Ok(None) => {}
            Err(astray) => assert!(!astray.to_string().contains(char::is_control)),
        }
    }
}

/// What a plugin or a redirect makes.
fn made_here(text: &str) {
    for parameters in [PathParameters::Refuse, PathParameters::Keep] {
        for slashes in [EncodedSlashes::Refuse, EncodedSlashes::Keep] {
            let rules = PathRules {
                slashes,
                parameters,
            };
            if let Ok(left) = path::set_by_plugin(text.to_owned(), rules) {
                assert_eq!(left, text);
                check(&left, rules);
                let again = path::of_sub_request(text.to_owned(), parameters);
                assert_eq!(again.as_ref(), Ok(&left), "a sub-request may ask for it");
            }
        }
        if let Ok(left) = path::of_sub_request(text.to_owned(), parameters) {
            assert_eq!(left, text);
            check_left(&left, Separators::Kept, parameters);
        }
    }
    if path::of_location(text.as_bytes()).is_ok() {
        let path = text.strip_prefix("https:").unwrap_or(text);
        let path = path.strip_prefix("http:").unwrap_or(path);
        assert_eq!(path.starts_with("//"), path.len() < text.len(), "{text:?}");
        assert!(text.bytes().all(|byte| byte.is_ascii_graphic()), "{text:?}");
        let before = path.split(['?', '#']).next().unwrap_or_default();
        let before = before.trim_start_matches('/');
        check_path(before, Separators::Kept, PathParameters::Keep);
    }
    let parameter = path::parameter(text);
    assert!(!parameter.contains(['\0', '\r', '\n']) || text.contains(char::is_control));
}

/// Whether a segment may have a separator that is escaped.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Separators {
    Refused,
    /// Slashes alone, escaped once.
    Slashes,
    Kept,
}

fn check(
    left: &PathAndQuery,
    PathRules {
        slashes,
        parameters,
    }: PathRules,
) {
    let separators = match slashes {
        EncodedSlashes::Keep => Separators::Slashes,
        EncodedSlashes::Refuse => Separators::Refused,
    };
    check_left(left, separators, parameters);
}

fn check_left(left: &PathAndQuery, separators: Separators, parameters: PathParameters) {
    let text = left.as_str();
    assert!(text.starts_with('/'), "{text:?}");
    let is_sound = |byte: u8| byte.is_ascii_graphic() && byte != b'#';
    assert!(text.bytes().all(is_sound), "{text:?}");
    check_path(&left.path()[1..], separators, parameters);
}

/// Looks at a path, without its first slash, as a server would that decodes it again and again.
fn check_path(path: &str, separators: Separators, parameters: PathParameters) {
    assert!(!path.contains("//") && !path.contains('\\'), "{path:?}");
    let mut seen = path.as_bytes().to_vec();
    for layer in 0.. {
        let is_empty = |part: &[u8]| part.is_empty();
        let parts = seen.split(|byte| matches!(byte, b'/' | b'\\'));
        let empty = parts.filter(|part| is_empty(part)).count();
        assert!(
            empty <= usize::from(path.is_empty() || path.ends_with('/')),
            "{path:?}"
        );
        for segment in seen.split(|byte| matches!(byte, b'/' | b'\\')) {
            let name = segment.split(|byte| *byte == b';').next();
            assert!(!matches!(name, Some(b"." | b"..")), "{path:?}");
        }
        assert!(!seen.contains(&0), "{path:?}");
        let is_cut = seen.contains(&b';');
        assert!(parameters == PathParameters::Keep || !is_cut, "{path:?}");
        let hidden = seen.iter().filter(|byte| matches!(byte, b'/' | b'\\'));
        let grown = hidden.count() > path.matches('/').count();
        assert!(!(separators == Separators::Refused && grown), "{path:?}");
        let decoded = percent_encoding::percent_decode(&seen).collect::<Vec<u8>>();
        if decoded == seen {
            break;
        }
        assert!(separators == Separators::Kept || layer == 0, "{path:?}");
        let is_kept = separators == Separators::Kept;
        assert!(is_kept || !decoded.contains(&b'\\'), "{path:?}");
        seen = decoded;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::corpora;

    #[test]
    fn what_leaves_is_read_in_one_way() {
        corpora::replay("rewrite", left);
    }

    /// Rules and targets of pieces that mean something to some server.
    #[test]
    fn whatever_rules_make_of_paths_is_read_in_one_way_or_stays_here() {
        const PIECES: [&str; 26] = [
            "/", "/", "/", ".", ".", "..", "%2e", "%2E", "%2F", "%5c", "%25", "%00", "%", ";",
            "%3B", "2", "e", "f", "a", "b-", "%E9", "%0d", "\\", "?", "#", " ",
        ];
        const EXPRESSIONS: [&str; 9] = [
            "",
            "/a",
            "^/a(.*)",
            "^/(.*?)-(.*)",
            "^(/[^/]*)(.*)$",
            "-",
            "[^/]",
            "/$",
            "(%..)(.*)",
        ];
        let mut random = fastrand::Rng::with_seed(7);
        let mut text = |pieces: &[&str]| {
            let count = random.usize(0..8);
            let pick = |_| pieces[random.usize(..pieces.len())];
            (0..count).map(pick).collect::<String>()
        };
        let rules: Vec<_> = PIECES
            .into_iter()
            .chain(["$1", "$2", "${1}", "$$"])
            .collect();
        for round in 0..10_000 {
            let from = EXPRESSIONS[round % EXPRESSIONS.len()];
            let (to, asked) = (text(&rules), text(&PIECES));
            left(format!("{from}\n/{to}\n/{asked}").as_bytes());
            left(format!("/{asked}\n{to}\n/{asked}/{to}").as_bytes());
        }
    }
}
