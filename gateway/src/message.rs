//! What proxy, plugin host and upstream client all speak of: heads, fields, bodies and phases.

pub mod body;
pub mod coding;
pub mod error;
pub mod fields;
pub mod head;
pub mod headers;
pub mod path;
pub mod phase;
pub mod query;

/// How often a request may pass through gateways as a sub-request of their plugins.
pub const MAX_DEPTH: u8 = 8;
