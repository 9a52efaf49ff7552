//! The end of an exchange, and where it is told: metrics, access log, span.

use std::time::{Duration, SystemTime};

use http::{HeaderName, HeaderValue, StatusCode, header};

use super::Parts;
use crate::clock;
use crate::config::RouteLog;
use crate::message::error::ErrorKind;
use crate::telemetry::access_log::Line;
use crate::telemetry::span;

/// What nginx calls an exchange whose client left before it had an answer. It is sent to nobody.
const CLIENT_CLOSED: u16 = 499;

impl Drop for Parts {
    /// The end of an exchange: at the last byte, or where a client or a plugin broke it off.
    fn drop(&mut self) {
        self.conclude();
    }
}

impl Parts {
    /// Counts and logs the exchange, which is over. What the `complete` phases do comes later: it delays nothing of the
    /// record and changes nothing of it.
    pub fn conclude(&mut self) {
        let record = &mut self.record;
        if std::mem::replace(&mut record.is_told, true) {
            return;
        }
        record.refuse_broken();
        if !record.finished {
            let error = *record.error.get_or_insert(ErrorKind::ClientClosed);
            if error == ErrorKind::ClientClosed && record.status.is_none() {
                record.status = StatusCode::from_u16(CLIENT_CLOSED).ok();
            }
        }
        if let Some(error) = record.error {
            self.view.metrics.error(error);
            span::failed(&self.span, error);
        }
        let duration = clock::now().saturating_duration_since(record.started);
        self.route
            .metrics
            .record(record.status, duration, record.bytes_in, record.bytes_out);
        if let Some(arm) = &self.route.arm {
            let has_fallen_back = record.fallback.is_some();
            arm.metrics.record(record.status, has_fallen_back, duration);
        }
        self.log(duration);
    }

    /// As [`Self::conclude`], where `complete` phases follow: their spans are not of the exchange any more.
    pub fn conclude_before_complete(&mut self) {
        self.conclude();
        self.span = span::completing(&self.span, &self.client.id, &self.route.name);
    }

    fn log(&self, duration: Duration) {
        let log = &self.view.log;
        let overrides = &self.route.config.overrides;
        if log.is_off() || overrides.access_log == RouteLog::Off {
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
            upstream_time: record
                .upstream
                .map(|(sent, answered)| answered.saturating_duration_since(sent)),
            endpoint: record.endpoint.as_ref(),
            attempts: record.attempts,
            route: &self.route.name,
            arm: self.route.arm.as_ref().map(|arm| &*arm.name),
            error: record.error,
            fallback: record.fallback,
            grpc_status: record.grpc_status,
            finished: record.finished,
            user_agent: field(header::USER_AGENT),
            referer: field(header::REFERER),
            attributes: self.attributes.all(),
            tags: &overrides.tags,
            failures_only: overrides.access_log == RouteLog::Failures,
        });
    }
}
