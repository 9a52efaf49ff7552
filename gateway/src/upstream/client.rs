//! What one worker keeps of its ways to upstreams.

use std::time::Instant;

use parking_lot::Mutex;

use super::pool::Idle;
use super::{Endpoint, Upstream};

/// How much of an answer is read at once, its head included.
const READ: usize = 16 << 10;
/// The largest buffer that is kept for the next head.
const KEEP: usize = 16 << 10;

/// Idle connections, turns of round robin, and the buffers that heads pass through. Each worker has one of its own, so
/// that no lock in it is ever waited for; it may be moved between threads all the same.
#[derive(Debug)]
pub struct Client {
    /// By [`Endpoint::slot`]; the connection used last is at the end.
    pub(super) idle: Mutex<Vec<Idle>>,
    /// By [`Upstream::turn`]: how often an endpoint was picked.
    turns: Mutex<Vec<usize>>,
    /// Where answers are read first. What came is copied out at its own size, so that a waiting connection holds no
    /// buffer.
    pub(super) scratch: Mutex<Box<[u8]>>,
    /// The buffer of the last head that went out whole: most exchanges need no other.
    spare: Mutex<Vec<u8>>,
}

impl Default for Client {
    fn default() -> Self {
        Self {
            idle: Mutex::default(),
            turns: Mutex::default(),
            scratch: Mutex::new(vec![0; READ].into()),
            spare: Mutex::default(),
        }
    }
}

impl Client {
    /// The next endpoint in turn.
    pub fn pick<'a>(&self, upstream: &'a Upstream) -> &'a Endpoint {
        if let [only] = upstream.endpoints.as_slice() {
            return only;
        }
        let mut turns = self.turns.lock();
        if turns.len() <= upstream.turn {
            turns.resize(upstream.turn + 1, 0);
        }
        let turn = &mut turns[upstream.turn];
        let endpoint = &upstream.endpoints[*turn % upstream.endpoints.len()];
        *turn = turn.wrapping_add(1);
        endpoint
    }

    /// Closes what has idled too long; the worker calls it now and then.
    pub fn sweep(&self) {
        let now = Instant::now();
        let mut idle = self.idle.lock();
        let expired: Idle = idle
            .iter_mut()
            .flat_map(|slot| slot.extract_if(.., |connection| connection.expired(now)))
            .collect();
        drop(idle);
        drop(expired);
    }

    /// An empty buffer for a head.
    pub(super) fn spare(&self) -> Vec<u8> {
        std::mem::take(&mut *self.spare.lock())
    }

    /// Keeps the buffer of a head that is out.
    pub(super) fn keep_spare(&self, mut buffer: Vec<u8>) {
        if buffer.capacity() <= KEEP {
            buffer.clear();
            *self.spare.lock() = buffer;
        }
    }
}
