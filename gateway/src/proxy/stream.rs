//! Bodies that pass through plugins chunk by chunk, at the pace of what reads them.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Instant;

use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use http_body::Frame;
use http_body_util::BodyExt as _;
use tokio::sync::mpsc;

use super::answer::Source;
use super::passage::Passage;
use super::tail::Tail;
use crate::config::OnError;
use crate::exchange::{Exchange, Link};
use crate::message::body::{BodyFault, Collected, Outgoing};
use crate::message::error::ErrorKind;
use crate::plugin::Held;

/// Frames that wait between the plugins and what reads them.
const WAITING: usize = 1;

/// The plugins that a body passes through, in the order in which they see its chunks. Trailers come last, after what
/// the plugins return for the last chunk.
#[derive(Debug, Default)]
pub(super) struct Pipeline {
    editors: Vec<Editor>,
    /// Bytes that were read ahead, and how many of the editors they have passed.
    ahead: Option<(usize, Bytes)>,
    trailers: Option<HeaderMap>,
    /// The source has ended.
    over: bool,
    /// How many of the editors have seen the last chunk.
    ended: usize,
}

#[derive(Debug)]
struct Editor {
    held: Held,
    on_error: OnError,
}

/// The exchange, for the chunks of a response; those of a request pass while another phase may have it.
type Seen<'a> = Option<&'a mut Exchange>;

impl Pipeline {
    /// Has what is still to come pass through one more plugin.
    pub(super) fn push(&mut self, passage: &mut Passage, link: Link) {
        let pool = passage.pool(link);
        let Passage { held, exchange, .. } = passage;
        self.editors.push(Editor {
            held: held.hold(&pool, link, exchange),
            on_error: pool.linked().config.on_error,
        });
    }

    /// Whether a body passes as it comes.
    pub(super) fn is_empty(&self) -> bool {
        self.editors.is_empty() && self.trailers.is_none()
    }

    /// What was read ahead, where no plugin has to see it any more.
    pub(super) fn take_ahead(&mut self) -> Option<Bytes> {
        self.ahead.take().map(|(_, bytes)| bytes)
    }

    /// Another body takes the place of this one; only the trailers stay.
    pub(super) fn restart(&mut self) {
        self.editors.clear();
        self.ahead = None;
        self.over = false;
        self.ended = 0;
    }

    /// Reads a body whole for a plugin that holds it: a barrier, behind which all plugins so far have seen its end.
    /// [`Collected::Over`] where it grew over `limit`: then it is as if nothing had been read. None where `deadline`
    /// came first; a body that is there already sets no timer.
    pub(super) async fn hold<B>(
        &mut self,
        body: &mut B,
        exchange: Seen<'_>,
        limit: usize,
        deadline: Option<Instant>,
    ) -> Option<Result<Collected, BodyFault>>
    where
        B: http_body::Body<Data = Bytes, Error = BodyFault> + Unpin,
    {
        let whole = self.collect(body, exchange, limit);
        match deadline {
            None => Some(whole.await),
            Some(deadline) => tokio::time::timeout_at(deadline.into(), whole).await.ok(),
        }
    }

    async fn collect<B>(
        &mut self,
        body: &mut B,
        mut exchange: Seen<'_>,
        limit: usize,
    ) -> Result<Collected, BodyFault>
    where
        B: http_body::Body<Data = Bytes, Error = BodyFault> + Unpin,
    {
        let mut whole = BytesMut::new();
        while let Some(data) = self.data(body, exchange.as_deref_mut()).await? {
            whole.extend_from_slice(&data);
            if whole.len() > limit {
                self.ahead = Some((self.editors.len(), whole.freeze()));
                return Ok(Collected::Over);
            }
        }
        // What the plugin makes of it is another body, which later plugins see from its beginning.
        self.restart();
        Ok(Collected::Whole(whole.freeze()))
    }

    /// The next frame, after all plugins; none at the end.
    async fn frame<B>(
        &mut self,
        body: &mut B,
        exchange: Seen<'_>,
    ) -> Result<Option<Frame<Bytes>>, BodyFault>
    where
        B: http_body::Body<Data = Bytes, Error = BodyFault> + Unpin,
    {
        if let Some(data) = self.data(body, exchange).await? {
            return Ok(Some(Frame::data(data)));
        }
        Ok(self.trailers.take().map(Frame::trailers))
    }

    /// The next bytes, after all plugins; none at the end, when trailers have come.
    async fn data<B>(
        &mut self,
        body: &mut B,
        mut exchange: Seen<'_>,
    ) -> Result<Option<Bytes>, BodyFault>
    where
        B: http_body::Body<Data = Bytes, Error = BodyFault> + Unpin,
    {
        loop {
            let (passed, chunk) = match self.ahead.take() {
                Some(ahead) => ahead,
                None if self.over && self.ended == self.editors.len() => return Ok(None),
                // Plugins that were pushed after the end of the source.
                None if self.over => (self.ended, Bytes::new()),
                None => match body.frame().await.transpose()?.map(Frame::into_data) {
                    Some(Ok(data)) => (0, data),
                    Some(Err(frame)) => {
                        self.trailers = frame.into_trailers().ok();
                        continue;
                    }
                    None => {
                        self.over = true;
                        (0, Bytes::new())
                    }
                },
            };
            let last = self.over;
            let edited = self.edit(passed, chunk, last, exchange.as_deref_mut());
            let edited = edited.await?;
            if last {
                self.ended = self.editors.len();
            }
            if !edited.is_empty() {
                return Ok(Some(edited));
            }
        }
    }

