//! What a plugin says, as an operator may read it: one line, bounded, and without what the plugin was given in
//! confidence.
//!
//! Confidential is every value in its configuration that came out of the environment, a file or `[secrets]`, and every
//! secret that it is granted. Where the gateway words a message it never puts one in; in the words of a plugin there is
//! nothing but to look for them:
//!
//! - A value of [`LONG`] bytes or more is `***` wherever it occurs, whatever is around it: as it is, escaped as Rust,
//!   JSON, a URL or a form do, in hexadecimal or base64, and in any case of its ASCII letters. So are its lines.
//! - A shorter one would be found in every other word. Where it stands as a word of its own, the whole text is
//!   [`UNSHOWN`]; inside of longer words it tells nothing.
//! - `true` and `false` are no secrets.

use std::ops::Range;

use aho_corasick::{AhoCorasick, AhoCorasickKind};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::message::text::{Line, Quoted, hex};

/// From so many bytes a value is looked for in all that surrounds it.
const LONG: usize = 6;
/// What is longer is looked for in pieces of so many bytes.
const PIECE: usize = 128;
/// So many bytes of a value are looked for: no message shows more.
const VALUE: usize = 16 << 10;
/// What stands for a value.
const HIDDEN: &str = "***";
/// What stands for words that repeat a value which is too short to be cut out of them.
const UNSHOWN: &str = "(not shown: the words of the plugin repeat a short value from the environment, a file or [secrets])";
/// What a URL leaves as it is (RFC 3986, section 2.3).
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// Shows the words of one plugin.
#[derive(Debug, Default)]
pub(super) struct Words {
    long: Option<AhoCorasick>,
    /// The longest that is looked for, bytes.
    longest: usize,
    short: Vec<String>,
    /// Nothing is shown: there are more values than can be looked for.
    blind: bool,
}

impl Words {
    /// Words in which these values are not shown.
    pub(super) fn hiding<'a>(values: impl IntoIterator<Item = &'a str>) -> Self {
        let (mut long, mut short) = (Vec::new(), Vec::new());
        for value in values {
            forms(value, &mut long, &mut short);
        }
        if long.is_empty() && short.is_empty() {
            return Self::default();
        }
        for forms in [&mut long, &mut short] {
            forms.sort_unstable();
            forms.dedup();
        }
        let built = AhoCorasick::builder()
            .ascii_case_insensitive(true)
            .kind(Some(AhoCorasickKind::ContiguousNFA))
            .build(&long);
        Self {
            longest: long.iter().map(String::len).max().unwrap_or(0),
            blind: built.is_err(),
            long: built.ok(),
            short,
        }
    }

    /// A text as one line of at most so many of its bytes.
    pub(super) fn line(&self, text: &str, most: usize) -> String {
        self.shown(text, most, |piece| Line(piece).to_string())
    }

    /// As [`Words::line`], between quotation marks.
    pub(super) fn quoted(&self, text: &str, most: usize) -> String {
        let quoted = |piece: &str| {
            let quoted = Quoted(piece).to_string();
            quoted[1..quoted.len() - 1].to_owned()
        };
        format!("\"{}\"", self.shown(text, most, quoted))
    }

    fn shown(&self, text: &str, most: usize, show: impl Fn(&str) -> String) -> String {
        let end = text.floor_char_boundary(most);
        // What begins before the end is seen whole.
        let seen = &text[..text.floor_char_boundary(most.saturating_add(self.longest))];
        if self.blind || self.short.iter().any(|word| has_word(seen, word)) {
            return UNSHOWN.to_owned();
        }
        let mut shown = String::with_capacity(end + HIDDEN.len());
        let mut at = 0;
        for hidden in self.find(seen) {
            if hidden.start >= end {
                break;
            }
            shown.push_str(&show(&text[at..hidden.start]));
            shown.push_str(HIDDEN);
            at = hidden.end;
        }
        if at < end {
            shown.push_str(&show(&text[at..end]));
            at = end;
        }
        if at < text.len() {
            shown.push('…');
        }
        shown
    }

    /// Where long values are, in order; those that overlap or touch are one.
    fn find(&self, text: &str) -> Vec<Range<usize>> {
        let Some(long) = &self.long else {
            return Vec::new();
        };
        let mut found: Vec<_> = long
            .find_overlapping_iter(text)
            .map(|found| found.range())
            .collect();
        found.sort_unstable_by_key(|range| range.start);
        let mut apart: Vec<Range<usize>> = Vec::new();
        for range in found {
            match apart.last_mut() {
                Some(last) if range.start <= last.end => last.end = last.end.max(range.end),
                _ => apart.push(range),
            }
        }
        apart
    }
}

