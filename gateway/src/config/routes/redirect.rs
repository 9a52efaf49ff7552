//! `routes.redirect`.

use std::sync::Arc;

use http::StatusCode;

use super::super::description::Words;
use super::super::item::Item;
use super::super::model::{
    AskedUrl, HostPattern, Redirect, RedirectChange, RedirectPath, RedirectTo, RedirectValue,
    UrlScheme, is_behind_path,
};
use super::super::patterns;
use super::super::reason::Reason;
use super::super::suggest;
use super::super::table::{Default, Table};
use super::super::template::Template;
use super::{matcher, replacement};
use crate::message::path;

static WORDS: Words = Words {
    about: "An answer that sends the client elsewhere: to the URL of `to`, or to what it asked for with some of it changed \
            (`scheme`, `host`, `port` and the path), where the rest stays as the client sees it, the query too. A location \
            with a dot segment or `//` in its path is never sent, nor one that leads a client back to what it asked for: \
            it is a fault, or a 500 where it depends on the request.",
    keys: &[
        ("status", "301, 302, 303, 307 or 308."),
        (
            "to",
            "Where to: a URL, or a path on the same host. `{path}`, `{query}` and `{host}` stand for those of the \
             request, `{hostname}` for the host without its port, `{?query}` for the query with its question mark, \
             `{name}` for a parameter of the path. `{query}` has its place behind a `?`; where the request has none, \
             neither that `?` nor the `&` that would join it to the rest is sent. What fills a hole is never filled \
             again. Beside `regex`, what replaces a match: a path.",
        ),
        (
            "scheme",
            "The other scheme. The port is that of the scheme, unless `port` is given.",
        ),
        ("host", "The other host."),
        (
            "port",
            "The other port. The usual one of the scheme is not written.",
        ),
        (
            "path",
            "The other path, in which `{path}` stands for that of the request and `{name}` for a parameter of it.",
        ),
        (
            "strip_prefix",
            "The beginning of the path that goes. A path with another beginning is answered with 404.",
        ),
        ("prefix", "What comes in its place, or before the path."),
        (
            "regex",
            "A regular expression. Each match in the path is replaced by `to`, where `$1`, `${1}` and `${name}` are its \
             groups and the environment is never read. A path without a match is answered with 404.",
        ),
    ],
    example: "",
};

/// The answer that sends the client elsewhere; `params` are those of the path.
pub(super) fn redirect(table: &mut Table<'_>, params: &[Arc<str>]) -> Option<Redirect> {
    table.words(&WORDS);
    table.knows(&KEYS);
    let status = table.or("status", Default::Integer(308), |item| {
        let number = item.integer(100..=599)?;
        if ![301, 302, 303, 307, 308].contains(&number) {
            let reason = Reason::repeating(
                "{} is no redirect; write 301, 302, 303, 307 or 308",
                [&number],
            );
            item.fault(item.told(&reason));
            return None;
        }
        StatusCode::from_u16(u16::try_from(number).ok()?).ok()
    });
    let scheme = table.optional("scheme", |item| {
        item.choice(
            &[("http", UrlScheme::Http), ("https", UrlScheme::Https)],
            &[],
        )
    });
    let host = table.optional("host", host);
    let port = table.optional("port", |item| u16::try_from(item.integer(1..=65_535)?).ok());
    let changes = CHANGES.into_iter().any(|key| table.has(key));
    let is_url = table.has("to") && !table.has("regex");
    if is_url && changes {
        table.fault(
            "to",
            "says all of where to; write it alone, or `regex` beside it",
        );
    }
    let path = path_change(table, params);
    let is_faulty = (table.has("scheme") && scheme.is_none())
        || (table.has("host") && host.is_none())
        || (table.has("port") && port.is_none());
    if is_faulty {
        return None;
    }
    let (to, written) = if table.has("regex") || changes {
        let (path, shown) = path?;
        let change = RedirectChange {
            scheme,
            host,
            port,
            path,
        };
        let written = written(&change, &shown);
        (RedirectTo::Changed(change), written)
    } else if is_url {
        let (to, written) = table.optional("to", |item| location(item, params))?;
        (RedirectTo::Url(to), written)
    } else {
        table.fault_here(
            "leads nowhere; add `to = \"https://example.com{path}\"`, or what changes, such as `scheme = \"https\"`",
        );
        return None;
    };
    let written = match table.has_from_outside() {
        true => "***".to_owned(),
        false => written,
    };
    Some(Redirect {
        to,
        written,
        status,
    })
}

/// All keys: which of them are read depends on the others.
const KEYS: [&str; 9] = [
    "status",
    "to",
    "scheme",
    "host",
    "port",
    "path",
    "strip_prefix",
    "prefix",
    "regex",
];

/// Keys that change some of what the client asked for.
const CHANGES: [&str; 6] = ["scheme", "host", "port", "path", "strip_prefix", "prefix"];