    /// Passes a chunk through the plugins but for the first `passed`.
    async fn edit(
        &self,
        passed: usize,
        mut chunk: Bytes,
        last: bool,
        mut exchange: Seen<'_>,
    ) -> Result<Bytes, BodyFault> {
        for Editor { held, on_error } in &self.editors[passed..] {
            let edited = match exchange.as_deref_mut() {
                Some(exchange) => held.response_chunk(exchange, chunk.clone(), last).await,
                None => held.request_chunk(chunk.clone(), last).await,
            };
            match (edited, on_error) {
                (Ok(edited), _) => chunk = edited,
                // It is reported already.
                (Err(failure), on_error) if failure.opens(*on_error) => {}
                (Err(_), _) => return Err(BodyFault::Plugin),
            }
        }
        Ok(chunk)
    }
}

/// The body of a request through its plugins. It moves in a task of its own: while a plugin works at a chunk, another
/// phase may wait for the same instance.
pub(super) fn request(mut pipeline: Pipeline, mut body: Outgoing) -> Outgoing {
    let (sender, receiver) = mpsc::channel(WAITING);
    tokio::task::spawn_local(async move {
        loop {
            let frame = tokio::select! {
                // The upstream has answered, or is gone, and nobody reads on.
                () = sender.closed() => return,
                frame = pipeline.frame(&mut body, None) => frame,
            };
            let Some(frame) = frame.transpose() else {
                return;
            };
            let broken = frame.is_err();
            if sender.send(frame).await.is_err() || broken {
                return;
            }
        }
    });
    Outgoing::Edited(receiver)
}

/// A step of a response body that plugins edit.
pub(super) enum Edited {
    /// A frame to send.
    Frame(Frame<Bytes>),
    /// The body breaks here.
    Fault(BodyFault),
    /// Nothing follows.
    End,
}

/// The body of a response through its plugins, which have the exchange until its end. It moves when it is polled.
pub(super) struct Edits {
    frames: mpsc::Receiver<Edited>,
    /// None once it has ended.
    moving: Option<Pin<Box<dyn Future<Output = ()>>>>,
}

impl Edits {
    pub(super) fn new(pipeline: Pipeline, source: Source, tail: Tail) -> Self {
        let (sender, frames) = mpsc::channel(WAITING);
        Self {
            frames,
            moving: Some(Box::pin(drive(pipeline, source, tail, sender))),
        }
    }

    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Edited> {
        loop {
            // A frame that waits goes first: the plugins work at the next when it is asked for.
            if let Ok(edited) = self.frames.try_recv() {
                return Poll::Ready(edited);
            }
            let Some(moving) = &mut self.moving else {
                return Poll::Ready(Edited::Fault(BodyFault::Broken));
            };
            if moving.as_mut().poll(cx).is_ready() {
                self.moving = None;
            } else if self.frames.is_empty() {
                return Poll::Pending;
            }
        }
    }
}

/// Moves a body to its end, or to the deadline of the exchange where it comes from an upstream: the answer that says
/// that the deadline has passed comes after it.
async fn drive(pipeline: Pipeline, source: Source, mut tail: Tail, sender: mpsc::Sender<Edited>) {
    let comes = matches!(source, Source::Upstream(_));
    let deadline = tail.passage.deadline().filter(|_| comes);
    let moving = pump(pipeline, source, &mut tail, &sender);
    let ended = match deadline {
        None => moving.await.map_err(|fault| (fault, fault.of_response())),
        Some(deadline) => match tokio::time::timeout_at(deadline.into(), moving).await {
            Ok(ended) => ended.map_err(|fault| (fault, fault.of_response())),
            Err(_) => Err((BodyFault::Timeout, ErrorKind::Deadline)),
        },
    };
    let last = match ended {
        Ok(()) => {
            tail.finish();
            Edited::End
        }
        Err((fault, kind)) => {
            tail.fail(kind);
            Edited::Fault(fault)
        }
    };
    // An error means that the client is gone, and with it this future.
    let _gone = sender.send(last).await;
}

async fn pump(
    mut pipeline: Pipeline,
    mut source: Source,
    tail: &mut Tail,
    sender: &mpsc::Sender<Edited>,
) -> Result<(), BodyFault> {
    loop {
        let exchange = &mut tail.passage.exchange;
        let Some(frame) = pipeline.frame(&mut source, Some(exchange)).await? else {
            return Ok(());
        };
        tail.count(&frame);
        if sender.send(Edited::Frame(frame)).await.is_err() {
            return Err(BodyFault::Broken);
        }
    }
}
