//! Text of others, of a plugin or a file, say, as it may stand in a line that an operator reads: it cannot end the
//! line, move the cursor, turn the order of the letters around or hide among them, and it has an end.

use std::fmt::{self, Display, Write};

/// What stands where a text was cut.
const CUT: char = '…';

/// Whether a character is shown as what it is: neither a control character, nor a line or paragraph separator, nor
/// one that has no width or turns the direction (Unicode, Default_Ignorable_Code_Point and Bidi_Control). Variation
/// selectors, which emoji have, are.
pub fn is_plain(character: char) -> bool {
    match character {
        ' '..='~' => true,
        '\u{fe00}'..='\u{fe0f}' => true,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' => {
            false
        }
        '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' => false,
        '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{feff}' | '\u{ffa0}' => false,
        '\u{fff0}'..='\u{fffb}' | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}' => false,
        '\u{e0000}'..='\u{e0fff}' => false,
        other => !other.is_control(),
    }
}

/// A text with every character that is not plain escaped, as Rust writes it: `\n`, `\u{202e}`.
#[derive(Debug, Clone, Copy)]
pub struct Line<'a>(pub &'a str);

impl Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut pieces = self.0.split_inclusive(|character| !is_plain(character));
        pieces.try_for_each(|piece| match piece.chars().next_back() {
            Some(last) if !is_plain(last) => {
                f.write_str(&piece[..piece.len() - last.len_utf8()])?;
                write!(f, "{}", last.escape_default())
            }
            _ => f.write_str(piece),
        })
    }
}

/// A [`Line`] between quotation marks; those in it, and backslashes, are escaped too.
#[derive(Debug, Clone, Copy)]
pub struct Quoted<'a>(pub &'a str);

impl Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_char('"')?;
        for piece in self.0.split_inclusive(['"', '\\']) {
            match piece.strip_suffix(['"', '\\']) {
                Some(before) => write!(f, "{}\\{}", Line(before), &piece[before.len()..])?,
                None => write!(f, "{}", Line(piece))?,
            }
        }
        f.write_char('"')
    }
}

/// A text as a [`Line`] of at most so many of its bytes, with an ellipsis where it is cut.
pub fn line(text: &str, most: usize) -> String {
    let kept = &text[..text.floor_char_boundary(most)];
    let mut line = Line(kept).to_string();
    if kept.len() < text.len() {
        line.push(CUT);
    }
    line
}

/// JSON with every character that is not plain escaped, as JSON writes it: the same values, fit for a terminal.
pub fn json(json: String) -> String {
    // Line ends and blanks are all that stands between strings.
    let passes = |character: char| character == '\n' || is_plain(character);
    if json.chars().all(passes) {
        return json;
    }
    let mut out = String::with_capacity(json.len() + 16);
    for character in json.chars() {
        if passes(character) {
            out.push(character);
            continue;
        }
        for unit in character.encode_utf16(&mut [0; 2]) {
            // Writing to a string does not fail.
            let _written = write!(out, "\\u{unit:04x}");
        }
    }
    out
}

/// Bytes as lower-case hex digits.
pub fn hex(bytes: &[u8]) -> String {
    let digits = bytes.iter().flat_map(|byte| hex_digits(*byte));
    digits.map(char::from).collect()
}

/// A byte as lower-case hex digits.
#[inline]
pub fn hex_digits(byte: u8) -> [u8; 2] {
    HEX[usize::from(byte)]
}

/// Those of each byte: every request has an id to be spelled.
static HEX: [[u8; 2]; 256] = {
    let digits = b"0123456789abcdef";
    let mut pairs = [[0; 2]; 256];
    let mut byte = 0;
    while byte < pairs.len() {
        pairs[byte] = [digits[byte >> 4], digits[byte & 15]];
        byte += 1;
    }
    pairs
};

#[cfg(test)]
mod tests {
    use super::*;

    const UNFIT: &str = "a\n\r\0\t\u{7f}\u{85}\u{1b}[2J \u{202e}txt.exe\u{2066}\u{200b}\u{200d}\u{feff}\u{ad}\u{2028}\u{e0041}\u{61c}";

    #[test]
    fn bytes_in_hex_have_two_digits_each() {
        assert_eq!(hex(&[0, 0x0f, 0xa0, 0xff]), "000fa0ff");
    }

    #[test]
    fn a_line_neither_ends_nor_turns_around_nor_hides_anything() {
        let text = Line(UNFIT).to_string();
        assert!(text.chars().all(is_plain), "{text:?}");
        assert!(text.starts_with("a\\n\\r\\u{0}\\t"), "{text}");
        assert!(
            text.contains("\\u{202e}txt.exe\\u{2066}\\u{200b}"),
            "{text}"
        );
        let plain = "caf\u{e9} \u{4f60}\u{597d} \u{2764}\u{fe0f} \u{5e9}\u{5dc}\u{5d5}\u{5dd}";
        assert_eq!(Line(plain).to_string(), plain);
    }

    #[test]
    fn a_quoted_text_ends_at_its_last_mark() {
        assert_eq!(Quoted("a\" b=\"c\\\n").to_string(), r#""a\" b=\"c\\\n""#);
        assert_eq!(Quoted("").to_string(), "\"\"");
    }

    #[test]
    fn a_line_is_cut_between_characters_and_says_so() {
        assert_eq!(line("\u{e9}\u{e9}\u{e9}", 3), "\u{e9}…");
        assert_eq!(line("abc", 3), "abc");
        assert_eq!(line("a\u{202e}", 2), "a…");
    }

    #[test]
    fn json_keeps_its_values() {
        let value = serde_json::json!({ "a\u{202e}": [UNFIT, "caf\u{e9}"] });
        let text = json(format!("{value:#}"));
        assert!(text.chars().all(|c| c == '\n' || is_plain(c)), "{text:?}");
        assert_eq!(
            serde_json::from_str::<serde_json::Value>(&text).unwrap(),
            value
        );
    }
}
