//! `grpc-status` of a call, in the access log: HTTP says 200 whatever became of it.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response};
use tokio::net::TcpStream;

use crate::harness::http::send;
use crate::harness::serving::Serving;
use crate::harness::{Configuration, Gateway};
use crate::streams::gone;

/// Says in the head that it denies `/denied`, and in trailers that it was not available for all else.
async fn serve(stream: TcpStream) {
    let Ok(mut connection) = h2::server::handshake(stream).await else {
        return;
    };
    while let Some(Ok((request, mut respond))) = connection.accept().await {
        let head = Response::builder().header("content-type", "application/grpc");
        if request.uri().path() == "/denied" {
            let head = head.header("grpc-status", "7").body(()).unwrap();
            respond.send_response(head, true).unwrap();
            continue;
        }
        let mut body = respond
            .send_response(head.body(()).unwrap(), false)
            .unwrap();
        body.send_data(Bytes::from_static(b"\0\0\0\0\0"), false)
            .unwrap();
        let status = HeaderValue::from_static("14");
        let trailers = HeaderMap::from_iter([("grpc-status".parse().unwrap(), status)]);
        body.send_trailers(trailers).unwrap();
    }
}

#[test]
fn the_access_log_has_the_status_of_a_call_from_its_head_its_trailers_or_the_gateway() {
    let calls = Serving::start(serve);
    let config = |access_log: &str| {
        Configuration::new()
            .access_log()
            .upstream_with("calls", calls.address, "protocol = 'h2'")
            .upstream_with("gone", gone(), "protocol = 'h2'")
            .route("calls", "/**", "upstream = 'calls'")
            .route("gone", "/gone", "upstream = 'gone'")
            .to_string()
            .replace(r#"format = "json""#, access_log)
    };
    let json = Gateway::start(&config(r#"format = "json""#));
    let text = Gateway::start(&config(r#"format = "{path} {status} grpc={grpc_status}""#));
    for (path, http, status) in [
        ("/denied", 200, 7),
        ("/failed", 200, 14),
        ("/gone", 502, 14),
    ] {
        let kind = ("content-type", "application/grpc");
        for gateway in [&json, &text] {
            let answer = send(gateway.listener("public"), "POST", path, &[kind], b"");
            assert_eq!(answer.status, 200, "{path}");
        }
        let status_of = format!("\"grpc_status\":{status}");
        json.wait_for_all(&[
            &format!("\"path\":\"{path}\""),
            &format!("\"status\":{http}"),
            &status_of,
        ]);
        text.wait_for(&format!("{path} {http} grpc={status}"));
    }
}
