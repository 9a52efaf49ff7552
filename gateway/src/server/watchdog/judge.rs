//! What is due on a connection, by what the guard and the exchanges noted.

use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use http::StatusCode;

use crate::server::connection::Connection;
use crate::server::drain::LINGER;
use crate::server::guard::clocks::at;

/// How long nothing must have come before an HTTP/1 connection is put to rest.
pub(in crate::server) const REST: Duration =
    Duration::from_millis(if cfg!(test) { 150 } else { 3_000 });

/// How a connection ends before HTTP ends it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::server) enum End {
    /// Closed without a word.
    Close,
    /// Reset: the client does not take what is written.
    Reset,
    /// The head under way gets this status, then the connection is closed. Over HTTP/2 no answer tells it.
    Refuse(u16),
    /// hyper could not read the head under way, and has answered it with this status.
    Refused(u16),
    /// HTTP/2 GOAWAY, then closed when the streams are over.
    GoAway,
    /// HTTP/1: not the end, only of hyper's part, whose buffers are given back until the client sends again.
    Rest,
    /// HTTP/1: answered with 101.
    Tunnel,
    /// HTTP/1: not the end, the socket is to be asked for the client.
    Look,
}

/// What the watchdog found.
pub(super) enum Verdict {
    /// Look again after so many milliseconds.
    Wait(u64),
    End(End),
}

/// The limits in milliseconds.
pub(super) struct Limits {
    pub(super) head: u64,
    body_idle: u64,
    idle: u64,
    pub(super) shortest: u64,
}

impl Limits {
    pub(super) fn of(connection: &Connection) -> Self {
        let limits = &connection.listener.config.limits;
        let (head, body_idle, idle) = (
            as_ms(limits.header_timeout),
            as_ms(limits.body_idle),
            as_ms(limits.idle),
        );
        Self {
            head,
            body_idle,
            idle,
            shortest: head.min(body_idle).min(idle),
        }
    }
}

/// At least one.
fn as_ms(limit: Duration) -> u64 {
    u64::try_from(limit.as_millis()).unwrap_or(u64::MAX).max(1)
}

/// When something happened; 0: it has not.
pub(super) struct Marks {
    /// The drain began.
    pub(super) draining: u64,
    /// GOAWAY was sent.
    pub(super) going: u64,
    /// The connection ended its rest.
    pub(super) woken: u64,
}

/// What is due.
pub(super) fn judge(connection: &Connection, now: u64, marks: Marks) -> Verdict {
    let limits = Limits::of(connection);
    let linger = as_ms(LINGER);
    let clocks = &connection.clocks;
    let (head, write) = (
        clocks.head_since.load(Relaxed),
        clocks.write_since.load(Relaxed),
    );
    let active = connection.active.get().map_or(0, at);
    let active = active.max(connection.opened);
    let quiet = connection.in_flight.get() == 0;
    let resting = connection.resting.get();
    let mut wait = if resting {
        limits.idle
    } else if marks.draining != 0 || marks.going != 0 {
        limits.shortest.min(linger)
    } else {
        limits.shortest
    };
    if connection.h2
        && let Some(left) = connection.streams.reset_stalled(now, limits.body_idle)
    {
        wait = wait.min(left);
    }
    let mut due = |since: u64, limit: u64| {
        let left = since.saturating_add(limit).saturating_sub(now);
        if left > 0 {
            wait = wait.min(left);
        }
        left == 0
    };
    if write != 0 && due(write, limits.body_idle) {
        return Verdict::End(End::Reset);
    }
    if head != 0 && (quiet || connection.h2) {
        // A head that came while the one before was answered has its time from then on.
        let since = if connection.h2 {
            head
        } else {
            head.max(active)
        };
        if due(since, limits.head) {
            let timed_out = StatusCode::REQUEST_TIMEOUT.as_u16();
            return Verdict::End(End::Refuse(timed_out));
        }
    } else if quiet {
        let idle = if connection.requests.get() == 0 {
            limits.head
        } else {
            limits.idle
        };
        let over = if marks.going != 0 {
            due(marks.going.max(active), linger)
        } else if marks.draining != 0 {
            due(marks.draining.max(active), linger)
        } else {
            due(active, idle)
        };
        if over {
            let politely = connection.h2 && marks.going == 0;
            return Verdict::End(if politely { End::GoAway } else { End::Close });
        }
        let rests = !connection.h2 && !resting && marks.draining == 0 && connection.is_at_rest();
        // Whatever woke it: a client that sends empty lines does not have hyper made anew for each.
        if rests && due(active.max(marks.woken), as_ms(REST)) {
            return Verdict::End(End::Rest);
        }
    }
    Verdict::Wait(wait)
}
