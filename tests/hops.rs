//! What belongs to one connection and not to the message, and what a gateway between two of them has to say itself
//! (RFC 9110, section 7.6).

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use crate::harness::client::{Client, run};
use crate::harness::http::{read_answer, send, until};
use crate::harness::recorder::Recorder;
use crate::harness::{Configuration, Gateway, Origin, raw};

fn gateway(upstream: std::net::SocketAddr, public: &str) -> Gateway {
    let config = Configuration::new()
        .public(public)
        .upstream("origin", upstream)
        .route("all", "/**", "upstream = 'origin'")
        .route("here", "/here", "respond = { body = 'here' }");
    Gateway::start(&config)
}

fn connect(gateway: &Gateway, request: &str) -> TcpStream {
    let mut stream = TcpStream::connect(gateway.listener("public")).unwrap();
    let patience = Some(Duration::from_secs(20));
    stream.set_read_timeout(patience).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    stream
}

/// The head that the upstream got of a request, in lower case.
fn sent(fields: &str) -> String {
    let origin = Origin::start();
    let gateway = gateway(origin.address, "");
    let request = format!("GET /x HTTP/1.1\r\nhost: a\r\n{fields}\r\n");
    assert_eq!(read_answer(&mut connect(&gateway, &request)).status, 200);
    origin.seen().remove(0).to_ascii_lowercase()
}

/// RFC 9110, section 10.1.4: who sends TE says so in Connection.
#[test]
fn te_goes_upstream_as_a_field_of_that_connection() {
    for fields in [
        "te: trailers\r\nconnection: te\r\n",
        "te: gzip, Trailers\r\nconnection: te\r\n",
    ] {
        let seen = sent(fields);
        assert!(seen.contains("\r\nte: trailers\r\n"), "{seen}");
        assert!(seen.contains("\r\nconnection: te\r\n"), "{seen}");
    }
    for fields in ["te: gzip\r\nconnection: te\r\n", "connection: te\r\n"] {
        let seen = sent(fields);
        assert!(!seen.contains("\r\nte:"), "{seen}");
        assert!(!seen.contains("\r\nconnection:"), "{seen}");
    }
}

/// Asks for an upgrade; what went upstream of `Upgrade`, and the connection of the client.
fn upgrade(gateway: &Gateway, upstream: &Recorder, at: usize, asked: &str) -> (String, TcpStream) {
    let request = format!(
        "GET /ws HTTP/1.1\r\nhost: a\r\nconnection: upgrade, http2-settings\r\nhttp2-settings: x\r\n{asked}\r\n"
    );
    let client = connect(gateway, &request);
    upstream.head(at);
    let seen = upstream.wait("a head", |wires| Some(wires.get(at)?.text()));
    let of = |line: &str| Some(line.strip_prefix("upgrade: ")?.to_owned());
    let went: Vec<_> = seen.lines().filter_map(of).collect();
    (went.join("|"), client)
}

#[test]
fn an_upgrade_to_another_http_never_goes_upstream_in_any_list() {
    for (asked, went) in [
        ("upgrade: h2c\r\n", ""),
        ("upgrade: H2C\r\n", ""),
        ("upgrade: h2\r\n", ""),
        ("upgrade: HTTP/2.0\r\n", ""),
        ("upgrade: h2c, websocket\r\n", "websocket"),
        ("upgrade: websocket,h2c\r\n", "websocket"),
        ("upgrade: websocket\r\nupgrade: h2c\r\n", "websocket"),
        ("upgrade: h2c\r\nupgrade: websocket\r\n", "websocket"),
        ("upgrade: a/1, h2c/1 ,b\r\nupgrade: , h2c,\r\n", "a/1, b"),
    ] {
        let upstream = Recorder::start();
        let gateway = gateway(upstream.address, "");
        let (seen, _client) = upgrade(&gateway, &upstream, 0, asked);
        assert_eq!(seen, went, "{asked:?}");
        let text = upstream.wait("a head", |wires| Some(wires.first()?.text()));
        assert!(!text.to_ascii_lowercase().contains("h2c"), "{text}");
        assert_eq!(
            text.contains("connection: upgrade"),
            !went.is_empty(),
            "{text}"
        );
    }
}

