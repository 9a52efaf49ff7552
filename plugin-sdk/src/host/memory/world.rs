//! The gateway around the exchanges of a test: its clock, secrets, upstreams and store, and what plugins left behind.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::{SystemTime, UNIX_EPOCH};

use super::facts::UpstreamFn;
use super::store::Store;
use crate::types::level::Level;

type Series = (String, Vec<(String, String)>);

/// What outlives an exchange.
pub(crate) struct World {
    pub(crate) store: RefCell<Store>,
    pub(crate) store_is_lost: Cell<bool>,
    pub(crate) now: Cell<SystemTime>,
    pub(crate) secrets: BTreeMap<String, String>,
    pub(crate) upstreams: BTreeMap<String, Rc<UpstreamFn>>,
    pub(crate) logs: RefCell<Vec<LogLine>>,
    pub(crate) counters: RefCell<BTreeMap<Series, u64>>,
    pub(crate) observations: RefCell<BTreeMap<Series, Vec<f64>>>,
}

impl World {
    /// A gateway that has nothing to grant, at this time of day.
    pub(crate) fn new(now: SystemTime) -> Self {
        Self {
            store: RefCell::default(),
            store_is_lost: Cell::new(false),
            now: Cell::new(now),
            secrets: BTreeMap::new(),
            upstreams: BTreeMap::new(),
            logs: RefCell::default(),
            counters: RefCell::default(),
            observations: RefCell::default(),
        }
    }

    pub(crate) fn milliseconds(&self) -> u64 {
        let since = self
            .now
            .get()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    }
}

/// A line that the plugin logged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLine {
    /// How much it matters.
    pub level: Level,
    /// The text.
    pub message: String,
    /// Names and values.
    pub fields: Vec<(String, String)>,
}

impl LogLine {
    /// The value of a field.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&str> {
        self.fields
            .iter()
            .find(|(n, _)| n == name)
            .map(|(_, value)| value.as_str())
    }
}

/// Labels are a set: their order does not make another series.
pub(crate) fn series(name: &str, labels: &[(&str, &str)]) -> Series {
    let mut labels: Vec<_> = labels
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    labels.sort();
    (name.to_owned(), labels)
}
