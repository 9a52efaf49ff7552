//! A line of the log that says once what goes on for long.

use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// The time between two lines.
const PERIOD: Duration = Duration::from_secs(60);

/// Lets one log line through in a period and counts the rest.
#[derive(Debug, Default)]
pub(super) struct Notice(Mutex<Said>);

#[derive(Debug, Default)]
struct Said {
    last: Option<Instant>,
    since: u64,
}

impl Notice {
    /// `Some` if the line is to be written now, with how often it was not since the last one.
    pub(super) fn pass(&self) -> Option<u64> {
        let mut said = self.0.lock();
        let now = Instant::now();
        if said.last.is_some_and(|last| now < last + PERIOD) {
            said.since += 1;
            return None;
        }
        said.last = Some(now);
        Some(std::mem::take(&mut said.since))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_on_is_said_once_in_a_period_with_how_often_it_was_not() {
        let notice = Notice::default();
        assert_eq!(notice.pass(), Some(0));
        assert_eq!((notice.pass(), notice.pass()), (None, None));
        notice.0.lock().last = Some(Instant::now() - PERIOD);
        assert_eq!(notice.pass(), Some(2));
        assert_eq!(notice.pass(), None);
    }
}
