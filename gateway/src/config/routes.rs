//! `[[routes]]`.

mod defaults;
mod fields;
mod kept;
mod loops;
pub(super) mod matcher;
mod mirror;
mod overrides;
mod redirect;
mod replacement;
mod retry;
mod rewrite;
mod split;
mod target;
mod ties;

use std::sync::Arc;

use serde_json::Value as Json;

use super::answers;
use super::chain::{self, Defaults, Step};
use super::description::Words;
use super::item::Item;
use super::listeners;
use super::model::{Errors, Fallback, Listener, Match, Route, RoutePlugin, Target};
use super::scope::Scope;
use super::sections::{Names, Sections};
use super::table::Table;
use super::tree::Value;

pub(super) use defaults::defaults;
pub(super) use ties::{implied, literal};

/// Keys of the contract that are to come.
const LATER: [&str; 4] = ["hedge", "cache", "compress", "cors"];

static WORDS: Words = Words {
    about: "What happens to the requests that match: plugins, then an upstream or an answer. Two routes that can match \
            the same request, and that nothing ranks, are an error. A route has one of `upstream`, `split`, \
            `respond` and `redirect`, or plugins of its own that answer (404 where none of them does).",
    keys: &[
        (
            "name",
            "What logs and metrics call it. No other route has it.",
        ),
        (
            "listeners",
            "The listeners that it serves on. Unless given, all.",
        ),
        (
            "match",
            "Which requests it takes. Unless given, all that no more specific route takes.",
        ),
        (
            "plugins",
            "Its own plugins, after those of the top-level `chain`.",
        ),
        ("upstream", "The upstream that requests go to."),
        (
            "split",
            "Several upstreams that requests are split over: the arms of the split.",
        ),
        (
            "split_on",
            "What keeps a client on its arm. A request without it takes its turn, as all do unless this is given.",
        ),
        ("respond", "The answer that the gateway gives itself."),
        ("redirect", "Where the client is sent instead."),
        ("rewrite", "What changes on the way to the upstream."),
        (
            "timeout",
            "The time for the whole exchange, up to the last byte of the response; `false` for none. Unless given, that of \
             `[defaults]`, or none.",
        ),
        (
            "limits",
            "What one request may take, in the place of the listener's `limits`.",
        ),
        (
            "timeouts",
            "How long the gateway waits for an endpoint, in the place of the upstream's `timeouts`.",
        ),
        (
            "access_log",
            "Whether the access log has a line for each exchange. `false`: for none. `\"failures\"`: for those at which \
             the gateway or the upstream failed. All of them are counted in the metrics.",
        ),
        (
            "tags",
            "What the access log says of the route: `tags` in a line of JSON, `{tag.NAME}` in a template; also `GET \
             /routes`. Up to 16, each a string of up to 256 bytes. They are no labels of metrics, each value of which \
             would be a series of its own.",
        ),
        (
            "encoded_slashes",
            "What becomes of a path with `%2F`, which some servers read as part of a name and others as the end of it. \
             `refuse`: 400. `keep`: it stays as it is, inside one segment, for the match, plugins and the upstream; a \
             part of the segment that is `.`, `..` or empty is 400. Keep it only where the upstream does not decode it to \
             find a place below.",
        ),
        (
            "path_parameters",
            "What becomes of a path with `;` or `%3B`, from where some servers cut a segment off (RFC 3986, section 3.3): \
             to them `/admin;x/y` is `/admin/y`, which no route for `/admin/**` has seen. `refuse`: 400. `keep`: it stays \
             as it is, part of its segment, for the match, plugins and the upstream. Keep it only where the upstream \
             does not cut it off, or where nothing more is asked of a place below.",
        ),
        (
            "errors",
            "What stands for what the gateway answers where it refuses or fails, by status (`502`) or class (`5xx`). \
             What is not here is looked for at the top level of the file.",
        ),
        (
            "retry",
            "What is sent again where the upstream does not answer as it should. `false`: nothing, where `[defaults]` has it. Of a kept connection that turns out to be closed see docs/retries.md.",
        ),
        ("fallback", "What answers where the upstream does not."),
        ("mirror", "Where copies of its requests go."),
    ],
    example: r#"
[[routes]]
name = "products"
listeners = ["public"]
match = { host = ["api.example.com", "*.example.org"], path = "/products/**", methods = ["GET", "POST"], priority = 0 }
plugins = ["auth", { name = "transform", config = { request = { set_headers = { x-from = "gateway" } } } }]
upstream = "products"
rewrite = { strip_prefix = "/products", prefix = "/v2", host = "preserve" }
timeout = "15s"
timeouts = { connect = "500ms", first_byte = "5s", idle = "30s", tunnel = "1h" }
limits = { body = "50MiB" }
access_log = "failures"
tags = { team = "shop" }
retry = { attempts = 3, on = ["connect", "reset", 502, 503, 504], methods = ["GET", "HEAD"], backoff = "25ms", budget = 0.2, per_try = "5s" }
errors = { 502 = { status = 503, headers = { retry-after = "5" }, body = '{"error":"{reason}"}' }, 5xx = { file = "sorry.html" } }
fallback = { respond = { status = 200, body = '{"products":[]}' }, on = ["connect", 502, 503, 504, "breaker"] }
mirror = { upstream = "idp", ratio = 0.1, max_body = "64KiB", max_concurrent = 100 }

[[routes]]                        # Location and Set-Cookie of the answer as the client sees this gateway
name = "files"
match = { path = "/files/{name}" }
upstream = "products"
rewrite = { strip_segments = 1, prefix = "/data", location = "public", cookies = { domain = "example.com", path = "/", secure = true } }
encoded_slashes = "keep"
path_parameters = "keep"

[[routes]]                        # not limited; groups of the expression stand in `to`
name = "internal"
match = { host = "internal.example.com", path = { regex = "^/v[12]/" } }
plugins = { skip = ["limit"], then = ["auth"] }
upstream = "products"
rewrite = { regex = "^/v([12])/(.*)", to = "/$2/v${1}", host = "products.internal" }
fallback = { upstream = "idp" }

[[routes]]                        # of 100 clients 5 go to the new version, and requests with the header
name = "checkout"
match = { path = "/checkout/**" }
split = [{ upstream = "products", weight = 95 }, { name = "new", upstream = "idp", weight = 5, match = { methods = ["GET"], headers = { x-canary = "1" }, cookies = { canary = "1" }, query = { canary = { present = true } }, client = ["10.0.0.0/8"], after = "2026-01-01T00:00:00Z", before = "2027-01-01T00:00:00Z", version = { header = "x-api-version", at_least = "2" } }, plugins = ["auth"], rewrite = { prefix = "/v2" } }]
split_on = "cookie:uid"

[[routes]]                        # by header fields, cookies and query
name = "beta"
match = { path = { exact = "/beta" }, headers = { x-version = "2", x-user = { regex = "^b" }, x-beta = { present = true } }, cookies = { group = { not = "control" }, lang = { not = { regex = "^en" } } }, query = { debug = { present = false } } }
upstream = "products"

[[routes]]                        # several paths, one label of the host; who asks, and when
name = "reports"
match = { host = "{tenant}.example.com", path = ["/reports/{id}", "/r/{id}"], client = ["10.0.0.0/8", "192.0.2.7"], after = "2026-01-01T00:00:00Z", before = "2027-01-01T00:00:00+01:00" }
upstream = "products"

[[routes]]                        # by the version of the API: from 1.1 up to 2.0, and what says none
name = "orders-v1"
match = { path = "/orders/**", version = { header = "x-api-version", at_least = "1.1", below = "2", default = "1.1" } }
upstream = "products"

[[routes]]
name = "baskets-v2"
match = { path = "/baskets/**", version = { media_type = "version", equals = "2" } }
upstream = "products"

[[routes]]
name = "prices-2026"
match = { path = "/prices/**", version = { query = "api-version", at_least = "2026-01-31" } }
upstream = "products"

[[routes]]
name = "shop"
match = { path = "/{version}/shop/**", version = { path = "version", at_least = "1.1" } }
upstream = "products"

[[routes]]
name = "status"
match = { path = "/status/{id}" }
respond = { status = 200, headers = { content-type = "application/json" }, body = '{"id":"{id}"}' }

[[routes]]
name = "old"
match = { path = "/old/**" }
redirect = { to = "https://{host}/new{path}?{query}", status = 301 }

[[routes]]                        # what a redirect does not name stays as the client asked for it
name = "moved"
match = { path = "/moved/{id}" }
redirect = { scheme = "https", host = "www.example.com", port = 8443, path = "/items/{id}" }

[[routes]]
name = "shorter"
match = { path = "/v1/**" }
redirect = { strip_prefix = "/v1", prefix = "/v2" }

[[routes]]
name = "renamed"
match = { path = "/blog/**" }
redirect = { regex = "^/blog/([0-9]+)-(.*)$", to = "/posts/$1/$2" }
"#,
};

