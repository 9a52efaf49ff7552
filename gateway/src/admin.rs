//! The admin listener: health, metrics, what is in force, and reloading, over HTTP/1.1.
//!
//! It runs on the control thread and never touches a worker. `guard` decides who may ask, `routes` answers.

mod control;
mod crowd;
mod guard;
mod impatient;
mod routes;
#[cfg(test)]
mod tests;

use std::convert::Infallible;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crowd::{Crowd, Seat};
use guard::{Guard, Way};
use impatient::Impatient;

use crate::net::{self, Socket, unix};

pub use control::{Control, Missing, Turn};
pub use guard::Tokens;

/// Connections at a time; for one more, another makes way.
const CONNECTIONS: usize = 64;

/// How long a request head may take, and how long a connection may be idle.
const HEAD: Duration = Duration::from_secs(10);

/// How long a client may take nothing of its answers.
const UNREAD: Duration = Duration::from_secs(10);

/// How long answers that are under way may take once the listener stops.
const GRACE: Duration = Duration::from_secs(5);

/// The pause after a failed accept, which is mostly a lack of file descriptors.
const PAUSE: Duration = Duration::from_millis(100);

/// Where it listens.
#[derive(Debug)]
pub struct Listener {
    /// The file of a unix socket: it is removed before the socket is closed.
    _file: Option<unix::Bound>,
    socket: net::Listener,
}

impl Listener {
    /// At an address and a port.
    pub fn tcp(socket: TcpListener) -> Self {
        Self {
            _file: None,
            socket: net::Listener::Tcp(socket),
        }
    }

    /// Of a unix socket that was bound.
    ///
    /// # Errors
    /// If the runtime does not take it.
    pub fn unix(bound: unix::Bound) -> io::Result<Self> {
        let socket = bound.listener()?.attach()?;
        let file = Some(bound);
        Ok(Self {
            _file: file,
            socket,
        })
    }

    fn way(&self) -> Way {
        match self.socket {
            net::Listener::Tcp(_) => Way::Ip,
            net::Listener::Unix(_) => Way::Unix,
        }
    }
}

/// Serves until `stop`, then lets the answers under way finish for a few seconds.
pub async fn serve<C: Control>(listener: Listener, control: Arc<C>, stop: CancellationToken) {
    let mut crowd = Crowd::new(CONNECTIONS);
    let connections = TaskTracker::new();
    let serving = async {
        loop {
            match listener.socket.accept().await {
                Ok((stream, _peer)) => {
                    let (seat, made_way) = crowd.enter();
                    if made_way {
                        tracing::debug!(most = CONNECTIONS, "admin: a connection makes way");
                    }
                    let way = listener.way();
                    let connection = connection(stream, way, seat, control.clone(), stop.clone());
                    connections.spawn(connection);
                }
                Err(error) => {
                    tracing::warn!(%error, "admin: cannot accept a connection");
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    };
    tokio::select! {
        () = serving => {}
        () = stop.cancelled() => {}
    }
    drop(listener);
    connections.close();
    if tokio::time::timeout(GRACE, connections.wait())
        .await
        .is_err()
    {
        tracing::warn!(
            open = connections.len(),
            "admin: connections still open after the grace period"
        );
    }
}

async fn connection<C: Control>(
    stream: Socket,
    way: Way,
    seat: Arc<Seat>,
    control: Arc<C>,
    stop: CancellationToken,
) {
    let service = service_fn(|request: Request<Incoming>| {
        let (control, seat) = (control.clone(), &seat);
        async move {
            let _answering = seat.answering();
            // For each request: a token that a reload took away is worth nothing on an open connection either.
            let guard = Guard::new(&control.tokens(), way);
            Ok::<_, Infallible>(routes::answer(request, &guard, control).await)
        }
    });
    let mut http = pin!(
        http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD)
            .serve_connection(TokioIo::new(Impatient::new(stream, UNREAD)), service)
    );
    let done = tokio::select! {
        done = http.as_mut() => done,
        () = stop.cancelled() => {
            http.as_mut().graceful_shutdown();
            tokio::select! {
                done = http.as_mut() => done,
                () = seat.gone.cancelled() => return,
            }
        }
        () = seat.gone.cancelled() => return,
    };
    if let Err(error) = done {
        tracing::debug!(%error, "admin: a connection failed");
    }
}
