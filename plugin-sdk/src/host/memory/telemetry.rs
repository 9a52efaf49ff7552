//! The lines and numbers that a plugin leaves for its operators, held to the gateway's rules.

use super::scene::world;
use super::world::{LogLine, series};
use crate::types::level::Level;

pub(crate) fn log(level: Level, message: &str, fields: &[(&str, &str)]) {
    let fields = fields
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    world(|world| {
        world.logs.borrow_mut().push(LogLine {
            level,
            message: message.to_owned(),
            fields,
        })
    });
}

/// The longest name of a metric or label, and the longest value of a label, in bytes.
const LONGEST_LABEL: usize = 128;

/// What no name of a metric ends with.
const SUFFIXES: [&str; 5] = ["_total", "_bucket", "_sum", "_count", "_created"];

/// Whether the gateway would publish a metric. That it drops one for its name would only be found in operation.
fn published(name: &str, labels: &[(&str, &str)]) -> bool {
    let sound = |name: &str| {
        name.len() <= LONGEST_LABEL
            && name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
    };
    for name in std::iter::once(name).chain(labels.iter().map(|(name, _)| *name)) {
        assert!(
            sound(name),
            "`{name}` names no metric or label: the gateway drops it; letters, digits and `_` make a name"
        );
    }
    assert!(
        !SUFFIXES.iter().any(|suffix| name.ends_with(suffix)),
        "the metric `{name}` ends as the gateway ends its lines, and is dropped; leave the end out"
    );
    assert!(
        labels.len() <= 8,
        "the metric `{name}` has more than 8 labels: the gateway drops it"
    );
    labels.iter().all(|(_, value)| value.len() <= LONGEST_LABEL)
}

pub(crate) fn count(name: &str, labels: &[(&str, &str)], by: u64) {
    if !published(name, labels) {
        return;
    }
    world(|world| {
        *world
            .counters
            .borrow_mut()
            .entry(series(name, labels))
            .or_default() += by
    });
}

pub(crate) fn observe(name: &str, labels: &[(&str, &str)], value: f64) {
    if !published(name, labels) || !value.is_finite() {
        return;
    }
    world(|world| {
        world
            .observations
            .borrow_mut()
            .entry(series(name, labels))
            .or_default()
            .push(value)
    });
}
