//! What `when` asks, decided on an exchange as it is.

use super::Parts;
use super::decisions::Decisions;
use super::link::Place;
use crate::config::{Conditions, When};
use crate::message::headers;
use crate::route::{Moment, Subject, matcher};

impl Parts {
    /// Decides the conditions of the links up to a place, as far as they are not decided yet.
    pub fn decide(&self, decisions: &mut Decisions, upto: Place) {
        let conditions = self.route.conditions.iter().skip(decisions.made());
        for (place, when) in conditions.take_while(|(place, _)| *place <= upto) {
            decisions.make(*place, holds(self, when));
        }
    }
}

fn holds(exchange: &Parts, when: &When) -> bool {
    let not = when.not.as_ref();
    all_hold(exchange, &when.all) && not.is_none_or(|not| !all_hold(exchange, not))
}

fn all_hold(exchange: &Parts, conditions: &Conditions) -> bool {
    let attributes = &exchange.attributes;
    let attribute = |name: &str| attributes.get(name).map(str::as_bytes);
    let mut asked = conditions.attributes.iter();
    asked.all(|(name, pattern)| matcher::fits(pattern, attribute(name)))
        && request_fits(exchange, conditions)
}

/// Whether what is asked of the request holds, as plugins before have edited it.
fn request_fits(exchange: &Parts, conditions: &Conditions) -> bool {
    let request = &exchange.request;
    let authority = exchange.client.authority.to_str().unwrap_or_default();
    let subject = Subject {
        // Asked by `match` alone.
        listener: usize::MAX,
        host: &headers::host_of(authority),
        path: request.path.path(),
        query: request.path.query().unwrap_or_default(),
        method: &request.method,
        headers: &request.headers,
        client: exchange.client.address,
        moment: &Moment::default(),
        params: &exchange.client.params,
    };
    matcher::all_hold(&conditions.predicates, subject)
}
