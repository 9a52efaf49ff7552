//! Which endpoint a request goes to.

use std::sync::Arc;

use super::spread::Spread;
use crate::config::Balance;
use crate::message::error::ErrorKind;
use crate::upstream::discovery::Followed;
use crate::upstream::endpoint::{Endpoint, Member, Obstacle, Picked};
use crate::upstream::error::SendError;
use crate::upstream::group::Upstream;
use crate::upstream::pool::Client;

/// Endpoints that a request was sent to already.
#[derive(Debug, Default)]
pub struct Tried(Vec<Arc<Endpoint>>);

impl Tried {
    /// It was sent to this one.
    pub(in crate::upstream) fn add(&mut self, picked: &Picked) {
        self.0.push(picked.endpoint().clone());
    }

    fn has(&self, endpoint: &Arc<Endpoint>) -> bool {
        self.0.iter().any(|tried| Arc::ptr_eq(tried, endpoint))
    }
}

impl Upstream {
    /// The endpoint for a request, of those that take requests and were not tried: as `balance` says, with the key that
    /// [`Upstream::key`] found. A backup only where there is no other. None: there is none at all.
    pub fn pick(&self, client: &Client, key: Option<u64>, tried: &Tried) -> Option<Picked> {
        self.members(|members| match members.all() {
            [only] if tried.0.is_empty() && only.endpoint.standing.is_clear() => Some(only.pick()),
            _ => {
                let picked = self.among(&members.first, client, key, tried);
                picked.or_else(|| self.among(&members.backups, client, key, tried))
            }
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
        spread: &Spread,
        client: &Client,
        key: Option<u64>,
        tried: &Tried,
    ) -> Option<Picked> {
        let open =
            |member: &Member| member.endpoint.standing.is_clear() && !tried.has(&member.endpoint);
        let named = match (&self.config.sticky, key) {
            (Some(_), Some(token)) => spread.named(token, open),
            _ => None,
        };
        let chosen = named.or_else(|| match (&self.config.balance, key) {
            (Balance::Hash(_), Some(key)) => spread.by_key(key, open),
            (Balance::Random, _) => spread.any(open),
            (Balance::LeastRequest, _) => spread.less_busy(open),
            (Balance::RoundRobin | Balance::Hash(_), _) => client.next_turn(self, spread, open),
        });
        Some(spread.members()[chosen?].pick())
    }

    /// Why no endpoint takes a request, counted as its failure.
    #[cold]
    pub fn refuse(&self) -> SendError {
        let kind = ErrorKind::NoEndpoint;
        self.metrics.failure(kind);
        let none = || self.members(|members| why_none(members.all()));
        let unresolved = self.followed().and_then(Followed::unresolved);
        SendError::new(kind, unresolved.unwrap_or_else(none))
    }
}

/// Why none of these endpoints takes a request.
fn why_none(members: &[Member]) -> String {
    let why = |member: &Member| {
        let standing = &member.endpoint.standing;
        let mut obstacles = Obstacle::ALL.into_iter();
        let obstacle = obstacles.find(|obstacle| standing.has(*obstacle));
        // One without takes requests by now.
        obstacle.map_or("well again", Obstacle::name)
    };
    let mut counts: Vec<(&str, usize)> = Vec::new();
    for why in members.iter().map(why) {
        match counts.iter_mut().find(|(known, _)| *known == why) {
            Some((_, count)) => *count += 1,
            None => counts.push((why, 1)),
        }
    }
    match (members, &counts[..]) {
        ([_], [(why, _)]) => format!("the one endpoint takes no requests: it is {why}"),
        ([], _) | (_, []) => "there is no endpoint".to_owned(),
        (all, counts) => {
            let counts = counts.iter().map(|(why, count)| format!("{count} {why}"));
            let counts: Vec<_> = counts.collect();
            let (all, counts) = (all.len(), counts.join(", "));
            format!("none of the {all} endpoints takes requests: {counts}")
        }
    }
}
