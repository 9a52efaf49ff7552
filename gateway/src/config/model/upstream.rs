//! How the rest of a configuration names an upstream.

/// An upstream of a configuration, by index into [`Config::upstreams`](crate::config::Config::upstreams).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UpstreamId(pub usize);
