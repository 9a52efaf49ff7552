//! Lists of networks, of which there may be thousands: blocklists of a region, the addresses of a company.

use ipnet::IpNet;

use crate::message::peer::{Address, UNIX};

/// Networks of clients, and whether those count that are in none; nothing of it stands for every client.
#[derive(Debug, Clone, Default)]
pub struct Networks {
    written: Vec<IpNet>,
    /// Those that are in no other, in ascending order: two networks are apart, or the one is in the other.
    outer: Vec<IpNet>,
    /// Clients of unix sockets, which have no address.
    unix: bool,
}

impl From<Vec<IpNet>> for Networks {
    fn from(written: Vec<IpNet>) -> Self {
        Self::new(written, false)
    }
}

impl Networks {
    /// These, and with `unix` whoever has no address.
    pub fn new(written: Vec<IpNet>, unix: bool) -> Self {
        let mut outer: Vec<_> = written.iter().map(IpNet::trunc).collect();
        outer.sort_unstable();
        outer.dedup_by(|network, before| before.contains(&*network));
        Self {
            written,
            outer,
            unix,
        }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.written.len() + usize::from(self.unix)
    }

    /// Whether there are none, which stands for every client.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether clients of unix sockets are among them.
    pub fn has_unix(&self) -> bool {
        self.unix
    }

    /// How each is written.
    pub fn told(&self) -> Vec<String> {
        let networks = self.written.iter().map(ToString::to_string);
        networks.chain(self.unix.then(|| UNIX.to_owned())).collect()
    }

    /// Whether a client is one of them.
    pub fn contain(&self, client: Address) -> bool {
        match client {
            Address::Ip(ip) => self.has(&IpNet::from(ip)),
            Address::Unix => self.unix,
        }
    }

    /// Whether a client can be one of these and one of the others.
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
        self.is_empty()
            || other.is_empty()
            || (self.unix && other.unix)
            || few.outer.iter().any(meets)
    }

    /// Whether every client of these is one of the others, as far as single networks tell.
    pub fn are_within(&self, wide: &Self) -> bool {
        let is_within = |network: &IpNet| wide.has(network);
        let unix_is_within = wide.unix || !self.unix;
        wide.is_empty() || (!self.is_empty() && unix_is_within && self.outer.iter().all(is_within))
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
        let networks = texts.iter().filter(|text| **text != UNIX);
        let parsed = networks.map(|text| text.parse().unwrap());
        Networks::new(parsed.collect(), texts.contains(&UNIX))
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
            UNIX,
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
            let (of_a, of_b) = (&a.written, &b.written);
            let meet = of_a
                .iter()
                .any(|a| of_b.iter().any(|b| a.contains(b) || b.contains(a)));
            assert_eq!(a.meet(&b), meet || a.unix && b.unix, "{a:?} {b:?}");
            let within = of_a.iter().all(|a| of_b.iter().any(|b| b.contains(a)));
            let within = within && (b.unix || !a.unix);
            assert_eq!(a.are_within(&b), within, "{a:?} {b:?}");
            for address in addresses.map(|text| text.parse::<std::net::IpAddr>().unwrap()) {
                let contain = of_a.iter().any(|a| a.contains(&address));
                assert_eq!(a.contain(address.into()), contain, "{a:?} {address}");
            }
            assert_eq!(a.contain(Address::Unix), a.unix);
        }
        let (none, some) = (networks(&[]), networks(&["10.0.0.0/8"]));
        assert!(none.meet(&some) && some.meet(&none) && some.are_within(&none));
        assert!(!none.are_within(&some));
    }
}
