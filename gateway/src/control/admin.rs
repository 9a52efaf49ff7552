//! The socket of the admin listener: bound before anything is built, served once the gateway runs.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Context as _;
use tokio::net::TcpSocket;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::gateway::Gateway;
use super::listeners::cannot_listen;
use crate::admin::{self, Listener};
use crate::config::ListenAddress;
use crate::net::unix;
use crate::server::listener;

/// Connections the kernel keeps for it.
const BACKLOG: u32 = 1024;

/// What was bound. Nothing connects to an address yet; who connects to a unix socket waits.
#[derive(Debug)]
pub(super) enum Socket {
    Ip(TcpSocket),
    Unix(unix::Bound),
}

impl Socket {
    /// Binds an address.
    ///
    /// # Errors
    /// What is said of one that cannot be bound.
    pub(super) fn bind(address: &ListenAddress) -> Result<Self, String> {
        match address {
            ListenAddress::Ip(ip) => {
                let bound = bind_ip(*ip).map_err(listener::told);
                bound
                    .map(Self::Ip)
                    .map_err(|error| cannot_listen(ip, &error))
            }
            ListenAddress::Unix(at) => {
                let bound = unix::bind(&at.path, at.mode);
                bound
                    .map(Self::Unix)
                    .map_err(|error| cannot_listen(address, &error))
            }
        }
    }

    /// Serves until `stop`.
    pub(super) fn serve(
        self,
        gateway: Arc<Gateway>,
        stop: CancellationToken,
    ) -> anyhow::Result<JoinHandle<()>> {
        let listener = match self {
            Self::Ip(socket) => {
                let listener = socket.listen(BACKLOG).context("admin.address")?;
                tracing::info!(address = %listener.local_addr()?, "admin listening");
                Listener::tcp(listener)
            }
            Self::Unix(bound) => {
                tracing::info!(address = %bound, "admin listening");
                Listener::unix(bound).context("admin.address")?
            }
        };
        let serving = admin::serve(listener, gateway, stop);
        Ok(tokio::spawn(serving))
    }
}

fn bind_ip(address: SocketAddr) -> std::io::Result<TcpSocket> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4(),
        SocketAddr::V6(_) => TcpSocket::new_v6(),
    }?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    Ok(socket)
}
