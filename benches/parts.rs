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

fn routes(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("route");
    for count in [10, 1_000, 10_000] {
        let snapshot = snapshot(count);
        let headers = HeaderMap::new();
        let moment = Moment::default();
        let path = format!("/service-{}/items/7", count / 2);
        let subject = Subject {
            listener: 0,
            host: "shop.example",
            path: &path,
            query: "",
            method: &Method::GET,
            headers: &headers,
            client: IpAddr::from([192, 0, 2, 1]),
            moment: &moment,
            params: &[],
        };
        assert!(snapshot.router.find(subject).is_some());
        group.throughput(Throughput::Elements(1));
        group.bench_function(BenchmarkId::from_parameter(count), |bencher| {
            bencher.iter(|| snapshot.router.find(black_box(subject)));
        });
    }
    group.finish();
}

/// So many routes, each a template of its own.
fn snapshot(count: usize) -> Arc<Snapshot> {
    let mut text = String::from(
        "[server]\nworkers = 1\naccess_log = { format = \"off\" }\n[[listeners]]\nname = \"public\"\naddress = \"127.0.0.1:8080\"\n",
    );
    for index in 0..count {
        write!(
            text,
            "[[routes]]\nname = \"r{index}\"\nmatch = {{ path = \"/service-{index}/items/{{id}}\" }}\nrespond = {{ status = 204 }}\n"
        )
        .unwrap();
    }
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
    targets = routes, headers, contended, many_entries
}
criterion_main!(benches);
