//! Trailers pass last, whatever the plugins do with the body before them.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, Request};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};

use super::{HOLD, STREAM, gone, probe, route, upstream};
use crate::harness::client::{Client, run, whole};
use crate::harness::frames::{
    DATA, END_HEADERS, END_STREAM, HEADERS, Http2, Outcome, PROTOCOL_ERROR, get_fields, head,
};
use crate::harness::http::read_answer;
use crate::harness::recorder::Recorder;
use crate::harness::{Configuration, Gateway, Origin};

/// A chain of one streaming plugin, one with a holder between two of them, and none.
fn gateway(origin: SocketAddr) -> Gateway {
    gateway_with(origin, "")
}

/// The same with more of its listener.
fn gateway_with(origin: SocketAddr, public: &str) -> Gateway {
    let tables = [
        probe("a", STREAM, ""),
        probe("h", HOLD, ""),
        probe("b", STREAM, ""),
        upstream("origin", origin),
        upstream("unused", gone()),
        route("streamed", "/streamed", "a", "upstream = \"origin\""),
        route("held", "/held", "a h b", "upstream = \"origin\""),
        route("plain", "/plain", "", "upstream = \"origin\""),
    ];
    let config = Configuration::new().public(public);
    Gateway::start(&config.secret("token", "s3cret").with(&tables.concat()))
}

/// The body of an answer over HTTP/2, and the trailers behind it.
async fn read(gateway: &Gateway, path: &str) -> (String, HeaderMap) {
    let stream = tokio::net::TcpStream::connect(gateway.listener("public"));
    let mut client = Client::new(stream.await.unwrap(), true, "http").await;
    let request = Request::get(path).body(whole(Bytes::new())).unwrap();
    let mut body = client.send("a", request).await.unwrap().into_body();
    let (mut bytes, mut trailers) = (Vec::new(), HeaderMap::new());
    while let Some(frame) = body.frame().await {
        match frame.unwrap().into_data() {
            Ok(data) => bytes.extend_from_slice(&data),
            Err(last) => trailers = last.into_trailers().unwrap(),
        }
    }
    (String::from_utf8(bytes).unwrap(), trailers)
}

#[test]
fn trailers_of_a_response_come_after_what_plugins_return_for_the_last_chunk() {
    let origin = Origin::answering(|_, _| {
        let head = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntrailer: x-sum\r\n\r\n";
        format!("{head}3\r\nabc\r\n3\r\ndef\r\n0\r\nx-sum: 7\r\n\r\n").into_bytes()
    });
    let gateway = gateway(origin.address);
    for (path, expected) in [("/streamed", "abcdef<a>"), ("/held", "abcdef<b><h><a>")] {
        let (body, trailers) = run(read(&gateway, path));
        assert_eq!(body, expected, "{path}");
        assert_eq!(trailers["x-sum"], "7", "{path}");
        assert_eq!(trailers.len(), 1, "{path}: {trailers:?}");
    }
}

/// What does not come after a body: it frames, routes, authenticates or describes the message, or says who asks
/// (RFC 9110, section 6.5.1).
const UNFIT: [(&str, &str); 29] = [
    ("connection", "close"),
    ("keep-alive", "timeout=5"),
    ("proxy-connection", "close"),
    ("te", "gzip"),
    ("transfer-encoding", "chunked"),
    ("upgrade", "h2c"),
    ("http2-settings", "a"),
    ("proxy-authenticate", "Basic"),
    ("proxy-authorization", "Basic YQ=="),
    ("proxy", "http://evil.test"),
    ("host", "evil.test"),
    ("content-length", "3"),
    ("content-type", "text/html"),
    ("trailer", "x-sum"),
    ("authorization", "Bearer a"),
    ("cookie", "a=b"),
    ("set-cookie", "a=b"),
    ("www-authenticate", "Basic"),
    ("cache-control", "no-store"),
    ("expect", "100-continue"),
    ("if-match", "*"),
    ("max-forwards", "1"),
    ("range", "bytes=0-"),
    ("forwarded", "for=6.6.6.6"),
    ("x-forwarded-for", "6.6.6.6"),
    ("x-real-ip", "6.6.6.6"),
    ("x_real_ip", "6.6.6.6"),
    ("x-request-id", "6"),
    ("x-gateway-depth", "1"),
];

