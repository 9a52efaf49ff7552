//! Lists of networks, of which there may be thousands: blocklists of a region, the addresses of a company.

use std::ops::Deref;

use ipnet::IpNet;

use crate::message::peer::Address;

/// Networks of clients; none stand for every client. As a list, they are as they were written.
#[derive(Debug, Clone, Default)]
pub struct Networks {
    written: Vec<IpNet>,
    /// Those that are in no other, in ascending order: two networks are apart, or the one is in the other.
    outer: Vec<IpNet>,
}

impl From<Vec<IpNet>> for Networks {
    fn from(written: Vec<IpNet>) -> Self {
        let mut outer: Vec<_> = written.iter().map(IpNet::trunc).collect();
        outer.sort_unstable();
        outer.dedup_by(|network, before| before.contains(&*network));
        Self { written, outer }
    }
}

impl Deref for Networks {
    type Target = [IpNet];

    fn deref(&self) -> &[IpNet] {
        &self.written
    }
}

impl Networks {
    /// Whether a client is in one of them.
    pub fn contain(&self, client: Address) -> bool {
        client.ip().is_some_and(|ip| self.has(&IpNet::from(ip)))
    }

    /// Whether a client can be in one of these and in one of the others.
    pub fn meet(&self, other: &Self) -> bool {
        let (few, many) = match self.outer.len() <= other.outer.len() {
            true => (self, other),
            false => (other, self),
        };
        let meets = |network: &IpNet| {
            let behind = many.outer.get(many.behind(network));
            many.has(network)
                || many.before(network).is_some_and(|it| network.contains(it))
                || behind.is_some_and(|it| network.contains(it))
        };
        self.is_empty() || other.is_empty() || few.outer.iter().any(meets)
    }

    /// Whether every client of these is one of the others, as far as single networks tell.
    pub fn are_within(&self, wide: &Self) -> bool {
        let is_within = |network: &IpNet| wide.has(network);
        wide.is_empty() || (!self.is_empty() && self.outer.iter().all(is_within))
    }

    fn has(&self, network: &IpNet) -> bool {
        self.before(network).is_some_and(|it| it.contains(network))
    }

    /// The last that does not begin after a network.
    fn before(&self, network: &IpNet) -> Option<&IpNet> {
        self.outer[..self.behind(network)].last()
    }

    /// How many do not begin after a network.
    fn behind(&self, network: &IpNet) -> usize {
        let begin = network.network();
        self.outer.partition_point(|known| known.network() <= begin)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn networks(texts: &[&str]) -> Networks {
        let parsed = texts.iter().map(|text| text.parse().unwrap());
        Networks::from(parsed.collect::<Vec<IpNet>>())
    }

    #[test]
    fn lists_say_of_each_other_what_each_network_of_the_one_says_of_each_of_the_other() {
        let pool = [
            "10.0.0.0/8",
            "10.0.0.0/16",
            "10.0.1.0/24",
            "10.255.0.0/16",
            "10.0.1.7/32",
            "11.0.0.0/8",
            "0.0.0.0/0",
            "::/0",
            "2001:db8::/32",
            "2001:db8:1::/48",
        ];
        let addresses = [
            "10.0.1.7",
            "10.1.0.0",
            "11.0.0.1",
            "192.0.2.1",
            "2001:db8:1::1",
            "::1",
        ];
        let mut random = fastrand::Rng::with_seed(7);
        for _ in 0..2_000 {
            let mut some = || {
                let count = random.usize(1..5);
                networks(&random.choose_multiple(pool, count))
            };
            let (a, b) = (some(), some());
            let meet = a
                .iter()
                .any(|a| b.iter().any(|b| a.contains(b) || b.contains(a)));
            assert_eq!(a.meet(&b), meet, "{a:?} {b:?}");
            let within = a.iter().all(|a| b.iter().any(|b| b.contains(a)));
            assert_eq!(a.are_within(&b), within, "{a:?} {b:?}");
            for address in addresses.map(|text| text.parse::<std::net::IpAddr>().unwrap()) {
                let contain = a.iter().any(|a| a.contains(&address));
                assert_eq!(a.contain(address.into()), contain, "{a:?} {address}");
            }
            assert!(!a.contain(Address::Unix));
        }
        let (none, some) = (networks(&[]), networks(&["10.0.0.0/8"]));
        assert!(none.meet(&some) && some.meet(&none) && some.are_within(&none));
        assert!(!none.are_within(&some));
    }
}