#[test]
fn a_101_answers_what_was_asked_or_is_502() {
    let upstream = Recorder::start();
    let gateway = gateway(upstream.address, "");
    let cases = [
        (
            "upgrade: websocket\r\n",
            "upgrade: websocket\r\n",
            "websocket",
        ),
        (
            "upgrade: websocket\r\n",
            "upgrade: WebSocket\r\n",
            "WebSocket",
        ),
        ("upgrade: a, b/2, c\r\n", "upgrade: b/2\r\n", "b/2"),
        ("upgrade: a, b\r\n", "upgrade: b, a\r\n", "b, a"),
        ("upgrade: websocket\r\n", "", ""),
        ("upgrade: websocket\r\n", "upgrade: h2c\r\n", ""),
        ("upgrade: websocket\r\n", "upgrade: websocket, h2c\r\n", ""),
        ("upgrade: websocket, h2c\r\n", "upgrade: h2c\r\n", ""),
        ("upgrade: websocket\r\n", "upgrade:\r\n", ""),
    ];
    for (at, (asked, answered, told)) in cases.into_iter().enumerate() {
        let (_, mut client) = upgrade(&gateway, &upstream, at, asked);
        let head =
            format!("HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\n{answered}\r\n");
        upstream.pour(at, head.as_bytes());
        let answer = read_answer(&mut client);
        let status = if told.is_empty() { 502 } else { 101 };
        assert_eq!(answer.status, status, "{asked:?} {answered:?}");
        if status == 101 {
            assert_eq!(answer.header("upgrade"), Some(told), "{asked:?}");
            client.write_all(b"up").unwrap();
            upstream.wait("the tunnel", |wires| {
                (wires[at].body() == b"up").then_some(())
            });
        } else {
            upstream.ended(at);
        }
    }
}

/// RFC 9110, section 15.5.22.
#[test]
fn a_426_says_which_protocol_is_required() {
    let origin = Origin::answering(|head, _| {
        let status = if head.contains("/ok") {
            "200 OK"
        } else {
            "426 Upgrade Required"
        };
        format!("HTTP/1.1 {status}\r\nconnection: upgrade\r\nupgrade: TLS/1.3, x/2\r\ncontent-length: 2\r\n\r\nno").into_bytes()
    });
    let gateway = gateway(origin.address, "");
    let public = gateway.listener("public");
    let kept = raw(public, b"GET /x HTTP/1.1\r\nhost: a\r\n\r\n");
    assert_eq!(
        (kept.status, kept.header("upgrade")),
        (426, Some("TLS/1.3, x/2"))
    );
    assert_eq!(kept.header("connection"), Some("upgrade"));
    let last = send(public, "GET", "/x", &[], b"");
    assert_eq!(last.header("upgrade"), Some("TLS/1.3, x/2"));
    let options = last.headers.iter().filter(|(name, _)| name == "connection");
    let options: Vec<_> = options.map(|(_, value)| value.as_str()).collect();
    assert_eq!(options.join(", "), "upgrade, close");
    assert_eq!(send(public, "GET", "/ok", &[], b"").header("upgrade"), None);
    for alive in ["", "connection: keep-alive\r\n"] {
        let request = format!("GET /x HTTP/1.0\r\nhost: a\r\n{alive}\r\n");
        let old = raw(public, request.as_bytes());
        assert_eq!(old.status, 426);
        assert_eq!(old.header("upgrade"), Some("TLS/1.3, x/2"), "{alive}");
        let options = old.header("connection").unwrap_or_default();
        assert!(options.contains("upgrade"), "{alive}: {options}");
    }
    let over_h2 = run(async {
        let stream = tokio::net::TcpStream::connect(public).await.unwrap();
        let mut client = Client::new(stream, true, "http").await;
        client.get("a", "/x", &[]).await
    });
    assert_eq!(over_h2.status(), 426);
    assert!(!over_h2.headers().contains_key("upgrade"));
}

