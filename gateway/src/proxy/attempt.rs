//! One request to one endpoint of an upstream, and the head of its answer.

use std::future::poll_fn;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::header::{SET_COOKIE, UPGRADE, VIA};
use http::{HeaderValue, StatusCode, Version};
use tracing::Instrument;

use super::answer::{Answer, Source};
use super::passage::Passage;
use super::public;
use super::upgrade::Requested;
use crate::clock;
use crate::config::{HostRewrite, Protocol};
use crate::error::Error;
use crate::exchange::Parts;
use crate::message::body::{Outgoing, Progress};
use crate::message::depth::TooDeep;
use crate::message::error::ErrorKind;
use crate::message::head::ResponseHead;
use crate::message::interim::Interim;
use crate::message::via::Via;
use crate::message::{headers, media, upgrade};
use crate::server::connection::Connection;
use crate::telemetry::span;
use crate::upstream::{
    self, Asked, Held, Message, Order, Picked, SendError, Times, Tried, Upstream,
};

/// What the connection of a client has to do with the way to an upstream.
#[derive(Clone, Copy)]
pub(super) struct Hop<'a> {
    /// The protocols that the client would switch to.
    upgrade: Option<&'a HeaderValue>,
    /// Takes informational responses.
    interim: Option<&'a Interim>,
    /// What the listener says in Via.
    via: Option<&'a Via>,
}

impl<'a> Hop<'a> {
    #[inline]
    pub(super) fn new(
        connection: &'a Connection,
        interim: Option<&'a Interim>,
        upgrade: Option<&'a Requested>,
    ) -> Self {
        Self {
            upgrade: upgrade.map(|upgrade| &upgrade.protocols),
            interim: interim.or_else(|| connection.interim()),
            via: connection.listener.config.via.as_ref(),
        }
    }

    /// Whether the client would switch protocols.
    #[inline]
    pub(super) fn is_upgrade(self) -> bool {
        self.upgrade.is_some()
    }

    /// What goes through a tunnel no plugin can read: where one must, none is asked for. What comes before an answer none
    /// can edit: where one edits answers, nothing passes. Plugins that are left out do neither.
    #[inline]
    pub(super) fn beside_plugins(self, passage: &Passage) -> Self {
        let (route, decisions) = (&passage.route, passage.decisions);
        let edited =
            decisions.keeps_any(&route.on_response) || decisions.keeps_any(&route.response_stream);
        let takes = !edited && passage.client.version >= Version::HTTP_11;
        let reads = decisions.keeps_any(&route.body_readers);
        Self {
            upgrade: self.upgrade.filter(|_| !reads),
            interim: self.interim.filter(|_| takes),
            via: self.via,
        }
    }

    /// The head of a request as it leaves.
    #[inline]
    fn message(self, exchange: &'a Parts, mark: Option<&'a HeaderValue>) -> Message<'a> {
        Message {
            method: &exchange.request.method,
            path: &exchange.request.path,
            host: host(exchange),
            headers: &exchange.request.headers,
            mark,
            upgrade: self.upgrade,
            // Edits of plugins wait for the answer: what comes before it would go around them.
            interim: self.interim.filter(|_| exchange.response.edits.is_empty()),
        }
    }

    /// Waits until the client was sent what came before the answer.
    async fn informed(self) {
        if let Some(interim) = self.interim
            && interim.is_waiting()
        {
            Box::pin(poll_fn(|cx| interim.poll_written(cx))).await;
        }
    }
}

/// A request without an answer, and what that means for another try.
#[derive(Debug)]
pub(super) struct Undelivered {
    /// Why there is none.
    pub(super) error: Error,
    /// Whether a byte of it may have reached the upstream.
    pub(super) sent: bool,
    /// Its body, where nothing of it was taken.
    pub(super) body: Option<Outgoing>,
}

/// What came of an attempt, for the log.
pub(super) fn in_short(outcome: &Result<Answer, Box<Undelivered>>) -> Result<StatusCode, &Error> {
    match outcome {
        Ok(answer) => Ok(answer.head.status),
        Err(failed) => Err(&failed.error),
    }
}

impl Undelivered {
    /// It did not even leave.
    #[cold]
    fn unsent(error: Error, body: Outgoing) -> Box<Self> {
        Box::new(Self {
            error,
            sent: false,
            body: Some(body),
        })
    }
}

