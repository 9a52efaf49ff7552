//! x
pub mod access_log;
pub mod metrics;
pub mod trace;
