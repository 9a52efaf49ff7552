//! `routes.rewrite`.

mod cookies;

use http::HeaderValue;

use super::super::description::Words;
use super::super::item::Item;
use super::super::model::{AnswerRewrite, HostRewrite, PathRewrite, Rewrite};
use super::super::patterns;
use super::super::reason::Reason;
use super::super::regex::Regex;
use super::super::table::{Default, Table};
use super::{matcher, replacement};
use crate::message::path::{self, PathRules};

static WORDS: Words = Words {
    about: "What changes on the way to the upstream, after the plugins, and of its answer, before them. The path by \
            `strip_prefix` or `strip_segments`, with `prefix`, or by `regex` and `to`. An empty result is `/`. One that \
            servers read differently (a segment `.` or `..`, `//`, a backslash, double encoding, `%2F` or `;` unless the route \
            keeps them) is never repaired and never sent: it is a fault here, or a 500 `bad_rewrite` where it depends on \
            the request.",
    keys: &[
        (
            "strip_prefix",
            "The beginning of the path that goes. A path with another beginning stays.",
        ),
        (
            "strip_segments",
            "How many segments go from the beginning of the path. Of one with fewer, all go.",
        ),
        ("prefix", "What comes in the place of what goes."),
        (
            "regex",
            "A regular expression. Each match in the path is replaced; the query stays.",
        ),
        (
            "to",
            "What replaces a match. `$1`, `${1}` and `${name}` are its groups, `$$` is a `$`. The environment is never \
             read here.",
        ),
        (
            "host",
            "The `Host` that goes upstream: the client's, the address of the endpoint, or a name. Unless given, \
             `upstream`.",
        ),
        (
            "location",
            "`public`: `Location`, `Content-Location` and `Refresh` of the upstream's answer, where they name an \
             endpoint or the `Host` that went there, name the scheme and host that the client sees, and a path gets \
             back what `strip_prefix`, `strip_segments` and `prefix` did to it. Those of other hosts stay, and so do \
             relative references without a leading slash; of a `regex` the path stays. `upstream`: all stay.",
        ),
        (
            "cookies",
            "What changes of each `Set-Cookie` of the upstream's answer.",
        ),
    ],
    example: "",
};

/// What changes on the way to the upstream and of its answer; `rules` say what the route keeps in paths.
pub(super) fn rewrite(table: &mut Table<'_>, rules: PathRules) -> Rewrite {
    table.words(&WORDS);
    let path = path_rewrite(table, rules);
    let host = table.optional("host", host).unwrap_or_default();
    let location = table.or("location", Default::Text("upstream"), |item| {
        item.choice(&[("public", true), ("upstream", false)], &[])
    });
    let cookies = table.optional_sub("cookies", cookies::cookies);
    let answer = AnswerRewrite { location, cookies };
    let changes = answer.location || answer.cookies.is_some();
    Rewrite {
        path,
        host,
        answer: changes.then(|| Box::new(answer)),
    }
}

fn path_rewrite(table: &mut Table<'_>, rules: PathRules) -> PathRewrite {
    let arrives = |text: &str| {
        patterns::normalised(text)?;
        path::rewritten(text, None, rules)
            .map(|_| ())
            .map_err(|unfit| Reason::own(format!("{unfit}, and such a path never arrives")))
    };
    let leaves = |text: &str| leaves(text, rules);
    let strip = table.optional("strip_prefix", |item| prefix(item, arrives));
    let segments = table.optional("strip_segments", |item| {
        usize::try_from(item.integer(1..=64)?).ok()
    });
    let prefix = table.optional("prefix", |item| prefix(item, leaves));
    if table.has("strip_segments") && table.has("strip_prefix") {
        table.fault(
            "strip_segments",
            "cannot be together with `strip_prefix`; write one or the other",
        );
    }
    let regex = table.optional("regex", matcher::regex);
    let to = table.optional("to", |item| Some((item.clone(), item.text()?.to_owned())));
    let by_prefix = ["strip_prefix", "strip_segments", "prefix"];
    let by_prefix = by_prefix.iter().any(|key| table.has(key));
    match (table.has("regex"), table.has("to")) {
        (true, _) if by_prefix => {
            table.fault(
                "regex",
                "cannot be together with `strip_prefix`, `strip_segments` or `prefix`; write one or the other",
            );
        }
        (true, false) => table.fault("regex", "needs `to`, what stands in the place of a match"),
        (false, true) => table.fault("to", "needs `regex`, what is to be replaced"),
        _ => {}
    }
    match (regex, to) {
        (Some(regex), Some((item, to))) => {
            if let Err(reason) = replaces(&regex, &to, leaves) {
                item.fault(format!("{}: {}", item.quoted(), item.told(&reason)));
            }
            PathRewrite::Regex { regex, to }
        }
        _ if segments.is_some() => PathRewrite::Segments {
            count: segments.unwrap_or_default(),
            prefix: prefix.unwrap_or_default(),
        },
        _ if strip.is_some() || prefix.is_some() => PathRewrite::Strip {
            strip: strip.unwrap_or_default(),
            prefix: prefix.unwrap_or_default(),
        },
        _ => PathRewrite::Keep,
    }
}

