//! What the phases of a plugin return, in the gateway's own terms.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

use super::failure::{Failure, FailureKind};
use super::host::bindings::exports::gateway::plugin::filter as wit;
use super::{host, limits};
use crate::message::fields;

/// How a request or response phase ends.
#[derive(Debug)]
pub enum Flow {
    /// Go on.
    Next,
    /// Answer the client with this.
    Respond(Box<Answer>),
}

/// A response that a plugin made. Its status is 200 to 599; fields that are the gateway's own are not in it.
#[derive(Debug)]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// The fields.
    pub headers: HeaderMap,
    /// The whole body.
    pub body: Bytes,
}

impl Flow {
    pub(super) fn from_wit(flow: wit::Flow) -> Result<Self, Failure> {
        let response = match flow {
            wit::Flow::Next => return Ok(Self::Next),
            wit::Flow::Respond(response) => response,
        };
        let Some(status) = host::answer_status(response.status) else {
            let text = format!(
                "answered with status {}; an answer has 200 to 599",
                response.status
            );
            return Err(Failure::new(FailureKind::Refused, text));
        };
        let mut headers = HeaderMap::with_capacity(response.headers.len().min(64));
        for field in response.headers {
            // A field that is malformed, or the gateway's own, is left out; the answer stands without it.
            let Ok(name) = HeaderName::from_bytes(field.name.as_bytes()) else {
                continue;
            };
            let Ok(value) = HeaderValue::from_maybe_shared(Bytes::from(field.value)) else {
                continue;
            };
            if !fields::is_own(name.as_str())
                && headers.len() < limits::FIELDS
                && headers.try_append(name, value).is_err()
            {
                break;
            }
        }
        Ok(Self::Respond(Box::new(Answer {
            status,
            headers,
            body: response.body.into(),
        })))
    }
}
