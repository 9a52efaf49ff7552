//! How messages are framed towards clients: which answers have no body, whoever made them, and what never ends cleanly.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use crate::harness::client::{Client, run};
use crate::harness::frames::{
    CANCEL, DATA, END_HEADERS, END_STREAM, HEADERS, Http2, Outcome, PROTOCOL_ERROR, RST_STREAM,
    frame, get_fields, head,
};
use crate::harness::recorder::Recorder;
use crate::harness::{Configuration, Gateway, Origin};

/// All that comes back on a connection of its own.
fn ask(address: SocketAddr, method: &str, path: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n"
    )
    .unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    String::from_utf8_lossy(&answer).to_ascii_lowercase()
}

/// Whether data comes over HTTP/2, even if it is none.
fn has_data(address: SocketAddr, method: &str, path: &str) -> bool {
    let mut client = Http2::connect(address);
    let mut fields = get_fields(path);
    fields[0].1 = method;
    client.frame(HEADERS, END_HEADERS | END_STREAM, 1, &head(&fields));
    loop {
        let frame = client.next().unwrap();
        assert_ne!(frame.kind, RST_STREAM, "{method} {path}");
        if frame.stream == 1 {
            assert_ne!(frame.flags & END_STREAM, 0, "{method} {path}");
            return frame.kind == DATA;
        }
    }
}

/// The Content-Length of an answer to GET over HTTP/2.
fn length_of(address: SocketAddr, path: &str) -> Option<String> {
    run(async {
        let stream = tokio::net::TcpStream::connect(address).await.unwrap();
        let answer = Client::new(stream, true, "http")
            .await
            .get("a", path, &[])
            .await;
        let length = answer.headers().get("content-length")?;
        Some(length.to_str().unwrap().to_owned())
    })
}

/// `/made/..` is made by the route, `/up/..` comes from an upstream, `/probe/..` passes a plugin. The last segment is
/// the status.
fn gateway(origin: SocketAddr) -> Gateway {
    let mut config = Configuration::new()
        .access_log()
        .upstream("origin", origin)
        .route("up", "/up/**", "upstream = 'origin'");
    for (status, body) in [(200, ", body = 'made'"), (204, ""), (205, ""), (304, "")] {
        let answer = format!("respond = {{ status = {status}{body} }}");
        config = config.route(&format!("r{status}"), &format!("/made/{status}"), &answer);
    }
    Gateway::start(&config.probed(origin, ""))
}

/// Answers with the status that the path ends in and a body, whatever was asked, unless that is HEAD.
fn origin() -> Origin {
    Origin::answering(|request, _| {
        let path = request.split(' ').nth(1).unwrap_or_default();
        let status = path.rsplit('/').next().unwrap_or_default();
        let status = if status.len() == 3 { status } else { "200" };
        let body = if request.starts_with("HEAD") || status == "304" {
            ""
        } else {
            "body"
        };
        let head = match status {
            "204" => "content-length: 0",
            _ => "content-length: 4",
        };
        let body = if status == "204" { "" } else { body };
        format!("HTTP/1.1 {status} X\r\n{head}\r\n\r\n{body}").into_bytes()
    })
}

#[test]
fn what_has_no_body_has_none_whoever_made_it() {
    let origin = origin();
    let gateway = gateway(origin.address);
    let public = gateway.listener("public");
    for by in ["/made", "/up"] {
        for (method, status) in [
            ("HEAD", 200),
            ("HEAD", 205),
            ("GET", 204),
            ("HEAD", 204),
            ("GET", 205),
            ("GET", 304),
            ("HEAD", 304),
        ] {
            let path = format!("{by}/{status}");
            let answer = ask(public, method, &path);
            let what = format!("{method} {path}: {answer}");
            assert!(answer.starts_with(&format!("http/1.1 {status}")), "{what}");
            assert!(answer.ends_with("\r\n\r\n"), "{what}");
            assert!(!answer.contains("transfer-encoding"), "{what}");
            if status == 204 {
                assert!(!answer.contains("content-length"), "{what}");
            }
            if status == 205 {
                // RFC 9110, 15.3.6: the end is said.
                assert!(answer.contains("content-length: 0\r\n"), "{what}");
            }
            assert!(!has_data(public, method, &path), "{method} {path}");
        }
        assert_eq!(length_of(public, &format!("{by}/204")), None, "{by}");
    }
}

