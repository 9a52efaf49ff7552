//! The response phases, in reverse order, and the body between them.

use bytes::Bytes;

use super::{Responded, is_another, next, refuses, skip};
use crate::clock;
use crate::error::Error;
use crate::exchange::{Link, Place};
use crate::message::body::{BodyFault, Collected};
use crate::message::headers;
use crate::message::media::Meant;
use crate::message::phase::{Direction, Phase};
use crate::plugin::{Flow, Linked};
use crate::proxy::answer::{Answer, Source};
use crate::proxy::decode;
use crate::proxy::passage::Passage;
use crate::proxy::send::{has_no_content, is_alone};
use crate::proxy::stream::Pipeline;

/// Takes the head of an answer and runs the response phases of the plugins that were reached, last first, after the
/// edits that waited. None run where the upstream switched protocols: what follows is no body.
///
/// # Errors
/// If a plugin fails that may not be skipped, or a body that it reads is broken or too large.
pub(in crate::proxy) async fn on_response(
    passage: &mut Passage,
    answer: Answer,
) -> Result<Responded, Box<Error>> {
    passage.response.answer(answer.head);
    let (body, route) = (answer.body, &passage.route);
    let none = route.on_response.is_empty() && route.response_stream.is_empty();
    if none || passage.is_switched() {
        return Ok(Responded {
            body,
            pipeline: None,
            would_be_edited: false,
        });
    }
    Ok(Box::pin(call_on_response(passage, body)).await?)
}

async fn call_on_response(passage: &mut Passage, body: Source) -> Result<Responded, Error> {
    let (route, snapshot) = (passage.route.clone(), passage.snapshot.clone());
    let mut response = InResponse {
        body,
        pipeline: Pipeline::new(Direction::Response),
        streams: &route.response_stream,
        held: None,
        would_be_edited: false,
    };
    response.leave_out(|link| !passage.has_reached(link));
    clock::now();
    for link in &route.on_response {
        if !passage.has_reached(link) {
            continue;
        }
        let pool = snapshot.pool(link.plugin);
        response.empty(passage);
        // Those whose turn comes before see the type that they were asked for.
        response
            .pass(passage, |other| other.place > link.place)
            .await?;
        if link.phases.response_body() {
            Box::pin(response.hold(passage, *link, pool.linked())).await?;
            clock::now();
        }
        let Passage { held, exchange, .. } = passage;
        match pool.on_response(*link, held, exchange).await {
            Ok(Flow::Next) => {}
            Ok(Flow::Respond(answer)) => {
                let answer = Answer::from(answer);
                passage.response.head = Some(answer.head);
                passage.response.body = None;
                response.replace(link.place, answer.body);
            }
            Err(failure) => {
                // Of the plugins behind this one nothing is asked any more.
                skip(passage, pool.linked(), failure)
                    .inspect_err(|_| passage.retreat(link.place))?;
            }
        }
        response.take(passage, link.place);
    }
    response.pass(passage, |_| true).await?;
    let InResponse {
        mut body,
        mut pipeline,
        would_be_edited,
        ..
    } = response;
    if pipeline.is_empty()
        && let Some(read) = pipeline.take_ahead()
    {
        body.prepend(read);
    }
    let pipeline = (!pipeline.is_empty()).then(|| Box::new(pipeline));
    Ok(Responded {
        body,
        pipeline,
        would_be_edited,
    })
}

/// The body of a response between the phases.
struct InResponse<'a> {
    body: Source,
    pipeline: Pipeline,
    /// The streaming plugins whose turn is still to come.
    streams: &'a [Link],
    /// What the plugin whose turn it is holds.
    held: Option<Bytes>,
    /// It is left out, and plugins would edit it.
    would_be_edited: bool,
}

