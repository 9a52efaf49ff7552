//! Readers of single values: each says what it expected, and what came.

use std::ops::RangeInclusive;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value as Json;

use super::description::Shape;
use super::item::Item;
use super::reason::Reason;
use super::suggest;
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
                self.expect(Shape::Text, expected);
                None
            }
        }
    }

    /// A word with a meaning of its own, where other strings may stand too.
    pub(super) fn keyword<T>(
        &self,
        words: impl IntoIterator<Item = (&'static str, T)>,
    ) -> Option<T> {
        if self.is_probe() {
            self.expect_words(words.into_iter().map(|(word, _)| word));
            return None;
        }
        let Value::Text(text) = &self.node.value else {
            return None;
        };
        let mut words = words.into_iter();
        words
            .find(|(word, _)| word == text)
            .map(|(_, meaning)| meaning)
    }

    /// Any string.
    pub(super) fn text(&self) -> Option<&'a str> {
        self.text_as("a string")
    }

    /// A boolean.
    pub(super) fn bool(&self) -> Option<bool> {
        let value = match self.node.value {
            Value::Bool(value) => Some(value),
            _ => self.parsed(),
        };
        if value.is_none() {
            self.expect(Shape::Bool, "true or false");
        }
        self.may_show(value);
        value
    }

    /// A number or a boolean that the environment or a file gives, as text: they have nothing else. A text that stands
    /// in the configuration itself is none.
    fn parsed<T: FromStr>(&self) -> Option<T> {
        match &self.node.value {
            Value::Text(text) if self.is_outside() => text.trim().parse().ok(),
            _ => None,
        }
    }

    /// Whether this is `false`, where something else may stand too.
    pub(super) fn is_false(&self) -> bool {
        if self.is_probe() {
            self.expect(Shape::False, "`false`");
        }
        matches!(self.node.value, Value::Bool(false)) || self.parsed::<bool>() == Some(false)
    }

    /// A whole number in a range.
    pub(super) fn integer(&self, range: RangeInclusive<i64>) -> Option<i64> {
        let number = match self.node.value {
            Value::Integer(number) => Some(number),
            _ => self.parsed(),
        };
        let number = number.filter(|number| range.contains(number));
        if number.is_none() {
            let (low, high) = (range.start(), range.end());
            let expected = format!("a whole number from {low} to {high}");
            self.expect(Shape::Integer(*low, *high), &expected);
        }
        self.may_show(number);
        number
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
            _ => self.parsed().unwrap_or(f64::NAN),
        };
        if (0.0..=1.0).contains(&number) {
            self.may_show(Some(number));
            Some(number)
        } else {
            self.expect(Shape::Share, "a number from 0.0 to 1.0");
            None
        }
    }

    /// A duration of more than zero.
    pub(super) fn duration(&self) -> Option<Duration> {
        let duration = self.duration_in(Shape::Duration { zero: false })?;
        if duration.is_zero() {
            self.fault("must be more than zero");
            return None;
        }
        Some(duration)
    }

    /// A duration, zero included.
    pub(super) fn duration_or_zero(&self) -> Option<Duration> {
        self.duration_in(Shape::Duration { zero: true })
    }

    fn duration_in(&self, shape: Shape) -> Option<Duration> {
        let examples = "a duration such as \"250ms\", \"10s\", \"5m\" or \"1h\"";
        let parsed = self.united(shape, examples, units::duration)?;
        if parsed > LONGEST {
            self.fault(format!("{} is longer than a year", self.quoted()));
            return None;
        }
        Some(parsed)
    }

    /// A size in bytes in a range; the messages name the ends of it as they are written in `named`.
    pub(super) fn size(&self, range: RangeInclusive<u64>, named: &str) -> Option<u64> {
        let zero = range.contains(&0);
        if self.is_probe() {
            self.expect(Shape::Size { zero }, named);
            return None;
        }
        let examples = "a size such as \"64KiB\" or \"10MiB\"";
        let size = self.united(Shape::Size { zero }, examples, units::size)?;
        if range.contains(&size) {
            return Some(size);
        }
        self.fault(format!("{} is out of range; write {named}", self.quoted()));
        None
    }

    fn united<T>(
        &self,
        shape: Shape,
        expected: &str,
        parse: impl Fn(&str) -> Result<T, Reason>,
    ) -> Option<T> {
        let parsed = match &self.node.value {
            Value::Text(text) => parse(text).map_err(|reason| (self.quoted(), reason)),
            // A bare number is the commonest slip: it gets the remedy of its text form.
            Value::Integer(number) => {
                parse(&number.to_string()).map_err(|reason| (format!("`{number}`"), reason))
            }
            _ => {
                self.expect(shape, expected);
                return None;
            }
        };
        match parsed {
            Ok(value) => {
                self.may_show(self.text_if_any());
                Some(value)
            }
            Err((quoted, reason)) if reason.begins("needs") || reason.begins("is") => {
                self.fault(format!("{quoted} {}", self.told(&reason)));
                None
            }
            Err((quoted, reason)) => {
                let kind = expected.split(" such").next().unwrap_or(expected);
                self.fault(format!("{quoted} is not {kind}: {}", self.told(&reason)));
                None
            }
        }
    }

    /// One of some words, each with what it means; `later` are words that are to come.
    pub(super) fn choice<T: Copy>(&self, words: &[(&str, T)], later: &[&str]) -> Option<T> {
        self.choice_known_as(words, later, &[])
    }

    /// As [`Item::choice`]; `elsewhere` are what other gateways call some of the words.
    pub(super) fn choice_known_as<T: Copy>(
        &self,
        words: &[(&str, T)],
        later: &[&str],
        elsewhere: &[(&str, &str)],
    ) -> Option<T> {
        let names: Vec<_> = words.iter().map(|(word, _)| *word).collect();
        if self.is_probe() {
            self.expect_words(names);
            return None;
        }
        let Value::Text(text) = &self.node.value else {
            self.expect(Shape::Text, &suggest::list(&names, "or"));
            return None;
        };
        let text = text.as_str();
        if let Some((word, meaning)) = words.iter().find(|(word, _)| *word == text) {
            self.may_show(Some(*word));
            return Some(*meaning);
        }
        if later.contains(&text) {
            let there = suggest::list(&names, "or");
            self.fault(format!(
                "{} is not in this version yet; write {there}",
                self.quoted()
            ));
            return None;
        }
        let known_as = elsewhere.iter().find(|(other, _)| *other == text);
        let meant = known_as.map(|(_, word)| *word);
        let remedy = match meant.or_else(|| suggest::closest(text, names.iter().copied())) {
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

    fn expect_words<'w>(&self, words: impl IntoIterator<Item = &'w str>) {
        let words: Vec<_> = words.into_iter().collect();
        let expected = suggest::list(&words, "or");
        let words = words.into_iter().map(str::to_owned).collect();
        self.expect(Shape::Words(words), &expected);
    }

    /// A name for something: what logs and metrics will call it.
    pub(super) fn name(&self) -> Option<Arc<str>> {
        if self.is_probe() {
            self.expect(Shape::Name, "a name");
            return None;
        }
        let text = self.text_as("a name")?;
        if let Some(reason) = bad_name(text) {
            self.fault(format!("{} {reason}", self.quoted()));
            return None;
        }
        Some(Arc::from(text))
    }

    /// The name of something that must exist.
    pub(super) fn reference(&self, kind: &str, known: &[Arc<str>]) -> Option<Arc<str>> {
        self.reference_hiding(kind, known, &[])
    }

    /// As [`Item::reference`]; of those that are known, some are not to be shown.
    pub(super) fn reference_hiding(
        &self,
        kind: &str,
        known: &[Arc<str>],
        hidden: &[Arc<str>],
    ) -> Option<Arc<str>> {
        let text = self.text_as(&format!("the name of {kind}"))?;
        let found = known.iter().find(|name| &***name == text).cloned();
        if found.is_none() && self.scope.is_complete() {
            let kind = kind.trim_start_matches("an ").trim_start_matches("a ");
            let shown = known.iter().filter(|name| !hidden.contains(name));
            let names = shown.map(|name| &**name);
            let remedy = match known {
                [] => format!("; the files have no {kind}s"),
                _ => suggest::remedy(text, names, "there is"),
            };
            self.fault(format!("no {kind} is called {}{remedy}", self.quoted()));
        }
        if found.is_some() {
            self.scope.uses(kind, text);
        }
        found
    }

    /// A table that is none of the gateway's business, as JSON.
    pub(super) fn open_table(&self, expected: &str) -> Option<Json> {
        match self.node.value {
            Value::Table(_) => Some(self.node.json()),
            _ => {
                self.expect(Shape::Open, expected);
                None
            }
        }
    }

    /// What this was read as may be shown, though it came from outside.
    pub(super) fn may_show(&self, read: Option<impl Into<Json>>) {
        if let (true, Some(read)) = (self.is_outside(), read) {
            self.scope.may_show(self.node.at, &self.key, read.into());
        }
    }

    fn text_if_any(&self) -> Option<&'a str> {
        match &self.node.value {
            Value::Text(text) => Some(text),
            _ => None,
        }
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
