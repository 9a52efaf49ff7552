//! What a call of a plugin costs, and each kind of call that it makes of the host, through the same pool that the
//! proxy uses. Needs the components of `make plugins guests`.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::panic,
    reason = "a bench is no library, and fails by panicking"
)]

#[path = "stage.rs"]
mod stage;

use criterion::{Criterion, criterion_group, criterion_main};
use gateway::plugin::Engine;
use gateway::telemetry::metrics::Metrics;
use stage::Stage;

/// A host call is the difference to `empty` over this many.
const TIMES: usize = 10;

fn calls(criterion: &mut Criterion) {
    let engine = Engine::new(None, 1, &Metrics::new(1)).unwrap();
    let mut group = criterion.benchmark_group("call");
    for (name, config) in [
        ("empty", guest("header_read", 0)),
        ("header_read x10", guest("header_read", TIMES)),
        ("header_set x10", guest("header_set", TIMES)),
        (
            "response_header_set x10",
            guest("response_header_set", TIMES),
        ),
        ("attribute_read x10", guest("attribute_read", TIMES)),
        ("attribute_set x10", guest("attribute_set", TIMES)),
        ("acquire x10", guest("acquire", TIMES)),
        ("auth", AUTH.to_owned()),
        (
            "auth, fresh instance",
            format!("instances = {{ mode = \"fresh\" }}\n{AUTH}"),
        ),
        ("rate-limit, x fields", rate_limit("x")),
        ("rate-limit, both field sets", rate_limit("ietf\", \"x")),
        ("transform, 1 + 1 edits", TRANSFORM.to_owned()),
        ("transform, 4 + 4 edits", TRANSFORM_MANY.to_owned()),
    ] {
        let mut stage = None;
        group.bench_function(name, |bencher| {
            let stage = stage.get_or_insert_with(|| Stage::new(&engine, &config));
            bencher.iter_custom(|times| stage.call(times));
        });
    }
    group.finish();
}

const AUTH: &str = r#"
path = "{plugins}/auth.wasm"
config = { schemes = ["api_key"], api_key = { keys = [{ key = "abcdefghij", subject = "alice" }] } }
"#;

const TRANSFORM: &str = r#"
path = "{plugins}/transform.wasm"
config = { request = { set_headers = { x-from = "gateway" } }, response = { set_headers = { x-served-by = "gateway" } } }
"#;

const TRANSFORM_MANY: &str = r#"
path = "{plugins}/transform.wasm"
config = { request = { remove_headers = ["x-debug"], set_headers = { x-a = "1", x-b = "2", x-c = "3" } }, response = { remove_headers = ["server"], set_headers = { x-d = "4", x-e = "5", x-f = "6" } } }
"#;

fn rate_limit(fields: &str) -> String {
    format!(
        r#"
path = "{{plugins}}/rate_limit.wasm"
config = {{ algorithm = "fixed_window", limit = 1_000_000_000, window = "1s", key = "attribute:auth.subject", headers = ["{fields}"] }}
"#
    )
}

fn guest(call: &str, times: usize) -> String {
    format!(
        r#"
path = "{{plugins}}/guest_calls.wasm"
config = {{ call = "{call}", times = {times} }}
"#
    )
}

criterion_group! {
    name = benches;
    config = Criterion::default().without_plots();
    targets = calls
}
criterion_main!(benches);
