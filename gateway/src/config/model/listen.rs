//! Where something listens.

use std::fmt;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use crate::message::target::Target;

/// `listeners.address`, `admin.address`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ListenAddress {
    /// An address and a port; port 0 takes a free one.
    Ip(SocketAddr),
    /// A unix socket.
    Unix(UnixSocket),
}

/// A unix socket that is listened on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnixSocket {
    /// Where its file is: absolute, and no longer than the kernel takes.
    pub path: Arc<Path>,
    /// The same without symbolic links and `..` on the way, as far as that is there: one socket has one, however its path
    /// is written.
    pub place: Arc<Path>,
    /// The permissions of the file (0600).
    pub mode: u32,
}

impl ListenAddress {
    /// The address and the port, where it has them.
    pub fn ip(&self) -> Option<SocketAddr> {
        match self {
            Self::Ip(address) => Some(*address),
            Self::Unix(_) => None,
        }
    }

    /// The socket, where it is one.
    pub fn unix(&self) -> Option<&UnixSocket> {
        match self {
            Self::Ip(_) => None,
            Self::Unix(socket) => Some(socket),
        }
    }

    /// What no other listener has.
    pub fn place(&self) -> Target {
        match self {
            Self::Ip(address) => Target::Tcp(*address),
            Self::Unix(socket) => Target::Unix(socket.place.clone()),
        }
    }

    /// What a peer connects to.
    pub fn target(&self) -> Target {
        match self {
            Self::Ip(address) => Target::Tcp(*address),
            Self::Unix(socket) => Target::Unix(socket.path.clone()),
        }
    }
}

impl From<SocketAddr> for ListenAddress {
    fn from(address: SocketAddr) -> Self {
        Self::Ip(address)
    }
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(address) => address.fmt(f),
            Self::Unix(socket) => write!(f, "unix:{}", socket.path.display()),
        }
    }
}
