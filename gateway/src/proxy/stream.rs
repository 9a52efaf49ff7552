//! Bodies that pass through plugins chunk by chunk, at the pace of what reads them.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Instant;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderName};
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
use crate::message::headers;
use crate::message::phase::Direction;
use crate::plugin::{Failure, Held};

/// Frames that wait between the plugins and what reads them.
const WAITING: usize = 1;

/// The plugins that a body passes through, in the order in which they see its chunks. Trailers come last, after what
/// the plugins return for its end.
#[derive(Debug)]
pub(super) struct Pipeline {
    direction: Direction,
    editors: Vec<Editor>,
    /// Bytes that were read ahead, and how many of the editors they have passed.
    ahead: Option<(usize, Bytes)>,
    trailers: Option<HeaderMap>,
    /// The source has ended.
    over: bool,
    /// How many of the editors have seen the end.
    ended: usize,
}

/// A plugin that a body passes through.
#[derive(Debug)]
struct Editor {
    held: Held,
    /// Whether the body goes on without it if it fails: until it has seen a chunk, which it may keep back.
    may_be_skipped: bool,
    is_skipped: bool,
}

/// The exchange, for the chunks of a response; those of a request pass while another phase may have it.
type Seen<'a> = Option<&'a mut Exchange>;

impl Pipeline {
    pub(super) fn new(direction: Direction) -> Self {
        Self {
            direction,
            editors: Vec::new(),
            ahead: None,
            trailers: None,
            over: false,
            ended: 0,
        }
    }

    /// Has what is still to come pass through one more plugin, which sees the exchange now.
    ///
    /// # Errors
    /// If the plugin fails.
    pub(super) async fn push(&mut self, passage: &mut Passage, link: Link) -> Result<(), Failure> {
        let pool = passage.pool(link);
        let Passage { held, exchange, .. } = passage;
        let held = held.hold(&pool, link, exchange);
        held.begin(self.direction, exchange).await?;
        self.editors.push(Editor {
            held,
            may_be_skipped: pool.linked().config.on_error == OnError::Open,
            is_skipped: false,
        });
        Ok(())
    }

    /// Whether a body passes as it comes.
    pub(super) fn is_empty(&self) -> bool {
        self.editors.is_empty() && self.trailers.is_none()
    }

    /// Whether no plugin has seen any of the body.
    pub(super) fn is_untouched(&self) -> bool {
        self.is_empty() && self.ahead.is_none() && !self.over
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

    /// The body is not the one that its trailers vouch for.
    pub(super) fn forget_integrity(&mut self) {
        if let Some(trailers) = &mut self.trailers {
            headers::edited(trailers);
        }
    }

    /// Trailers of these names do not pass.
    pub(super) fn forget(&mut self, names: &[HeaderName]) {
        if let Some(trailers) = &mut self.trailers {
            headers::remove_where(trailers, headers::is_among(names));
        }
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
                        if !self.editors.is_empty() {
                            self.forget_integrity();
                        }
                        continue;
                    }
                    None => {
                        self.over = true;
                        (0, Bytes::new())
                    }
                },
            };
            let last = self.over;
            let edited = self
                .edit(passed, chunk, last, exchange.as_deref_mut())
                .await?;
            if last {
                self.ended = self.editors.len();
            }
            if !edited.is_empty() {
                return Ok(Some(edited));
            }
        }
    }

    /// Passes a chunk through the plugins but for the first `passed`, and the end behind it.
    async fn edit(
        &mut self,
        passed: usize,
        mut chunk: Bytes,
        last: bool,
        mut exchange: Seen<'_>,
    ) -> Result<Bytes, BodyFault> {
        for editor in &mut self.editors[passed..] {
            let exchange = exchange.as_deref_mut();
            let trailers = last.then_some(&mut self.trailers);
            chunk = editor
                .pass(self.direction, chunk, trailers, exchange)
                .await?;
        }
        Ok(chunk)
    }
}

impl Editor {
    /// What goes in the place of a chunk; with `trailers`, it is the last.
    async fn pass(
        &mut self,
        direction: Direction,
        chunk: Bytes,
        trailers: Option<&mut Option<HeaderMap>>,
        exchange: Seen<'_>,
    ) -> Result<Bytes, BodyFault> {
        if self.is_skipped {
            return Ok(chunk);
        }
        // Reported where it failed.
        match self
            .edit(direction, chunk.clone(), trailers, exchange)
            .await
        {
            Ok(edited) => Ok(edited),
            Err(failure) if self.may_be_skipped && failure.opens(OnError::Open) => {
                self.is_skipped = true;
                Ok(chunk)
            }
            Err(_failure) => Err(BodyFault::Plugin),
        }
    }

    async fn edit(
        &mut self,
        direction: Direction,
        chunk: Bytes,
        trailers: Option<&mut Option<HeaderMap>>,
        mut exchange: Seen<'_>,
    ) -> Result<Bytes, Failure> {
        let mut edited = Bytes::new();
        if !chunk.is_empty() {
            let seen = exchange.as_deref_mut();
            edited = self.held.chunk(direction, seen, chunk).await?;
            self.may_be_skipped = false;
        }
        if let Some(trailers) = trailers {
            let came = trailers.clone().unwrap_or_default();
            let (rest, made) = self.held.end(direction, exchange, came).await?;
            *trailers = Some(made).filter(|made| !made.is_empty());
            edited = match (edited.is_empty(), rest.is_empty()) {
                (true, _) => rest,
                (false, true) => edited,
                (false, false) => [edited, rest].concat().into(),
            };
        }
        Ok(edited)
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
            tail.fail(kind, fault);
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
