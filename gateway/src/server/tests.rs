//! The server over real sockets, with a handler that answers at once.

mod clock;
mod guarded;
mod rest;

use std::cell::RefCell;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::request::Parts;
use http::{Request, Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Empty, Full, StreamBody};
use hyper::body::Frame;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::LocalSet;
use tokio_util::sync::CancellationToken;

use super::connection::Connection;
use super::drain::Drain;
use super::listener::Beside;
use super::{ListenerRuntime, guard, listener};
use crate::config;
use crate::message::body::Received;

type Body = UnsyncBoxBody<Bytes, std::convert::Infallible>;

/// The body of `/large`, in bytes: more than sockets hold.
const LARGE: usize = 32 << 20;

/// `/endless` never ends, `/large` is answered in one piece without a look at its body, `/slow` waits for the test,
/// `/held` is answered at once, but its body is read only when the test says so; any other path is answered with itself
/// when the body is read.
async fn answer(
    connection: Rc<Connection>,
    head: Parts,
    received: Received,
    release: Rc<tokio::sync::Notify>,
) -> Response<Body> {
    if connection.ambiguous_framing() {
        let mut refused = Response::new(Empty::new().boxed_unsync());
        *refused.status_mut() = StatusCode::BAD_REQUEST;
        return refused;
    }
    let body = match head.uri.path() {
        "/endless" => {
            let chunk = Bytes::from_static(&[b'x'; 65536]);
            StreamBody::new(futures_util::stream::repeat_with(move || {
                Ok(Frame::data(chunk.clone()))
            }))
            .boxed_unsync()
        }
        "/large" => Full::from(vec![b'x'; LARGE]).boxed_unsync(),
        "/slow" => {
            release.notified().await;
            Full::from("slow").boxed_unsync()
        }
        "/held" => {
            tokio::task::spawn_local(async move {
                release.notified().await;
                received.collect().await
            });
            Full::from("/held").boxed_unsync()
        }
        path => {
            let _read = received.collect().await;
            Full::from(path.to_owned()).boxed_unsync()
        }
    };
    Response::new(body)
}

struct Server {
    address: std::net::SocketAddr,
    begun: CancellationToken,
    drain: Rc<Drain>,
    release: Rc<tokio::sync::Notify>,
    /// Of the last request.
    connection: Rc<RefCell<Weak<Connection>>>,
}

/// Long after a test.
const NEVER: Duration = Duration::from_secs(600);

pub(super) fn limits() -> config::Limits {
    config::Limits {
        connections: 100,
        header_bytes: 1024,
        header_count: 10,
        body: 0,
        header_timeout: NEVER,
        body_idle: NEVER,
        body_rate: 0,
        idle: NEVER,
        h2_streams: 10,
    }
}

fn start(h1: bool, h2: bool, tls: Option<config::Tls>) -> Server {
    start_with(h1, h2, tls, limits())
}

fn start_with(h1: bool, h2: bool, tls: Option<config::Tls>, limits: config::Limits) -> Server {
    let bound = listener::bind("127.0.0.1:0".parse().unwrap(), 1, Beside::Nobody);
    let (address, mut sockets) = bound.unwrap();
    let socket = sockets.remove(0);
    let name = "test".into();
    let config = config::Listener {
        name,
        address: address.into(),
        h1,
        h2,
        proxy_protocol: None,
        trusted_proxies: Default::default(),
        client_from: Default::default(),
        via: None,
        half_close: Default::default(),
        unusual_names: Default::default(),
        tls,
        limits,
    };
    let runtime = Arc::new(arc_swap::ArcSwap::from_pointee(
        ListenerRuntime::new(config, address.into()).unwrap(),
    ));
    let begun = CancellationToken::new();
    let drain = Drain::new(begun.clone(), CancellationToken::new());
    let release = Rc::new(tokio::sync::Notify::new());
    let last = Rc::new(RefCell::new(Weak::new()));
    let handler = {
        let (release, last) = (release.clone(), last.clone());
        move |connection: Rc<Connection>, head, body| {
            last.replace(Rc::downgrade(&connection));
            answer(connection, head, body, release.clone())
        }
    };
    tokio::task::spawn_local(listener::accept_loop(
        socket,
        runtime,
        drain.clone(),
        handler,
    ));
    Server {
        address,
        begun,
        drain,
        release,
        connection: last,
    }
}

