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

    async fn start_all(&mut self, requests: Vec<Request>) -> wasmtime::Result<()> {
        Self::start_all(self, requests)
    }

    async fn next_answer(&mut self) -> wasmtime::Result<Option<(u32, Sent)>> {
        Self::next_answer(self).await
    }
}
