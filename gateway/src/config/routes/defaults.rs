//! `[defaults]`: what stands for keys that routes do not give.
//!
//! A key here is read by the reader of routes: once for its faults, and again for each route without the key. So a key
//! more is one more line in [`defaults`].

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value as Json;

use super::super::answers;
use super::super::description::Words;
use super::super::item::{Form, Item};
use super::super::model::{Errors, Retry, Target};
use super::super::table::Table;
use super::super::tree::Entry;
use super::{overrides, retry};

/// Keys of the contract that are to come.
const LATER: [&str; 2] = ["cors", "compress"];

static WORDS: Words = Words {
    about: "What stands for a key that a route does not give. A route that gives the key has nothing of what stands here.",
    keys: &[
        ("timeout", "`timeout` of routes."),
        ("limits", "`limits` of routes."),
        ("retry", "`retry` of routes."),
        (
            "errors",
            "`errors` of routes. Those at the top level stand behind them, as behind those of a route.",
        ),
    ],
    example: r#"
[defaults]
timeout = "30s"
limits = { body = "1MiB" }
retry = { attempts = 2 }
errors = { 504 = '{"error":"this takes too long"}' }
"#,
};

/// What stands for keys of routes.
pub(in crate::config) fn defaults<'a>(table: &mut Table<'a>) -> Vec<&'a Entry> {
    table.words(&WORDS);
    timeout(table);
    table.sub("limits", overrides::limits);
    retry(table, None);
    errors(table, &[]);
    table.later(&LATER);
    table.entries_asked()
}

/// `timeout`; `false` is none, where `[defaults]` has one.
pub(super) fn timeout(table: &mut Table<'_>) -> Option<Duration> {
    table.optional("timeout", |item: &Item<'_>| match item.is_false() {
        true => None,
        false => item.duration(),
    })
}

/// `retry`; `false` is none, where `[defaults]` has one.
pub(super) fn retry(table: &mut Table<'_>, target: Option<&Target>) -> Option<Arc<Retry>> {
    let sends = |target: &Target| !matches!(target, Target::Respond(_) | Target::Redirect(_));
    if table.is_given("retry") && !target.is_none_or(sends) {
        table.fault(
            "retry",
            "sends nothing again: the route goes to no upstream",
        );
    }
    let item = table.item_unshown("retry")?;
    let expected = "a table such as { attempts = 3 }, or `false`";
    let (retry, shown) = item.by_form(|form| match form {
        Form::Table => item.table(expected, retry::retry).unwrap_or_default(),
        _ if item.is_false() => (None, Json::Bool(false)),
        _ => {
            item.mismatch(expected);
            (None, Json::Null)
        }
    });
    table.show("retry", shown);
    retry.map(Arc::new)
}

/// `errors`, with the parameters of the route.
pub(super) fn errors(table: &mut Table<'_>, params: &[Arc<str>]) -> Errors {
    let errors = table.item_unshown("errors").map(|item| {
        let (errors, shown) = answers::errors(&item, params);
        table.show("errors", shown);
        errors
    });
    errors.unwrap_or_default()
}
