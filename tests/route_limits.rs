//! What a route says in the place of its listener, its upstream and the server.

use std::io::Write;
use std::net::TcpStream;
use std::time::Duration;

use crate::harness::http::{read_answer, send};
use crate::harness::recorder::Recorder;
use crate::harness::{Answer, Configuration, Gateway, Origin, get};

const OK: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

/// Sends a body in chunks of 1 KiB.
fn streamed(gateway: &Gateway, path: &str, kib: usize) -> Answer {
    let mut client = TcpStream::connect(gateway.listener("public")).unwrap();
    let patience = Some(Duration::from_secs(20));
    client.set_read_timeout(patience).unwrap();
    let head = format!("POST {path} HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n");
    client.write_all(head.as_bytes()).unwrap();
    let chunk = [&b"400\r\n"[..], &[b'x'; 1024], b"\r\n"].concat();
    for _ in 0..kib {
        // The gateway may have refused it already.
        let _refused = client.write_all(&chunk);
    }
    let _refused = client.write_all(b"0\r\n\r\n");
    read_answer(&mut client)
}

#[test]
fn the_limit_of_a_body_is_the_routes_and_else_the_listeners() {
    let origin = Origin::start();
    let config = Configuration::new()
        .public("limits = { body = '4KiB' }")
        .upstream("app", origin.address)
        .route("plain", "/plain", "upstream = 'app'")
        .route(
            "large",
            "/large",
            "upstream = 'app'\nlimits = { body = '16KiB' }",
        )
        .route(
            "small",
            "/small",
            "upstream = 'app'\nlimits = { body = '1KiB' }",
        )
        .route("any", "/any", "upstream = 'app'\nlimits = { body = '0B' }");
    let gateway = Gateway::start(&config);
    let public = gateway.listener("public");
    for (path, passes, refused) in [
        ("/plain", 4, Some(5)),
        ("/large", 16, Some(17)),
        ("/small", 1, Some(2)),
        ("/any", 64, None),
        ("/none", 0, Some(5)),
    ] {
        let known = |kib: usize| send(public, "POST", path, &[], &vec![b'x'; kib << 10]);
        if path != "/none" {
            for answer in [known(passes), streamed(&gateway, path, passes)] {
                assert_eq!(answer.status, 200, "{path}: {}", answer.text());
                assert_eq!(answer.json()["body"], passes << 10, "{path}");
            }
        }
        if let Some(refused) = refused {
            let seen = origin.seen().len();
            let status = if path == "/none" { 404 } else { 413 };
            assert_eq!(known(refused).status, status, "{path}");
            assert_eq!(streamed(&gateway, path, refused).status, status, "{path}");
            assert_eq!(origin.seen().len(), seen, "{path} went upstream");
        }
    }
}

#[test]
fn the_limit_of_the_defaults_is_of_routes_that_say_none() {
    let origin = Origin::start();
    let config = Configuration::new()
        .public("limits = { body = '4KiB' }")
        .with("[defaults]\nlimits = { body = '8KiB' }")
        .upstream("app", origin.address)
        .route("plain", "/plain", "upstream = 'app'")
        .route(
            "small",
            "/small",
            "upstream = 'app'\nlimits = { body = '1KiB' }",
        );
    let gateway = Gateway::start(&config);
    for (path, passes, refused) in [("/plain", 8, 9), ("/small", 1, 2)] {
        assert_eq!(streamed(&gateway, path, passes).status, 200, "{path}");
        assert_eq!(streamed(&gateway, path, refused).status, 413, "{path}");
    }
}

#[test]
fn a_body_that_a_plugin_holds_has_the_plugins_limit_besides() {
    let origin = Origin::start();
    let holds = "body_limit = '2KiB'\nconfig = { phases = ['request', 'request-body'] }";
    let config = Configuration::new()
        .public("limits = { body = '1KiB' }")
        .probe(origin.address, holds)
        .chain(
            "held",
            "/held",
            &["probe"],
            "upstream = 'echo'\nlimits = { body = '8KiB' }",
        );
    let gateway = Gateway::start(&config);
    assert_eq!(streamed(&gateway, "/held", 2).status, 200);
    assert_eq!(streamed(&gateway, "/held", 3).status, 413);
    assert_eq!(streamed(&gateway, "/held", 9).status, 413);
}

/// A gateway before an upstream with timeouts of its own, with a route `/held`.
fn waiting(upstream: &Recorder, lines: &str, route: &str) -> Gateway {
    let config = Configuration::new()
        .access_log()
        .upstream_with("app", upstream.address, lines)
        .route("held", "/held", &format!("upstream = 'app'\n{route}"));
    Gateway::start(&config)
}

