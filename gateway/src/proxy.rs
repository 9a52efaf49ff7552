//! The pure parts of the proxy.

pub mod headers;
pub mod normalise;
