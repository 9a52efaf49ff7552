//! A listener in force, over its reloads, and the limit of its open connections.

use std::io;
use std::sync::Arc;

use super::seats::{Seat, Seats};
use super::tls::Tls;
use crate::config;
use crate::message::names;
use crate::message::peer::Peer;
use crate::message::target::Target;
use crate::telemetry::log_gate::LogGate;
use crate::telemetry::metrics::ListenerMetrics;
use arc_swap::ArcSwap;

/// A listener over all its reloads: what is in it counts for connections that are accepted from now on.
pub type Settings = Arc<ArcSwap<ListenerRuntime>>;

/// A listener in force: what its connections share, over all workers.
#[derive(Debug)]
pub struct ListenerRuntime {
    /// As configured.
    pub config: config::Listener,
    /// Where it really listens (port 0 resolved).
    pub address: Target,
    /// TLS, if it is spoken.
    pub tls: Option<Tls>,
    /// For its connections.
    pub(super) seats: Arc<Seats>,
    metrics: Arc<ListenerMetrics>,
    /// For lines about connections that begin with no header of the PROXY protocol.
    unproxied: LogGate,
    /// For lines about clients with which no TLS comes about.
    no_tls: LogGate,
    /// For the line that it is full.
    full: LogGate,
}

/// That a connection counts among those of its listener, until it is dropped.
#[derive(Debug)]
pub(crate) struct Admission {
    _seat: Seat,
    metrics: Arc<ListenerMetrics>,
}

impl ListenerRuntime {
    /// Makes the shared part of a listener that is bound to `address`.
    ///
    /// # Errors
    /// When rustls cannot use the certificates.
    pub fn new(config: config::Listener, address: Target) -> Result<Self, rustls::Error> {
        let tls = config
            .tls
            .as_ref()
            .map(|tls| Tls::new(tls, config.h1, config.h2))
            .transpose()?;
        let seats = Seats::new(config.limits.connections);
        Ok(Self {
            config,
            address,
            tls,
            seats,
            metrics: Arc::default(),
            unproxied: LogGate::new(),
            no_tls: LogGate::new(),
            full: LogGate::of(1, u64::MAX),
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

    /// Counts a connection that has one of [`Self::seats`].
    pub(super) fn admit(&self, seat: Seat) -> Admission {
        self.metrics.opened();
        Admission {
            _seat: seat,
            metrics: self.metrics.clone(),
        }
    }

    /// Tells of a connection that is closed because nobody said for whom it was made.
    #[cold]
    pub(super) fn tell_unproxied(&self, peer: Peer, error: &io::Error) {
        // Who connects and says nothing at all looks whether the port is there.
        let is_told = matches!(
            error.kind(),
            io::ErrorKind::InvalidData | io::ErrorKind::PermissionDenied
        );
        if is_told && let Some(suppressed) = self.unproxied.pass() {
            let listener = &self.config.name;
            tracing::warn!(%listener, %peer, %error, suppressed, "connection closed: not of a proxy");
        }
    }

    /// Counts and tells of a client that began to speak, and with which no TLS came about.
    #[cold]
    pub(super) fn tell_no_tls(&self, peer: Peer, error: &io::Error) {
        self.metrics.tls_failed();
        if let Some(suppressed) = self.no_tls.pass() {
            let listener = &self.config.name;
            tracing::info!(%listener, %peer, %error, suppressed, "TLS handshake failed");
        }
    }

    /// Tells that a connection has to wait, since as many are open as may be.
    #[cold]
    pub(super) fn tell_full(&self) {
        if let Some(suppressed) = self.full.pass() {
            let (listener, limit) = (&self.config.name, self.config.limits.connections);
            tracing::warn!(%listener, limit, suppressed, "the listener is full: connections wait until others close");
        }
    }

    /// Takes over the count of open connections, and the keys of session tickets where the certificates are the same.
    #[must_use]
    pub fn succeeding(mut self, previous: &Self) -> Self {
        self.seats = previous.seats.clone();
        if let (Some(tls), Some(before)) = (&mut self.tls, &previous.tls) {
            tls.succeed(before);
        }
        self
    }

    /// Called once `successor` is in force: from now on its limit is.
    pub fn retire(&self, successor: &Self) {
        self.seats.resize(successor.config.limits.connections);
    }
}

impl Drop for Admission {
    fn drop(&mut self) {
        self.metrics.closed();
    }
}
