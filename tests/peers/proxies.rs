//! The gateway, nginx and HAProxy with one routing table, each before upstreams of its own.

use std::net::{SocketAddr, TcpListener};
use std::path::Path;

use super::outcome::Outcome;
use super::requests::Request;
use super::upstream::Upstreams;
use crate::harness::peer::Peer;
use crate::harness::{Gateway, raw};

/// Every route of the table.
pub(super) const ROUTES: &[&str] = &[
    "exact", "api", "v2", "orders", "image", "php", "old", "ws", "host", "wild", "rest",
];

/// One of the three, while it runs.
pub(super) struct Proxy {
    edge: SocketAddr,
    inner: SocketAddr,
    upstreams: Upstreams,
    _process: Process,
}

enum Process {
    Gateway {
        _gateway: Gateway,
    },
    Other {
        _peer: Peer,
        _directory: tempfile::TempDir,
    },
}

impl Proxy {
    pub(super) fn gateway() -> Self {
        let upstreams = Upstreams::start(ROUTES);
        let gateway = Gateway::start(&filled("gateway.toml", &upstreams, &[]));
        Self {
            edge: gateway.listener("edge"),
            inner: gateway.listener("inner"),
            upstreams,
            _process: Process::Gateway { _gateway: gateway },
        }
    }

    pub(super) fn nginx() -> Self {
        Self::start("nginx.conf", Peer::nginx)
    }

    pub(super) fn haproxy() -> Self {
        Self::start("haproxy.cfg", Peer::haproxy)
    }

    fn start(template: &str, peer: impl Fn(&Path, &[SocketAddr]) -> Peer) -> Self {
        let upstreams = Upstreams::start(ROUTES);
        let [edge, inner] = free_addresses();
        let own = [("edge", edge), ("inner", inner)];
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join(template);
        std::fs::write(&file, filled(template, &upstreams, &own)).unwrap();
        let _process = Process::Other {
            _peer: peer(&file, &[edge, inner]),
            _directory: directory,
        };
        Self {
            edge,
            inner,
            upstreams,
            _process,
        }
    }

    /// Sends each request on a connection of its own, one after the other: its answer, and what arrived upstream.
    pub(super) fn outcomes(&self, requests: &[Request]) -> Vec<Outcome> {
        let ask = |request: &Request| {
            let at = if request.inner { self.inner } else { self.edge };
            let answer = raw(at, &request.bytes);
            Outcome::new(answer.status, self.upstreams.take())
        };
        requests.iter().map(ask).collect()
    }
}

/// A configuration with the addresses in place.
fn filled(template: &str, upstreams: &Upstreams, own: &[(&str, SocketAddr)]) -> String {
    let text = std::fs::read_to_string(super::folder().join(template)).unwrap();
    let addresses = upstreams.addresses.iter().chain(own);
    addresses.fold(text, |text, (name, address)| {
        text.replace(&format!("@{name}@"), &address.to_string())
    })
}

/// Two addresses that are free, where no other test listens meanwhile: neither nginx nor HAProxy tells which port it
/// was given.
fn free_addresses() -> [SocketAddr; 2] {
    let listeners = [(); 2].map(|()| TcpListener::bind("127.0.0.3:0").unwrap());
    listeners.map(|listener| listener.local_addr().unwrap())
}
