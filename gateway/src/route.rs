//! Placeholder of the host branch: the lead's module takes its place.

/// The router.
#[derive(Debug, Default)]
pub struct Router;
