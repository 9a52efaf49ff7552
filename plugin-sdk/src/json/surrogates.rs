//! Escapes that stand for no text: `\u` with half a surrogate pair (RFC 8259, section 8.2).

/// Whether an escape of a sound document stands for half a surrogate pair, and not for a pair with the next.
pub(super) fn halves_a_pair(mut json: &[u8]) -> bool {
    // Backslashes stand in strings alone.
    while let Some(at) = json.iter().position(|byte| *byte == b'\\') {
        json = &json[at..];
        let (unit, rest) = escaped_unit(json);
        json = match unit {
            Some(0xd800..=0xdbff) => match escaped_unit(rest) {
                (Some(0xdc00..=0xdfff), rest) => rest,
                _ => return true,
            },
            Some(0xdc00..=0xdfff) => return true,
            _ => rest,
        };
    }
    false
}

/// The code unit that the text begins with, if that is a `\u` escape, and what is behind the escape.
fn escaped_unit(json: &[u8]) -> (Option<u16>, &[u8]) {
    let digits = match json {
        [b'\\', b'u', digits @ ..] => digits.get(..4),
        _ => None,
    };
    let text = digits.and_then(|digits| std::str::from_utf8(digits).ok());
    match text.and_then(|text| u16::from_str_radix(text, 16).ok()) {
        Some(unit) => (Some(unit), &json[6..]),
        None => (None, json.get(2..).unwrap_or_default()),
    }
}

#[cfg(test)]
mod tests {
    use crate::json::Node;

    #[test]
    fn half_a_surrogate_pair_is_no_text_and_a_pair_is() {
        for json in [
            r#"{"secret":1,"\ud800":2}"#,
            r#""\udc00""#,
            r#""\uDBFFx""#,
            r#""\ud800\n""#,
            r#""\ud800\ud800\udc00""#,
            r#""\ud83d\ude00\ude00""#,
            r#"["\\\ud800"]"#,
        ] {
            let error = Node::parse(json.as_bytes()).unwrap_err();
            assert!(error.to_string().contains("surrogate"), "{json}: {error}");
        }
        for json in [
            r#"{"\ud83d\ude00":"\uD83D\uDE00\u00e9\ud7ff\ue000"}"#,
            r#""\\ud800 \\\\udc00""#,
            r#""\\\"\/\b""#,
        ] {
            let node = Node::parse(json.as_bytes()).unwrap();
            assert_eq!(node.to_vec(), json.as_bytes());
        }
    }
}