/// Runs a test on a worker-like thread; one that goes on for a minute never ends.
fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let limited = async { tokio::time::timeout(Duration::from_secs(60), test).await };
    LocalSet::new()
        .block_on(&runtime, limited)
        .expect("the test takes no minute");
}

async fn connect(server: &Server, text: &str) -> TcpStream {
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream.write_all(text.as_bytes()).await.unwrap();
    stream
}

async fn rest(stream: &mut TcpStream) -> String {
    let mut read = Vec::new();
    stream.read_to_end(&mut read).await.unwrap();
    String::from_utf8(read).unwrap()
}

/// Reads until `end` came.
async fn until(stream: &mut TcpStream, end: &str) -> String {
    let mut read = String::new();
    while !read.ends_with(end) {
        let byte = stream.read_u8().await.unwrap();
        read.push(char::from(byte));
    }
    read
}

#[test]
fn a_connection_is_kept_and_pipelined_requests_are_answered_in_order() {
    run(async {
        let server = start(true, true, None);
        let mut stream = connect(&server, "GET /a HTTP/1.1\r\n\r\nGET /b HTTP/1.1\r\n\r\n").await;
        until(&mut stream, "/a").await;
        until(&mut stream, "/b").await;
        stream
            .write_all(b"GET /c HTTP/1.1\r\nConnection: close\r\n\r\n")
            .await
            .unwrap();
        assert!(rest(&mut stream).await.ends_with("/c"));
    });
}

#[test]
fn heads_over_the_limits_are_answered_after_those_before_them() {
    run(async {
        let server = start(true, false, None);
        for (head, status) in [
            (
                format!("GET /{} HTTP/1.1\r\n\r\n", "x".repeat(1024)),
                "HTTP/1.1 414 ",
            ),
            (
                format!("GET / HTTP/1.1\r\na: {}\r\n\r\n", "x".repeat(1024)),
                "HTTP/1.1 431 ",
            ),
            (
                format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(11)),
                "HTTP/1.1 431 ",
            ),
        ] {
            let mut stream = connect(&server, &format!("GET /first HTTP/1.1\r\n\r\n{head}")).await;
            until(&mut stream, "/first").await;
            assert!(rest(&mut stream).await.starts_with(status), "{status}");
        }
    });
}

#[test]
fn both_framings_reach_the_handler_as_ambiguous() {
    run(async {
        let server = start(true, false, None);
        for framing in [
            "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
            "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
        ] {
            let text = format!("GET /a HTTP/1.1\r\n\r\nPOST / HTTP/1.1\r\n{framing}\r\n0\r\n\r\n");
            let mut stream = connect(&server, &text).await;
            until(&mut stream, "/a").await;
            assert!(
                rest(&mut stream).await.starts_with("HTTP/1.1 400 "),
                "{framing}"
            );
        }
    });
}

async fn h2_client(
    io: impl tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
) -> hyper::client::conn::http2::SendRequest<Empty<Bytes>> {
    let (send, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(io))
            .await
            .unwrap();
    tokio::task::spawn_local(connection);
    send
}

async fn get(send: &mut hyper::client::conn::http2::SendRequest<Empty<Bytes>>, uri: &str) -> Bytes {
    let response = send
        .send_request(Request::get(uri).body(Empty::new()).unwrap())
        .await
        .unwrap();
    response.into_body().collect().await.unwrap().to_bytes()
}

#[test]
fn http2_is_spoken_by_prior_knowledge() {
    run(async {
        let server = start(true, true, None);
        let mut send = h2_client(connect(&server, "").await).await;
        assert_eq!(get(&mut send, "http://a/one").await, "/one");
        assert_eq!(get(&mut send, "http://a/two").await, "/two");
    });
}

