//! What is counted together. The key in the store is the limit's own prefix and a tagged part for each source, so
//! that neither two limits nor two kinds of value can meet in one counter.

use std::fmt::Write;
use std::hash::{DefaultHasher, Hasher};

use gateway_plugin_sdk::limiter::{Algorithm, Quota};
use gateway_plugin_sdk::{Request, fields};
use schemars::JsonSchema;
use serde::Deserialize;

/// Longer values are counted by their hash: the store takes keys up to 1 KiB, and a client chooses what it sends.
const LONGEST_VALUE: usize = 96;

/// Where a part of the key comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    ClientAddress,
    Route,
    Header(String),
    Attribute(String),
}

impl Source {
    /// Reads a source as the configuration writes it.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        match text {
            "client_address" => Some(Self::ClientAddress),
            "route" => Some(Self::Route),
            _ => match text.split_once(':')? {
                ("header", name) if fields::is_token(name) => {
                    Some(Self::Header(name.to_ascii_lowercase()))
                }
                ("attribute", name) if !name.is_empty() => Some(Self::Attribute(name.to_owned())),
                _ => None,
            },
        }
    }
}

/// What counts a request that has no value for the key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum OnMissingKey {
    #[default]
    ClientAddress,
    Skip,
    Refuse,
}

/// The key of one limit.
#[derive(Debug)]
pub(crate) struct Key {
    /// Tells this limit from every other in the plugin's namespace.
    prefix: String,
    sources: Vec<Source>,
}

/// What came of writing a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Written {
    Whole,
    /// A value is missing and the limit does not apply.
    Skip,
    /// A value is missing and the request is to be refused.
    Refuse,
}

impl Key {
    /// The key of a limit. Its prefix holds the name and what the count is made in: another `limit` or `burst` goes on
    /// with what was used, another algorithm or window counts anew.
    pub(crate) fn new(name: &str, quota: Quota, per_route: bool, mut sources: Vec<Source>) -> Self {
        if per_route && !sources.contains(&Source::Route) {
            sources.insert(0, Source::Route);
        }
        let Quota {
            window_ms,
            algorithm,
            ..
        } = quota;
        let kind = match algorithm {
            Algorithm::TokenBucket => 't',
            Algorithm::SlidingWindow => 's',
            Algorithm::FixedWindow => 'f',
        };
        let prefix = format!("{name}\u{1f}{kind}{window_ms}");
        Self { prefix, sources }
    }

    /// The request fields that it reads.
    pub(crate) fn fields(&self) -> impl Iterator<Item = &str> {
        self.sources.iter().filter_map(|source| match source {
            Source::Header(name) => Some(name.as_str()),
            Source::ClientAddress | Source::Route | Source::Attribute(_) => None,
        })
    }

    /// Appends the key of this request to `out`.
    pub(crate) fn write(
        &self,
        request: &Request,
        on_missing: OnMissingKey,
        out: &mut String,
    ) -> Written {
        out.push_str(&self.prefix);
        for source in &self.sources {
            let (tag, value) = match source {
                Source::ClientAddress => ('a', Some(request.client_address().into_bytes())),
                Source::Route => ('r', Some(request.route().into_bytes())),
                Source::Header(name) => ('h', request.header(name)),
                Source::Attribute(name) => ('t', request.attribute(name).map(String::into_bytes)),
            };
            match (value.filter(|value| !value.is_empty()), on_missing) {
                (Some(value), _) => part(tag, &value, out),
                (None, OnMissingKey::ClientAddress) => {
                    part('a', request.client_address().as_bytes(), out);
                }
                (None, OnMissingKey::Skip) => return Written::Skip,
                (None, OnMissingKey::Refuse) => return Written::Refuse,
            }
        }
        Written::Whole
    }
}

/// A value that is short printable text stands for itself; any other is hashed, under a tag of its own.
fn part(tag: char, value: &[u8], out: &mut String) {
    out.push('\u{1f}');
    let printable = value.iter().all(|byte| *byte >= b' ');
    match std::str::from_utf8(value) {
        Ok(text) if printable && text.len() <= LONGEST_VALUE => {
            out.push(tag);
            out.push_str(text);
        }
        _ => {
            out.push(tag.to_ascii_uppercase());
            for salt in [0_u8, 1] {
                let mut hasher = DefaultHasher::new();
                hasher.write_u8(salt);
                hasher.write(value);
                write!(out, "{:016x}", hasher.finish()).expect("a String takes any text");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(tag: char, value: &[u8]) -> String {
        let mut out = String::new();
        part(tag, value, &mut out);
        out
    }

    #[test]
    fn a_source_is_read_as_it_is_written() {
        assert_eq!(Source::parse("client_address"), Some(Source::ClientAddress));
        assert_eq!(
            Source::parse("header:X-Api-Key"),
            Some(Source::Header("x-api-key".to_owned()))
        );
        assert_eq!(
            Source::parse("attribute:auth.subject"),
            Some(Source::Attribute("auth.subject".to_owned()))
        );
        for text in ["", "ip", "header:", "header:a b", "attribute:", "cookie:a"] {
            assert_eq!(Source::parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_long_value_is_short_in_the_key_and_still_its_own() {
        let (one, other) = (written('h', &[b'a'; 5000]), written('h', &[b'a'; 5001]));
        assert!(one.len() < 64);
        assert_ne!(one, other);
    }

    #[test]
    fn values_of_different_kinds_never_meet() {
        assert_ne!(written('h', b"192.0.2.1"), written('a', b"192.0.2.1"));
        assert_ne!(
            written('h', b"a\x1fhb"),
            written('h', b"a") + &written('h', b"b")
        );
        assert_ne!(written('h', &[0xff]), written('h', &[0xfe]));
    }
}
