//! `[upstreams.NAME]`.

mod balance;
mod breaker;
mod endpoints;
mod health;
mod hints;
mod outlier;
pub(super) mod own_admin;
mod place;
mod sockets;
mod timeouts;
mod tls;

use std::sync::Arc;

use indexmap::IndexMap;
use serde_json::Value as Json;

use super::description::Words;
use super::item::Item;
use super::model::{Pool, Protocol, Server, Upstream};
use super::sections::Sections;
use super::table::{Default, Table};
use super::tree::Value;

/// Keys of the contract that are to come.
const LATER: [&str; 1] = ["slow_start"];

/// Where `dns` stands, and not beside `endpoints`.
const DNS_ELSEWHERE: &str =
    "stands in `endpoints`; write endpoints = [{ dns = \"products.internal:8080\" }]";

static WORDS: Words = Words {
    about: "Servers that requests go to, by HTTP/1.1 or HTTP/2, in clear text or over TLS.",
    keys: &[
        (
            "endpoints",
            "The servers: an IP address and a port each, a name in the DNS, or a unix socket.",
        ),
        (
            "protocol",
            "What the endpoints speak: HTTP/1.1, HTTP/2 (over TLS by ALPN, without by prior knowledge), or, by `auto`, what \
             each chooses over TLS by ALPN. Many requests share a connection of HTTP/2; gRPC needs it.",
        ),
        (
            "tls",
            "TLS to the endpoints. Without it, connections are plain.",
        ),
        (
            "gateway",
            "Whether the endpoints are gateways of the same fleet: then requests carry the mark that ends a circle after \
             8 gateways. They know each other's marks by `server.fleet_key`. Listeners of this process need no `gateway`.",
        ),
        (
            "balance",
            "How requests are spread over the endpoints. `round_robin`: in turns. `random`: as a die falls. \
             `least_request`: of two that are drawn, to the one that has less to do. `hash`: to the one that the client's \
             key leads to (`hash_on`), unless it has more than 1.25 times its share to do. All of them by weight \
             ([balancing.md](balancing.md)).",
        ),
        (
            "hash_on",
            "The key of `balance = \"hash\"`. Requests without it go by the address of the client.",
        ),
        (
            "sticky",
            "A cookie that keeps a client on its endpoint. Not beside `balance = \"hash\"`.",
        ),
        ("timeouts", "How long the gateway waits for an endpoint."),
        (
            "pool",
            "The connections: how many, and which are kept for the next request.",
        ),
        (
            "breaker",
            "What the gateway holds back from an upstream that has too much to do, or fails.",
        ),
        (
            "reads_bodies",
            "Whether every endpoint reads the body of every request to its end. Unless it does, a body with another method than POST, PUT, PATCH or QUERY may hide a request of its own: such a request ends its connection.",
        ),
        (
            "health",
            "How the endpoints are asked whether they are well: one that is not gets no requests. Unless given, nobody asks.",
        ),
        (
            "outlier",
            "When an endpoint that fails its requests gets none for a while. Unless given, never.",
        ),
    ],
    example: r#"
[upstreams.products]
endpoints = ["10.0.0.1:8080", { address = "[fd00::1]:8080", weight = 2 }, { address = "10.0.0.9:8080", backup = true }, { dns = "products.internal:8080", refresh = "5s" }]
protocol = "h1"
gateway = false
balance = "least_request"
sticky = { cookie = "gw", ttl = "1h", secure = true, same_site = "lax" }
timeouts = { connect = "1s", first_byte = "15s", idle = "60s", tunnel = "1h" }
pool = { idle_per_worker = 64, idle_timeout = "60s", max_connections = 1024 }
breaker = { max_pending = 1024, max_requests = 1024, failure_ratio = 0.5, window = "10s", min_requests = 20, open_for = "5s", slow = "2s" }
reads_bodies = true
health = { kind = "http", method = "GET", path = "/healthz", host = "shop.internal", headers = { x-probe = "gateway" }, port = 8081, expect = [200, "3xx"], interval = "2s", timeout = "1s", healthy_after = 2, unhealthy_after = 3 }
outlier = { consecutive_failures = 5, ejection = "30s", max_ejected = 0.5 }

[upstreams.idp]
endpoints = ["${IDP:-127.0.0.1:9001}"]
health = { kind = "grpc", service = "idp.Tokens" }
protocol = "auto"

[upstreams.idp.tls]
server_name = "idp.internal"
ca = "ca.pem"
certificate = { cert = "cert.pem", key = "key.pem" }
min_version = "1.3"

[upstreams.carts]
endpoints = ["10.0.1.1:8080", "unix:/run/carts.sock"]
balance = "hash"
hash_on = "cookie:uid"
"#,
};

