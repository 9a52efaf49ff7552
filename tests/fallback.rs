//! `fallback`: what answers where an upstream does not, and what is never sent twice.

use std::io::Write;
use std::net::{SocketAddr, TcpStream};

use crate::harness::http::{read_answer, send};
use crate::harness::recorder::Recorder;
use crate::harness::{Configuration, Gateway, Origin, get};
use crate::streams::gone;

fn answering(status: u16, body: &'static str) -> Origin {
    Origin::answering(move |_, _| {
        let length = body.len();
        format!("HTTP/1.1 {status} S\r\ncontent-length: {length}\r\n\r\n{body}").into_bytes()
    })
}

/// `first` is asked at `/x/**`, and the fallback is `static`.
fn gateway(first: SocketAddr, second: SocketAddr, lines: &str) -> Gateway {
    let config = Configuration::new()
        .access_log()
        .upstream("first", first)
        .upstream("static", second)
        .route("all", "/x/**", &format!("upstream = 'first'\n{lines}"));
    Gateway::start(&config)
}

/// Sends a body in two pieces, so that it streams.
fn stream(gateway: &Gateway, method: &str, path: &str) -> (u16, String) {
    let mut client = TcpStream::connect(gateway.listener("public")).unwrap();
    let head = format!("{method} {path} HTTP/1.1\r\nhost: a\r\ncontent-length: 6\r\n\r\nabc");
    client.write_all(head.as_bytes()).unwrap();
    client.write_all(b"def").unwrap();
    let answer = read_answer(&mut client);
    (answer.status, answer.text())
}

#[test]
fn where_nothing_was_sent_any_request_goes_to_the_other_upstream() {
    let other = Origin::start();
    let gateway = gateway(gone(), other.address, "fallback = { upstream = 'static' }");
    let public = gateway.listener("public");
    assert_eq!(get(public, "/x/a?b", &[]).json()["path"], "/x/a?b");
    for method in ["POST", "PUT"] {
        let (status, body) = stream(&gateway, method, "/x/b");
        assert_eq!(status, 200, "{method} {body}");
        assert!(body.contains("\"body\":6"), "{method} {body}");
    }
    let line = gateway.wait_for_all(&["\"path\":\"/x/a?b\"", "\"fallback\":\"connect\""]);
    assert!(!line.contains("\"error\""), "{line}");
    assert!(
        line.contains(&format!("\"endpoint\":\"{}\"", other.address)),
        "{line}"
    );
    assert_eq!(
        gateway.metric("gateway_fallbacks_total{route=\"all\"}"),
        3.0
    );
    assert_eq!(
        gateway.metric("gateway_errors_total{kind=\"connect\"}"),
        0.0
    );
    let failures = "gateway_upstream_failures_total{upstream=\"first\",kind=\"connect\"}";
    assert_eq!(gateway.metric(failures), 3.0);
    gateway.wait_for("the fallback answers");
}

#[test]
fn what_was_sent_goes_to_the_other_upstream_only_if_that_is_safe() {
    let first = answering(503, "busy");
    let other = Origin::start();
    let holds = "fallback = { upstream = 'static', on = ['5xx'] }\nupstream = 'first'";
    let config = Configuration::new()
        .upstream("first", first.address)
        .upstream("static", other.address)
        .probe(
            other.address,
            "config = { phases = ['request', 'request-body'] }",
        )
        .route("plain", "/x/**", holds)
        .chain("held", "/held/**", &["probe"], holds);
    let gateway = Gateway::start(&config);
    let public = gateway.listener("public");
    assert_eq!(get(public, "/x/get", &[]).status, 200);
    assert_eq!(send(public, "DELETE", "/x/delete", &[], b"").status, 200);
    let held = send(public, "PUT", "/held/put", &[], b"abc");
    assert_eq!((held.status, held.json()["body"].as_u64()), (200, Some(3)));
    // Of these the first outcome stands, whole.
    for (method, path, body) in [
        ("POST", "/x/post", &b""[..]),
        ("POST", "/held/post", b"abc"),
        ("PATCH", "/x/patch", b"abc"),
        ("PUT", "/x/put", b"abc"),
    ] {
        let answer = send(public, method, path, &[], body);
        assert_eq!(
            (answer.status, answer.text().as_str()),
            (503, "busy"),
            "{path}"
        );
    }
    let seen: Vec<_> = other.seen();
    assert_eq!(seen.len(), 3, "{seen:?}");
    assert_eq!(first.seen().len(), 7);
}

#[test]
fn a_connection_that_breaks_sends_nothing_twice_that_is_not_idempotent() {
    // It reads the request and closes.
    let first = Origin::answering(|_, _| Vec::new());
    let other = Origin::start();
    let lines = "fallback = { upstream = 'static', on = ['reset'] }";
    let gateway = gateway(first.address, other.address, lines);
    let public = gateway.listener("public");
    assert_eq!(get(public, "/x/a", &[]).status, 200);
    assert_eq!(send(public, "POST", "/x/b", &[], b"abc").status, 502);
    assert_eq!(other.seen().len(), 1);
    gateway.wait_for_all(&["\"path\":\"/x/a\"", "\"fallback\":\"bad_gateway\""]);
    gateway.wait_for_all(&["\"path\":\"/x/b\"", "\"error\":\"bad_gateway\""]);
}

