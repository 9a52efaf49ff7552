//! One check of an endpoint's health, over a connection of its own, which ends with it.
//!
//! It is no request of the upstream: it takes none of its places, and nothing of it is counted or judged as one. So a
//! pool that is full makes no endpoint look ill.

mod bounded;
mod grpc;

use std::pin::pin;
use std::sync::{Arc, Weak};
use std::time::Instant;

use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_TYPE, HOST, TE, USER_AGENT};
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use tokio::task::JoinSet;

use self::bounded::{Bounded, Informational};
use crate::config::{Check, Health, HttpCheck, Protocol};
use crate::message::target::Target;
use crate::net::Stream;
use crate::upstream::connect::connect_to;
use crate::upstream::endpoint::Endpoint;
use crate::upstream::error::SendError;
use crate::upstream::group::Upstream;
use crate::upstream::times::Times;

/// Who asks, unless a field of the configuration says otherwise.
const ASKS: HeaderValue =
    HeaderValue::from_static(concat!("gateway-health-check/", env!("CARGO_PKG_VERSION")));

/// What an endpoint answers.
type Answer = Response<Incoming>;

/// The most of an answer of gRPC that is read: a status has a few bytes.
const LARGEST: usize = 16 << 10;

/// Checks once, for as long as it may take. Dropped, it closes the connection. None where this process lacks what it needs
/// to ask.
///
/// # Errors
/// What an endpoint that is well would not have done, for people.
pub(super) async fn check(
    upstream: &Upstream,
    endpoint: &Endpoint,
    health: &Health,
) -> Option<Result<(), String>> {
    let checking = async {
        match connect(upstream, endpoint, health).await {
            Ok(io) => Some(ask(io, upstream, endpoint, health).await),
            Err(error) if error.blameless => None,
            Err(error) => Some(Err(error.why)),
        }
    };
    let checked = tokio::time::timeout(health.timeout, checking).await;
    checked.unwrap_or_else(|_| Some(Err(format!("no answer within {:?}", health.timeout))))
}

async fn connect(
    upstream: &Upstream,
    endpoint: &Endpoint,
    health: &Health,
) -> Result<Stream, SendError> {
    let target = target(endpoint, health);
    let now = Instant::now();
    let times = Times {
        now,
        deadline: now.checked_add(health.timeout),
        patience: None,
        own: None,
    };
    connect_to(
        &target,
        protocol(upstream, health),
        upstream,
        endpoint,
        times,
    )
    .await
}

fn protocol(upstream: &Upstream, health: &Health) -> Protocol {
    match &health.check {
        Check::Tcp | Check::Http(_) => upstream.config.protocol,
        Check::Grpc { .. } => Protocol::H2,
    }
}

async fn ask(
    io: Stream,
    upstream: &Upstream,
    endpoint: &Endpoint,
    health: &Health,
) -> Result<(), String> {
    let target = target(endpoint, health);
    match &health.check {
        Check::Tcp => Ok(()),
        Check::Http(check) => {
            let authority = authority(endpoint, &target, check.host.as_ref());
            let protocol = protocol(upstream, health);
            let is_h2 = protocol == Protocol::H2 || io.agreed() == Some(b"h2");
            let status = match is_h2 {
                false => over_h1(io, authority, check).await?,
                true => {
                    let uri = absolute(&io, &authority, check.path.clone())?;
                    let request = request(&check.method, uri, &check.headers);
                    over_h2(io, request, async |answer| Ok(answer.status())).await?
                }
            };
            let is_expected = check.expect.iter().any(|it| it.contains(&status.as_u16()));
            match is_expected {
                true => Ok(()),
                false => Err(format!("it answered {}", status.as_u16())),
            }
        }
        Check::Grpc {
            service,
            host,
            headers,
        } => {
            let authority = authority(endpoint, &target, host.as_ref());
            over_grpc(io, &authority, service, headers).await
        }
    }
}

/// Where the endpoint is asked.
fn target(endpoint: &Endpoint, health: &Health) -> Target {
    let mut target = endpoint.target.clone();
    if let (Target::Tcp(address), Some(port)) = (&mut target, health.port) {
        address.set_port(port);
    }
    target
}

/// The `Host` of a check.
fn authority(endpoint: &Endpoint, target: &Target, host: Option<&HeaderValue>) -> HeaderValue {
    let address = || HeaderValue::try_from(target.to_string()).ok();
    host.cloned()
        .or_else(|| address().filter(|_| *target != endpoint.target))
        .unwrap_or_else(|| endpoint.authority.clone())
}