impl InResponse<'_> {
    /// Reads the body for a plugin that wants it whole, where its configuration means a body of this type.
    async fn hold(
        &mut self,
        passage: &mut Passage,
        link: Link,
        linked: &Linked,
    ) -> Result<(), Error> {
        if !self.reads(passage, link, linked)? {
            return Ok(());
        }
        let deadline = passage.deadline();
        let limit = linked.config.body_limit;
        if self.pipeline.is_empty()
            && let Some(held) = self.body.held()
            && held.len() <= limit
        {
            self.show(passage, held);
            return Ok(());
        }
        let exchange = Some(&mut passage.exchange);
        let read = self
            .pipeline
            .hold(&mut self.body, exchange, limit, deadline);
        let Some(read) = read.await else {
            passage.reach(link.place);
            let timeout = passage.route.config.timeout.unwrap_or_default();
            return Err(Error::Deadline(timeout));
        };
        // What is answered instead is for the plugins that have not seen this answer.
        match read {
            Ok(Collected::Whole(bytes)) => self.show(passage, bytes),
            Ok(Collected::Over) if refuses(linked) => {
                passage.retreat(link.place);
                return Err(Error::ResponseTooLarge(linked.name.to_string()));
            }
            Ok(Collected::Over) => linked.skips_body(&passage.route.name, Phase::Response),
            Err(fault) => {
                passage.reach(link.place);
                return Err(match fault {
                    BodyFault::Plugin => Error::PluginBody,
                    fault => Error::ResponseBroken(fault),
                });
            }
        }
        Ok(())
    }

    fn show(&mut self, passage: &mut Passage, held: Bytes) {
        self.held = Some(held.clone());
        passage.response.body = Some(held);
    }

    /// Whether a plugin whose turn has come reads the body, which is decoded then. One that cannot be read is a
    /// failure of the plugin that must read it.
    fn reads(&mut self, passage: &mut Passage, link: Link, linked: &Linked) -> Result<bool, Error> {
        let types = linked.response_types(link.filter);
        if is_alone(passage) {
            decode::announce(passage, types);
            return Ok(true);
        }
        let readable = match decode::meant(passage, types, self.is_empty()) {
            Meant::Passed => return Ok(false),
            Meant::Refused => Err(decode::unmeant(passage)),
            Meant::Touched if decode::is_partial(passage) => Err(decode::partial()),
            Meant::Touched => decode::response(&mut passage.exchange, &mut self.body),
        };
        let Err(why) = readable else {
            return Ok(true);
        };
        let failure = linked.cannot_read(&passage.route.name, why);
        skip(passage, linked, failure)
            .inspect_err(|_| passage.retreat(link.place))
            .map(|()| false)
    }

    /// Leaves out what there is of a body where the status allows none, as none comes with 204: no plugin sees it.
    fn empty(&mut self, passage: &Passage) {
        if has_no_content(passage) && !self.is_empty() {
            self.pipeline.restart();
            self.body = Source::Empty;
        }
    }

    /// Whether there is nothing in the body, and nothing was read ahead of it.
    fn is_empty(&self) -> bool {
        self.pipeline.is_untouched() && http_body::Body::is_end_stream(&self.body)
    }

    /// The body that the plugin at this place left, if it made another.
    fn take(&mut self, passage: &mut Passage, place: Place) {
        let Some(bytes) = passage.response.body.take() else {
            return;
        };
        if is_another(&bytes, self.held.take())
            && let Some(head) = &mut passage.response.head
        {
            headers::edited(&mut head.headers);
            self.pipeline.forget_integrity();
        }
        self.replace(place, Source::full(bytes));
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

    /// Has the body pass through the streaming plugins whose turn has come. Where there is none, as to a HEAD, they
    /// have nothing to see.
    async fn pass(
        &mut self,
        passage: &mut Passage,
        meant: impl Fn(&Link) -> bool,
    ) -> Result<(), Error> {
        while let Some(link) = next(&mut self.streams, &meant) {
            if passage.leaves_out(&link) {
                continue;
            }
            let pool = passage.pool(link);
            if !self.reads(passage, link, pool.linked())? {
                continue;
            }
            if is_alone(passage) {
                self.would_be_edited = true;
                continue;
            }
            match self.pipeline.push(passage, link).await {
                Ok(()) => {
                    if let Some(head) = &mut passage.response.head {
                        headers::edited(&mut head.headers);
                    }
                }
                Err(failure) => {
                    skip(passage, pool.linked(), failure)
                        .inspect_err(|_| passage.retreat(link.place))?;
                }
            }
        }
        Ok(())
    }
}
