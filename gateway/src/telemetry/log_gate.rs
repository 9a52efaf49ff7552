//! A bound on lines of the log that clients or plugins can cause.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// Lets so many log lines through in a second and counts the rest.
#[derive(Debug)]
pub struct LogGate {
    began: Instant,
    /// The second in the upper half, the lines of that second in the lower.
    window: AtomicU64,
    suppressed: AtomicU64,
}

impl LogGate {
    const PER_SECOND: u64 = 10;

    /// A gate that nothing passed yet.
    pub fn new() -> Self {
        Self {
            began: Instant::now(),
            window: AtomicU64::new(0),
            suppressed: AtomicU64::new(0),
        }
    }

    /// `Some` if a line may be written now, with how many were not since the last one.
    pub fn pass(&self) -> Option<u64> {
        let second = self.began.elapsed().as_secs() & 0xffff_ffff;
        let update = self
            .window
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |window| {
                let lines = if window >> 32 == second {
                    window & 0xffff_ffff
                } else {
                    0
                };
                (lines < Self::PER_SECOND).then_some(second << 32 | (lines + 1))
            });
        if update.is_ok() {
            Some(self.suppressed.swap(0, Ordering::Relaxed))
        } else {
            self.suppressed.fetch_add(1, Ordering::Relaxed);
            None
        }
    }
}

impl Default for LogGate {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_of_lines_is_cut_and_counted() {
        let gate = LogGate::new();
        let passed = (0..100).filter(|_| gate.pass().is_some()).count();
        assert!(
            passed <= 2 * LogGate::PER_SECOND as usize,
            "{passed} lines passed"
        );
        assert!(gate.suppressed.load(Ordering::Relaxed) > 0);
    }
}
