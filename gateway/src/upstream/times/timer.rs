//! A timer that is armed more often than it fires.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use tokio::time::Sleep;

/// The one timer of a connection. It stays armed from one exchange to the next and moves only when it fires or
/// would fire too late, so that an exchange in a row of many does not touch the runtime's timers.
#[derive(Debug, Default)]
pub(in crate::upstream) struct Timer {
    sleep: Option<Pin<Box<Sleep>>>,
}

impl Timer {
    /// Ready at `at`.
    pub(in crate::upstream) fn poll(&mut self, cx: &mut Context<'_>, at: Instant) -> Poll<()> {
        let at = tokio::time::Instant::from_std(at);
        let sleep = self
            .sleep
            .get_or_insert_with(|| Box::pin(tokio::time::sleep_until(at)));
        if sleep.deadline() > at {
            sleep.as_mut().reset(at);
        }
        loop {
            ready!(sleep.as_mut().poll(cx));
            if sleep.deadline() >= at {
                return Poll::Ready(());
            }
            sleep.as_mut().reset(at);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn a_timer_fires_when_asked_to_however_it_was_armed_before() {
        let mut timer = Timer::default();
        for millis in [20, 5, 10] {
            let at = Instant::now() + Duration::from_millis(millis);
            let later = at + Duration::from_mins(1);
            let armed = std::future::poll_fn(|cx| Poll::Ready(timer.poll(cx, later)));
            assert!(armed.await.is_pending());
            std::future::poll_fn(|cx| timer.poll(cx, at)).await;
            assert!(Instant::now() >= at);
            let armed = std::future::poll_fn(|cx| Poll::Ready(timer.poll(cx, later)));
            assert!(
                armed.await.is_pending(),
                "a timer that fired is armed again"
            );
        }
    }
}
