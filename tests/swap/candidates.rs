//! Versions that are no plugins, or not this gateway's, or broken: each is refused for its own reason.

use super::ledger::Ledger;
use super::load::{LIGHT, under_load};
use super::{assert_nothing_lost, config, start};
use crate::harness::{Gateway, get, wasm};
use crate::hostile::component;

/// What is refused.
enum What {
    /// A file in the plugin's place.
    File(Vec<u8>),
    /// A line of the plugin's table.
    Table(&'static str),
}

/// A candidate, and all that its refusal says.
struct Candidate {
    name: String,
    what: What,
    reasons: &'static [&'static str],
}

fn file(name: &str, bytes: impl Into<Vec<u8>>, reasons: &'static [&'static str]) -> Candidate {
    Candidate {
        name: name.to_owned(),
        what: What::File(bytes.into()),
        reasons,
    }
}

fn table(name: &str, line: &'static str, reasons: &'static [&'static str]) -> Candidate {
    Candidate {
        name: name.to_owned(),
        what: What::Table(line),
        reasons,
    }
}

fn text(component: &str) -> Vec<u8> {
    wat::parse_str(component).unwrap()
}

/// A component that is a plugin but for what it does when it is instantiated.
fn starting(gateway: &Gateway, start: &str) -> Vec<u8> {
    let path = gateway.directory.path().join("start.wasm");
    component::write(&path, "", &component::many(1, start));
    std::fs::read(path).unwrap()
}

const NO_COMPONENT: &[&str] = &["is not a WebAssembly component"];
const CUT: &[&str] = &["is broken or cut short"];

/// Plugins of other versions of the contract.
fn worlds() -> [Candidate; 2] {
    [
        file(
            "a later world",
            text(
                r#"(component (instance $i) (export "gateway:plugin/filter@0.3.0" (instance $i)))"#,
            ),
            &["is built for gateway:plugin@0.3.0, and this gateway serves 0.2.0"],
        ),
        file(
            "an earlier world",
            text(r#"(component (import "gateway:plugin/state@0.1.0" (instance)))"#),
            &[
                "is built for gateway:plugin@0.1.0, and this gateway serves 0.2.0",
                "build it again with the gateway-plugin-sdk of this gateway",
            ],
        ),
    ]
}

fn files(gateway: &Gateway) -> Vec<Candidate> {
    let good = std::fs::read(wasm("guest_version_b")).unwrap();
    let mut candidates = vec![
        file("an empty file", "", NO_COMPONENT),
        file("text", "not a component", NO_COMPONENT),
        file("half a magic number", &good[..4], NO_COMPONENT),
        file(
            "a core module",
            text("(module)"),
            &["is a core WebAssembly module", "wasm32-wasip2"],
        ),
        file(
            "another world",
            text("(component)"),
            &["it does not export `gateway:plugin/filter@0.2.0`"],
        ),
        file(
            "an empty filter",
            text(
                r#"(component (instance $i) (export "gateway:plugin/filter@0.2.0" (instance $i)))"#,
            ),
            &["does not fit gateway:plugin@0.2.0"],
        ),
        file(
            "a foreign import",
            text(r#"(component (import "other:thing/calls@1.0.0" (instance)))"#),
            &["imports `other:thing/calls@1.0.0`, which the gateway does not have"],
        ),
        file(
            "missing grants",
            std::fs::read(wasm("guest_probe")).unwrap(),
            &[
                "calls `state`, which is not granted; set `grants.state = true`",
                "calls `upstream`, which is not granted; name the upstreams in `grants.upstreams`",
                "calls `secrets`, which is not granted; name the secrets in `grants.secrets`",
            ],
        ),
        file(
            "a start that traps",
            starting(gateway, "(func $f unreachable) (start $f)"),
            &["unreachable"],
        ),
    ];
    candidates.extend(worlds());
    for (cut, length) in [
        ("after the magic number", 8),
        ("in the first section", 40),
        ("at a quarter", good.len() / 4),
        ("at a half", good.len() / 2),
        ("before the last byte", good.len() - 1),
    ] {
        let reasons = if length == 8 {
            // What is left is a component, an empty one.
            &["it does not export"]
        } else {
            CUT
        };
        candidates.push(file(&format!("cut off {cut}"), &good[..length], reasons));
    }
    candidates
}

fn tables() -> Vec<Candidate> {
    vec![
        table(
            "a trap in configure",
            "config = { trap = true }",
            &["told to trap in configure"],
        ),
        table(
            "an unknown key",
            "config = { nope = 1 }",
            &["nope: is no known key; expected `trap`"],
        ),
        table(
            "a wrong type",
            "config = { trap = 7 }",
            &["plugin \"version\": trap: "],
        ),
        table(
            "another hash than the pinned one",
            "sha256 = \"0000000000000000000000000000000000000000000000000000000000000000\"",
            &["its sha256 is", "but the configuration pins 0000"],
        ),
        table(
            "a grant of what there is not",
            "grants = { upstreams = [\"nowhere\"] }",
            &["nowhere"],
        ),
    ]
}

#[test]
fn each_broken_candidate_is_refused_for_its_own_reason_and_the_load_beside_notices_nothing() {
    let ledger = Ledger::open();
    let gateway = start(&ledger.origin);
    let public = gateway.listener("public");
    let files = files(&gateway);
    let count = files.len();
    let (tried, counts) = under_load(&ledger, public, LIGHT, |load| {
        let mut tried = 0;
        for candidate in files.into_iter().chain(tables()) {
            refuse(&gateway, &ledger, candidate);
            let served = get(public, "/x", &[]);
            assert_eq!(served.header("x-response-version"), Some("1.0.0"));
            load.answers(20);
            tried += 1;
        }
        tried
    });
    assert!(tried >= 20, "{tried} candidates");
    assert_nothing_lost(&counts, &gateway);
    let refused = "gateway_plugin_swaps_total{plugin=\"version\",outcome=\"refused\"}";
    assert!(gateway.metric(refused) >= count as f64);
}

fn refuse(gateway: &Gateway, ledger: &Ledger, candidate: Candidate) {
    let Candidate {
        name,
        what,
        reasons,
    } = candidate;
    let answer = match what {
        What::File(bytes) => {
            let new = gateway.directory.path().join("new.wasm");
            std::fs::write(&new, bytes).unwrap();
            std::fs::rename(new, gateway.directory.path().join("version.wasm")).unwrap();
            gateway.post("/plugins/version/reload")
        }
        What::Table(line) => {
            super::install(gateway.directory.path(), "guest_version_a");
            gateway.configure(&config(&ledger.origin, line));
            gateway.post("/reload")
        }
    };
    assert_eq!(answer.status, 409, "{name}: {}", answer.text());
    let errors = answer.json()["errors"].as_array().unwrap().clone();
    let errors: Vec<&str> = errors.iter().filter_map(|error| error.as_str()).collect();
    for reason in reasons {
        let said = errors.iter().any(|error| error.contains(reason));
        assert!(said, "{name}: {reason} is not in {errors:#?}");
    }
}
