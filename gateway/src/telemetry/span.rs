//! The spans of an exchange: one from its head to its last byte, in it one for each phase of each plugin and one for
//! the way to the upstream and back. The `complete` phases, which come later, have one of their own.
//!
//! They cost nothing until someone asks for them: `GATEWAY_LOG=info,gateway::trace=debug` writes each as it closes, with
//! the time it was worked on (`time.busy`) and the time it waited (`time.idle`); lines that are logged meanwhile,
//! those of plugins too, then stand in their span.

use http::{HeaderValue, Method};
use tracing::{Span, debug_span, field};

use crate::message::error::ErrorKind;
use crate::message::target::Target;

/// What the filter of the log knows them by.
const TARGET: &str = "gateway::trace";

/// An exchange whose route is not known yet.
pub fn exchange(id: &HeaderValue, method: &Method, path: &str) -> Span {
    let id = id.to_str().unwrap_or_default();
    debug_span!(target: TARGET, parent: None, "exchange", id, %method, path, route = field::Empty, error = field::Empty)
}

/// The route was found.
pub fn routed(exchange: &Span, route: &str) {
    exchange.record("route", route);
}

/// An exchange, or the way to an upstream, failed.
pub fn failed(span: &Span, kind: ErrorKind) {
    span.record("error", kind.name());
}

/// The `complete` phases of an exchange, whose own span ends before them.
pub fn completing(exchange: &Span, id: &HeaderValue, route: &str) -> Span {
    let id = id.to_str().unwrap_or_default();
    let span = debug_span!(target: TARGET, parent: None, "complete", id, route);
    span.follows_from(exchange);
    span
}

/// One phase of one plugin.
pub fn phase(exchange: &Span, plugin: &str, phase: &'static str) -> Span {
    debug_span!(target: TARGET, parent: exchange, "phase", plugin, phase)
}

/// From the request to the head of the upstream's answer.
pub fn upstream(exchange: &Span, upstream: &str, endpoint: &Target) -> Span {
    debug_span!(target: TARGET, parent: exchange, "upstream", upstream, %endpoint, error = field::Empty)
}
