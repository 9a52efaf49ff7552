//! What is not shown: what stands under a name that sounds like a credential, by its kind.
//!
//! A text may be the credential itself. A number, a boolean or a time is none, nor is a text that says where a value of the
//! request is to be found, such as `client_address`. What is shown has to mean what was written, so a predicate such as
//! `{ present = true }` stays one.

use serde_json::Value as Json;

/// What stands for what is not shown.
pub(super) const HIDDEN: &str = "***";

/// Whether a value under this key had better not be shown. `header = "x-api-key"` stays: the key counts, not the value.
pub(super) fn sounds_secret(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    [
        "secret",
        "passw",
        "token",
        "key",
        "credential",
        "authorization",
        "cookie",
    ]
    .iter()
    .any(|word| key.contains(word))
}

/// What is shown of a value under such a key.
pub(super) fn hidden(value: Json) -> Json {
    match value {
        Json::String(text) if !is_place(&text) => Json::from(HIDDEN),
        Json::Array(items) => items.into_iter().map(hidden).collect(),
        // The keys of another table may be the credentials.
        Json::Object(fields) if fields.keys().all(|key| is_of_predicate(key)) => {
            let fields = fields.into_iter();
            Json::Object(fields.map(|(key, value)| (key, hidden(value))).collect())
        }
        Json::Object(_) => Json::from(HIDDEN),
        other => other,
    }
}

fn is_of_predicate(key: &str) -> bool {
    ["present", "regex", "not"].contains(&key)
}

/// Whether a text says where in a request a value is: `header:x-tenant`, or holes such as `{client.address}` with nothing
/// but punctuation between them.
fn is_place(text: &str) -> bool {
    const PARTS: [&str; 4] = ["header", "cookie", "query", "attribute"];
    let is_name = |name: &str| {
        let is_of_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        !name.is_empty() && name.bytes().all(is_of_name)
    };
    match text.split_once(':') {
        Some((part, name)) if PARTS.contains(&part) => return is_name(name),
        None if ["client_address", "route"].contains(&text) => return true,
        _ => {}
    }
    let mut pieces = text.split('{');
    let is_punctuation = |text: &str| text.bytes().all(|byte| byte.is_ascii_punctuation());
    let before = pieces.next().unwrap_or_default();
    let mut holes = 0;
    let are_holes = pieces.all(|piece| {
        holes += 1;
        let hole = piece.split_once('}');
        hole.is_some_and(|(name, behind)| is_name(name) && is_punctuation(behind))
    });
    holes > 0 && is_punctuation(before) && are_holes
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_shown_under_the_name_of_a_credential_goes_by_its_kind() {
        for (value, shown) in [
            (json!("hunter22"), json!("***")),
            (json!(""), json!("***")),
            (json!(7), json!(7)),
            (json!(true), json!(true)),
            (json!(["a", 1, false]), json!(["***", 1, false])),
            (json!({ "present": true }), json!({ "present": true })),
            (json!({ "not": "a" }), json!({ "not": "***" })),
            (
                json!({ "not": { "regex": "^a" } }),
                json!({ "not": { "regex": "***" } }),
            ),
            (json!({ "hunter22": "alice" }), json!("***")),
            (json!([{ "key": "a" }]), json!(["***"])),
            (json!({ "hunter22": true }), json!("***")),
        ] {
            assert_eq!(hidden(value.clone()), shown, "{value}");
        }
    }

    #[test]
    fn where_a_value_is_to_be_found_is_no_credential() {
        for text in [
            "client_address",
            "route",
            "header:x-tenant",
            "attribute:auth.subject",
            "{client.address}",
            "{path.tenant}:{header.x-user}",
        ] {
            assert!(is_place(text), "{text}");
        }
        for text in [
            "",
            "header",
            "header:",
            "header:a b",
            "user:hunter22",
            "hunter22{client.address}",
            "{client.address}hunter22",
            "{}",
            "{a b}",
            "a}{b",
            "!?",
        ] {
            assert!(!is_place(text), "{text}");
        }
    }
}
