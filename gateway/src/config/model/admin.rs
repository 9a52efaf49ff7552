//! `[admin]`.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;

use crate::config::units::Secret;

/// `[admin]`.
#[derive(Debug, Clone)]
pub struct Admin {
    /// Where it listens.
    pub address: AdminAddress,
    /// What `Authorization: Bearer` must carry for everything, if set.
    pub token: Option<Secret>,
    /// What it may carry instead for what changes nothing, if set; another one than `token`.
    pub read_token: Option<Secret>,
}

/// `admin.address`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AdminAddress {
    /// Loopback, unless there is a token.
    Ip(SocketAddr),
    /// A unix socket; where others than its owner and group may connect, there is a token.
    Unix(UnixSocket),
}

/// A unix socket that is listened on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnixSocket {
    /// Where its file is: absolute, and no longer than the kernel takes.
    pub path: PathBuf,
    /// The permissions of the file (0600).
    pub mode: u32,
}

impl AdminAddress {
    /// The address and the port, where it has them.
    pub fn ip(&self) -> Option<SocketAddr> {
        match self {
            Self::Ip(address) => Some(*address),
            Self::Unix(_) => None,
        }
    }
}

impl fmt::Display for AdminAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(address) => address.fmt(f),
            Self::Unix(socket) => write!(f, "unix:{}", socket.path.display()),
        }
    }
}
