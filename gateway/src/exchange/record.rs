//! What is known of an exchange when it is over, and where that is told: metrics, access log, span.

use std::net::SocketAddr;
use std::time::{Duration, Instant, SystemTime};

use http::{HeaderName, HeaderValue, StatusCode, header};

use super::Parts;
use crate::clock;
use crate::message::error::ErrorKind;
use crate::telemetry::access_log::Line;
use crate::telemetry::span;

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

impl Drop for Parts {
    /// The end of an exchange, whoever ends it: at the last byte, or where a client or a plugin broke it off.
    fn drop(&mut self) {
        let record = &mut self.record;
        if !record.finished {
            record.error.get_or_insert(ErrorKind::ClientClosed);
        }
        if let Some(error) = record.error {
            self.view.metrics.error(error);
            span::failed(&self.span, error);
        }
        let duration = clock::now().saturating_duration_since(record.started);
        self.route
            .metrics
            .record(record.status, duration, record.bytes_in, record.bytes_out);
        self.log(duration);
    }
}

impl Parts {
    fn log(&self, duration: Duration) {
        let log = &self.view.log;
        if log.is_off() {
            return;
        }
        let (client, record) = (&self.client, &self.record);
        let field = |name: HeaderName| self.request.headers.get(name).map(HeaderValue::as_bytes);
        log.add(&Line {
            time: SystemTime::now(),
            id: client.id.to_str().unwrap_or_default(),
            client: client.address,
            method: client.method.as_str(),
            path: client.path.as_str(),
            host: client.authority.to_str().unwrap_or_default(),
            protocol: client.version,
            secure: client.secure,
            status: record.status.map(|status| status.as_u16()),
            bytes_in: record.bytes_in,
            bytes_out: record.bytes_out,
            duration,
            upstream_time: record.upstream_time,
            endpoint: record.endpoint,
            route: &self.route.name,
            error: record.error,
            finished: record.finished,
            user_agent: field(header::USER_AGENT),
            referer: field(header::REFERER),
            attributes: &self.attributes,
        });
    }
}
