//! Sub-requests, only to upstreams that the configuration names and grants. No URL reaches the network.

use crate::host;

pub use crate::types::subrequest::{Error, Request, Response};

impl Request {
    /// Sends it and waits for the whole answer, whatever its status.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn send(self) -> Result<Response, Error> {
        host::send(self)
    }
}

/// Sends them all at once; answers in the order of the requests.
#[must_use]
pub fn send_all(requests: Vec<Request>) -> Vec<Result<Response, Error>> {
    host::send_all(requests)
}
