//! What a response body has at its end: the exchange.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::Frame;
use tokio::time::Sleep;

use super::passage::Passage;
use super::report::broken_off;
use crate::message::body::{BodyFault, Progress};
use crate::message::error::ErrorKind;

/// What happens at the end.
pub(super) struct Tail {
    pub(super) passage: Passage,
    request: Arc<Progress>,
    late: Option<Pin<Box<Sleep>>>,
}

impl Tail {
    pub(super) fn new(passage: Passage, request: Arc<Progress>) -> Self {
        Self {
            passage,
            request,
            late: None,
        }
    }

    /// A frame is handed over.
    pub(super) fn count(&mut self, frame: &Frame<Bytes>) {
        let record = &mut self.passage.record;
        match (frame.data_ref(), frame.trailers_ref()) {
            (Some(data), _) => record.bytes_out += data.len() as u64,
            (None, Some(trailers)) => record.grpc(trailers),
            (None, None) => {}
        }
    }

    /// The last byte was handed over.
    pub(super) fn finish(mut self) {
        self.passage.record.finished = true;
    }

    /// The body breaks here; where that of the request broke before, that is why.
    pub(super) fn fail(mut self, kind: ErrorKind, fault: BodyFault) {
        let kind = self.request.fault().map_or(kind, BodyFault::of_request);
        self.passage.record.error.get_or_insert(kind);
        broken_off(&self.passage, kind, fault);
    }

    /// Whether the exchange as a whole took too long; only asked while the body waits.
    pub(super) fn poll_late(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(deadline) = self.passage.deadline() else {
            return Poll::Pending;
        };
        self.late
            .get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline.into())))
            .as_mut()
            .poll(cx)
    }
}

impl Drop for Tail {
    fn drop(&mut self) {
        self.passage.record.bytes_in = self.request.received();
    }
}
