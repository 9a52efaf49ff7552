//! `routes.match`.

mod params;
mod time;
mod values;
mod version;

use std::collections::HashSet;
use std::sync::Arc;

use http::Method;

use super::super::clients;
use super::super::description::Words;
use super::super::item::{Form, Item};
use super::super::model::{HostPattern, Match, Networks, PathPattern, Predicates};
use super::super::patterns;
use super::super::reason::Reason;
use super::super::table::{self, Table};
use super::ties;

pub(in crate::config) use values::any_value;
pub(super) use values::regex;

static WORDS: Words = Words {
    about: "Which requests a route takes: those for which all that is given holds. docs/routing.md has examples.",
    keys: &[
        (
            "host",
            "The host, without its port. `*.` stands for one or more labels, `{tenant}` for one, which is a parameter. \
             Unless given, any.",
        ),
        (
            "path",
            "The normalised path, or several, of which one must match. `{id}` stands for one segment, `/**` at the end \
             for the path itself and all below it. Every path of a list has the same parameters. Unless given, any.",
        ),
        ("methods", "The methods. Unless given, any."),
        (
            "headers",
            "Header fields, by name; all must hold. Of several fields of a name the first counts.",
        ),
        (
            "cookies",
            "Cookies, by name; all must hold. Of several cookies of a name the first counts.",
        ),
        (
            "query",
            "Parameters of the query, by decoded name; all must hold. Of several of a name the first counts.",
        ),
        (
            "client",
            "The networks that the client is in, as the listener's `trusted_proxies` say who it is; `unix:` for one of a unix socket, which is in none. Unless given, any.",
        ),
        (
            "after",
            "The time from which on requests match, with its offset from UTC (RFC 3339).",
        ),
        (
            "before",
            "The time from which on requests match no more, with its offset from UTC (RFC 3339).",
        ),
        (
            "version",
            "The version of the API that is asked for. docs/versions.md has examples.",
        ),
        (
            "priority",
            "A route with a higher one is taken before a more specific one.",
        ),
    ],
    example: "",
};

static PATH: Words = Words {
    about: "A path that is no pattern: one of the two.",
    keys: &[
        (
            "exact",
            "The path, in which `{` and `*` stand for themselves.",
        ),
        (
            "regex",
            "A regular expression (of the crate `regex`) that finds a match in the path.",
        ),
    ],
    example: "",
};

/// `routes.match`; `None` where a path is faulty.
pub(super) fn matcher(table: &mut Table<'_>) -> Option<Match> {
    table.words(&WORDS);
    let host = table.item("host");
    let hosts = host.as_ref().and_then(hosts).unwrap_or_default();
    let path = table.item("path");
    let paths = match &path {
        Some(item) => paths(item),
        None => Some(vec![PathPattern::Any]),
    };
    let predicates = predicates(table);
    let priority = table.or("priority", table::Default::Integer(0), |item| {
        i32::try_from(item.integer(i64::from(i32::MIN)..=i64::from(i32::MAX))?).ok()
    });
    let matcher = Match {
        hosts,
        paths: paths?,
        predicates,
        priority,
    };
    params::report(host.as_ref(), path.as_ref(), &matcher);
    let of_path = matcher.paths.first().map_or(&[][..], PathPattern::segments);
    check_version(table, &matcher.predicates, &params::of(of_path));
    Some(matcher)
}

/// What is asked beyond host and path. Where a version stands in the path, [`check_version`] has to be asked, too.
pub(in crate::config) fn predicates(table: &mut Table<'_>) -> Predicates {
    let methods = table.optional("methods", methods).unwrap_or_default();
    let mut unshown = Vec::new();
    let headers = values::headers(table, &mut unshown);
    let cookies = values::cookies(table, &mut unshown);
    let query = values::query(table, &mut unshown);
    let client = table.optional("client", clients).unwrap_or_default();
    let (after, before) = time::window(table);
    let version = table.optional("version", version::version);
    Predicates {
        methods,
        headers,
        cookies,
        query,
        client,
        after,
        before,
        version,
        unshown,
    }
}

/// Reports a version in a parameter that the path has not. `params` are those of the route's path.
pub(in crate::config) fn check_version(
    table: &Table<'_>,
    predicates: &Predicates,
    params: &[Arc<str>],
) {
    version::check(table, predicates, params);
}

fn hosts(item: &Item<'_>) -> Option<Vec<HostPattern>> {
    let expected = "a host such as \"api.example.com\" or \"*.example.com\", or a list of them";
    item.by_form(|form| match form {
        Form::List => several_hosts(&item.items(expected)?, item),
        _ => {
            item.text_as(expected)?;
            Some(host(item).into_iter().collect())
        }
    })
}

