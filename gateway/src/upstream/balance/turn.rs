//! Where round robin stands, for one upstream on one worker.

use super::spread::Spread;
use crate::upstream::endpoint::Member;

/// Where round robin of an upstream stands.
#[derive(Debug, Default)]
pub(in crate::upstream) struct Turn {
    /// The endpoints that it is of; others begin anew.
    of: u64,
    /// The one that had its turn last.
    last: usize,
    /// What each is owed: the smooth weighted round robin of nginx. Empty where all weigh the same.
    owed: Vec<i64>,
}

impl Turn {
    /// The next that is open. Of those that are, each has its turns as often as its weight says, whichever others are
    /// not. `worker` begins: workers that all began with the first would send it their first requests together.
    pub(in crate::upstream) fn next(
        &mut self,
        spread: &Spread,
        worker: usize,
        open: impl Fn(&Member) -> bool,
    ) -> Option<usize> {
        let members = spread.members();
        if self.of != spread.id() {
            // Where none is open the turns of others stand: those of backups, each time that the rest is asked first.
            if !members.iter().any(&open) {
                return None;
            }
            self.begin(spread, worker);
        }
        if !self.owed.is_empty() {
            return self.most_owed(members, open);
        }
        let after = self.last + 1;
        let (before, from) = members.split_at_checked(after).unwrap_or((members, &[]));
        let found = from.iter().position(&open).map(|at| after + at);
        let found = found.or_else(|| before.iter().position(open))?;
        self.last = found;
        Some(found)
    }

    fn begin(&mut self, spread: &Spread, worker: usize) {
        let members = spread.members();
        let first = worker % members.len().max(1);
        self.of = spread.id();
        self.last = first.checked_sub(1).unwrap_or(members.len());
        self.owed.clear();
        if !spread.is_even() {
            self.owed.resize(members.len(), 0);
            for _ in 0..first {
                self.most_owed(members, |_| true);
            }
        }
    }

    fn most_owed(&mut self, members: &[Member], open: impl Fn(&Member) -> bool) -> Option<usize> {
        let (mut all, mut most) = (0, None);
        for (at, (member, owed)) in members.iter().zip(&mut self.owed).enumerate() {
            if !open(member) {
                continue;
            }
            let weight = i64::from(member.weight);
            all += weight;
            *owed += weight;
            match most {
                Some((_, high)) if *owed <= high => {}
                _ => most = Some((at, *owed)),
            }
        }
        let (at, owed) = most?;
        self.owed[at] = owed - all;
        Some(at)
    }
}
