//! The sockets of the configuration: bound by the control thread, one per worker, and kept over reloads.
//!
//! A unix socket belongs to its path: a listener of another name takes it over as it is, with what waits to be accepted.
//! Its file is the workers', who have it removed as the last of them ends: here it is only known.

use std::collections::{HashMap, HashSet};
use std::fmt::Display;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Weak};

use arc_swap::ArcSwap;
use tokio_util::sync::CancellationToken;

use crate::config::{self, Config, Fault, ListenAddress, Spot, UnixSocket};
use crate::message::target::Target;
use crate::net::unix;
use crate::server::listener::{self, Beside, Listening};
use crate::server::{ListenerRuntime, Settings};
use crate::telemetry::metrics::Metrics;
use crate::worker::{Handle, Order};

/// A listener of the configuration: its name, and where it is (port 0 stays port 0 here, and several may have it).
type Key = (Arc<str>, Target);

/// What is open.
#[derive(Debug)]
pub(super) struct Listeners {
    metrics: Arc<Metrics>,
    open: HashMap<Key, Open>,
    /// Ports that this process has had: its workers may not have closed all sockets there yet.
    had: HashSet<u16>,
    /// Unix sockets by their places, each as long as a worker has it.
    unix: HashMap<Arc<Path>, Weak<unix::Bound>>,
}

#[derive(Debug)]
struct Open {
    settings: Settings,
    closed: CancellationToken,
}

/// A listener that was bound.
#[derive(Debug)]
struct New {
    key: Key,
    runtime: ListenerRuntime,
    place: Spot,
    sockets: Vec<Listening>,
    unix: Option<Arc<unix::Bound>>,
}

/// What was bound and is not open yet: dropping it changes nothing.
#[derive(Debug)]
pub(super) struct Bound {
    new: Vec<New>,
    kept: Vec<(Key, ListenerRuntime, Spot)>,
}

impl Bound {
    /// Where the listeners of the configuration are bound, those that stay open too.
    pub(super) fn addresses(&self) -> Vec<Target> {
        let new = self.new.iter().map(|new| new.runtime.address.clone());
        let kept = self.kept.iter();
        let kept = kept.map(|(_, runtime, _)| runtime.address.clone());
        new.chain(kept).collect()
    }
}

/// What a listener is served by, or what is wrong with its certificates.
pub(super) fn runtime(
    listener: &config::Listener,
    address: Target,
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
            unix: HashMap::new(),
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
            let prepared = self.prepare_one(listener, place, workers, &mut bound);
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
        place: &Spot,
        workers: usize,
        bound: &mut Bound,
    ) -> Result<(), String> {
        let name = &listener.name;
        let runtime = |address| {
            let runtime = runtime(listener, address)?;
            Ok::<_, String>(runtime.counted(self.metrics.listener(name)))
        };
        let key = (name.clone(), listener.address.place());
        if let Some(open) = self.open.get(&key) {
            let previous = open.settings.load();
            let runtime = runtime(previous.address.clone())?.succeeding(&previous);
            bound.kept.push((key, runtime, place.clone()));
            return Ok(());
        }
        let cannot = |why: &dyn Display| cannot_listen(&listener.address, &why);
        let (address, sockets, unix) = match &listener.address {
            ListenAddress::Ip(address) => {
                let sockets = listener::bind(*address, workers, self.beside(*address, bound));
                let (address, sockets) = sockets.map_err(|error| cannot(&error))?;
                (Target::Tcp(address), sockets, None)
            }
            ListenAddress::Unix(at) => {
                let unix = self.at(at).map_err(|error| cannot(&error))?;
                let sockets = listener::share(&unix, workers).map_err(|error| cannot(&error))?;
                (listener.address.target(), sockets, Some(unix))
            }
        };
        bound.new.push(New {
            key,
            runtime: runtime(address)?,
            place: place.clone(),
            sockets,
            unix,
        });
        Ok(())
    }

    /// The socket at a path: the one that workers have, for a listener of whatever name, or one that is bound now.
    fn at(&self, at: &UnixSocket) -> Result<Arc<unix::Bound>, unix::Unavailable> {
        match self.unix.get(&at.place).and_then(Weak::upgrade) {
            Some(bound) => Ok(bound),
            None => unix::bind(&at.path, at.mode).map(Arc::new),
        }
    }

    /// Gives a unix socket the permissions that its listener has by now; what is said where it has not.
    fn permit(&self, runtime: &ListenerRuntime, place: &Spot) -> Option<Fault> {
        let at = runtime.config.address.unix()?;
        let bound = self.unix.get(&at.place).and_then(Weak::upgrade)?;
        let why = bound.set_mode(at.mode).err()?;
        Some(place.fault(why.to_string()))
    }

    /// Who may be there already: a listener of this process that has another name or address on the same port.
    fn beside(&self, address: SocketAddr, bound: &Bound) -> Beside {
        let port = address.port();
        let same = |new: &New| {
            new.runtime
                .address
                .tcp()
                .is_some_and(|tcp| tcp.port() == port)
        };
        match self.had.contains(&port) || bound.new.iter().any(same) {
            true => Beside::Others,
            false => Beside::Nobody,
        }
    }

    /// Opens what was bound, hands open listeners their new settings, and closes what is no longer named. What an operator
    /// should look at.
    pub(super) async fn open(&mut self, bound: Bound, workers: &[Handle]) -> Vec<Fault> {
        let mut warnings = Vec::new();
        self.open.retain(|key, open| {
            let stays = bound.kept.iter().any(|(kept, ..)| kept == key);
            if !stays {
                let (listener, address) = key;
                tracing::info!(%listener, %address, "closing");
                open.closed.cancel();
            }
            stays
        });
        for (key, settings, place) in bound.kept {
            if let Some(open) = self.open.get(&key) {
                warnings.extend(self.permit(&settings, &place));
                let settings = Arc::new(settings);
                open.settings.swap(settings.clone()).retire(&settings);
            }
        }
        for new in bound.new {
            let New {
                key,
                runtime,
                place,
                sockets,
                unix,
            } = new;
            self.had.extend(runtime.address.tcp().map(|tcp| tcp.port()));
            if let (Some(unix), Target::Unix(at)) = (&unix, &key.1) {
                self.unix.insert(at.clone(), Arc::downgrade(unix));
            }
            warnings.extend(self.permit(&runtime, &place));
            let closed = CancellationToken::new();
            let address = runtime.address.clone();
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
        self.unix.retain(|_, bound| bound.strong_count() > 0);
        for warning in &warnings {
            tracing::warn!("{warning}");
        }
        warnings
    }
}
