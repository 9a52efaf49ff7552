//! What the DNS says of a name.

use std::net::IpAddr;

use parking_lot::Mutex;

/// The addresses that a name had last, over reloads.
#[derive(Debug, Default)]
pub(super) struct Answer(Mutex<Option<Addresses>>);

/// By A records, and by AAAA records.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
struct Addresses {
    v4: Vec<IpAddr>,
    v6: Vec<IpAddr>,
}

/// The addresses of a name by the records of one type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Learnt {
    /// By A records.
    V4(Vec<IpAddr>),
    /// By AAAA records.
    V6(Vec<IpAddr>),
}

impl Answer {
    /// Whether there was an answer.
    pub(super) fn is_known(&self) -> bool {
        self.0.lock().is_some()
    }

    /// All addresses, those of IPv4 first, in order.
    pub(super) fn all(&self) -> Vec<IpAddr> {
        let addresses = self.0.lock().clone().unwrap_or_default();
        [addresses.v4, addresses.v6].concat()
    }

    /// Takes up what was learnt.
    pub(super) fn learn(&self, learnt: Learnt) {
        let sorted = |mut addresses: Vec<IpAddr>| {
            // Servers turn the order of their answers round; turns and hashes of requests must not follow that.
            addresses.sort_unstable();
            addresses.dedup();
            addresses
        };
        let mut present = self.0.lock();
        let mut next = present.clone().unwrap_or_default();
        match learnt {
            Learnt::V4(addresses) => next.v4 = sorted(addresses),
            Learnt::V6(addresses) => next.v6 = sorted(addresses),
        }
        *present = Some(next);
    }
}