#[test]
fn a_client_of_http_1_0_is_promised_no_connection_that_closes() {
    let origin = Origin::answering(|head, _| {
        let chunked = "transfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n";
        let known = "content-length: 2\r\n\r\nok";
        let rest = if head.contains("/chunked") {
            chunked
        } else {
            known
        };
        format!("HTTP/1.1 200 OK\r\n{rest}").into_bytes()
    });
    let gateway = gateway(origin.address, "");
    for (path, keeps) in [("/known", true), ("/here", true), ("/chunked", false)] {
        let request = format!("GET {path} HTTP/1.0\r\nhost: a\r\nconnection: keep-alive\r\n\r\n");
        let mut client = connect(&gateway, &request);
        let answer = read_answer(&mut client);
        assert_eq!(answer.status, 200, "{path}");
        let says = answer.header("connection") == Some("keep-alive");
        assert_eq!(says, keeps, "{path}: {:?}", answer.headers);
        if keeps {
            client.write_all(request.as_bytes()).unwrap();
            assert_eq!(read_answer(&mut client).status, 200, "{path}");
        } else {
            assert_eq!(client.read(&mut [0]).unwrap(), 0, "{path}");
        }
    }
    // An answer that ends the connection for another reason.
    let request = "POST /here HTTP/1.0\r\nhost: a\r\nconnection: keep-alive\r\ncontent-length: 900000\r\n\r\n";
    let answer = read_answer(&mut connect(&gateway, request));
    assert_eq!(answer.status, 200);
    let options = answer
        .headers
        .iter()
        .filter(|(name, _)| name == "connection");
    assert!(
        options.clone().all(|(_, value)| value == "close"),
        "{:?}",
        answer.headers
    );
}

#[test]
fn a_status_that_is_none_is_502() {
    let upstream = Recorder::start();
    let gateway = gateway(upstream.address, "");
    for (at, status) in ["099", "000", "600", "999", "700"].into_iter().enumerate() {
        let mut client = connect(&gateway, "GET / HTTP/1.1\r\nhost: a\r\n\r\n");
        upstream.head(at);
        let head = format!("HTTP/1.1 {status} Odd\r\ncontent-length: 0\r\n\r\n");
        upstream.pour(at, head.as_bytes());
        assert_eq!(read_answer(&mut client).status, 502, "{status}");
        upstream.ended(at);
    }
}

/// RFC 9110, section 7.6.2.
#[test]
fn max_forwards_counts_down_and_ends_here_at_none() {
    let origin = Origin::start();
    let gateway = gateway(origin.address, "");
    let public = gateway.listener("public");
    for (method, value, went) in [
        ("OPTIONS", "7", Some("max-forwards: 6\r\n")),
        ("TRACE", "1", Some("max-forwards: 0\r\n")),
        ("OPTIONS", "0010", Some("max-forwards: 9\r\n")),
        ("GET", "7", Some("max-forwards: 7\r\n")),
        ("GET", "0", Some("max-forwards: 0\r\n")),
        ("OPTIONS", "x", Some("max-forwards: x\r\n")),
        ("OPTIONS", "0", None),
        ("OPTIONS", "000", None),
        ("TRACE", "0", None),
    ] {
        let before = origin.seen().len();
        let answer = send(public, method, "/x", &[("max-forwards", value)], b"");
        let seen = origin.seen();
        match went {
            Some(line) => assert!(seen[before].contains(line), "{method}: {}", seen[before]),
            None => assert_eq!(seen.len(), before, "{method} {value}"),
        }
        let status = match (method, went) {
            ("TRACE", None) => 405,
            _ => 200,
        };
        assert_eq!(answer.status, status, "{method} {value}");
        if went.is_none() {
            let allowed = answer.header("allow").unwrap();
            assert!(
                allowed.contains("OPTIONS") && !allowed.contains("TRACE"),
                "{allowed}"
            );
        }
    }
}

/// RFC 9110, section 7.6.3.
#[test]
fn via_is_said_in_both_directions_where_a_listener_has_a_name_for_it() {
    let origin = Origin::answering(|_, _| {
        b"HTTP/1.1 200 OK\r\nvia: 1.0 inner\r\ncontent-length: 2\r\n\r\nok".to_vec()
    });
    let lines = |text: &str| -> Vec<String> {
        let of = |line: &str| Some(line.to_ascii_lowercase().strip_prefix("via: ")?.to_owned());
        text.lines().filter_map(of).collect()
    };
    for (public, request, response) in [
        ("", &["1.1 outer"][..], &["1.0 inner"][..]),
        (
            "via = 'edge'",
            &["1.1 outer", "1.1 edge"],
            &["1.0 inner", "1.1 edge"],
        ),
    ] {
        let gateway = gateway(origin.address, public);
        let public = gateway.listener("public");
        let answer = send(public, "GET", "/x", &[("via", "1.1 outer")], b"");
        assert_eq!(lines(&origin.seen().pop().unwrap()), request);
        let said = answer.headers.iter().filter(|(name, _)| name == "via");
        let said: Vec<_> = said.map(|(_, value)| value.as_str()).collect();
        assert_eq!(said, response);
        // What it answers itself came through no gateway.
        assert_eq!(send(public, "GET", "/here", &[], b"").header("via"), None);
    }
    let gateway = gateway(origin.address, "via = 'edge'");
    let public = gateway.listener("public");
    assert_eq!(
        raw(public, b"GET /x HTTP/1.0\r\n\r\n").header("via"),
        Some("1.0 inner")
    );
    assert_eq!(lines(&origin.seen().pop().unwrap()), ["1.0 edge"]);
    run(async {
        let stream = tokio::net::TcpStream::connect(public).await.unwrap();
        let mut client = Client::new(stream, true, "http").await;
        client.get("a", "/x", &[]).await;
    });
    assert_eq!(lines(&origin.seen().pop().unwrap()), ["2.0 edge"]);
}