#[test]
fn the_gateway_answers_whatever_was_sent() {
    let first = answering(500, "broken");
    let lines = r#"
fallback = { respond = { status = 200, headers = { x-why = "for {method} {header.x-name|none}" }, body = '{"items":[],"path":"{path}"}' }, on = [500] }
errors = { 5xx = "never" }
"#;
    let gateway = gateway(first.address, gone(), lines);
    let public = gateway.listener("public");
    let answer = send(public, "POST", "/x/a", &[("x-name", "me")], b"abc");
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("x-why"), Some("for POST me"));
    assert_eq!(answer.json()["path"], "/x/a");
    let asked = format!("\"endpoint\":\"{}\"", first.address);
    let line = gateway.wait_for_all(&["\"path\":\"/x/a\"", "\"fallback\":\"500\"", &asked]);
    assert!(!line.contains("\"upstream_time\""), "{line}");
    let head = send(public, "HEAD", "/x/a", &[], b"");
    assert_eq!(
        (head.status, head.header("content-length")),
        (200, Some("26"))
    );
}

#[test]
fn where_the_other_upstream_has_no_answer_the_first_outcome_stands() {
    let first = answering(503, "still here");
    let lines = "fallback = { upstream = 'static' }\nerrors = { 502 = 'page' }";
    let both = gateway(first.address, gone(), lines);
    let answer = get(both.listener("public"), "/x/a", &[]);
    assert_eq!((answer.status, answer.text().as_str()), (503, "still here"));
    let line = both.wait_for("\"path\":\"/x/a\"");
    assert!(!line.contains("\"fallback\""), "{line}");
    // Its own answer is one, whatever it says.
    let other = answering(404, "no such thing");
    let answered = gateway(gone(), other.address, lines);
    let answer = get(answered.listener("public"), "/x/a", &[]);
    assert_eq!(
        (answer.status, answer.text().as_str()),
        (404, "no such thing")
    );
    let neither = gateway(gone(), gone(), lines);
    let answer = get(neither.listener("public"), "/x/a", &[]);
    assert_eq!((answer.status, answer.text().as_str()), (502, "page"));
}

#[test]
fn the_request_is_edited_once_and_has_the_host_of_whom_it_goes_to() {
    let first = answering(503, "busy");
    let other = Origin::start();
    let stamp = "config = { request = { add_headers = { x-times = 'once' } }, response = { set_headers = { x-stamp = 'yes' } } }";
    let to = |rewrite: &str| {
        format!("upstream = 'first'\nfallback = {{ upstream = 'static' }}\nrewrite = {rewrite}")
    };
    let config = Configuration::new()
        .plugin("stamp", "transform", stamp)
        .upstream("first", first.address)
        .upstream("static", other.address)
        .chain(
            "a",
            "/x/**",
            &["stamp"],
            &to("{ strip_prefix = '/x', prefix = '/x/x' }"),
        )
        .route("b", "/kept/**", &to("{ host = 'preserve' }"));
    let gateway = Gateway::start(&config);
    let public = gateway.listener("public");
    let answer = get(public, "/x/a", &[]);
    assert_eq!(answer.json()["path"], "/x/x/a");
    assert_eq!(answer.header("x-stamp"), Some("yes"));
    get(public, "/kept/a", &[]);
    let seen = other.seen();
    assert_eq!(seen[0].matches("x-times: once").count(), 1, "{}", seen[0]);
    assert!(
        seen[0].contains(&format!("host: {}\r\n", other.address)),
        "{}",
        seen[0]
    );
    assert!(
        seen[1].contains(&format!("host: {public}\r\n")),
        "{}",
        seen[1]
    );
    assert!(first.seen()[0].contains(&format!("host: {}\r\n", first.address)));
}

#[test]
fn an_answer_that_is_let_go_spoils_nothing() {
    // Its body never ends.
    let first = Recorder::start();
    let other = Origin::start();
    let lines = "fallback = { upstream = 'static' }";
    let gateway = gateway(first.address, other.address, lines);
    let public = gateway.listener("public");
    let asking = std::thread::spawn(move || get(public, "/x/a", &[]));
    first.head(0);
    first.send(0, b"HTTP/1.1 503 S\r\ncontent-length: 1000\r\n\r\nbusy");
    assert_eq!(asking.join().unwrap().status, 200);
    // The connection is gone, and with it what was left of that body.
    first.ended(0);
    assert_eq!(get_from(&first, public), "second");
}

/// The next request is answered by the first upstream, on another connection.
fn get_from(first: &Recorder, public: SocketAddr) -> String {
    let asking = std::thread::spawn(move || get(public, "/x/b", &[]).text());
    first.head(1);
    first.send(1, b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nsecond");
    asking.join().unwrap()
}

#[test]
fn who_is_too_slow_or_has_too_much_to_do_is_stood_in_for() {
    let (asleep, busy) = (Recorder::start(), Recorder::start());
    let config = |first: &Recorder, upstream: &str, lines: &str| {
        let respond = "respond = { body = 'instead' }";
        let config = Configuration::new()
            .access_log()
            .upstream_with("first", first.address, upstream)
            .route(
                "all",
                "/x/**",
                &format!("upstream = 'first'\nfallback = {{ {respond}, {lines} }}"),
            );
        Gateway::start(&config)
    };
    let slow = config(
        &asleep,
        "timeouts = { first_byte = '100ms' }",
        "on = ['timeout']",
    );
    assert_eq!(get(slow.listener("public"), "/x/a", &[]).text(), "instead");
    slow.wait_for("\"fallback\":\"upstream_timeout\"");

    let full = "pool = { max_connections = 1 }\ntimeouts = { connect = '600ms' }";
    let full = config(&busy, full, "on = ['breaker']");
    let public = full.listener("public");
    let mut holding = TcpStream::connect(public).unwrap();
    holding
        .write_all(b"GET /x/held HTTP/1.1\r\nhost: a\r\n\r\n")
        .unwrap();
    busy.head(0);
    assert_eq!(get(public, "/x/b", &[]).text(), "instead");
    full.wait_for("\"fallback\":\"saturated\"");
}
