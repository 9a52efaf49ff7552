//! When requests are due, and which connection sends them.

use std::collections::VecDeque;
use std::io;
use std::time::{Duration, Instant};

use rustix::buffer::spare_capacity;
use rustix::event::{Timespec, epoll};

use crate::connection::{Connection, Progress};

/// How long after the end overdue requests may go out and be answered.
const OVERTIME: Duration = Duration::from_secs(1);

/// What to send.
pub(crate) struct Plan {
    pub(crate) address: String,
    pub(crate) request: Vec<u8>,
    /// Per second.
    pub(crate) rate: f64,
    pub(crate) connections: usize,
    pub(crate) length: Duration,
}

/// What became of it.
#[derive(Default)]
pub(crate) struct Tally {
    /// Of requests answered with 2xx.
    pub(crate) latencies: Vec<Duration>,
    /// Sent and not answered.
    pub(crate) failed: u64,
    /// Answered with another status.
    pub(crate) refused: u64,
    /// Overdue when the time was over.
    pub(crate) unsent: u64,
    /// What was needed after the end.
    pub(crate) overtime: Duration,
}

impl Plan {
    /// Runs on the thread that calls, which waits in epoll until the next request is due or an answer comes.
    ///
    /// # Errors
    /// If a connection cannot be made, or the kernel refuses.
    pub(crate) fn run(&self) -> io::Result<Tally> {
        let poll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let mut connections = Vec::with_capacity(self.connections);
        for index in 0..self.connections {
            let connection = Connection::open(&self.address)?;
            watch(&poll, &connection, index)?;
            connections.push(connection);
        }
        let mut sender = Sender {
            plan: self,
            start: Instant::now(),
            sent: 0,
            idle: (0..self.connections).collect(),
            connections,
            tally: Tally::default(),
        };
        let mut events = Vec::with_capacity(self.connections);
        let end = sender.start + self.length;
        while !sender.is_done() && Instant::now() < end + OVERTIME {
            let wait = sender.send_due();
            events.clear();
            epoll::wait(&poll, spare_capacity(&mut events), Some(&timespec(wait)))?;
            for event in &events {
                // An event's fields are packed.
                let index = { event.data }.u64() as usize;
                if !sender.receive(index) {
                    let fresh = Connection::open(&self.address)?;
                    watch(&poll, &fresh, index)?;
                    sender.connections[index] = fresh;
                }
            }
        }
        let mut tally = sender.finish();
        tally.overtime = Instant::now().saturating_duration_since(end);
        Ok(tally)
    }

    fn total(&self) -> u64 {
        (self.rate * self.length.as_secs_f64()) as u64
    }
}

fn watch(poll: &impl std::os::fd::AsFd, connection: &Connection, index: usize) -> io::Result<()> {
    let data = epoll::EventData::new_u64(index as u64);
    Ok(epoll::add(
        poll,
        &connection.stream,
        data,
        epoll::EventFlags::IN,
    )?)
}

fn timespec(span: Duration) -> Timespec {
    Timespec {
        tv_sec: i64::try_from(span.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: i64::from(span.subsec_nanos()),
    }
}

struct Sender<'a> {
    plan: &'a Plan,
    start: Instant,
    sent: u64,
    /// Those without a request under way, the longest idle one first.
    idle: VecDeque<usize>,
    connections: Vec<Connection>,
    tally: Tally,
}

impl Sender<'_> {
    fn is_done(&self) -> bool {
        self.sent == self.plan.total() && self.idle.len() == self.connections.len()
    }

    fn due(&self, number: u64) -> Instant {
        self.start + Duration::from_secs_f64(number as f64 / self.plan.rate)
    }

    /// Sends what is due, as far as connections are free, and tells how long there is nothing to send.
    fn send_due(&mut self) -> Duration {
        let total = self.plan.total();
        while self.sent < total
            && let Some(&index) = self.idle.front()
        {
            let due = self.due(self.sent);
            let left = due.saturating_duration_since(Instant::now());
            if !left.is_zero() {
                return left;
            }
            self.sent += 1;
            if self.connections[index].send(&self.plan.request, due) {
                self.idle.pop_front();
            } else {
                // epoll tells of the broken connection, which is replaced there.
                self.tally.failed += 1;
                self.idle.rotate_left(1);
            }
        }
        OVERTIME
    }

    /// Reads what came. False if the connection is of no use any more.
    fn receive(&mut self, index: usize) -> bool {
        let connection = &mut self.connections[index];
        let due = connection.due;
        let (keep, finished) = match connection.receive() {
            Progress::Partial => (true, false),
            Progress::Answer { status, keep } => {
                match (status, due) {
                    (200..=299, Some(due)) => self.tally.latencies.push(due.elapsed()),
                    _ => self.tally.refused += 1,
                }
                (keep, true)
            }
            Progress::Closed => {
                self.tally.failed += u64::from(due.is_some());
                (false, due.is_some())
            }
        };
        if finished {
            self.idle.push_back(index);
        }
        keep
    }

    fn finish(mut self) -> Tally {
        self.tally.unsent = self.plan.total() - self.sent;
        self.tally.failed += (self.connections.len() - self.idle.len()) as u64;
        self.tally
    }
}
