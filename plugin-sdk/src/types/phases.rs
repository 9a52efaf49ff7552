//! The set of calls that a configured plugin wants.

use std::ops::{BitOr, BitOrAssign};

/// The calls that one configuration wants, joined with `|`. What is not asked for is never called.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Phases(u8);

impl Phases {
    /// No call at all: the plugin costs nothing under this configuration.
    pub const NONE: Self = Self(0);
    /// [`on_request`](crate::Plugin::on_request), when the head of the request is there.
    pub const REQUEST: Self = Self(1);
    /// The whole request body is held before `on_request`, which then reads and replaces it.
    pub const REQUEST_BODY: Self = Self(1 << 1);
    /// [`on_response`](crate::Plugin::on_response), when the head of the response is there.
    pub const RESPONSE: Self = Self(1 << 2);
    /// The whole response body is held before `on_response`, which then reads and replaces it.
    pub const RESPONSE_BODY: Self = Self(1 << 3);
    /// The request body passes through [`request_stream`](crate::Plugin::request_stream).
    pub const REQUEST_STREAM: Self = Self(1 << 4);
    /// The response body passes through [`response_stream`](crate::Plugin::response_stream).
    pub const RESPONSE_STREAM: Self = Self(1 << 5);
    /// [`on_complete`](crate::Plugin::on_complete), after the last byte or the abort.
    pub const COMPLETE: Self = Self(1 << 6);

    /// Whether every phase of `other` is in this set.
    #[must_use]
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// The bits, in the order of the WIT flags.
    #[cfg(target_arch = "wasm32")]
    pub(crate) const fn bits(self) -> u8 {
        self.0
    }
}

impl BitOr for Phases {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl BitOrAssign for Phases {
    fn bitor_assign(&mut self, other: Self) {
        self.0 |= other.0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_contains_what_was_joined_and_nothing_else() {
        let phases = Phases::REQUEST | Phases::COMPLETE;
        assert!(phases.contains(Phases::REQUEST));
        assert!(phases.contains(Phases::REQUEST | Phases::COMPLETE));
        assert!(!phases.contains(Phases::REQUEST | Phases::RESPONSE));
        assert!(!Phases::NONE.contains(Phases::REQUEST));
    }
}
