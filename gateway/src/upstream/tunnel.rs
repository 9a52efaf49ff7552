//! What is left of a connection when HTTP is over.

use std::time::Duration;

use bytes::Bytes;

use super::endpoint::Picked;
use super::pool::Open;
use crate::net::Stream;

/// A connection that speaks another protocol since the upstream's 101.
#[derive(Debug)]
pub struct Tunnel {
    /// The connection.
    pub io: Stream,
    /// What came right behind the 101.
    pub first: Bytes,
    /// How long neither side need move.
    pub idle: Duration,
    /// Its place in the pool's count.
    pub(super) _open: Open,
    /// It is a request in flight until it ends.
    pub(super) _picked: Picked,
}