fn several_hosts(items: &[Item<'_>], item: &Item<'_>) -> Option<Vec<HostPattern>> {
    if items.is_empty() {
        item.fault("is empty; leave `host` out to match every host");
    }
    let mut hosts = Vec::new();
    for item in items {
        let Some(host) = host(item) else { continue };
        if hosts.contains(&host) {
            item.fault(format!("{} is listed twice", item.quoted()));
        }
        hosts.push(host);
    }
    Some(hosts)
}

fn host(item: &Item<'_>) -> Option<HostPattern> {
    let text = item.text_as("a host")?;
    let parsed = patterns::host(text);
    parsed
        .map_err(|reason| {
            let reason = item.told(&reason);
            item.fault(format!("{} is no host: {reason}", item.quoted()));
        })
        .ok()
}

/// The paths; `None` where one of them is faulty.
fn paths(item: &Item<'_>) -> Option<Vec<PathPattern>> {
    let expected = "a path such as \"/products/**\" or \"/users/{id}\", { exact = \"..\" }, { regex = \"..\" }, or a list of them";
    item.by_form(|form| match form {
        Form::List => several_paths(&item.items(expected)?, item),
        _ => Some(vec![path(item, expected)?]),
    })
}

fn several_paths(items: &[Item<'_>], item: &Item<'_>) -> Option<Vec<PathPattern>> {
    if items.is_empty() {
        item.fault("is empty, so that nothing matches; leave `path` out to match every path");
        return None;
    }
    let expected = "a path such as \"/products/**\" or \"/users/{id}\", { exact = \"..\" } or { regex = \"..\" }";
    let mut paths = Vec::new();
    let mut shapes = Vec::new();
    for item in items {
        let path = path(item, expected);
        let shape = path.as_ref().map(ties::shape);
        if shape.as_ref().is_some_and(|shape| shapes.contains(shape)) {
            item.fault(format!(
                "{} matches what another path of the list matches; leave it out",
                item.quoted()
            ));
        }
        shapes.extend(shape);
        paths.push(path);
    }
    paths.into_iter().collect()
}

fn path(item: &Item<'_>, expected: &str) -> Option<PathPattern> {
    item.by_form(|form| match form {
        Form::Text => {
            let parsed = patterns::path(item.text_as(expected)?);
            let fault =
                |reason: Reason| item.fault(format!("{}: {}", item.quoted(), item.told(&reason)));
            parsed.map_err(fault).ok()
        }
        _ => item.table(expected, path_table)?.0,
    })
}

fn path_table(table: &mut Table<'_>) -> Option<PathPattern> {
    table.words(&PATH);
    let exact = table.item("exact").map(|item| {
        let text = item.text()?;
        match patterns::normalised(text) {
            Ok(()) => Some(PathPattern::Exact(text.to_owned())),
            Err(reason) => {
                item.fault(format!("{}: {}", item.quoted(), item.told(&reason)));
                None
            }
        }
    });
    let regex = table
        .item("regex")
        .map(|item| regex(&item).map(PathPattern::Regex));
    table.only([("exact", exact), ("regex", regex)])
}

pub(super) fn methods(item: &Item<'_>) -> Option<Vec<Method>> {
    methods_of(
        item,
        "is empty, so that nothing matches; leave it out for every method",
    )
}

/// A list of methods, and what is said of one that is empty.
pub(super) fn methods_of(item: &Item<'_>, empty: &str) -> Option<Vec<Method>> {
    let items = item.items("a list of methods such as [\"GET\", \"POST\"]")?;
    if items.is_empty() {
        item.fault(empty);
    }
    let mut methods = Vec::new();
    for item in items {
        let Some(text) = item.text_as("a method such as \"GET\"") else {
            continue;
        };
        let quoted = item.quoted();
        match Method::from_bytes(text.as_bytes()) {
            Ok(method) if text.bytes().any(|byte| byte.is_ascii_lowercase()) => {
                let upper = method.as_str().to_ascii_uppercase();
                let reason = Reason::repeating("methods are upper case; write \"{}\"", [&upper]);
                item.fault(format!("{quoted}: {}", item.told(&reason)));
            }
            Ok(Method::CONNECT) => {
                item.fault("`CONNECT` is never routed: this is no forward proxy")
            }
            Ok(method) if methods.contains(&method) => {
                item.fault(format!("{quoted} is listed twice"));
            }
            Ok(method) => methods.push(method),
            Err(_) => item.fault(format!("{quoted} is no method; write one such as \"GET\"")),
        }
    }
    Some(methods)
}

fn clients(item: &Item<'_>) -> Option<Networks> {
    let expected = "a network such as \"10.0.0.0/8\", or a list of them";
    item.by_form(|form| match form {
        Form::List => several_clients(&item.items(expected)?, item),
        _ => {
            item.text_as(expected)?;
            Some([clients::clients(item)?].into_iter().collect())
        }
    })
}

fn several_clients(items: &[Item<'_>], item: &Item<'_>) -> Option<Networks> {
    if items.is_empty() {
        item.fault("is empty, so that nothing matches; leave it out for every client");
    }
    let mut known = HashSet::new();
    let read = items.iter().filter_map(|item| {
        let clients = clients::clients(item)?;
        if !known.insert(clients) {
            item.fault(format!("{} is listed twice", item.quoted()));
        }
        Some(clients)
    });
    Some(read.collect())
}