/// A plugin may ask the upstream for another method; the client waits for what it asked for.
#[test]
fn a_method_that_a_plugin_changes_frames_nothing_for_the_client() {
    let origin = origin();
    let gateway = gateway(origin.address);
    let public = gateway.listener("public");
    for (asked, path) in [
        ("GET", "/probe/ask-for-head"),
        ("HEAD", "/probe/ask-for-all"),
    ] {
        let answer = ask(public, asked, path);
        assert!(answer.starts_with("http/1.1 200"), "{path}: {answer}");
        let (_, body) = answer.split_once("\r\n\r\n").unwrap();
        assert_eq!(body, "", "{path}: {answer}");
        if asked == "GET" {
            assert!(answer.contains("content-length: 0\r\n"), "{answer}");
        }
        let mut client = Http2::connect(public);
        let mut fields = get_fields(path);
        fields[0].1 = asked;
        client.frame(HEADERS, END_HEADERS | END_STREAM, 1, &head(&fields));
        assert_eq!(client.outcome(1), Outcome::Answer(200, 0), "{path}");
    }
}

/// RFC 9113, 8.2.3.
#[test]
fn cookies_are_one_field() {
    let upstream = Recorder::start();
    let config = Configuration::new()
        .public("limits = { header_count = 10 }")
        .upstream("origin", upstream.address)
        .route("all", "/**", "upstream = 'origin'");
    let gateway = Gateway::start(&config);
    let mut client = Http2::connect(gateway.listener("public"));
    let mut fields = get_fields("/");
    let crumbs: Vec<String> = (0..20).map(|at| format!("c{at}=v")).collect();
    fields.extend(crumbs.iter().map(|crumb| ("cookie", crumb.as_str())));
    client.frame(HEADERS, END_HEADERS | END_STREAM, 1, &head(&fields));
    upstream.head(0);
    let text = upstream.wait("the head", |wires| Some(wires[0].text()));
    let joined = format!("cookie: {}\r\n", crumbs.join("; "));
    assert!(text.contains(&joined), "{text}");
    client.frame(RST_STREAM, 0, 1, &CANCEL.to_be_bytes());
    let mut stream = TcpStream::connect(gateway.listener("public")).unwrap();
    write!(
        stream,
        "GET / HTTP/1.1\r\nhost: a\r\ncookie: a=1\r\nx: y\r\ncookie: b=2\r\n\r\n"
    )
    .unwrap();
    upstream.head(1);
    let text = upstream.wait("the head", |wires| Some(wires[1].text()));
    assert!(text.contains("cookie: a=1; b=2\r\n"), "{text}");
}

/// RFC 9113, 8.1.1: the neighbours on the connection do not notice.
#[test]
fn a_malformed_request_over_http_2_ends_its_own_stream() {
    let upstream = Recorder::start();
    let gateway = gateway(upstream.address);
    let with = |more: &[(&'static str, &'static str)]| {
        let mut fields = get_fields("/up/200");
        fields.extend_from_slice(more);
        fields
    };
    let scheme = |scheme: &'static str| {
        let mut fields = get_fields("/up/200");
        fields[1].1 = scheme;
        fields
    };
    for (what, fields) in [
        ("space before a value", with(&[("x", " a")])),
        ("space behind a value", with(&[("x", "a ")])),
        ("a tab before a value", with(&[("x", "\ta")])),
        ("a tab behind a value", with(&[("x", "a\t")])),
        ("a value of a space", with(&[("x", " ")])),
        ("an empty scheme", scheme("")),
        ("a foreign scheme", scheme("ftp")),
        ("a scheme that is none", scheme("a b")),
        ("a pseudo field twice", with(&[(":path", "/")])),
        (
            "a pseudo field behind others",
            with(&[("x", "y"), (":path", "/")]),
        ),
        ("a field of the connection", with(&[("connection", "x")])),
        ("a path that is none", get_fields("/a b")),
        ("an authority that is none", {
            let mut fields = get_fields("/up/200");
            fields[2].1 = "a b";
            fields
        }),
        ("another Host", with(&[("host", "b")])),
    ] {
        let mut client = Http2::connect(gateway.listener("public"));
        let at = upstream.counts().0;
        client.get(1, "/up/200");
        upstream.head(at);
        client.frame(HEADERS, END_HEADERS | END_STREAM, 3, &head(&fields));
        let refused = client.outcome(3);
        assert!(
            matches!(
                refused,
                Outcome::Reset(PROTOCOL_ERROR, _) | Outcome::Answer(400, _)
            ),
            "{what}: {refused:?}"
        );
        upstream.send(
            at,
            b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok",
        );
        assert_eq!(client.outcome(1), Outcome::Answer(200, 2), "{what}");
        assert_eq!(upstream.counts().0, at + 1, "{what} reached the upstream");
    }
}

/// Also where nobody reads its body: the answer waits for a moment.
#[test]
fn a_request_over_http_2_that_ends_wrong_is_not_answered_before() {
    let gateway = gateway(Recorder::start().address);
    let mut fields = get_fields("/made/200");
    fields[0].1 = "POST";
    let first = frame(HEADERS, END_HEADERS, 1, &head(&fields));
    let again = frame(HEADERS, END_HEADERS, 1, &head(&[("a", "b")]));
    for _ in 0..5 {
        let mut client = Http2::connect(gateway.listener("public"));
        client.send(&first);
        client.send(&again);
        assert_eq!(client.outcome(1), Outcome::Reset(PROTOCOL_ERROR, 0));
    }
    // One that takes its time is answered.
    let mut client = Http2::connect(gateway.listener("public"));
    client.send(&first);
    assert!(matches!(
        client.outcome(1),
        Outcome::Answer(200, 4) | Outcome::Reset(0, 4)
    ));
}

