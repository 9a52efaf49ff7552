//! The request of the exchange in hand. A handle of size zero: every method is one call of the host, and nothing
//! is fetched that nobody asks for.

use std::marker::PhantomData;
use std::net::IpAddr;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::{Edit, EditError, HeaderError, Query, Result, host};

/// The request in hand. Names of fields are matched without regard to case.
#[derive(Debug)]
pub struct Request {
    // Not Send, not Sync: the exchange is the one that this instance serves right now.
    _exchange: PhantomData<*const ()>,
}

impl Request {
    pub(crate) const fn in_hand() -> Self {
        Self {
            _exchange: PhantomData,
        }
    }

    /// The id of the request, for logs: `x-request-id` of a trusted client, else made by the gateway.
    #[must_use]
    pub fn id(&self) -> String {
        host::id()
    }

    /// The name of the matched route.
    #[must_use]
    pub fn route(&self) -> String {
        host::route()
    }

    /// The client's IP address, after trusted proxies were looked through; `unix:` where there is none, since it connected
    /// to a unix socket.
    #[must_use]
    pub fn client_address(&self) -> String {
        host::client_address()
    }

    /// [`client_address`](Self::client_address), parsed; none where it is `unix:`.
    #[must_use]
    pub fn client_ip(&self) -> Option<IpAddr> {
        host::client_address().parse().ok()
    }

    /// `http` or `https`, as the client sees it.
    #[must_use]
    pub fn scheme(&self) -> String {
        host::scheme()
    }

    /// Host and port that the client asked for.
    #[must_use]
    pub fn authority(&self) -> String {
        host::authority()
    }

    /// The subject of the client's TLS certificate, where the listener asked for one.
    #[must_use]
    pub fn client_certificate_subject(&self) -> Option<String> {
        host::client_certificate_subject()
    }

    /// How long until the exchange must be over, by its route's `timeout`; `None` where the route has none.
    #[must_use]
    pub fn remaining(&self) -> Option<Duration> {
        host::remaining_ms().map(|ms| Duration::from_millis(ms.into()))
    }

    /// How long until the phase in hand must be over, by the plugin's `timeout` and that of the route. A sub-request without
    /// a timeout of its own has as long.
    #[must_use]
    pub fn call_remaining(&self) -> Duration {
        Duration::from_millis(host::call_remaining_ms().into())
    }

    /// The request method.
    #[must_use]
    pub fn method(&self) -> String {
        host::method()
    }

    /// Replaces the method that goes upstream.
    ///
    /// # Errors
    /// [`HeaderError::InvalidName`] if it is not a token.
    pub fn set_method(&mut self, method: &str) -> Result<(), HeaderError> {
        host::set_method(method)
    }

    /// The path without the query.
    #[must_use]
    pub fn path(&self) -> String {
        let mut path = host::path();
        path.truncate(path.find('?').unwrap_or(path.len()));
        path
    }

    /// Path and query, normalised by the gateway, with the edits of earlier plugins.
    #[must_use]
    pub fn path_and_query(&self) -> String {
        host::path()
    }

    /// Replaces path and query that go upstream. The route was chosen before and stays.
    ///
    /// # Errors
    /// [`HeaderError::InvalidName`] if it is no path that may leave: it does not begin with `/`, has a byte that needs
    /// percent-encoding, or a segment that is `.`, `..`, empty, hides a separator, is encoded twice, or has a parameter
    /// (`;`) that the route does not keep.
    pub fn set_path(&mut self, path_and_query: &str) -> Result<(), HeaderError> {
        host::set_path(path_and_query)
    }

    /// The value of `{name}` in the route's pattern, percent-decoded as far as nothing is lost: `%25`, `%2F`, `%5C`,
    /// control characters and bytes that are no UTF-8 (`%E9`) stay escaped. Each `%` in it begins an escape;
    /// [`percent::encode_rest`](crate::percent::encode_rest) makes the segment of it again.
    #[must_use]
    pub fn path_param(&self, name: &str) -> Option<String> {
        host::path_param(name)
    }

    /// The first value of that name in the query, percent-decoded.
    #[must_use]
    pub fn query_param(&self, name: &str) -> Option<String> {
        host::query_param(name)
    }

    /// Every pair of the query, decoded, in order.
    #[must_use]
    pub fn query(&self) -> Query {
        Query::of(host::path())
    }

