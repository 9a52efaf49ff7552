//! What the grammar of HTTP allows as a field name, a field value, a method and a status.

use gateway_plugin_sdk::ConfigError;
use gateway_plugin_sdk::template::Template;

/// The fields that are the gateway's own (RFC 9110, section 7.6.1, and the framing).
const RESERVED: [&str; 9] = [
    "host",
    "content-length",
    "transfer-encoding",
    "connection",
    "keep-alive",
    "te",
    "trailer",
    "upgrade",
    "http2-settings",
];

/// A field name in lower case, or a fault at `key`.
pub(crate) fn field(key: &str, name: &str, faults: &mut Vec<ConfigError>) -> Option<String> {
    let lower = name.to_ascii_lowercase();
    let fault = if !is_token(&lower) {
        format!("`{name}` is no field name; letters, digits and !#$%&'*+-.^_`|~ are")
    } else if lower == "host" {
        "`host` is the gateway's own; `rewrite.host` of the route sets it".to_owned()
    } else if RESERVED.contains(&lower.as_str()) || lower.starts_with("proxy-") {
        format!("`{name}` is the gateway's own: framing and hop-by-hop fields cannot be edited")
    } else {
        return Some(lower);
    };
    faults.push(ConfigError::new(key, fault));
    None
}

/// A field value, perhaps with holes, or a fault at `key`.
pub(crate) fn value(key: &str, text: &str, faults: &mut Vec<ConfigError>) -> Option<Template> {
    let control = |byte: u8| (byte < b' ' && byte != b'\t') || byte == 0x7f;
    if let Some(byte) = text.bytes().find(|byte| control(*byte)) {
        let fault = format!("has the byte {byte:#04x}, which may not stand in a field value");
        faults.push(ConfigError::new(key, fault));
        return None;
    }
    template(key, text, faults)
}

/// A text, perhaps with holes, or a fault at `key`.
pub(crate) fn template(key: &str, text: &str, faults: &mut Vec<ConfigError>) -> Option<Template> {
    Template::parse(text)
        .map_err(|fault| faults.push(ConfigError::new(key, fault)))
        .ok()
}

/// The method of the configuration (RFC 9110, section 9.1).
pub(crate) fn method(method: Option<&str>, faults: &mut Vec<ConfigError>) -> Option<String> {
    let method = method?;
    if !is_token(method) || method == "CONNECT" {
        let fault = format!("`{method}` is no method to send upstream; `GET` is one");
        faults.push(ConfigError::new("request.method", fault));
        return None;
    }
    Some(method.to_owned())
}

/// The status of the configuration.
pub(crate) fn status(status: Option<u16>, faults: &mut Vec<ConfigError>) -> Option<u16> {
    let status = status?;
    if !(200..=599).contains(&status) {
        let fault = format!("{status} is no final status; 200 to 599 are");
        faults.push(ConfigError::new("response.status", fault));
        return None;
    }
    Some(status)
}

/// RFC 9110, section 5.6.2.
fn is_token(text: &str) -> bool {
    let special = |byte| b"!#$%&'*+-.^_`|~".contains(&byte);
    !text.is_empty()
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || special(byte))
}