/// Lines of fields.
fn lines(fields: &[(&str, &str)]) -> String {
    let line = |(name, value): &(&str, &str)| format!("{name}: {value}\r\n");
    fields.iter().map(line).collect()
}

#[test]
fn trailers_of_a_response_carry_nothing_that_frames_or_authenticates() {
    let origin = Origin::answering(|_, _| {
        let names = UNFIT.map(|(name, _)| name).join(", ");
        let head =
            format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntrailer: x-sum, {names}");
        let unfit = lines(&UNFIT);
        format!("{head}\r\n\r\n3\r\nabc\r\n0\r\n{unfit}x-sum: 7\r\n\r\n").into_bytes()
    });
    let gateway = gateway(origin.address);
    for (path, expected) in [
        ("/plain", "abc"),
        ("/streamed", "abc<a>"),
        ("/held", "abc<b><h><a>"),
    ] {
        let (body, trailers) = run(read(&gateway, path));
        assert_eq!(body, expected, "{path}");
        assert_eq!(trailers["x-sum"], "7", "{path}");
        assert_eq!(trailers.len(), 1, "{path}: {trailers:?}");
        let mut client = TcpStream::connect(gateway.listener("public")).unwrap();
        let fields = "host: a\r\nte: trailers\r\nconnection: te, close";
        write!(client, "GET {path} HTTP/1.1\r\n{fields}\r\n\r\n").unwrap();
        let mut answer = String::new();
        client.read_to_string(&mut answer).unwrap();
        let (_, trailers) = answer.split_once("\r\n0\r\n").unwrap();
        assert_eq!(trailers, "x-sum: 7\r\n\r\n", "{path}: {answer}");
    }
}

/// A request over HTTP/1.1 whose body is `abc`, with these trailers, which is left open for its answer.
fn post_h1(gateway: &Gateway, path: &str, trailers: &[(&str, &str)]) -> TcpStream {
    let mut client = TcpStream::connect(gateway.listener("public")).unwrap();
    let patience = Some(Duration::from_secs(20));
    client.set_read_timeout(patience).unwrap();
    let head = format!("POST {path} HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked");
    let trailers = lines(trailers);
    write!(client, "{head}\r\n\r\n3\r\nabc\r\n0\r\n{trailers}\r\n").unwrap();
    client
}

/// The same over HTTP/2, to the status of its answer.
async fn post_h2(public: SocketAddr, path: &str, fields: &[(&str, &str)]) -> u16 {
    let stream = tokio::net::TcpStream::connect(public);
    let mut client = Client::new(stream.await.unwrap(), true, "http").await;
    let mut trailers = HeaderMap::new();
    for (name, value) in fields {
        let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
        trailers.append(name, value.parse().unwrap());
    }
    let frames = [
        Frame::data(Bytes::from_static(b"abc")),
        Frame::trailers(trailers),
    ];
    let body = StreamBody::new(futures_util::stream::iter(frames.map(Ok)));
    let request = Request::post(path).body(body.boxed_unsync()).unwrap();
    client.send("a", request).await.unwrap().status().as_u16()
}

