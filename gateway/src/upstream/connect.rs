//! Streams to endpoints: the one place that opens them, whatever they are for.

mod unix;

use std::io;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;

use rustix::io::Errno;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::endpoint::Endpoint;
use super::error::SendError;
use super::group::Upstream;
use super::times::Times;
use super::tls::Unshaken;
use crate::config::Protocol;
use crate::message::error::ErrorKind;
use crate::message::target::Target;
use crate::net::{Socket, Stream};

/// Why there is no stream.
enum Failed {
    /// No connection.
    Connect(io::Error),
    /// No TLS over it.
    Tls(String),
}

impl From<Unshaken> for Failed {
    fn from(unshaken: Unshaken) -> Self {
        let (Unshaken::Outdated(why) | Unshaken::Refused(why)) = unshaken;
        Self::Tls(why)
    }
}

impl From<io::Error> for Failed {
    fn from(error: io::Error) -> Self {
        Self::Connect(error)
    }
}

/// Opens a stream to an endpoint for what its upstream speaks, over TLS where it has TLS, within `timeouts.connect`,
/// and before the attempt or the exchange is over. An attempt that ends meanwhile has found no connection in time.
pub(super) async fn connect(
    upstream: &Upstream,
    endpoint: &Endpoint,
    times: Times<'_>,
) -> Result<Stream, SendError> {
    let protocol = upstream.config.protocol;
    connect_to(&endpoint.target, protocol, upstream, endpoint, times).await
}

/// The same to where else the endpoint listens, for this protocol.
pub(super) async fn connect_to(
    target: &Target,
    protocol: Protocol,
    upstream: &Upstream,
    endpoint: &Endpoint,
    times: Times<'_>,
) -> Result<Stream, SendError> {
    let limit = times.connect(&upstream.config);
    let end = times.end();
    let left = end.map(|end| end.at.saturating_duration_since(Instant::now()));
    let is_late = left.is_some_and(|left| left < limit)
        && end.is_some_and(|end| end.kind == ErrorKind::Deadline);
    let limit = left.map_or(limit, |left| left.min(limit));
    let shakes_hands = AtomicBool::new(false);
    let opening = async {
        let socket = socket_to(target).await?;
        let Some(tls) = &upstream.tls else {
            return Ok(Stream::Plain(socket));
        };
        shakes_hands.store(true, Relaxed);
        let shaken = match tls.shake_hands(socket, endpoint, protocol).await {
            // Its session is forgotten: a whole handshake says what the endpoint is now.
            Err(Unshaken::Outdated(_)) => {
                let socket = socket_to(target).await?;
                tls.shake_hands(socket, endpoint, protocol).await
            }
            shaken => shaken,
        };
        let stream = shaken?;
        Ok(Stream::Tls(Box::new(stream.into())))
    };
    let (kind, why) = match timeout(limit, opening).await {
        Ok(Ok(stream)) => return Ok(stream),
        Ok(Err(Failed::Tls(why))) => (ErrorKind::Tls, format!("{target}: {why}")),
        // The kernel too gives up after a while.
        Ok(Err(Failed::Connect(error))) if error.kind() == io::ErrorKind::TimedOut => {
            (ErrorKind::ConnectTimeout, format!("{target}: {error}"))
        }
        Ok(Err(Failed::Connect(error))) if is_ours(&error) => {
            let why = format!(
                "{target}: {error}, which is no fault of the endpoint; raise what this process may have"
            );
            return Err(SendError::new(ErrorKind::Connect, why).blameless());
        }
        Ok(Err(Failed::Connect(error))) => {
            let why = match target {
                Target::Tcp(_) => error.to_string(),
                Target::Unix(path) => unix::explain(path, &error),
            };
            (ErrorKind::Connect, format!("{target}: {why}"))
        }
        Err(_) => {
            let kind = match is_late {
                true => ErrorKind::Deadline,
                false => ErrorKind::ConnectTimeout,
            };
            let what = match (shakes_hands.load(Relaxed), target) {
                (true, _) => "the TLS handshake was not over",
                (false, Target::Tcp(_)) => "no connection",
                (false, Target::Unix(_)) => {
                    "the queue of the socket is full, and none of it was accepted"
                }
            };
            (kind, format!("{target}: {what} within {limit:?}"))
        }
    };
    Err(SendError::new(kind, why))
}

/// Whether it is this process that lacks something: descriptors, or memory of the kernel (connect(2), socket(2)).
fn is_ours(error: &io::Error) -> bool {
    let errno = Errno::from_io_error(error);
    errno.is_some_and(|errno| {
        let lacking = [Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::NOMEM];
        lacking.contains(&errno)
    })
}

/// A connection of the kind that the target has.
async fn socket_to(target: &Target) -> io::Result<Socket> {
    match target {
        Target::Tcp(address) => {
            let tcp = TcpStream::connect(address).await?;
            tcp.set_nodelay(true)?;
            Ok(tcp.into())
        }
        Target::Unix(path) => unix::connect(path).await.map(Socket::from),
    }
}