/// The breaker of the upstream lets nothing out.
#[cold]
fn refused(upstream: &Upstream, held: Held) -> Error {
    let name = upstream.name.to_string();
    match held {
        Held::Open(left) => Error::BreakerOpen(name, left),
        Held::HalfOpen => Error::BreakerOpen(name, Duration::ZERO),
        Held::Full(_) => Error::Saturated(name, held.to_string()),
    }
}

impl From<Box<Undelivered>> for Box<Error> {
    fn from(undelivered: Box<Undelivered>) -> Self {
        Self::new(undelivered.error)
    }
}

impl From<Box<Error>> for Box<Undelivered> {
    /// It did not even leave.
    fn from(error: Box<Error>) -> Self {
        Self::new(Undelivered {
            error: *error,
            sent: false,
            body: None,
        })
    }
}

/// The way to an upstream.
#[derive(Clone, Copy)]
pub(super) struct Way<'a> {
    pub(super) upstream: &'a Upstream,
    pub(super) client: &'a Arc<upstream::Client>,
    pub(super) hop: Hop<'a>,
    pub(super) progress: &'a Progress,
}

/// One of the times that a request is sent.
pub(super) struct Try<'a> {
    body: Outgoing,
    /// Endpoints that it was sent to, to which this adds one.
    tried: Option<&'a mut Tried>,
    /// How long it may take, up to the head of the answer.
    patience: Option<Duration>,
}

impl<'a> Try<'a> {
    /// The only one.
    pub(super) fn once(body: Outgoing) -> Self {
        Self {
            body,
            tried: None,
            patience: None,
        }
    }

    /// One of several.
    pub(super) fn of_several(
        body: Outgoing,
        tried: &'a mut Tried,
        patience: Option<Duration>,
    ) -> Self {
        let tried = Some(tried);
        Self {
            body,
            tried,
            patience,
        }
    }
}

impl Try<'_> {
    /// Now. The pause before another attempt is nobody's.
    #[inline]
    fn begins(&self) -> Instant {
        match &self.tried {
            None => clock::recent(),
            Some(_) => clock::now(),
        }
    }
}

impl Way<'_> {
    /// The endpoint for a request, if the breaker lets it out.
    #[inline]
    fn pick(
        self,
        key: Option<u64>,
        body: &Outgoing,
        tried: Option<&mut Tried>,
    ) -> Result<Picked, Error> {
        let upstream = self.upstream;
        let whole = matches!(body, Outgoing::Empty | Outgoing::Full(_));
        let pass = upstream
            .admit(whole)
            .map_err(|held| refused(upstream, held))?;
        let picked = match tried {
            None => upstream.pick(self.client, key, &Tried::default()),
            Some(tried) => upstream.pick_another(self.client, key, tried),
        };
        match picked {
            Some(picked) => Ok(picked.with(pass)),
            None => {
                let (name, why) = (upstream.name.to_string(), upstream.refuse().why);
                Err(Error::NoEndpoint(name, why))
            }
        }
    }

    /// Sends the request once.
    pub(super) async fn attempt(
        self,
        exchange: &mut Parts,
        this: Try<'_>,
    ) -> Result<Answer, Box<Undelivered>> {
        let Self {
            upstream, progress, ..
        } = self;
        let is_call =
            upstream.config.protocol != Protocol::H1 && media::is_grpc(&exchange.request.headers);
        if is_call {
            progress.may_take_its_time();
        }
        let key = key(exchange, upstream);
        let now = this.begins();
        let picked = match self.pick(key, &this.body, this.tried) {
            Ok(picked) => picked,
            Err(error) => return Err(Undelivered::unsent(error, this.body)),
        };
        let cookie = upstream.set_cookie(&picked, key, exchange.client.secure);
        let mark = upstream.mark(&picked, exchange.client.depth);
        let mark = mark.map_err(|TooDeep| Box::new(Error::Loop))?;
        // Also where it does not answer, or the client leaves before it does.
        exchange.record.asks(&picked.target);
        let order = Order {
            client: self.client,
            upstream,
            times: Times {
                now,
                deadline: exchange.deadline(),
                patience: this.patience.map(|patience| clock::now() + patience),
                own: exchange.route.config.overrides.timeouts.as_deref(),
            },
            message: self.hop.message(exchange, mark.as_ref()),
        };
        let span = span::upstream(&exchange.span, &upstream.name, &picked.target);
        let sent = match span.is_disabled() {
            true => upstream::send(&order, picked, this.body).await,
            false => {
                let sending = upstream::send(&order, picked, this.body);
                Box::pin(sending.instrument(span.clone())).await
            }
        };
        self.hop.informed().await;
        match sent {
            Ok((mut head, body)) => {
                // The client of upstreams has read the clock as the head came.
                exchange.record.upstream = Some((now, clock::recent()));
                if is_call {
                    exchange.record.grpc(&head.headers);
                }
                received(&mut head, exchange, upstream, self.hop.via, body.version());
                if let Some(cookie) = cookie {
                    head.headers.append(SET_COOKIE, cookie);
                }
                let body = Source::Upstream(body);
                Ok(Answer { head, body })
            }
            Err(mut error) => {
                span::failed(&span, error.kind);
                let (sent, body) = (error.sent, error.unsent.take());
                let error = match progress.fault() {
                    Some(fault) => Error::of_request(fault),
                    None => explain(upstream, exchange, &order.times, error),
                };
                Err(Box::new(Undelivered { error, sent, body }))
            }
        }
    }
}

