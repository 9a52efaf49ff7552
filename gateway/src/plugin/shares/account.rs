//! What was used of a share, and until when nothing more of it may be.

use std::time::{Duration, Instant};

use parking_lot::Mutex;

use crate::plugin::ticker::TICK;

/// What may be used at once, after a time without slow calls. Other tasks have their turn after each tick of it.
const BURST: Duration = TICK.saturating_mul(25);

/// Until when what was used takes the share: each tick stands for as many as the share is a part of.
#[derive(Debug)]
pub(super) struct Account {
    parts: u32,
    paid: Mutex<Option<Instant>>,
}

impl Account {
    pub(super) fn new(parts: u32) -> Self {
        Self {
            parts,
            paid: Mutex::new(None),
        }
    }

    pub(super) fn charge(&self, used: Duration, now: Instant) {
        let burst = BURST * self.parts;
        let earliest = now.checked_sub(burst).unwrap_or(now);
        let mut paid = self.paid.lock();
        let from = paid.map_or(earliest, |paid| paid.max(earliest));
        *paid = Some(from + used * self.parts);
    }

    /// Nothing is owed any more.
    pub(super) fn forgive(&self, now: Instant) {
        let mut paid = self.paid.lock();
        *paid = paid.map(|paid| paid.min(now));
    }

    pub(super) fn due(&self) -> Option<Instant> {
        *self.paid.lock()
    }

    pub(super) fn is_paid(&self, now: Instant) -> bool {
        self.due().is_none_or(|due| due <= now)
    }

    /// Waits until there is room for another turn.
    pub(super) async fn paid(&self) {
        while let Some(due) = self.due()
            && due > Instant::now()
        {
            tokio::time::sleep_until(due.into()).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_has_a_burst_and_then_its_part_of_the_time() {
        let account = Account::new(4);
        let mut now = Instant::now();
        let began = now;
        let mut used = 0;
        // A call that always wants more, for a second.
        while now < began + Duration::from_secs(1) {
            if account.is_paid(now) {
                used += 1;
                now += TICK;
                account.charge(TICK, now);
            } else {
                now = account.due().unwrap();
            }
        }
        let share = 1_000 / 4;
        let burst = u32::try_from(BURST.as_millis()).unwrap();
        assert!((share..=share + burst + 2).contains(&used), "{used}");
    }
}
