//! How instances of a plugin are kept, where its code comes from, and how much of a body it holds.

use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::Value;

use crate::harness::http::{read_answer, send};
use crate::harness::recorder::Recorder;
use crate::harness::{Configuration, Gateway, Origin, get, wasm};

/// The probe before `upstream`. `plugin` are further lines of its table.
fn gateway(upstream: SocketAddr, workers: usize, plugin: &str) -> Gateway {
    let config = Configuration::new().workers(workers);
    Gateway::start(&config.probed(upstream, plugin))
}

const REQUEST: &str = r#"config = { phases = ["request"] }"#;

/// Which call of its instance an exchange is, from 1.
fn call(gateway: &Gateway) -> u64 {
    let answer = get(gateway.listener("public"), "/probe/calls", &[]);
    assert_eq!(answer.status, 200, "{}\n{}", answer.text(), gateway.text());
    answer.json()["saw"].as_u64().unwrap()
}

fn calls(gateway: &Gateway, count: usize) -> Vec<u64> {
    std::iter::repeat_with(|| call(gateway))
        .take(count)
        .collect()
}

#[test]
fn an_instance_serves_one_exchange_after_the_other_unless_each_wants_a_fresh_one() {
    let origin = Origin::start();
    let pooled = gateway(origin.address, 1, REQUEST);
    assert_eq!(calls(&pooled, 4), [1, 2, 3, 4]);
    let fresh = format!("{REQUEST}\ninstances = {{ mode = \"fresh\" }}");
    let fresh = gateway(origin.address, 1, &fresh);
    assert_eq!(calls(&fresh, 4), [1, 1, 1, 1]);
    assert_eq!(
        fresh.metric(r#"gateway_plugin_instances{plugin="probe"}"#),
        0.0
    );
}

#[test]
fn an_instance_is_replaced_after_as_many_calls_as_it_may_have() {
    let origin = Origin::start();
    let keys = format!("{REQUEST}\ninstances = {{ recycle_after = 3 }}");
    let gateway = gateway(origin.address, 1, &keys);
    assert_eq!(calls(&gateway, 7), [1, 2, 3, 1, 2, 3, 1]);
}

#[test]
fn a_call_beyond_the_instances_that_may_be_fails_at_once_and_the_next_is_served() {
    let upstream = Recorder::start();
    let keys = format!("{REQUEST}\ninstances = {{ max = 1 }}");
    let gateway = gateway(upstream.address, 1, &keys);
    let public = gateway.listener("public");
    let mut first = TcpStream::connect(public).unwrap();
    let patience = Some(Duration::from_secs(20));
    first.set_read_timeout(patience).unwrap();
    first
        .write_all(b"GET /probe/send HTTP/1.1\r\nhost: a\r\n\r\n")
        .unwrap();
    // The guest waits for its sub-request.
    upstream.head(0);
    assert_eq!(get(public, "/probe/route", &[]).status, 500);
    gateway.wait_for("all 1 instances that `instances.max` allows are in use");
    let failures =
        r#"gateway_plugin_failures_total{plugin="probe",route="probed",kind="instances"}"#;
    assert_eq!(gateway.metric(failures), 1.0);
    upstream.send(0, b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
    let answer = read_answer(&mut first);
    assert_eq!(answer.json()["saw"]["body"], "ok");
    assert_eq!(get(public, "/probe/route", &[]).status, 200);
}

#[test]
fn an_idle_instance_of_another_worker_makes_way_for_one_that_is_needed() {
    let origin = Origin::start();
    let keys = format!("{REQUEST}\ninstances = {{ max = 1 }}");
    let gateway = gateway(origin.address, 2, &keys);
    // Which worker takes a connection is the kernel's to say. `call` accepts no refusal.
    let mut moves = 0;
    for _ in 0..200 {
        moves += usize::from(call(&gateway) == 1);
        let living = gateway.metric(r#"gateway_plugin_instances{plugin="probe"}"#);
        assert_eq!(living, 1.0);
        if moves == 3 {
            return;
        }
    }
    panic!("two workers served with one instance");
}

const LIVING: &str = r#"gateway_plugin_instances{plugin="probe"}"#;

#[test]
fn versions_of_a_plugin_have_no_more_instances_together_than_it_may_have() {
    let upstream = Recorder::start();
    let config = |keys: &str| {
        let keys = format!("{REQUEST}\ninstances = {{ max = 2 }}\n{keys}");
        Configuration::new()
            .workers(1)
            .probed(upstream.address, &keys)
    };
    let gateway = Gateway::start(&config(""));
    let public = gateway.listener("public");
    // Both are in use by the version before, and then by none.
    let mut before: Vec<_> = (0..2)
        .map(|at| {
            let mut client = TcpStream::connect(public).unwrap();
            let patience = Some(Duration::from_secs(20));
            client.set_read_timeout(patience).unwrap();
            let request = b"GET /probe/send HTTP/1.1\r\nhost: a\r\n\r\n";
            client.write_all(request).unwrap();
            upstream.head(at);
            client
        })
        .collect();
    gateway.configure(&config("timeout = '3s'"));
    assert_eq!(gateway.post("/reload").status, 200, "{}", gateway.text());
    assert_eq!(gateway.metric(LIVING), 2.0);
    assert_eq!(get(public, "/probe/route", &[]).status, 500);
    gateway.wait_for("all 2 instances that `instances.max` allows are in use");
    for (at, client) in before.iter_mut().enumerate() {
        upstream.send(at, b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
        let answer = read_answer(client);
        assert_eq!(answer.json()["saw"]["body"], "ok", "{}", answer.text());
        assert_eq!(get(public, "/probe/route", &[]).status, 200);
        assert!(gateway.metric(LIVING) <= 2.0);
    }
}

/// As many calls at once as there may be instances: one that is refused, or one instance too many, is seen.
#[test]
fn swaps_under_load_lose_nothing_where_every_instance_is_in_use() {
    let origin = Origin::start();
    let config = |cpu: usize| {
        let keys = format!("{REQUEST}\ninstances = {{ max = 3 }}\ncpu = '{cpu}ms'");
        Configuration::new()
            .workers(2)
            .probed(origin.address, &keys)
    };
    let gateway = Gateway::start(&config(5));
    let public = gateway.listener("public");
    let ended = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let clients: Vec<_> = (0..3)
            .map(|_| {
                scope.spawn(|| {
                    let mut answered = 0;
                    while !ended.load(Ordering::Relaxed) {
                        let answer = get(public, "/probe/route", &[]);
                        assert_eq!(answer.status, 200, "{}", answer.text());
                        answered += 1;
                    }
                    answered
                })
            })
            .collect();
        let mut living = Vec::new();
        for swap in 1..=10 {
            gateway.configure(&config(5 + swap % 2));
            assert_eq!(gateway.post("/reload").status, 200, "{}", gateway.text());
            living.push(gateway.metric(LIVING));
        }
        ended.store(true, Ordering::Relaxed);
        let answered: Vec<i32> = clients.into_iter().map(|one| one.join().unwrap()).collect();
        assert!(answered.iter().all(|count| *count > 0), "{answered:?}");
        let most = living.iter().copied().fold(0.0, f64::max);
        assert!(most <= 3.0, "{living:?}");
    });
}

fn hash(file: &Path) -> String {
    let digest = ring::digest::digest(&ring::digest::SHA256, &std::fs::read(file).unwrap());
    let bytes = digest.as_ref().iter();
    bytes.map(|byte| format!("{byte:02x}")).collect()
}

/// The plugin `version` at `path`, with further lines of its table, before an answer.
fn version(path: &str, lines: &str) -> Configuration {
    Configuration::new()
        .plugin_at("version", path, lines)
        .chain("all", "/**", &["version"], "respond = { status = 200 }")
}

fn served_by(gateway: &Gateway) -> String {
    let answer = get(gateway.listener("public"), "/", &[]);
    answer.header("x-request-version").unwrap().to_owned()
}

#[test]
fn a_file_that_is_not_the_pinned_one_is_refused_and_both_hashes_are_named() {
    let directory = tempfile::tempdir().unwrap();
    let (pinned, other) = (wasm("guest_version_a"), wasm("guest_version_b"));
    let path = directory.path().join("version.wasm");
    std::fs::copy(&pinned, &path).unwrap();
    let hashed = format!("sha256 = '{}'", hash(&pinned));
    let config = version("{dir}/version.wasm", &hashed);
    let gateway = Gateway::start_in(directory, &config, &[]);
    assert_eq!(served_by(&gateway), "1.0.0");
    let new = gateway.directory.path().join("new.wasm");
    std::fs::copy(&other, &new).unwrap();
    std::fs::rename(new, &path).unwrap();
    let found = format!("its sha256 is {}", hash(&other));
    let wanted = format!("the configuration pins {}", hash(&pinned));
    gateway.wait_for_all(&["version.wasm", &found, &wanted]);
    assert_eq!(served_by(&gateway), "1.0.0");
}

/// The compiled components in a cache.
fn compiled(cache: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut left = vec![cache.to_owned()];
    while let Some(directory) = left.pop() {
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                left.push(path);
            } else if path.metadata().unwrap().len() > 10_000 {
                found.push(path);
            }
        }
    }
    found
}

