//! Routes and what they answer, rewrites, tunnels and long responses.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use crate::harness::http::send;
use crate::harness::{Configuration, Gateway, Origin, get, raw};

fn gateway(origin: &Origin) -> Gateway {
    let stripped = r#"
upstream = "origin"
rewrite = { strip_prefix = "/api", host = "preserve" }
"#;
    let moved = r#"redirect = { to = "https://{host}/new?{query}", status = 308 }"#;
    let config = Configuration::new()
        .upstream("origin", origin.address)
        .route("all", "/**", "upstream = 'origin'")
        .route("stripped", "/api/**", stripped)
        .route("moved", "/old", moved)
        .with(MATCHED);
    Gateway::start(&config)
}

/// Routes that look at more than the path.
const MATCHED: &str = r#"
[[routes]]
name = "gone"
match = { path = "/gone/**" }
redirect = { to = "https://{host}{path}?{query|none}" }
[[routes]]
name = "pair"
match = { path = "/pair/{a}/{b}" }
respond = { body = '{"a":"{a}","b":"{b}","c":{"{c}":{}}}' }
[[routes]]
name = "posted"
match = { path = "/thing/{id}", methods = ["POST"] }
respond = { status = 201, headers = { content-type = "application/json" }, body = '{"made":"{id}"}' }
[[routes]]
name = "version-two"
match = { path = "/thing/{id}", headers = { x-version = "2" } }
respond = { body = "two" }
[[routes]]
name = "another-host"
match = { host = "*.example.com", path = "/**" }
respond = { body = "example" }
"#;

#[test]
fn the_most_specific_route_answers_whatever_its_place() {
    let origin = Origin::start();
    let gateway = gateway(&origin);
    let public = gateway.listener("public");
    let posted = send(public, "POST", "/thing/7%22x", &[], b"");
    assert_eq!(
        (posted.status, posted.json()["made"].as_str()),
        (201, Some("7\"x"))
    );
    assert_eq!(get(public, "/thing/7", &[("x-version", "2")]).text(), "two");
    assert_eq!(get(public, "/thing/7", &[]).json()["path"], "/thing/7");
    let request = "GET /x HTTP/1.1\r\nhost: a.EXAMPLE.com:80\r\nconnection: close\r\n\r\n";
    assert_eq!(raw(public, request.as_bytes()).text(), "example");
}

#[test]
fn a_rewrite_changes_what_goes_upstream_and_a_redirect_where_the_client_goes() {
    let origin = Origin::start();
    let gateway = gateway(&origin);
    let public = gateway.listener("public");
    assert_eq!(get(public, "/api/x?y=1", &[]).json()["path"], "/x?y=1");
    let seen = origin.seen().remove(0);
    assert!(seen.contains(&format!("host: {public}")), "{seen}");
    let moved = get(public, "/old?a=b", &[]);
    assert_eq!(moved.status, 308);
    assert_eq!(
        moved.header("location"),
        Some(format!("https://{public}/new?a=b").as_str())
    );
}

#[test]
fn what_fills_a_hole_is_never_filled_again() {
    let origin = Origin::start();
    let gateway = gateway(&origin);
    let public = gateway.listener("public");
    for (asked, leads_to) in [
        ("/gone/{query}?s=1", "/gone/{query}?s=1"),
        ("/gone/{host}?{path}", "/gone/{host}?{path}"),
        ("/gone/x", "/gone/x?none"),
    ] {
        let gone = get(public, asked, &[]);
        assert_eq!(gone.status, 308, "{asked}");
        let location = format!("https://{public}{leads_to}");
        assert_eq!(gone.header("location"), Some(location.as_str()));
    }
    let pair = get(public, "/pair/%7Bb%7D/%7Ba%7D", &[]);
    assert_eq!(pair.text(), r#"{"a":"{b}","b":"{a}","c":{"{c}":{}}}"#);
}

/// Reads until `what` came.
fn read_until(stream: &mut TcpStream, what: &str) -> String {
    let mut read = Vec::new();
    let mut chunk = [0; 4096];
    while !String::from_utf8_lossy(&read).contains(what) {
        let length = stream.read(&mut chunk).unwrap();
        assert!(
            length > 0,
            "the end before `{what}`: {}",
            String::from_utf8_lossy(&read)
        );
        read.extend_from_slice(&chunk[..length]);
    }
    String::from_utf8_lossy(&read).into_owned()
}

#[test]
fn an_upgraded_connection_carries_bytes_both_ways() {
    // After its 101 this origin takes more requests, so what goes through the tunnel shows.
    let origin = Origin::answering(|head, _| {
        let path = head.split(' ').nth(1).unwrap_or_default();
        format!("HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\nx-note: content-length\r\n\r\nhello from {path};")
            .into_bytes()
    });
    let gateway = gateway(&origin);
    let mut stream = TcpStream::connect(gateway.listener("public")).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    stream
        .write_all(
            b"GET /ws HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n",
        )
        .unwrap();
    let head = read_until(&mut stream, "hello from /ws;");
    assert!(head.starts_with("HTTP/1.1 101"), "{head}");
    stream.write_all(b"GET /inside HTTP/1.1\r\n\r\n").unwrap();
    read_until(&mut stream, "hello from /inside;");
}

#[test]
fn a_long_response_streams_while_it_grows() {
    // An event that the upstream has sent reaches the client although the response is not over.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (go_on, wait) = std::sync::mpsc::channel::<()>();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut head = [0; 4096];
        let _length = stream.read(&mut head).unwrap();
        stream
            .write_all(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\nd\r\ndata: first\n\n\r\n")
            .unwrap();
        wait.recv().unwrap();
        stream
            .write_all(b"e\r\ndata: second\n\n\r\n0\r\n\r\n")
            .unwrap();
    });
    let config = Configuration::new().upstream("events", address);
    let config = config.route("events", "/events", "upstream = 'events'");
    let gateway = Gateway::start(&config);
    let mut stream = TcpStream::connect(gateway.listener("public")).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    stream
        .write_all(b"GET /events HTTP/1.1\r\nhost: a\r\n\r\n")
        .unwrap();
    read_until(&mut stream, "data: first");
    go_on.send(()).unwrap();
    read_until(&mut stream, "data: second");
}

#[test]
fn every_upstream_takes_its_endpoints_in_its_own_turn_over_reloads_too() {
    let origins = [(); 4].map(|()| Origin::start());
    let [a, b, c, d] = [0, 1, 2, 3].map(|at: usize| origins[at].address);
    let config = Configuration::new()
        .with(&format!("[upstreams.one]\nendpoints = ['{a}', '{b}']"))
        .with(&format!("[upstreams.other]\nendpoints = ['{c}', '{d}']"))
        .route("one", "/one", "upstream = 'one'")
        .route("other", "/other", "upstream = 'other'");
    let gateway = Gateway::start(&config);
    let public = gateway.listener("public");
    let ask_both = || {
        for path in ["/one", "/other"] {
            assert_eq!(get(public, path, &[]).status, 200);
        }
    };
    let asked = || origins.each_ref().map(|origin| origin.seen().len());
    for _ in 0..5 {
        ask_both();
    }
    assert_eq!(asked(), [3, 2, 3, 2]);
    assert_eq!(gateway.post("/reload").status, 200);
    ask_both();
    assert_eq!(asked(), [3; 4], "the turn began anew");
}