/// All that a value may look like.
fn forms(value: &str, long: &mut Vec<String>, short: &mut Vec<String>) {
    let value = &value[..value.floor_char_boundary(VALUE)];
    let whole = value.trim();
    if whole.is_empty() || matches!(whole, "true" | "false") {
        return;
    }
    if whole.len() < LONG {
        for form in escaped(whole) {
            let forms = if form.len() < LONG {
                &mut *short
            } else {
                &mut *long
            };
            forms.push(form);
        }
        return;
    }
    let lines = value
        .lines()
        .map(str::trim)
        .filter(|_| whole.contains('\n'));
    for part in lines.chain([whole]).filter(|part| part.len() >= LONG) {
        for form in escaped(part).iter().chain(&encoded(part)) {
            long.extend(pieces(form).map(str::to_owned));
        }
    }
}

/// A text in pieces that are short enough; the last two overlap, so that no piece is too short to be looked for.
fn pieces(text: &str) -> impl Iterator<Item = &str> {
    let last = text.len().saturating_sub(PIECE);
    let starts = (0..last).step_by(PIECE).chain([last]);
    starts.map(move |start| {
        let start = text.floor_char_boundary(start);
        &text[start..text.ceil_char_boundary(start.saturating_add(PIECE))]
    })
}

/// As it is, as this log escapes it, and as Rust and JSON do: once, and in a string of theirs that holds another.
fn escaped(text: &str) -> Vec<String> {
    let debug = |text: &str| {
        let quoted = format!("{text:?}");
        quoted[1..quoted.len() - 1].to_owned()
    };
    let json = |text: &str| {
        let quoted = serde_json::Value::from(text).to_string();
        quoted[1..quoted.len() - 1].to_owned()
    };
    let ascii = |text: &str| {
        let unit = |unit: u16| match u8::try_from(unit) {
            Ok(byte) if byte.is_ascii() => char::from(byte).to_string(),
            _ => format!("\\u{unit:04x}"),
        };
        text.encode_utf16().map(unit).collect::<String>()
    };
    let mut forms = vec![
        text.to_owned(),
        Line(text).to_string(),
        debug(text),
        debug(&debug(text)),
        text.escape_default().to_string(),
        json(text),
        json(&json(text)),
        ascii(&json(text)),
    ];
    forms.sort_unstable();
    forms.dedup();
    forms
}

/// As a URL and a form have it, and in hexadecimal and base64.
fn encoded(text: &str) -> Vec<String> {
    let percent = utf8_percent_encode(text, RESERVED).to_string();
    let mut forms = vec![
        percent.replace("%20", "+"),
        percent,
        hex(text.as_bytes()),
        STANDARD_NO_PAD.encode(text),
        URL_SAFE_NO_PAD.encode(text),
    ];
    forms.retain(|form| form != text);
    forms
}

