//! What a series may be called: its name, its labels, and the kind that a name stands for.

use std::collections::HashMap;

use indexmap::Equivalent;
use parking_lot::Mutex;

/// Series of one plugin; more are dropped, and counted as dropped.
pub(super) const MOST: usize = 1_000;
/// Labels of one metric.
const LABELS: usize = 8;
/// Bytes of a name, and of the value of a label.
pub(super) const LENGTH: usize = 128;

/// Why a metric of a plugin is not published.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// The name of the metric is none.
    #[error("a name has letters, digits and `_`, no digit first, and at most {LENGTH} bytes")]
    Name,
    /// The name ends as a line of another metric may.
    #[error(
        "a name does not end with `_total`, `_bucket`, `_sum`, `_count` or `_created`: those are added where they \
         belong, and `a_sum` would be a line of the histogram `a`"
    )]
    Suffix,
    /// The name of a label is none.
    #[error(
        "the name of a label has letters, digits and `_`, no digit and no `__` first, and at most {LENGTH} bytes"
    )]
    Label,
    /// A label that the gateway or the format has for itself.
    #[error("the labels `plugin` and `le` are taken: the gateway sets them")]
    Reserved,
    /// A label stands there twice.
    #[error("a label is given twice")]
    Twice,
    /// Too many labels.
    #[error("more than {LABELS} labels")]
    Labels,
    /// The value of a label is too long.
    #[error("the value of a label has more than {LENGTH} bytes")]
    Value,
    /// An observation that is no number.
    #[error("an observation is infinite or no number")]
    Number,
    /// The name is that of a counter here and of a histogram there.
    #[error("the name stands for a counter and for a histogram, in this plugin or another")]
    Kind,
    /// The plugin has as many series as it may.
    #[error("more than {MOST} combinations of name and labels; the rest is not counted")]
    TooMany,
}

/// What the format adds to the name of a metric for its lines.
const SUFFIXES: [&str; 5] = ["_total", "_bucket", "_sum", "_count", "_created"];

/// What a name stands for. A family has one kind, whichever plugins add to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Counter,
    Histogram,
}

/// The names of all plugins.
#[derive(Debug, Default)]
pub(in crate::telemetry::metrics) struct Names(Mutex<HashMap<String, Kind>>);

/// Name and labels.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(in crate::telemetry::metrics) struct Key {
    pub(in crate::telemetry::metrics) name: String,
    pub(in crate::telemetry::metrics) labels: Vec<(String, String)>,
}

/// A [`Key`] that is looked up.
#[derive(Debug, Clone, Copy, Hash)]
pub(super) struct Wanted<'a> {
    pub(super) name: &'a str,
    pub(super) labels: &'a [(String, String)],
}

impl Equivalent<Key> for Wanted<'_> {
    fn equivalent(&self, key: &Key) -> bool {
        self.name == key.name && self.labels == key.labels
    }
}

impl Names {
    /// Gives a name its kind, unless it has another.
    pub(super) fn take(&self, name: &str, kind: Kind) -> Result<(), Unfit> {
        let mut names = self.0.lock();
        match names.get(name) {
            Some(taken) if *taken == kind => Ok(()),
            Some(_) => Err(Unfit::Kind),
            None => {
                names.insert(name.to_owned(), kind);
                Ok(())
            }
        }
    }
}

/// Whether a metric, its labels in order, can stand in the text that Prometheus reads.
pub(super) fn check(wanted: Wanted<'_>) -> Result<(), Unfit> {
    let is_name = |name: &str| {
        name.len() <= LENGTH
            && name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
    };
    let labels = wanted.labels;
    if !is_name(wanted.name) {
        return Err(Unfit::Name);
    }
    // Whatever the other metrics are, and whichever comes first.
    if SUFFIXES.iter().any(|suffix| wanted.name.ends_with(suffix)) {
        return Err(Unfit::Suffix);
    }
    if labels.len() > LABELS {
        return Err(Unfit::Labels);
    }
    for (label, value) in labels {
        if matches!(&**label, "plugin" | "le") {
            return Err(Unfit::Reserved);
        }
        if !is_name(label) || label.starts_with("__") {
            return Err(Unfit::Label);
        }
        if value.len() > LENGTH {
            return Err(Unfit::Value);
        }
    }
    if labels.windows(2).any(|pair| pair[0].0 == pair[1].0) {
        return Err(Unfit::Twice);
    }
    Ok(())
}
