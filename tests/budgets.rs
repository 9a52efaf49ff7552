//! What a call may use grows with what it holds, and all instances together have so much memory.

use std::io::Write;
use std::net::TcpStream;
use std::sync::{Mutex, mpsc};
use std::time::{Duration, Instant};

use crate::harness::http::{read_answer, send};
use crate::harness::recorder::Recorder;
use crate::harness::{Configuration, Gateway, Origin, get};

const JSON: [(&str, &str); 1] = [("content-type", "application/json")];
const OK: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

/// `item` again and again, of about this size.
fn array(item: &str, size: usize) -> String {
    format!("[{}]", vec![item; size / (item.len() + 1)].join(","))
}

/// How much linear memory a plugin's instances have.
fn memory(gateway: &Gateway, plugin: &str) -> f64 {
    gateway.metric(&format!(
        "gateway_plugin_memory_bytes{{plugin=\"{plugin}\"}}"
    ))
}

/// The probe counts the items of a JSON body that it holds, opened as a tree: what takes most of time and memory.
fn counting(lines: &str) -> Configuration {
    let origin = Origin::start();
    let phases = format!("config = {{ phases = ['request', 'request-body'] }}\n{lines}");
    Configuration::new().probed(origin.address, &phases)
}

#[test]
fn a_call_that_holds_a_document_has_the_time_and_the_memory_to_open_it_and_its_instance_is_not_kept()
 {
    let gateway = Gateway::start(&counting(""));
    let public = gateway.listener("public");
    let items = |body: &str| {
        let answer = send(public, "POST", "/probe/items", &JSON, body.as_bytes());
        assert_eq!(answer.status, 200, "{}\n{}", answer.text(), gateway.text());
        answer.json()["saw"].as_u64().unwrap()
    };
    assert_eq!(items("[1]"), 1);
    let small = memory(&gateway, "probe");
    assert!(small > 0.0);
    for (item, size) in [
        ("1", (1 << 20) - 2),
        ("[]", (1 << 20) - 2),
        (r#"{"id":1,"name":"x"}"#, 600_000),
    ] {
        let body = array(item, size);
        assert_eq!(items(&body), (size / (item.len() + 1)) as u64);
        // What did not fit into `memory` is not kept.
        let kept = memory(&gateway, "probe");
        assert!(kept <= 16.0 * 1024.0 * 1024.0, "{item}: {kept}");
    }
    assert!(!gateway.text().contains("ERROR"), "{}", gateway.text());
}

/// Two plugins, each of which may have three quarters of the memory; the first holds large bodies and waits for
/// `upstream`. One of its routes has little time.
fn crowded(upstream: &Recorder) -> Gateway {
    let keys = "config = { phases = ['request', 'request-body'] }\ntimeout = '20s'";
    let grants = r#"grants = { upstreams = ["echo"], secrets = ["token"], state = true }"#;
    let (here, there) = ("respond = { status = 204 }", "upstream = 'echo'");
    let config = Configuration::new()
        .server("plugin_memory = '16MiB'")
        .probed(upstream.address, keys)
        .chain(
            "hasty",
            "/probe/send-all",
            &["probe"],
            &format!("{there}\ntimeout = '1s'"),
        )
        .plugin("other", "guest_probe", &format!("{grants}\n{keys}"))
        .chain("other", "/probe/next", &["other"], here);
    Gateway::start(&config)
}

/// Posts a large body, whose answer is still to be read.
fn post_large(gateway: &Gateway, path: &str) -> TcpStream {
    let mut client = TcpStream::connect(gateway.listener("public")).unwrap();
    let patience = Some(Duration::from_secs(20));
    client.set_read_timeout(patience).unwrap();
    let body = vec![b'x'; 800 << 10];
    let length = body.len();
    let head = format!("POST {path} HTTP/1.1\r\nhost: a\r\ncontent-length: {length}\r\n\r\n");
    let whole = [head.as_bytes(), &body].concat();
    client.write_all(&whole).unwrap();
    client
}

#[test]
fn a_plugin_has_its_share_of_the_memory_while_another_holds_what_is_lent() {
    let upstream = Recorder::start();
    let gateway = crowded(&upstream);
    // It holds all that it may have while it waits for its sub-request.
    let mut first = post_large(&gateway, "/probe/send");
    upstream.head(0);
    let public = gateway.listener("public");
    let answer = send(public, "POST", "/probe/next", &[], b"small");
    assert_eq!(answer.status, 204, "{}\n{}", answer.text(), gateway.text());
    upstream.send(0, OK);
    assert_eq!(read_answer(&mut first).status, 200, "{}", gateway.text());
}

#[test]
fn a_call_without_room_waits_for_it_and_is_503_where_none_comes_in_time() {
    let upstream = Recorder::start();
    let gateway = crowded(&upstream);
    let mut first = post_large(&gateway, "/probe/send");
    upstream.head(0);
    let began = Instant::now();
    let refused = read_answer(&mut post_large(&gateway, "/probe/send-all"));
    assert_eq!(refused.status, 503, "{}", gateway.text());
    assert!(began.elapsed() >= Duration::from_millis(990));
    assert_eq!(refused.header("retry-after"), Some("1"));
    let counted = "gateway_errors_total{kind=\"no_room\"}";
    assert_eq!(gateway.metric(counted), 1.0);
    let line = gateway.wait_for("plugin failed");
    for part in ["kind=\"no_room\"", "`server.plugin_memory`", "WARN"] {
        assert!(line.contains(part), "{part}: {line}");
    }
    let mut second = post_large(&gateway, "/probe/send");
    upstream.send(0, OK);
    assert_eq!(read_answer(&mut first).status, 200, "{}", gateway.text());
    // Its turn has come.
    upstream.wait("the next sub-request", |wires| {
        let heads = wires.iter().map(|wire| wire.text().matches("/one").count());
        (heads.sum::<usize>() == 2).then_some(())
    });
    let at = upstream.counts().0 - 1;
    upstream.send(at, OK);
    assert_eq!(read_answer(&mut second).status, 200, "{}", gateway.text());
}

#[test]
fn all_instances_together_have_no_more_memory_than_they_may() {
    let most = 32 << 20;
    let gateway = Gateway::start(
        &counting("timeout = '20s'")
            .workers(2)
            .server("plugin_memory = '32MiB'"),
    );
    let public = gateway.listener("public");
    let body = array("1", 300 << 10);
    std::thread::scope(|scope| {
        let clients: Vec<_> = (0..24)
            .map(|_| {
                scope.spawn(|| send(public, "POST", "/probe/items", &JSON, body.as_bytes()).status)
            })
            .collect();
        while !clients.iter().all(|client| client.is_finished()) {
            let used = memory(&gateway, "probe");
            assert!(used <= f64::from(most), "{used}");
        }
        for client in clients {
            assert_eq!(client.join().unwrap(), 200, "{}", gateway.text());
        }
    });
}

/// MiB of `server.plugin_memory` that a plugin's instances have, and may still grow by in the calls that have begun.
fn reserved(gateway: &Gateway, plugin: &str) -> u64 {
    let plugins = get(gateway.admin(), "/plugins", &[]).json();
    let mut plugins = plugins["plugins"].as_array().unwrap().iter();
    let found = plugins.find(|found| found["name"] == plugin).unwrap();
    found["memory"]["reserved"].as_u64().unwrap() >> 20
}

#[test]
fn calls_that_wait_for_their_turn_hold_none_of_the_memory() {
    let config = counting("timeout = '60s'").workers(1);
    let gateway = Gateway::start(&config.server("plugin_memory = '128MiB'"));
    let public = gateway.listener("public");
    // Each may need 27 MiB, of which one is a quarter of what there is.
    let body = array("1", 350 << 10);
    let (mut most, mut samples) = (0, 0);
    std::thread::scope(|scope| {
        let clients: Vec<_> = (0..12)
            .map(|_| {
                scope.spawn(|| send(public, "POST", "/probe/items", &JSON, body.as_bytes()).status)
            })
            .collect();
        while !clients.iter().all(|client| client.is_finished()) {
            most = most.max(reserved(&gateway, "probe"));
            samples += 1;
        }
        for client in clients {
            assert_eq!(client.join().unwrap(), 200, "{}", gateway.text());
        }
    });
    assert!(
        most >= 20,
        "{most} MiB in {samples} looks: no call was seen"
    );
    assert!(most <= 40, "{most} MiB for one call that has its turn");
    assert!(reserved(&gateway, "probe") <= 16);
}

#[test]
fn a_body_that_a_plugin_makes_too_large_is_the_clients_413() {
    let origin = Origin::start();
    let value = "x".repeat(1 << 10);
    let set = format!("config = {{ request = {{ json = {{ set = {{ a = '{value}' }} }} }} }}");
    let config = Configuration::new()
        .plugin("transform", "transform", &set)
        .upstream("origin", origin.address)
        .chain("all", "/**", &["transform"], "upstream = 'origin'");
    let gateway = Gateway::start(&config);
    let post = |body: &str| {
        send(
            gateway.listener("public"),
            "POST",
            "/",
            &JSON,
            body.as_bytes(),
        )
    };
    assert_eq!(post(&array("{}", 300)).status, 200);
    assert_eq!(post(&array("{}", 6_000)).status, 413, "over `body_limit`");
    assert_eq!(
        post(&array("{}", 1 << 20)).status,
        413,
        "over what the plugin makes as much"
    );
    assert!(!gateway.text().contains("ERROR"), "{}", gateway.text());
}

#[test]
fn what_is_done_when_an_exchange_is_over_does_not_delay_its_record() {
    let (release, released) = mpsc::channel::<()>();
    let released = Mutex::new(released);
    let origin = Origin::answering(move |head, _| {
        if head.starts_with("GET /wait") {
            // Until the test says so.
            let _released = released.lock().unwrap().recv();
        }
        OK.to_vec()
    });
    let grants = "grants = { upstreams = ['origin'], secrets = ['token'], state = true }";
    let act = format!("{grants}\nconfig = {{ act = 'wait-in-complete' }}\ntimeout = '60s'");
    let config = Configuration::new()
        .access_log()
        .secret("token", "s3cret")
        .plugin("hostile", "guest_hostile", &act)
        .upstream("origin", origin.address)
        .chain("all", "/**", &["hostile"], "upstream = 'origin'");
    let gateway = Gateway::start(&config);
    assert_eq!(get(gateway.listener("public"), "/quick", &[]).status, 200);
    gateway.wait_for("\"path\":\"/quick\"");
    assert_eq!(
        gateway.metric("gateway_requests_total{route=\"all\",status=\"200\"}"),
        1.0
    );
    assert!(!gateway.text().contains("waited when it was over"));
    drop(release);
    gateway.wait_for("waited when it was over");
    assert_eq!(gateway.text().matches("\"path\":\"/quick\"").count(), 1);
    assert_eq!(
        gateway.metric("gateway_requests_total{route=\"all\",status=\"200\"}"),
        1.0
    );
}

#[test]
fn a_routes_timeout_bounds_the_sub_requests_of_its_plugins() {
    let upstream = Recorder::start();
    // Longer than a client waits.
    let plugin = "config = { phases = ['request'] }\ntimeout = '60s'";
    let config = Configuration::new().probe(upstream.address, plugin).chain(
        "probed",
        "/probe/**",
        &["probe"],
        "upstream = 'echo'\ntimeout = '300ms'",
    );
    let gateway = Gateway::start(&config);
    for (at, function) in [(0, "send"), (1, "send-all")] {
        let began = Instant::now();
        let path = format!("/probe/{function}");
        let answer = get(gateway.listener("public"), &path, &[]);
        assert!(answer.status >= 200, "{}", gateway.text());
        assert!(began.elapsed() >= Duration::from_millis(290));
        upstream.ended(at);
    }
}
