//! Trailers and statuses of an upstream that speaks HTTP/2.

use std::convert::Infallible;
use std::net::SocketAddr;

use bytes::Bytes;
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue, Method, Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpListener;
use tokio::sync::mpsc;

use super::wire::{run, sent};
use super::*;
use crate::message::body::Outgoing;

type Frames = http_body_util::combinators::UnsyncBoxBody<Bytes, Infallible>;

/// A body of one chunk, with these trailers.
fn frames(body: Bytes, trailers: HeaderMap) -> [Frame<Bytes>; 2] {
    [Frame::data(body), Frame::trailers(trailers)]
}

/// Answers with the body and the trailers of the request, and the status that its path names.
async fn mirror(request: Request<Incoming>) -> Result<Response<Frames>, hyper::Error> {
    let status = request.uri().path()[1..].parse().unwrap();
    let collected = request.into_body().collect().await?;
    let trailers = collected.trailers().cloned().unwrap_or_default();
    let frames = frames(collected.to_bytes(), trailers).map(Ok);
    let body = StreamBody::new(futures_util::stream::iter(frames));
    let mut response = Response::new(body.boxed_unsync());
    *response.status_mut() = http::StatusCode::from_u16(status).unwrap();
    Ok(response)
}

async fn server() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::task::spawn_local(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let serving = hyper::server::conn::http2::Builder::new(TokioExecutor::new())
                .serve_connection(TokioIo::new(stream), service_fn(mirror));
            tokio::task::spawn_local(serving);
        }
    });
    address
}

/// The status of the answer to a POST of `abc` and a trailer, its body and its trailers.
async fn post(address: SocketAddr, path: &'static str) -> Result<(u16, Bytes, HeaderMap), String> {
    let mut config = configured("h2", &[&address.to_string()]);
    config.protocol = Protocol::H2;
    let upstream = registered(&Registry::default(), &config, &Metrics::new(1));
    let client = Arc::new(Client::default());
    let mut trailers = HeaderMap::new();
    trailers.insert("x-sum", HeaderValue::from_static("7"));
    let (send_frame, body) = mpsc::channel(2);
    for frame in frames(Bytes::from_static(b"abc"), trailers) {
        send_frame.try_send(Ok(frame)).unwrap();
    }
    drop(send_frame);
    let (path, headers) = (PathAndQuery::from_static(path), HeaderMap::new());
    let message = Message::new(&Method::POST, &path, &headers);
    let sent = sent(&client, &upstream, message, Outgoing::Edited(body)).await;
    let (head, body) = sent.map_err(|error| error.why)?;
    let collected = body.collect().await.unwrap();
    let trailers = collected.trailers().cloned().unwrap_or_default();
    Ok((head.status.as_u16(), collected.to_bytes(), trailers))
}

#[test]
fn trailers_of_both_messages_pass_over_http_2() {
    run(async {
        let (status, body, trailers) = post(server().await, "/200").await.unwrap();
        assert_eq!((status, &body[..]), (200, &b"abc"[..]));
        assert_eq!(trailers["x-sum"], "7");
        assert_eq!(trailers.len(), 1);
    });
}

#[test]
fn a_status_over_599_is_none_over_http_2_either() {
    run(async {
        let address = server().await;
        assert_eq!(post(address, "/599").await.unwrap().0, 599);
        for path in ["/600", "/999"] {
            let why = post(address, path).await.unwrap_err();
            assert!(why.contains("is no status"), "{path}: {why}");
        }
    });
}
