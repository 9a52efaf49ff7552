//! The pairs of one host and path, which their predicates alone tell apart.

use std::collections::{HashMap, HashSet};

use http::HeaderName;

use super::subject::Subject;
use crate::config::{Predicates, ValueOf};
use crate::message::cookies;

/// A rank that no pair has.
pub(super) const NONE: u32 = u32::MAX;

/// So many are looked at one by one.
const FEW: usize = 8;

type Map<K, V> = HashMap<K, V, foldhash::fast::RandomState>;

/// What a walk through the index does where host and path match.
pub(super) trait Visit {
    /// Whether a pair of this rank, and all behind it, is of interest.
    fn wants(&self, rank: u32) -> bool;

    /// Takes all pairs that end in one place.
    fn leaf(&mut self, leaf: &Leaf);
}

/// Pairs of one host and path, by rank.
#[derive(Debug, Default)]
pub(super) struct Leaf {
    /// In ascending order, without those that `keyed` has.
    ranks: Vec<u32>,
    keyed: Option<Box<Keyed>>,
}

/// Pairs by an exact value that they ask for. A pair is in one place.
#[derive(Debug, Default)]
struct Keyed {
    headers: Map<HeaderName, Map<Box<str>, Vec<u32>>>,
    cookies: Map<Box<str>, Map<Box<str>, Vec<u32>>>,
    query: Map<Box<str>, Map<Box<str>, Vec<u32>>>,
}

/// A value that a pair asks for.
type Key<'a> = (ValueOf<'a>, &'a str);

impl Leaf {
    /// Adds a rank behind all that are here.
    pub(super) fn push(&mut self, rank: u32) {
        self.ranks.push(rank);
    }

    /// All ranks, in no order.
    pub(super) fn all(&self) -> impl Iterator<Item = u32> {
        let keyed = self.keyed.iter().flat_map(|keyed| {
            let headers = keyed.headers.values().flat_map(Map::values);
            let named = keyed.cookies.values().chain(keyed.query.values());
            headers.chain(named.flat_map(Map::values))
        });
        self.ranks.iter().chain(keyed.flatten()).copied()
    }

    /// The first rank that holds, if it is before `best`; else `best`.
    #[inline]
    pub(super) fn best(
        &self,
        subject: Subject<'_>,
        best: u32,
        holds: &impl Fn(u32) -> bool,
    ) -> u32 {
        let best = first(&self.ranks, best, holds);
        match &self.keyed {
            None => best,
            Some(keyed) => keyed.best(subject, best, holds),
        }
    }

    /// Files many by the exact values that they ask for: by that of its values which the fewest have.
    pub(super) fn index<'a>(&mut self, predicates: &impl Fn(u32) -> &'a Predicates) {
        if self.ranks.len() <= FEW {
            return;
        }
        let mut counts: HashMap<Key<'a>, usize> = HashMap::new();
        for &rank in &self.ranks {
            for key in predicates(rank).exact() {
                *counts.entry(key).or_default() += 1;
            }
        }
        let mut keyed = Box::<Keyed>::default();
        self.ranks.retain(|&rank| {
            let rarest = predicates(rank).exact().min_by_key(|key| counts[key]);
            if let Some(key) = rarest {
                keyed.insert(key, rank);
            }
            rarest.is_none()
        });
        self.keyed = Some(keyed);
    }
}

/// The first that holds, if it is before `best`; else `best`.
#[inline]
fn first(ranks: &[u32], best: u32, holds: &impl Fn(u32) -> bool) -> u32 {
    for &rank in ranks {
        if rank >= best {
            break;
        }
        if holds(rank) {
            return rank;
        }
    }
    best
}

impl Keyed {
    fn insert(&mut self, key: Key<'_>, rank: u32) {
        let (of, value) = key;
        let values = match of {
            ValueOf::Header(name) => self.headers.entry(name.clone()).or_default(),
            ValueOf::Cookie(name) => self.cookies.entry(name.into()).or_default(),
            ValueOf::Query(name) => self.query.entry(name.into()).or_default(),
        };
        values.entry(value.into()).or_default().push(rank);
    }

    fn best(&self, subject: Subject<'_>, mut best: u32, holds: &impl Fn(u32) -> bool) -> u32 {
        let mut look = |values: &Map<Box<str>, Vec<u32>>, value: &str| {
            if let Some(ranks) = values.get(value) {
                best = first(ranks, best, holds);
            }
        };
        // Whichever are fewer: the names that routes ask for, or the fields that came.
        if self.headers.len() <= subject.headers.len() {
            for (name, values) in &self.headers {
                if let Some(value) = subject.headers.get(name) {
                    look(values, &String::from_utf8_lossy(value.as_bytes()));
                }
            }
        } else {
            for (name, value) in subject.headers {
                if let Some(values) = self.headers.get(name) {
                    look(values, &String::from_utf8_lossy(value.as_bytes()));
                }
            }
        }
        for (name, values) in &self.cookies {
            if let Some(value) = cookies::first(subject.headers, name) {
                look(values, &String::from_utf8_lossy(value));
            }
        }
        if !self.query.is_empty() {
            // The first value of a name decides; a client repeats a name as often as a head has room.
            let mut met = HashSet::new();
            for (name, value) in form_urlencoded::parse(subject.query.as_bytes()) {
                if let Some((name, values)) = self.query.get_key_value(&*name)
                    && met.insert(name)
                {
                    look(values, &value);
                }
            }
        }
        best
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::net::{IpAddr, Ipv4Addr};

    use http::{HeaderMap, Method};

    use super::*;
    use crate::route::Moment;

    #[test]
    fn a_parameter_that_comes_again_and_again_is_looked_up_once() {
        let mut keyed = Keyed::default();
        keyed.insert((ValueOf::Query("v"), "1"), 0);
        let asked = Cell::new(0);
        let subject = Subject {
            listener: 0,
            host: "a.test",
            path: "/",
            query: &"v=1&".repeat(8_000),
            method: &Method::GET,
            headers: &HeaderMap::new(),
            client: IpAddr::V4(Ipv4Addr::LOCALHOST).into(),
            moment: &Moment::default(),
            params: &[],
        };
        let holds = |_| {
            asked.set(asked.get() + 1);
            false
        };
        assert_eq!(keyed.best(subject, u32::MAX, &holds), u32::MAX);
        assert_eq!(asked.get(), 1);
    }
}
