//! What the checks of an endpoint's health came to.

/// What the checks of an endpoint's health came to.
#[derive(Debug, Default)]
pub(in crate::upstream) struct Tally {
    /// Whether one ever passed.
    passed_once: bool,
    /// How many in a row passed.
    passed: u32,
    /// How many in a row did not.
    failed: u32,
}

impl Tally {
    /// One more passed; whether so many in a row have.
    pub(in crate::upstream) fn passed(&mut self, enough: u32) -> bool {
        self.failed = 0;
        self.passed = self.passed.saturating_add(1);
        self.passed_once = true;
        self.passed >= enough
    }

    /// One more failed; whether that is too many, as the first is where none has passed yet. How many in a row have.
    pub(in crate::upstream) fn failed(&mut self, too_many: u32) -> Option<u32> {
        self.passed = 0;
        self.failed = self.failed.saturating_add(1);
        (self.failed >= too_many || !self.passed_once).then_some(self.failed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_decides_but_for_the_first_check_of_all() {
        let mut tally = Tally::default();
        assert_eq!(tally.failed(3), Some(1), "none has passed yet");
        assert!(!tally.passed(2));
        assert_eq!(tally.failed(3), None);
        assert!(!tally.passed(2), "not in a row");
        assert!(tally.passed(2));
        assert_eq!(tally.failed(3), None);
        assert_eq!(tally.failed(3), None);
        assert_eq!(tally.failed(3), Some(3));
        assert_eq!(tally.failed(3), Some(4));
    }
}
