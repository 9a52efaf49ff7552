//! Predicates on fields that never arrive: such a route is silently dead, or silently taken.

use http::HeaderName;

use super::super::item::Item;
use super::super::model::{Listener, Route, VersionSource};
use super::super::tree::Value;
use crate::message::fields::is_usual;
use crate::message::names::UnusualNames;
use crate::thread::priority::gently;

/// Reports every predicate on a field whose name no listener of its route lets pass, and warns of those that some do not.
pub(super) fn report(items: &[Item<'_>], routes: &[Option<Route>], listeners: &[Option<Listener>]) {
    for (item, route) in gently(items.iter().zip(routes)) {
        let Some(route) = route else { continue };
        let predicates = &route.matcher.predicates;
        let headers = predicates.headers.iter().map(|(name, _)| name);
        for name in headers.filter(|name| !is_usual(name.as_str())) {
            if let Some(predicate) = predicate(item, name) {
                judge(&predicate, name, route, listeners);
            }
        }
        let version = predicates.version.as_ref().map(|version| &version.source);
        if let Some(VersionSource::Header(name)) = version
            && !is_usual(name.as_str())
            && let Some(header) = version_header(item)
        {
            judge(&header, name, route, listeners);
        }
    }
}

fn judge(predicate: &Item<'_>, name: &HeaderName, route: &Route, listeners: &[Option<Listener>]) {
    let serves = |index: &usize| route.listeners.is_empty() || route.listeners.contains(index);
    let serving = (0..listeners.len()).filter(serves);
    // One that is faulty has its own fault.
    let Some(serving) = serving
        .map(|index| listeners[index].as_ref())
        .collect::<Option<Vec<_>>>()
    else {
        return;
    };
    let keeps = |listener: &&&Listener| listener.unusual_names == UnusualNames::Keep;
    let dropping = serving.iter().find(|listener| !keeps(listener));
    let Some(Listener { name: listener, .. }) = dropping else {
        return;
    };
    let usual: String = name
        .as_str()
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
        .collect();
    let why = format!(
        "the listener `{listener}` lets no name pass with other characters than letters, digits and `-`; match `{usual}`, or set `unusual_names = \"keep\"` there"
    );
    match serving.iter().any(|listener| keeps(&listener)) {
        true => predicate.warn(format!("does not arrive everywhere: {why}")),
        false => predicate.fault(format!("never arrives: {why}")),
    }
}

/// Where a route has the predicate on a field.
fn predicate<'a>(route: &Item<'a>, name: &HeaderName) -> Option<Item<'a>> {
    let matcher = field(route, "match")?;
    field(&field(&matcher, "headers")?, name.as_str())
}

/// Where a route says in which field a version stands.
fn version_header<'a>(route: &Item<'a>) -> Option<Item<'a>> {
    field(&field(&field(route, "match")?, "version")?, "header")
}

fn field<'a>(table: &Item<'a>, key: &str) -> Option<Item<'a>> {
    if !matches!(table.node.value, Value::Table(_)) {
        return None;
    }
    let fields = table.fields("a table")?.into_iter();
    let mut found = fields.filter(|(entry, _)| entry.key.eq_ignore_ascii_case(key));
    found.next().map(|(_, item)| item)
}
