//! The bytes of a connection: in clear text or over TLS, and which protocol they carry.

use std::future::poll_fn;
use std::io;
use std::mem::MaybeUninit;

use bytes::{Bytes, BytesMut};
use socket2::SockRef;
use tokio::io::AsyncReadExt;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::guard::clocks::now;
use super::guard::h2::PREFACE;
use super::proxy_protocol;
use super::runtime::ListenerRuntime;
use super::tls::{Session, Tls};
use crate::message::peer::Peer;
use crate::net::{Socket, Stream};

/// A connection whose protocol is known.
pub(crate) struct Opened {
    pub(crate) stream: Stream,
    /// Who connected, or for whom.
    pub(crate) peer: Peer,
    /// What TLS agreed on.
    pub(crate) tls: Option<Session>,
    /// What was read already.
    pub(crate) prefix: Bytes,
    /// Whether the client speaks HTTP/2.
    pub(crate) h2: bool,
    /// When the first byte came that left the protocol open, on the scale of [`now`]; 0: none did.
    pub(crate) since: u64,
}

/// Hears for whom a proxy connects and speaks TLS, where the listener does, and finds out the protocol.
pub(crate) async fn open(
    mut stream: Socket,
    mut peer: Peer,
    listener: &ListenerRuntime,
) -> io::Result<Opened> {
    if let Some(proxies) = &listener.config.proxy_protocol {
        let said = proxy_protocol::peer(&mut stream, peer, proxies).await;
        peer = said.inspect_err(|error| listener.tell_unproxied(peer, error))?;
    }
    let (h1, h2) = (listener.config.h1, listener.config.h2);
    if let Some(tls) = &listener.tls {
        let stream = shake_hands(stream, peer, tls, listener).await?;
        let session = tls.session(stream.get_ref().1);
        // A client without ALPN speaks HTTP/1.1, unless the listener does not.
        let h2 = session.h2 || !h1;
        return Ok(Opened {
            stream: Stream::Tls(Box::new(stream.into())),
            peer,
            tls: Some(session),
            prefix: Bytes::new(),
            h2,
            since: 0,
        });
    }
    let (prefix, h2, since) = match h1 && h2 {
        true => preface(&mut stream).await?,
        false => (Bytes::new(), h2, 0),
    };
    Ok(Opened {
        stream: Stream::Plain(stream),
        peer,
        tls: None,
        prefix,
        h2,
        since,
    })
}

/// Speaks TLS, and tells where that fails with a client that has said something.
async fn shake_hands(
    stream: Socket,
    peer: Peer,
    tls: &Tls,
    listener: &ListenerRuntime,
) -> io::Result<TlsStream<Socket>> {
    // Who connects and says nothing at all looks whether the port is there.
    if !speaks(&stream).await? {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let acceptor = TlsAcceptor::from(tls.config.clone());
    let accepted = acceptor.accept(stream).await;
    accepted.inspect_err(|error| listener.tell_no_tls(peer, error))
}

/// Waits for the first byte, which stays to be read. `false`: the client leaves without one.
async fn speaks(socket: &Socket) -> io::Result<bool> {
    let peek = || SockRef::from(socket).peek(&mut [MaybeUninit::uninit()]);
    loop {
        poll_fn(|cx| socket.poll_read_ready(cx)).await?;
        match socket.unless_quiet(peek) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            peeked => return Ok(peeked? > 0),
        }
    }
}

/// Reads until it is clear whether the client speaks HTTP/2 with prior knowledge (RFC 9113, 3.3); returns what
/// was read, and when the first of it came if it took more than one read.
async fn preface(stream: &mut Socket) -> io::Result<(Bytes, bool, u64)> {
    let mut read = BytesMut::with_capacity(PREFACE.len());
    let mut since = 0;
    loop {
        let mut limited = (&mut *stream).take((PREFACE.len() - read.len()) as u64);
        let ended = limited.read_buf(&mut read).await? == 0;
        let is_preface = PREFACE.starts_with(&read);
        if ended || !is_preface || read.len() == PREFACE.len() {
            let h2 = is_preface && read.len() == PREFACE.len();
            return Ok((read.freeze(), h2, since));
        }
        if since == 0 {
            since = now();
        }
    }
}
