//! What a line tells.

use std::time::{Duration, SystemTime};

use crate::message::error::{Cause, ErrorKind, Side};
use crate::message::peer::Address;
use crate::message::target::Target;

/// One exchange.
#[derive(Debug)]
pub struct Line<'a> {
    /// When it ended.
    pub time: SystemTime,
    /// The request id.
    pub id: &'a str,
    /// The client.
    pub client: Address,
    /// The client's method.
    pub method: &'a str,
    /// The client's path and query, normalised.
    pub path: &'a str,
    /// The host asked for.
    pub host: &'a str,
    /// The client's protocol.
    pub protocol: http::Version,
    /// Whether the client sees `https`.
    pub secure: bool,
    /// The status; none where no head was sent.
    pub status: Option<u16>,
    /// Bytes of the request body.
    pub bytes_in: u64,
    /// Bytes of the response body.
    pub bytes_out: u64,
    /// From the head to the last byte.
    pub duration: Duration,
    /// Until the head of the upstream's response.
    pub upstream_time: Option<Duration>,
    /// Who was asked: the one whose outcome stands.
    pub endpoint: Option<&'a Target>,
    /// How often the request was sent upstream, where that was more than once.
    pub attempts: u32,
    /// The route.
    pub route: &'a str,
    /// The arm, where the route is split.
    pub arm: Option<&'a str>,
    /// The kind of failure.
    pub error: Option<ErrorKind>,
    /// Why the fallback of the route answered, if it did.
    pub fallback: Option<Cause>,
    /// What the answer to a call of gRPC says of it.
    pub grpc_status: Option<u32>,
    /// Whether the last byte was handed over.
    pub finished: bool,
    /// User-Agent.
    pub user_agent: Option<&'a [u8]>,
    /// Referer.
    pub referer: Option<&'a [u8]>,
    /// What plugins left.
    pub attributes: &'a [(Box<str>, Box<str>)],
    /// What the route says of itself.
    pub tags: &'a [(Box<str>, Box<str>)],
    /// Whether it is written only if it is of a failure.
    pub failures_only: bool,
}

impl Line<'_> {
    /// Whether something else than the client is at fault.
    fn is_ours(&self) -> bool {
        self.error.is_some_and(|error| error.side() != Side::Client)
    }

    /// Whether the gateway or the upstream failed at it. What a client did wrong (4xx) is no failure.
    pub(super) fn is_failure(&self) -> bool {
        match self.status {
            None => true,
            Some(status) => status >= 500 || (status < 400 && self.is_ours()),
        }
    }
}
