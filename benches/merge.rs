//! The aggregate by itself: three parts read, picked from and merged, without the sandbox and without a network.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    reason = "a bench is no library, and fails by panicking"
)]

use aggregate::Aggregate;
use criterion::{Criterion, criterion_group, criterion_main};
use gateway_plugin_sdk::prelude::*;
use gateway_plugin_sdk::test::{Exchange, Gateway};
use serde_json::{Value, json};

/// One part of each size: the names of members and what they hold differ from part to part.
fn body(part: usize, members: usize) -> Vec<u8> {
    let members = (0..members).map(|member| {
        let value = json!({ "id": member, "name": "an item", "tags": ["a", "b"], "price": 12.5 });
        (format!("member-{part}-{member}"), value)
    });
    serde_json::to_vec(&members.collect::<serde_json::Map<_, _>>()).unwrap()
}

fn config(merge: &str) -> Value {
    let parts: Vec<_> = (0..3)
        .map(|part| json!({ "name": format!("p{part}"), "upstream": format!("u{part}"), "path": "/" }))
        .collect();
    json!({ "parts": parts, "merge": merge })
}

fn merges(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("aggregate");
    for (size, members) in [("100 bytes", 1), ("8 KiB", 100)] {
        for merge in ["group", "deep"] {
            let gateway = (0..3).fold(Gateway::new(), |gateway, part| {
                let body = body(part, members);
                gateway.upstream(&format!("u{part}"), move |_| {
                    Ok(Answer::new(200).body(body.clone()))
                })
            });
            let aggregate = gateway.configure::<Aggregate>(config(merge)).unwrap();
            group.bench_function(format!("three parts of {size}, {merge}"), |bencher| {
                bencher.iter(|| aggregate.on_request(&mut Exchange::get("/")).unwrap());
            });
        }
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().without_plots();
    targets = merges
}
criterion_main!(benches);
