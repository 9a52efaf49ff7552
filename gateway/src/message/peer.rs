//! Who is at the other end of a connection, as far as its socket tells.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use ipnet::IpNet;
use serde::{Serialize, Serializer};

/// What stands for the address of a peer that has none, in logs, configurations and to plugins.
pub const UNIX: &str = "unix:";

/// The other end of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Peer {
    /// Of TCP.
    Tcp(SocketAddr),
    /// A process of this host, over a unix socket.
    Unix,
}

/// Where a client is. It is in no network where its socket tells no address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Address {
    /// At an IP address.
    Ip(IpAddr),
    /// On this host, over a unix socket.
    Unix,
}

/// Proxies that are believed about who asks.
#[derive(Debug, Clone, Default)]
pub struct Proxies {
    /// Those in these networks.
    pub networks: Vec<IpNet>,
    /// Those that connect to a unix socket.
    pub unix: bool,
}

impl Peer {
    /// Without its port.
    pub fn address(self) -> Address {
        match self {
            Self::Tcp(address) => Address::Ip(address.ip()),
            Self::Unix => Address::Unix,
        }
    }
}

impl Address {
    /// The IP address, if it has one.
    pub fn ip(self) -> Option<IpAddr> {
        match self {
            Self::Ip(ip) => Some(ip),
            Self::Unix => None,
        }
    }

    /// An IPv4 address inside IPv6 as itself.
    #[must_use]
    pub fn to_canonical(self) -> Self {
        match self {
            Self::Ip(ip) => Self::Ip(ip.to_canonical()),
            Self::Unix => Self::Unix,
        }
    }
}

impl Proxies {
    /// Whether none is believed.
    pub fn is_empty(&self) -> bool {
        self.networks.is_empty() && !self.unix
    }

    /// Whether one at this address is.
    pub fn has(&self, address: Address) -> bool {
        match address {
            Address::Ip(ip) => self.networks.iter().any(|net| net.contains(&ip)),
            Address::Unix => self.unix,
        }
    }
}

impl From<SocketAddr> for Peer {
    fn from(address: SocketAddr) -> Self {
        Self::Tcp(address)
    }
}

impl From<IpAddr> for Address {
    fn from(ip: IpAddr) -> Self {
        Self::Ip(ip)
    }
}

impl From<Vec<IpNet>> for Proxies {
    fn from(networks: Vec<IpNet>) -> Self {
        let unix = false;
        Self { networks, unix }
    }
}

/// An IP address, or [`UNIX`].
impl FromStr for Address {
    type Err = std::net::AddrParseError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            UNIX => Ok(Self::Unix),
            text => text.parse().map(Self::Ip),
        }
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix => f.pad(UNIX),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(ip) => ip.fmt(f),
            Self::Unix => f.pad(UNIX),
        }
    }
}

impl Serialize for Address {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}
