//! The end of an exchange: counters, access log, and the plugins that wait for it.

use std::time::SystemTime;

use crate::clock;
use crate::error::{Error, Side};
use crate::message::phase::Phase;
use crate::telemetry::access_log::Line;
use crate::worker;

use super::exchange::Exchange;

/// Records the end. Called when the exchange is dropped, whoever drops it: at the last byte, or where a client
/// or a plugin ended it before.
pub fn record(exchange: &mut Exchange) {
    if exchange.record.recorded {
        return;
    }
    if exchange.phase != Phase::Complete && !exchange.route.on_complete.is_empty() {
        let mut rest = Box::new(exchange.detach());
        rest.phase = Phase::Complete;
        worker::complete_later(rest);
        return;
    }
    exchange.record.recorded = true;
    count(exchange);
}

/// Calls the `complete` phases; the drop of the exchange records it.
pub async fn run(mut exchange: Box<Exchange>) {
    let route = exchange.route.clone();
    for &place in &route.on_complete {
        let link = route.chain[place];
        let pool = exchange.view.pools[link.plugin].clone();
        exchange = pool.on_complete((place, link.filter), exchange).await;
    }
    drop(exchange);
}

/// Metrics and the access log.
fn count(exchange: &Exchange) {
    let record = &exchange.record;
    let duration = clock::now().saturating_duration_since(record.started);
    exchange
        .route
        .metrics
        .record(record.status, duration, record.bytes_in, record.bytes_out);
    let access_log = &exchange.view.snapshot.access_log;
    if access_log.is_off() {
        return;
    }
    let field =
        |name: http::HeaderName| exchange.headers.get(name).map(http::HeaderValue::as_bytes);
    access_log.log(&Line {
        time: SystemTime::now(),
        id: exchange.id.to_str().unwrap_or_default(),
        client: exchange.client,
        method: exchange.client_method.as_str(),
        path: exchange.client_path.as_str(),
        host: exchange.authority.to_str().unwrap_or_default(),
        protocol: exchange.version,
        secure: exchange.secure,
        status: record.status.map(|status| status.as_u16()),
        bytes_in: record.bytes_in,
        bytes_out: record.bytes_out,
        duration,
        upstream_time: record.upstream_time,
        endpoint: record.endpoint,
        route: &exchange.route.name,
        error: record.error,
        finished: record.finished,
        user_agent: field(http::header::USER_AGENT),
        referer: field(http::header::REFERER),
        attributes: &exchange.attributes,
    });
}

/// One line for what failed; clients' mistakes only for who asks for them.
pub(super) fn log_failure(exchange: &Exchange, error: &Error) {
    exchange.view.snapshot.metrics.error(error.kind());
    let (route, id) = (
        &exchange.route.name,
        exchange.id.to_str().unwrap_or_default(),
    );
    match error.side() {
        Side::Client | Side::Gateway => tracing::debug!(%route, id, kind = error.kind(), "{error}"),
        Side::Upstream => tracing::warn!(%route, id, kind = error.kind(), "{error}"),
        // The plugin host has said it, with the plugin's own words.
        Side::Plugin => tracing::debug!(%route, id, kind = error.kind(), "{error}"),
    }
}
