//! Where clients connect: sockets, TLS, HTTP/1.1 and HTTP/2, and what one client may take.
//!
//! Every worker is one thread with its own SO_REUSEPORT socket per listener. A connection lives and dies on the
//! worker that accepted it; workers share no more than the count of a listener's open connections.

pub mod connection;
pub mod drain;
pub mod guard;
pub mod handler;
mod http1;
mod http2;
mod linger;
pub mod listener;
mod proxy_protocol;
mod runtime;
mod seats;
pub mod serve;
mod streams;
pub mod tls;
mod transport;
pub mod watchdog;

#[cfg(test)]
mod tests;

pub use runtime::{ListenerRuntime, Settings};
