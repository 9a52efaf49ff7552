//! `upstream`.

use crate::plugin::host::bindings::gateway::plugin::types::Response;
use crate::plugin::host::bindings::gateway::plugin::upstream::{Error, Host, Request};
use crate::plugin::host::guest::Guest;

type Sent = Result<Response, Error>;

impl Host for Guest {
    async fn send(&mut self, request: Request) -> wasmtime::Result<Sent> {
        Self::send(self, request).await
    }

    async fn send_all(&mut self, requests: Vec<Request>) -> wasmtime::Result<Vec<Sent>> {
        Self::send_all(self, requests).await
    }
}
