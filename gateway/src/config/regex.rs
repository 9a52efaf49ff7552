//! Shared regular expressions, which configurations share.

use std::borrow::Borrow;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::Deref;
use std::sync::{Arc, OnceLock};

use regex::RegexBuilder;

use super::rank::Expression;
use super::texts;

/// A regular expression. A clone is the same one: compiled once, with what is known of it and with what its searches
/// keep, as long as a configuration in use has it.
///
/// Two are equal that are written alike: flags stand in the expression itself.
#[derive(Clone)]
pub struct Regex(Arc<Shared>);

struct Shared {
    regex: regex::Regex,
    /// The limit that it is compiled within, in bytes.
    size: usize,
    /// Made where it is asked for: for paths.
    known: OnceLock<Expression>,
    /// The same, where many paths are looked through.
    texts: OnceLock<Vec<Vec<u8>>>,
}

impl Regex {
    /// Compiles one.
    #[cfg(test)]
    pub fn new(text: &str) -> Result<Self, regex::Error> {
        Self::within(text, 10 << 20)
    }

    /// Compiles one that takes so many bytes at most.
    ///
    /// # Errors
    /// What is wrong with it, or that it takes more.
    pub fn within(text: &str, size: usize) -> Result<Self, regex::Error> {
        let regex = RegexBuilder::new(text).size_limit(size).build()?;
        Ok(Self(Arc::new(Shared {
            regex,
            size,
            known: OnceLock::new(),
            texts: OnceLock::new(),
        })))
    }

    /// What it counts for, in bytes.
    pub(super) fn size(&self) -> usize {
        self.0.size
    }

    /// What all paths have in common that it matches.
    pub fn known(&self) -> &Expression {
        let known = &self.0.known;
        known.get_or_init(|| Expression::new(self.as_str()))
    }

    /// Texts of which everything that it matches has one. None where there are none, or too many.
    pub fn texts(&self) -> &[Vec<u8>] {
        let texts = &self.0.texts;
        texts.get_or_init(|| texts::of(self.as_str()).unwrap_or_default())
    }

    /// Whether this is the same one, compiled once.
    #[cfg(test)]
    pub(super) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// How many have this one.
    #[cfg(test)]
    pub(super) fn holders(&self) -> usize {
        Arc::strong_count(&self.0)
    }
}

impl Deref for Regex {
    type Target = regex::Regex;

    fn deref(&self) -> &regex::Regex {
        &self.0.regex
    }
}

impl fmt::Debug for Regex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.regex.fmt(f)
    }
}

impl PartialEq for Regex {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for Regex {}

impl Hash for Regex {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_str().hash(state);
    }
}

/// A set of them is asked by text.
impl Borrow<str> for Regex {
    fn borrow(&self) -> &str {
        self.as_str()
    }
}
