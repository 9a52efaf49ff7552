//! How many instructions a request takes, counted by valgrind's callgrind: the one measure of cost that a busy
//! machine does not change, so the one that can fail a build.
//!
//! `benches/instructions.json` holds what was accepted. A rise of more than 2 % fails; where it is meant, or where
//! it fell, `BLESS=1 cargo test --release instructions` writes the new figures, to be committed with their reason.

use std::io::Write;
use std::net::TcpStream;
use std::path::Path;

use crate::harness::http::read_answer;
use crate::harness::{Configuration, Gateway, Origin};

/// Requests of the two runs whose difference is measured: what starting costs falls out.
const REQUESTS: [u64; 2] = [500, 2_500];
/// How much more than the accepted figure is still accepted, in percent.
const TOLERANCE: u64 = 2;

#[test]
fn a_request_without_plugins_takes_no_more_instructions_than_accepted() {
    compare("plain", "");
}

#[test]
fn a_request_through_three_plugins_takes_no_more_instructions_than_accepted() {
    compare("three plugins", THREE);
}

#[test]
fn least_requests_and_hashes_take_hardly_more_instructions_than_turns() {
    let origins = [Origin::start(), Origin::start()];
    let endpoints = origins.each_ref().map(|origin| origin.address);
    let measured = |balance: &str| {
        per_request(
            &Configuration::new()
                .without_admin()
                .upstream_of("origin", &endpoints, balance)
                .route("all", "/**", "upstream = 'origin'"),
        )
    };
    let turns = measured("");
    for balance in [
        "balance = 'least_request'",
        "balance = 'hash'\nhash_on = 'header:user-agent'",
    ] {
        let measured = measured(balance);
        assert!(
            measured * 100 <= turns * (100 + TOLERANCE),
            "{balance}: {measured} instructions per request, {turns} by turns"
        );
    }
}

fn compare(what: &str, chain: &str) {
    let origin = Origin::start();
    let config = config(&origin, chain);
    // Fills the compile cache: under callgrind the compiler would take minutes. It compiles for the machine it sees, so
    // it has to see the one that valgrind shows.
    let valgrind = ["valgrind", "-q", "--tool=none", "--trace-children=yes"];
    let filled = Gateway::start_under(&valgrind, &config);
    filled.signal("TERM");
    assert!(filled.ended().success());
    let measured = per_request(&config);
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../benches/instructions.json");
    let text = std::fs::read_to_string(&file).unwrap_or_else(|_| "{}".into());
    let mut accepted: serde_json::Map<String, serde_json::Value> =
        serde_json::from_str(&text).unwrap();
    if std::env::var_os("BLESS").is_some() {
        accepted.insert(what.into(), measured.into());
        let text = serde_json::to_string_pretty(&accepted).unwrap();
        std::fs::write(&file, text + "\n").unwrap();
        return;
    }
    let accepted = accepted[what].as_u64().unwrap();
    assert!(
        measured * 100 <= accepted * (100 + TOLERANCE),
        "{what}: {measured} instructions per request, {accepted} are accepted"
    );
}

/// Without an admin listener: as little as may be runs beside what is counted. `chain` ends the table of the route.
fn config(origin: &Origin, chain: &str) -> Configuration {
    Configuration::new()
        .without_admin()
        .server("compile = { time = '5m' }")
        .upstream("origin", origin.address)
        .route("all", "/**", &format!("upstream = 'origin'\n{chain}"))
}

/// The chain of three, and its plugins.
const THREE: &str = r#"
plugins = ["auth", "rate-limit", "transform"]
[plugins.auth]
path = "{plugins}/auth.wasm"
config = { schemes = ["api_key"], api_key = { keys = [{ key = "abcdefghij", subject = "alice" }] } }
[plugins.rate-limit]
path = "{plugins}/rate_limit.wasm"
config = { algorithm = "fixed_window", limit = 1_000_000, window = "1h", key = "attribute:auth.subject" }
[plugins.transform]
path = "{plugins}/transform.wasm"
config = { request = { set_headers = { x-from = "gateway" } }, response = { set_headers = { x-served-by = "gateway" } } }
"#;

/// Instructions of one request.
fn per_request(config: &Configuration) -> u64 {
    let [few, many] = REQUESTS.map(|requests| instructions(config, requests));
    (many - few) / (REQUESTS[1] - REQUESTS[0])
}

/// Instructions of a whole run that answers so many requests.
fn instructions(config: &Configuration, requests: u64) -> u64 {
    let out = tempfile::NamedTempFile::new().unwrap();
    let counting = format!("--callgrind-out-file={}", out.path().display());
    let gateway = Gateway::start_under(&["valgrind", "-q", "--tool=callgrind", &counting], config);
    let mut stream = TcpStream::connect(gateway.listener("public")).unwrap();
    for _ in 0..requests {
        stream
            .write_all(b"GET /products/1 HTTP/1.1\r\nhost: a\r\nx-api-key: abcdefghij\r\nuser-agent: bench\r\naccept: */*\r\n\r\n")
            .unwrap();
        assert_eq!(read_answer(&mut stream).status, 200, "{}", gateway.text());
    }
    drop(stream);
    gateway.signal("TERM");
    assert!(gateway.ended().success());
    let text = std::fs::read_to_string(out.path()).unwrap();
    let summary = text.lines().rev().find_map(|line| {
        line.strip_prefix("totals: ")
            .or_else(|| line.strip_prefix("summary: "))
    });
    summary.unwrap().trim().parse().unwrap()
}