/// What becomes of the path, and how it is shown; none where that could not be read.
fn path_change(table: &mut Table<'_>, params: &[Arc<str>]) -> Option<(RedirectPath, String)> {
    let made = table.optional("path", |item| path(item, params));
    let has_path = table.has("path") && table.scope.description().is_none();
    let by_rewrite = ["strip_prefix", "prefix", "regex"];
    if has_path && let Some(other) = by_rewrite.into_iter().find(|key| table.has(key)) {
        let message = format!("stands beside `{other}`; the path changes in one way");
        table.fault("path", message);
    }
    let given = by_rewrite.into_iter().any(|key| table.has(key));
    let by_regex = match table.has("regex") {
        true => by_regex(table),
        false => None,
    };
    let rule = by_prefix(table).or(by_regex);
    match given {
        true if has_path => None,
        true => rule,
        false if has_path => made.map(|(made, shown)| (RedirectPath::Made(made), shown)),
        false => Some((RedirectPath::Kept, "{path}".to_owned())),
    }
}

/// `regex` and `to`.
fn by_regex(table: &mut Table<'_>) -> Option<(RedirectPath, String)> {
    let mut is_shown = true;
    let regex = table.optional("regex", |item| {
        is_shown = !item.is_outside();
        matcher::regex(item)
    });
    let to = table.optional("to", |item| Some((item.clone(), item.text()?.to_owned())));
    if !table.has("to") {
        table.fault("regex", "needs `to`, what stands in the place of a match");
    }
    if table.has("strip_prefix") || table.has("prefix") {
        table.fault(
            "regex",
            "cannot be together with `strip_prefix` or `prefix`; write one or the other",
        );
    }
    let (regex, (item, to)) = regex.zip(to)?;
    let checked = replacement::check(&regex, &to).and_then(|()| match to.contains("://") {
        true => Err("beside `regex` it is a path; write `scheme` and `host` for the rest".into()),
        false => leads(&replacement::with_groups(&to, |_, _| "x")),
    });
    if let Err(reason) = checked {
        item.fault(format!("{}: {}", item.quoted(), item.told(&reason)));
    }
    let shown = match is_shown {
        true => format!("{} -> {to}", regex.as_str()),
        false => format!("*** -> {to}"),
    };
    Some((RedirectPath::Regex { regex, to }, shown))
}

/// Whether a path may be what stands for a match.
fn leads(probe: &str) -> Result<(), Reason> {
    // What stands around a match is not known.
    let before = if probe.starts_with('/') { "" } else { "/x" };
    path_only(&format!("{before}{probe}"))
}

/// `strip_prefix` and `prefix`.
fn by_prefix(table: &mut Table<'_>) -> Option<(RedirectPath, String)> {
    let strip = table.optional("strip_prefix", prefix);
    let prefix = table.optional("prefix", prefix);
    let (strip, prefix) = match (strip, prefix) {
        (None, None) => return None,
        (strip, prefix) => (strip.unwrap_or_default(), prefix.unwrap_or_default()),
    };
    if strip == prefix {
        table.fault_between(
            &["strip_prefix", "prefix"],
            "is what `strip_prefix` takes, so nothing would change",
        );
    }
    let shown = format!("{strip}/** -> {prefix}/**");
    Some((RedirectPath::Prefix { strip, prefix }, shown))
}

fn prefix(item: &Item<'_>) -> Option<String> {
    let text = item.text_as("a path such as \"/api\"")?;
    let reason = match path_only(text) {
        Err(reason) => reason,
        Ok(()) if text.ends_with('/') => "a prefix ends with a segment, not with `/`".into(),
        Ok(()) if text.contains(['{', '*']) => {
            "a prefix is plain text, without parameters and wildcards".into()
        }
        Ok(()) => return Some(text.to_owned()),
    };
    item.fault(format!("{}: {}", item.quoted(), item.told(&reason)));
    None
}

/// Whether a text may be the path of a location.
fn path_only(text: &str) -> Result<(), Reason> {
    if text.contains(['?', '#']) {
        return Err("the query stays as it came, and a fragment is no part of a path".into());
    }
    if !text.starts_with('/') {
        return Err("a path begins with a `/`".into());
    }
    path::of_location(text.as_bytes()).map_err(|unfit| Reason::own(unfit.to_string()))
}

/// How a change is shown.
fn written(change: &RedirectChange, path: &str) -> String {
    let scheme = change.scheme.map(|scheme| format!("{}://", scheme.name()));
    let port = change.port.map(|port| format!(":{port}"));
    let origin = [scheme, change.host.clone(), port].into_iter().flatten();
    origin.chain([path.to_owned()]).collect()
}

fn host(item: &Item<'_>) -> Option<String> {
    let text = item.text_as("a host such as \"www.example.com\"")?;
    let reason = match text.rsplit_once(':') {
        Some((name, port)) if !text.ends_with(']') && port.parse::<u16>().is_ok() => {
            Reason::repeating("write \"{}\", and `port = {}` beside it", [&name, &port])
        }
        _ => match patterns::host(text) {
            Ok(HostPattern::Exact(host)) => return Some(host),
            Ok(_) => "a client is sent to one host; write its name".into(),
            Err(reason) => reason,
        },
    };
    item.fault(format!("{}: {}", item.quoted(), item.told(&reason)));
    None
}

