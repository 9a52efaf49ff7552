//! What stands beside the plugins on the path of a request: routing, the limiter, the state.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    reason = "a bench is no library, and fails by panicking"
)]

use std::fmt::Write as _;
use std::hint::black_box;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use gateway::config;
use gateway::plugin::{Engine, Place};
use gateway::route::{Moment, Subject};
use gateway::snapshot::{Builder, Replace, Snapshot};
use gateway::state::{Algorithm, Amount, Memory, Namespace, Quota};
use gateway::telemetry::metrics::Metrics;
use http::{HeaderMap, HeaderName, HeaderValue, Method};

/// Routes of one kind, and what asks for one of them.
struct Routes {
    kind: &'static str,
    count: usize,
    /// What is in `match`.
    matcher: fn(usize) -> String,
    host: fn(usize) -> String,
    path: fn(usize) -> String,
}

const KINDS: [Routes; 9] = [
    Routes {
        matcher: |index| format!("path = \"/service-{index}/items/{{id}}\""),
        path: |index| format!("/service-{index}/items/7"),
        ..Routes::of("templates", 10)
    },
    Routes {
        matcher: |index| format!("path = \"/service-{index}/items/{{id}}\""),
        path: |index| format!("/service-{index}/items/7"),
        ..Routes::of("templates", 1_000)
    },
    Routes {
        matcher: |index| format!("path = \"/service-{index}/items/{{id}}\""),
        path: |index| format!("/service-{index}/items/7"),
        ..Routes::of("templates", 10_000)
    },
    Routes {
        matcher: |index| format!("path = \"/service-{index}/items\""),
        path: |index| format!("/service-{index}/items"),
        ..Routes::of("paths", 10_000)
    },
    Routes {
        matcher: |index| format!("host = \"shop-{index}.example\""),
        host: |index| format!("shop-{index}.example"),
        ..Routes::of("hosts", 10_000)
    },
    Routes {
        matcher: |index| format!("host = \"*.shop-{index}.example\""),
        host: |index| format!("www.shop-{index}.example"),
        ..Routes::of("wildcard hosts", 10_000)
    },
    Routes {
        matcher: |index| format!("headers = {{ x-tenant = \"{index}\" }}"),
        ..Routes::of("values of a header", 10_000)
    },
    Routes {
        matcher: |index| format!("path = {{ regex = \"^/service{index}-[0-9]+/\" }}"),
        path: |index| format!("/service{index}-7/items"),
        ..Routes::of("expressions", 1_000)
    },
    Routes {
        matcher: |index| format!("path = {{ regex = \"service{index}-[0-9]+/\" }}"),
        path: |index| format!("/service{index}-7/items"),
        ..Routes::of("expressions without a beginning", 100)
    },
];

impl Routes {
    const fn of(kind: &'static str, count: usize) -> Self {
        Self {
            kind,
            count,
            matcher: |_| String::new(),
            host: |_| String::new(),
            path: |_| String::new(),
        }
    }

    fn text(&self) -> String {
        let mut text = String::from(
            "[server]\nworkers = 1\naccess_log = { format = \"off\" }\n[[listeners]]\nname = \"public\"\naddress = \"127.0.0.1:8080\"\n",
        );
        for index in 0..self.count {
            let matcher = (self.matcher)(index);
            write!(
                text,
                "[[routes]]\nname = \"r{index}\"\nmatch = {{ {matcher} }}\nrespond = {{ status = 204 }}\n"
            )
            .unwrap();
        }
        text
    }
}

/// One request among many routes: how long its route takes to find.
fn routes(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("route");
    group.throughput(Throughput::Elements(1));
    for routes in &KINDS {
        let snapshot = snapshot(&routes.text());
        let index = routes.count / 2;
        let mut headers = HeaderMap::new();
        for name in ["host", "user-agent", "accept", "x-request-id"] {
            headers.insert(name, HeaderValue::from_static("value"));
        }
        headers.insert("x-tenant", HeaderValue::from(index));
        let (host, path) = ((routes.host)(index), (routes.path)(index));
        let moment = Moment::default();
        let subject = Subject {
            listener: 0,
            host: &host,
            path: if path.is_empty() { "/" } else { &path },
            query: "",
            method: &Method::GET,
            headers: &headers,
            client: IpAddr::from([192, 0, 2, 1]).into(),
            moment: &moment,
            params: &[],
        };
        let found = snapshot.router.find(subject).unwrap();
        assert_eq!(*found.name, format!("r{index}"));
        group.bench_function(BenchmarkId::new(routes.kind, routes.count), |bencher| {
            bencher.iter(|| snapshot.router.find(black_box(subject)));
        });
    }
    group.finish();
}

