//! Sockets: binding one per worker, and accepting on them.
//!
//! At the limit of connections a worker stops accepting (as HAProxy does, instead of resetting newcomers): one
//! accepted connection per worker waits for a free place, the rest wait in the kernel's queue.

use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, TcpStream};

use super::connection::{self, Handler};
use super::drain::Drain;
use super::{ListenerRuntime, Place, Settings};

/// Connections the kernel keeps for each socket before they are accepted.
const BACKLOG: i32 = 1024;

/// How long to wait after the process ran out of descriptors: doubled up to the second figure.
const BACK_OFF: (Duration, Duration) = (Duration::from_millis(5), Duration::from_secs(1));

/// Binds `workers` sockets to one address. With port 0 the first picks the port and the others share it.
///
/// # Errors
/// What the kernel says: the address in use, or not ours, or no right to it.
pub fn bind(address: SocketAddr, workers: usize) -> io::Result<Vec<std::net::TcpListener>> {
    let first = bind_one(address)?;
    let address = first.local_addr()?;
    let mut sockets = vec![first];
    for _ in 1..workers {
        sockets.push(bind_one(address)?);
    }
    Ok(sockets)
}

fn bind_one(address: SocketAddr) -> io::Result<std::net::TcpListener> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Accepts until the drain begins, then takes what is still in the kernel's queue and closes the socket.
/// Runs on a `LocalSet`, where each connection becomes a task.
///
/// # Errors
/// When the socket cannot be registered with the runtime.
pub async fn accept_loop<H: Handler>(
    socket: std::net::TcpListener,
    settings: Settings,
    drain: Rc<Drain>,
    handler: H,
) -> io::Result<()> {
    let socket = TcpListener::from_std(socket)?;
    let mut back_off = BACK_OFF.0;
    loop {
        let accepted = tokio::select! {
            accepted = socket.accept() => accepted,
            () = drain.begun() => break,
        };
        match accepted {
            Ok((stream, peer)) => {
                back_off = BACK_OFF.0;
                let listener = settings.load_full();
                // The semaphore is never closed, so this waits or succeeds.
                let Ok(permit) = listener.permits.clone().acquire_owned().await else {
                    break;
                };
                start(
                    stream,
                    peer,
                    listener.place(permit),
                    &listener,
                    &drain,
                    &handler,
                );
            }
            Err(error) if is_of_one_connection(&error) => {}
            Err(error) => {
                tracing::warn!(listener = %settings.load().config.name, %error, "cannot accept; waiting");
                tokio::time::sleep(back_off).await;
                back_off = (back_off * 2).min(BACK_OFF.1);
            }
        }
    }
    // Straight from the socket: the runtime may not have seen the newest connections yet.
    let socket = socket.into_std()?;
    loop {
        match socket.accept() {
            Ok((stream, peer)) => {
                stream.set_nonblocking(true)?;
                let stream = TcpStream::from_std(stream)?;
                let listener = settings.load_full();
                let Ok(permit) = listener.permits.clone().acquire_owned().await else {
                    break;
                };
                start(
                    stream,
                    peer,
                    listener.place(permit),
                    &listener,
                    &drain,
                    &handler,
                );
            }
            Err(error) if is_of_one_connection(&error) => {}
            Err(_) => break,
        }
    }
    Ok(())
}

fn start<H: Handler>(
    stream: TcpStream,
    peer: SocketAddr,
    place: Place,
    listener: &Arc<ListenerRuntime>,
    drain: &Rc<Drain>,
    handler: &H,
) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%peer, %error, "connection gone before it was served");
        return;
    }
    let open = drain.enter();
    tokio::task::spawn_local(connection::accept(
        stream,
        peer,
        place,
        open,
        listener.clone(),
        handler.clone(),
    ));
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
