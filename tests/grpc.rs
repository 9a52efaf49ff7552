//! What clients of gRPC get where the gateway refuses: an answer of trailers alone, in their own vocabulary.

use bytes::Bytes;
use http::{HeaderMap, Request};
use http_body_util::BodyExt;

use crate::harness::client::{Client, run, whole};
use crate::harness::http::send;
use crate::harness::{Configuration, Gateway, Origin};

/// The head of an answer over HTTP/2, whose body is empty, and which has no trailers of its own.
fn call(gateway: &Gateway, path: &str, kind: &str) -> (u16, HeaderMap, Bytes) {
    let public = gateway.listener("public");
    run(async {
        let stream = tokio::net::TcpStream::connect(public).await.unwrap();
        let mut client = Client::new(stream, true, "http").await;
        let request = Request::post(path).header("content-type", kind);
        let request = request.header("te", "trailers");
        let request = request
            .body(whole(Bytes::from_static(b"\0\0\0\0\0")))
            .unwrap();
        let answer = client.send("a", request).await.unwrap();
        let (head, body) = answer.into_parts();
        let body = body.collect().await.unwrap();
        assert!(body.trailers().is_none());
        (head.status.as_u16(), head.headers, body.to_bytes())
    })
}

fn gateway(upstream: std::net::SocketAddr) -> Gateway {
    let keys = r#"config = { schemes = ["api_key"], api_key = { keys = [{ key = "demo", subject = "alice" }] } }"#;
    let mut config = Configuration::new()
        .access_log()
        .plugin("auth", "auth", keys)
        .upstream("origin", upstream)
        .upstream("gone", crate::streams::gone())
        .chain("keyed", "/keyed/**", &["auth"], "upstream = 'origin'")
        .route("served", "/served/**", "upstream = 'origin'")
        .route("gone", "/gone/**", "upstream = 'gone'");
    for status in [400, 403, 413, 429, 501, 503] {
        let path = format!("/{status}/**");
        let lines = format!("respond = {{ status = {status}, body = 'no, 100 %\u{e9}' }}");
        config = config.route(&format!("s{status}"), &path, &lines);
    }
    Gateway::start(&config)
}

#[test]
fn a_client_of_grpc_gets_a_status_of_its_own_for_what_the_gateway_refuses() {
    let origin = Origin::start();
    let gateway = gateway(origin.address);
    for (path, logged, status) in [
        ("/400/x", 400, "13"),
        ("/keyed/x", 401, "16"),
        ("/403/x", 403, "7"),
        ("/nowhere/x", 404, "12"),
        ("/413/x", 413, "2"),
        ("/429/x", 429, "14"),
        ("/501/x", 501, "2"),
        ("/gone/x", 502, "14"),
        ("/503/x", 503, "14"),
    ] {
        for kind in [
            "application/grpc",
            "application/grpc+proto",
            "application/grpc-web",
        ] {
            let (sent, headers, body) = call(&gateway, path, kind);
            assert_eq!(sent, 200, "{path}");
            assert_eq!(headers["grpc-status"], status, "{path}");
            assert_eq!(headers["content-type"], kind, "{path}");
            assert!(!headers["grpc-message"].is_empty(), "{path}");
            assert!(headers.contains_key("x-request-id"), "{path}");
            assert!(body.is_empty(), "{path}: {body:?}");
        }
        let line = gateway.wait_for(&format!("\"path\":\"{path}\""));
        assert!(line.contains(&format!("\"status\":{logged}")), "{line}");
    }
    let message = call(&gateway, "/nowhere/x", "application/grpc").1;
    assert_eq!(message["grpc-message"], "nothing is served here");
}

#[test]
fn others_and_answers_of_upstreams_stay_as_they_are() {
    let origin =
        Origin::answering(|_, _| b"HTTP/1.1 503 Busy\r\ncontent-length: 4\r\n\r\nbusy".to_vec());
    let gateway = gateway(origin.address);
    for kind in ["application/json", "application/grpcx", "text/plain"] {
        let (status, headers, body) = call(&gateway, "/403/x", kind);
        assert_eq!(status, 403, "{kind}");
        assert!(!headers.contains_key("grpc-status"), "{kind}");
        assert!(!body.is_empty(), "{kind}");
    }
    let public = gateway.listener("public");
    let kind = [("content-type", "application/grpc")];
    let answer = send(public, "POST", "/served/x", &kind, b"abc");
    assert_eq!((answer.status, answer.text().as_str()), (503, "busy"));
    // A GET is no call.
    assert_eq!(send(public, "GET", "/403/x", &kind, b"").status, 403);
}
