//! Requests over real sockets.

use std::mem::MaybeUninit;
use std::net::SocketAddr;

use bytes::Bytes;
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use socket2::{SockRef, Socket};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::LocalSet;

use super::*;
use crate::message::body::Outgoing;
use crate::message::head::ResponseHead;
use crate::net::Stream;
use crate::upstream::h1::{Attempt, Sending};
use crate::upstream::pool::Connection;

/// Runs a test on a worker-like thread; one that goes on for a minute never ends.
pub(in crate::upstream) fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let limited = async { tokio::time::timeout(Duration::from_secs(60), test).await };
    LocalSet::new().block_on(&runtime, limited).unwrap();
}

/// Answers with the method, the path, the host and the body of the request.
async fn echo(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, hyper::Error> {
    let (parts, body) = request.into_parts();
    let body = body.collect().await?.to_bytes();
    let text = format!("{} {} ", parts.method, parts.uri);
    let body = [text.as_bytes(), &body].concat();
    let mut response = Response::new(Full::from(body));
    response
        .headers_mut()
        .insert("x-seen", HeaderValue::from_static("1"));
    Ok(response)
}

/// A server of HTTP/2; how many connections it took is told.
pub(super) async fn server() -> (SocketAddr, std::rc::Rc<std::cell::Cell<usize>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let connections = std::rc::Rc::new(std::cell::Cell::new(0));
    let counted = connections.clone();
    tokio::task::spawn_local(async move {
        while let Ok((stream, _)) = listener.accept().await {
            counted.set(counted.get() + 1);
            let serving = hyper::server::conn::http2::Builder::new(TokioExecutor::new())
                .serve_connection(TokioIo::new(stream), service_fn(echo));
            tokio::task::spawn_local(serving);
        }
    });
    (address, connections)
}

/// Sends a request, with no limits but those of the upstream.
pub(super) async fn sent(
    client: &Arc<Client>,
    upstream: &Upstream,
    message: Message<'_>,
    body: Outgoing,
) -> Result<(ResponseHead, ResponseBody), SendError> {
    let order = Order {
        client,
        upstream,
        times: Times::new(Instant::now()),
        message,
    };
    let picked = upstream.pick(client, None, &Tried::default()).unwrap();
    send(&order, picked, body).await
}

#[test]
fn a_request_goes_over_http_2_and_the_next_over_the_same_connection() {
    run(async {
        let (address, connections) = server().await;
        let mut config = configured("h2", &[&address.to_string()]);
        config.protocol = Protocol::H2;
        let metrics = Metrics::new(1);
        let upstream = registered(&Registry::default(), &config, &metrics);
        let client = Arc::new(Client::default());
        let mut headers = HeaderMap::new();
        headers.insert("content-length", HeaderValue::from_static("9"));
        for path in ["/one?a=b", "/two"] {
            let path = PathAndQuery::from_static(path);
            let message = Message::new(&Method::POST, &path, &headers);
            let body = Outgoing::full(Bytes::from_static(b"body"));
            let (head, body) = sent(&client, &upstream, message, body).await.unwrap();
            assert_eq!(head.status, StatusCode::OK);
            assert_eq!(head.headers["x-seen"], "1");
            assert_eq!(first(&upstream).in_flight.sum(), 1);
            let body = body.collect().await.unwrap().to_bytes();
            assert_eq!(body, format!("POST http://{address}{path} body"));
            assert_eq!(first(&upstream).in_flight.sum(), 0);
        }
        assert_eq!(connections.get(), 1);
        let text = metrics.text();
        assert!(
            text.contains("gateway_upstream_requests_total{upstream=\"h2\"} 2"),
            "{text}"
        );
    });
}

#[test]
fn an_endpoint_where_nothing_listens_is_a_connect_failure_and_nothing_was_sent() {
    run(async {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = free.local_addr().unwrap();
        drop(free);
        let mut config = configured("h2", &[&address.to_string()]);
        config.protocol = Protocol::H2;
        let upstream = registered(&Registry::default(), &config, &Metrics::new(1));
        let client = Arc::new(Client::default());
        let (path, headers) = (PathAndQuery::from_static("/"), HeaderMap::new());
        let message = Message::new(&Method::GET, &path, &headers);
        let sent = sent(&client, &upstream, message, Outgoing::Empty).await;
        let error = sent.unwrap_err();
        assert_eq!((error.kind.name(), error.sent), ("connect", false));
    });
}

/// Both ends of a TLS connection over loopback.
async fn tls() -> (Stream, tokio_rustls::server::TlsStream<TcpStream>) {
    let made = rcgen::generate_simple_self_signed(vec!["upstream.test".to_owned()]).unwrap();
    let der = made.cert.der().clone();
    let key = rustls_pki_types::PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let server = rustls::ServerConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![der.clone()], key)
        .unwrap();
    let mut roots = rustls::RootCertStore::empty();
    roots.add(der).unwrap();
    let client = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let tcp = TcpStream::connect(listener.local_addr().unwrap())
        .await
        .unwrap();
    let (accepted, _) = listener.accept().await.unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(server));
    let connector = tokio_rustls::TlsConnector::from(Arc::new(client));
    let name = "upstream.test".try_into().unwrap();
    let (client, server) = tokio::join!(
        connector.connect(name, tcp.into()),
        acceptor.accept(accepted)
    );
    (
        Stream::Tls(Box::new(client.unwrap().into())),
        server.unwrap(),
    )
}

