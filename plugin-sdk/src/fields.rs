//! What may stand in a header field, and which fields are the gateway's own: so that `configure` finds the fault that
//! would otherwise be a [`HeaderError`](crate::HeaderError) of every request.

/// Host, framing and hop-by-hop fields (RFC 9110, section 7.6.1): the gateway writes or removes them itself.
/// `tests/vectors/fields.txt` holds this list and the gateway's to one rule.
const RESERVED: [&str; 12] = [
    "connection",
    "content-length",
    "host",
    "http2-settings",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Whether a field is the gateway's own whatever the grants say: framing, hop-by-hop, `host`, and the pseudo-header
/// fields of HTTP/2. Edits of it are denied, and it is left out of answers and sub-requests. Case does not matter.
///
/// ```
/// use gateway_plugin_sdk::fields;
///
/// assert!(fields::is_reserved("Transfer-Encoding") && fields::is_reserved(":path"));
/// assert!(!fields::is_reserved("x-user"));
/// ```
#[must_use]
pub fn is_reserved(name: &str) -> bool {
    name.starts_with(':') || RESERVED.iter().any(|own| own.eq_ignore_ascii_case(name))
}

/// Whether a text is a token (RFC 9110, section 5.6.2), as the names of fields and methods are.
#[must_use]
pub fn is_token(text: &str) -> bool {
    let special = |byte| b"!#$%&'*+-.^_`|~".contains(&byte);
    !text.is_empty()
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || special(byte))
}

/// The first byte that may not stand in a field value (RFC 9110, section 5.5): a control character other than the
/// tab.
///
/// ```
/// use gateway_plugin_sdk::fields;
///
/// assert_eq!(fields::forbidden_byte(b"a\r\nx-admin: 1"), Some(b'\r'));
/// assert_eq!(fields::forbidden_byte("caf\u{e9}\t".as_bytes()), None);
/// ```
#[must_use]
pub fn forbidden_byte(value: &[u8]) -> Option<u8> {
    value
        .iter()
        .copied()
        .find(|byte| (*byte < b' ' && *byte != b'\t') || *byte == 0x7f)
}

/// The name of a field that a plugin can edit, in lower case.
///
/// # Errors
/// If it is no field name, or [reserved](is_reserved); the text says which, for a
/// [`ConfigError`](crate::ConfigError).
///
/// ```
/// use gateway_plugin_sdk::fields;
///
/// assert_eq!(fields::editable("X-User").as_deref(), Ok("x-user"));
/// assert!(fields::editable("x user").unwrap_err().contains("no field name"));
/// assert!(fields::editable("host").unwrap_err().contains("the gateway's own"));
/// ```
pub fn editable(name: &str) -> Result<String, String> {
    if is_reserved(name) {
        Err(if name.eq_ignore_ascii_case("host") {
            format!("`{name}` is the gateway's own; `rewrite.host` of the route sets it")
        } else {
            format!("`{name}` is the gateway's own: framing and hop-by-hop fields cannot be edited")
        })
    } else if is_token(name) {
        Ok(name.to_ascii_lowercase())
    } else {
        Err(format!(
            "`{name}` is no field name; letters, digits and !#$%&'*+-.^_`|~ are"
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_gateways_own_fields_are_reserved_in_any_case_and_their_neighbours_are_not() {
        let vectors = include_str!("../../tests/vectors/fields.txt").lines();
        let mut own: Vec<_> = RESERVED.into();
        for line in vectors.filter(|line| !line.is_empty() && !line.starts_with('#')) {
            let mut words = line.split_whitespace();
            let name = words.next().unwrap();
            let says_own = words.any(|word| word == "own");
            assert_eq!(is_reserved(name), says_own, "{name}");
            assert_eq!(is_reserved(&name.to_ascii_uppercase()), says_own, "{name}");
            assert_eq!(editable(name).is_err(), says_own, "{name}");
            own.retain(|known| *known != name);
        }
        assert!(own.is_empty(), "no vector has {own:?}");
        assert!(!is_reserved(""));
    }

    #[test]
    fn a_token_has_no_separator_no_space_and_nothing_beyond_ascii() {
        for text in ["GET", "x-user", "a.b_c~1", "!#$%&'*+-.^_`|~"] {
            assert!(is_token(text), "{text}");
        }
        for text in [
            "", "a b", "a:b", "a/b", "a\r\nb", "a\0", "\u{e9}", "\"a\"", "a=",
        ] {
            assert!(!is_token(text), "{text:?}");
        }
    }

    #[test]
    fn only_control_characters_are_kept_out_of_a_value() {
        for byte in 0..=u8::MAX {
            let forbidden = byte != b'\t' && byte.is_ascii_control();
            assert_eq!(
                forbidden_byte(&[b'a', byte]),
                forbidden.then_some(byte),
                "{byte:#04x}"
            );
        }
    }
}
