//! Copies of requests for another upstream: `mirror` of a route.
//!
//! A copy is the request as it leaves, sent by a task of its own on the same worker. Nothing waits for it, at a drain
//! neither, and whatever becomes of it is counted and said, and changes nothing for the request.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue, Method};
use http_body_util::BodyExt as _;
use tokio::time::timeout_at;

use super::attempt;
use crate::exchange::{Mirror, Parts, Route, View};
use crate::message::body::{BodyCopy, BodyFault, Outgoing, Uncopied};
use crate::message::depth::TooDeep;
use crate::message::error::ErrorKind;
use crate::telemetry::metrics::UnderWay;
use crate::upstream::{
    self, Message, Order, Picked, ResponseBody, SendError, Times, Tried, Upstream,
};

/// How much of an answer is read, in bytes, so that its connection can be kept; that of a longer one is closed.
const READ: usize = 1 << 20;

/// Has the mirrors of the route send copies of a request that leaves with this body, and this Host or else that of the
/// endpoint: soon where the body is held, else when all of it has passed. The body as it goes on.
pub(super) fn copied(
    exchange: &Parts,
    view: &View,
    host: Option<&HeaderValue>,
    mut body: Outgoing,
) -> Outgoing {
    for (at, mirror) in exchange.route.mirrors.iter().enumerate() {
        let Mirror {
            config, metrics, ..
        } = mirror;
        if fastrand::f64() >= config.ratio {
            continue;
        }
        let upstream = view.upstream(config.upstream);
        let Some(under_way) = metrics.begin(config.max_concurrent) else {
            dropped(&exchange.route, mirror, upstream, Dropped::TooMany);
            continue;
        };
        let copy;
        (body, copy) = body.tee(config.max_body);
        let copy = match copy {
            Ok(copy) => copy,
            Err(why) => {
                dropped(&exchange.route, mirror, upstream, why.into());
                continue;
            }
        };
        let copied = Copy {
            route: exchange.route.clone(),
            mirror: at,
            client: view.client.clone(),
            upstream: upstream.clone(),
            method: exchange.request.method.clone(),
            path: exchange.request.path.clone(),
            host: host.cloned(),
            headers: exchange.request.headers.clone(),
            depth: exchange.client.depth,
            key: attempt::key(exchange, upstream),
            _under_way: under_way,
        };
        tokio::task::spawn_local(copied.send(copy));
    }
    body
}

/// The copy of a request, without its body.
struct Copy {
    route: Arc<Route>,
    /// Which of the route's.
    mirror: usize,
    client: Arc<upstream::Client>,
    upstream: Arc<Upstream>,
    method: Method,
    path: PathAndQuery,
    host: Option<HeaderValue>,
    headers: HeaderMap,
    depth: u8,
    /// What leads it to an endpoint there.
    key: Option<u64>,
    _under_way: UnderWay,
}

impl Copy {
    /// Sends it once its body is there, and reads the answer, which nobody gets.
    async fn send(self, body: BodyCopy) {
        let Self {
            route, upstream, ..
        } = &self;
        let mirror = &route.mirrors[self.mirror];
        let body = match body.whole().await {
            Ok(body) => body,
            Err(why) => return dropped(route, mirror, upstream, why.into()),
        };
        let picked = match self.pick() {
            Ok(picked) => picked,
            Err(why) => return dropped(route, mirror, upstream, why),
        };
        mirror.metrics.sent();
        let patience = self.patience();
        let until = Instant::now() + patience;
        let Failed { kind, why } = match self.exchange(picked, body, until).await {
            Ok(()) => return,
            Err(failed) if failed.kind == ErrorKind::UpstreamTimeout && until <= Instant::now() => {
                let why = format!("it was not over within {patience:?}");
                Failed { why, ..failed }
            }
            Err(failed) => failed,
        };
        mirror.metrics.failed(kind);
        if let Some(suppressed) = mirror.failures.pass() {
            let (route, upstream, kind) = (&route.name, &upstream.name, kind.name());
            tracing::warn!(%route, %upstream, kind, suppressed, "the copy of a request failed: {why}");
        }
    }

