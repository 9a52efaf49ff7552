//! An API gateway whose policies are sandboxed WebAssembly components.
//!
//! # Life of a request
//!
//! The modules stand in the order in which a request meets them.
//!
//! 1. A **listener** ([`server`]) accepts the connection on one worker's own socket; TLS by rustls, then
//!    HTTP/1.1 by hyper or HTTP/2 by h2. A guard reads along for what they would let pass, a watchdog keeps the clocks.
//! 2. [`proxy::handle`] takes the request and owns the order of what follows.
//! 3. The head is **normalised** ([`proxy::normalise`]): one spelling of path and host for everybody after.
//! 4. The worker's **snapshot** ([`snapshot`]) is taken, once: an exchange sees one configuration and one version
//!    of every plugin from here to its end.
//! 5. The **route** is looked up ([`route`]).
//! 6. The **request phases** of the chain run in order, each a call into an instance of a component
//!    ([`plugin`]). A plugin may answer; then 7 is left out.
//! 7. The **upstream** ([`upstream`]): an endpoint, a connection from the worker's pool, the request, the head of
//!    the answer. Or the route answers itself: `respond`, `redirect`.
//! 8. The **response phases** run in reverse order.
//! 9. The body streams to the client at the client's pace.
//! 10. At its last byte, or when client or upstream breaks off: the `complete` phases, the **access log** and the **metrics**
//!     ([`exchange`], [`telemetry`]).
//!
//! Whatever fails on the way is an [`error::Error`], which becomes a response in one place.
//!
//! Beside all this stands the control thread ([`control`]): it loads ([`config`]), compiles and links, builds
//! the next snapshot and publishes it in one step; workers ([`worker`]) only ever pick it up.

pub mod admin;
pub mod allocator;
pub mod cli;
pub mod clock;
pub mod config;
pub mod control;
#[cfg(test)]
mod corpora;
pub mod error;
pub mod exchange;
pub mod file;
pub mod message;
pub mod net;
pub mod plugin;
pub mod proxy;
pub mod route;
pub mod server;
pub mod snapshot;
pub mod state;
pub mod telemetry;
pub mod thread;
pub mod upstream;
pub mod watch;
pub mod worker;
