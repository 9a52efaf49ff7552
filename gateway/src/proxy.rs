//! The life of a request, from its head to the last byte of its response.
//!
//! [`handle`] is the one function that owns the order of phases; the crate page mirrors it.

mod admit;
mod answer;
mod attempt;
mod body;
mod chain;
pub mod complete;
mod decode;
mod error_page;
pub mod explain;
mod fallback;
mod fill;
mod forward;
mod grpc;
mod kept;
mod max_forwards;
mod mirror;
pub mod normalise;
mod passage;
mod public;
mod redirect;
mod refused;
mod report;
mod respond;
mod retry;
mod send;
mod stream;
mod tail;
mod upgrade;

use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use http::request::Parts;
use http::{Response, StatusCode, header};
use http_body::Body as _;

use crate::error::Error;
use crate::message::body::{ClientBody, Outgoing, Pace, Progress, Received, discard};
use crate::message::headers;
use crate::server::connection::Connection;

use answer::Answer;
use attempt::Hop;
use chain::Responded;
use passage::Passage;
use report::report;
use respond::Obtained;
use send::send;

pub use body::Body;
pub use passage::{Completions, Local};
pub use refused::refused;

/// Answers one request.
///
/// The order: admit (normalise, snapshot, route) → request phases → obtain (what a plugin or the route answers, or the
/// upstream) → response phases in reverse → the body, through the plugins that edit it → the client. When the body
/// ends or is dropped, the exchange is counted and logged; the `complete` phases follow.
pub async fn handle(
    local: Rc<Local>,
    connection: Rc<Connection>,
    head: Parts,
    received: Received,
) -> Response<Body> {
    let upgrade = upgrade::requested(&head, &received, &connection);
    // Over HTTP/1 the next request is found only behind the end of this one. Over HTTP/2 a stream whose answer is out is
    // forgotten, and with it what is wrong with the rest of its request.
    let has_body = !received.is_end_stream();
    // Who waits for 100 (RFC 9110, 10.1.1) is not asked for a body that nothing reads.
    let waits = has_body && head.headers.contains_key(header::EXPECT);
    let interim = received.interim();
    let limits = &connection.listener.config.limits;
    let names = &connection.names;
    let pace = Pace {
        idle: limits.body_idle,
        rate: limits.body_rate,
    };
    let (body, progress) = ClientBody::new(received, limits.body, pace, has_body, names);
    if has_body {
        connection.takes_body(&progress);
    }

    let (mut passage, admitted) = admit::admit(local, &connection, head, &body);
    passage.record.stream = interim.clone().filter(|_| has_body);
    // Of what is refused nothing is read.
    let admitted = admitted.map(|()| Outgoing::client(body));
    let hop = Hop::new(&connection, interim.as_deref(), upgrade.as_ref());
    let responded = match admitted {
        Ok(body) => respond(&mut passage, body, hop, &progress).await,
        Err(refused) => Err(refused),
    };
    let responded = match responded {
        Ok(responded) => responded,
        Err(error) => Box::pin(fail(&mut passage, error)).await,
    };
    let deadline = passage.deadline().filter(|_| has_body);
    let streams = passage.decisions.keeps_any(&passage.route.request_stream);
    let may_be_left = streams || responded.body.leaves_requests();
    let mut response = match upgrade {
        Some(upgrade) if passage.is_switched() => upgrade::tunnel(passage, responded.body, upgrade),
        _ => send(passage, responded, &progress),
    };
    if has_body {
        let unread = Unread {
            h2: connection.h2,
            waits,
            may_be_left,
            deadline,
        };
        Box::pin(unread.leave(&progress, &mut response)).await;
    }
    response
}

/// A request whose body may not be read to its end when its answer is there.
struct Unread {
    h2: bool,
    waits: bool,
    /// Who has the rest of it may read no more: a plugin that streams, or an upstream over HTTP/2, whose stream ends with the
    /// answer.
    may_be_left: bool,
    deadline: Option<Instant>,
}

impl Unread {
    /// Reads the little that is left; where more is, or may be, the response ends the connection of HTTP/1.
    async fn leave(self, progress: &Progress, response: &mut Response<Body>) {
        let ended = match progress.take_rest() {
            Some(rest) => {
                let reads = !self.waits
                    && progress.fault().is_none()
                    && !headers::closes(response.headers());
                reads && discard(rest, self.deadline).await
            }
            None => !self.may_be_left || progress.has_ended(),
        };
        if !ended && !self.h2 && response.status() != StatusCode::SWITCHING_PROTOCOLS {
            headers::close(response.headers_mut());
        }
    }
}

/// From the first plugin that sees the request to the last that sees the head of the response.
async fn respond(
    passage: &mut Passage,
    mut body: Outgoing,
    hop: Hop<'_>,
    progress: &Arc<Progress>,
) -> Result<Responded, Box<Error>> {
    let answer = match chain::on_request(passage, &mut body, progress).await? {
        Some(answer) => *answer,
        None => match respond::target(passage)? {
            Obtained::Answer(answer) => *answer,
            Obtained::From(upstream) if passage.route.config.fallback.is_some() => {
                Box::pin(fallback::send(passage, upstream, body, hop, progress)).await?
            }
            Obtained::From(upstream) => {
                forward::send(passage, upstream, body, hop, progress).await?
            }
        },
    };
    chain::on_response(passage, answer).await
}

/// A failure as an answer. It takes the response phases of the plugins that were reached; where one of them fails too,
/// or one failed on a body, it goes out plain.
async fn fail(passage: &mut Passage, error: Box<Error>) -> Responded {
    report(passage, &error);
    let (head, body) = error_page::of_failure(passage, &error);
    if !matches!(*error, Error::PluginBody) {
        let answer = Answer::whole(head.clone(), body.clone());
        match chain::on_response(passage, answer).await {
            Ok(responded) => return responded,
            Err(second) => report(passage, &second),
        }
    }
    passage.response.answer(head);
    Responded::plain(body)
}

impl Responded {
    /// A body that no plugin sees.
    fn plain(body: Bytes) -> Self {
        Self {
            body: answer::Source::full(body),
            pipeline: None,
            would_be_edited: false,
        }
    }
}
