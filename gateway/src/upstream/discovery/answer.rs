//! What the DNS says of a name.

use std::net::IpAddr;

use parking_lot::Mutex;

/// So many addresses of each family are endpoints; a name that has more leaves those out that come last in order.
const MOST: usize = 1024;

/// What is said of a name of which no look-up has ended.
const NOT_YET: &str = "the DNS has not answered yet";

/// What is known of a name, over reloads.
#[derive(Debug, Default)]
pub(in crate::upstream) struct Answer {
    addresses: Mutex<Option<Addresses>>,
    trouble: Mutex<Option<String>>,
}

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

impl Learnt {
    /// In order, each once, and no more than may be. How many are left out.
    fn bound(&mut self) -> usize {
        let (Self::V4(addresses) | Self::V6(addresses)) = self;
        // Servers turn the order of their answers round; turns and hashes of requests must not follow that.
        addresses.sort_unstable();
        addresses.dedup();
        let left_out = addresses.len().saturating_sub(MOST);
        addresses.truncate(MOST);
        left_out
    }
}

impl Answer {
    /// Whether there was an answer.
    pub(super) fn is_known(&self) -> bool {
        self.addresses.lock().is_some()
    }

    /// Whether a look-up has ended, with an answer or without.
    pub(super) fn was_asked(&self) -> bool {
        self.is_known() || self.trouble.lock().is_some()
    }

    /// All addresses, those of IPv4 first, in order.
    pub(in crate::upstream) fn all(&self) -> Vec<IpAddr> {
        let addresses = self.addresses.lock().clone().unwrap_or_default();
        [addresses.v4, addresses.v6].concat()
    }

    /// Why the last look-up has no answer, if it has none, or that there was no answer yet.
    pub(super) fn trouble(&self) -> Option<String> {
        let trouble = self.trouble.lock().clone();
        trouble.or_else(|| (!self.is_known()).then(|| NOT_YET.to_owned()))
    }

    /// How the last look-up ended.
    pub(in crate::upstream) fn asked(&self, trouble: Option<String>) {
        *self.trouble.lock() = trouble;
    }

    /// Takes up what was learnt, which is bounded. How many addresses it leaves out.
    pub(in crate::upstream) fn learn(&self, mut learnt: Learnt) -> usize {
        let left_out = learnt.bound();
        let mut present = self.addresses.lock();
        let mut next = present.clone().unwrap_or_default();
        match learnt {
            Learnt::V4(addresses) => next.v4 = addresses,
            Learnt::V6(addresses) => next.v6 = addresses,
        }
        *present = Some(next);
        left_out
    }
}
