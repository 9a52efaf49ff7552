//! The same response as hyper's client reads it.

use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Empty};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};

use super::head::MAX_FIELDS;

/// What hyper read.
#[derive(Debug, Default)]
pub(super) struct HyperReading {
    pub(super) head: Option<(StatusCode, HeaderMap)>,
    pub(super) body: Vec<u8>,
    pub(super) trailers: Option<HeaderMap>,
    /// Whether it found the end of the message.
    pub(super) ended: bool,
}

/// Has hyper read what an upstream sends, and then closes, after a request.
pub(super) fn hyper_reads(sent: &[u8], method: &Method) -> HyperReading {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .expect("a runtime without drivers needs nothing of the system");
    let (client, upstream) = tokio::io::duplex(64 << 10);
    runtime.spawn(serve(upstream, sent.to_vec()));
    runtime.block_on(ask(client, method.clone()))
}

/// Waits for the request, answers, closes.
async fn serve(mut upstream: DuplexStream, sent: Vec<u8>) {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        if upstream.read_buf(&mut request).await.unwrap_or(0) == 0 {
            return;
        }
    }
    // A client that refuses the answer takes no more of it.
    let _taken = upstream.write_all(&sent).await;
}

async fn ask(io: DuplexStream, method: Method) -> HyperReading {
    let mut reading = HyperReading::default();
    let mut builder = http1::Builder::new();
    let builder = builder.max_headers(MAX_FIELDS);
    let Ok((mut sender, connection)) = builder.handshake(TokioIo::new(io)).await else {
        return reading;
    };
    tokio::spawn(connection);
    let request = Request::builder()
        .method(method)
        .uri("/")
        .header("host", "a")
        .body(Empty::<Bytes>::new())
        .expect("the request is a sound one");
    let Ok(response) = sender.send_request(request).await else {
        return reading;
    };
    let (parts, mut body) = response.into_parts();
    reading.head = Some((parts.status, parts.headers));
    while let Some(frame) = body.frame().await {
        let Ok(frame) = frame else {
            return reading;
        };
        match frame.into_data() {
            Ok(data) => reading.body.extend_from_slice(&data),
            Err(frame) => reading.trailers = frame.into_trailers().ok(),
        }
    }
    reading.ended = true;
    reading
}
