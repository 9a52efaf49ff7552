//! What a client of HTTP/2 is told before the answer (RFC 9113, section 8.1): 103 of an upstream, and the gateway's own 100.

use std::future::poll_fn;
use std::io::Write as _;
use std::net::TcpStream;

use bytes::Bytes;
use h2::client::{ResponseFuture, SendRequest};
use http::{Request, Response, StatusCode};

use crate::harness::client::run;
use crate::harness::frames::{END_HEADERS, HEADERS, head};
use crate::harness::h2_origin::FrameOrigin;
use crate::harness::http::{connect as connect_h1, until};
use crate::harness::recorder::Recorder;
use crate::harness::{Configuration, Gateway};

const HINTS: &[u8] = b"HTTP/1.1 103 Early Hints\r\nlink: </a.css>; rel=preload\r\nconnection: x-mine\r\nx-mine: 1\r\n\r\n";
const OK: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

fn gateway(upstream: &Recorder) -> Gateway {
    let hides = "config = { response = { remove_headers = ['link'] } }";
    let config = Configuration::new()
        .upstream("origin", upstream.address)
        .plugin("transform", "transform", hides)
        .chain("edited", "/edited", &["transform"], "upstream = 'origin'")
        .route("here", "/here", "respond = { body = 'here' }")
        .route("all", "/**", "upstream = 'origin'");
    Gateway::start(&config)
}

async fn connect(gateway: &Gateway) -> SendRequest<Bytes> {
    let address = gateway.listener("public");
    let stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let (send, connection) = h2::client::handshake(stream).await.unwrap();
    tokio::spawn(async move {
        let _over = connection.await;
    });
    send.ready().await.unwrap()
}

/// The next informational response; none where the answer comes.
async fn informed(answer: &mut ResponseFuture) -> Option<Response<()>> {
    poll_fn(|cx| answer.poll_informational(cx))
        .await
        .transpose()
        .unwrap()
}

async fn body(answer: ResponseFuture) -> (StatusCode, Bytes) {
    let mut response = answer.await.unwrap();
    let mut whole = Vec::new();
    while let Some(data) = response.body_mut().data().await {
        whole.extend_from_slice(&data.unwrap());
    }
    (response.status(), whole.into())
}

fn get(path: &str) -> Request<()> {
    Request::get(format!("http://a{path}")).body(()).unwrap()
}

fn post(path: &str) -> Request<()> {
    let request = Request::post(format!("http://a{path}"));
    let request = request.header("expect", "100-continue");
    request.header("content-length", "3").body(()).unwrap()
}

/// RFC 8297.
#[test]
fn early_hints_reach_a_client_of_http_2_before_the_answer_is_there() {
    let upstream = Recorder::start();
    let gateway = gateway(&upstream);
    run(async {
        let mut send = connect(&gateway).await;
        let (mut answer, _) = send.send_request(get("/x"), true).unwrap();
        upstream.head(0);
        for _ in 0..2 {
            upstream.send(0, HINTS);
            let hints = informed(&mut answer).await.expect("hints");
            assert_eq!(hints.status(), StatusCode::EARLY_HINTS);
            assert_eq!(hints.headers()["link"], "</a.css>; rel=preload");
            assert_eq!(hints.headers().len(), 1, "{hints:?}");
        }
        upstream.send(0, OK);
        assert!(informed(&mut answer).await.is_none());
        assert_eq!(body(answer).await, (StatusCode::OK, "ok".into()));
        // In one piece with the answer.
        let (mut answer, _) = send.send_request(get("/x"), true).unwrap();
        upstream.wait("a second head", |wires| {
            let heads: usize = wires
                .iter()
                .map(|wire| wire.text().matches("GET /").count())
                .sum();
            (heads == 2).then_some(())
        });
        upstream.send(0, &[HINTS, OK].concat());
        assert!(informed(&mut answer).await.is_some());
        assert_eq!(body(answer).await, (StatusCode::OK, "ok".into()));
    });
}

