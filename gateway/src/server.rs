//! Where clients connect: sockets, TLS, HTTP/1.1 and HTTP/2, and what one client may take.
//!
//! Every worker is one thread with its own SO_REUSEPORT socket per listener. A connection lives and dies on the
//! worker that accepted it; workers share no more than the count of a listener's open connections.

pub mod connection;
pub mod drain;
pub mod guard;
pub mod listener;
mod streams;
pub mod tls;
pub mod watchdog;

#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::sync::Arc;

use arc_swap::ArcSwap;
use tokio::sync::Semaphore;

use crate::config;

/// A listener over all its reloads: what is in it counts for connections that are accepted from now on.
pub type Settings = Arc<ArcSwap<ListenerRuntime>>;

/// A listener in force: what its connections share, over all workers.
#[derive(Debug)]
pub struct ListenerRuntime {
    /// Its place in [`config::Config::listeners`].
    pub index: usize,
    /// As configured.
    pub config: config::Listener,
    /// Where it really listens (port 0 resolved).
    pub address: SocketAddr,
    /// TLS, if it is spoken.
    pub tls: Option<tls::Tls>,
    /// One permit per connection it may still open.
    pub(crate) permits: Arc<Semaphore>,
}

impl ListenerRuntime {
    /// Makes the shared part of a listener that is bound to `address`.
    ///
    /// # Errors
    /// When rustls cannot use the certificates.
    pub fn new(
        index: usize,
        config: config::Listener,
        address: SocketAddr,
    ) -> Result<Self, rustls::Error> {
        let tls = config
            .tls
            .as_ref()
            .map(|tls| tls::Tls::new(tls, config.h1, config.h2))
            .transpose()?;
        let permits = config.limits.connections.min(Semaphore::MAX_PERMITS);
        Ok(Self {
            index,
            config,
            address,
            tls,
            permits: Arc::new(Semaphore::new(permits)),
        })
    }

    /// Takes over the count of open connections, where the limit is the same.
    #[must_use]
    pub fn succeeding(mut self, previous: &Self) -> Self {
        if self.config.limits.connections == previous.config.limits.connections {
            self.permits = previous.permits.clone();
        }
        self
    }
}
