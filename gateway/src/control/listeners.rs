//! The sockets of the configuration: bound by the control thread, one per worker, and kept over reloads.

use std::collections::HashMap;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use anyhow::Context as _;
use arc_swap::ArcSwap;
use tokio_util::sync::CancellationToken;

use crate::config::Config;
use crate::server::{ListenerRuntime, Settings, listener};
use crate::telemetry::metrics::Metrics;
use crate::worker::{Handle, Order};

/// What is open, by the address in the configuration (port 0 stays port 0 here).
#[derive(Debug)]
pub(super) struct Listeners {
    metrics: Arc<Metrics>,
    open: HashMap<SocketAddr, Open>,
}

#[derive(Debug)]
struct Open {
    name: Arc<str>,
    settings: Settings,
    closed: CancellationToken,
}

/// What was bound and is not open yet: dropping it changes nothing.
#[derive(Debug)]
pub(super) struct Bound {
    new: Vec<(SocketAddr, ListenerRuntime, Vec<TcpListener>)>,
    kept: Vec<(SocketAddr, ListenerRuntime)>,
}

impl Bound {
    /// Where the listeners of the configuration are bound, those that stay open too.
    pub(super) fn addresses(&self) -> Vec<SocketAddr> {
        let new = self.new.iter().map(|(_, runtime, _)| runtime.address);
        let kept = self.kept.iter().map(|(_, runtime)| runtime.address);
        new.chain(kept).collect()
    }
}

impl Listeners {
    /// Nothing open yet.
    pub(super) fn new(metrics: Arc<Metrics>) -> Self {
        Self {
            metrics,
            open: HashMap::new(),
        }
    }

    /// Binds what the configuration names and is not open.
    ///
    /// # Errors
    /// The first address that cannot be bound.
    pub(super) fn prepare(&self, config: &Config, workers: usize) -> anyhow::Result<Bound> {
        let mut bound = Bound {
            new: Vec::new(),
            kept: Vec::new(),
        };
        for listener in &config.listeners {
            let name = &listener.name;
            let runtime = |address| {
                ListenerRuntime::new(listener.clone(), address)
                    .map(|runtime| runtime.counted(self.metrics.listener(name)))
                    .with_context(|| {
                        format!("listener `{name}`: rustls does not take the certificates")
                    })
            };
            match self
                .open
                .get(&listener.address)
                .filter(|open| open.name == *name)
            {
                Some(open) => {
                    let previous = open.settings.load();
                    bound.kept.push((
                        listener.address,
                        runtime(previous.address)?.succeeding(&previous),
                    ));
                }
                None => {
                    let sockets = listener::bind(listener.address, workers).with_context(|| {
                        format!("listener `{name}`: cannot listen on {}", listener.address)
                    })?;
                    let address = sockets[0].local_addr()?;
                    bound
                        .new
                        .push((listener.address, runtime(address)?, sockets));
                }
            }
        }
        Ok(bound)
    }

    /// Opens what was bound, hands open listeners their new settings, and closes what is no longer named.
    pub(super) async fn open(&mut self, bound: Bound, workers: &[Handle]) {
        let stays = |address: &SocketAddr| bound.kept.iter().any(|(kept, _)| kept == address);
        self.open.retain(|address, open| {
            let stays = stays(address);
            if !stays {
                tracing::info!(listener = %open.name, %address, "closing");
                open.closed.cancel();
            }
            stays
        });
        for (address, settings) in bound.kept {
            if let Some(open) = self.open.get(&address) {
                let settings = Arc::new(settings);
                open.settings.swap(settings.clone()).retire(&settings);
            }
        }
        for (key, runtime, sockets) in bound.new {
            let closed = CancellationToken::new();
            let (name, address) = (runtime.config.name.clone(), runtime.address);
            let settings: Settings = Arc::new(ArcSwap::from_pointee(runtime));
            for (worker, socket) in workers.iter().zip(sockets) {
                let order = Order::Listen {
                    listener: settings.clone(),
                    socket,
                    closed: closed.clone(),
                };
                worker.order(order).await;
            }
            tracing::info!(listener = %name, %address, "listening");
            self.open.insert(
                key,
                Open {
                    name,
                    settings,
                    closed,
                },
            );
        }
    }
}
