//! Checks by `grpc.health.v1.Health/Check`.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};

use super::checks::config;
use super::{obstacle, until};
use crate::harness::Gateway;

/// A server of gRPC that answers every call alike.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    /// The message, if there is one, and `grpc-status`.
    answer: Mutex<(Option<&'static [u8]>, &'static str)>,
    /// What each call was: the head, and its message.
    calls: Mutex<Vec<(http::request::Parts, Bytes)>>,
}

impl Server {
    pub(crate) fn start() -> Self {
        let shared = Arc::<Shared>::default();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let serving = serve(listener, shared.clone());
        std::thread::spawn(move || {
            let mut runtime = tokio::runtime::Builder::new_current_thread();
            runtime.enable_all().build().unwrap().block_on(serving);
        });
        Self { address, shared }
    }

    pub(crate) fn says(&self, message: Option<&'static [u8]>, status: &'static str) {
        *self.shared.answer.lock().unwrap() = (message, status);
    }
}

async fn serve(listener: std::net::TcpListener, shared: Arc<Shared>) {
    let listener = tokio::net::TcpListener::from_std(listener).unwrap();
    while let Ok((stream, _)) = listener.accept().await {
        let shared = shared.clone();
        let answer = service_fn(move |request| answer(shared.clone(), request));
        let serving = hyper::server::conn::http2::Builder::new(TokioExecutor::new())
            .serve_connection(TokioIo::new(stream), answer);
        tokio::spawn(serving);
    }
}

type Body = StreamBody<futures_util::stream::Iter<std::vec::IntoIter<hyper::Result<Frame<Bytes>>>>>;

async fn answer(shared: Arc<Shared>, request: Request<Incoming>) -> hyper::Result<Response<Body>> {
    let (head, body) = request.into_parts();
    let asked = body.collect().await?.to_bytes();
    shared.calls.lock().unwrap().push((head, asked));
    let (message, status) = *shared.answer.lock().unwrap();
    let status = HeaderValue::from_static(status);
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", status.clone());
    let frames = message.map(|message| {
        vec![
            Ok(Frame::data(Bytes::from_static(message))),
            Ok(Frame::trailers(trailers)),
        ]
    });
    let trailers_alone = frames.is_none();
    let frames = futures_util::stream::iter(frames.unwrap_or_default());
    let mut response = Response::new(StreamBody::new(frames));
    response
        .headers_mut()
        .insert("content-type", HeaderValue::from_static("application/grpc"));
    if trailers_alone {
        response.headers_mut().insert("grpc-status", status);
    }
    Ok(response)
}

pub(crate) const SERVING: Option<&[u8]> = Some(b"\0\0\0\0\x02\x08\x01");
pub(crate) const NOT_SERVING: Option<&[u8]> = Some(b"\0\0\0\0\x02\x08\x02");

#[test]
fn a_check_of_grpc_asks_a_service_whether_it_serves() {
    let server = Server::start();
    server.says(SERVING, "0");
    let health = "health = { kind = \"grpc\", service = \"shop.Cart\", host = \"carts\", headers = { authorization = \"Bearer x\" }, interval = \"50ms\", unhealthy_after = 1, healthy_after = 1 }";
    let gateway = Gateway::start(&config(&[server.address], health));
    let calls = || server.shared.calls.lock().unwrap().len();
    until(&gateway, "calls", || calls() > 2);
    let (head, message) = server.shared.calls.lock().unwrap()[0].clone();
    assert_eq!(head.method, "POST");
    assert_eq!(head.uri, "http://carts/grpc.health.v1.Health/Check");
    assert_eq!(head.headers["content-type"], "application/grpc");
    assert_eq!(head.headers["te"], "trailers");
    assert_eq!(head.headers["authorization"], "Bearer x");
    assert_eq!(&message[..], b"\0\0\0\0\x0b\x0a\x09shop.Cart");
    let is_out = || obstacle(&gateway, server.address, "unhealthy");
    assert!(!is_out());
    for (message, status, why) in [
        (NOT_SERVING, "0", "it is NOT_SERVING"),
        (None, "12", "grpc-status 12"),
        (None, "5", "grpc-status 5"),
        (SERVING, "14", "grpc-status 14"),
        (Some(&b"\0"[..]), "0", "no one message"),
    ] {
        server.says(message, status);
        until(&gateway, why, is_out);
        gateway.wait_for_all(&["the endpoint is unhealthy", why]);
        server.says(SERVING, "0");
        until(&gateway, "it serves again", || !is_out());
    }
}
