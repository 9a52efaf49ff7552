//! A listener in force, over its reloads, and the limit of its open connections.

use std::net::SocketAddr;
use std::sync::Arc;

use arc_swap::ArcSwap;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::tls::Tls;
use crate::config;
use crate::message::names;
use crate::telemetry::metrics::ListenerMetrics;

/// A listener over all its reloads: what is in it counts for connections that are accepted from now on.
pub type Settings = Arc<ArcSwap<ListenerRuntime>>;

/// A listener in force: what its connections share, over all workers.
#[derive(Debug)]
pub struct ListenerRuntime {
    /// As configured.
    pub config: config::Listener,
    /// Where it really listens (port 0 resolved).
    pub address: SocketAddr,
    /// TLS, if it is spoken.
    pub tls: Option<Tls>,
    /// One permit per connection it may still open.
    pub(crate) permits: Arc<Semaphore>,
    metrics: Arc<ListenerMetrics>,
}

/// That a connection counts among those of its listener, until it is dropped.
#[derive(Debug)]
pub(crate) struct Admission {
    _permit: OwnedSemaphorePermit,
    metrics: Arc<ListenerMetrics>,
}

impl ListenerRuntime {
    /// Makes the shared part of a listener that is bound to `address`.
    ///
    /// # Errors
    /// When rustls cannot use the certificates.
    pub fn new(config: config::Listener, address: SocketAddr) -> Result<Self, rustls::Error> {
        let tls = config
            .tls
            .as_ref()
            .map(|tls| Tls::new(tls, config.h1, config.h2))
            .transpose()?;
        let permits = config.limits.connections.min(Semaphore::MAX_PERMITS);
        Ok(Self {
            config,
            address,
            tls,
            permits: Arc::new(Semaphore::new(permits)),
            metrics: Arc::default(),
        })
    }

    /// Counts its connections here.
    #[must_use]
    pub fn counted(mut self, metrics: Arc<ListenerMetrics>) -> Self {
        self.metrics = metrics;
        self
    }

    /// What a connection of it does with unusual names. Each has its own, so that workers share no count of references.
    pub(crate) fn names(&self) -> Arc<names::Rule> {
        Arc::new(names::Rule {
            policy: self.config.unusual_names,
            met: self.metrics.unusual.clone(),
        })
    }

    /// Counts a connection that has one of [`Self::permits`].
    pub(crate) fn admit(&self, permit: OwnedSemaphorePermit) -> Admission {
        self.metrics.opened();
        Admission {
            _permit: permit,
            metrics: self.metrics.clone(),
        }
    }

    /// Takes over the count of open connections, where the limit is the same, and the keys of session tickets,
    /// where the certificates are.
    #[must_use]
    pub fn succeeding(mut self, previous: &Self) -> Self {
        if self.config.limits.connections == previous.config.limits.connections {
            self.permits = previous.permits.clone();
        }
        if let (Some(tls), Some(before)) = (&mut self.tls, &previous.tls) {
            tls.succeed(before);
        }
        self
    }

    /// Called once `successor` is in force: connections that wait under the old limit ask under the new one.
    pub fn retire(&self, successor: &Self) {
        if !Arc::ptr_eq(&self.permits, &successor.permits) {
            self.permits.close();
        }
    }
}

impl Drop for Admission {
    fn drop(&mut self) {
        self.metrics.closed();
    }
}
