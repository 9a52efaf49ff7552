//! The field Via (RFC 9110, section 7.6.3): which gateways a message came through.

use http::header::InvalidHeaderValue;
use http::{HeaderValue, Version};

/// What a gateway of one name adds, by the version of HTTP that it received the message in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Via {
    values: [HeaderValue; 3],
}

impl Via {
    /// The values for this name.
    ///
    /// # Errors
    /// Where they are no values of a field.
    pub fn new(name: &str) -> Result<Self, InvalidHeaderValue> {
        let value = |version: &str| format!("{version} {name}").try_into();
        Ok(Self {
            values: [value("1.0")?, value("1.1")?, value("2.0")?],
        })
    }

    /// The value for a message of this version.
    pub fn value(&self, version: Version) -> HeaderValue {
        let at = match version {
            Version::HTTP_09 | Version::HTTP_10 => 0,
            Version::HTTP_11 => 1,
            _ => 2,
        };
        // A copy of its own: workers share no count.
        HeaderValue::from_bytes(self.values[at].as_bytes()).expect("it was one before")
    }
}