/// What leads the request to an endpoint, as it leaves.
#[inline]
pub(super) fn key(exchange: &Parts, upstream: &Upstream) -> Option<u64> {
    let asked = || Asked {
        headers: &exchange.request.headers,
        query: exchange.request.path.query().unwrap_or_default(),
        client: exchange.client.address,
    };
    upstream.key(asked, |name| exchange.attributes.get(name))
}

/// Takes from the head of an answer what was for this connection, and says by which way it came.
#[inline]
fn received(
    head: &mut ResponseHead,
    exchange: &Parts,
    upstream: &Upstream,
    via: Option<&Via>,
    version: Version,
) {
    let upgrade = upgrade::told(head, exchange.client.version);
    headers::strip(&mut head.headers);
    if let Some(upgrade) = upgrade {
        head.headers.insert(UPGRADE, upgrade);
    }
    if let Some(via) = via {
        head.headers.append(VIA, via.value(version));
    }
    if let Some(rewrite) = &exchange.route.config.rewrite.answer {
        public::answer(rewrite, head, exchange, upstream, host(exchange));
    }
}

/// The Host that goes out; none for that of the endpoint.
pub(super) fn host(exchange: &Parts) -> Option<&HeaderValue> {
    match &exchange.route.config.rewrite.host {
        HostRewrite::Upstream => None,
        // A client of HTTP/1.0 may name none.
        HostRewrite::Preserve => {
            Some(&exchange.client.authority).filter(|authority| !authority.is_empty())
        }
        HostRewrite::Name(name) => Some(name),
    }
}

/// The failure in the terms of the exchange.
fn explain(upstream: &Upstream, exchange: &Parts, times: &Times<'_>, error: SendError) -> Error {
    let name = upstream.name.to_string();
    match error.kind {
        ErrorKind::Connect => Error::Connect(name, error.why),
        ErrorKind::ConnectTimeout => Error::ConnectTimeout(name, error.why),
        ErrorKind::Tls => Error::Tls(name, error.why),
        ErrorKind::NoEndpoint => Error::NoEndpoint(name, error.why),
        ErrorKind::Saturated => Error::Saturated(name, error.why),
        ErrorKind::BreakerOpen => Error::BreakerOpen(name, Duration::ZERO),
        ErrorKind::UpstreamTimeout if !error.sent => Error::UpstreamTimeout(name, error.why),
        ErrorKind::UpstreamTimeout => {
            let own = exchange.route.config.retry.as_ref();
            let per_try = own.and_then(|retry| retry.per_try);
            let limit = times.first_byte(&upstream.config);
            let limit = per_try.map_or(limit, |per_try| per_try.min(limit));
            Error::UpstreamTimeout(name, format!("no answer within {limit:?}"))
        }
        ErrorKind::Deadline => Error::Deadline(exchange.route.config.timeout.unwrap_or_default()),
        ErrorKind::HeadTooLong => Error::HeadTooLong(error.why),
        ErrorKind::BodyTooLarge => Error::BodyTooLarge,
        ErrorKind::BodyTimeout => Error::BodyTimeout,
        ErrorKind::BodyBroken => Error::BodyBroken,
        ErrorKind::Plugin => Error::PluginBody,
        ErrorKind::BadGateway
        | ErrorKind::ResponseBroken
        | ErrorKind::ResponseTooLarge
        | ErrorKind::Refused
        | ErrorKind::NoRoute
        | ErrorKind::NoAnswer
        | ErrorKind::BadRewrite
        | ErrorKind::ClientClosed
        | ErrorKind::Loop
        | ErrorKind::NoRoom
        | ErrorKind::UpgradeBroken
        | ErrorKind::Idle => Error::BadGateway(name, error.why),
    }
}
