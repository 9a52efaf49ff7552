//! One request on a stream of a connection.

use std::error::Error as _;
use std::fmt;
use std::pin::pin;
use std::sync::Arc;
use std::time::Instant;

use http::{HeaderValue, Request};
use hyper::body::Incoming;
use hyper::client::conn::TrySendError;
use tokio::time::timeout_at;

use super::connection::Shared;
use super::kept::Kept;
use super::request::{length, request};
use super::state::Ended;
use super::upload::{Follower, Upload};
use crate::config;
use crate::message::body::{BodyFault, Outgoing};
use crate::message::error::ErrorKind;
use crate::message::head::{ResponseHead, is_sound};
use crate::upstream::error::SendError;
use crate::upstream::h1::Message;
use crate::upstream::times::{Silence, Times};

/// A stream that is taken, until this is dropped.
pub(in crate::upstream) struct Stream {
    connection: Shared,
    /// Whether it is of a connection that had answered before.
    kept: bool,
    home: Arc<Kept>,
}

/// The answer to a request: its head, and what its body comes of.
pub(in crate::upstream) struct Answered {
    pub(super) head: ResponseHead,
    pub(super) incoming: Incoming,
    pub(super) upload: Option<Follower>,
}

/// Why there is no answer.
pub(in crate::upstream) struct Unanswered {
    /// With the body, where it was not taken.
    pub(in crate::upstream) error: SendError,
    /// What became of the request.
    pub(in crate::upstream) fate: Fate,
}

/// What became of a request without an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::upstream) enum Fate {
    /// It never left: the connection ended first.
    Stayed,
    /// The endpoint ends the connection in good order, and did nothing for it.
    LeftOut,
    /// The endpoint did nothing for it.
    Refused,
    /// The connection broke, by no doing of its own: it was kept before, and the endpoint may not have seen this; or the
    /// answer to another request broke it.
    Lost,
    /// The connection broke, maybe by its own doing.
    Broke,
    /// What went wrong would go wrong again.
    Failed,
}

impl Stream {
    pub(super) fn new(connection: Shared, home: Arc<Kept>) -> Self {
        let kept = connection.state.has_answered();
        Self {
            connection,
            kept,
            home,
        }
    }

    /// Sends a request and waits for the head of the answer, as long as it may take from when all of the request that
    /// there is was sent.
    pub(in crate::upstream) async fn send(
        &self,
        message: Message<'_>,
        authority: &HeaderValue,
        body: Outgoing,
        upstream: &config::Upstream,
        times: Times<'_>,
        silence: &mut Silence,
    ) -> Result<Answered, Unanswered> {
        let (upload, follower) = Upload::new(body);
        let is_tls = self.connection.tls.is_some();
        let mut request = match request(message.to(authority), is_tls, upload) {
            Ok(request) => request,
            Err(error) => return Err(error.into()),
        };
        if let Some(longest) = self.connection.state.longest_head()
            && let length = length(&request)
            && length > longest
        {
            let why = format!(
                "the head of the request has {length} bytes, and the service behind this gateway takes {longest}"
            );
            let body = request.into_body().into_body();
            let error = SendError::new(ErrorKind::HeadTooLong, why).with(Some(body));
            return Err(error.into());
        }
        let began = Instant::now();
        let streams = follower.is_some();
        *silence = match &follower {
            None => Silence::Endpoint(began),
            Some(follower) => Silence::Upload(follower.course()),
        };
        let (limit, end) = times.answer(upstream, began, streams);
        let number = request.body_mut().goes_over(&self.connection.state);
        let mut requests = self.connection.requests.clone();
        let mut answered = pin!(requests.try_send_request(request));
        let response = loop {
            let since = match &follower {
                None => Some(began),
                Some(follower) => follower.since(),
            };
            let patience = since.unwrap_or_else(Instant::now) + limit;
            let (at, late) = match end {
                Some(end) if end.at < patience => (end.at, end.kind),
                _ => (patience, ErrorKind::UpstreamTimeout),
            };
            // While the client still sends its body, only the deadline counts: the body has a clock of its own.
            let waits_for_client = since.is_none() && late == ErrorKind::UpstreamTimeout;
            if !waits_for_client && at <= Instant::now() {
                self.doubt(began);
                return Err(SendError::new(late, "no answer in time").sent(true).into());
            }
            match timeout_at(at.into(), &mut answered).await {
                Ok(Ok(response)) => break response,
                Ok(Err(error)) => return Err(self.explain(error, follower.as_ref(), number.get())),
                Err(_) => {}
            }
        };
        self.connection.state.answers();
        if let Some(follower) = &follower {
            follower.answered();
        }
        let (parts, incoming) = response.into_parts();
        // HTTP/2 has no 101 either (RFC 9113, section 8.6).
        if !is_sound(parts.status) || parts.status.is_informational() {
            let why = format!("{} is no status of an answer", parts.status.as_str());
            return Err(SendError::protocol(why).sent(true).into());
        }
        Ok(Answered {
            head: ResponseHead {
                status: parts.status,
                headers: parts.headers,
            },
            incoming,
            upload: follower,
        })
    }

