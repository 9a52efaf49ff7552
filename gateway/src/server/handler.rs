//! What the server hands requests to.

use std::error::Error;
use std::rc::Rc;

use bytes::Bytes;
use http::request::Parts;
use http::{Response, StatusCode};
use http_body::Body;

use super::connection::Connection;
use crate::message::body::Received;

pub(super) type BoxError = Box<dyn Error + Send + Sync>;

/// What answers requests.
pub trait Handler: Clone + 'static {
    /// The body of a response; need not be `Send`.
    type Body: Body<Data = Bytes, Error: Into<BoxError>> + Unpin + 'static;
    /// The answer.
    type Future: Future<Output = Response<Self::Body>> + 'static;

    /// Answers one request: what its head says, and its body.
    fn call(&self, connection: Rc<Connection>, head: Parts, body: Received) -> Self::Future;

    /// A request that nobody could read was answered with this status.
    fn refused(&self, _connection: &Connection, _status: StatusCode) {}
}

impl<H, F, B> Handler for H
where
    H: Fn(Rc<Connection>, Parts, Received) -> F + Clone + 'static,
    F: Future<Output = Response<B>> + 'static,
    B: Body<Data = Bytes, Error: Into<BoxError>> + Unpin + 'static,
{
    type Body = B;
    type Future = F;

    fn call(&self, connection: Rc<Connection>, head: Parts, body: Received) -> F {
        self(connection, head, body)
    }
}

/// A handler that also hears of what is refused before it is a request.
#[derive(Debug, Clone)]
pub struct Hearing<H, R> {
    /// Answers requests.
    pub answer: H,
    /// Hears of the others.
    pub refused: R,
}

impl<H, R> Handler for Hearing<H, R>
where
    H: Handler,
    R: Fn(&Connection, StatusCode) + Clone + 'static,
{
    type Body = H::Body;
    type Future = H::Future;

    fn call(&self, connection: Rc<Connection>, head: Parts, body: Received) -> Self::Future {
        self.answer.call(connection, head, body)
    }

    fn refused(&self, connection: &Connection, status: StatusCode) {
        (self.refused)(connection, status);
    }
}
