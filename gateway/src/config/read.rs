//! Readers of single values: each says what it expected, and what came.

use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::suggest;
use super::table::{self, Item};
use super::tree::Value;
use super::units;

/// The longest duration anything may have: a year, so that sums and deadlines never overflow.
const LONGEST: Duration = Duration::from_secs(366 * 24 * 3600);

impl<'a> Item<'a> {
    /// Any string; `expected` names what it is for.
    pub(super) fn text_as(&self, expected: &str) -> Option<&'a str> {
        match &self.node.value {
            Value::Text(text) => Some(text),
            _ => {
                self.mismatch(expected);
                None
            }
        }
    }

    /// Any string.
    pub(super) fn text(&self) -> Option<&'a str> {
        self.text_as("a string")
    }

    /// A boolean.
    pub(super) fn bool(&self) -> Option<bool> {
        match self.node.value {
            Value::Bool(value) => Some(value),
            _ => {
                self.mismatch("true or false");
                None
            }
        }
    }

    /// A whole number in a range.
    pub(super) fn integer(&self, range: RangeInclusive<i64>) -> Option<i64> {
        match self.node.value {
            Value::Integer(number) if range.contains(&number) => Some(number),
            _ => {
                let (low, high) = (range.start(), range.end());
                self.mismatch(&format!("a whole number from {low} to {high}"));
                None
            }
        }
    }

    /// A count of at least `low`.
    pub(super) fn count(&self, low: i64) -> Option<usize> {
        let number = self.integer(low..=i64::from(u32::MAX))?;
        usize::try_from(number).ok()
    }

    /// A number from 0.0 to 1.0.
    pub(super) fn share(&self) -> Option<f64> {
        let number = match self.node.value {
            Value::Float(number) => number,
            Value::Integer(0) => 0.0,
            Value::Integer(1) => 1.0,
            _ => f64::NAN,
        };
        if (0.0..=1.0).contains(&number) {
            Some(number)
        } else {
            self.mismatch("a number from 0.0 to 1.0");
            None
        }
    }

    /// A duration of more than zero.
    pub(super) fn duration(&self) -> Option<Duration> {
        let duration = self.duration_or_zero()?;
        if duration.is_zero() {
            self.fault("must be more than zero");
            return None;
        }
        Some(duration)
    }

    /// A duration, zero included.
    pub(super) fn duration_or_zero(&self) -> Option<Duration> {
        let examples = "a duration such as \"250ms\", \"10s\", \"5m\" or \"1h\"";
        let parsed = self.united(examples, units::duration)?;
        if parsed > LONGEST {
            self.fault(format!("{} is longer than a year", self.quoted()));
            return None;
        }
        Some(parsed)
    }

    /// A size in bytes in a range; the messages name the ends of it as they are written in `named`.
    pub(super) fn size(&self, range: RangeInclusive<u64>, named: &str) -> Option<u64> {
        let size = self.united("a size such as \"64KiB\" or \"10MiB\"", units::size)?;
        if range.contains(&size) {
            return Some(size);
        }
        self.fault(format!("{} is out of range; write {named}", self.quoted()));
        None
    }

    fn united<T>(&self, expected: &str, parse: impl Fn(&str) -> Result<T, String>) -> Option<T> {
        let parsed = match &self.node.value {
            Value::Text(text) => parse(text).map_err(|reason| (self.quoted(), reason)),
            // A bare number is the commonest slip: it gets the remedy of its text form.
            Value::Integer(number) => {
                parse(&number.to_string()).map_err(|reason| (format!("`{number}`"), reason))
            }
            _ => {
                self.mismatch(expected);
                return None;
            }
        };
        match parsed {
            Ok(value) => Some(value),
            Err((quoted, reason)) if reason.starts_with("needs") || reason.starts_with("is") => {
                self.fault(format!("{quoted} {reason}"));
                None
            }
            Err((quoted, reason)) => {
                let kind = expected.split(" such").next().unwrap_or(expected);
                self.fault(format!("{quoted} is not {kind}: {reason}"));
                None
            }
        }
    }

    /// One of some words, each with what it means; `later` are words that are to come.
    pub(super) fn choice<T: Copy>(&self, words: &[(&str, T)], later: &[&str]) -> Option<T> {
        let names: Vec<_> = words.iter().map(|(word, _)| *word).collect();
        let text = self.text_as(&suggest::list(&names, "or"))?;
        if let Some((_, meaning)) = words.iter().find(|(word, _)| *word == text) {
            return Some(*meaning);
        }
        if later.contains(&text) {
            let there = suggest::list(&names, "or");
            self.fault(format!("{}; write {there}", table::later(text)));
            return None;
        }
        let remedy = match suggest::closest(text, names.iter().copied()) {
            Some(meant) => format!("; did you mean `{meant}`?"),
            None => String::new(),
        };
        let expected = suggest::list(&names, "or");
        self.fault(format!(
            "expected {expected}, found {}{remedy}",
            self.quoted()
        ));
        None
    }

    /// A name for something: what logs and metrics will call it.
    pub(super) fn name(&self) -> Option<Arc<str>> {
        let text = self.text_as("a name")?;
        if let Some(reason) = bad_name(text) {
            self.fault(format!("{} {reason}", self.quoted()));
            return None;
        }
        Some(Arc::from(text))
    }

    /// The name of something that must exist.
    pub(super) fn reference(&self, kind: &str, known: &[Arc<str>]) -> Option<Arc<str>> {
        let text = self.text_as(&format!("the name of {kind}"))?;
        let found = known.iter().find(|name| &***name == text).cloned();
        if found.is_none() && self.scope.is_complete() {
            let kind = kind.trim_start_matches("an ").trim_start_matches("a ");
            let names = known.iter().map(|name| &**name);
            let remedy = match known {
                [] => format!("; the files have no {kind}s"),
                _ => suggest::remedy(text, names, "there is"),
            };
            self.fault(format!("no {kind} is called {}{remedy}", self.quoted()));
        }
        found
    }

    /// A path, relative to the file it stands in, made absolute.
    pub(super) fn path(&self) -> Option<PathBuf> {
        let text = self.text_as("a path")?;
        if text.is_empty() {
            self.fault("is empty; write a path");
            return None;
        }
        Some(self.scope.resolve(self.node.at, text))
    }
}

/// Why a name will not do.
pub(super) fn bad_name(name: &str) -> Option<&'static str> {
    if name.is_empty() {
        Some("is no name: it is empty")
    } else if name.len() > 128 {
        Some("is no name: it has more than 128 bytes")
    } else if name.chars().any(|c| c.is_control() || c.is_whitespace()) {
        Some("is no name: it has white space or control characters in it")
    } else {
        None
    }
}