#[test]
fn a_connection_of_http_1_is_the_same_over_tls_and_is_kept() {
    run(async {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

        let (io, mut server) = tls().await;
        tokio::task::spawn_local(async move {
            let mut read = [0; 1024];
            let length = server.read(&mut read).await.unwrap();
            assert!(read[..length].starts_with(b"GET /x HTTP/1.1\r\nhost: [::1]:1\r\n"));
            let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nover";
            server.write_all(answer).await.unwrap();
            server.read(&mut read).await
        });
        let (client, upstream) = (Arc::new(Client::default()), upstream(&["[::1]:1"]));
        let picked = upstream.pick(&client, None, &Tried::default()).unwrap();
        let open = upstream.state.places.take().unwrap();
        let connection = Connection::over(io, &client, &upstream, picked.endpoint(), open);
        let (path, headers) = (PathAndQuery::from_static("/x"), HeaderMap::new());
        let authority = picked.authority.clone();
        let message = Message::new(&Method::GET, &path, &headers).to(&authority);
        let sending = Sending::new(&message, Outgoing::Empty, false, Vec::new());
        let mut attempt = Attempt::new(&client, connection, sending, Instant::now(), None);
        let limit = PATIENCE;
        let mut silence = times::Silence::Elsewhere;
        let answered =
            std::future::poll_fn(|cx| attempt.poll(cx, &Method::GET, limit, None, &mut silence));
        let (head, rest) = answered.await.unwrap();
        let (_, body) = attempt.answer(head, rest, None, limit, picked).unwrap();
        assert_eq!(body.collect().await.unwrap().to_bytes(), "over");
        assert!(
            client
                .take(first(&upstream), None, Instant::now())
                .is_some()
        );
    });
}

/// A connection over this stream comes to rest.
fn give_back(io: Stream, client: &Arc<Client>, upstream: &Upstream) {
    let open = upstream.state.places.take().unwrap();
    Connection::over(io, client, upstream, first(upstream), open).give_back();
}

/// Waits until the kernel holds something for this end of a connection. The event loop has no turn meanwhile.
fn arrived(socket: &Socket) {
    let began = Instant::now();
    while socket.peek(&mut [MaybeUninit::uninit()]).is_err() {
        assert!(began.elapsed() < PATIENCE, "nothing came");
        std::thread::yield_now();
    }
}

/// Another handle of the same socket.
fn handle(io: &Stream) -> Socket {
    SockRef::from(io.socket()).try_clone().unwrap()
}

/// Whether a kept connection is taken for a request.
fn takes(client: &Client, upstream: &Upstream) -> bool {
    let taken = client.take(first(upstream), None, Instant::now());
    taken.is_some()
}

/// Both ends of a connection over loopback, or of a unix socket, of which the runtime knows one.
async fn pair(unix: bool) -> (Stream, Socket) {
    if unix {
        let (near, peer) = std::os::unix::net::UnixStream::pair().unwrap();
        near.set_nonblocking(true).unwrap();
        let near = tokio::net::UnixStream::from_std(near).unwrap();
        return (Stream::Plain(near.into()), peer.into());
    }
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let tcp = TcpStream::connect(listener.local_addr().unwrap()).await;
    let (peer, _) = listener.accept().unwrap();
    (Stream::Plain(tcp.unwrap().into()), peer.into())
}

