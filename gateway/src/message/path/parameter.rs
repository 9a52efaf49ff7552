//! The value of a path's parameter.

use std::fmt::Write as _;

/// A segment of a normalised path as text: percent-decoded as far as nothing is lost. `%25`, separators, control
/// characters and bytes that are no UTF-8 stay escaped, so that each `%` in the value begins an escape, and the value
/// says which segment it was.
pub fn parameter(segment: &str) -> String {
    let Some(first) = segment.find('%') else {
        return segment.to_owned();
    };
    let mut value = String::with_capacity(segment.len());
    let mut rest = segment;
    let mut next = Some(first);
    while let Some(at) = next {
        value.push_str(&rest[..at]);
        rest = escapes(&rest[at..], &mut value);
        next = rest.find('%');
    }
    value.push_str(rest);
    value
}

/// Decodes the escapes that `text` begins with; what is behind them.
fn escapes<'a>(text: &'a str, value: &mut String) -> &'a str {
    let mut bytes = Vec::new();
    let mut rest = text;
    while let Some(behind) = rest.strip_prefix('%')
        && let Some(digits) = behind.get(..2)
        && digits.bytes().all(|digit| digit.is_ascii_hexdigit())
        && let Ok(byte) = u8::from_str_radix(digits, 16)
    {
        bytes.push(byte);
        rest = &behind[2..];
    }
    for chunk in bytes.utf8_chunks() {
        for character in chunk.valid().chars() {
            if matches!(character, '%' | '/' | '\\') || character.is_control() {
                let mut utf8 = [0; 4];
                escaped(character.encode_utf8(&mut utf8).as_bytes(), value);
            } else {
                value.push(character);
            }
        }
        escaped(chunk.invalid(), value);
    }
    if bytes.is_empty() {
        // No escape: a normalised path has none such, and it stays as it is.
        value.push('%');
        rest = &rest[1..];
    }
    rest
}

fn escaped(bytes: &[u8], value: &mut String) {
    for byte in bytes {
        // Writing to a string does not fail.
        write!(value, "%{byte:02X}").unwrap_or_default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parameter_is_decoded_as_far_as_nothing_is_lost() {
        for (segment, value) in [
            ("", ""),
            ("plain~.-_", "plain~.-_"),
            ("a%20b%22", "a b\""),
            ("%C3%A9t%C3%A9", "\u{e9}t\u{e9}"),
            ("%F0%9F%A6%80", "\u{1f980}"),
            ("%E9", "%E9"),
            ("caf%E9%20", "caf%E9 "),
            ("%C3%28", "%C3("),
            ("%C3", "%C3"),
            ("%F0%9F%C3%A9", "%F0%9F\u{e9}"),
            ("100%25", "100%25"),
            ("a%2Fb%5Cc", "a%2Fb%5Cc"),
            ("a%0D%0Ab%7F", "a%0D%0Ab%7F"),
            ("%C2%85", "%C2%85"),
            ("{a}%7Bb%7D", "{a}{b}"),
            // Never in a normalised path.
            ("%", "%"),
            ("%zz%2", "%zz%2"),
            ("%+1", "%+1"),
        ] {
            assert_eq!(parameter(segment), value, "{segment}");
        }
    }
}