#[test]
fn a_route_waits_for_the_head_of_an_answer_as_long_as_it_says() {
    let upstream = Recorder::start();
    let more = "timeouts = { first_byte = '20s' }";
    let gateway = waiting(&upstream, more, "timeouts = { first_byte = '200ms' }");
    let answer = get(gateway.listener("public"), "/held", &[]);
    assert_eq!(answer.status, 504);
    gateway.wait_for_all(&["\"path\":\"/held\"", "\"error\":\"upstream_timeout\""]);
    gateway.wait_for("200ms");
    // More than the upstream's too.
    let upstream = Recorder::start();
    let less = "timeouts = { first_byte = '1ms' }";
    let gateway = waiting(&upstream, less, "timeouts = { first_byte = '20s' }");
    let public = gateway.listener("public");
    let asked = std::thread::spawn(move || get(public, "/held", &[]));
    upstream.head(0);
    std::thread::sleep(Duration::from_millis(20));
    upstream.send(0, OK);
    assert_eq!(asked.join().unwrap().status, 200);
}

#[test]
fn a_route_waits_for_a_place_in_the_pool_as_long_as_it_says() {
    let upstream = Recorder::start();
    let one = "pool = { max_connections = 1 }\ntimeouts = { connect = '20s' }";
    let gateway = waiting(&upstream, one, "timeouts = { connect = '600ms' }");
    let public = gateway.listener("public");
    let first = std::thread::spawn(move || get(public, "/held", &[]));
    upstream.head(0);
    assert_eq!(get(public, "/held", &[]).status, 503);
    gateway.wait_for("none came free within the 600ms of `timeouts.connect`");
    upstream.send(0, OK);
    assert_eq!(first.join().unwrap().status, 200);
}

#[test]
fn a_route_waits_for_the_rest_of_an_answer_as_long_as_it_says() {
    let upstream = Recorder::start();
    let more = "timeouts = { idle = '20s' }";
    let gateway = waiting(&upstream, more, "timeouts = { idle = '200ms' }");
    let public = gateway.listener("public");
    let asked = std::thread::spawn(move || get(public, "/held", &[]));
    upstream.head(0);
    upstream.send(0, b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nabc");
    assert_eq!(asked.join().unwrap().text(), "abc");
    upstream.ended(0);
    gateway.wait_for_all(&["\"path\":\"/held\"", "\"complete\":false"]);
}

#[test]
fn a_route_says_whether_it_is_logged_and_is_counted_anyway() {
    let origin = Origin::answering(|head, _| {
        let status = match head.contains("/fail ") {
            true => "500 No",
            false => "200 OK",
        };
        format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n").into_bytes()
    });
    let route = |log: &str| format!("upstream = 'app'\naccess_log = {log}");
    let config = Configuration::new()
        .access_log()
        .upstream("app", origin.address)
        .route("all", "/all/**", &route("true"))
        .route("failures", "/failures/**", &route("'failures'"))
        .route("off", "/off/**", &route("false"));
    let gateway = Gateway::start(&config);
    let public = gateway.listener("public");
    for path in ["/failures", "/off", "/all"] {
        assert_eq!(get(public, &format!("{path}/well"), &[]).status, 200);
        assert_eq!(get(public, &format!("{path}/fail"), &[]).status, 500);
    }
    gateway.wait_for("\"path\":\"/all/well\"");
    gateway.wait_for("\"path\":\"/all/fail\"");
    gateway.wait_for("\"path\":\"/failures/fail\"");
    let text = gateway.text();
    for silent in ["/failures/well", "/off/well", "/off/fail"] {
        assert!(!text.contains(silent), "{text}");
    }
    for status in ["200", "500"] {
        let counted = format!("gateway_requests_total{{route=\"off\",status=\"{status}\"}}");
        assert_eq!(gateway.metric(&counted), 1.0);
    }
}

#[test]
fn tags_of_a_route_are_in_its_log_and_in_no_metric() {
    let config = Configuration::new()
        .access_log()
        .route(
            "tagged",
            "/tagged",
            "respond = { status = 200 }\ntags = { team = 'x-ray', tier = '1' }",
        )
        .route("plain", "/plain", "respond = { status = 200 }");
    let gateway = Gateway::start(&config);
    let public = gateway.listener("public");
    get(public, "/tagged", &[]);
    get(public, "/plain", &[]);
    gateway.wait_for_all(&[
        "\"path\":\"/tagged\"",
        r#""tags":{"team":"x-ray","tier":"1"}"#,
    ]);
    let plain = gateway.wait_for("\"path\":\"/plain\"");
    assert!(!plain.contains("tags"), "{plain}");
    let routes = get(gateway.admin(), "/routes", &[]).json();
    let tags = |name: &str| {
        let mut routes = routes["routes"].as_array().unwrap().iter();
        routes.find(|route| route["name"] == name).unwrap()["tags"].clone()
    };
    assert_eq!(
        tags("tagged"),
        serde_json::json!({ "team": "x-ray", "tier": "1" })
    );
    assert_eq!(tags("plain"), serde_json::json!({}));
    let metrics = get(gateway.admin(), "/metrics", &[]).text();
    assert!(!metrics.contains("x-ray"), "{metrics}");
}