/// Reading and checking of ten thousand routes, every comparison of them included.
fn loads(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("load");
    group.sample_size(10);
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("gateway.toml");
    for routes in KINDS.iter().filter(|routes| routes.count >= 1_000) {
        std::fs::write(&file, routes.text()).unwrap();
        group.bench_function(BenchmarkId::new(routes.kind, routes.count), |bencher| {
            bencher.iter(|| config::load(&file).unwrap());
        });
    }
    group.finish();
}

fn snapshot(text: &str) -> Arc<Snapshot> {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("gateway.toml");
    std::fs::write(&file, text).unwrap();
    let config = Arc::new(config::load(&file).unwrap());
    let state = Memory::new(amount(config.state.max_entries), config.plugins.keys());
    let metrics = Metrics::new(1);
    let engine = Engine::new(Place::Here, None, 1, &metrics).unwrap();
    Builder::new(engine, metrics, state, 1)
        .build(config, None, Replace::Changed)
        .unwrap()
}

fn headers(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("header");
    let mut headers = HeaderMap::new();
    for name in ["host", "user-agent", "accept", "x-api-key"] {
        headers.insert(name, HeaderValue::from_static("value"));
    }
    group.bench_function("get by text", |bencher| {
        bencher.iter(|| headers.get(black_box("x-api-key")));
    });
    group.bench_function("set by text", |bencher| {
        bencher.iter(|| {
            let name = HeaderName::from_bytes(black_box(b"x-consumer")).unwrap();
            headers.insert(name, HeaderValue::from_bytes(black_box(b"alice")).unwrap())
        });
    });
    group.finish();
}

/// So many entries of 256 bytes.
fn amount(entries: usize) -> Amount {
    let bytes = entries * 256;
    Amount { entries, bytes }
}

/// One that never refuses.
fn quota() -> Quota {
    Quota {
        algorithm: Algorithm::TokenBucket,
        limit: 1_000_000_000,
        window_ms: 1_000,
        burst: 0,
    }
}

/// One thread measures while `others` do the same on keys that may fall into the same shards.
fn contended(criterion: &mut Criterion) {
    let quota = quota();
    let mut group = criterion.benchmark_group("state");
    for (name, key, others) in [
        ("alone", "alice", 0),
        ("two threads, two keys", "alice", 1),
        ("two threads, one key", "other", 1),
    ] {
        let names = ["limit".into(), "count".into()];
        let memory = Memory::new(amount(100_000), &names);
        let [limit, count] = names.map(|name| Namespace::new(&memory, &name));
        let stop = AtomicBool::new(false);
        thread::scope(|scope| {
            for _ in 0..others {
                scope.spawn(|| {
                    while !stop.load(Ordering::Relaxed) {
                        limit.acquire("other", &quota, 1).unwrap();
                        count.increment("other", 1, None).unwrap();
                    }
                });
            }
            group.bench_function(BenchmarkId::new("acquire", name), |bencher| {
                bencher.iter(|| limit.acquire(black_box(key), &quota, 1).unwrap());
            });
            group.bench_function(BenchmarkId::new("increment", name), |bencher| {
                bencher.iter(|| count.increment(black_box(key), 1, None).unwrap());
            });
            stop.store(true, Ordering::Relaxed);
        });
    }
    group.finish();
}

/// One key among many that are there: what a limiter's calls cost as clients come.
fn many_entries(criterion: &mut Criterion) {
    let quota = quota();
    let mut group = criterion.benchmark_group("state among");
    for entries in [1, 1_000, 1_000_000] {
        let names = ["limit".into()];
        let memory = Memory::new(amount(2_000_000), &names);
        let limit = Namespace::new(&memory, &names[0]);
        for entry in 0..entries {
            limit
                .acquire(&format!("client-{entry}"), &quota, 1)
                .unwrap();
        }
        let keys: Vec<String> = (0..1_000)
            .map(|turn| format!("client-{}", turn * 7_919 % entries))
            .collect();
        let mut turns = keys.iter().cycle();
        group.bench_function(BenchmarkId::new("acquire", entries), |bencher| {
            bencher.iter(|| {
                let key = turns.next().unwrap();
                limit.acquire(black_box(key), &quota, 1).unwrap()
            });
        });
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().without_plots();
    targets = routes, loads, headers, contended, many_entries
}
criterion_main!(benches);
