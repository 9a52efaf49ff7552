//! `routes.rewrite`.

use http::HeaderValue;

use super::super::description::Words;
use super::super::item::Item;
use super::super::model::{HostRewrite, PathRewrite, Rewrite};
use super::super::patterns;
use super::super::table::Table;
use super::matcher;

static WORDS: Words = Words {
    about: "What changes on the way to the upstream, after the plugins: the path by `strip_prefix` and `prefix`, or by \
            `regex` and `to`.",
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
            "What replaces a match. `$1` and `${1}` are its groups.",
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
    let strip = table.optional("strip_prefix", prefix);
    let prefix = table.optional("prefix", prefix);
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
            if let Err(reason) = patterns::replacement(&regex, &to) {
                item.fault(format!("{}: {reason}", item.quoted()));
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

fn prefix(item: &Item<'_>) -> Option<String> {
    let text = item.text_as("a path such as \"/api\"")?;
    let reason = match patterns::normalised(text) {
        Err(reason) => reason,
        Ok(()) if text == "/" => "it is every path's beginning, so nothing would change".to_owned(),
        Ok(()) if text.ends_with('/') => {
            let right = text.trim_end_matches('/');
            format!("write \"{right}\": a prefix ends with a segment, not with `/`")
        }
        Ok(()) if text.contains(['{', '*']) => {
            "a prefix is plain text, without parameters and wildcards".to_owned()
        }
        Ok(()) => return Some(text.to_owned()),
    };
    item.fault(format!("{}: {reason}", item.quoted()));
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
        HeaderValue::from_str(text).map_err(|_| "it can be no value of a field".to_owned())
    });
    match sound {
        Ok(value) => Some(HostRewrite::Name(value)),
        Err(reason) => {
            item.fault(format!(
                "{} is no host ({reason}); write `preserve`, `upstream` or a name",
                item.quoted()
            ));
            None
        }
    }
}
