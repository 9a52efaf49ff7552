//! Entries and their bytes, counted side by side: whatever bounds the store bounds both.

use std::sync::atomic::{AtomicUsize, Ordering};

/// So many entries, and the bytes that they take.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Amount {
    /// How many entries.
    pub entries: usize,
    /// Keys, values and [`OVERHEAD`](super::OVERHEAD) of all of them.
    pub bytes: usize,
}

/// One of the two that a bound is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
    Entries,
    Bytes,
}

impl Amount {
    pub(super) const NONE: Self = Self {
        entries: 0,
        bytes: 0,
    };
    pub(super) const ALL: Self = Self {
        entries: usize::MAX,
        bytes: usize::MAX,
    };

    /// One entry of so many bytes.
    pub(super) fn entry(bytes: usize) -> Self {
        Self { entries: 1, bytes }
    }

    pub(super) fn of(self, unit: Unit) -> usize {
        match unit {
            Unit::Entries => self.entries,
            Unit::Bytes => self.bytes,
        }
    }

    pub(super) fn plus(self, other: Self) -> Self {
        Self {
            entries: self.entries + other.entries,
            bytes: self.bytes + other.bytes,
        }
    }

    /// What is left of each; nothing where the other has more.
    pub(super) fn minus(self, other: Self) -> Self {
        Self {
            entries: self.entries.saturating_sub(other.entries),
            bytes: self.bytes.saturating_sub(other.bytes),
        }
    }

    /// An equal part of each for so many; one has all, and so has none.
    pub(super) fn split(self, parts: usize) -> Self {
        let parts = parts.max(1);
        Self {
            entries: self.entries / parts,
            bytes: self.bytes / parts,
        }
    }
}

/// An amount that threads share. Each number is exact by itself; the two are not read in one step. It has a cache line
/// for itself: one that is counted in all the time stands beside what others only read.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(super) struct Tally {
    entries: AtomicUsize,
    bytes: AtomicUsize,
}

impl Tally {
    pub(super) fn get(&self) -> Amount {
        Amount {
            entries: self.entries.load(Ordering::Relaxed),
            bytes: self.bytes.load(Ordering::Relaxed),
        }
    }

    pub(super) fn set(&self, amount: Amount) {
        self.entries.store(amount.entries, Ordering::Relaxed);
        self.bytes.store(amount.bytes, Ordering::Relaxed);
    }

    pub(super) fn add(&self, amount: Amount) {
        self.entries.fetch_add(amount.entries, Ordering::Relaxed);
        self.bytes.fetch_add(amount.bytes, Ordering::Relaxed);
    }

    pub(super) fn sub(&self, amount: Amount) {
        self.entries.fetch_sub(amount.entries, Ordering::Relaxed);
        self.bytes.fetch_sub(amount.bytes, Ordering::Relaxed);
    }

    /// Takes an amount away if there is more than `most` of a unit, in one step: of two threads that see the same
    /// excess, one has it.
    pub(super) fn sub_if_over(&self, amount: Amount, unit: Unit, most: usize) -> bool {
        let (bounded, other) = match unit {
            Unit::Entries => (&self.entries, &self.bytes),
            Unit::Bytes => (&self.bytes, &self.entries),
        };
        let (part, rest) = match unit {
            Unit::Entries => (amount.entries, amount.bytes),
            Unit::Bytes => (amount.bytes, amount.entries),
        };
        let taken = bounded.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |now| {
            (now > most).then(|| now.saturating_sub(part))
        });
        if taken.is_ok() {
            other.fetch_sub(rest, Ordering::Relaxed);
        }
        taken.is_ok()
    }
}
