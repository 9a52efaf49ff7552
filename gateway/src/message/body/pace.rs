//! How slowly the body of a request may come.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

/// How slowly a body may come.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// The longest time between two frames.
    pub idle: Duration,
    /// The least bytes a second, on average over each `idle` that somebody waited; 0: none.
    pub rate: u64,
}

/// The clock of a body. It runs only while somebody waits for the client: the time that an upstream or a plugin takes
/// is not the client's.
#[derive(Debug)]
pub(super) struct Patience {
    /// When the wait in hand began, and when it is looked at.
    wait: Option<(Instant, Pin<Box<Sleep>>)>,
    span: Span,
}

/// A time of waiting as long as [`Pace::idle`], in pieces or not.
#[derive(Debug)]
struct Span {
    pace: Pace,
    /// What was left of it when the wait in hand began.
    left: Duration,
    /// Bytes that came in it.
    came: u64,
}

impl Patience {
    pub(super) fn new(pace: Pace) -> Self {
        Self {
            wait: None,
            span: Span::new(pace),
        }
    }

    /// So many bytes came.
    pub(super) fn met(&mut self, bytes: usize) {
        if let Some((since, _)) = self.wait.take()
            && self.span.pace.rate > 0
        {
            self.span.waited(since.elapsed());
        }
        self.span.came = self.span.came.saturating_add(bytes as u64);
    }

    /// Ready when patience is at its end. `at_leisure`: whether a body is in time as long as something comes.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>, at_leisure: impl Fn() -> bool) -> Poll<()> {
        let Self { wait, span } = self;
        let (since, end) = wait.get_or_insert_with(|| {
            let now = Instant::now();
            (now, Box::pin(sleep_until(now + span.left)))
        });
        loop {
            ready!(end.as_mut().poll(cx));
            match span.judge(end.deadline() - *since, at_leisure()) {
                Some(on) => end.as_mut().reset(*since + on),
                None => return Poll::Ready(()),
            }
        }
    }
}

impl Span {
    fn new(pace: Pace) -> Self {
        Self {
            pace,
            left: pace.idle,
            came: 0,
        }
    }

    /// A wait is over, which took so long.
    fn waited(&mut self, time: Duration) {
        self.left = self.left.saturating_sub(time);
    }

    /// It ended with a wait that goes on, after so long: how long the wait may be in all. None: no longer.
    fn judge(&mut self, waited: Duration, at_leisure: bool) -> Option<Duration> {
        let idle = self.pace.idle;
        let millis = u64::try_from(idle.as_millis()).unwrap_or(u64::MAX);
        let least = self.pace.rate.saturating_mul(millis) / 1000;
        if waited >= idle || (self.came < least && !at_leisure) {
            return None;
        }
        // The next one begins in the middle of the wait.
        (self.left, self.came) = (waited + idle, 0);
        Some(idle)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PACE: Pace = Pace {
        idle: Duration::from_millis(1000),
        rate: 100,
    };

    /// Lets so many bytes come after a wait of so many milliseconds, one after the other. When patience was at its end,
    /// if it was, in all milliseconds that were waited.
    fn ends(at_leisure: bool, pieces: impl IntoIterator<Item = (u64, u64)>) -> Option<u128> {
        let (mut span, mut total) = (Span::new(PACE), Duration::ZERO);
        for (wait, bytes) in pieces {
            let wait = Duration::from_millis(wait);
            let mut end = span.left;
            while end <= wait {
                match span.judge(end, at_leisure) {
                    Some(on) => end = on,
                    None => return Some((total + end).as_millis()),
                }
            }
            span.waited(wait);
            span.came += bytes;
            total += wait;
        }
        None
    }

    #[test]
    fn a_body_keeps_its_pace_on_average_over_each_span() {
        assert_eq!(ends(false, [(300, 40); 40]), None);
        assert_eq!(ends(false, [(300, 20); 40]), Some(1000));
        assert_eq!(ends(true, [(300, 20); 40]), None, "at leisure");
        let bursts = (0..40).map(|at| (300, if at % 3 == 2 { 150 } else { 1 }));
        assert_eq!(ends(false, bursts), None);
        let once = [(0, 1_000_000)].into_iter().chain([(300, 1); 10]);
        assert_eq!(ends(false, once), Some(2000), "nothing is saved for later");
    }

    #[test]
    fn a_wait_is_over_after_the_idle_time_wherever_its_span_ends() {
        for at_leisure in [false, true] {
            let pieces = [(700, 500), (900, 500), (1000, 500)];
            assert_eq!(ends(at_leisure, pieces), Some(2600));
        }
        assert_eq!(ends(false, [(700, 500), (999, 500)]), None);
    }

    #[test]
    fn what_nobody_waits_for_takes_no_time() {
        assert_eq!(ends(false, [(0, 1); 1000]), None);
    }
}