#[test]
fn what_the_event_loop_has_not_heard_yet_is_not_quiet() {
    run(async {
        use std::io::Write as _;

        let cases = [
            (Some("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"), false),
            (Some("\n"), false),
            (Some("HTTP/1.1 408 Request Timeout\r\n\r\n"), true),
            (None, true),
        ];
        let cases = cases.into_iter().flat_map(|it| [(false, it), (true, it)]);
        for (unix, (sent, trusted)) in cases {
            let (client, upstream) = (Arc::new(Client::default()), upstream(&["[::1]:1"]));
            let (quiet, _peer) = pair(unix).await;
            give_back(quiet, &client, &upstream);
            let (noisy, mut peer) = pair(unix).await;
            let socket = handle(&noisy);
            give_back(noisy, &client, &upstream);
            // From here the event loop has no turn. The connection that was used last is asked first.
            match sent {
                Some(sent) => peer.write_all(sent.as_bytes()).unwrap(),
                None => drop(peer),
            }
            arrived(&socket);
            assert_eq!(takes(&client, &upstream), trusted, "{sent:?}");
            assert!(!takes(&client, &upstream), "{sent:?}: none is left");
            assert_eq!(first(&upstream).is_trusted(Instant::now()), trusted);
        }
    });
}

#[test]
fn no_connection_is_kept_to_an_endpoint_that_sent_surplus() {
    run(async {
        let (client, upstream) = (Arc::new(Client::default()), upstream(&["[::1]:1"]));
        let (io, _peer) = pair(false).await;
        give_back(io, &client, &upstream);
        first(&upstream).distrust(Instant::now());
        assert!(!takes(&client, &upstream), "one from before");
        let (io, _peer) = pair(false).await;
        give_back(io, &client, &upstream);
        client.sweep();
        assert!(!takes(&client, &upstream), "one from after");
    });
}

#[test]
fn over_tls_only_what_is_not_of_tls_itself_waits() {
    run(async {
        use tokio::io::AsyncWriteExt as _;

        let (client, upstream) = (Arc::new(Client::default()), upstream(&["[::1]:1"]));
        // The server has sent session tickets, which nothing has read.
        let (io, mut server) = tls().await;
        let socket = handle(&io);
        give_back(io, &client, &upstream);
        arrived(&socket);
        let taken = client.take(first(&upstream), None, Instant::now());
        taken.expect("tickets are no answer").give_back();
        server.write_all(b"HTTP/1.1 200 OK\r\n").await.unwrap();
        server.flush().await.unwrap();
        arrived(&socket);
        assert!(!takes(&client, &upstream), "an answer is one");
        assert!(!first(&upstream).is_trusted(Instant::now()));

        let (client, upstream) = (Arc::new(Client::default()), self::upstream(&["[::1]:1"]));
        let (io, mut server) = tls().await;
        let socket = handle(&io);
        give_back(io, &client, &upstream);
        server.shutdown().await.unwrap();
        arrived(&socket);
        assert!(!takes(&client, &upstream), "the end");
        assert!(first(&upstream).is_trusted(Instant::now()));
    });
}

/// Answers one request; what it was, and the connection.
async fn once(listener: TcpListener) -> (String, TcpStream) {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    let (mut stream, _) = listener.accept().await.unwrap();
    let mut read = [0; 1024];
    let length = stream.read(&mut read).await.unwrap();
    let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
    stream.write_all(answer).await.unwrap();
    let text = String::from_utf8_lossy(&read[..length]).into_owned();
    (text, stream)
}

#[test]
fn a_sub_request_whose_body_may_be_left_unread_ends_its_connection() {
    run(async {
        for (method, ends) in [(Method::GET, true), (Method::POST, false)] {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            let answering = tokio::task::spawn_local(once(listener));
            let (client, upstream) = (
                Arc::new(Client::default()),
                upstream(&[&address.to_string()]),
            );
            let request = Request::builder().method(method.clone()).uri("/x");
            let sub = SubRequest {
                upstream: upstream.clone(),
                key: None,
                request: request.body(Bytes::from_static(b"body")).unwrap(),
                depth: 1,
                body_limit: 1024,
                deadline: Instant::now() + PATIENCE,
                span: tracing::Span::none(),
            };
            fetch(client.clone(), sub).await.unwrap();
            let (sent, _open) = answering.await.unwrap();
            assert_eq!(sent.contains("\r\nconnection: close\r\n"), ends, "{sent}");
            assert_eq!(takes(&client, &upstream), !ends, "{method}");
        }
    });
}
