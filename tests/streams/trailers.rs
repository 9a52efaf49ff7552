//! Trailers pass last, whatever the plugins do with the body before them.

use std::io::Write;
use std::net::TcpStream;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request};
use http_body_util::BodyExt;

use super::{HOLD, STREAM, probe, route, start, upstream};
use crate::harness::client::{Client, run, whole};
use crate::harness::http::read_answer;
use crate::harness::recorder::Recorder;
use crate::harness::{Gateway, Origin};

/// A chain of one streaming plugin, one with a holder between two of them, and none.
fn gateway(origin: std::net::SocketAddr) -> Gateway {
    start(&[
        probe("a", STREAM, ""),
        probe("h", HOLD, ""),
        probe("b", STREAM, ""),
        upstream("origin", origin),
        route("streamed", "/streamed", "a", "upstream = \"origin\""),
        route("held", "/held", "a h b", "upstream = \"origin\""),
        route("plain", "/plain", "", "upstream = \"origin\""),
    ])
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

#[test]
fn trailers_of_a_response_carry_nothing_that_frames_or_authenticates() {
    let origin = Origin::answering(|_, _| {
        let unfit = "connection: close\r\ncontent-length: 3\r\nset-cookie: a=b\r\nx-request-id: 1";
        let head = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
        format!("{head}3\r\nabc\r\n0\r\nx-sum: 7\r\n{unfit}\r\n\r\n").into_bytes()
    });
    let gateway = gateway(origin.address);
    for (path, expected) in [("/plain", "abc"), ("/streamed", "abc<a>")] {
        let (body, trailers) = run(read(&gateway, path));
        assert_eq!(body, expected, "{path}");
        assert_eq!(trailers["x-sum"], "7", "{path}");
        assert_eq!(trailers.len(), 1, "{path}: {trailers:?}");
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
