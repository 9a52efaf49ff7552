//! Which endpoint a request goes to.

use std::sync::Arc;

use super::endpoint::{Endpoint, Picked};
use super::group::Upstream;
use super::members::Member;
use super::pool::Client;

/// Endpoints that a request was sent to already.
#[derive(Debug, Default)]
pub struct Tried(Vec<Arc<Endpoint>>);

impl Tried {
    /// It was sent to this one.
    fn add(&mut self, picked: &Picked) {
        self.0.push(picked.endpoint().clone());
    }

    fn has(&self, endpoint: &Arc<Endpoint>) -> bool {
        self.0.iter().any(|tried| Arc::ptr_eq(tried, endpoint))
    }
}

impl Upstream {
    /// The endpoint for a request: the next in the client's turn, or, with a key, the one that the key leads to as long
    /// as the endpoints stay; in each case the first from there that takes requests and was not tried. None: there is none.
    pub fn pick(&self, client: &Client, key: Option<u64>, tried: &Tried) -> Option<Picked> {
        self.members(|members| match members.all() {
            [only] if tried.0.is_empty() && only.endpoint.standing.is_clear() => Some(only.pick()),
            all => self.among(all, client, key, tried),
        })
    }

    /// The same, for a request that is sent several times: once all were tried, any of them. It is tried then.
    pub fn pick_another(
        &self,
        client: &Client,
        key: Option<u64>,
        tried: &mut Tried,
    ) -> Option<Picked> {
        let fresh = self.pick(client, key, tried);
        let picked = fresh.or_else(|| {
            tried.0.clear();
            self.pick(client, key, tried)
        })?;
        tried.add(&picked);
        Some(picked)
    }

    fn among(
        &self,
        members: &[Member],
        client: &Client,
        key: Option<u64>,
        tried: &Tried,
    ) -> Option<Picked> {
        let count = members.len().max(1);
        let first = match key {
            Some(key) => usize::try_from(key % count as u64).unwrap_or_default(),
            None => client.turn(self) % count,
        };
        let (before, from) = members.split_at_checked(first)?;
        let takes =
            |member: &&Member| member.endpoint.standing.is_clear() && !tried.has(&member.endpoint);
        from.iter().chain(before).find(takes).map(Member::pick)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upstream::tests::{first, upstream};

    #[test]
    fn each_endpoint_has_its_turn_and_none_that_was_tried() {
        let (client, upstream) = (
            Client::default(),
            upstream(&["[::1]:1", "[::1]:2", "[::1]:3"]),
        );
        let mut tried = Tried::default();
        let pick = |tried: &Tried| upstream.pick(&client, None, tried);
        let ports: Vec<_> = (0..4)
            .map(|_| pick(&tried).unwrap().target.tcp().unwrap().port())
            .collect();
        assert_eq!(ports, [1, 2, 3, 1]);
        for port in [2, 3, 1] {
            let picked = pick(&tried).unwrap();
            assert_eq!(picked.target.tcp().unwrap().port(), port);
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
            assert_eq!(picked.target.tcp().unwrap().port(), port);
            tried.add(&picked);
        }
    }

    #[test]
    fn a_request_is_in_flight_until_it_is_over() {
        let (client, upstream) = (Client::default(), upstream(&["[::1]:1"]));
        let picked = upstream.pick(&client, None, &Tried::default());
        assert_eq!(first(&upstream).in_flight.sum(), 1);
        drop(picked);
        assert_eq!(first(&upstream).in_flight.sum(), 0);
    }
}
