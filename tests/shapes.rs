//! Bodies of every shape within the limits that are there by default: what the shipped plugins make of them is no
//! failure of the gateway.

use std::sync::Arc;

use crate::harness::http::send;
use crate::harness::{Configuration, Gateway, Origin, get};

#[path = "vectors/bodies.rs"]
mod bodies;

use bodies::Sample;

/// As large as a plugin may hold by default.
const LARGEST: usize = 1 << 20;
const SMALL: usize = 400;

const PLUGINS: &str = r#"
[plugins.auth]
path = "{plugins}/auth.wasm"
config = { schemes = ["api_key"], api_key = { keys = [{ key = "demo", subject = "alice" }] } }

[plugins.rate-limit]
path = "{plugins}/rate_limit.wasm"
config = { limit = 1_000_000, window = "1h", key = "attribute:auth.subject" }

[plugins.transform]
path = "{plugins}/transform.wasm"

[plugins.transform.config.request.json]
remove = ["secret", "items.secret", "a.b.c"]
rename = { "old" = "new", "items.id" = "items.key", "a.b" = "z.b" }
set = { "by" = "{route}", "items.seen" = true, "a.d" = 1 }

[plugins.transform.config.response.json]
remove = ["secret", "items.secret", "a.b.c"]
rename = { "old" = "new", "items.id" = "items.key", "a.b" = "z.b" }
set = { "by" = "{route}", "items.seen" = true, "a.d" = 1 }

[plugins.aggregate]
path = "{plugins}/aggregate.wasm"
grants = { upstreams = ["origin"] }

[plugins.aggregate.config]
merge = "deep"
parts = [
    { name = "one", upstream = "origin", path = "/{path.n}", required = true, into = "one", deny = ["secret", "a.b"], rename = { "old" = "new", "items.id" = "items.key" } },
    { name = "two", upstream = "origin", path = "/{path.n}", required = true, into = "two.deep", deny = ["items.secret", "a.b.c"] },
]
"#;

fn gateway(samples: &Arc<Vec<Sample>>) -> Gateway {
    let held = samples.clone();
    let origin = Origin::forgetting(move |head, _| {
        let path = head.split(' ').nth(1).unwrap_or_default();
        let number = path
            .rsplit('/')
            .next()
            .and_then(|number| number.parse::<usize>().ok());
        let sample = number.and_then(|number| held.get(number));
        let (content_type, body) = sample.map_or(("application/json", &b"{}"[..]), |sample| {
            (sample.content_type, &sample.body[..])
        });
        let length = body.len();
        let head = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: {content_type}\r\ncontent-length: {length}\r\n\r\n"
        );
        [head.as_bytes(), body].concat()
    });
    let chain = ["auth", "rate-limit", "transform"];
    let config = Configuration::new()
        .with(PLUGINS)
        .upstream("origin", origin.address)
        .chain("edited", "/edited/**", &chain, "upstream = 'origin'")
        .chain("joined", "/joined/{n}", &["auth", "aggregate"], "");
    Gateway::start(&config)
}

#[test]
fn no_body_of_any_shape_is_answered_with_a_failure_of_the_gateway() {
    let all = bodies::largest(LARGEST).into_iter();
    let all: Arc<Vec<_>> = Arc::new(all.chain(bodies::some(SMALL, LARGEST / 16)).collect());
    let gateway = gateway(&all);
    let public = gateway.listener("public");
    let key = ("x-api-key", "demo");
    for (number, sample) in all.iter().enumerate() {
        let (shape, size) = (sample.shape, sample.body.len());
        let said = |answer: &crate::harness::Answer| {
            format!(
                "{shape}, {size} bytes: {}\n{}",
                answer.status,
                gateway.text()
            )
        };
        let fields = [key, ("content-type", sample.content_type)];
        let answer = send(public, "POST", "/edited/none", &fields, &sample.body);
        assert!(
            (200..500).contains(&answer.status),
            "request: {}",
            said(&answer)
        );
        if sample.is_sound {
            let answer = get(public, &format!("/edited/{number}"), &[key]);
            assert_eq!(answer.status, 200, "response: {}", said(&answer));
        }
        // A part that is nested deeper than 64 is none, nor one with half a surrogate pair, as `aggregate` documents.
        if sample.is_sound && !sample.is_deep && !shape.contains("surrogate") {
            let answer = get(public, &format!("/joined/{number}"), &[key]);
            assert_eq!(answer.status, 200, "joined: {}", said(&answer));
        }
    }
    assert!(!gateway.text().contains("ERROR"), "{}", gateway.text());
}
