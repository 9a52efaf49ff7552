//! The bytes of a connection, in clear text or over TLS.

use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Context, Poll};

use rustls::ConnectionCommon;
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_rustls::TlsStream;

use carry::carry;

pub use listener::{DetachedListener, Listener};
pub use socket::{Detached, Socket};

mod carry;
mod listener;
mod socket;
pub mod unix;

/// Connections that the kernel keeps for each socket that listens, before they are accepted.
pub const BACKLOG: i32 = 1024;

/// What a peer is connected by: a client to the gateway, or the gateway to an upstream.
#[derive(Debug)]
pub enum Stream {
    /// In clear text.
    Plain(Socket),
    /// Over TLS.
    Tls(Box<TlsStream<Socket>>),
}

impl Stream {
    /// The socket.
    pub fn socket(&self) -> &Socket {
        match self {
            Self::Plain(socket) => socket,
            Self::Tls(tls) => tls.get_ref().0,
        }
    }

    /// The protocol that both sides agreed on by ALPN.
    pub fn agreed(&self) -> Option<&[u8]> {
        match self {
            Self::Plain(_) => None,
            Self::Tls(tls) => tls.get_ref().1.alpn_protocol(),
        }
    }

    /// What waits to be read on a connection at rest. A connection on which something waits must not be used again.
    ///
    /// The kernel is asked, by one system call, unless the event loop has `looked` since the connection came to rest:
    /// then it has heard of what had come, and is asked instead.
    pub fn waiting(&mut self, looked: bool) -> Waiting {
        match self {
            Self::Plain(socket) => waiting(socket, looked),
            Self::Tls(tls) => match tls.as_mut() {
                TlsStream::Client(tls) => {
                    let (socket, session) = tls.get_mut();
                    waiting_in_tls(socket, session, looked)
                }
                TlsStream::Server(tls) => {
                    let (socket, session) = tls.get_mut();
                    waiting_in_tls(socket, session, looked)
                }
            },
        }
    }
}

/// What waits to be read on a connection at rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Waiting {
    /// Nothing: it may be used again.
    Nothing,
    /// The peer's end, or an error.
    End,
    /// Bytes: the first of them, and zeros where there are fewer.
    Bytes([u8; FIRST]),
}

/// How many of the bytes that wait are told: as many as hold the version and the status of an answer.
const FIRST: usize = 12;

/// How many reads what belongs to TLS itself may take, such as session tickets; a peer that sends more is cut off.
const TLS_READS: usize = 8;

/// Reads without waiting: from the kernel, or not at all where the event loop has looked and heard of nothing.
fn read<R>(
    socket: &Socket,
    looked: bool,
    read: impl FnOnce(SockRef<'_>) -> io::Result<R>,
) -> io::Result<R> {
    let read = || read(SockRef::from(socket));
    if looked {
        return socket.unless_quiet(read);
    }
    read()
}

fn waiting(socket: &Socket, looked: bool) -> Waiting {
    let peeked = read(socket, looked, |socket| {
        socket.peek(&mut [MaybeUninit::uninit()])
    });
    match peeked {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Waiting::Nothing,
        Ok(0) | Err(_) => Waiting::End,
        Ok(_) => first_of(&mut &*SockRef::from(socket)),
    }
}

/// The same over TLS, whose own records are taken in: only what it carries belongs to an exchange.
fn waiting_in_tls<T>(socket: &Socket, session: &mut ConnectionCommon<T>, looked: bool) -> Waiting {
    for _ in 0..TLS_READS {
        match session.process_new_packets() {
            Ok(state) if state.plaintext_bytes_to_read() > 0 => {
                return first_of(&mut session.reader());
            }
            Ok(state) if !state.peer_has_closed() => {}
            Ok(_) | Err(_) => return Waiting::End,
        }
        match read(socket, looked, |socket| session.read_tls(&mut &*socket)) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Waiting::Nothing,
            Ok(0) | Err(_) => return Waiting::End,
            Ok(_) => {}
        }
    }
    Waiting::End
}

#[cold]
fn first_of(from: &mut dyn io::Read) -> Waiting {
    let mut first = [0; FIRST];
    // That bytes wait is known; which they are is told as far as they can be read.
    let _read = from.read(&mut first);
    Waiting::Bytes(first)
}

carry!(Stream by Plain, Tls);