const HINTS: &str = "HTTP/1.1 103 Early Hints\r\nlink: </a.css>; rel=preload\r\nconnection: x-mine\r\nx-mine: 1\r\n\r\n";
const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

/// RFC 8297.
#[test]
fn early_hints_reach_a_client_of_http_1_1_before_the_answer_is_there() {
    let upstream = Recorder::start();
    let gateway = gateway(upstream.address, "");
    let before = "GET /here HTTP/1.1\r\nhost: a\r\n\r\n";
    let request = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";
    let mut client = connect(&gateway, &format!("{before}{request}"));
    until(&mut client, "\r\n\r\nhere");
    upstream.head(0);
    upstream.send(0, HINTS.as_bytes());
    let hints = until(&mut client, "\r\n\r\n");
    assert!(hints.starts_with("HTTP/1.1 103 Early Hints\r\n"), "{hints}");
    assert!(hints.contains("link: </a.css>; rel=preload\r\n"), "{hints}");
    assert!(
        !hints.contains("x-mine") && !hints.contains("connection"),
        "{hints}"
    );
    upstream.send(0, b"HTTP/1.1 199 Odd\r\nx-a: 1\r\n\r\n");
    let odd = until(&mut client, "\r\n\r\n");
    assert!(odd.starts_with("HTTP/1.1 199"), "{odd}");
    upstream.send(0, OK.as_bytes());
    assert!(until(&mut client, "\r\n\r\nok").starts_with("HTTP/1.1 200 OK"));
    // In one piece with the answer, and behind the 100 that the gateway sends itself.
    let post = "POST / HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 3\r\n\r\n";
    client.write_all(post.as_bytes()).unwrap();
    assert!(until(&mut client, "\r\n\r\n").starts_with("HTTP/1.1 100"));
    client.write_all(b"abc").unwrap();
    upstream.wait("the body", |wires| {
        wires[0].text().ends_with("abc").then_some(())
    });
    upstream.send(
        0,
        format!("HTTP/1.1 100 Continue\r\n\r\n{HINTS}{OK}").as_bytes(),
    );
    assert!(until(&mut client, "\r\n\r\n").starts_with("HTTP/1.1 103"));
    assert!(until(&mut client, "\r\n\r\nok").starts_with("HTTP/1.1 200 OK"));
}

#[test]
fn early_hints_stay_here_where_a_client_or_a_policy_cannot_take_them() {
    let upstream = Recorder::start();
    let config = Configuration::new()
        .upstream("origin", upstream.address)
        .plugin(
            "transform",
            "transform",
            "config = { response = { remove_headers = ['link'] } }",
        )
        .chain("edited", "/edited", &["transform"], "upstream = 'origin'")
        .route("all", "/**", "upstream = 'origin'");
    let gateway = Gateway::start(&config);
    for (at, request) in [
        "GET / HTTP/1.0\r\nhost: a\r\n\r\n",
        "GET /edited HTTP/1.1\r\nhost: a\r\n\r\n",
    ]
    .into_iter()
    .enumerate()
    {
        let mut client = connect(&gateway, request);
        let heads = at + 1;
        upstream.wait("a head", |wires| {
            let text: String = wires
                .iter()
                .map(crate::harness::recorder::Wire::text)
                .collect();
            (text.matches("GET /").count() == heads).then_some(())
        });
        upstream.send(0, format!("{HINTS}{OK}").as_bytes());
        let answer = until(&mut client, "\r\n\r\nok");
        assert!(
            answer.contains(" 200 OK\r\n") && !answer.contains("link"),
            "{answer}"
        );
    }
}
