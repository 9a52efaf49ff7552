//! What proxy, plugin host and upstream client all speak of: heads, fields, bodies and phases.

pub mod body;
pub mod depth;
pub mod error;
pub mod fields;
pub mod head;
pub mod headers;
pub mod names;
pub mod path;
pub mod phase;
pub mod query;