/// What an upstream got after the last chunk, once all of it came; it is answered then.
fn trailing(upstream: &Recorder) -> String {
    let sent = upstream.wait("the end of the trailers", |wires| {
        let text = wires.first()?.text();
        let (_, trailers) = text.split_once("\r\n0\r\n")?;
        let ended = trailers == "\r\n" || trailers.ends_with("\r\n\r\n");
        ended.then(|| trailers.to_owned())
    });
    upstream.send(0, b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
    sent
}

/// The trailers that an upstream gets of a request over HTTP/1.1, and of one over HTTP/2.
fn pass(public: &str, path: &str, trailers: &[(&str, &str)]) -> [String; 2] {
    let upstream = Recorder::start();
    let gateway = gateway_with(upstream.address, public);
    let mut client = post_h1(&gateway, path, trailers);
    let over_h1 = trailing(&upstream);
    assert_eq!(read_answer(&mut client).status, 200, "{path}");
    // HTTP/2 has none of a connection's.
    let trailers: Vec<_> = trailers[trailers.len().min(6)..].to_vec();
    let upstream = Recorder::start();
    let gateway = gateway_with(upstream.address, public);
    let public = gateway.listener("public");
    let over_h2 = std::thread::scope(|scope| {
        let client = scope.spawn(|| run(post_h2(public, path, &trailers)));
        let over_h2 = trailing(&upstream);
        assert_eq!(client.join().unwrap(), 200, "{path}");
        over_h2
    });
    [over_h1, over_h2]
}

/// Names that another server may read as others.
const UNUSUAL: [(&str, &str); 3] = [("x_user", "admin"), ("x.sum", "6"), ("content_length", "3")];

#[test]
fn trailers_of_a_request_carry_nothing_that_frames_or_says_who_asks() {
    let trailers = [&UNFIT[..], &UNUSUAL, &[("x-sum", "7")]].concat();
    for path in ["/plain", "/streamed", "/held"] {
        let [over_h1, over_h2] = pass("", path, &trailers);
        assert_eq!(over_h1, "x-sum: 7\r\n\r\n", "{path}");
        assert_eq!(over_h2, "x-sum: 7\r\n\r\n", "{path}");
    }
}

#[test]
fn a_listener_that_keeps_unusual_names_keeps_those_of_trailers() {
    let trailers = [&UNFIT[..], &UNUSUAL].concat();
    for passed in pass("unusual_names = \"keep\"", "/plain", &trailers) {
        let mut passed: Vec<_> = passed.lines().filter(|line| !line.is_empty()).collect();
        passed.sort_unstable();
        assert_eq!(passed, ["content_length: 3", "x.sum: 6", "x_user: admin"]);
    }
}

#[test]
fn a_listener_that_refuses_unusual_names_breaks_the_request_at_its_trailers() {
    for path in ["/plain", "/streamed", "/held"] {
        let upstream = Recorder::start();
        let gateway = gateway_with(upstream.address, "unusual_names = \"refuse\"");
        let mut client = post_h1(&gateway, path, &UNUSUAL[..1]);
        let answer = read_answer(&mut client);
        assert_eq!(answer.status, 400, "{path}");
        let text = answer.text();
        assert!(text.contains("letters, digits and `-`"), "{path}: {text}");
        let public = gateway.listener("public");
        let status = run(post_h2(public, path, &UNUSUAL[..1]));
        assert_eq!(status, 400, "{path}");
        for at in 0..upstream.counts().0 {
            upstream.ended(at);
            let body = upstream.body(at);
            assert!(!body.ends_with(b"0\r\n\r\n"), "{path}: whole upstream");
        }
        let counted = r#"gateway_unusual_fields_total{listener="public"}"#;
        assert_eq!(gateway.metric(counted), 2.0, "{path}");
    }
}

/// A request over HTTP/2 frame by frame, up to its trailers, on the connection `at` of the upstream.
fn post_frames(upstream: &Recorder, gateway: &Gateway, at: usize, trailer: (&str, &str)) -> Http2 {
    let mut client = Http2::connect(gateway.listener("public"));
    let mut fields = get_fields("/plain");
    fields[0].1 = "POST";
    client.frame(HEADERS, END_HEADERS, 1, &head(&fields));
    client.frame(DATA, 0, 1, b"xyz");
    upstream.wait("the body", |wires| {
        wires.get(at)?.text().contains("xyz").then_some(())
    });
    let trailers = head(&[trailer]);
    client.frame(HEADERS, END_HEADERS | END_STREAM, 1, &trailers);
    client
}

/// RFC 9113, sections 8.2.1 and 8.2.2; over HTTP/1.1 a colon is no part of a name.
#[test]
fn trailers_that_are_part_of_no_message_break_it() {
    let upstream = Recorder::start();
    let gateway = gateway(upstream.address);
    for (at, trailer) in [
        ("connection", "close"),
        ("transfer-encoding", "chunked"),
        ("X-Sum", "7"),
    ]
    .into_iter()
    .enumerate()
    {
        let mut client = post_frames(&upstream, &gateway, at, trailer);
        let outcome = client.outcome(1);
        let broken = [
            Outcome::Reset(PROTOCOL_ERROR, 0),
            Outcome::Away(PROTOCOL_ERROR),
        ];
        assert!(broken.contains(&outcome), "{trailer:?}: {outcome:?}");
        upstream.ended(at);
        let body = upstream.body(at);
        assert!(!body.ends_with(b"0\r\n\r\n"), "{trailer:?}");
    }
    let before = upstream.counts().0;
    let mut client = post_h1(&gateway, "/plain", &[(":path", "/admin")]);
    assert_eq!(read_answer(&mut client).status, 400);
    for at in before..upstream.counts().0 {
        upstream.ended(at);
        assert!(!upstream.body(at).ends_with(b"0\r\n\r\n"));
    }
}

/// RFC 9113, section 8.1, has such a message malformed. h2 takes it without them, or resets the stream.
#[test]
fn pseudo_header_fields_never_come_after_a_body() {
    for trailer in [
        (":path", "/admin"),
        (":method", "DELETE"),
        (":authority", "evil.test"),
        (":status", "200"),
    ] {
        let upstream = Recorder::start();
        let gateway = gateway(upstream.address);
        let _client = post_frames(&upstream, &gateway, 0, trailer);
        let came = upstream.wait("the end of the request", |wires| {
            let wire = wires.first()?;
            match wire.text().split_once("\r\n0\r\n") {
                Some((_, trailers)) => trailers.ends_with("\r\n").then(|| trailers.to_owned()),
                None => wire.ended.then(|| "\r\n".to_owned()),
            }
        });
        assert_eq!(came, "\r\n", "{trailer:?}");
    }
}

#[test]
fn an_answer_whose_trailers_are_part_of_no_message_is_broken_for_the_client() {
    let origin = Origin::answering(|_, _| {
        let head = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
        format!("{head}3\r\nabc\r\n0\r\n:status: 200\r\n\r\n").into_bytes()
    });
    let gateway = gateway(origin.address);
    for path in ["/plain", "/streamed"] {
        let mut client = Http2::connect(gateway.listener("public"));
        client.get(1, path);
        let outcome = client.outcome(1);
        assert!(matches!(outcome, Outcome::Reset(..)), "{path}: {outcome:?}");
    }
}

#[test]
fn trailers_of_a_request_reach_the_upstream_after_the_last_bytes_of_plugins() {
    for (path, tail) in [("/streamed", "<a>"), ("/held", "<a><h><b>")] {
        let upstream = Recorder::start();
        let gateway = gateway(upstream.address);
        let mut client = TcpStream::connect(gateway.listener("public")).unwrap();
        let patience = Some(Duration::from_secs(20));
        client.set_read_timeout(patience).unwrap();
        let head = "HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\ntrailer: x-sum";
        let body = "3\r\nabc\r\n3\r\ndef\r\n0\r\nx-sum: 7\r\n\r\n";
        write!(client, "POST {path} {head}\r\n\r\n{body}").unwrap();
        let sent = upstream.wait("the end of the trailers", |wires| {
            let text = wires.first()?.text();
            text.ends_with("x-sum: 7\r\n\r\n").then_some(text)
        });
        let (head, sent) = sent.split_once("\r\n\r\n").unwrap();
        assert!(head.contains("transfer-encoding: chunked"), "{head}");
        let (chunks, trailers) = sent.split_once("0\r\n").unwrap();
        assert_eq!(trailers, "x-sum: 7\r\n\r\n", "{path}");
        // Every second line is a chunk; the others are its length.
        let body: String = chunks.split("\r\n").skip(1).step_by(2).collect();
        assert_eq!(body, format!("abcdef{tail}"), "{path}: {sent}");
        upstream.send(0, b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
        assert_eq!(read_answer(&mut client).status, 200, "{path}");
    }
}
