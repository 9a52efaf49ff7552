//! The plugins of a route, called in order; and in reverse order on the way back.

use std::sync::Arc;

use bytes::Bytes;

use super::answer::{Answer, Source};
use super::passage::Passage;
use super::stream::Pipeline;
use crate::clock;
use crate::config::BodyOverflow;
use crate::error::Error;
use crate::exchange::{Link, Place};
use crate::message::body::{BodyFault, Collected, Outgoing, Progress};
use crate::message::head::ResponseHead;
use crate::plugin::{self, Failure, Flow, Linked};

/// What the response phases came to: a body, and the plugins that it passes through. The head is in the exchange.
#[derive(Debug)]
pub(super) struct Responded {
    pub(super) body: Source,
    /// None where no plugin edits it.
    pub(super) pipeline: Option<Box<Pipeline>>,
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

/// Runs the request phases on the body that goes upstream. An answer, where a plugin gave one.
///
/// # Errors
/// If a plugin fails that may not be skipped, or a body that it holds is broken or too large.
pub(super) async fn on_request(
    passage: &mut Passage,
    body: &mut Outgoing,
    progress: &Arc<Progress>,
) -> Result<Option<Box<Answer>>, Box<Error>> {
    let route = &passage.exchange.route;
    passage.reached = route.links;
    if route.on_request.is_empty() && route.request_stream.is_empty() {
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
        pipeline: Pipeline::default(),
        streams: &route.request_stream,
        progress,
    };
    // Where a phase begins, for the metrics; each ends where the next begins.
    clock::now();
    for link in &route.on_request {
        passage.reached = link.place.0;
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
            Err(failure) => skip(pool.linked(), failure)?,
        }
    }
    passage.reached = route.links;
    *body = request.outgoing(passage);
    Ok(None)
}

/// The body of a request between the phases.
struct RequestBody<'a> {
    body: Outgoing,
    /// There is no body.
    none: bool,
    /// It stands in the exchange.
    held: bool,
    pipeline: Pipeline,
    /// The streaming plugins whose turn is still to come.
    streams: &'a [Link],
    progress: &'a Arc<Progress>,
}

impl RequestBody<'_> {
    /// Reads the body for a plugin that wants it whole, after the streaming plugins before it. One that is not in by
    /// the route's `timeout` is a slow one.
    async fn hold(
        &mut self,
        passage: &mut Passage,
        place: Place,
        linked: &Linked,
    ) -> Result<(), Error> {
        self.pass(passage, |link| link.place < place);
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
                passage.request.body = Some(bytes);
                self.held = true;
                Ok(())
            }
            Ok(Collected::Over) if refuses(linked) => Err(Error::BodyTooLarge),
            Ok(Collected::Over) => Ok(()),
            Err(fault) => Err(Error::of_request(self.progress.fault().unwrap_or(fault))),
        }
    }

    /// Has the body pass through the streaming plugins up to the first that is not meant. Where there is no body, they
    /// have nothing to see, and no body that a later plugin makes.
    fn pass(&mut self, passage: &mut Passage, meant: impl Fn(&Link) -> bool) {
        let held = passage.request.body.as_ref();
        let none = match self.held {
            true => held.is_none_or(Bytes::is_empty),
            false => self.none,
        };
        while let Some(link) = next(&mut self.streams, &meant) {
            if !none {
                self.pipeline.push(passage, link);
            }
        }
    }

    /// The body that goes upstream: as it comes, as it is held, or through the plugins that edit it.
    fn outgoing(mut self, passage: &mut Passage) -> Outgoing {
        self.pass(passage, |_| true);
        if self.held {
            self.body = Outgoing::full(passage.request.body.clone().unwrap_or_default());
        }
        if self.pipeline.is_empty() {
            if let Some(read) = self.pipeline.take_ahead() {
                self.body.prepend(read);
            }
            return self.body;
        }
        passage.request.headers.remove(http::header::CONTENT_LENGTH);
        super::stream::request(self.pipeline, self.body)
    }
}

/// Takes the head of an answer and runs the response phases of the plugins that were reached, last first, after the
/// edits that waited. None run where the upstream switched protocols: what follows is no body.
///
/// # Errors
/// If a plugin fails that may not be skipped, or a body that it holds is broken or too large.
pub(super) async fn on_response(
    passage: &mut Passage,
    answer: Answer,
) -> Result<Responded, Box<Error>> {
    passage.response.answer(answer.head);
    let (body, route) = (answer.body, &passage.route);
    let none = route.on_response.is_empty() && route.response_stream.is_empty();
    if none || passage.is_switched() {
        let pipeline = None;
        return Ok(Responded { body, pipeline });
    }
    Ok(Box::pin(call_on_response(passage, body)).await?)
}

