//! Placeholder of the host branch: the ops branch's module takes its place.

pub mod metrics;
