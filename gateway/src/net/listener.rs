//! A socket that listens: at an address and a port, or on a path of this host.

use std::io;
use std::os::unix::net;

use tokio::net::{TcpListener, UnixListener};

use super::socket::{Detached, Socket};
use crate::message::peer::Peer;

/// A socket that listens, of which the event loop of its thread hears.
#[derive(Debug)]
pub enum Listener {
    /// Of TCP.
    Tcp(TcpListener),
    /// Of this host.
    Unix(UnixListener),
}

/// A socket that listens, and that no event loop has.
#[derive(Debug)]
pub enum DetachedListener {
    /// Of TCP.
    Tcp(std::net::TcpListener),
    /// Of this host.
    Unix(net::UnixListener),
}

impl Listener {
    /// Waits for a connection.
    ///
    /// # Errors
    /// What the kernel says of one connection, or of the socket (accept(2)).
    pub async fn accept(&self) -> io::Result<(Socket, Peer)> {
        match self {
            Self::Tcp(listener) => {
                let (stream, peer) = listener.accept().await?;
                Ok((stream.into(), peer.into()))
            }
            Self::Unix(listener) => {
                let (stream, _unnamed) = listener.accept().await?;
                Ok((stream.into(), Peer::Unix))
            }
        }
    }

    /// Takes it from its event loop.
    ///
    /// # Errors
    /// If the event loop does not let it go.
    pub fn detach(self) -> io::Result<DetachedListener> {
        match self {
            Self::Tcp(listener) => listener.into_std().map(DetachedListener::Tcp),
            Self::Unix(listener) => listener.into_std().map(DetachedListener::Unix),
        }
    }
}

impl DetachedListener {
    /// Has the event loop of this thread hear of it.
    ///
    /// # Errors
    /// If it cannot.
    pub fn attach(self) -> io::Result<Listener> {
        match self {
            Self::Tcp(listener) => TcpListener::from_std(listener).map(Listener::Tcp),
            Self::Unix(listener) => UnixListener::from_std(listener).map(Listener::Unix),
        }
    }

    /// Takes a connection that waits already.
    ///
    /// # Errors
    /// [`WouldBlock`](io::ErrorKind::WouldBlock) where none does, or those of [`Listener::accept`].
    pub fn accept_waiting(&self) -> io::Result<(Detached, Peer)> {
        let (stream, peer) = match self {
            Self::Tcp(listener) => {
                let (stream, peer) = listener.accept()?;
                stream.set_nonblocking(true)?;
                (Detached::Tcp(stream), peer.into())
            }
            Self::Unix(listener) => {
                let (stream, _unnamed) = listener.accept()?;
                stream.set_nonblocking(true)?;
                (Detached::Unix(stream), Peer::Unix)
            }
        };
        Ok((stream, peer))
    }
}
