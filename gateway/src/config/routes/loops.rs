//! Redirects that lead clients back to what they asked for.

use super::super::item::Item;
use super::super::model::{
    HostPattern, Listener, PathPattern, Redirect, RedirectChange, RedirectPath, RedirectTo, Route,
    Target, UrlScheme,
};
use super::super::tree::Value;
use crate::thread::priority::gently;

/// Reports every redirect of which that is known, and warns of those that do so on some listeners.
pub(super) fn report(items: &[Item<'_>], routes: &[Option<Route>], listeners: &[Option<Listener>]) {
    for (item, route) in gently(items.iter().zip(routes)) {
        let Some(route) = route else { continue };
        let Target::Redirect(Redirect { to, .. }) = &route.target else {
            continue;
        };
        if let RedirectTo::Changed(change) = to
            && let Some(item) = redirect(item)
        {
            judge(&item, change, route, listeners);
        }
    }
}

fn judge(item: &Item<'_>, change: &RedirectChange, route: &Route, listeners: &[Option<Listener>]) {
    let is_same_path = match &change.path {
        RedirectPath::Kept => true,
        RedirectPath::Made(path) => path.constant().is_some_and(|path| {
            let same = |pattern: &PathPattern| {
                matches!(pattern, PathPattern::Exact(exact) if exact.as_bytes() == path)
            };
            route.matcher.paths.iter().all(same)
        }),
        RedirectPath::Prefix { .. } | RedirectPath::Regex { .. } => false,
    };
    let is_same_host = change.host.as_ref().is_none_or(|host| {
        let hosts = &route.matcher.hosts;
        let same =
            |pattern: &HostPattern| matches!(pattern, HostPattern::Exact(exact) if exact == host);
        !hosts.is_empty() && hosts.iter().all(same)
    });
    if !is_same_path || !is_same_host || change.port.is_some() {
        return;
    }
    let Some(scheme) = change.scheme else {
        item.fault("leads back to what the client asked for: scheme, host and path stay the same");
        return;
    };
    let serves = |index: usize| route.listeners.is_empty() || route.listeners.contains(&index);
    let serving = (0..listeners.len()).filter(|index| serves(*index));
    // One that is faulty has its own fault.
    let Some(serving) = serving
        .map(|index| listeners[index].as_ref())
        .collect::<Option<Vec<_>>>()
    else {
        return;
    };
    let (same, others): (Vec<_>, Vec<_>) = serving
        .into_iter()
        .partition(|listener| is_seen(listener, scheme));
    let Some(Listener { name, .. }) = same.first() else {
        return;
    };
    let scheme = scheme.name();
    let leads = format!(
        "leads back to what the client asked for on the listener `{name}`, which speaks {scheme}"
    );
    match others.first() {
        None => item.fault(format!("{leads}; serve it on another, with `listeners`")),
        Some(other) => {
            let other = &other.name;
            item.warn(format!(
                "{leads}; add `listeners = [\"{other}\"]` to the route"
            ));
        }
    }
}

/// Whether every client of a listener sees this scheme; a trusted proxy may say another.
fn is_seen(listener: &Listener, scheme: UrlScheme) -> bool {
    listener.trusted_proxies.is_empty() && UrlScheme::seen(listener.tls.is_some()) == scheme
}

/// Where a route has its redirect.
fn redirect<'a>(route: &Item<'a>) -> Option<Item<'a>> {
    if !matches!(route.node.value, Value::Table(_)) {
        return None;
    }
    let mut fields = route.fields("a table")?.into_iter();
    let found = fields.find(|(entry, _)| entry.key == "redirect");
    found.map(|(_, item)| item)
}
