//! One connection of HTTP/2, and the task that drives it.

use std::convert::Infallible;
use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use h2::client::{Builder, SendRequest};
use tokio::sync::oneshot;

use super::state::{Ended, STREAMS, State};
use super::wire::Wire;
use crate::message::error::ErrorKind;
use crate::net::Stream;
use crate::upstream::endpoint::Endpoint;
use crate::upstream::error::SendError;
use crate::upstream::group::Upstream;
use crate::upstream::pool::{Open, Places, Way};
use crate::upstream::tls;
use crate::upstream::tls::Tls;

/// What an endpoint may send of one answer before it is read, in bytes: as much as a client that stalls can have held here.
const STREAM_WINDOW: u32 = 128 << 10;
/// What an endpoint may send of all answers of a connection. Answers that clients do not read never use it up, which would
/// stop those beside them.
const CONNECTION_WINDOW: u32 = STREAMS as u32 * STREAM_WINDOW;
/// The size of a head, as of one over HTTP/1.
const HEAD: u32 = 64 << 10;
/// What is held of one request for an endpoint that does not take it.
const SEND_BUFFER: usize = 256 << 10;

/// A connection that requests share; it ends when the last of them has and it is not kept any more.
#[derive(Clone)]
pub(super) struct Shared {
    pub(super) requests: SendRequest<Bytes>,
    /// Its drop, behind that of the last who could send, wakes who drives the connection: h2 does not.
    _driven: Arc<oneshot::Sender<Infallible>>,
    pub(super) state: Arc<State>,
    pub(super) tls: Option<Arc<Tls>>,
    idle_timeout: Duration,
    places: Arc<Places>,
    /// Its number there.
    shift: u64,
    way: Way,
    /// What it leads to: its slot is taken as long as the connection is there.
    endpoint: Arc<Endpoint>,
}

impl Shared {
    /// Speaks HTTP/2 over a stream that is open (RFC 9113, 3.2 to 3.4), and waits until the endpoint has said how many
    /// requests it takes at once: then it speaks HTTP/2, and accepts who asks. Must be called on a local runtime.
    pub(super) async fn open(
        io: Stream,
        upstream: &Upstream,
        endpoint: &Arc<Endpoint>,
        way: Way,
        mut open: Open,
    ) -> Result<Self, SendError> {
        let state = Arc::new(State::new());
        // What waits for longer gets 503.
        let shift = open.shares(way, upstream.config.connect_timeout / 2);
        let wire = Wire::new(io, state.clone(), open);
        let handshake = Builder::new()
            .initial_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_header_list_size(HEAD)
            .max_send_buffer_size(SEND_BUFFER)
            .initial_max_send_streams(0)
            .enable_push(false)
            .handshake(wire)
            .await;
        let tls = upstream.tls.clone();
        let (requests, mut connection) = match handshake {
            Ok(both) => both,
            Err(error) => {
                return Err(unsettled(
                    endpoint,
                    &state,
                    tls.as_deref(),
                    &error.to_string(),
                ));
            }
        };
        let (told, address) = (state.clone(), endpoint.target.clone());
        let (driven, mut unwanted) = oneshot::channel::<Infallible>();
        tokio::task::spawn_local(async move {
            let mut is_wanted = true;
            let ended = poll_fn(|cx| {
                is_wanted = is_wanted && Pin::new(&mut unwanted).poll(cx).is_pending();
                let polled = Pin::new(&mut connection).poll(cx);
                let most = connection.max_concurrent_send_streams();
                told.allows(most, cx.waker());
                polled
            });
            if let Err(error) = ended.await {
                tracing::debug!(%address, %error, "a connection of HTTP/2 to an upstream failed");
            }
            told.ends();
        });
        if !state.settled().await {
            let why = "the connection ended before the endpoint spoke HTTP/2";
            return Err(unsettled(endpoint, &state, tls.as_deref(), why));
        }
        Ok(Self {
            requests,
            _driven: Arc::new(driven),
            state,
            tls,
            idle_timeout: upstream.config.pool.idle_timeout,
            places: upstream.state.places.clone(),
            shift,
            way,
            endpoint: endpoint.clone(),
        })
    }

    /// Takes a stream of it, if one is free, and it need not make way. It is given back by [`State::give_back`].
    pub(super) fn take(&self, mark: usize) -> bool {
        let is_of = tls::mark(self.tls.as_ref()) == mark;
        is_of && self.places.goes_on(self.shift) && self.state.take()
    }

    /// Takes no more requests: it closes as the last of them ends.
    pub(super) fn leave(&self) {
        self.state.ends();
        self.places.leaves(self.shift);
    }

    /// Whether it carries nothing, and somebody else waits for its place.
    pub(super) fn is_wanted(&self) -> bool {
        self.state.is_idle() && self.places.lets_go(self.shift, self.way)
    }

    /// Whether it is kept for requests to come.
    pub(super) fn is_kept(&self, now: Instant) -> bool {
        let state = &self.state;
        !state.is_over()
            && !state.has_idled(now, self.idle_timeout)
            && self.endpoint.is_trusted(now)
    }

    /// Whether it carries nothing, and counts here.
    pub(super) fn is_idle_of(&self, places: &Arc<Places>) -> bool {
        self.state.is_idle() && Arc::ptr_eq(&self.places, places)
    }
}

/// Why a connection came to nothing. No request was sent.
fn unsettled(endpoint: &Endpoint, state: &State, tls: Option<&Tls>, why: &str) -> SendError {
    let target = &endpoint.target;
    let (kind, why) = match state.take_end() {
        Some(Ended::Http1) => (
            ErrorKind::BadGateway,
            "the endpoint speaks HTTP/1.1: write `protocol = \"h1\"`".to_owned(),
        ),
        Some(Ended::Error(error)) => match tls.and_then(|tls| tls.refusal(&error)) {
            Some(why) => (ErrorKind::Tls, why),
            None => (ErrorKind::BadGateway, format!("{why}: {error}")),
        },
        None => (ErrorKind::BadGateway, why.to_owned()),
    };
    SendError::new(kind, format!("{target}: {why}"))
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").finish_non_exhaustive()
    }
}
