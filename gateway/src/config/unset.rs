//! What stands for a value that is not set, where a configuration is checked without its environment (`check
//! --allow-unset`): a sound value of the kind that is read.
//!
//! Readers need not know: the files are read again, with another text in place of each such value that a reader
//! complained of, until none complains. What to try are values that every kind of reader takes, and those that the
//! complaint names as right. A value that nothing sound is found for, such as the path of a plugin, is not complained of:
//! only what depends on it is not looked at.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// A value by its file, line and key.
type Place = (usize, usize, String);

/// Texts that some reader or other takes. The first takes no port from another listener.
const KINDS: [&str; 9] = [
    "127.0.0.1:0",
    "1",
    "true",
    "1s",
    "1MiB",
    "/unset",
    "https://unset.example/",
    "10.0.0.0/8",
    "unset-unset-unset-unset-unset-unset",
];

/// What stands for each value that is not set.
#[derive(Debug, Default)]
pub(super) struct StandIns(BTreeMap<Place, Tried>);

#[derive(Debug)]
struct Tried {
    /// The variables and files that there are not.
    names: Vec<String>,
    /// What stands for each variable in the text.
    variable: String,
    /// What stands for the whole of it, if not that.
    whole: Option<String>,
    /// What was tried, or is to be.
    known: BTreeSet<String>,
    next: VecDeque<String>,
    /// Whether a reader complained of what stands there now.
    is_refused: bool,
}

/// What stands for one value.
#[derive(Debug)]
pub(super) struct StandIn {
    /// For each variable in the text.
    pub(super) variable: String,
    /// For the whole text.
    pub(super) whole: Option<String>,
}

impl StandIns {
    /// What stands for the value at this place, for want of these names.
    pub(super) fn of(&mut self, place: Place, names: &[String]) -> StandIn {
        let number = self.0.len() + 1;
        let tried = self.0.entry(place).or_insert_with(|| Tried {
            names: names.to_vec(),
            variable: format!("unset-{number}"),
            whole: None,
            known: BTreeSet::new(),
            next: VecDeque::new(),
            is_refused: false,
        });
        StandIn {
            variable: tried.variable.clone(),
            whole: tried.whole.clone(),
        }
    }

    /// Whether a text stands for a variable.
    pub(super) fn is_stand_in(&self, text: &str) -> bool {
        self.0.values().any(|tried| tried.variable == text)
    }

    /// Takes in what a reader says of the value at this place. Whether it is one that is not set.
    pub(super) fn refused(&mut self, place: &Place, message: &str) -> bool {
        let Some(tried) = self.0.get_mut(place) else {
            return false;
        };
        let (first, rest) = KINDS.split_at(1);
        let kinds = |kinds: &[&str]| kinds.iter().copied().map(str::to_owned).collect::<Vec<_>>();
        for text in [kinds(first), named_in(message), kinds(rest)].concat() {
            if tried.known.insert(text.clone()) {
                tried.next.push_back(text);
            }
        }
        tried.is_refused = true;
        true
    }

    /// Takes another text in place of each that a reader complained of. Whether there is another for any.
    pub(super) fn next(&mut self) -> bool {
        let mut has_others = false;
        for tried in self.0.values_mut().filter(|tried| tried.is_refused) {
            tried.is_refused = false;
            let next = tried.next.pop_front();
            has_others |= next.is_some();
            tried.whole = next.or(tried.whole.take());
        }
        has_others
    }

    /// Everything that is not set, each once.
    pub(super) fn names(&self) -> Vec<String> {
        let names: BTreeSet<_> = self.0.values().flat_map(|tried| &tried.names).collect();
        names.into_iter().cloned().collect()
    }
}

/// The values that a message names: what stands between marks, and numbers.
fn named_in(message: &str) -> Vec<String> {
    let mut named = Vec::new();
    for mark in ['"', '`'] {
        let quoted = message.split(mark).skip(1).step_by(2);
        named.extend(quoted.map(str::to_owned));
    }
    let numbers = message.split(|c: char| !c.is_ascii_digit() && c != '.');
    let numbers = numbers.filter(|text| text.parse::<f64>().is_ok());
    named.extend(numbers.map(str::to_owned));
    named
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_complaint_names_is_tried_and_nothing_twice() {
        let mut stand_ins = StandIns::default();
        let place = (0, 3, "a.b".to_owned());
        let names = ["NAME".to_owned()];
        let text = |stand_ins: &mut StandIns| {
            let stands = stand_ins.of(place.clone(), &names);
            stands.whole.unwrap_or(stands.variable)
        };
        assert_eq!(text(&mut stand_ins), "unset-1");
        let complaint = "expected `one` or `two`, found 7 from \"1s\"";
        let mut tried = Vec::new();
        while stand_ins.refused(&place, complaint) && stand_ins.next() {
            tried.push(text(&mut stand_ins));
        }
        assert_eq!(tried[..5], ["127.0.0.1:0", "1s", "one", "two", "7"]);
        let distinct: BTreeSet<_> = tried.iter().collect();
        assert_eq!(distinct.len(), tried.len());
        assert_eq!(stand_ins.names(), ["NAME"]);
        assert!(!stand_ins.refused(&(0, 4, String::new()), complaint));
    }
}
