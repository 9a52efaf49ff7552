//! The arithmetic of rate limits, on a clock that is handed in.

/// How use is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    /// `limit` tokens flow in per window, evenly; up to `burst` of them wait.
    TokenBucket,
    /// At most `limit` in any window, estimated from this window and the last.
    SlidingWindow,
    /// At most `limit` per window of the clock.
    FixedWindow,
}

/// What is allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quota {
    /// How use is counted.
    pub algorithm: Algorithm,
    /// How many per window; 0 counts as 1.
    pub limit: u32,
    /// The window in milliseconds; 0 counts as 1.
    pub window_ms: u32,
    /// The depth of the bucket (token bucket only); 0 stands for `limit`.
    pub burst: u32,
}

/// What came of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decision {
    /// Whether the cost was within the quota. If not, nothing was taken.
    pub allowed: bool,
    /// What is left right now.
    pub remaining: u32,
    /// Milliseconds until the quota is full again, or, when refused, until the same cost would be allowed;
    /// `u32::MAX` when it never will be.
    pub reset_ms: u32,
}

/// The use of one key.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Usage {
    /// Token bucket: when it was filled to `amount`, in milliseconds. Windows: when this window began.
    at: u64,
    /// Token bucket: tokens taken and not yet flowed back, times the window. Windows: use in this window.
    amount: u64,
    /// Sliding window: use in the window before.
    before: u64,
}

impl Usage {
    /// Takes `cost` at `now` (milliseconds of the wall clock). A clock that was set back stands still until it has
    /// caught up: to go back to an earlier window would forget what was used in this one. What is refused changes
    /// nothing: under another quota, what was used still counts.
    pub(super) fn acquire(&mut self, quota: &Quota, cost: u32, now: u64) -> Decision {
        let now = now.max(self.at);
        let mut usage = *self;
        let decision = match quota.algorithm {
            Algorithm::TokenBucket => usage.bucket(quota, cost, now),
            Algorithm::FixedWindow => usage.fixed(quota, cost, now),
            Algorithm::SlidingWindow => usage.sliding(quota, cost, now),
        };
        if decision.allowed {
            *self = usage;
        }
        decision
    }

    /// What is missing from the bucket is kept, in units of 1/window tokens, so that no fraction is lost. It may be more
    /// than the bucket holds: under a quota that was larger.
    fn bucket(&mut self, quota: &Quota, cost: u32, now: u64) -> Decision {
        let (limit, window) = parameters(quota);
        let depth = if quota.burst == 0 {
            limit
        } else {
            u64::from(quota.burst)
        };
        let full = depth * window;
        let flowed = (now - self.at).saturating_mul(limit);
        self.at = now;
        // Whoever had used a much larger quota up waits for a window and no longer.
        let most = full.saturating_add(limit * window);
        self.amount = self.amount.min(most).saturating_sub(flowed);
        // Each product of two 32-bit numbers fits in 64 bits, the sum of two such products may not: compare with the
        // room there is.
        let wanted = u64::from(cost) * window;
        let room = full.saturating_sub(self.amount);
        let over = self.amount.saturating_sub(full);
        let allowed = wanted <= room && over == 0;
        if allowed {
            self.amount += wanted;
        }
        let remaining = full.saturating_sub(self.amount) / window;
        let wait = match (allowed, u64::from(cost) > depth) {
            (true, _) => self.amount.div_ceil(limit),
            (false, false) => (wanted - room).saturating_add(over).div_ceil(limit),
            (false, true) => u64::MAX,
        };
        decision(allowed, remaining, wait)
    }

    fn fixed(&mut self, quota: &Quota, cost: u32, now: u64) -> Decision {
        let (limit, window) = parameters(quota);
        let begins = now - now % window;
        if self.at != begins {
            *self = Self {
                at: begins,
                amount: 0,
                before: 0,
            };
        }
        let allowed = self.amount + u64::from(cost) <= limit;
        if allowed {
            self.amount += u64::from(cost);
        }
        let wait = if !allowed && u64::from(cost) > limit {
            u64::MAX
        } else {
            begins + window - now
        };
        decision(allowed, limit.saturating_sub(self.amount), wait)
    }

