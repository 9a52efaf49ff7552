//! A hyper client over one connection, HTTP/1.1 or HTTP/2, over whatever carries bytes.

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncRead, AsyncWrite};

/// A body to send.
pub(crate) type Body = UnsyncBoxBody<Bytes, std::io::Error>;

/// One connection.
pub(crate) struct Client {
    sender: Sender,
    scheme: &'static str,
}

enum Sender {
    H1(http1::SendRequest<Body>),
    H2(http2::SendRequest<Body>),
}

impl Client {
    /// Speaks HTTP/2 or HTTP/1.1 on a stream, which is TLS if `scheme` is `https`.
    pub(crate) async fn new(
        io: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        h2: bool,
        scheme: &'static str,
    ) -> Self {
        let io = TokioIo::new(io);
        let sender = if h2 {
            let (sender, connection) = http2::handshake(TokioExecutor::new(), io).await.unwrap();
            tokio::spawn(connection);
            Sender::H2(sender)
        } else {
            let (sender, connection) = http1::handshake(io).await.unwrap();
            tokio::spawn(connection);
            Sender::H1(sender)
        };
        Self { sender, scheme }
    }

    /// Sends a request whose target is an absolute path, to `host`.
    pub(crate) async fn send(
        &mut self,
        host: &str,
        mut request: Request<Body>,
    ) -> hyper::Result<Response<Incoming>> {
        match &mut self.sender {
            Sender::H1(sender) => {
                sender.ready().await?;
                request
                    .headers_mut()
                    .insert("host", host.try_into().unwrap());
                sender.send_request(request).await
            }
            Sender::H2(sender) => {
                sender.ready().await?;
                let target = format!("{}://{host}{}", self.scheme, request.uri());
                *request.uri_mut() = target.try_into().unwrap();
                sender.send_request(request).await
            }
        }
    }

    /// A GET, with its whole answer.
    pub(crate) async fn get(
        &mut self,
        host: &str,
        path: &str,
        headers: &[(&str, &str)],
    ) -> Response<Bytes> {
        let mut request = Request::get(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(whole(Bytes::new())).unwrap();
        let (head, body) = self.send(host, request).await.unwrap().into_parts();
        Response::from_parts(head, body.collect().await.unwrap().to_bytes())
    }
}

/// A body that is there already.
pub(crate) fn whole(bytes: Bytes) -> Body {
    Full::new(bytes)
        .map_err(|never| match never {})
        .boxed_unsync()
}

/// Runs a test that awaits things.
pub(crate) fn run<T>(test: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let limited = async { tokio::time::timeout(super::gateway::PATIENCE * 4, test).await };
    runtime.block_on(limited).unwrap()
}
