//! What is known of an exchange when it is over.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use http::StatusCode;

use crate::clock;
use crate::message::error::ErrorKind;

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
    /// The endpoint that answered.
    pub endpoint: Option<SocketAddr>,
    /// From the request sent upstream to the head of its response.
    pub upstream_time: Option<Duration>,
    /// Why it failed: what was found first.
    pub error: Option<ErrorKind>,
    /// Whether the last byte of the response was handed to the client's connection.
    pub finished: bool,
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
            upstream_time: None,
            error: None,
            finished: false,
        }
    }
}

impl Default for Record {
    fn default() -> Self {
        Self::new()
    }
}