/// Whether a word stands in a text, neither preceded nor followed by a letter or a digit that would be part of it. The
/// letter of an escape, as in `\n`, is no part.
fn has_word(text: &str, word: &str) -> bool {
    let is_part = |character: Option<char>| character.is_some_and(char::is_alphanumeric);
    let open = is_part(word.chars().next());
    let closed = is_part(word.chars().next_back());
    text.match_indices(word).any(|(start, _)| {
        let before = &text[..start];
        let after = &text[start + word.len()..];
        let mut back = before.chars().rev();
        let (last, escape) = (back.next(), back.next());
        let joined_before = open && is_part(last) && escape != Some('\\');
        let joined_after = closed && is_part(after.chars().next());
        !joined_before && !joined_after
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(values: &[&str], text: &str) -> String {
        Words::hiding(values.iter().copied()).line(text, 1024)
    }

    #[test]
    fn a_value_is_hidden_wherever_it_stands_and_nothing_else_is() {
        assert_eq!(
            told(&["hunter2"], "unknown variant `hunter2`, xhunter2y HUNTER2"),
            "unknown variant `***`, x***y ***"
        );
        assert_eq!(told(&[], "a\nb"), "a\\nb");
        assert_eq!(told(&["", "  ", "true"], "expected true"), "expected true");
        assert_eq!(told(&["hunter2"], "hunter 2"), "hunter 2");
    }

    #[test]
    fn values_that_overlap_or_hold_each_other_leave_no_rest() {
        let values = ["abcdefgh", "efghijkl", "abcdefghij", "cdefgh"];
        assert_eq!(told(&values, "<abcdefghijkl>"), "<***>");
        assert_eq!(told(&values, "<abcdefghefghijkl>"), "<***>");
        assert_eq!(told(&["aaaaaa"], "aaaaaaaaa b"), "*** b");
    }

    #[test]
    fn a_value_is_hidden_in_every_form() {
        let value = "p\"w\\d\n\u{e9}\u{1f511} /+=?&x~";
        let percent = utf8_percent_encode(value, RESERVED).to_string();
        let json = serde_json::Value::from(value).to_string();
        let forms = [
            value.to_owned(),
            format!("{value:?}"),
            format!("{:?}", format!("{value:?}")),
            json.clone(),
            serde_json::Value::from(json.as_str()).to_string(),
            "p\\\"w\\\\d\\n\\u00e9\\ud83d\\udd11 /+=?&x~".to_owned(),
            value.escape_default().to_string(),
            Line(value).to_string(),
            percent.replace("%20", "+"),
            percent.to_lowercase(),
            percent,
            STANDARD_NO_PAD.encode(value) + "==",
            URL_SAFE_NO_PAD.encode(value),
            hex(value.as_bytes()).to_uppercase(),
        ];
        for form in forms {
            let shown = told(&[value], &format!("<{form}>"));
            let bare = shown.replace(['"', '\\', '='], "");
            assert_eq!(bare, "<***>", "{form}");
        }
    }

    #[test]
    fn the_lines_of_a_value_and_the_pieces_of_a_long_one_are_hidden() {
        let key = "-----BEGIN KEY-----\nMIIEvQIBADANBg\r\nkqhkiG9w0BAQEF\n-----END KEY-----\n";
        assert_eq!(
            told(&[key], "at kqhkiG9w0BAQEF, MIIEvQIBADANBg"),
            "at ***, ***"
        );
        let long: String = (0..900).map(|number| format!("{number},")).collect();
        let text = format!("<{long}>");
        assert_eq!(Words::hiding([&*long]).line(&text, text.len()), "<***>");
        let beyond = "\u{e9}".repeat(VALUE);
        assert_eq!(told(&[&beyond], &beyond), "***…");
    }

    #[test]
    fn a_short_value_hides_all_words_in_which_it_is_one() {
        for text in ["the id 42.", "42", "\"a\\n42\"", "x=42", "x\n42"] {
            assert_eq!(told(&["42"], text), UNSHOWN, "{text}");
        }
        assert_eq!(told(&["42"], "421 and x42"), "421 and x42");
        assert_eq!(told(&["a\"b"], "<a\\\"b>"), UNSHOWN);
        assert_eq!(told(&["80"], "127.0.0.1:8080"), "127.0.0.1:8080");
    }

    #[test]
    fn a_text_is_cut_without_leaving_the_beginning_of_a_value() {
        let words = Words::hiding(["0123456789"]);
        for most in 0..16 {
            let shown = words.line("ab0123456789cd", most);
            assert!(!shown.contains('0'), "{shown}");
        }
        assert_eq!(words.line("ab0123456789cd", 4), "ab***…");
        assert_eq!(words.line("ab0123456789", 4), "ab***");
        assert_eq!(words.line("ab0123456789", 2), "ab…");
    }

    #[test]
    fn quoted_words_end_at_their_mark() {
        let words = Words::hiding(["0123456789"]);
        assert_eq!(words.quoted("a\"0123456789\n", 64), r#""a\"***\n""#);
    }
}
