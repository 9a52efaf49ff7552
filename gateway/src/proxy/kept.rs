//! An answer that is kept while the request goes out again. It holds nothing of its upstream: no connection, no place
//! under way and no pass of the breaker, for which the next attempt may have to wait.

use std::time::{Duration, Instant};

use tokio::time::timeout;

use super::answer::{Answer, Source};
use crate::exchange::Parts;
use crate::message::head::ResponseHead;
use crate::message::target::Target;
use crate::upstream::ResponseBody;

/// The largest body that is kept, bytes.
const LARGEST: usize = 64 << 10;

/// How long the rest of a body is waited for.
const PATIENCE: Duration = Duration::from_secs(1);

/// An answer with its whole body, and what the record says of it.
#[derive(Debug)]
pub(super) struct Kept {
    head: ResponseHead,
    body: ResponseBody,
    endpoint: Option<Target>,
    upstream: Option<(Instant, Instant)>,
}

impl Kept {
    /// Reads what there is of an answer; none where it is larger than what is kept, late, or broken.
    pub(super) async fn of(answer: Answer, exchange: &Parts) -> Option<Self> {
        let Answer { head, body } = answer;
        let Source::Upstream(body) = body else {
            return None;
        };
        let body = timeout(PATIENCE, body.whole(LARGEST)).await.ok()??;
        let record = &exchange.record;
        Some(Self {
            head,
            body,
            endpoint: record.endpoint.clone(),
            upstream: record.upstream,
        })
    }

    /// It is the answer after all.
    pub(super) fn stands(self, exchange: &mut Parts) -> Answer {
        exchange.record.endpoint = self.endpoint;
        exchange.record.upstream = self.upstream;
        let body = Source::Upstream(self.body);
        Answer {
            head: self.head,
            body,
        }
    }
}