async fn call_on_response(passage: &mut Passage, body: Source) -> Result<Responded, Error> {
    let (route, snapshot) = (passage.route.clone(), passage.snapshot.clone());
    let mut response = InResponse {
        body,
        pipeline: Pipeline::default(),
        streams: &route.response_stream,
    };
    response.leave_out(|link| !passage.has_reached(link));
    clock::now();
    for link in &route.on_response {
        if !passage.has_reached(link) {
            continue;
        }
        let pool = snapshot.pool(link.plugin);
        if link.phases.response_body() {
            let held = Box::pin(response.hold(passage, link.place, pool.linked())).await;
            // What is answered instead is for the plugins that have not seen this answer.
            held.inspect_err(|error| match error {
                Error::ResponseTooLarge(_) => passage.retreat(link.place),
                _ => passage.reach(link.place),
            })?;
            clock::now();
        }
        let Passage { held, exchange, .. } = passage;
        match pool.on_response(*link, held, exchange).await {
            Ok(Flow::Next) => {}
            Ok(Flow::Respond(answer)) => {
                let answer = Answer::from(answer);
                passage.response.head = Some(answer.head);
                passage.response.body = None;
                response.pipeline = Pipeline::default();
                response.replace(link.place, answer.body);
            }
            Err(failure) => {
                // Of the plugins behind this one nothing is asked any more.
                skip(pool.linked(), failure).inspect_err(|_| passage.retreat(link.place))?;
            }
        }
        if let Some(bytes) = passage.response.body.take() {
            response.replace(link.place, Source::full(bytes));
        }
    }
    response.pass(passage, |_| true);
    let InResponse {
        mut body,
        mut pipeline,
        ..
    } = response;
    if pipeline.is_empty()
        && let Some(read) = pipeline.take_ahead()
    {
        body.prepend(read);
    }
    let pipeline = (!pipeline.is_empty()).then(|| Box::new(pipeline));
    Ok(Responded { body, pipeline })
}

/// The body of a response between the phases.
struct InResponse<'a> {
    body: Source,
    pipeline: Pipeline,
    /// The streaming plugins whose turn is still to come.
    streams: &'a [Link],
}

impl InResponse<'_> {
    /// Reads the body for a plugin that wants it whole, after the streaming plugins whose turn comes before.
    async fn hold(
        &mut self,
        passage: &mut Passage,
        place: Place,
        linked: &Linked,
    ) -> Result<(), Error> {
        self.pass(passage, |link| link.place > place);
        let deadline = passage.deadline();
        let limit = linked.config.body_limit;
        if self.pipeline.is_empty()
            && let Some(held) = self.body.held()
            && held.len() <= limit
        {
            passage.response.body = Some(held);
            return Ok(());
        }
        let exchange = Some(&mut passage.exchange);
        let read = self
            .pipeline
            .hold(&mut self.body, exchange, limit, deadline);
        let Some(read) = read.await else {
            let timeout = passage.route.config.timeout.unwrap_or_default();
            return Err(Error::Deadline(timeout));
        };
        match read {
            Ok(Collected::Whole(bytes)) => {
                passage.response.body = Some(bytes);
                Ok(())
            }
            Ok(Collected::Over) if refuses(linked) => {
                Err(Error::ResponseTooLarge(linked.name.to_string()))
            }
            Ok(Collected::Over) => Ok(()),
            Err(BodyFault::Plugin) => Err(Error::PluginBody),
            Err(fault) => Err(Error::ResponseBroken(fault)),
        }
    }

    /// The plugin at this place made another body: those whose turn comes after it see that one.
    fn replace(&mut self, place: Place, body: Source) {
        self.leave_out(|link| link.place > place);
        self.pipeline.restart();
        self.body = body;
    }

    fn leave_out(&mut self, meant: impl Fn(&Link) -> bool) {
        while next(&mut self.streams, &meant).is_some() {}
    }

    fn pass(&mut self, passage: &mut Passage, meant: impl Fn(&Link) -> bool) {
        while let Some(link) = next(&mut self.streams, &meant) {
            self.pipeline.push(passage, link);
        }
    }
}

/// Takes the next link whose turn has come, if it is meant.
fn next(streams: &mut &[Link], meant: impl Fn(&Link) -> bool) -> Option<Link> {
    let (link, rest) = streams.split_first().filter(|(link, _)| meant(link))?;
    *streams = rest;
    Some(*link)
}

/// A failure is none where the plugin may be skipped.
fn skip(linked: &Linked, failure: Failure) -> Result<(), Error> {
    match failure.opens(linked.config.on_error) {
        true => Ok(()),
        false => Err(Error::Plugin(linked.name.to_string(), failure)),
    }
}

/// Whether a body that a plugin cannot hold is refused.
fn refuses(linked: &Linked) -> bool {
    linked.config.body_overflow == BodyOverflow::Refuse
}
