//! The request phases, and the body between them.

use std::sync::Arc;

use bytes::Bytes;

use super::{is_another, next, refuses, skip};
use crate::clock;
use crate::error::Error;
use crate::exchange::{Link, Place};
use crate::message::body::{BodyFault, Collected, Outgoing, Progress};
use crate::message::headers;
use crate::message::phase::{Direction, Phase};
use crate::plugin::{Flow, Linked};
use crate::proxy::answer::Answer;
use crate::proxy::decode;
use crate::proxy::passage::{LAST, Passage};
use crate::proxy::stream::{self, Pipeline};

/// Runs the request phases on the body that goes upstream. An answer, where a plugin gave one.
///
/// # Errors
/// If a plugin fails that may not be skipped, or a body that it reads is broken or too large.
pub(in crate::proxy) async fn on_request(
    passage: &mut Passage,
    body: &mut Outgoing,
    progress: &Arc<Progress>,
) -> Result<Option<Box<Answer>>, Box<Error>> {
    let route = &passage.exchange.route;
    passage.reached = route.links;
    if route.on_request.is_empty() && route.request_stream.is_empty() {
        passage.decide(LAST);
        return Ok(None);
    }
    // Boxed, so that exchanges without plugins do not carry, and copy, the room for a plugin's call.
    Ok(Box::pin(call_on_request(passage, body, progress)).await?)
}

async fn call_on_request(
    passage: &mut Passage,
    body: &mut Outgoing,
    progress: &Arc<Progress>,
) -> Result<Option<Box<Answer>>, Error> {
    let (route, snapshot) = (passage.route.clone(), passage.snapshot.clone());
    let mut request = RequestBody {
        none: matches!(body, Outgoing::Empty),
        body: std::mem::replace(body, Outgoing::Empty),
        held: false,
        came: None,
        pipeline: Pipeline::new(Direction::Request),
        streams: &route.request_stream,
        progress,
    };
    // Where a phase begins, for the metrics; each ends where the next begins.
    clock::now();
    for link in &route.on_request {
        passage.reached = link.place.0;
        passage.decide(link.place);
        if passage.leaves_out(link) {
            continue;
        }
        let pool = snapshot.pool(link.plugin);
        if link.phases.request_body() {
            // Boxed, as plugins that hold are few.
            Box::pin(request.hold(passage, link.place, pool.linked())).await?;
            clock::now();
        }
        let Passage { held, exchange, .. } = passage;
        match pool.on_request(*link, held, exchange).await {
            Ok(Flow::Next) => {}
            Ok(Flow::Respond(answer)) => {
                passage.reach(link.place);
                return Ok(Some(Box::new(answer.into())));
            }
            Err(failure) => skip(passage, pool.linked(), failure)?,
        }
    }
    passage.reached = route.links;
    passage.decide(LAST);
    *body = match request.is_done() {
        true => request.body,
        false => Box::pin(request.outgoing(passage)).await?,
    };
    Ok(None)
}

/// The body of a request between the phases.
struct RequestBody<'a> {
    body: Outgoing,
    /// There is no body.
    none: bool,
    /// It stands in the exchange.
    held: bool,
    /// As it was when the first plugin held it.
    came: Option<Bytes>,
    pipeline: Pipeline,
    /// The streaming plugins whose turn is still to come.
    streams: &'a [Link],
    progress: &'a Arc<Progress>,
}

impl RequestBody<'_> {
    /// Whether no plugin has seen the body, and none will.
    fn is_done(&self) -> bool {
        !self.held && self.streams.is_empty() && self.pipeline.is_untouched()
    }

    /// Reads the body for a plugin that wants it whole, after the streaming plugins before it. One that is not in by
    /// the route's `timeout` is a slow one.
    async fn hold(
        &mut self,
        passage: &mut Passage,
        place: Place,
        linked: &Linked,
    ) -> Result<(), Error> {
        self.pass(passage, |link| link.place < place).await?;
        let config = &linked.config;
        let deadline = passage.deadline();
        if self.held {
            // An earlier plugin holds it; this one sees it only if it may hold as much.
            let body = passage.request.body.take().unwrap_or_default();
            if self.pipeline.is_empty() && body.len() <= config.body_limit {
                passage.request.body = Some(body);
                return Ok(());
            }
            self.none = body.is_empty();
            self.body = Outgoing::full(body);
            self.held = false;
        }
        self.decode(passage)?;
        let read = self
            .pipeline
            .hold(&mut self.body, None, config.body_limit, deadline);
        let read = read.await.unwrap_or_else(|| {
            // What is left of it is not read.
            self.progress.fail(BodyFault::Timeout);
            Err(BodyFault::Timeout)
        });
        match read {
            Ok(Collected::Whole(bytes)) => {
                self.came.get_or_insert_with(|| bytes.clone());
                passage.request.body = Some(bytes);
                self.held = true;
                Ok(())
            }
            Ok(Collected::Over) if refuses(linked) => Err(Error::BodyTooLarge),
            Ok(Collected::Over) => {
                linked.skips_body(&passage.route.name, Phase::Request);
                Ok(())
            }
            Err(fault) => Err(Error::of_request(self.progress.fault().unwrap_or(fault))),
        }
    }

    /// Has the body pass through the streaming plugins up to the first that is not meant. Where there is no body, they
    /// have nothing to see, and no body that a later plugin makes.
    async fn pass(
        &mut self,
        passage: &mut Passage,
        meant: impl Fn(&Link) -> bool,
    ) -> Result<(), Error> {
        let held = passage.request.body.as_ref();
        let none = match self.held {
            true => held.is_none_or(Bytes::is_empty),
            false => self.none,
        };
        while let Some(link) = next(&mut self.streams, &meant) {
            if none || passage.leaves_out(&link) {
                continue;
            }
            self.decode(passage)?;
            let pool = passage.pool(link);
            if let Err(failure) = self.pipeline.push(passage, link).await {
                skip(passage, pool.linked(), failure)
                    .inspect_err(|_| passage.retreat(link.place))?;
            }
        }
        Ok(())
    }

    /// What a client coded is decoded before the first plugin that reads it.
    fn decode(&mut self, passage: &mut Passage) -> Result<(), Error> {
        if self.none || self.held {
            return Ok(());
        }
        let limit = self.progress.limit();
        decode::request(&mut passage.exchange, &mut self.body, limit)
    }

    /// The body that goes upstream: as it comes, as it is held, or through the plugins that edit it.
    async fn outgoing(mut self, passage: &mut Passage) -> Result<Outgoing, Error> {
        self.pass(passage, |_| true).await?;
        self.pipeline.forget(&passage.request.edited);
        if self.held {
            let body = passage.request.body.clone().unwrap_or_default();
            if is_another(&body, self.came.take()) {
                headers::edited(&mut passage.request.headers);
                self.pipeline.forget_integrity();
            }
            self.body = Outgoing::full(body);
        }
        if self.pipeline.is_empty() {
            if let Some(read) = self.pipeline.take_ahead() {
                self.body.prepend(read);
            }
            return Ok(self.body);
        }
        let fields = &mut passage.request.headers;
        fields.remove(http::header::CONTENT_LENGTH);
        headers::edited(fields);
        Ok(stream::request(self.pipeline, self.body))
    }
}