#[test]
fn a_flood_of_pings_ends_the_connection() {
    run(async {
        let server = start(false, true, None);
        let mut flood = guard::h2::PREFACE.to_vec();
        flood.extend([0, 0, 0, 4, 0, 0, 0, 0, 0]);
        for _ in 0..1_001 {
            flood.extend([0, 0, 8, 6, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        }
        let mut stream = connect(&server, "").await;
        stream.write_all(&flood).await.unwrap();
        let mut read = Vec::new();
        // By a close or a reset, whichever the kernel makes of it, and by no clock.
        let _ended = stream.read_to_end(&mut read).await;
    });
}

fn certificate(
    names: &[&str],
) -> (
    config::Certificate,
    rustls_pki_types::CertificateDer<'static>,
) {
    let names: Vec<String> = names.iter().map(ToString::to_string).collect();
    let made = rcgen::generate_simple_self_signed(names.clone()).unwrap();
    let der = made.cert.der().clone();
    let key = rustls_pki_types::PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let key = rustls::crypto::ring::sign::any_supported_type(&key).unwrap();
    let key = Arc::new(rustls::sign::CertifiedKey::new(vec![der.clone()], key));
    (config::Certificate { key, names }, der)
}

#[test]
fn alpn_decides_and_sni_picks_the_certificate() {
    run(async {
        let (first, _) = certificate(&["first.test"]);
        let (second, trusted) = certificate(&["second.test"]);
        let certificates = vec![first, second];
        let tls = config::Tls {
            certificates,
            min_version: config::TlsVersion::V1_2,
        };
        let server = start(true, true, Some(tls));
        for alpn in [&b"h2"[..], b"http/1.1"] {
            let mut roots = rustls::RootCertStore::empty();
            roots.add(trusted.clone()).unwrap();
            let provider = Arc::new(rustls::crypto::ring::default_provider());
            let mut client = rustls::ClientConfig::builder_with_provider(provider)
                .with_safe_default_protocol_versions()
                .unwrap()
                .with_root_certificates(roots)
                .with_no_client_auth();
            client.alpn_protocols = vec![alpn.to_vec()];
            let connector = tokio_rustls::TlsConnector::from(Arc::new(client));
            let name = "second.test".try_into().unwrap();
            let mut stream = connector
                .connect(name, connect(&server, "").await)
                .await
                .unwrap();
            assert_eq!(stream.get_ref().1.alpn_protocol(), Some(alpn));
            if alpn == b"h2" {
                assert_eq!(
                    get(&mut h2_client(stream).await, "https://second.test/x").await,
                    "/x"
                );
            } else {
                stream
                    .write_all(b"GET /x HTTP/1.1\r\nConnection: close\r\n\r\n")
                    .await
                    .unwrap();
                let mut read = String::new();
                stream.read_to_string(&mut read).await.unwrap();
                assert!(read.ends_with("/x"), "{read}");
            }
        }
    });
}

#[test]
fn a_drain_loses_neither_the_request_in_hand_nor_the_one_under_way() {
    run(async {
        let server = start(true, true, None);
        let mut idle = connect(&server, "GET /a HTTP/1.1\r\n\r\n").await;
        until(&mut idle, "/a").await;
        let mut busy = connect(&server, "GET /slow HTTP/1.1\r\n\r\n").await;
        let mut h2 = h2_client(connect(&server, "").await).await;
        assert_eq!(get(&mut h2, "http://a/one").await, "/one");
        server.begun.cancel();
        while server.drain.stage() == super::drain::Stage::Serving {
            tokio::task::yield_now().await;
        }
        idle.write_all(b"GET /late HTTP/1.1\r\n\r\n").await.unwrap();
        let late = rest(&mut idle).await;
        assert!(
            late.contains("connection: close\r\n") && late.ends_with("/late"),
            "{late}"
        );
        server.release.notify_one();
        let slow = rest(&mut busy).await;
        assert!(
            slow.contains("connection: close\r\n") && slow.ends_with("slow"),
            "{slow}"
        );
        server.drain.empty().await;
        assert!(TcpStream::connect(server.address).await.is_err());
    });
}
