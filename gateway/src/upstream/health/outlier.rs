//! Ejection: an endpoint that fails its requests in a row gets none for a while.
//!
//! Whoever sees the last failure of a row ejects it at once; who cares for endpoints (`checks`) brings it back.

use std::sync::Arc;
use std::time::Instant;

use crate::config::Outlier;
use crate::upstream::endpoint::{Endpoint, Obstacle, Row, State};
use crate::upstream::group::Upstream;

impl Endpoint {
    /// When its ejection is over, if it is ejected.
    pub fn ejected_until(&self) -> Option<Instant> {
        let rules = (*self.of.judge.rules.lock())?;
        self.failures.ejection.lock().ends(rules.ejection)
    }

    /// It failed once more in this row.
    #[cold]
    pub(in crate::upstream) fn failed(&self, row: &Row, how: &str) {
        let row = row.add();
        if self.of.judge.is_too_many(row) && self.standing.is_clear() {
            self.of
                .eject(self, &format!("{row} failures in a row, the last: {how}"));
        }
    }
}

impl State {
    fn eject(&self, endpoint: &Endpoint, why: &str) {
        let rules = self.judge.rules.lock();
        let Some(rules) = *rules else { return };
        if !endpoint.standing.is_clear() || !may_go(&self.siblings(), endpoint, &rules) {
            return;
        }
        let lasts = endpoint
            .failures
            .ejection
            .lock()
            .begin(Instant::now(), rules.ejection);
        endpoint.standing.block(Obstacle::Ejected, why);
        endpoint.counts.ejected();
        let (upstream, endpoint) = (&self.name, &endpoint.target);
        tracing::warn!(%upstream, %endpoint, why, ?lasts, "the endpoint is ejected");
        self.judge.notice.notify_one();
    }
}

/// Whether one more may be ejected, and it is not the last that takes requests.
fn may_go(siblings: &[Arc<Endpoint>], endpoint: &Endpoint, rules: &Outlier) -> bool {
    let is_it = |other: &&Arc<Endpoint>| std::ptr::eq(&raw const ***other, endpoint);
    let ejected = siblings.iter().filter(|it| is_ejected(it)).count();
    siblings.iter().any(|it| is_it(&it))
        && ejected < rules.most(siblings.len())
        && siblings
            .iter()
            .any(|it| !is_it(&it) && it.standing.is_clear())
}

fn is_ejected(endpoint: &Endpoint) -> bool {
    endpoint.standing.has(Obstacle::Ejected)
}

/// Brings back the endpoints whose time is over, and those that may not stay out any longer: by a configuration that
/// has changed, or since no other takes requests. When the next one's time is over.
pub(super) fn bring_back(upstream: &Upstream, now: Instant) -> Option<Instant> {
    let state = &upstream.state;
    let siblings = state.siblings();
    if !siblings.iter().any(|it| is_ejected(it)) {
        return None;
    }
    let rules = state.judge.rules.lock();
    let is_last_resort = !siblings.iter().any(|it| it.standing.is_clear());
    let ejected = siblings.iter().filter(|it| is_ejected(it));
    let mut surplus = ejected.count();
    surplus = surplus.saturating_sub(rules.map_or(0, |rules| rules.most(siblings.len())));
    let mut next: Option<Instant> = None;
    for endpoint in siblings.iter().filter(|it| is_ejected(it)) {
        let ends = rules.and_then(|rules| endpoint.failures.ejection.lock().ends(rules.ejection));
        let why = match ends {
            _ if rules.is_none() => "`outlier` is not configured any more",
            Some(ends) if ends > now => {
                if surplus > 0 {
                    surplus -= 1;
                    "more are ejected than `max_ejected` allows"
                } else if is_last_resort {
                    "no other endpoint takes requests"
                } else {
                    next = Some(next.map_or(ends, |next| next.min(ends)));
                    continue;
                }
            }
            _ => {
                surplus = surplus.saturating_sub(1);
                "its time is over"
            }
        };
        endpoint.failures.requests.end();
        endpoint.failures.bodies.end();
        endpoint.failures.ejection.lock().end(now);
        if endpoint.standing.clear(Obstacle::Ejected) {
            let (upstream, endpoint) = (&upstream.name, &endpoint.target);
            tracing::info!(%upstream, %endpoint, why, "the endpoint is ejected no more");
        }
    }
    next
}