/// One route. The chain of one that could not be read goes to `chained`.
pub(super) fn route<'a>(
    item: &Item<'a>,
    names: &Names,
    (global, pages): (&[Step], &Errors),
    defaults: Defaults<'a>,
    chained: &mut Vec<RoutePlugin>,
) -> Option<(Option<Route>, Json)> {
    item.table("a [[routes]] table", |table| {
        table.words(&WORDS);
        table.fall_back_on(defaults.of_routes);
        let name = table.required("name", "name = \"products\"", Item::name);
        let listeners = scope(table, names);
        let matcher = table.sub("match", matcher::matcher);
        let given = table.item_unshown("plugins");
        let (chain, shown) = chain::of_route(given.as_ref(), names, global, defaults);
        table.show("plugins", shown);
        let params = matcher.as_ref().map_or_else(Vec::new, Match::params);
        let has_plugins = given.as_ref().is_some_and(names_plugins);
        let (target, rewrite) = target::target(table, names, &params, has_plugins);
        let around = split::Around {
            names,
            defaults,
            params: &params,
            before: chain.len(),
            paths: overrides::paths(table),
        };
        let split = split::split(table, around, chained);
        let target = target.or(split.map(Target::Split));
        let timeout = defaults::timeout(table);
        let retry = defaults::retry(table, target.as_ref());
        let overrides = overrides::overrides(table);
        let (errors, fallback) = failures(table, names, &params, pages, target.as_ref());
        let mirrors = mirror::mirrors(table, names, target.as_ref());
        table.later(&LATER);
        let (Some(name), Some(matcher), Some(_)) = (name, matcher, &target) else {
            chained.extend(chain);
            chained.extend(target.iter().flat_map(Target::steps).cloned());
            return None;
        };
        Some(Route {
            name,
            listeners,
            matcher,
            plugins: chain,
            target: target?,
            rewrite,
            timeout,
            overrides,
            retry,
            errors,
            fallback,
            mirrors,
            place: item.scope.show(item.node.at),
        })
    })
}

