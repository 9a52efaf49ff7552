//! `routes.match`.

use http::{HeaderName, HeaderValue, Method};

use super::super::description::Words;
use super::super::item::{Form, Item};
use super::super::model::{HostPattern, Match, PathPattern, Predicates, ValuePattern};
use super::super::patterns;
use super::super::reason::Reason;
use super::super::table::{self, Table};
use crate::message::fields;

/// Keys of the contract that are to come.
const LATER: [&str; 5] = ["cookies", "client", "after", "before", "version"];

static WORDS: Words = Words {
    about: "Which requests a route takes: those for which all that is given holds.",
    keys: &[
        (
            "host",
            "The host, without its port. `*.` stands for one or more labels. Unless given, any.",
        ),
        (
            "path",
            "The normalised path. `{id}` stands for one segment, `/**` at the end for the path itself and all below \
             it. Unless given, any.",
        ),
        ("methods", "The methods. Unless given, any."),
        ("headers", "Header fields, by name; all must hold."),
        (
            "query",
            "Parameters of the query, by decoded name; all must hold.",
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

static VALUE: Words = Words {
    about: "What is to hold of a value: one of the two.",
    keys: &[
        (
            "regex",
            "A regular expression that finds a match in the value.",
        ),
        ("present", "Whether there is to be one."),
    ],
    example: "",
};

/// `routes.match`; `None` where the path is faulty.
pub(super) fn matcher(table: &mut Table<'_>) -> Option<Match> {
    table.words(&WORDS);
    let hosts = table.optional("host", hosts).unwrap_or_default();
    let path = match table.item("path") {
        Some(item) => path(&item),
        None => Some(PathPattern::Any),
    };
    let predicates = predicates(table);
    let priority = table.or("priority", table::Default::Integer(0), |item| {
        i32::try_from(item.integer(i64::from(i32::MIN)..=i64::from(i32::MAX))?).ok()
    });
    table.later(&LATER);
    Some(Match {
        hosts,
        paths: vec![path?],
        predicates,
        priority,
    })
}

/// What is asked beyond host and path.
pub(in crate::config) fn predicates(table: &mut Table<'_>) -> Predicates {
    let methods = table.optional("methods", methods).unwrap_or_default();
    let headers = match table.item_unshown("headers") {
        Some(item) => {
            table.show("headers", item.node.masked_by_name());
            headers(&item)
        }
        None => Vec::new(),
    };
    let query = match table.item_unshown("query") {
        Some(item) => {
            table.show("query", item.node.masked_by_name());
            query(&item)
        }
        None => Vec::new(),
    };
    Predicates {
        methods,
        headers,
        query,
    }
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

fn path(item: &Item<'_>) -> Option<PathPattern> {
    let expected = "a path such as \"/products/**\" or \"/users/{id}\", { exact = \"..\" } or { regex = \"..\" }";
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
    one_of(table, "exact", exact, "regex", regex)
}

/// Whichever of two keys is given; both or neither is a fault.
fn one_of<T>(
    table: &Table<'_>,
    first_key: &str,
    first: Option<Option<T>>,
    second_key: &str,
    second: Option<Option<T>>,
) -> Option<T> {
    match (first, second) {
        (Some(value), None) | (None, Some(value)) => value,
        (Some(_), Some(_)) => {
            table.fault_here(format!(
                "has `{first_key}` and `{second_key}`; write one of them"
            ));
            None
        }
        (None, None) => {
            table.fault_here(format!("needs `{first_key}` or `{second_key}`"));
            None
        }
    }
}

fn methods(item: &Item<'_>) -> Option<Vec<Method>> {
    let items = item.items("a list of methods such as [\"GET\", \"POST\"]")?;
    if items.is_empty() {
        item.fault("is empty, so that nothing matches; leave it out for every method");
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

fn headers(item: &Item<'_>) -> Vec<(HeaderName, ValuePattern)> {
    let expected = "a table such as { x-api-version = \"2\" }";
    let mut headers: Vec<(HeaderName, ValuePattern)> = Vec::new();
    for (entry, item) in item.fields(expected).unwrap_or_default() {
        let Ok(name) = HeaderName::try_from(entry.key.as_str()) else {
            let message = format!("`{}` is no field name", entry.key);
            item.scope.fault(entry.at, &item.key, message);
            continue;
        };
        if headers.iter().any(|(other, _)| *other == name) {
            let message =
                format!("`{name}` is given twice: the case of a field name does not count");
            item.scope.fault(entry.at, &item.key, message);
        }
        if name == http::header::HOST {
            let message = "the host is matched by `match.host`";
            item.scope.fault(entry.at, &item.key, message);
        } else if never_arrives(name.as_str()) {
            let message = format!(
                "`{name}` is removed before routes are looked at, so that nothing could match"
            );
            item.scope.fault(entry.at, &item.key, message);
        }
        let Some(value) = value(&item) else { continue };
        if let ValuePattern::Equals(text) = &value
            && (HeaderValue::from_str(text).is_err() || text.trim() != text)
        {
            item.fault(format!(
                "{} can be no value of a field: it has control characters, or white space at an end",
                item.quoted()
            ));
            continue;
        }
        headers.push((name, value));
    }
    headers
}

/// Whether a field is gone before routes are looked at. Of TE, `trailers` stays.
fn never_arrives(name: &str) -> bool {
    fields::ends_here(name) || (fields::of_connection(name).is_some() && name != "te")
}

fn query(item: &Item<'_>) -> Vec<(String, ValuePattern)> {
    let fields = item.fields("a table such as { version = \"2\" }");
    let fields = fields.unwrap_or_default().into_iter();
    fields
        .filter_map(|(entry, item)| Some((entry.key.clone(), value(&item)?)))
        .collect()
}

/// What is to hold of a value.
pub(in crate::config) fn value(item: &Item<'_>) -> Option<ValuePattern> {
    let expected = "a string, { regex = \"..\" } or { present = true }";
    item.by_form(|form| match form {
        Form::Text => Some(ValuePattern::Equals(item.text_as(expected)?.to_owned())),
        _ => item.table(expected, value_table)?.0,
    })
}

fn value_table(table: &mut Table<'_>) -> Option<ValuePattern> {
    table.words(&VALUE);
    let regex = table
        .item("regex")
        .map(|item| regex(&item).map(ValuePattern::Regex));
    let present = table
        .item("present")
        .map(|item| item.bool().map(ValuePattern::Present));
    one_of(table, "regex", regex, "present", present)
}

/// A regular expression.
pub(super) fn regex(item: &Item<'_>) -> Option<regex::Regex> {
    let text = item.text_as("a regular expression")?;
    let compiled = patterns::regex(text);
    compiled
        .map_err(|reason| {
            item.fault(format!(
                "{} is no regular expression: {}",
                item.quoted(),
                item.told(&reason)
            ));
        })
        .ok()
}
