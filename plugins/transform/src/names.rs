//! What the grammar of HTTP allows as a field name, a field value, a method and a status.

use gateway_plugin_sdk::template::Template;
use gateway_plugin_sdk::{ConfigError, fields};

/// A field name in lower case, or a fault at `key`.
pub(crate) fn field(key: &str, name: &str, faults: &mut Vec<ConfigError>) -> Option<String> {
    fields::editable(name)
        .map_err(|fault| faults.push(ConfigError::new(key, fault)))
        .ok()
}

/// A field value, perhaps with holes, or a fault at `key`.
pub(crate) fn value(key: &str, text: &str, faults: &mut Vec<ConfigError>) -> Option<Template> {
    if let Some(byte) = fields::forbidden_byte(text.as_bytes()) {
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
    if !fields::is_token(method) || method == "CONNECT" {
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