/// What stands for its failures, and what answers where the upstream does not. `pages` are those of the whole file.
fn failures(
    table: &mut Table<'_>,
    names: &Names,
    params: &[Arc<str>],
    pages: &Errors,
    target: Option<&Target>,
) -> (Errors, Option<Box<Fallback>>) {
    let errors = defaults::errors(table, params);
    let fallback = table.optional_sub("fallback", |table| answers::fallback(table, names, params));
    let fallback = fallback.flatten();
    match (target, &fallback) {
        (Some(Target::Upstream(upstream)), Some(fallback)) if fallback.leads_to(*upstream) => {
            let name = &names.upstreams[upstream.0];
            table.fault_between(
                &["upstream", "fallback"],
                format!("leads to `{name}`, the upstream of the route; name another"),
            );
        }
        (Some(Target::Respond(_) | Target::Redirect(_)), Some(_)) => {
            table.fault("fallback", "answers nothing: the route goes to no upstream");
        }
        _ => {}
    }
    (errors.before(pages), fallback.map(Box::new))
}

/// Whether a route's `plugins` names one of its own: with those alone a route has somewhere to go.
fn names_plugins(item: &Item<'_>) -> bool {
    match &item.node.value {
        Value::List(items) => !items.is_empty(),
        Value::Table(fields) => fields.iter().any(|field| {
            field.key == "then"
                && matches!(&field.node.value, Value::List(items) if !items.is_empty())
        }),
        // Faulty, and reported: no second fault for having no target.
        _ => true,
    }
}

fn scope(table: &mut Table<'_>, names: &Names) -> Vec<usize> {
    let Some(item) = table.item("listeners") else {
        return Vec::new();
    };
    let Some(items) = item.items("a list of names of listeners") else {
        return Vec::new();
    };
    if items.is_empty() {
        item.fault("is empty, so that the route serves nowhere; leave it out for all listeners");
    }
    let mut indexes = Vec::new();
    for item in items {
        let (known, hidden) = (&names.listeners, &names.hidden_listeners);
        let Some(name) = item.reference_hiding("a listener", known, hidden) else {
            continue;
        };
        let Some(index) = names.listeners.iter().position(|known| *known == name) else {
            continue;
        };
        if indexes.contains(&index) {
            item.fault(format!("{} is listed twice", item.quoted()));
        } else {
            indexes.push(index);
        }
    }
    indexes
}

/// What one route cannot know of the others.
pub(super) fn check_together(
    scope: &Scope,
    sections: &Sections<'_>,
    routes: &[Option<Route>],
    listeners: &[Option<Listener>],
) {
    let items = sections.items("routes");
    listeners::unique_names(scope, &items);
    ties::report(&items, routes, listeners.len());
    fields::report(&items, routes, listeners);
    kept::report(&items, routes);
    kept::warn_of_ways_around(&items, routes);
    loops::report(&items, routes, listeners);
}