    /// The use of the last window counts by the share of it that still lies in the sliding one.
    fn sliding(&mut self, quota: &Quota, cost: u32, now: u64) -> Decision {
        let (limit, window) = parameters(quota);
        let begins = now - now % window;
        if self.at != begins {
            let follows = self.at + window == begins;
            *self = Self {
                at: begins,
                amount: 0,
                before: if follows { self.amount } else { 0 },
            };
        }
        let passed = now - begins;
        let used = self.amount + (self.before * (window - passed)).div_ceil(window);
        let allowed = used + u64::from(cost) <= limit;
        let taken = if allowed { u64::from(cost) } else { 0 };
        self.amount += taken;
        let wait = match (allowed, u64::from(cost) > limit) {
            (true, _) => 2 * window - passed,
            (false, true) => u64::MAX,
            (false, false) => self.sliding_wait(limit - u64::from(cost), window, passed),
        };
        decision(allowed, limit.saturating_sub(used + taken), wait)
    }

    /// Milliseconds until the estimate is down to `room`.
    fn sliding_wait(&self, room: u64, window: u64, passed: u64) -> u64 {
        if self.amount <= room && self.before > 0 {
            // Within this window: before * (window - t) / window <= room - amount.
            let share = (room - self.amount) * window / self.before;
            return (window - share.min(window)).saturating_sub(passed).max(1);
        }
        // In the next window, where this one's use fades.
        let share = (room * window).checked_div(self.amount).unwrap_or(window);
        (window - passed) + window - share.min(window)
    }
}

fn parameters(quota: &Quota) -> (u64, u64) {
    (
        u64::from(quota.limit.max(1)),
        u64::from(quota.window_ms.max(1)),
    )
}

