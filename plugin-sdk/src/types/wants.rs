//! What a configured plugin wants of the gateway, and what it cannot do without.

use super::phases::Phases;

/// The calls that one configuration wants, which responses they mean, and what the grants must cover.
///
/// ```
/// use gateway_plugin_sdk::{Phases, ResponseTypes, Wants};
///
/// let wants = Wants::from(Phases::RESPONSE_BODY)
///     .response_types(ResponseTypes::json().passing(ResponseTypes::MEDIA).refusing_others())
///     .upstream("prices")
///     .writes_response_field("x-priced");
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wants {
    /// The calls.
    pub phases: Phases,
    /// The responses whose bodies are meant.
    pub types: ResponseTypes,
    /// What the grants must cover.
    pub needs: Needs,
}

/// What a configuration cannot do without. The gateway compares it with the grants when it loads the configuration, and
/// refuses one that would be denied later. It grants nothing. `*` stands for names that only a request tells.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    /// Upstreams of sub-requests and of [`Request::set_upstream`](crate::Request::set_upstream).
    pub upstreams: Vec<String>,
    /// Secrets.
    pub secrets: Vec<String>,
    /// Whether it keeps anything in the [`state`](crate::state).
    pub state: bool,
    /// Fields of the request that it reads.
    pub request_fields_read: Vec<String>,
    /// Fields of the request that it writes.
    pub request_fields_written: Vec<String>,
    /// Fields of the response that it reads.
    pub response_fields_read: Vec<String>,
    /// Fields of the response that it writes.
    pub response_fields_written: Vec<String>,
}

/// Which responses a plugin means that holds their bodies or has them stream, by their Content-Type. A response without a
/// body is always meant.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ResponseTypes {
    pub(crate) touched: Vec<String>,
    pub(crate) passed: Vec<String>,
    pub(crate) refuses_others: bool,
}

impl From<Phases> for Wants {
    fn from(phases: Phases) -> Self {
        Self {
            phases,
            ..Self::default()
        }
    }
}

impl Wants {
    /// Means these responses only.
    #[must_use]
    pub fn response_types(mut self, types: ResponseTypes) -> Self {
        self.types = types;
        self
    }

    /// Sends requests to this upstream.
    #[must_use]
    pub fn upstream(mut self, name: impl Into<String>) -> Self {
        add(&mut self.needs.upstreams, name);
        self
    }

    /// Reads this secret.
    #[must_use]
    pub fn secret(mut self, name: impl Into<String>) -> Self {
        add(&mut self.needs.secrets, name);
        self
    }

    /// Keeps entries in the state.
    #[must_use]
    pub fn state(mut self) -> Self {
        self.needs.state = true;
        self
    }

    /// Reads this field of the request.
    #[must_use]
    pub fn reads_field(mut self, name: impl Into<String>) -> Self {
        add(&mut self.needs.request_fields_read, name);
        self
    }

    /// Writes this field of the request.
    #[must_use]
    pub fn writes_field(mut self, name: impl Into<String>) -> Self {
        add(&mut self.needs.request_fields_written, name);
        self
    }

    /// Reads this field of the response.
    #[must_use]
    pub fn reads_response_field(mut self, name: impl Into<String>) -> Self {
        add(&mut self.needs.response_fields_read, name);
        self
    }

    /// Writes this field of the response.
    #[must_use]
    pub fn writes_response_field(mut self, name: impl Into<String>) -> Self {
        add(&mut self.needs.response_fields_written, name);
        self
    }
}

/// Each name once.
fn add(names: &mut Vec<String>, name: impl Into<String>) {
    let name = name.into();
    if !names.contains(&name) {
        names.push(name);
    }
}

impl ResponseTypes {
    /// What nobody reads as text: `image/*`, `audio/*`, `video/*`, `font/*`.
    pub const MEDIA: [&str; 4] = ["image/*", "audio/*", "video/*", "font/*"];

    /// Every response.
    #[must_use]
    pub fn all() -> Self {
        Self::default()
    }

    /// Those of these types; others pass by. Types are media ranges: `text/plain`, `text/*`, `*/*+json`.
    #[must_use]
    pub fn only<T: Into<String>>(types: impl IntoIterator<Item = T>) -> Self {
        Self {
            touched: types.into_iter().map(Into::into).collect(),
            ..Self::default()
        }
    }

    /// JSON (RFC 8259), by any name (RFC 6839, section 3.1); others pass by.
    #[must_use]
    pub fn json() -> Self {
        Self::only(["application/json", "*/*+json"])
    }

    /// These as well; where all are meant, they are already.
    #[must_use]
    pub fn reading<T: Into<String>>(mut self, types: impl IntoIterator<Item = T>) -> Self {
        if self.touched.is_empty() {
            return self;
        }
        self.touched.extend(types.into_iter().map(Into::into));
        self
    }

    /// These pass by. Of two ranges that cover a type, the one that says more of it decides, and of two that say the same
    /// the one that is read.
    #[must_use]
    pub fn passing<T: Into<String>>(mut self, types: impl IntoIterator<Item = T>) -> Self {
        self.passed.extend(types.into_iter().map(Into::into));
        self
    }

    /// The plugin fails on every other type, and `on_error` decides: what it takes out of a body must not pass in a
    /// shape that it does not read.
    #[must_use]
    pub fn refusing_others(mut self) -> Self {
        self.refuses_others = true;
        self
    }
}