    /// What the endpoint is charged with: one broken connection is one failure, whatever it carried.
    pub(in crate::upstream) fn charged(&self, error: SendError, fate: Fate) -> SendError {
        match fate {
            Fate::Refused | Fate::Failed => error,
            _ if self.connection.state.is_told_now() => error,
            _ => error.blameless(),
        }
    }

    /// Whether a broken answer is to be told of: not where the connection broke, and another request has.
    pub(super) fn is_charged(&self, error: &hyper::Error) -> bool {
        let of_http_2 = error
            .source()
            .and_then(|source| source.downcast_ref::<h2::Error>());
        let of_stream = of_http_2.is_some_and(h2::Error::is_reset);
        of_stream || self.connection.state.is_told_now()
    }

    /// Nothing came on the stream that was waited for since then.
    pub(super) fn doubt(&self, since: Instant) {
        self.connection.state.doubt(since);
    }

    /// Why there is no answer, and whether the endpoint can have done something: not where nothing went out, nor where it
    /// says so itself by REFUSED_STREAM, or by a GOAWAY that leaves the stream out (RFC 9113, sections 6.8 and 8.7).
    fn explain(
        &self,
        mut error: TrySendError<Request<Upload>>,
        follower: Option<&Follower>,
        number: u32,
    ) -> Unanswered {
        let unsent = error.take_message();
        let unsent = unsent.map(|request| request.into_body().into_body());
        let error = error.into_error();
        let of_http_2 = error
            .source()
            .and_then(|source| source.downcast_ref::<h2::Error>());
        let fate = match unsent {
            Some(_) => Fate::Stayed,
            None => self.fate(of_http_2, number),
        };
        let is_left_out = of_http_2.is_some_and(|error| error.is_remote() && error.is_go_away());
        let sent = !is_left_out && !matches!(fate, Fate::Stayed | Fate::Refused);
        let taken_back = || follower.filter(|_| !sent).and_then(Follower::take_back);
        let unsent = unsent.or_else(taken_back);
        let is_own = of_http_2
            .is_some_and(|error| error.is_reset() && !error.is_remote() && !error.is_library());
        let failure = match of_http_2 {
            // Only a body that broke resets a stream from this side.
            Some(_) if is_own => SendError::body(BodyFault::Broken),
            Some(error) if error.is_go_away() && error.is_library() => {
                let whose = match fate {
                    Fate::Broke => "the answer, or one that came with it, breaks",
                    _ => "the answer to another request breaks",
                };
                SendError::protocol(format!(
                    "HTTP/2: {whose} a rule by which the connection ends: {error}"
                ))
            }
            Some(error) => SendError::protocol(format!("HTTP/2: {error}")),
            None => {
                let seen = match self.connection.state.take_end() {
                    Some(Ended::Error(seen)) => seen.to_string(),
                    Some(Ended::Http1) | None => error.to_string(),
                };
                let why = format!("the connection broke before the answer: {seen}");
                SendError::protocol(why)
            }
        };
        Unanswered {
            error: failure.sent(sent).with(unsent),
            fate,
        }
    }

    /// What became of a request that went out. Where the connection ended with an error, the request may be why: it would
    /// end the next one too, with the requests of others.
    fn fate(&self, error: Option<&h2::Error>, number: u32) -> Fate {
        match error {
            Some(error) if error.is_go_away() && error.is_library() => {
                match self.connection.state.is_suspect(number) {
                    true => Fate::Broke,
                    false => Fate::Lost,
                }
            }
            Some(error) if error.is_go_away() => {
                match error.is_remote() && error.reason() == Some(h2::Reason::NO_ERROR) {
                    true => Fate::LeftOut,
                    false => Fate::Broke,
                }
            }
            Some(error) if error.is_remote() => match error.reason() {
                Some(h2::Reason::REFUSED_STREAM) => Fate::Refused,
                _ => Fate::Failed,
            },
            Some(_) => Fate::Failed,
            None if self.kept && !self.connection.state.is_accused() => Fate::Lost,
            None => Fate::Broke,
        }
    }
}

impl From<SendError> for Unanswered {
    fn from(error: SendError) -> Self {
        let fate = Fate::Failed;
        Self { error, fate }
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.connection.state.give_back();
        self.home.rests(&self.connection);
    }
}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stream").finish_non_exhaustive()
    }
}
