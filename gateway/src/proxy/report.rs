//! What the gateway's own log says of an exchange that failed.

use http::StatusCode;
use tracing::field::display;

use super::passage::Passage;
use crate::error::Error;
use crate::exchange::Parts;
use crate::message::body::BodyFault;
use crate::message::error::{ErrorKind, Side};
use crate::message::target::Target;

/// One line for what failed, and its kind for the record.
pub(super) fn report(passage: &mut Passage, error: &Error) {
    passage.record.error.get_or_insert(error.kind());
    report_of(passage, error, passage.record.endpoint.as_ref(), "");
}

/// One line for what failed, at which endpoint, and what came of it; clients' mistakes only for those who ask for them.
pub(super) fn report_of(
    passage: &Passage,
    error: &Error,
    endpoint: Option<&Target>,
    outcome: &str,
) {
    let kind = error.kind();
    let (route, id) = (
        &passage.route.name,
        passage.client.id.to_str().unwrap_or_default(),
    );
    let remedy = match kind.side() {
        // The operator's rule; or routes and upstreams lead in a circle, which an operator alone can end.
        Side::Gateway if matches!(error, Error::BadRewrite(_)) => "",
        _ if matches!(kind, ErrorKind::Loop | ErrorKind::Deadline) => "",
        Side::Upstream => "",
        Side::Plugin if matches!(error, Error::ResponseTooLarge(_)) => {
            "; its `body_limit` says how much"
        }
        // The plugin host has said what a plugin did, with the plugin's own words.
        Side::Client | Side::Gateway | Side::Plugin => {
            tracing::debug!(%route, id, kind = kind.name(), "{error}");
            return;
        }
    };
    // Where none takes the request, none failed at it.
    let is_of_all = matches!(kind, ErrorKind::NoEndpoint | ErrorKind::BreakerOpen);
    let endpoint = endpoint.filter(|_| !is_of_all).map(display);
    // As often as a client likes; the access log has each of them.
    if let Some(suppressed) = passage.route.failures.pass() {
        tracing::warn!(%route, id, kind = kind.name(), endpoint, suppressed, "{error}{remedy}{outcome}");
    }
}

/// One line for an answer that breaks off behind its head, where the upstream or the route's `timeout` ends it.
#[cold]
pub(super) fn broken_off(passage: &Passage, kind: ErrorKind, fault: BodyFault) {
    let why = match kind {
        ErrorKind::ResponseBroken => fault.words_of_response(),
        ErrorKind::Deadline => {
            let timeout = passage.route.config.timeout.unwrap_or_default();
            format!("{}, so its answer is broken off", Error::Deadline(timeout))
        }
        _ => return,
    };
    if let Some(suppressed) = passage.route.failures.pass() {
        let (route, id) = (&passage.route.name, passage.client.id.to_str().ok());
        let endpoint = passage.record.endpoint.as_ref().map(display);
        tracing::warn!(%route, id, kind = kind.name(), endpoint, suppressed, "{why}");
    }
}

/// For those who ask: an attempt that did not do, and what follows.
#[cold]
pub(super) fn attempted(
    exchange: &Parts,
    attempt: u32,
    outcome: Result<StatusCode, &Error>,
    follows: &str,
) {
    if !tracing::enabled!(tracing::Level::DEBUG) {
        return;
    }
    let why = match outcome {
        Ok(status) => format!("the answer is {}", status.as_u16()),
        Err(error) => error.to_string(),
    };
    let (route, id) = (&exchange.route.name, exchange.client.id.to_str().ok());
    let endpoint = exchange.record.endpoint.as_ref().map(display);
    tracing::debug!(%route, id, attempt, endpoint, "{why}; {follows}");
}
