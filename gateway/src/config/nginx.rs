//! Variables as nginx writes them, `$host`, which are text here.

use super::item::Item;
use super::tree::{self, Entry, Value};

/// The variables that texts have when they come from an `nginx.conf`, and what stands for the same in a text here.
const VARIABLES: [(&str, &str); 14] = [
    ("host", "`{host}`, or `{hostname}` without the port"),
    ("http_host", "`{host}`"),
    ("server_name", "`{hostname}`"),
    ("hostname", "`{hostname}`"),
    ("request_uri", "`{path}?{query}`"),
    ("uri", "`{path}`"),
    ("document_uri", "`{path}`"),
    ("args", "`{query}`"),
    ("query_string", "`{query}`"),
    ("request_method", "`{method}`"),
    ("remote_addr", "`{client}`"),
    ("binary_remote_addr", "`{client}`"),
    ("request_id", "`{request_id}`"),
    ("scheme", "`https` or `http`, as text"),
];

/// The variables of a name of their own.
const NAMED: [(&str, &str); 3] = [
    ("http_", "header"),
    ("arg_", "query"),
    ("cookie_", "cookie"),
];

/// Where a text stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Its holes have values of the request.
    Answer,
    /// Its holes have what a location is made of.
    Location,
    /// It has no holes.
    Plain,
}

/// Warns of such texts in what a route, or what stands for it, makes.
pub(super) fn report(item: &Item<'_>) {
    for (key, kind) in [
        ("redirect", Kind::Location),
        ("rewrite", Kind::Plain),
        ("respond", Kind::Answer),
        ("errors", Kind::Answer),
    ] {
        item.field(key).iter().for_each(|item| below(item, kind));
    }
    if let Some(item) = item.field("fallback") {
        report(&item);
    }
    let arms = item.field("split").map(|split| split.elements());
    arms.iter().flatten().for_each(report);
}

fn below(item: &Item<'_>, kind: Kind) {
    match &item.node.value {
        Value::Text(text) if !item.is_outside() => warn(item, text, kind),
        Value::Table(fields) => {
            let has_groups = fields.iter().any(|field| field.key == "regex");
            let is_text = |field: &&Entry| !(has_groups && ["regex", "to"].contains(&&*field.key));
            for field in fields.iter().filter(is_text) {
                let item = Item {
                    scope: item.scope,
                    node: &field.node,
                    key: tree::join(&item.key, &field.key),
                };
                below(&item, kind);
            }
        }
        _ => {}
    }
}

fn warn(item: &Item<'_>, text: &str, kind: Kind) {
    let Some((variable, meant)) = variable(text) else {
        return;
    };
    let is_of_location = ["{host", "{path", "{query}"]
        .iter()
        .any(|hole| meant.contains(hole));
    let remedy = match kind {
        Kind::Answer => format!("did you mean {meant}?"),
        Kind::Location if is_of_location || !meant.contains('{') => {
            format!("did you mean {meant}?")
        }
        Kind::Location | Kind::Plain => "no value of the request can stand here".to_owned(),
    };
    item.warn(format!(
        "`${variable}` is text here, and no variable as in nginx; {remedy}"
    ));
}

/// The first variable of a text, and what was meant.
fn variable(text: &str) -> Option<(&str, String)> {
    text.split('$').skip(1).find_map(|rest| {
        let is_of_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let end = rest.find(|c: char| !is_of_name(c)).unwrap_or(rest.len());
        let name = &rest[..end];
        let known = VARIABLES.iter().find(|(known, _)| *known == name);
        let known = known.map(|(_, meant)| (*meant).to_owned());
        let named = || {
            let (kind, name) = NAMED.iter().find_map(|(prefix, kind)| {
                let name = name.strip_prefix(prefix)?;
                Some((*kind, name)).filter(|_| !name.is_empty())
            })?;
            let name = match kind {
                "header" => name.replace('_', "-"),
                _ => name.to_owned(),
            };
            Some(format!("`{{{kind}.{name}}}`"))
        };
        known.or_else(named).map(|meant| (name, meant))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_variables_of_nginx_are_known_by_their_names() {
        for (text, expected) in [
            (
                "https://$host/x",
                Some(("host", "`{host}`, or `{hostname}` without the port")),
            ),
            (
                "$hosts $http_x_user",
                Some(("http_x_user", "`{header.x-user}`")),
            ),
            ("a$arg_id", Some(("arg_id", "`{query.id}`"))),
            ("$cookie_uid", Some(("cookie_uid", "`{cookie.uid}`"))),
            ("costs $5, $x, $$ or $", None),
            ("$http_", None),
            ("\"$schema\"", None),
        ] {
            let found = variable(text);
            let found = found.as_ref().map(|(name, meant)| (*name, meant.as_str()));
            assert_eq!(found, expected, "{text}");
        }
    }
}