    /// How long it may take: as long as an exchange of the route, or else as the upstream may wait in all.
    fn patience(&self) -> Duration {
        let upstream = &self.upstream.config;
        let waits = upstream.connect_timeout + upstream.first_byte_timeout + upstream.idle_timeout;
        self.route.config.timeout.unwrap_or(waits)
    }

    /// Where it goes, and what tells a gateway there how deep it stands.
    fn pick(&self) -> Result<(Picked, Option<HeaderValue>), Dropped> {
        let upstream = &*self.upstream;
        let pass = upstream.admit(true).map_err(|_held| Dropped::HeldBack)?;
        let picked = upstream.pick(&self.client, self.key, &Tried::default());
        let picked = picked.ok_or_else(|| {
            let _counted = upstream.refuse();
            Dropped::Nowhere
        })?;
        let picked = picked.with(pass);
        let mark = upstream.mark(&picked, self.depth);
        let mark = mark.map_err(|TooDeep| Dropped::TooDeep)?;
        Ok((picked, mark))
    }

    async fn exchange(
        &self,
        (picked, mark): (Picked, Option<HeaderValue>),
        body: Outgoing,
        until: Instant,
    ) -> Result<(), Failed> {
        let message = Message {
            host: self.host.as_ref(),
            mark: mark.as_ref(),
            ..Message::new(&self.method, &self.path, &self.headers)
        };
        // What the route says of timeouts is said of its own upstream.
        let order = Order {
            client: &self.client,
            upstream: &self.upstream,
            times: Times::new(Instant::now()).until(until),
            message,
        };
        let (_head, mut answer) = upstream::send(&order, picked, body).await?;
        match timeout_at(until.into(), discard(&mut answer)).await {
            Ok(read) => Ok(read?),
            Err(_) => {
                answer.is_late();
                let (kind, why) = (ErrorKind::UpstreamTimeout, "the answer is late".to_owned());
                Err(Failed { kind, why })
            }
        }
    }
}

/// Reads an answer to its end, or as much of it as is worth it.
async fn discard(answer: &mut ResponseBody) -> Result<(), BodyFault> {
    let mut read = 0;
    while let Some(frame) = answer.frame().await {
        read += frame?.data_ref().map_or(0, Bytes::len);
        if read > READ {
            break;
        }
    }
    Ok(())
}

/// Why a copy has no whole answer.
struct Failed {
    kind: ErrorKind,
    why: String,
}

impl From<SendError> for Failed {
    fn from(error: SendError) -> Self {
        let (kind, why) = (error.kind, error.why);
        Self { kind, why }
    }
}

impl From<BodyFault> for Failed {
    fn from(fault: BodyFault) -> Self {
        let (kind, why) = (fault.of_response(), format!("the answer: {fault}"));
        Self { kind, why }
    }
}

/// Why a copy does not go out.
#[derive(Clone, Copy)]
enum Dropped {
    TooMany,
    TooLarge,
    Incomplete,
    HeldBack,
    Nowhere,
    TooDeep,
}

impl From<Uncopied> for Dropped {
    fn from(why: Uncopied) -> Self {
        match why {
            Uncopied::TooLarge => Self::TooLarge,
            Uncopied::Incomplete => Self::Incomplete,
        }
    }
}

/// Counts a copy that does not go out, and says so where an operator can change it.
fn dropped(route: &Route, mirror: &Mirror, upstream: &Upstream, why: Dropped) {
    let (reason, remedy) = match why {
        Dropped::TooMany => (
            "too_many",
            Some("as many are under way as `max_concurrent` allows"),
        ),
        Dropped::TooLarge => ("too_large", Some("its body is larger than `max_body`")),
        // The client left, or the upstream did not read on.
        Dropped::Incomplete => ("incomplete", None),
        Dropped::HeldBack => (
            "breaker",
            Some("the breaker of the upstream lets nothing out"),
        ),
        Dropped::Nowhere => (
            "no_endpoint",
            Some("the upstream has no endpoint that may be asked"),
        ),
        Dropped::TooDeep => ("loop", Some("it came through too many gateways already")),
    };
    mirror.metrics.dropped(reason);
    if let Some(remedy) = remedy
        && let Some(suppressed) = mirror.drops.pass()
    {
        let (route, upstream) = (&route.name, &upstream.name);
        tracing::warn!(%route, %upstream, reason, suppressed, "a request is not copied: {remedy}");
    }
}
