//! `when` of a link: under which conditions it has its turn.

use super::matcher::{Predicates, ValuePattern};

/// The most plugins of a chain: which of them have their turn is kept in 64 bits.
pub const LONGEST_CHAIN: usize = 64;

/// `when`.
#[derive(Debug, Clone)]
pub struct When {
    /// What must hold.
    pub all: Conditions,
    /// `not`: what must not hold as a whole.
    pub not: Option<Conditions>,
    /// As it was written, a line of TOML, with `***` for what came from outside of the files.
    pub written: String,
}

/// What is asked of a request whose turn with a plugin has come: all of it must hold.
#[derive(Debug, Clone, Default)]
pub struct Conditions {
    /// Of the request.
    pub predicates: Predicates,
    /// Of the attributes that plugins before have set, by name.
    pub attributes: Vec<(Box<str>, ValuePattern)>,
}

impl When {
    /// Whether it asks for attributes, which only plugins set.
    pub fn asks_for_attributes(&self) -> bool {
        let conditions = [Some(&self.all), self.not.as_ref()];
        let mut conditions = conditions.into_iter().flatten();
        conditions.any(|conditions| !conditions.attributes.is_empty())
    }
}
