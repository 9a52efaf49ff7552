//! Where a route goes: `upstream`, `respond`, `redirect` or plugins alone.

use std::sync::Arc;

use http::header::{DATE, HeaderName};
use http::{HeaderValue, StatusCode};

use super::super::description::Words;
use super::super::item::Item;
use super::super::model::{Respond, Rewrite, Target, UpstreamId};
use super::super::sections::Names;
use super::super::suggest;
use super::super::table::{Default, Table};
use super::super::template::Template;
use super::overrides;
use super::redirect::redirect;
use super::rewrite::rewrite;
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
    let slashes = overrides::slashes(table);
    let rewrite = table.sub("rewrite", |table| rewrite(table, slashes));
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