fn decision(allowed: bool, remaining: u64, wait: u64) -> Decision {
    Decision {
        allowed,
        remaining: u32::try_from(remaining).unwrap_or(u32::MAX),
        reset_ms: u32::try_from(wait).unwrap_or(u32::MAX),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quota(algorithm: Algorithm, limit: u32, burst: u32) -> Quota {
        Quota {
            algorithm,
            limit,
            window_ms: 1000,
            burst,
        }
    }

    fn allowed(usage: &mut Usage, quota: &Quota, now: u64) -> bool {
        usage.acquire(quota, 1, now).allowed
    }

    #[test]
    fn a_bucket_refills_evenly() {
        let (quota, mut usage) = (quota(Algorithm::TokenBucket, 10, 0), Usage::default());
        let now = 1_000_000;
        assert!((0..10).all(|_| allowed(&mut usage, &quota, now)));
        let refused = usage.acquire(&quota, 1, now);
        assert_eq!(
            refused,
            Decision {
                allowed: false,
                remaining: 0,
                reset_ms: 100
            }
        );
        assert!(!allowed(&mut usage, &quota, now + 99));
        assert!(allowed(&mut usage, &quota, now + 100));
        assert!(!allowed(&mut usage, &quota, now + 100));
    }

    #[test]
    fn a_burst_is_the_depth_of_the_bucket() {
        let (quota, mut usage) = (quota(Algorithm::TokenBucket, 10, 3), Usage::default());
        assert_eq!(
            (0..10)
                .filter(|_| allowed(&mut usage, &quota, 5_000))
                .count(),
            3
        );
    }

    #[test]
    fn what_is_refused_under_a_smaller_quota_forgets_nothing() {
        for (algorithm, burst) in [
            (Algorithm::TokenBucket, false),
            (Algorithm::TokenBucket, true),
            (Algorithm::FixedWindow, false),
            (Algorithm::SlidingWindow, false),
        ] {
            let of = |limit| Quota {
                window_ms: 3_600_000,
                ..quota(algorithm, limit, if burst { limit } else { 0 })
            };
            let (mut usage, now) = (Usage::default(), 7_200_000_000);
            assert!((0..12).all(|_| allowed(&mut usage, &of(12), now)));
            let refused = usage.acquire(&of(4), 1, now);
            assert!(!refused.allowed && refused.remaining == 0, "{refused:?}");
            assert!(!allowed(&mut usage, &of(4), now), "{algorithm:?}");
            let more = (0..30).filter(|_| allowed(&mut usage, &of(20), now));
            assert_eq!(more.count(), 8, "{algorithm:?}");
        }
    }

    #[test]
    fn who_used_a_much_larger_bucket_up_waits_for_a_window_at_most() {
        let of = |limit| Quota {
            window_ms: 3_600_000,
            ..quota(Algorithm::TokenBucket, limit, 0)
        };
        let (mut usage, now) = (Usage::default(), 7_200_000_000);
        assert!(usage.acquire(&of(1_000_000), 1_000_000, now).allowed);
        for minutes in [0, 20, 59] {
            let at = now + minutes * 60_000;
            assert!(!allowed(&mut usage, &of(100), at), "{minutes}");
        }
        assert!(allowed(&mut usage, &of(100), now + 61 * 60_000));
    }

    #[test]
    fn a_fixed_window_begins_with_the_clock() {
        let (quota, mut usage) = (quota(Algorithm::FixedWindow, 2, 0), Usage::default());
        assert!(allowed(&mut usage, &quota, 10_900) && allowed(&mut usage, &quota, 10_950));
        assert_eq!(
            usage.acquire(&quota, 1, 10_960),
            Decision {
                allowed: false,
                remaining: 0,
                reset_ms: 40
            }
        );
        assert!(allowed(&mut usage, &quota, 11_000));
    }

    #[test]
    fn a_refused_cost_is_allowed_after_the_time_it_was_told() {
        for algorithm in [
            Algorithm::TokenBucket,
            Algorithm::FixedWindow,
            Algorithm::SlidingWindow,
        ] {
            let (quota, mut usage) = (quota(algorithm, 7, 0), Usage::default());
            let (mut now, mut refusals) = (123_456, 0);
            for step in 0..2_000_u64 {
                let decision = usage.acquire(&quota, 1 + (step % 3) as u32, now);
                if decision.allowed {
                    now += step % 5;
                    continue;
                }
                refusals += 1;
                now += u64::from(decision.reset_ms);
                let again = usage.acquire(&quota, 1 + (step % 3) as u32, now);
                assert!(
                    again.allowed,
                    "{algorithm:?} at step {step}: {decision:?} then {again:?}"
                );
            }
            assert!(refusals > 0);
        }
    }

    #[test]
    fn no_window_of_the_clock_takes_more_than_its_limit() {
        for algorithm in [Algorithm::FixedWindow, Algorithm::SlidingWindow] {
            let (quota, mut usage) = (quota(algorithm, 5, 0), Usage::default());
            let mut taken = std::collections::HashMap::<u64, u32>::new();
            for now in (0..20_000).step_by(37) {
                if allowed(&mut usage, &quota, now) {
                    *taken.entry(now / 1000).or_default() += 1;
                }
            }
            assert!(
                taken.values().all(|taken| *taken <= 5),
                "{algorithm:?}: {taken:?}"
            );
        }
    }

    #[test]
    fn a_cost_over_the_limit_is_never_allowed_and_says_so() {
        for algorithm in [
            Algorithm::TokenBucket,
            Algorithm::FixedWindow,
            Algorithm::SlidingWindow,
        ] {
            let decision = Usage::default().acquire(&quota(algorithm, 5, 0), 6, 1_000);
            assert!(
                !decision.allowed && decision.reset_ms == u32::MAX,
                "{algorithm:?}: {decision:?}"
            );
        }
    }

    #[test]
    fn a_clock_set_back_gives_nothing_back() {
        for algorithm in [
            Algorithm::TokenBucket,
            Algorithm::FixedWindow,
            Algorithm::SlidingWindow,
        ] {
            let (quota, mut usage) = (quota(algorithm, 2, 0), Usage::default());
            assert!(
                allowed(&mut usage, &quota, 11_000) && allowed(&mut usage, &quota, 11_001),
                "{algorithm:?}"
            );
            assert!(
                !allowed(&mut usage, &quota, 10_999),
                "{algorithm:?}: the window before"
            );
            assert!(
                !allowed(&mut usage, &quota, 3_000),
                "{algorithm:?}: long ago"
            );
            assert!(
                !allowed(&mut usage, &quota, 11_002),
                "{algorithm:?}: back again"
            );
        }
    }

    #[test]
    fn the_largest_quota_and_cost_do_not_overflow() {
        for algorithm in [
            Algorithm::TokenBucket,
            Algorithm::FixedWindow,
            Algorithm::SlidingWindow,
        ] {
            let quota = Quota {
                algorithm,
                limit: u32::MAX,
                window_ms: u32::MAX,
                burst: u32::MAX,
            };
            let (mut usage, now) = (Usage::default(), u64::from(u32::MAX) * 400);
            assert!(
                usage.acquire(&quota, u32::MAX, now).allowed,
                "{algorithm:?}"
            );
            let refused = usage.acquire(&quota, u32::MAX, now);
            assert!(
                !refused.allowed && refused.remaining == 0,
                "{algorithm:?}: {refused:?}"
            );
            assert!(
                !usage.acquire(&quota, u32::MAX, now + 1).allowed,
                "{algorithm:?}"
            );
        }
    }
}
