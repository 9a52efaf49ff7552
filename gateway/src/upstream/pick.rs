//! Which endpoint a request goes to.

use std::sync::Arc;

use super::endpoint::{Endpoint, Picked, Upstream};
use super::pool::Client;

/// Endpoints that a request was sent to already.
#[derive(Debug, Default)]
pub struct Tried(Vec<Arc<Endpoint>>);

impl Tried {
    /// It was sent to this one.
    pub fn add(&mut self, picked: &Picked) {
        self.0.push(picked.endpoint().clone());
    }

    fn has(&self, endpoint: &Arc<Endpoint>) -> bool {
        self.0.iter().any(|tried| Arc::ptr_eq(tried, endpoint))
    }
}

impl Upstream {
    /// The endpoint for a request: the next in the client's turn, or, with a key, the one that the key leads to as long
    /// as the endpoints stay; in each case the first from there that was not tried. None: all were.
    pub fn pick(&self, client: &Client, key: Option<u64>, tried: &Tried) -> Option<Picked> {
        let count = self.endpoints.len();
        if count == 1 && tried.0.is_empty() {
            return self.endpoints.first().map(Picked::new);
        }
        let first = match key {
            Some(key) => usize::try_from(key % count.max(1) as u64).unwrap_or_default(),
            None => client.turn(self) % count.max(1),
        };
        let (before, from) = self.endpoints.split_at_checked(first)?;
        let mut in_order = from.iter().chain(before);
        in_order
            .find(|endpoint| !tried.has(endpoint))
            .map(Picked::new)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upstream::tests::upstream;

    #[test]
    fn each_endpoint_has_its_turn_and_none_that_was_tried() {
        let (client, upstream) = (
            Client::default(),
            upstream(&["[::1]:1", "[::1]:2", "[::1]:3"]),
        );
        let mut tried = Tried::default();
        let pick = |tried: &Tried| upstream.pick(&client, None, tried);
        let ports: Vec<_> = (0..4)
            .map(|_| pick(&tried).unwrap().address.port())
            .collect();
        assert_eq!(ports, [1, 2, 3, 1]);
        for port in [2, 3, 1] {
            let picked = pick(&tried).unwrap();
            assert_eq!(picked.address.port(), port);
            tried.add(&picked);
        }
        assert!(pick(&tried).is_none());
    }

    #[test]
    fn a_key_leads_to_one_endpoint_and_to_the_next_when_that_was_tried() {
        let (client, upstream) = (
            Client::default(),
            upstream(&["[::1]:1", "[::1]:2", "[::1]:3"]),
        );
        let mut tried = Tried::default();
        for port in [3, 1, 2] {
            let picked = upstream.pick(&client, Some(5), &tried).unwrap();
            assert_eq!(picked.address.port(), port);
            tried.add(&picked);
        }
    }

    #[test]
    fn a_request_is_in_flight_until_it_is_over() {
        let (client, upstream) = (Client::default(), upstream(&["[::1]:1"]));
        let picked = upstream.pick(&client, None, &Tried::default());
        assert_eq!(upstream.endpoints[0].in_flight.sum(), 1);
        drop(picked);
        assert_eq!(upstream.endpoints[0].in_flight.sum(), 0);
    }
}
