//! Sockets: one per worker, and accepting on them.
//!
//! At an address and a port each worker has a queue of its own, between which the kernel shares connections
//! (`SO_REUSEPORT`). A unix socket has one queue, and each worker its own descriptor of it: who has time accepts.
//!
//! At the limit of connections a worker stops accepting (as HAProxy does, instead of resetting newcomers): one
//! accepted connection per worker waits until another closes, the rest wait in the kernel's queue. A drain takes them
//! all and serves each as others close, for as long as the grace lasts.

use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};

use super::drain::{Drain, Open};
use super::handler::Handler;
use super::runtime::{Admission, ListenerRuntime, Settings};
use super::serve;
use crate::message::peer::Peer;
use crate::net::{self, DetachedListener, unix};

/// How long to wait after the process ran out of descriptors: doubled up to the second figure.
const BACK_OFF: (Duration, Duration) = (Duration::from_millis(5), Duration::from_secs(1));

/// Who may listen at an address beside the first socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Beside {
    /// Nobody: another process there is found, and its clients come to no harm.
    Nobody,
    /// Who did so before: this process.
    Others,
}

/// What a worker accepts on.
#[derive(Debug)]
pub struct Listening {
    socket: DetachedListener,
    /// The file of a unix socket, which goes once no worker listens for it.
    file: Option<Arc<unix::Bound>>,
}

/// Has every worker accept on a unix socket.
///
/// # Errors
/// If the process has no descriptors for them.
pub fn share(bound: &Arc<unix::Bound>, workers: usize) -> io::Result<Vec<Listening>> {
    let one = |_| {
        let (socket, file) = (bound.listener()?, Some(bound.clone()));
        Ok(Listening { socket, file })
    };
    (0..workers).map(one).collect()
}

/// Binds `workers` sockets to one address, and says which. With port 0 the first picks the port and the others share it.
///
/// # Errors
/// What the kernel says: the address in use, or not ours, or no right to it.
pub fn bind(
    address: SocketAddr,
    workers: usize,
    beside: Beside,
) -> io::Result<(SocketAddr, Vec<Listening>)> {
    let first = bind_one(address, beside).map_err(told)?;
    let address = first.local_addr()?;
    let mut sockets = vec![first];
    for _ in 1..workers {
        sockets.push(bind_one(address, Beside::Others).map_err(told)?);
    }
    let listening = |socket| Listening {
        socket: DetachedListener::Tcp(socket),
        file: None,
    };
    Ok((address, sockets.into_iter().map(listening).collect()))
}

/// Whether one socket could listen at an address. It is bound for a moment, and no client can connect to it.
///
/// # Errors
/// As [`bind`].
pub fn try_bind(address: SocketAddr) -> io::Result<()> {
    let bound = socket(address).and_then(|socket| socket.bind(&address.into()));
    bound.map_err(told)
}

/// What is said of an address that cannot be had, with the remedy.
pub fn told(error: io::Error) -> io::Error {
    let remedy = match error.kind() {
        io::ErrorKind::AddrInUse => "another process listens there; end it or choose another port",
        io::ErrorKind::AddrNotAvailable => {
            "no interface of this machine has the address; write one that it has, or 0.0.0.0 or [::] for all"
        }
        io::ErrorKind::PermissionDenied => {
            "this user may not listen there; choose a port from 1024 on, or grant CAP_NET_BIND_SERVICE"
        }
        _ => return error,
    };
    io::Error::new(error.kind(), format!("{remedy} ({error})"))
}

