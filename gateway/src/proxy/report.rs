//! What the gateway's own log says of an exchange that failed.

use super::passage::Passage;
use crate::error::Error;
use crate::message::error::{ErrorKind, Side};

/// One line for what failed, and its kind for the record.
pub(super) fn report(passage: &mut Passage, error: &Error) {
    passage.record.error.get_or_insert(error.kind());
    report_of(passage, error, "");
}

/// One line for what failed, and what came of it; clients' mistakes only for those who ask for them.
pub(super) fn report_of(passage: &Passage, error: &Error, outcome: &str) {
    let kind = error.kind();
    let (route, id) = (
        &passage.route.name,
        passage.client.id.to_str().unwrap_or_default(),
    );
    let remedy = match kind.side() {
        // The operator's rule; or routes and upstreams lead in a circle, which an operator alone can end.
        Side::Gateway if matches!(error, Error::BadRewrite(_)) => "",
        _ if kind == ErrorKind::Loop => "",
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
    // As often as a client likes; the access log has each of them.
    if let Some(suppressed) = passage.route.failures.pass() {
        tracing::warn!(%route, id, kind = kind.name(), suppressed, "{error}{remedy}{outcome}");
    }
}
