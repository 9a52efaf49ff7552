//! `when` of a link.

use serde_json::Value as Json;

use crate::config::description::Words;
use crate::config::item::Item;
use crate::config::model::{Conditions, ValuePattern, When};
use crate::config::routes::matcher;
use crate::config::suggest;
use crate::config::table::Table;
use crate::config::tree::Value;

/// What a table may have that says what is to hold of a value.
const OF_VALUES: [&str; 3] = ["regex", "present", "not"];

static WORDS: Words = Words {
    about: "Which requests a plugin of a chain has its turn with: those for which all that is given holds. It is decided \
            once, when the plugin's turn with the request comes, on the request as the plugins before it left it, and \
            holds for all its phases.",
    keys: &[
        ("methods", "The methods. Unless given, any."),
        ("headers", "Header fields, by name; all must hold."),
        ("cookies", "Cookies, by name; all must hold."),
        (
            "query",
            "Parameters of the query, by decoded name; all must hold.",
        ),
        (
            "client",
            "The networks that the client is in; `unix:` for one of a unix socket, which is in none.",
        ),
        ("after", "The time from which on it holds (RFC 3339)."),
        (
            "before",
            "The time from which on it holds no more (RFC 3339).",
        ),
        ("version", "The version of the API that is asked for."),
        (
            "attributes",
            "What plugins before it left on the exchange, by name; all must hold.",
        ),
        (
            "not",
            "The plugin has its turn only where this, taken together, does not hold.",
        ),
    ],
    example: "",
};

static NOT: Words = Words {
    about: "What must not hold, taken together: the plugin is left out where all of it does.",
    keys: &[
        ("methods", "The methods."),
        ("headers", "Header fields, by name."),
        ("cookies", "Cookies, by name."),
        ("query", "Parameters of the query, by decoded name."),
        (
            "client",
            "The networks that the client is in; `unix:` for one of a unix socket, which is in none.",
        ),
        ("after", "The time from which on it holds (RFC 3339)."),
        (
            "before",
            "The time from which on it holds no more (RFC 3339).",
        ),
        ("version", "The version of the API that is asked for."),
        ("attributes", "What plugins before it left, by name."),
    ],
    example: "",
};

/// What `when` asks, and how it is shown.
pub(super) fn when(item: &Item<'_>) -> (Option<When>, Json) {
    expect_some(
        item,
        "is empty, so that it always holds; leave it out, or say when the plugin has its turn",
    );
    let expected = "a table such as { methods = [\"POST\"] }";
    let read = item.table(expected, |table| {
        table.words(&WORDS);
        let all = conditions(table);
        let not = table.item_unshown("not").and_then(|item| {
            expect_some(&item, "is empty, so that `when` never holds; leave it out");
            let expected = "a table such as { methods = [\"GET\"] }";
            let (not, shown) = item.table(expected, |table| {
                table.words(&NOT);
                conditions(table)
            })?;
            table.show("not", shown);
            Some(not)
        });
        (all, not)
    });
    let Some(((all, not), shown)) = read else {
        return (None, Json::Null);
    };
    let written = toml::Value::try_from(&shown).map_or_else(|_| String::new(), |it| it.to_string());
    (Some(When { all, not, written }), shown)
}

fn expect_some(item: &Item<'_>, otherwise: &str) {
    if matches!(&item.node.value, Value::Table(entries) if entries.is_empty()) {
        item.fault(otherwise);
    }
}

fn conditions(table: &mut Table<'_>) -> Conditions {
    table.refuse(&["host", "path"], |key| {
        format!("`{key}` is asked by `match` of a route: a plugin has its turn by the rest of the request")
    });
    let predicates = matcher::predicates(table);
    matcher::check_version(table, &predicates, &[]);
    let attributes = table.optional("attributes", attributes);
    Conditions {
        predicates,
        attributes: attributes.unwrap_or_default(),
    }
}

fn attributes(item: &Item<'_>) -> Option<Vec<(Box<str>, ValuePattern)>> {
    let fields = item.fields("a table such as { \"auth.claims.tier\" = \"gold\" }")?;
    if fields.is_empty() {
        item.fault("is empty; leave it out");
    }
    let asked = fields.iter().filter_map(|(entry, item)| {
        if let Some(inner) = nested(&item.node.value) {
            let name = format!("{}.{inner}", entry.key);
            item.fault(format!(
                "the name of an attribute is one key: write `\"{name}\" = ..`, with the quotation marks"
            ));
            return None;
        }
        Some((entry.key.as_str().into(), matcher::any_value(item)?))
    });
    Some(asked.collect())
}

/// The rest of a name whose dots made tables of it, as TOML has it.
fn nested(value: &Value) -> Option<String> {
    let Value::Table(entries) = value else {
        return None;
    };
    let first = entries.first()?;
    // One of these, or a slip of it, says what is to hold.
    if entries
        .iter()
        .any(|entry| suggest::closest(&entry.key, OF_VALUES).is_some())
    {
        return None;
    }
    Some(match nested(&first.node.value) {
        Some(rest) => format!("{}.{rest}", first.key),
        None => first.key.clone(),
    })
}
