//! Why a text will not do, and what would.
//!
//! A reason may repeat the text, or what would be right in its place. What it repeats is kept apart from its own words:
//! where the text came from outside of the files, the one is hidden and the other is not touched.

use std::borrow::Cow;
use std::fmt::Display;

/// What stands for a piece of a text that is not to be shown.
const HIDDEN: &str = "***";

/// A sentence, of which some pieces repeat the text that it is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reason(Vec<Piece>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Own(Cow<'static, str>),
    Repeated(String),
    /// Words that repeat the text, and others for where it is hidden.
    Either(String, String),
}

impl Reason {
    /// Words in which each `{}` stands for a piece that repeats the text or comes of it.
    pub(super) fn repeating<const N: usize>(
        words: &'static str,
        repeated: [&dyn Display; N],
    ) -> Self {
        let mut pieces = Vec::with_capacity(2 * N + 1);
        let mut own = words.split("{}");
        pieces.extend(own.next().map(|own| Piece::Own(own.into())));
        for (piece, own) in repeated.iter().zip(own) {
            pieces.push(Piece::Repeated(piece.to_string()));
            pieces.push(Piece::Own(own.into()));
        }
        Self(pieces)
    }

    /// Words that repeat nothing of the text.
    pub(super) fn own(words: impl Into<Cow<'static, str>>) -> Self {
        Self(vec![Piece::Own(words.into())])
    }

    /// The reason with more words at its end that repeat nothing of the text.
    pub(super) fn and(mut self, words: impl Into<Cow<'static, str>>) -> Self {
        self.0.push(Piece::Own(words.into()));
        self
    }

    /// The reason with more words at its end: `repeating` has the text in it, and `hidden` stands there where the text may
    /// not be shown.
    pub(super) fn either(mut self, repeating: String, hidden: String) -> Self {
        self.0.push(Piece::Either(repeating, hidden));
        self
    }

    /// The reason in words; `hides` what it repeats, or not.
    pub(super) fn told(&self, hides: bool) -> String {
        let pieces = self.0.iter().map(|piece| match piece {
            Piece::Own(words) => &**words,
            Piece::Either(_, words) if hides => words.as_str(),
            Piece::Either(words, _) => words.as_str(),
            Piece::Repeated(_) if hides => HIDDEN,
            Piece::Repeated(text) => text.as_str(),
        });
        pieces.collect()
    }

    /// Whether its own words begin so.
    pub(super) fn begins(&self, with: &str) -> bool {
        matches!(self.0.first(), Some(Piece::Own(words)) if words.starts_with(with))
    }
}

impl From<&'static str> for Reason {
    fn from(words: &'static str) -> Self {
        Self::own(words)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_repeats_the_text_is_hidden_and_nothing_else_is() {
        let reason = Reason::repeating(
            "`{{}}`: write \"127.0.0.1:80\", not \"127.0.0.1:{}\"",
            [&"80", &80],
        );
        assert_eq!(
            reason.told(false),
            "`{80}`: write \"127.0.0.1:80\", not \"127.0.0.1:80\""
        );
        assert_eq!(
            reason.told(true),
            "`{***}`: write \"127.0.0.1:80\", not \"127.0.0.1:***\""
        );
        let reason = Reason::from("is long; ").either("write \"1s\"".into(), "write less".into());
        assert_eq!(reason.told(false), "is long; write \"1s\"");
        assert_eq!(reason.told(true), "is long; write less");
        assert!(Reason::from("needs a unit").and("; 80").begins("needs"));
    }
}