fn socket(address: SocketAddr) -> io::Result<Socket> {
    let domain = Domain::for_address(address);
    let socket = Socket::new(domain, Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    Ok(socket)
}

fn bind_one(address: SocketAddr, beside: Beside) -> io::Result<std::net::TcpListener> {
    let socket = socket(address)?;
    socket.set_reuse_port(beside == Beside::Others)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(net::BACKLOG)?;
    // The kernel asks this of a socket when another wants to join it.
    socket.set_reuse_port(true)?;
    Ok(socket.into())
}

/// Accepts until the drain begins, then takes what is still in the kernel's queue and closes the socket. The file of a unix
/// socket goes between the two: who connects is served, or finds nothing to connect to.
/// Runs on a local runtime, where each connection becomes a task.
///
/// # Errors
/// When the socket cannot be registered with the runtime.
pub async fn accept_loop<H: Handler>(
    listening: Listening,
    settings: Settings,
    drain: Rc<Drain>,
    handler: H,
) -> io::Result<()> {
    let mut acceptor = Acceptor {
        settings,
        drain,
        handler,
        back_off: BACK_OFF.0,
    };
    let accepted = acceptor.run(listening).await;
    acceptor.drain.stopped();
    accepted
}

struct Acceptor<H> {
    settings: Settings,
    drain: Rc<Drain>,
    handler: H,
    back_off: Duration,
}

impl<H: Handler> Acceptor<H> {
    async fn run(&mut self, Listening { socket, file }: Listening) -> io::Result<()> {
        let socket = socket.attach()?;
        let drain = self.drain.clone();
        loop {
            let accepted = tokio::select! {
                biased;
                () = drain.begun() => break,
                accepted = socket.accept() => accepted,
            };
            match accepted {
                Ok((stream, peer)) => {
                    self.back_off = BACK_OFF.0;
                    self.admit(stream, peer).await;
                }
                Err(error) if is_of_one_connection(&error) => {}
                Err(error) => self.wait(&error).await,
            }
        }
        drop(file);
        // Straight from the socket: the runtime may not have seen the newest connections yet. No more than fit
        // into the queue, so that a flood cannot keep the socket open.
        let socket = socket.detach()?;
        for _ in 0..=net::BACKLOG {
            match socket.accept_waiting() {
                Ok((stream, peer)) => self.serve_later(stream.attach()?, peer, self.drain.enter()),
                Err(error) if is_of_one_connection(&error) => {}
                Err(_) => break,
            }
        }
        Ok(())
    }

    /// Serves the connection as soon as the limit admits it, and accepts no other before.
    async fn admit(&self, stream: net::Socket, peer: Peer) {
        let open = self.drain.enter();
        let found = tokio::select! {
            biased;
            found = admission(&self.settings) => Some(found),
            () = self.drain.begun() => None,
        };
        let Some((admission, listener)) = found else {
            return self.serve_later(stream, peer, open);
        };
        let handler = self.handler.clone();
        tokio::task::spawn_local(serve::accept(
            stream, peer, admission, open, listener, handler,
        ));
    }

    /// Serves a connection that came before the drain: it waits for admission beside all others that did.
    fn serve_later(&self, stream: net::Socket, peer: Peer, open: Open) {
        let (settings, handler) = (self.settings.clone(), self.handler.clone());
        let drain = self.drain.clone();
        tokio::task::spawn_local(async move {
            tokio::select! {
                (admission, listener) = admission(&settings) => {
                    serve::accept(stream, peer, admission, open, listener, handler).await;
                }
                () = drain.ended() => {}
            }
        });
    }

    /// The process has run out of something, mostly of descriptors: accepting at once would fail again.
    async fn wait(&mut self, error: &io::Error) {
        tracing::warn!(listener = %self.settings.load().config.name, %error, "cannot accept; waiting");
        tokio::select! {
            () = tokio::time::sleep(self.back_off) => {}
            () = self.drain.begun() => {}
        }
        self.back_off = (self.back_off * 2).min(BACK_OFF.1);
    }
}

/// Waits until the listener may have one more connection, under the limit in force.
async fn admission(settings: &Settings) -> (Admission, Arc<ListenerRuntime>) {
    // A listener keeps its seats over reloads; whatever else one changed meanwhile counts for this connection.
    let before = settings.load_full();
    let seat = match before.seats.try_take() {
        Some(seat) => seat,
        None => {
            before.tell_full();
            before.seats.take().await
        }
    };
    let listener = settings.load_full();
    (listener.admit(seat), listener)
}

/// Errors of `accept` that concern the one connection and say nothing about the socket (accept(2), "Error
/// handling").
fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::Interrupted
            | io::ErrorKind::NetworkDown
            | io::ErrorKind::HostUnreachable
            | io::ErrorKind::NetworkUnreachable
    )
}

#[cfg(test)]
mod tests {

    use http_body_util::Empty;
    use tokio_util::sync::CancellationToken;

    use super::*;
    use crate::server::tests::limits;

    #[tokio::test]
    async fn a_drain_cuts_the_wait_for_descriptors_short() {
        let address: SocketAddr = "127.0.0.1:0".parse().unwrap();
        let config = crate::config::Listener {
            name: "test".into(),
            address: address.into(),
            h1: true,
            h2: false,
            proxy_protocol: None,
            trusted_proxies: Default::default(),
            client_from: Default::default(),
            via: None,
            half_close: Default::default(),
            unusual_names: Default::default(),
            tls: None,
            limits: limits(),
        };
        let runtime = ListenerRuntime::new(config, address.into()).unwrap();
        let local = tokio::task::LocalSet::new();
        local
            .run_until(async {
                let begun = CancellationToken::new();
                let mut acceptor = Acceptor {
                    settings: Arc::new(arc_swap::ArcSwap::from_pointee(runtime)),
                    drain: Drain::new(begun.clone(), CancellationToken::new()),
                    handler: |_, _, _| async { http::Response::new(Empty::<bytes::Bytes>::new()) },
                    back_off: Duration::from_secs(3600),
                };
                begun.cancel();
                acceptor.wait(&io::Error::other("no descriptors")).await;
            })
            .await;
    }
}
