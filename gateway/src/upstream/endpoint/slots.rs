//! Places in every client's lists, which are used again when what had them is gone.

use std::fmt;
use std::sync::Arc;

use parking_lot::Mutex;

/// Which places are taken.
#[derive(Debug, Default)]
pub(in crate::upstream) struct Slots(Mutex<Places>);

#[derive(Debug, Default)]
struct Places {
    /// All below are taken, but for the free ones.
    next: usize,
    free: Vec<usize>,
}

/// A place, until it is dropped.
pub(in crate::upstream) struct Slot {
    index: usize,
    of: Arc<Slots>,
}

impl Slots {
    /// Takes a place.
    pub(in crate::upstream) fn take(self: &Arc<Self>) -> Slot {
        let mut places = self.0.lock();
        let index = places.free.pop().unwrap_or_else(|| {
            places.next += 1;
            places.next - 1
        });
        let of = self.clone();
        Slot { index, of }
    }
}

impl Slot {
    /// Its index in a list.
    pub(in crate::upstream) fn index(&self) -> usize {
        self.index
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.of.0.lock().free.push(self.index);
    }
}

impl fmt::Debug for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Slot").field(&self.index).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_that_is_given_back_is_taken_again_and_no_two_have_one() {
        let slots = Arc::<Slots>::default();
        let (first, second) = (slots.take(), slots.take());
        assert_eq!((first.index(), second.index()), (0, 1));
        drop(first);
        let (third, fourth) = (slots.take(), slots.take());
        assert_eq!((third.index(), fourth.index()), (0, 2));
    }
}