async fn over_h1(
    io: Stream,
    authority: HeaderValue,
    check: &HttpCheck,
) -> Result<StatusCode, String> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(Bounded::new(io)))
        .await
        .map_err(told)?;
    let mut request = request(&check.method, Uri::from(check.path.clone()), &check.headers);
    request.headers_mut().insert(HOST, authority);
    let close = HeaderValue::from_static("close");
    request.headers_mut().insert(CONNECTION, close);
    let informational = Informational::of(&mut request);
    let asking = async { sender.send_request(request).await.map_err(told) };
    let answer = tokio::select! {
        answer = driven(asking, connection) => answer,
        surplus = informational.too_many() => surplus,
    };
    let answer = answer.map_err(|why| informational.explain(why))?;
    Ok(answer.status())
}

async fn over_h2<T>(
    io: Stream,
    mut request: Request<Full<Bytes>>,
    read: impl AsyncFnOnce(Answer) -> Result<T, String>,
) -> Result<T, String> {
    // What hyper runs beside the answer ends with the check, also where the endpoint takes nothing.
    let beside = Arc::<Mutex<JoinSet<()>>>::default();
    let informational = Informational::of(&mut request);
    let io = TokioIo::new(Bounded::new(io));
    let handshake = http2::handshake(Beside(Arc::downgrade(&beside)), io);
    let (mut sender, connection) = handshake.await.map_err(told)?;
    let asking = async {
        let answer = sender.send_request(request).await.map_err(told)?;
        read(answer).await
    };
    let answer = tokio::select! {
        answer = driven(asking, connection) => answer,
        surplus = informational.too_many() => surplus,
    };
    answer.map_err(|why| informational.explain(why))
}

/// Runs what hyper needs as long as a check lasts.
#[derive(Debug, Clone)]
struct Beside(Weak<Mutex<JoinSet<()>>>);

impl<F: Future<Output = ()> + Send + 'static> hyper::rt::Executor<F> for Beside {
    fn execute(&self, task: F) {
        if let Some(tasks) = self.0.upgrade() {
            tasks.lock().spawn(task);
        }
    }
}

/// The verdict of `grpc.health.v1.Health/Check`.
async fn over_grpc(
    io: Stream,
    authority: &HeaderValue,
    service: &str,
    headers: &HeaderMap,
) -> Result<(), String> {
    let path = PathAndQuery::from_static("/grpc.health.v1.Health/Check");
    let uri = absolute(&io, authority, path)?;
    let mut request = request(&Method::POST, uri, headers);
    let fields = request.headers_mut();
    fields.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    fields.insert(TE, HeaderValue::from_static("trailers"));
    *request.body_mut() = Full::from(grpc::question(service));
    over_h2(io, request, async |answer| {
        let (head, body) = answer.into_parts();
        if head.status != StatusCode::OK {
            return Err(format!("it answered {}", head.status.as_u16()));
        }
        let body = Limited::new(body, LARGEST).collect().await;
        let body = body.map_err(|error| format!("the answer broke off: {error}"))?;
        // Where there is no message, the status stands in the head.
        let trailers = body.trailers().unwrap_or(&head.headers).clone();
        grpc::verdict(&trailers, &body.to_bytes())
    })
    .await
}

/// A request without a body.
fn request(method: &Method, uri: Uri, headers: &HeaderMap) -> Request<Full<Bytes>> {
    let mut request = Request::new(Full::default());
    *request.method_mut() = method.clone();
    *request.uri_mut() = uri;
    *request.headers_mut() = headers.clone();
    request.headers_mut().entry(USER_AGENT).or_insert(ASKS);
    request
}

/// As HTTP/2 has it, which has no Host.
fn absolute(io: &Stream, authority: &HeaderValue, path: PathAndQuery) -> Result<Uri, String> {
    let scheme = match io {
        Stream::Tls(_) => "https",
        _ => "http",
    };
    Uri::builder()
        .scheme(scheme)
        .authority(authority.as_bytes())
        .path_and_query(path)
        .build()
        .map_err(|error| format!("the check has no URL: {error}"))
}

/// Drives a connection as long as something is asked over it.
async fn driven<T>(
    asking: impl Future<Output = T>,
    connection: impl Future<Output = hyper::Result<()>>,
) -> T {
    let (mut asking, connection) = (pin!(asking), pin!(connection));
    tokio::select! {
        biased;
        asked = &mut asking => return asked,
        // What became of it, the one who asks is told.
        _ = connection => {}
    }
    asking.await
}

/// With what lies behind it: hyper's own words for HTTP/2 are two.
fn told(error: hyper::Error) -> String {
    match std::error::Error::source(&error) {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}
