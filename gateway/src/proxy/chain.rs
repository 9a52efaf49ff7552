//! The plugins of a route, called in order; and in reverse order on the way back.

mod request;
mod response;

use bytes::Bytes;

use super::answer::{Answer, Source};
use super::passage::Passage;
use super::stream::Pipeline;
use crate::config::BodyOverflow;
use crate::error::Error;
use crate::exchange::Link;
use crate::message::head::ResponseHead;
use crate::message::phase::Direction;
use crate::plugin::{self, Failure, FailureKind, Linked};

pub(super) use request::on_request;
pub(super) use response::on_response;

/// What the response phases came to: a body, and the plugins that it passes through. The head is in the exchange.
#[derive(Debug)]
pub(super) struct Responded {
    pub(super) body: Source,
    /// None where no plugin edits it.
    pub(super) pipeline: Option<Box<Pipeline>>,
    /// The head comes alone, and plugins would edit the body that it speaks of.
    pub(super) would_be_edited: bool,
}

impl From<Box<plugin::Answer>> for Answer {
    fn from(answer: Box<plugin::Answer>) -> Self {
        let answer = *answer;
        let head = ResponseHead {
            status: answer.status,
            headers: answer.headers,
        };
        Self::whole(head, answer.body)
    }
}

/// Takes the next link whose turn has come, if it is meant.
fn next(streams: &mut &[Link], meant: impl Fn(&Link) -> bool) -> Option<Link> {
    let (link, rest) = streams.split_first().filter(|(link, _)| meant(link))?;
    *streams = rest;
    Some(*link)
}

/// Whether a plugin put a body in the place of the one that it held.
fn is_another(body: &Bytes, held: Option<Bytes>) -> bool {
    held.is_none_or(|held| held.as_ptr() != body.as_ptr() || held.len() != body.len())
}

/// A failure is none where the plugin may be skipped.
fn skip(passage: &Passage, linked: &Linked, failure: Failure) -> Result<(), Error> {
    if failure.opens(linked.config.on_error) {
        return Ok(());
    }
    let name = linked.name.to_string();
    Err(match failure.kind {
        FailureKind::NoRoom => Error::NoRoom(name),
        FailureKind::Deadline => Error::Deadline(passage.route.config.timeout.unwrap_or_default()),
        FailureKind::Grown(Direction::Request) => Error::BodyTooLarge,
        FailureKind::Grown(Direction::Response) => Error::ResponseTooLarge(name),
        _ => Error::Plugin(name, failure),
    })
}

/// Whether a body that a plugin cannot hold is refused.
fn refuses(linked: &Linked) -> bool {
    linked.config.body_overflow == BodyOverflow::Refuse
}