    /// Sends the request to another upstream, which the configuration names and the grants allow.
    ///
    /// # Errors
    /// [`HeaderError::Denied`] if it does not or they do not.
    pub fn set_upstream(&mut self, name: &str) -> Result<(), HeaderError> {
        host::set_upstream(name)
    }

    /// The first field of that name, as the bytes of the wire.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<Vec<u8>> {
        host::request_header(name)
    }

    /// The first field of that name; `None` as well when it is not UTF-8.
    #[must_use]
    pub fn header_str(&self, name: &str) -> Option<String> {
        host::request_header(name).and_then(|value| String::from_utf8(value).ok())
    }

    /// Every field that the grants let the plugin read, in order.
    #[must_use]
    pub fn headers(&self) -> Vec<(String, Vec<u8>)> {
        host::request_headers()
    }

    /// Replaces every field of that name by one.
    ///
    /// # Errors
    /// See [`HeaderError`]; the field stays as it was.
    pub fn set_header(&mut self, name: &str, value: impl AsRef<[u8]>) -> Result<(), HeaderError> {
        host::set_request_header(name, value.as_ref())
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
        host::append_request_header(name, value.as_ref())
    }

    /// Removes every field of that name.
    ///
    /// # Errors
    /// See [`HeaderError`]. No error if there is none.
    pub fn remove_header(&mut self, name: &str) -> Result<(), HeaderError> {
        host::remove_request_header(name)
    }

    /// Makes several edits in order, also of the response that is still to come, in one call of the gateway. Each is as
    /// if it were made alone.
    ///
    /// # Errors
    /// See [`EditError`]. More than 4,096 edits, or 2 MiB of names and values, end the call.
    pub fn edit(&mut self, edits: &[Edit<'_>]) -> Result<(), EditError> {
        host::edit(edits)
    }

    /// The cookies (RFC 6265, section 4.2) in order, values as they stand. The first `cookie` field is read; the
    /// gateway joins those that HTTP/2 splits.
    #[must_use]
    pub fn cookies(&self) -> Vec<(String, String)> {
        let header = self.header_str("cookie").unwrap_or_default();
        cookie_pairs(&header)
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect()
    }

    /// The value of the first cookie of that name.
    #[must_use]
    pub fn cookie(&self, name: &str) -> Option<String> {
        let header = self.header_str("cookie")?;
        cookie_pairs(&header)
            .find(|(n, _)| *n == name)
            .map(|(_, value)| value.to_owned())
    }

    /// The whole body, where [`Phases::REQUEST_BODY`](crate::Phases::REQUEST_BODY) was asked for and there is one.
    #[must_use]
    pub fn body(&self) -> Option<Vec<u8>> {
        host::request_body()
    }

    /// Replaces the body; the gateway sets the length. Without `REQUEST_BODY` it has no effect.
    pub fn set_body(&mut self, body: impl AsRef<[u8]>) {
        host::set_request_body(body.as_ref());
    }

    /// The body read as JSON.
    ///
    /// # Errors
    /// If there is no body, or it is not JSON of this shape; the text says where.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T> {
        let body = self.body().ok_or("the request has no body")?;
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

    /// Edits that wait for the response.
    pub fn response(&mut self) -> ResponseEdits<'_> {
        ResponseEdits {
            _request: PhantomData,
        }
    }

    /// A fact that an earlier plugin or phase found (`auth.subject`).
    #[must_use]
    pub fn attribute(&self, name: &str) -> Option<String> {
        host::attribute(name)
    }

    /// Leaves a fact for later plugins, the access log and the later phases of this plugin.
    pub fn set_attribute(&self, name: &str, value: &str) {
        host::set_attribute(name, value);
    }
}

fn cookie_pairs(header: &str) -> impl Iterator<Item = (&str, &str)> {
    header
        .split(';')
        .filter_map(|pair| pair.trim().split_once('='))
}

/// Edits of the response that is still to come, an upstream's, a route's or a plugin's.
#[derive(Debug)]
pub struct ResponseEdits<'a> {
    _request: PhantomData<&'a mut Request>,
}

impl ResponseEdits<'_> {
    /// Replaces the status of the response.
    pub fn set_status(&mut self, status: u16) {
        host::set_status(status);
    }

    /// Replaces every field of that name by one.
    ///
    /// # Errors
    /// See [`HeaderError`].
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
    /// See [`HeaderError`].
    pub fn remove_header(&mut self, name: &str) -> Result<(), HeaderError> {
        host::remove_response_header(name)
    }
}
