//! Where a route goes: `upstream`, `respond`, `redirect` or plugins alone; and `rewrite`.

use std::sync::Arc;

use http::header::{DATE, HeaderName};
use http::{HeaderValue, StatusCode};

use super::super::description::Words;
use super::super::item::Item;
use super::super::model::{
    HostRewrite, PathRewrite, Redirect, RedirectValue, Respond, Rewrite, Target, UpstreamId,
};
use super::super::patterns;
use super::super::reason::Reason;
use super::super::sections::Names;
use super::super::suggest;
use super::super::table::{Default, Table};
use super::super::template::Template;
use super::matcher;
use crate::message::fields;

/// The target and the rewriting on the way to it. `params` are those of the path.
pub(super) fn target(
    table: &mut Table<'_>,
    names: &Names,
    params: &[Arc<str>],
    has_plugins: bool,
) -> (Option<Target>, Rewrite) {
    let given: Vec<_> = ["upstream", "respond", "redirect"]
        .into_iter()
        .filter(|key| table.has(key))
        .collect();
    if given.len() > 1 {
        let keys = suggest::list(&given, "and");
        table.fault_here(format!("has {keys}; a route has one of them"));
    } else if given.is_empty() && !has_plugins && !table.has("split") {
        table.fault_here(
            "goes nowhere; add `upstream = \"name\"`, `respond = { .. }`, `redirect = { .. }` or `plugins = [..]` that answer",
        );
    }
    let upstream = table.optional("upstream", |item| {
        let name = item.reference("an upstream", &names.upstreams)?;
        unique_index(names, &name).map(|index| Target::Upstream(UpstreamId(index)))
    });
    let respond = table.optional_sub("respond", |table| respond(table, params));
    let redirect = table.optional_sub("redirect", redirect);
    if table.has("rewrite") && matches!(given.as_slice(), ["respond" | "redirect"]) {
        let message = format!(
            "changes nothing: the route has `{}` and goes to no upstream",
            given[0]
        );
        table.fault("rewrite", message);
    }
    let rewrite = table.sub("rewrite", rewrite);
    let target = match given.as_slice() {
        [] => Some(Target::Plugins),
        ["upstream"] => upstream,
        ["respond"] => respond.flatten().map(Target::Respond),
        ["redirect"] => redirect.flatten().map(Target::Redirect),
        _ => None,
    };
    (target, rewrite)
}

/// The index that the upstream has in the configuration: a name that is given twice (a fault) counts once.
fn unique_index(names: &Names, name: &str) -> Option<usize> {
    names.upstreams.iter().position(|known| &**known == name)
}

static RESPOND: Words = Words {
    about: "An answer of the gateway's own. In the values and the body, `{name}` stands for a parameter of the path.",
    keys: &[
        ("status", "The status."),
        ("headers", "Header fields, by name."),
        ("body", "The body."),
    ],
    example: "",
};

fn respond(table: &mut Table<'_>, params: &[Arc<str>]) -> Option<Respond> {
    table.words(&RESPOND);
    let status = table.or("status", Default::Integer(200), |item| {
        let number = item.integer(200..=599)?;
        StatusCode::from_u16(u16::try_from(number).ok()?).ok()
    });
    let headers = match table.item_unshown("headers") {
        Some(item) => {
            table.show("headers", item.node.masked_by_name());
            headers(&item)
        }
        None => Vec::new(),
    };
    let body = table.or("body", Default::Text(""), |item| {
        Some(item.text()?.to_owned())
    });
    let without = [
        StatusCode::NO_CONTENT,
        StatusCode::RESET_CONTENT,
        StatusCode::NOT_MODIFIED,
    ];
    if without.contains(&status) && !body.is_empty() {
        let message = format!(
            "a response with {} has no body; leave it out",
            status.as_u16()
        );
        table.fault("body", message);
    }
    Some(Respond {
        status,
        headers,
        body: Template::with_braces(&body, |name| {
            params.iter().find(|param| ***param == *name).cloned()
        }),
    })
}

fn headers(item: &Item<'_>) -> Vec<(HeaderName, HeaderValue)> {
    let expected = "a table such as { content-type = \"application/json\" }";
    let mut headers: Vec<(HeaderName, HeaderValue)> = Vec::new();
    for (entry, item) in item.fields(expected).unwrap_or_default() {
        let name = HeaderName::try_from(entry.key.as_str());
        let reason = match &name {
            Err(_) => Some(format!("`{}` is no field name", entry.key)),
            // A date that was configured would be the same for every answer.
            Ok(name) if fields::is_own(name.as_str()) || *name == DATE => {
                Some(format!("`{name}` is the gateway's own; leave it out"))
            }
            Ok(name) if headers.iter().any(|(other, _)| other == name) => Some(format!(
                "`{name}` is given twice: the case of a field name does not count"
            )),
            Ok(_) => None,
        };
        if let Some(reason) = reason {
            item.scope.fault(entry.at, &item.key, reason);
            continue;
        }
        let Some(text) = item.text() else { continue };
        match (name, HeaderValue::from_str(text)) {
            (Ok(name), Ok(value)) => headers.push((name, value)),
            _ => item.fault(format!(
                "{} can be no value of a field: it has control characters",
                item.quoted()
            )),
        }
    }
    headers
}

static REDIRECT: Words = Words {
    about: "An answer that sends the client elsewhere.",
    keys: &[
        ("status", "301, 302, 303, 307 or 308."),
        (
            "to",
            "Where to. `{path}`, `{query}` and `{host}` stand for those of the request.",
        ),
    ],
    example: "",
};

fn redirect(table: &mut Table<'_>) -> Option<Redirect> {
    table.words(&REDIRECT);
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
    let to = table.required("to", "to = \"https://example.com{path}\"", location)?;
    let (to, written) = to;
    Some(Redirect {
        to,
        written,
        status,
    })
}

fn location(item: &Item<'_>) -> Option<(Template<RedirectValue>, String)> {
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
    let template = Template::or_faults(Template::parse_with(text, redirect_value), item)?;
    let shown = match item.is_outside() {
        true => "***",
        false => text,
    };
    Some((template, shown.to_owned()))
}

fn redirect_value(name: &str) -> Result<RedirectValue, Reason> {
    match name {
        "path" => Ok(RedirectValue::Path),
        "query" => Ok(RedirectValue::Query),
        "host" => Ok(RedirectValue::Host),
        _ => {
            let remedy = suggest::remedy(name, ["path", "query", "host"], "there are");
            let reason = Reason::repeating("has `{{}}`, which stands for nothing here", [&name]);
            Err(reason.and(remedy))
        }
    }
}

static REWRITE: Words = Words {
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

fn rewrite(table: &mut Table<'_>) -> Rewrite {
    table.words(&REWRITE);
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

fn prefix(item: &Item<'_>) -> Option<String> {
    let text = item.text_as("a path such as \"/api\"")?;
    let reason = match patterns::normalised(text) {
        Err(reason) => reason,
        Ok(()) if text == "/" => "it is every path's beginning, so nothing would change".into(),
        Ok(()) if text.ends_with('/') => Reason::repeating(
            "write \"{}\": a prefix ends with a segment, not with `/`",
            [&text.trim_end_matches('/')],
        ),
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
