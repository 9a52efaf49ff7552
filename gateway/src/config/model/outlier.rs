//! `upstreams.NAME.outlier`.

use std::time::Duration;

/// When an endpoint gets no requests for a while, since it failed those that it got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outlier {
    /// Failures in a row (5); at least 1.
    pub consecutive_failures: u32,
    /// How long the first ejection lasts (30 s).
    pub ejection: Duration,
    /// How many of the endpoints may be ejected at once, of a million (500,000).
    pub max_ejected: u32,
}

impl Outlier {
    /// How many of so many endpoints may be ejected at once: one at least, unless none may, and never all.
    pub fn most(&self, endpoints: usize) -> usize {
        if self.max_ejected == 0 {
            return 0;
        }
        let share = endpoints as u64 * u64::from(self.max_ejected) / 1_000_000;
        let share = usize::try_from(share).unwrap_or(endpoints);
        share.max(1).min(endpoints.saturating_sub(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_share_that_may_be_ejected_is_one_at_least_and_never_all() {
        for (max_ejected, endpoints, most) in [
            (500_000, 0, 0),
            (500_000, 1, 0),
            (500_000, 2, 1),
            (500_000, 3, 1),
            (500_000, 4, 2),
            (100_000, 2, 1),
            (100_000, 10, 1),
            (1_000_000, 3, 2),
            (0, 10, 0),
        ] {
            let outlier = Outlier {
                consecutive_failures: 5,
                ejection: Duration::from_secs(30),
                max_ejected,
            };
            assert_eq!(outlier.most(endpoints), most, "{max_ejected} {endpoints}");
        }
    }
}