/// One upstream.
pub(super) fn upstream(item: &Item<'_>, name: Arc<str>) -> Option<(Option<Upstream>, Json)> {
    item.table("a table [upstreams.NAME]", |table| {
        table.words(&WORDS);
        table.misplaced(&["dns"], DNS_ELSEWHERE);
        let endpoints = if table.later(&endpoints::DISCOVERY) || table.is_given("dns") {
            table.optional("endpoints", endpoints::endpoints)
        } else {
            table.required("endpoints", "endpoints = [\"127.0.0.1:8080\"]", endpoints::endpoints)
        };
        let protocol = table.or("protocol", Default::Text("h1"), |item| {
            item.choice(
                &[
                    ("h1", Protocol::H1),
                    ("h2", Protocol::H2),
                    ("auto", Protocol::Auto),
                ],
                &[],
            )
        });
        let tls = table.optional_sub("tls", |table| {
            sockets::check_tls(table, endpoints.as_ref());
            tls::tls(table)
        });
        if protocol == Protocol::Auto && !table.has("tls") {
            table.fault(
                "protocol",
                "`auto` is what endpoints choose over TLS, by ALPN; add `tls = {}`, or write \"h1\" or \"h2\"",
            );
        }
        let gateway = table.or("gateway", Default::Bool(false), |item| item.bool());
        let (balance, sticky) = balance::balance(table);
        let timeouts = table.sub("timeouts", timeouts::timeouts);
        let pool = table.sub("pool", pool);
        let (max_pending, breaker) = table.sub("breaker", breaker::breaker);
        let reads_bodies = table.or("reads_bodies", Default::Bool(false), |item| item.bool());
        let health = table.optional_sub("health", |table| {
            sockets::check_health(table, endpoints.as_ref());
            health::health(table)
        });
        let health = health.flatten();
        let outlier = table.optional_sub("outlier", outlier::outlier);
        table.later(&LATER);
        let (endpoints, names) = endpoints?;
        Some(Upstream {
            name,
            protocol,
            tls: tls.flatten(),
            gateway,
            endpoints,
            names,
            balance,
            sticky,
            connect_timeout: timeouts.connect,
            first_byte_timeout: timeouts.first_byte,
            idle_timeout: timeouts.idle,
            tunnel_timeout: timeouts.tunnel,
            pool,
            max_pending,
            breaker,
            reads_bodies,
            health,
            outlier,
        })
    })
}

/// What one upstream cannot know of the rest.
pub(super) fn check_together(
    sections: &Sections<'_>,
    upstreams: &IndexMap<Arc<str>, Upstream>,
    server: &Server,
) {
    balance::check_together(sections, upstreams);
    for item in sections.given("upstreams") {
        let fields = match item.node.value {
            Value::Table(_) => item.fields("a table").unwrap_or_default(),
            _ => Vec::new(),
        };
        for (entry, item) in fields {
            let Some(upstream) = upstreams.get(&*entry.key) else {
                continue;
            };
            hints::report(&item, upstream, server);
            if upstream.gateway && server.fleet_key.is_none() {
                item.warn("`gateway = true` without `server.fleet_key`: no other gateway believes the mark of this one");
            }
        }
    }
}

static POOL: Words = Words {
    about: "The connections of an upstream.",
    keys: &[
        (
            "idle_per_worker",
            "Idle connections that a worker keeps for each endpoint.",
        ),
        ("idle_timeout", "How long one may idle."),
        (
            "max_connections",
            "Open connections over all workers, idle ones too. A request beyond it has an idle one make way, or waits: as long as `timeouts.connect`, then 503.",
        ),
    ],
    example: "",
};

fn pool(table: &mut Table<'_>) -> Pool {
    table.words(&POOL);
    Pool {
        idle_per_worker: table.or("idle_per_worker", Default::Integer(64), |item| {
            item.count(0)
        }),
        idle_timeout: table.or("idle_timeout", Default::Text("60s"), |item| item.duration()),
        max_connections: table.or("max_connections", Default::Integer(1024), |item| {
            item.count(1)
        }),
    }
}
