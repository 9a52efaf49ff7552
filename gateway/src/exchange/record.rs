//! What is known of an exchange when it is over.

use std::time::Instant;

use http::StatusCode;

use crate::clock;
use crate::message::error::{Cause, ErrorKind};
use crate::message::target::Target;

/// What is known of an exchange when it is over.
#[derive(Debug)]
pub struct Record {
    /// When the head of the request was there.
    pub started: Instant,
    /// The status that was sent, if a head was sent.
    pub status: Option<StatusCode>,
    /// Bytes of the request body that came in.
    pub bytes_in: u64,
    /// Bytes of the response body that went out.
    pub bytes_out: u64,
    /// The endpoint that answered, or else the last one that was asked.
    pub endpoint: Option<Target>,
    /// When the request went upstream, and when the head of the answer came.
    pub upstream: Option<(Instant, Instant)>,
    /// How often the request was sent upstream, where that was more than once.
    pub attempts: u32,
    /// Why it failed: what was found first.
    pub error: Option<ErrorKind>,
    /// Why the route's fallback answered, if it did.
    pub fallback: Option<Cause>,
    /// Whether the last byte of the response was handed to the client's connection.
    pub finished: bool,
    /// Whether it is counted and logged.
    pub(super) is_told: bool,
}

impl Record {
    /// A record that starts now.
    pub fn new() -> Self {
        Self {
            started: clock::now(),
            status: None,
            bytes_in: 0,
            bytes_out: 0,
            endpoint: None,
            upstream: None,
            attempts: 0,
            error: None,
            fallback: None,
            finished: false,
            is_told: false,
        }
    }
}

impl Default for Record {
    fn default() -> Self {
        Self::new()
    }
}
