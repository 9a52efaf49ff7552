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

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use criterion::{Criterion, criterion_group, criterion_main};
use gateway::plugin::{Engine, Place};
use gateway::telemetry::metrics::Metrics;
use http::HeaderValue;
use ring::hmac;
use stage::Stage;

/// A host call is the difference to `empty` over this many.
const TIMES: usize = 10;

fn calls(criterion: &mut Criterion) {
    let engine = Engine::new(Place::Here, None, 1, &Metrics::new(1)).unwrap();
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
        ("auth, API key", AUTH.to_owned()),
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
            let key = vec![HeaderValue::from_static("abcdefghij")];
            let stage = stage.get_or_insert_with(|| Stage::new(&engine, &config, key));
            bencher.iter_custom(|times| stage.call(times));
        });
    }
    for (name, tokens) in [
        ("auth, a token seen before", 1),
        ("auth, a token to verify", TOKENS),
    ] {
        let mut stage = None;
        group.bench_function(name, |bencher| {
            let tokens = (0..tokens).map(token).collect();
            let stage = stage.get_or_insert_with(|| Stage::new(&engine, JWT, tokens));
            bencher.iter_custom(|times| stage.call(times));
        });
    }
    group.finish();
}

/// A JSON Web Token (RFC 7519) of `alice` that holds until 2100, HS256.
fn token(id: usize) -> HeaderValue {
    let claims = format!(r#"{{"sub":"alice","exp":4102444800,"jti":"{id}"}}"#);
    let [header, claims] =
        [r#"{"alg":"HS256","typ":"JWT"}"#, &claims].map(|part| BASE64_URL_SAFE_NO_PAD.encode(part));
    let signed = format!("{header}.{claims}");
    let key = hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes());
    let signature = BASE64_URL_SAFE_NO_PAD.encode(hmac::sign(&key, signed.as_bytes()));
    format!("{signed}.{signature}").parse().unwrap()
}

const SECRET: &str = "0123456789abcdef0123456789abcdef";
/// More than an instance keeps, so that each comes as if for the first time.
const TOKENS: usize = 2048;

const JWT: &str = r#"
path = "{plugins}/auth.wasm"
config = { schemes = ["jwt"], jwt = { header = "x-credential", keys = [{ algorithm = "HS256", secret = "0123456789abcdef0123456789abcdef" }] } }
"#;

const AUTH: &str = r#"
path = "{plugins}/auth.wasm"
config = { schemes = ["api_key"], api_key = { header = "x-credential", keys = [{ key = "abcdefghij", subject = "alice" }] } }
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
