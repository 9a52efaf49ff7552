//! The sockets of the configuration: bound by the control thread, one per worker, and kept over reloads.

use std::collections::{HashMap, HashSet};
use std::fmt::Display;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use arc_swap::ArcSwap;
use tokio_util::sync::CancellationToken;

use crate::config::{self, Config, Fault};
use crate::server::listener::{self, Beside};
use crate::server::{ListenerRuntime, Settings};
use crate::telemetry::metrics::Metrics;
use crate::worker::{Handle, Order};

/// A listener of the configuration: its name, and its address there (port 0 stays port 0 here, and several may have it).
type Key = (Arc<str>, SocketAddr);

/// What is open.
#[derive(Debug)]
pub(super) struct Listeners {
    metrics: Arc<Metrics>,
    open: HashMap<Key, Open>,
    /// Ports that this process has had: its workers may not have closed all sockets there yet.
    had: HashSet<u16>,
}

#[derive(Debug)]
struct Open {
    settings: Settings,
    closed: CancellationToken,
}

/// What was bound and is not open yet: dropping it changes nothing.
#[derive(Debug)]
pub(super) struct Bound {
    new: Vec<(Key, ListenerRuntime, Vec<TcpListener>)>,
    kept: Vec<(Key, ListenerRuntime)>,
}

impl Bound {
    /// Where the listeners of the configuration are bound, those that stay open too.
    pub(super) fn addresses(&self) -> Vec<SocketAddr> {
        let new = self.new.iter().map(|(_, runtime, _)| runtime.address);
        let kept = self.kept.iter().map(|(_, runtime)| runtime.address);
        new.chain(kept).collect()
    }
}

/// What a listener is served by, or what is wrong with its certificates.
pub(super) fn runtime(
    listener: &config::Listener,
    address: SocketAddr,
) -> Result<ListenerRuntime, String> {
    let runtime = ListenerRuntime::new(listener.clone(), address);
    runtime.map_err(|error| format!("rustls does not take the certificates: {error}"))
}

/// What is said of an address that cannot be bound.
pub(super) fn cannot_listen(address: &impl Display, why: &impl Display) -> String {
    format!("cannot listen on {address}: {why}")
}

impl Listeners {
    /// Nothing open yet.
    pub(super) fn new(metrics: Arc<Metrics>) -> Self {
        Self {
            metrics,
            open: HashMap::new(),
            had: HashSet::new(),
        }
    }

    /// Binds what the configuration names and is not open.
    ///
    /// # Errors
    /// Every address that cannot be bound.
    pub(super) fn prepare(&self, config: &Config, workers: usize) -> Result<Bound, Vec<Fault>> {
        let mut bound = Bound {
            new: Vec::new(),
            kept: Vec::new(),
        };
        let mut faults = Vec::new();
        for (listener, place) in config.listeners.iter().zip(&config.listener_places) {
            let prepared = self.prepare_one(listener, workers, &mut bound);
            faults.extend(prepared.err().map(|message| place.fault(message)));
        }
        match faults.is_empty() {
            true => Ok(bound),
            false => Err(faults),
        }
    }

    fn prepare_one(
        &self,
        listener: &config::Listener,
        workers: usize,
        bound: &mut Bound,
    ) -> Result<(), String> {
        let name = &listener.name;
        let runtime = |address| {
            let runtime = runtime(listener, address)?;
            Ok::<_, String>(runtime.counted(self.metrics.listener(name)))
        };
        let key = (name.clone(), listener.address);
        if let Some(open) = self.open.get(&key) {
            let previous = open.settings.load();
            let runtime = runtime(previous.address)?.succeeding(&previous);
            bound.kept.push((key, runtime));
            return Ok(());
        }
        let beside = self.beside(listener.address, bound);
        let sockets = listener::bind(listener.address, workers, beside);
        let sockets = sockets.map_err(|error| cannot_listen(&listener.address, &error))?;
        let address = sockets[0].local_addr();
        let address = address.map_err(|error| cannot_listen(&listener.address, &error))?;
        bound.new.push((key, runtime(address)?, sockets));
        Ok(())
    }

    /// Who may be there already: a listener of this process that has another name or address on the same port.
    fn beside(&self, address: SocketAddr, bound: &Bound) -> Beside {
        let port = address.port();
        let same = |(_, runtime, _): &(Key, ListenerRuntime, _)| runtime.address.port() == port;
        match self.had.contains(&port) || bound.new.iter().any(same) {
            true => Beside::Others,
            false => Beside::Nobody,
        }
    }

    /// Opens what was bound, hands open listeners their new settings, and closes what is no longer named.
    pub(super) async fn open(&mut self, bound: Bound, workers: &[Handle]) {
        self.open.retain(|key, open| {
            let stays = bound.kept.iter().any(|(kept, _)| kept == key);
            if !stays {
                let (listener, address) = key;
                tracing::info!(%listener, %address, "closing");
                open.closed.cancel();
            }
            stays
        });
        for (key, settings) in bound.kept {
            if let Some(open) = self.open.get(&key) {
                let settings = Arc::new(settings);
                open.settings.swap(settings.clone()).retire(&settings);
            }
        }
        for (key, runtime, sockets) in bound.new {
            self.had.insert(runtime.address.port());
            let closed = CancellationToken::new();
            let address = runtime.address;
            let settings: Settings = Arc::new(ArcSwap::from_pointee(runtime));
            for (worker, socket) in workers.iter().zip(sockets) {
                let order = Order::Listen {
                    listener: settings.clone(),
                    socket,
                    closed: closed.clone(),
                };
                worker.order(order).await;
            }
            tracing::info!(listener = %key.0, %address, "listening");
            self.open.insert(key, Open { settings, closed });
        }
    }
}
