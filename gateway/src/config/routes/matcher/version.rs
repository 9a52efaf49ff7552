//! `match.version`.

use std::cmp::Ordering;
use std::sync::Arc;

use super::super::super::description::Words;
use super::super::super::item::Item;
use super::super::super::model::{Predicates, VersionPattern, VersionSource, Versions};
use super::super::super::suggest;
use super::super::super::table::Table;
use super::super::super::tree::Value;
use super::values;
use crate::message::version::ApiVersion;

static WORDS: Words = Words {
    about: "The version of the API that a request asks for. One of `header`, `query`, `path` and `media_type` says where \
            it stands; `equals`, or `at_least` and `below`, which of them match. A version is one to four numbers with \
            dots between them, with `v` before them or not, or a date such as `2026-01-31`; what is none does not match. \
            They are compared by their numbers: `1.10` is above `1.9`, and `1` is `1.0`.",
    keys: &[
        ("header", "The header field that it stands in."),
        ("query", "The parameter of the query that it is."),
        (
            "path",
            "The parameter of the path that it is: `\"version\"` for `/{version}/orders`.",
        ),
        (
            "media_type",
            "The parameter of a media type in Accept that it is: `\"version\"` for `application/vnd.shop+json; \
             version=2`. A type without it says its version by a label, as `application/vnd.shop.v2+json` does.",
        ),
        ("equals", "The version that matches."),
        ("at_least", "The lowest version that matches."),
        ("below", "The lowest version that is too high to match."),
        (
            "default",
            "The version that a request without one asks for. Unless given, such a request does not match.",
        ),
    ],
    example: "",
};

/// `match.version`
pub(super) fn version(item: &Item<'_>) -> Option<VersionPattern> {
    let expected = "a table such as { header = \"x-api-version\", at_least = \"1.1\" }";
    item.table(expected, pattern)?.0
}

fn pattern(table: &mut Table<'_>) -> Option<VersionPattern> {
    table.words(&WORDS);
    let source = source(table);
    let versions = versions(table);
    let default = table.optional("default", one);
    let (source, versions) = (source?, versions?);
    if let (VersionSource::Path(_), Some(_)) = (&source, default) {
        let message = "stands for nothing: a path that matches has its parameters; leave it out";
        table.fault("default", message);
    }
    let bounds = match versions {
        Versions::Equal(equal) => [Some(equal), None],
        Versions::Range { at_least, below } => [at_least, below],
    };
    if let (Some(bound), Some(default)) = (bounds.into_iter().flatten().next(), default)
        && bound.partial_cmp(&default).is_none()
    {
        let message = format!("{default} and {bound} cannot be compared: one of them is a date");
        table.fault_between(&["equals", "at_least", "below", "default"], message);
    }
    Some(VersionPattern {
        source,
        versions,
        default,
    })
}

fn source(table: &mut Table<'_>) -> Option<VersionSource> {
    let name = |item: &Item<'_>, what: &str| match item.text_as(what)? {
        "" => {
            item.fault(format!("is empty; write {what}"));
            None
        }
        text => Some(text.to_owned()),
    };
    let header = table.item("header").map(|item| {
        let text = item.text_as("a field name such as \"x-api-version\"")?;
        let named = values::field(text).map_err(|(reason, _)| match item.is_outside() {
            true => item.fault(format!("{} names no field that arrives", item.quoted())),
            false => item.fault(reason),
        });
        named.ok().map(VersionSource::Header)
    });
    let query = table
        .item("query")
        .map(|item| name(&item, "a name such as \"api-version\"").map(VersionSource::Query));
    let path = table.item("path").map(|item| {
        let name = name(&item, "the name of a parameter such as \"version\"")?;
        Some(VersionSource::Path(name.into()))
    });
    let media_type = table
        .item("media_type")
        .map(|item| name(&item, "a name such as \"version\"").map(VersionSource::MediaType));
    table.only([
        ("header", header),
        ("query", query),
        ("path", path),
        ("media_type", media_type),
    ])
}

fn versions(table: &mut Table<'_>) -> Option<Versions> {
    let [equals, at_least, below] =
        ["equals", "at_least", "below"].map(|key| table.item(key).map(|item| one(&item)));
    match (equals, at_least, below) {
        _ if table.scope.description().is_some() => None,
        (None, None, None) => {
            table.fault_here("needs `equals`, `at_least` or `below`");
            None
        }
        (Some(equals), None, None) => equals.map(Versions::Equal),
        (Some(_), at_least, _) => {
            let key = if at_least.is_some() {
                "at_least"
            } else {
                "below"
            };
            table.fault(
                key,
                "stands beside `equals`, which is one version; write one of them",
            );
            None
        }
        (None, at_least, below) => {
            // Of a faulty one nothing more is said.
            let (at_least, below) = (
                at_least.map_or(Some(None), at)?,
                below.map_or(Some(None), at)?,
            );
            range(table, at_least, below)
        }
    }
}

/// A version that is given, unless it is faulty.
fn at(version: Option<ApiVersion>) -> Option<Option<ApiVersion>> {
    version.map(Some)
}

fn range(
    table: &Table<'_>,
    at_least: Option<ApiVersion>,
    below: Option<ApiVersion>,
) -> Option<Versions> {
    if let (Some(low), Some(high)) = (at_least, below) {
        let message = match low.partial_cmp(&high) {
            Some(Ordering::Less) => return Some(Versions::Range { at_least, below }),
            Some(_) => format!("{high} is not above `at_least`, {low}, so that nothing matches"),
            None => format!("{high} and {low} cannot be compared: one of them is a date"),
        };
        table.fault_between(&["at_least", "below"], message);
    }
    Some(Versions::Range { at_least, below })
}

/// A version; a date may be one of TOML, too.
fn one(item: &Item<'_>) -> Option<ApiVersion> {
    let expected = "a version in quotes such as \"1.10\" or \"2026-01-31\"";
    let text = match &item.node.value {
        Value::Datetime(text) => text,
        // No number: `1.10` would be `1.1`.
        _ => item.text_as(expected)?,
    };
    let version = ApiVersion::parse(text);
    if version.is_none() {
        item.fault(format!(
            "{} is no version; write one such as \"1.10\" or \"2026-01-31\"",
            item.quoted()
        ));
    }
    version
}

/// Reports a version in a parameter that the path has not.
pub(super) fn check(table: &Table<'_>, predicates: &Predicates, params: &[Arc<str>]) {
    let Some(VersionSource::Path(name)) = predicates.version.as_ref().map(|of| &of.source) else {
        return;
    };
    if params.contains(name) {
        return;
    }
    let names = params.iter().map(|name| &**name);
    let remedy = match params {
        [] => "; it has none: write one such as `/{version}/orders`".to_owned(),
        _ => suggest::remedy(name, names, "there is"),
    };
    let is_unset = table.is_unset("path") || table.is_unset("version");
    if !is_unset {
        let message = format!("the path has no parameter `{name}`{remedy}");
        table.fault("version", message);
    }
}
