//! Texts of the configuration with values of a request in their holes.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue, Method, StatusCode};

use crate::config::{AnswerBody, AnswerValue, Escapes, FieldText, hostname};
use crate::exchange::Parts;
use crate::message::peer::Address;
use crate::message::{cookies, query};

/// The values of a request.
#[derive(Debug, Clone, Copy)]
pub(super) struct Values<'a> {
    /// The parameters of the route.
    pub(super) params: &'a [(Arc<str>, String)],
    pub(super) authority: &'a HeaderValue,
    pub(super) method: &'a Method,
    /// As the client asked for it, normalised.
    pub(super) path: &'a PathAndQuery,
    pub(super) address: Address,
    /// `x-request-id`.
    pub(super) id: &'a HeaderValue,
    pub(super) fields: &'a HeaderMap,
}

impl<'a> From<&'a Parts> for Values<'a> {
    fn from(exchange: &'a Parts) -> Self {
        let client = &exchange.client;
        Self {
            params: &client.params,
            authority: &client.authority,
            method: &client.method,
            path: &client.path,
            address: client.address,
            id: &client.id,
            fields: &exchange.request.headers,
        }
    }
}

/// What fills the holes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Filling<'a> {
    values: Values<'a>,
    /// The status, and what a client is told, of the failure that is answered.
    failure: Option<(StatusCode, &'a str)>,
}

impl<'a> Filling<'a> {
    /// The values of a request.
    pub(super) fn of(values: Values<'a>) -> Self {
        let failure = None;
        Self { values, failure }
    }

    /// The values of a request that failed.
    pub(super) fn of_failure(exchange: &'a Parts, status: StatusCode, reason: &'a str) -> Self {
        let failure = Some((status, reason));
        let values = Values::from(exchange);
        Self { values, failure }
    }

    /// The body of an answer.
    pub(super) fn body(self, body: &AnswerBody) -> Bytes {
        body.text.constant().unwrap_or_else(|| {
            let mut filled = Vec::new();
            body.text.write(&mut filled, b"", |to, value| {
                let value = self.value(value);
                escaped(to, value.as_deref().unwrap_or_default(), body.escapes);
                true
            });
            Bytes::from(filled)
        })
    }

    /// The value of a field; none where what fills it cannot be one (RFC 9110, section 5.5).
    pub(super) fn field(self, text: &FieldText) -> Option<HeaderValue> {
        let template = match text {
            FieldText::Fixed(value) => return Some(value.clone()),
            FieldText::Filled(template) => template,
        };
        let mut filled = Vec::new();
        template.write(&mut filled, b"", |to, value| {
            let value = self.value(value).filter(|value| !value.is_empty());
            to.extend_from_slice(value.as_deref().unwrap_or_default());
            value.is_some()
        });
        // White space around a value is no part of it.
        let value = Bytes::from(filled);
        let padding = |byte: &u8| matches!(byte, b' ' | b'\t');
        let start = value.iter().take_while(|byte| padding(byte)).count();
        let rest = value.slice(start..);
        let end = rest.iter().rev().take_while(|byte| padding(byte)).count();
        HeaderValue::from_maybe_shared(rest.slice(..rest.len() - end)).ok()
    }

    fn value(self, value: &AnswerValue) -> Option<Cow<'a, [u8]>> {
        let Values {
            params,
            authority,
            method,
            path,
            address,
            id,
            fields,
        } = self.values;
        let text = |text: &'a str| Some(Cow::Borrowed(text.as_bytes()));
        match value {
            AnswerValue::Param(name) => {
                let mut params = params.iter();
                let found = params.find(|(param, _)| param == name);
                found.and_then(|(_, value)| text(value))
            }
            AnswerValue::Host => Some(authority.as_bytes().into()),
            AnswerValue::Hostname => Some(hostname(authority.as_bytes()).into()),
            AnswerValue::Path => text(path.path()),
            AnswerValue::Query => path.query().and_then(text),
            AnswerValue::Method => text(method.as_str()),
            AnswerValue::Client => Some(address.to_string().into_bytes().into()),
            AnswerValue::RequestId => Some(id.as_bytes().into()),
            AnswerValue::Header(name) => Some(fields.get(name)?.as_bytes().into()),
            AnswerValue::QueryOf(name) => {
                let value = query::first(path.query()?, name)?;
                Some(Cow::Owned(value.into_owned().into_bytes()))
            }
            AnswerValue::Cookie(name) => Some(cookies::first(fields, name)?.into()),
            AnswerValue::Status => {
                let status = self.failure?.0.as_u16();
                Some(status.to_string().into_bytes().into())
            }
            AnswerValue::Reason => text(self.failure?.1),
        }
    }
}

/// Writes a value that cannot leave the place that the text has for it.
fn escaped(to: &mut Vec<u8>, value: &[u8], escapes: Escapes) {
    let value = String::from_utf8_lossy(value);
    match escapes {
        Escapes::Nothing => to.extend_from_slice(value.as_bytes()),
        Escapes::Json => {
            let quoted = serde_json::Value::from(value.as_ref()).to_string();
            to.extend_from_slice(&quoted.as_bytes()[1..quoted.len() - 1]);
        }
        Escapes::Markup => {
            for byte in value.bytes() {
                match byte {
                    b'&' => to.extend_from_slice(b"&amp;"),
                    b'<' => to.extend_from_slice(b"&lt;"),
                    b'>' => to.extend_from_slice(b"&gt;"),
                    b'"' => to.extend_from_slice(b"&quot;"),
                    b'\'' => to.extend_from_slice(b"&#39;"),
                    other => to.push(other),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_stays_where_the_text_has_it() {
        for (escapes, value, written) in [
            (Escapes::Json, "a\"\\\n</b>", "a\\\"\\\\\\n</b>"),
            (
                Escapes::Markup,
                "<a b='c'>&\"",
                "&lt;a b=&#39;c&#39;&gt;&amp;&quot;",
            ),
            (Escapes::Nothing, "<\"\\\n>", "<\"\\\n>"),
        ] {
            let mut to = Vec::new();
            escaped(&mut to, value.as_bytes(), escapes);
            assert_eq!(String::from_utf8(to).unwrap(), written, "{escapes:?}");
        }
        let mut to = Vec::new();
        escaped(&mut to, b"\xff", Escapes::Json);
        assert_eq!(to, "\u{fffd}".as_bytes());
    }
}