fn path(item: &Item<'_>, params: &[Arc<str>]) -> Option<(Template<RedirectValue>, String)> {
    let text = item.text_as("a path such as \"/new{path}\"")?;
    let holes = |name: &str| match redirect_value(name, params)? {
        RedirectValue::Query | RedirectValue::MarkedQuery => {
            Err("the query stays as it came; leave it out".into())
        }
        RedirectValue::Host | RedirectValue::Hostname => Err("a host is no part of a path".into()),
        value => Ok(value),
    };
    let template = Template::or_faults(Template::parse_with(text, holes), item)?;
    // A hole at its beginning can only be `{path}`.
    let start = text.replacen("{path}", "/x", usize::from(text.starts_with("{path}")));
    let sound = path_only(&start).and_then(|()| probe(&template));
    match sound {
        Ok(()) => Some((template, text.to_owned())),
        Err(reason) => {
            item.fault(format!("{}: {}", item.quoted(), item.told(&reason)));
            None
        }
    }
}

fn location(item: &Item<'_>, params: &[Arc<str>]) -> Option<(Template<RedirectValue>, String)> {
    let text = item.text_as("a URL such as \"https://example.com{path}\", or a path")?;
    let quoted = item.quoted();
    let absolute = text.starts_with("https://") || text.starts_with("http://");
    if !absolute && (!text.starts_with('/') && !text.starts_with("{path}")) {
        item.fault(format!(
            "{quoted} is no place to go; write a URL with http:// or https://, or a path with `/` first"
        ));
        return None;
    }
    if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        item.fault(format!(
            "{quoted} can be no URL: white space and what is not ASCII has to be percent-encoded"
        ));
        return None;
    }
    let template = Template::or_faults(
        Template::parse_with(text, |name| redirect_value(name, params)),
        item,
    )?;
    match probe(&template) {
        Ok(()) => {
            let shown = match item.is_outside() {
                true => "***",
                false => text,
            };
            Some((template, shown.to_owned()))
        }
        Err(reason) => {
            item.fault(format!("{quoted}: {}", item.told(&reason)));
            None
        }
    }
}

/// Whether the location can be one at all: it is, for a request that is as plain as can be.
fn probe(to: &Template<RedirectValue>) -> Result<(), Reason> {
    let mut misplaced = None;
    let mut params = Vec::new();
    to.write(&mut Vec::new(), b"", |before, value| {
        let is_behind_path = is_behind_path(before);
        let (stands_in, fault) = match value {
            RedirectValue::Host | RedirectValue::Hostname => ("host", None),
            RedirectValue::Path if before.ends_with(b"/") && !is_behind_path => {
                let fault = "`{path}` begins with a `/` of its own; leave out the one before it";
                ("/path", Some(fault))
            }
            RedirectValue::Path => ("/path", None),
            RedirectValue::Query if is_behind_path => ("query", None),
            RedirectValue::Query => {
                let fault = "`{query}` comes without its `?`; write `{?query}`, behind the path";
                ("query", Some(fault))
            }
            RedirectValue::MarkedQuery if is_behind_path => {
                let fault = "`{?query}` brings a `?` of its own; write `{query}` behind another, as in `?a=1&{query}`";
                ("query", Some(fault))
            }
            RedirectValue::MarkedQuery => ("?query", None),
            RedirectValue::Param(name) => {
                params.push((name.clone(), "x".to_owned()));
                ("x", None)
            }
        };
        misplaced = misplaced.or(fault);
        before.extend_from_slice(stands_in.as_bytes());
        true
    });
    if let Some(fault) = misplaced {
        return Err(fault.into());
    }
    let plain = AskedUrl {
        secure: false,
        host: b"host",
        path: "/path",
        query: Some("query"),
        params: &params,
    };
    let location = to.location(plain);
    if location.starts_with(b"//") {
        return Err("`//` leads to another host; write its scheme, too".into());
    }
    path::of_location(&location).map_err(|unfit| Reason::own(unfit.to_string()))
}

fn redirect_value(name: &str, params: &[Arc<str>]) -> Result<RedirectValue, Reason> {
    if let Some(param) = params.iter().find(|param| ***param == *name) {
        return Ok(RedirectValue::Param(param.clone()));
    }
    match name {
        "path" => Ok(RedirectValue::Path),
        "query" => Ok(RedirectValue::Query),
        "?query" => Ok(RedirectValue::MarkedQuery),
        "host" => Ok(RedirectValue::Host),
        "hostname" => Ok(RedirectValue::Hostname),
        _ => {
            let names = params.iter().map(|param| &**param);
            let names: Vec<_> = names
                .chain(["path", "query", "?query", "host", "hostname"])
                .collect();
            let remedy = suggest::remedy(name, names, "there are");
            let reason = Reason::repeating("has `{{}}`, which stands for nothing here", [&name]);
            Err(reason.and(remedy))
        }
    }
}