/// The machine code of one component is put in the place of another's: whoever compiled would run the right one.
#[test]
fn a_second_start_takes_the_machine_code_from_the_cache() {
    let cache = tempfile::tempdir().unwrap();
    let key = format!("compile_cache = '{}'", cache.path().display());
    let start = |name: &str| {
        let path = format!("{{plugins}}/guest_version_{name}.wasm");
        Gateway::start(&version(&path, "").server(&key))
    };
    assert_eq!(served_by(&start("a")), "1.0.0");
    let first = compiled(cache.path());
    assert_eq!(first.len(), 1, "{first:?}");
    assert_eq!(served_by(&start("b")), "2.0.0");
    let mut second = compiled(cache.path());
    second.retain(|file| !first.contains(file));
    assert_eq!(second.len(), 1, "{second:?}");
    std::fs::copy(&second[0], &first[0]).unwrap();
    assert_eq!(served_by(&start("a")), "2.0.0");
}

const HELD: &str = r#"
body_limit = "1KiB"
config = { phases = ["request", "request-body", "response", "response-body"] }
"#;

#[test]
fn a_body_over_what_a_plugin_may_hold_is_413_and_an_answer_502() {
    let large = vec![b'x'; 1025];
    let origin = Origin::answering(|head, _| {
        let length = if head.contains("/large") { 1025 } else { 1024 };
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n");
        [head.as_bytes(), &vec![b'y'; length]].concat()
    });
    let gateway = gateway(origin.address, 1, HELD);
    let public = gateway.listener("public");
    let post = |fields: &[(&str, &str)], body: &[u8]| {
        send(public, "POST", "/probe/next", fields, body).status
    };
    assert_eq!(post(&[], &large), 413);
    let chunked = [&b"401\r\n"[..], &large, b"\r\n0\r\n\r\n"].concat();
    let head = "POST /probe/next HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n";
    let answer = crate::harness::raw(public, &[head.as_bytes(), &chunked].concat());
    assert_eq!(answer.status, 413);
    assert_eq!(
        gateway.metric(r#"gateway_errors_total{kind="body_too_large"}"#),
        2.0
    );
    assert!(origin.seen().is_empty(), "{:?}", origin.seen());
    assert_eq!(post(&[], &large[1..]), 200);
    assert_eq!(get(public, "/probe/response/large", &[]).status, 502);
    let kind = r#"gateway_errors_total{kind="response_too_large"}"#;
    assert_eq!(gateway.metric(kind), 1.0);
}

#[test]
fn a_body_over_what_a_plugin_may_hold_passes_by_it_where_that_is_asked_for() {
    let large = "x".repeat(1025);
    let body = large.clone();
    let origin = Origin::answering(move |_, _| {
        format!("HTTP/1.1 200 OK\r\ncontent-length: 1025\r\n\r\n{body}").into_bytes()
    });
    let keys = format!("{HELD}body_overflow = \"skip\"");
    let gateway = gateway(origin.address, 1, &keys);
    let public = gateway.listener("public");
    // The plugin is called, and there is no body.
    for path in ["/probe/request-body", "/probe/response/response-body"] {
        let answer = send(public, "POST", path, &[], large.as_bytes());
        assert_eq!(answer.json()["saw"], Value::Null, "{path}");
    }
    let answer = send(public, "POST", "/probe/next", &[], large.as_bytes());
    assert!(answer.text() == large, "{}", answer.text());
    let seen = origin.seen().pop().unwrap();
    assert!(seen.ends_with(&format!("\r\n\r\n{large}")), "{seen}");
}
