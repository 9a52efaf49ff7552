//! The bytes of a connection: in clear text or over TLS, and which protocol they carry.

use std::io;

use bytes::{Bytes, BytesMut};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;

use super::guard::h2::PREFACE;
use super::runtime::ListenerRuntime;
use super::tls::Session;
use crate::net::Stream;

/// The stream, what TLS agreed on, what was read already, and whether the client speaks HTTP/2.
pub(crate) type Opened = (Stream, Option<Session>, Bytes, bool);

/// Speaks TLS where the listener does, and finds out the protocol.
pub(crate) async fn open(mut stream: TcpStream, listener: &ListenerRuntime) -> io::Result<Opened> {
    let (h1, h2) = (listener.config.h1, listener.config.h2);
    if let Some(tls) = &listener.tls {
        let stream = TlsAcceptor::from(tls.config.clone()).accept(stream).await?;
        let session = tls.session(stream.get_ref().1);
        // A client without ALPN speaks HTTP/1.1, unless the listener does not.
        let h2 = session.h2 || !h1;
        return Ok((
            Stream::Tls(Box::new(stream.into())),
            Some(session),
            Bytes::new(),
            h2,
        ));
    }
    if !(h1 && h2) {
        return Ok((Stream::Plain(stream), None, Bytes::new(), h2));
    }
    let (prefix, h2) = preface(&mut stream).await?;
    Ok((Stream::Plain(stream), None, prefix, h2))
}

/// Reads until it is clear whether the client speaks HTTP/2 with prior knowledge (RFC 9113, 3.3); returns what
/// was read.
async fn preface(stream: &mut TcpStream) -> io::Result<(Bytes, bool)> {
    let mut read = BytesMut::with_capacity(PREFACE.len());
    loop {
        let mut limited = (&mut *stream).take((PREFACE.len() - read.len()) as u64);
        let ended = limited.read_buf(&mut read).await? == 0;
        let is_preface = PREFACE.starts_with(&read);
        if ended || !is_preface || read.len() == PREFACE.len() {
            let h2 = is_preface && read.len() == PREFACE.len();
            return Ok((read.freeze(), h2));
        }
    }
}
