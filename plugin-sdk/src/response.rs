//! The response of the exchange in hand. A handle of size zero, as the request.

use std::marker::PhantomData;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::{Edit, EditError, HeaderError, Result, host};

/// The response in hand. Names of fields are matched without regard to case.
#[derive(Debug)]
pub struct Response {
    _exchange: PhantomData<*const ()>,
}

impl Response {
    pub(crate) const fn in_hand() -> Self {
        Self {
            _exchange: PhantomData,
        }
    }

    /// The status code.
    #[must_use]
    pub fn status(&self) -> u16 {
        // The handle is only given out in phases that have a response.
        host::status().unwrap_or_default()
    }

    /// Replaces the status code.
    pub fn set_status(&mut self, status: u16) {
        host::set_status(status);
    }

    /// The first field of that name, as the bytes of the wire.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<Vec<u8>> {
        host::response_header(name)
    }

    /// The first field of that name; `None` as well when it is not UTF-8.
    #[must_use]
    pub fn header_str(&self, name: &str) -> Option<String> {
        host::response_header(name).and_then(|value| String::from_utf8(value).ok())
    }

    /// Every field, in order.
    #[must_use]
    pub fn headers(&self) -> Vec<(String, Vec<u8>)> {
        host::response_headers()
    }

    /// Replaces every field of that name by one.
    ///
    /// # Errors
    /// See [`HeaderError`]; the field stays as it was.
    pub fn set_header(&mut self, name: &str, value: impl AsRef<[u8]>) -> Result<(), HeaderError> {
        host::set_response_header(name, value.as_ref())
    }

    /// Adds a field and keeps those of the same name.
    ///
    /// # Errors
    /// See [`HeaderError`].
    pub fn append_header(
        &mut self,
        name: &str,
        value: impl AsRef<[u8]>,
    ) -> Result<(), HeaderError> {
        host::append_response_header(name, value.as_ref())
    }

    /// Removes every field of that name.
    ///
    /// # Errors
    /// See [`HeaderError`]. No error if there is none.
    pub fn remove_header(&mut self, name: &str) -> Result<(), HeaderError> {
        host::remove_response_header(name)
    }

    /// Makes several edits of response fields and attributes in order, in one call of the gateway. Each is as if it were
    /// made alone.
    ///
    /// # Errors
    /// See [`EditError`]. More than 4,096 edits, or 2 MiB of names and values, end the call.
    pub fn edit(&mut self, edits: &[Edit<'_>]) -> Result<(), EditError> {
        host::edit(edits)
    }

    /// The whole body, where [`Phases::RESPONSE_BODY`](crate::Phases::RESPONSE_BODY) was asked for and there is one.
    #[must_use]
    pub fn body(&self) -> Option<Vec<u8>> {
        host::response_body()
    }

    /// Replaces the body; the gateway sets the length.
    pub fn set_body(&mut self, body: impl AsRef<[u8]>) {
        host::set_response_body(body.as_ref());
    }

    /// The body read as JSON.
    ///
    /// # Errors
    /// If there is no body, or it is not JSON of this shape; the text says where.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T> {
        let body = self.body().ok_or("the response has no body")?;
        Ok(serde_json::from_slice(&body)?)
    }

    /// Replaces the body by JSON and sets `content-type`.
    ///
    /// # Errors
    /// If the value has no form in JSON, or the grants do not cover `content-type`.
    pub fn set_json<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<()> {
        let body = serde_json::to_vec(value)?;
        self.set_header("content-type", "application/json")?;
        self.set_body(body);
        Ok(())
    }
}
