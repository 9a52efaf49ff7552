//! What is told of traffic: the access log, metrics, and the gateway's own log.

pub mod access_log;
pub mod log_gate;
pub mod metrics;
mod outlet;
mod panics;
pub mod span;
pub mod trace;
