//! How much routes are compared: their number must not make a reload slow, however alike they are.

use std::cell::Cell;
use std::ops::ControlFlow;

use super::super::super::item::Item;

/// Far more than ten thousand routes need that hosts, paths and exact values tell apart; a fraction of a second.
const COMPARISONS: usize = 1_000_000;

/// The comparisons that are left.
#[derive(Debug)]
pub(super) struct Budget(Cell<usize>);

impl Default for Budget {
    fn default() -> Self {
        Self(Cell::new(COMPARISONS))
    }
}

impl Budget {
    /// Takes so many of them; breaks where there are not so many.
    pub(super) fn spend(&self, comparisons: usize) -> ControlFlow<()> {
        match self.0.get().checked_sub(comparisons) {
            Some(left) => {
                self.0.set(left);
                ControlFlow::Continue(())
            }
            None => {
                self.0.set(0);
                ControlFlow::Break(())
            }
        }
    }

    pub(super) fn is_spent(&self) -> bool {
        self.0.get() == 0
    }
}

/// Says that routes like this one are not all compared.
pub(super) fn warn(item: &Item<'_>) {
    let name = item.named().map_or(String::new(), |name| name.quoted());
    item.warn(format!(
        "there are too many routes like {name} to compare each with each, so that ties and hidden routes among them may go unnamed; tell them apart by host, path or exact values"
    ));
}
