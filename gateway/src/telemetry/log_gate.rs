//! A bound on lines of the log that clients or plugins can cause.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// Lets so many log lines through in a second and counts the rest.
#[derive(Debug)]
pub struct LogGate {
    began: Instant,
    lines: u64,
    bytes: u64,
    /// The second, then the lines and the bytes of that second.
    window: AtomicU64,
    suppressed: AtomicU64,
}

/// Bits of [`LogGate::window`].
const LINE_BITS: u32 = 12;
const BYTE_BITS: u32 = 24;

impl LogGate {
    const PER_SECOND: u64 = 10;

    /// A gate for lines of the gateway, that nothing passed yet.
    pub fn new() -> Self {
        Self::of(Self::PER_SECOND, (1 << BYTE_BITS) - 1)
    }

    /// A gate for so many lines (under 4,096) and bytes (under 16 MiB) in a second.
    pub fn of(lines: u64, bytes: u64) -> Self {
        Self {
            began: Instant::now(),
            lines: lines.min((1 << LINE_BITS) - 1),
            bytes: bytes.min((1 << BYTE_BITS) - 1),
            window: AtomicU64::new(0),
            suppressed: AtomicU64::new(0),
        }
    }

    /// `Some` if a line may be written now, with how many were not since the last one.
    pub fn pass(&self) -> Option<u64> {
        self.pass_bytes(0)
    }

    /// As [`Self::pass`], for a line of so many bytes.
    pub fn pass_bytes(&self, bytes: usize) -> Option<u64> {
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        let update = self
            .window
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |window| {
                let (lines, before) = self.passed(window);
                let bytes = before.saturating_add(bytes);
                (lines < self.lines && bytes <= self.bytes)
                    .then_some(self.second() | (lines + 1) << BYTE_BITS | bytes)
            });
        if update.is_ok() {
            Some(self.suppressed.swap(0, Ordering::Relaxed))
        } else {
            self.suppress();
            None
        }
    }

    /// Whether nothing passes in this second any more.
    pub fn is_shut(&self) -> bool {
        let (lines, bytes) = self.passed(self.window.load(Ordering::Relaxed));
        lines >= self.lines || bytes >= self.bytes
    }

    /// Counts a line that was not even tried.
    pub fn suppress(&self) {
        self.suppressed.fetch_add(1, Ordering::Relaxed);
    }

    /// The second, in its place in a window.
    fn second(&self) -> u64 {
        self.began.elapsed().as_secs() << (LINE_BITS + BYTE_BITS)
    }

    /// Lines and bytes that passed in this second.
    fn passed(&self, window: u64) -> (u64, u64) {
        let counts = window & ((1 << (LINE_BITS + BYTE_BITS)) - 1);
        match window - counts == self.second() {
            true => (counts >> BYTE_BITS, counts & ((1 << BYTE_BITS) - 1)),
            false => (0, 0),
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

    #[test]
    fn bytes_count_as_well_and_what_does_not_fit_is_told_with_the_next_line() {
        let gate = LogGate::of(100, 1_000);
        assert_eq!(gate.pass_bytes(600), Some(0));
        assert!(!gate.is_shut());
        // Unless the second ends between the lines.
        if gate.pass_bytes(600).is_none() {
            assert_eq!(gate.pass_bytes(400), Some(1));
            assert!(gate.is_shut());
        }
        assert_eq!(gate.pass_bytes(usize::MAX), None);
    }
}
