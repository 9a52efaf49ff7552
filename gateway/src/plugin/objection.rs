//! What a plugin finds wrong with its configuration, and what is wrong with the plugin: as many faults as a person
//! reads, each of them one line.

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use super::words::Words;
use crate::config::{self, Fault, Spot, Written};
use crate::message::text::line;

/// The most faults of one configuration that are told.
const MOST: usize = 64;
/// The longest key, bytes.
const KEY: usize = 256;
/// The longest message, bytes.
const MESSAGE: usize = 1 << 10;

/// Why a plugin was not loaded: every fault, each with its remedy where there is one.
#[derive(Debug)]
pub struct LoadError {
    /// The plugin's name in the configuration.
    pub plugin: Arc<str>,
    /// What is wrong; at least one.
    pub faults: Vec<Objection>,
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Objection {
    /// What it is wrong with.
    pub about: About,
    /// The key in it, as a dotted path; empty for the whole.
    pub key: String,
    /// What is wrong, and what would be right.
    pub message: String,
}

/// What something is wrong with.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum About {
    /// A configuration of the plugin, which is written there.
    Config(Spot),
    /// The plugin itself, by the key of its table that decides it.
    Plugin(&'static str),
}

impl fmt::Display for LoadError {
    /// One fault a line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, fault) in self.faults.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            f.write_str(&fault.of(&self.plugin))?;
        }
        Ok(())
    }
}

impl std::error::Error for LoadError {}

impl LoadError {
    /// What is wrong with a plugin itself, which the `key` of its table decides.
    pub(super) fn whole(plugin: &config::Plugin, key: &'static str, message: &str) -> Self {
        Self {
            plugin: plugin.name.clone(),
            faults: vec![Objection::whole(key, message)],
        }
    }

    /// Its faults, each with its place in the files: `place` tells that of a key of the plugin's table.
    pub fn faults<'a>(
        &'a self,
        place: impl Fn(&str) -> Spot + 'a,
    ) -> impl Iterator<Item = Fault> + 'a {
        let faults = self.faults.iter();
        faults.map(move |fault| fault.in_files(&self.plugin, &place))
    }
}

impl Objection {
    /// The whole message, of this plugin.
    fn of(&self, plugin: &str) -> String {
        self.in_files(plugin, &|_| Spot::default()).to_string()
    }

    /// As a fault of the files: `place` tells that of a key of the plugin's table.
    pub(super) fn in_files(&self, plugin: &str, place: &dyn Fn(&str) -> Spot) -> Fault {
        match &self.about {
            About::Plugin(key) => match place(key) {
                spot if spot.key.is_empty() => {
                    spot.fault(format!("plugin {plugin:?}: {}", self.message))
                }
                spot => spot.fault(self.message.clone()),
            },
            About::Config(spot) => {
                let colon = if self.key.is_empty() { "" } else { ": " };
                let (key, message) = (&self.key, &self.message);
                spot.fault(format!("plugin {plugin:?}: {key}{colon}{message}"))
            }
        }
    }

    /// A fault of the plugin itself, in the gateway's words; they may quote the file.
    pub(super) fn whole(key: &'static str, message: &str) -> Self {
        Self {
            about: About::Plugin(key),
            key: String::new(),
            message: line(message, MESSAGE),
        }
    }
}

/// Faults of the plugin itself: the first of them, and how many there are more.
pub(super) fn of_plugin(key: &'static str, messages: &[String]) -> Vec<Objection> {
    let shown = messages.iter().take(MOST);
    let mut faults: Vec<_> = shown
        .map(|message| Objection::whole(key, message))
        .collect();
    faults.extend(more(messages.len()).map(|message| Objection::whole(key, &message)));
    faults
}

/// What came of a configuration that the plugin did not take, wherever it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Refusal {
    /// The plugin names faults: keys and messages, as it words them.
    Faults(Vec<(String, String)>),
    /// It failed.
    Failed(String),
}

impl Refusal {
    /// Its own words, as many as are told and each once; the rest are counted.
    pub(super) fn of(faults: impl IntoIterator<Item = (String, String)>) -> Self {
        let mut seen = HashSet::new();
        let mut kept = Vec::new();
        let mut count = 0;
        for fault in faults {
            if seen.contains(&fault) {
                continue;
            }
            count += 1;
            if kept.len() < MOST {
                kept.push(fault.clone());
            }
            seen.insert(fault);
        }
        if kept.is_empty() {
            kept.push((String::new(), "refused, without a reason".to_owned()));
        }
        kept.extend(more(count).map(|message| (String::new(), message)));
        Self::Faults(kept)
    }

    /// What the configuration as a whole needs and does not have.
    pub(super) fn of_wants(messages: impl IntoIterator<Item = String>) -> Self {
        Self::of(messages.into_iter().map(|message| (String::new(), message)))
    }

    /// The faults of the configuration that is written there.
    pub(super) fn told(&self, place: &Written, words: &Words) -> Vec<Objection> {
        match self {
            Self::Failed(_) if place.may_be_unset("") => Vec::new(),
            Self::Failed(message) => vec![Objection {
                about: About::Config(place.spot().clone()),
                ..Objection::whole("", message)
            }],
            Self::Faults(faults) => {
                let told = |(key, message): &(String, String)| {
                    // A longer one is none of the files'.
                    let at = &key[..key.floor_char_boundary(KEY)];
                    let key = match place.has(key) {
                        true => line(key, KEY),
                        false => words.line(key, KEY),
                    };
                    Objection {
                        about: About::Config(place.of(at)),
                        key,
                        message: words.line(message, MESSAGE),
                    }
                };
                let faults = faults.iter().filter(|(key, _)| !place.may_be_unset(key));
                faults.map(told).collect()
            }
        }
    }
}

/// What is said of so many faults that are not told.
fn more(count: usize) -> Option<String> {
    (count > MOST).then(|| format!("and {} more", count - MOST))
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    fn faults(count: usize) -> impl Iterator<Item = (String, String)> {
        (0..count).map(|number| (format!("a[{number}]"), format!("wrong {number}")))
    }

    #[test]
    fn a_flood_of_faults_is_told_in_part_and_in_no_time() {
        let began = Instant::now();
        let Refusal::Faults(kept) = Refusal::of(faults(100_000).chain(faults(100_000))) else {
            unreachable!("they are faults");
        };
        // Each compared with each would be minutes.
        assert!(began.elapsed() < Duration::from_secs(20));
        assert_eq!(kept.len(), MOST + 1);
        let last = (String::new(), "and 99936 more".to_owned());
        assert_eq!(kept.last(), Some(&last));
        assert_eq!(kept[..MOST], faults(MOST).collect::<Vec<_>>());
    }

    #[test]
    fn faults_are_told_once_and_a_refusal_has_at_least_one() {
        assert_eq!(
            Refusal::of(faults(3).chain(faults(3))),
            Refusal::of(faults(3))
        );
        let none = Refusal::of([]);
        let said = (String::new(), "refused, without a reason".to_owned());
        assert_eq!(none, Refusal::Faults(vec![said]));
    }

    #[test]
    fn what_a_component_lacks_is_told_in_part() {
        let messages: Vec<_> = (0..100)
            .map(|number| format!("imports {number}\n"))
            .collect();
        let told = of_plugin("path", &messages);
        assert_eq!(told.len(), MOST + 1);
        assert_eq!(told[0].message, "imports 0\\n");
        assert_eq!(told[MOST].message, "and 36 more");
    }
}
