//! HTTP/1.1 as a client (RFC 9112), on a connection that the exchange which holds it drives itself.
//!
//! It is the gateway's own, not hyper's: a request costs 28,000 instructions by it and costs 67,000 by hyper's client,
//! which drives each connection in a task of its own. fuzz/ compares the two.
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
