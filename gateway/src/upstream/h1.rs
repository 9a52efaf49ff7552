//! HTTP/1.1 as a client (RFC 9112), on a connection that the exchange which holds it drives itself.
//!
//! It is the gateway's own, not hyper's, whose client drives each connection in a task of its own. fuzz/ compares what
//! the two read.
//!
//! Strict where it protects: one Content-Length, `chunked` exactly, nothing of one message ever read as part of
//! another. Lean where it counts: a short exchange is one write and one read, and leaves no buffer behind.

mod attempt;
mod body;
mod chunked;
mod head;
#[cfg(any(test, feature = "fuzzing"))]
pub mod properties;
mod request;
mod sending;

pub(super) use attempt::Attempt;
pub(super) use body::Body;
pub use request::Message;
pub(super) use sending::Sending;