/// Whether `to` can stand in a path, whatever its groups are.
fn replaces(
    regex: &Regex,
    to: &str,
    leaves: impl Fn(&str) -> Result<(), Reason>,
) -> Result<(), Reason> {
    replacement::check(regex, to)?;
    let probe = replacement::with_groups(to, |_, _| "x");
    let is_whole_beginning = begins_path(regex.as_str()) && !to.is_empty();
    if is_whole_beginning
        && !probe.starts_with('/')
        && (!to.starts_with('$') || to.starts_with("$$"))
    {
        return Err(Reason::repeating(
            "it becomes the beginning of the path, which starts with `/`; write \"/{}\"",
            [&to],
        ));
    }
    // What may stand around a match, where that is not known.
    let before = if probe.starts_with('/') { "" } else { "/x" };
    let behind = if ends_path(regex.as_str()) { "" } else { "x" };
    leaves(&format!("{before}{probe}{behind}"))
}

/// Whether every match certainly begins where the path does.
fn begins_path(regex: &str) -> bool {
    let is_optional = |rest: &str| rest.starts_with(['?', '*', '{']);
    !regex.contains('|')
        && regex
            .strip_prefix('^')
            .is_some_and(|rest| !is_optional(rest))
}

/// Whether every match certainly ends where the path does.
fn ends_path(regex: &str) -> bool {
    !regex.contains('|')
        && regex
            .strip_suffix('$')
            .is_some_and(|rest| !rest.ends_with('\\'))
}

/// Whether a path that is written here may go upstream.
fn leaves(path: &str, rules: PathRules) -> Result<(), Reason> {
    patterns::starts_with_slash(path)?;
    let reason = match path
        .chars()
        .find(|&c| !c.is_ascii_graphic() || matches!(c, '?' | '#'))
    {
        Some('?') => {
            "the query goes upstream as it came, and is no part of what is rewritten".into()
        }
        Some('#') => "a fragment never reaches a server".into(),
        Some(odd) => Reason::repeating(
            "write {} percent-encoded: `{}`",
            [&format!("{odd:?}"), &patterns::encoded(odd)],
        ),
        None if path.contains("//") => "`//` never leaves: servers read it differently".into(),
        None => {
            patterns::escapes(path)?;
            let left = path::rewritten(path, None, rules);
            return left
                .map(|_| ())
                .map_err(|unfit| Reason::own(format!("{unfit}, and such a path never leaves")));
        }
    };
    Err(reason)
}

fn prefix(item: &Item<'_>, judge: impl Fn(&str) -> Result<(), Reason>) -> Option<String> {
    let text = item.text_as("a path such as \"/api\"")?;
    let reason = match judge(text) {
        Err(reason) => reason,
        Ok(()) if text == "/" => "it is every path's beginning, so nothing would change".into(),
        Ok(()) if text.ends_with('/') => {
            let right = text.trim_end_matches('/');
            Reason::repeating(
                "write \"{}\": a prefix ends with a segment, not with `/`",
                [&right],
            )
        }
        Ok(()) if text.contains(['{', '*']) => {
            "a prefix is plain text, without parameters and wildcards".into()
        }
        Ok(()) => return Some(text.to_owned()),
    };
    item.fault(format!("{}: {}", item.quoted(), item.told(&reason)));
    None
}

fn host(item: &Item<'_>) -> Option<HostRewrite> {
    let word = item.keyword([
        ("preserve", HostRewrite::Preserve),
        ("upstream", HostRewrite::Upstream),
    ]);
    if word.is_some() {
        return word;
    }
    let text = item.text_as("`preserve`, `upstream` or a host")?;
    let name = match text.rsplit_once(':') {
        Some((name, port)) if port.parse::<u16>().is_ok() => name,
        _ => text,
    };
    let sound = patterns::labels(name).and_then(|()| {
        HeaderValue::from_str(text).map_err(|_| "it can be no value of a field".into())
    });
    match sound {
        Ok(value) => Some(HostRewrite::Name(value)),
        Err(reason) => {
            item.fault(format!(
                "{} is no host ({}); write `preserve`, `upstream` or a name",
                item.quoted(),
                item.told(&reason)
            ));
            None
        }
    }
}