#[test]
fn malformed_trailers_over_http_2_end_their_own_stream() {
    let upstream = Recorder::start();
    let gateway = gateway(upstream.address);
    for (what, trailer) in [
        (":path", [("a", "b"), (":path", "/x")]),
        (":status", [("a", "b"), (":status", "200")]),
        ("a space behind", [("a", "b"), ("x", "y ")]),
        ("a tab before", [("x", "\ty"), ("a", "b")]),
    ] {
        let at = upstream.counts().0;
        let mut client = Http2::connect(gateway.listener("public"));
        let mut fields = get_fields("/up/200");
        fields[0].1 = "POST";
        client.frame(HEADERS, END_HEADERS, 1, &head(&fields));
        client.frame(DATA, 0, 1, b"abc");
        upstream.head(at);
        client.frame(HEADERS, END_HEADERS | END_STREAM, 1, &head(&trailer));
        let refused = client.outcome(1);
        assert!(
            matches!(
                refused,
                Outcome::Reset(PROTOCOL_ERROR, _) | Outcome::Answer(400, _)
            ),
            "{what}: {refused:?}"
        );
        upstream.ended(at);
        assert!(!upstream.body(at).ends_with(b"0\r\n\r\n"), "{what}");
        assert!(client.round_trip().is_ok(), "{what}");
    }
}

/// RFC 9112, 8: to a client of HTTP/1.0 the end of the connection is the end of the body, so a broken one is reset.
#[test]
fn a_body_that_breaks_never_ends_cleanly() {
    let upstream = Recorder::start();
    let gateway = gateway(upstream.address);
    let mut at = 0;
    for version in ["HTTP/1.0", "HTTP/1.1"] {
        for framing in [
            "transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n",
            "content-length: 9\r\n\r\nhello",
        ] {
            let mut client = TcpStream::connect(gateway.listener("public")).unwrap();
            client
                .set_read_timeout(Some(Duration::from_secs(20)))
                .unwrap();
            write!(client, "GET /up/200 {version}\r\nhost: a\r\n\r\n").unwrap();
            upstream.head(at);
            upstream.send(at, format!("HTTP/1.1 200 OK\r\n{framing}").as_bytes());
            let mut read = Vec::new();
            let mut chunk = [0; 1024];
            while !String::from_utf8_lossy(&read).contains("hello") {
                let length = client.read(&mut chunk).unwrap();
                assert!(length > 0);
                read.extend_from_slice(&chunk[..length]);
            }
            upstream.close(at);
            let end = client.read_to_end(&mut read);
            let text = String::from_utf8_lossy(&read).into_owned();
            if version == "HTTP/1.0" {
                assert!(end.is_err(), "{framing}: a clean end: {text}");
            } else {
                assert!(!text.ends_with("0\r\n\r\n"), "{text}");
            }
            at += 1;
        }
    }
}

/// RFC 9112, 2.2 and 7.1.1.
#[test]
fn what_readers_end_in_different_places_is_refused() {
    let upstream = Recorder::start();
    let gateway = gateway(upstream.address);
    for (what, request) in [
        ("a request line", "GET /up/200 HTTP/1.1\nhost: a\r\n\r\n"),
        (
            "a field line",
            "GET /up/200 HTTP/1.1\r\nhost: a\nx: y\r\n\r\n",
        ),
        ("the end of a head", "GET /up/200 HTTP/1.1\r\nhost: a\r\n\n"),
        (
            "an empty line before",
            "\nGET /up/200 HTTP/1.1\r\nhost: a\r\n\r\n",
        ),
        (
            "NUL in an extension",
            "POST /up/200 HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n5;a\0b\r\nhello\r\n0\r\n\r\n",
        ),
        (
            "a control character in an extension",
            "POST /up/200 HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n5;a\x7fb\r\nhello\r\n0\r\n\r\n",
        ),
    ] {
        let mut client = TcpStream::connect(gateway.listener("public")).unwrap();
        client
            .set_read_timeout(Some(Duration::from_secs(20)))
            .unwrap();
        client.write_all(request.as_bytes()).unwrap();
        let mut answer = Vec::new();
        let _reset = client.read_to_end(&mut answer);
        let answer = String::from_utf8_lossy(&answer);
        assert!(answer.starts_with("HTTP/1.1 400 "), "{what}: {answer}");
        // Where a connection was begun for it, that ends too.
        upstream.wait(what, |wires| {
            wires.iter().all(|wire| wire.ended).then_some(())
        });
    }
}
