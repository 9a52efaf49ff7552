//! Sub-requests that a phase has under way, whose answers it takes as they come.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;

use bytes::Bytes;
use tokio::task::JoinError;
use tokio_util::task::AbortOnDropHandle;

use crate::plugin::host::bindings::gateway::plugin::upstream::Error;
use crate::upstream::FetchError;

/// A sub-request of this worker. It ends when its handle is dropped.
pub(super) type Fetch = AbortOnDropHandle<Fetched>;

type Fetched = Result<http::Response<Bytes>, FetchError>;

/// How a sub-request that went out ended.
pub(super) type Ended = Result<Fetched, JoinError>;

/// Sub-requests in the order of their list; one whose answer was handed over leaves its place.
#[derive(Default)]
pub(super) struct UnderWay(Vec<Option<Result<Fetch, Error>>>);

impl UnderWay {
    /// Keeps these, and gives up those before.
    pub(super) fn keep(&mut self, started: Vec<Result<Fetch, Error>>) {
        self.0 = started.into_iter().map(Some).collect();
    }

    /// Gives up what has no answer yet.
    pub(super) fn give_up(&mut self) {
        self.0.clear();
    }

    /// Waits for the next that ends: its place, and how it ended, or why it was never sent. None if all did.
    pub(super) async fn next(&mut self) -> Option<(usize, Result<Ended, Error>)> {
        if self.0.iter().all(Option::is_none) {
            return None;
        }
        let next = poll_fn(|context| {
            for (place, slot) in self.0.iter_mut().enumerate() {
                let ended = match slot.take() {
                    None => continue,
                    Some(Err(error)) => Err(error),
                    Some(Ok(mut fetch)) => match Pin::new(&mut fetch).poll(context) {
                        Poll::Ready(ended) => Ok(ended),
                        Poll::Pending => {
                            *slot = Some(Ok(fetch));
                            continue;
                        }
                    },
                };
                return Poll::Ready((place, ended));
            }
            Poll::Pending
        });
        Some(next.await)
    }
}