#[test]
fn early_hints_stay_here_where_a_policy_edits_answers() {
    let upstream = Recorder::start();
    let gateway = gateway(&upstream);
    run(async {
        let mut send = connect(&gateway).await;
        let (mut answer, _) = send.send_request(get("/edited"), true).unwrap();
        upstream.head(0);
        upstream.send(0, &[HINTS, OK].concat());
        assert!(informed(&mut answer).await.is_none());
        assert_eq!(body(answer).await.0, StatusCode::OK);
    });
}

/// RFC 9110, section 10.1.1.
#[test]
fn a_client_that_waits_for_100_over_http_2_gets_it_when_its_body_is_wanted() {
    let upstream = Recorder::start();
    let gateway = gateway(&upstream);
    run(async {
        let mut send = connect(&gateway).await;
        let (mut answer, mut data) = send.send_request(post("/x"), false).unwrap();
        let go_on = informed(&mut answer).await.expect("100");
        assert_eq!(go_on.status(), StatusCode::CONTINUE);
        data.send_data("abc".into(), true).unwrap();
        upstream.wait("the body", |wires| {
            let text = wires.first()?.text();
            assert!(!text.contains("expect"), "{text}");
            text.ends_with("abc").then_some(())
        });
        upstream.send(0, OK);
        assert!(informed(&mut answer).await.is_none(), "it is said once");
        assert_eq!(body(answer).await, (StatusCode::OK, "ok".into()));
        // Nobody reads that of a request that the gateway answers.
        let (mut answer, _data) = send.send_request(post("/here"), false).unwrap();
        assert!(informed(&mut answer).await.is_none());
        assert_eq!(body(answer).await, (StatusCode::OK, "here".into()));
    });
}

/// Before an endpoint of HTTP/2 that says this so often before each answer.
fn before_h2(said: &[(&str, &str)], often: usize) -> Gateway {
    let said = head(said);
    let origin = FrameOrigin::start(move |mut link| {
        link.begin(&[]);
        while let Some(stream) = link.request() {
            for _ in 0..often {
                link.send(HEADERS, END_HEADERS, stream, &said);
            }
            link.answer(stream);
        }
    });
    let config = Configuration::new()
        .upstream_with("origin", origin.address, "protocol = 'h2'")
        .route("all", "/**", "upstream = 'origin'");
    Gateway::start(&config)
}

/// A client of HTTP/1.1 that has asked.
fn asked_h1(gateway: &Gateway) -> TcpStream {
    let mut client = connect_h1(gateway.listener("public"));
    client
        .write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
        .unwrap();
    client
}

/// The same from an endpoint of HTTP/2, to clients of both.
#[test]
fn early_hints_of_an_endpoint_of_http_2_reach_clients() {
    let gateway = before_h2(&[(":status", "103"), ("link", "</a.css>")], 1);
    let mut client = asked_h1(&gateway);
    let first = until(&mut client, "\r\n\r\n");
    assert!(
        first.starts_with("HTTP/1.1 103 Early Hints\r\nlink: </a.css>\r\n"),
        "{first}"
    );
    assert!(until(&mut client, "\r\n\r\n").starts_with("HTTP/1.1 200 OK"));
    run(async {
        let mut send = connect(&gateway).await;
        let (mut answer, _) = send.send_request(get("/x"), true).unwrap();
        let hints = informed(&mut answer).await.expect("hints");
        assert_eq!(hints.headers()["link"], "</a.css>");
        assert_eq!(body(answer).await, (StatusCode::OK, "ok".into()));
    });
}

#[test]
fn an_endpoint_of_http_2_that_informs_without_end_or_switches_protocols_gives_502() {
    for (status, often) in [("103", 9), ("101", 1)] {
        let gateway = before_h2(&[(":status", status)], often);
        let text = until(&mut asked_h1(&gateway), "502 Bad Gateway\r\n");
        assert!(!text.contains(" 101 "), "{text}");
    }
}
