//! How a call on a fibre runs: until it is done, until its time is over, and, once it is slow, turn by turn.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::{Duration, Instant};

use super::admission::Admitted;
use super::failure::{Failure, FailureKind};
use super::meter::Meter;
use super::shares::{Share, Turns};

/// Runs a call until `timeout` is over, counted from `started`. Most are done at their first poll, without a timer and
/// without asking for a share. Without a `share`, a call gives way at every tick and no longer. One that was `admitted` is
/// so until it is done or waits for something else than its turn.
///
/// # Errors
/// If the time is over.
pub(super) async fn run<F: Future>(
    call: F,
    meter: &Meter,
    share: Option<&Share>,
    (started, timeout): (Instant, Duration),
    mut admitted: Option<Admitted>,
) -> Result<F::Output, Failure> {
    let mut call = pin!(call);
    let mut charged = Charged::default();
    if let Poll::Ready(done) = poll_once(call.as_mut(), meter).await {
        charged.bring_up(meter, share);
        return Ok(done);
    }
    let mut turns = Turns::default();
    let running = async {
        let mut computing = None;
        loop {
            charged.bring_up(meter, share);
            match meter.gave_way() {
                true => {
                    // Others may be asked for their share before this one's task has its next turn.
                    computing = computing.or_else(|| share.map(Share::computing));
                    tokio::task::yield_now().await;
                }
                false => {
                    computing = None;
                    turns.rest();
                    admitted = None;
                    woken().await;
                }
            }
            let _turn = match share {
                Some(share) if meter.is_slow() => turns.next(share).await,
                _ => None,
            };
            if let Poll::Ready(done) = poll_once(call.as_mut(), meter).await {
                charged.bring_up(meter, share);
                drop(admitted);
                return done;
            }
        }
    };
    let ended = tokio::time::timeout_at((started + timeout).into(), running).await;
    ended.map_err(|_elapsed| timed_out(timeout, turns.waited))
}

/// One poll, measured.
async fn poll_once<F: Future>(mut call: Pin<&mut F>, meter: &Meter) -> Poll<F::Output> {
    poll_fn(|context| {
        meter.resume();
        let polled = call.as_mut().poll(context);
        meter.pause();
        Poll::Ready(polled)
    })
    .await
}

/// Waits for the next wake-up of the task.
async fn woken() {
    let mut polled = false;
    poll_fn(|_| match std::mem::replace(&mut polled, true) {
        true => Poll::Ready(()),
        false => Poll::Pending,
    })
    .await;
}

/// What of a call's time its plugin was charged with.
#[derive(Default)]
struct Charged {
    time: Duration,
    /// It has had its first turn.
    begun: bool,
}

impl Charged {
    fn bring_up(&mut self, meter: &Meter, share: Option<&Share>) {
        let used = meter.used();
        if let Some(share) = share
            && used > self.time
        {
            share.charge(used - self.time, !self.begun);
            self.time = used;
        }
        self.begun |= meter.is_slow();
    }
}

fn timed_out(timeout: Duration, waited: Duration) -> Failure {
    let mut text = format!(
        "not done within the {} that `timeout` allows",
        humantime::format_duration(timeout)
    );
    if waited * 2 > timeout {
        let waited = Duration::from_millis(u64::try_from(waited.as_millis()).unwrap_or(u64::MAX));
        let waited = humantime::format_duration(waited);
        text.push_str(&format!(
            "; for {waited} it waited for its share of the worker, since other slow calls of the plugin ran"
        ));
    }
    Failure::new(FailureKind::Timeout, text)
}
