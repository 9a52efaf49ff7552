//! The socket below a connection: of TCP, or of this host alone.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::{TcpStream, UnixStream};

use super::carry::carry;

/// A socket that the event loop of its thread hears of.
#[derive(Debug)]
pub enum Socket {
    /// Of TCP.
    Tcp(TcpStream),
    /// Of this host, by a path (unix(7)).
    Unix(UnixStream),
}

/// A socket that no event loop has, on its way to another thread.
#[derive(Debug)]
pub enum Detached {
    /// Of TCP.
    Tcp(std::net::TcpStream),
    /// Of this host.
    Unix(std::os::unix::net::UnixStream),
}

impl Socket {
    /// Ready where the event loop has heard of something to read.
    pub fn poll_read_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Tcp(tcp) => tcp.poll_read_ready(cx),
            Self::Unix(unix) => unix.poll_read_ready(cx),
        }
    }

    /// Reads, unless the event loop knows that there is nothing.
    ///
    /// # Errors
    /// [`WouldBlock`](io::ErrorKind::WouldBlock) where it does, or those of `read`.
    pub fn unless_quiet<R>(&self, read: impl FnOnce() -> io::Result<R>) -> io::Result<R> {
        match self {
            Self::Tcp(tcp) => tcp.try_io(Interest::READABLE, read),
            Self::Unix(unix) => unix.try_io(Interest::READABLE, read),
        }
    }

    /// What went wrong since it was last asked, a reset for one (`SO_ERROR`).
    ///
    /// # Errors
    /// If the kernel does not say.
    pub fn take_error(&self) -> io::Result<Option<io::Error>> {
        SockRef::from(self).take_error()
    }

    /// Whether the other side has ended its own, also where bytes before that are not read yet.
    ///
    /// # Errors
    /// If the kernel does not say.
    pub fn has_said_all(&self) -> io::Result<bool> {
        let mut polled = [PollFd::new(self, PollFlags::RDHUP)];
        poll(&mut polled, Some(&Timespec::default()))?;
        Ok(polled[0].revents().contains(PollFlags::RDHUP))
    }

    /// Has it reset as it is closed, where its kind knows that.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub fn reset_at_close(&self) -> io::Result<()> {
        SockRef::from(self).set_linger(Some(Duration::ZERO))
    }

    /// Has it send what is written at once, as a unix socket does in any case.
    ///
    /// # Errors
    /// If the connection is gone.
    pub fn set_nodelay(&self) -> io::Result<()> {
        match self {
            Self::Tcp(tcp) => tcp.set_nodelay(true),
            Self::Unix(_) => Ok(()),
        }
    }

    /// Takes it from its event loop.
    ///
    /// # Errors
    /// If the event loop does not let it go.
    pub fn detach(self) -> io::Result<Detached> {
        match self {
            Self::Tcp(tcp) => tcp.into_std().map(Detached::Tcp),
            Self::Unix(unix) => unix.into_std().map(Detached::Unix),
        }
    }
}

impl Detached {
    /// Has the event loop of this thread hear of it.
    ///
    /// # Errors
    /// If it cannot.
    pub fn attach(self) -> io::Result<Socket> {
        match self {
            Self::Tcp(tcp) => TcpStream::from_std(tcp).map(Socket::Tcp),
            Self::Unix(unix) => UnixStream::from_std(unix).map(Socket::Unix),
        }
    }
}

impl From<TcpStream> for Socket {
    fn from(tcp: TcpStream) -> Self {
        Self::Tcp(tcp)
    }
}

impl From<UnixStream> for Socket {
    fn from(unix: UnixStream) -> Self {
        Self::Unix(unix)
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Tcp(tcp) => tcp.as_fd(),
            Self::Unix(unix) => unix.as_fd(),
        }
    }
}

carry!(Socket by Tcp, Unix);
