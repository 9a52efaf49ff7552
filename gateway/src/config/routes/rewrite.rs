//! `routes.rewrite`.

use http::HeaderValue;
use regex::Regex;

use super::super::description::Words;
use super::super::item::Item;
use super::super::model::{HostRewrite, PathRewrite, Rewrite};
use super::super::patterns;
use super::super::reason::Reason;
use super::super::table::Table;
use super::{matcher, replacement};
use crate::message::path;

static WORDS: Words = Words {
    about: "What changes on the way to the upstream, after the plugins: the path by `strip_prefix` and `prefix`, or by \
            `regex` and `to`. An empty result is `/`. One that servers read differently (a segment `.` or `..`, \
            `//`, a backslash, `%2F`, double encoding) is never repaired and never sent: it is a fault here, or a 500 \
            `bad_rewrite` where it depends on the request.",
    keys: &[
        (
            "strip_prefix",
            "The beginning of the path that goes. A path with another beginning stays.",
        ),
        ("prefix", "What comes in its place."),
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
    ],
    example: "",
};

/// What changes on the way to the upstream.
pub(super) fn rewrite(table: &mut Table<'_>) -> Rewrite {
    table.words(&WORDS);
    let strip = table.optional("strip_prefix", |item| prefix(item, patterns::normalised));
    let prefix = table.optional("prefix", |item| prefix(item, leaves));
    let regex = table.optional("regex", matcher::regex);
    let to = table.optional("to", |item| Some((item.clone(), item.text()?.to_owned())));
    let host = table.optional("host", host).unwrap_or_default();
    let by_prefix = table.has("strip_prefix") || table.has("prefix");
    match (table.has("regex"), table.has("to")) {
        (true, _) if by_prefix => {
            table.fault(
                "regex",
                "cannot be together with `strip_prefix` or `prefix`; write one or the other",
            );
        }
        (true, false) => table.fault("regex", "needs `to`, what stands in the place of a match"),
        (false, true) => table.fault("to", "needs `regex`, what is to be replaced"),
        _ => {}
    }
    let path = match (regex, to) {
        (Some(regex), Some((item, to))) => {
            if let Err(reason) = replaces(&regex, &to) {
                item.fault(format!("{}: {}", item.quoted(), item.told(&reason)));
            }
            PathRewrite::Regex { regex, to }
        }
        _ if strip.is_some() || prefix.is_some() => PathRewrite::Strip {
            strip: strip.unwrap_or_default(),
            prefix: prefix.unwrap_or_default(),
        },
        _ => PathRewrite::Keep,
    };
    Rewrite { path, host }
}

/// Whether `to` can stand in a path, whatever its groups are.
fn replaces(regex: &Regex, to: &str) -> Result<(), Reason> {
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
fn leaves(path: &str) -> Result<(), Reason> {
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
            let left = path::rewritten(path, None);
            return left
                .map(|_| ())
                .map_err(|unfit| Reason::own(format!("{unfit}, and such a path never leaves")));
        }
    };
    Err(reason)
}

fn prefix(item: &Item<'_>, judge: fn(&str) -> Result<(), Reason>) -> Option<String> {
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
