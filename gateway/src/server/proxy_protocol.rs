//! The PROXY protocol (its specification is HAProxy's, versions 1 and 2): before its first byte a proxy of TCP says for whom
//! it connects.

use std::io;

use proxy_header::{Error, ParseConfig, Protocol, ProxyHeader};
use tokio::io::{AsyncRead, AsyncReadExt as _};

use crate::message::peer::{Peer, Proxies};

/// The shortest header of version 1, and what one of version 2 has before its addresses, in bytes.
const SHORTEST: usize = b"PROXY UNKNOWN\r\n".len();
const FIXED: usize = 16;
/// The longest that is read. Version 2 could say 64 KiB of the connection, and nobody does.
const LONGEST: usize = 4 << 10;

const CONFIG: ParseConfig = ParseConfig {
    include_tlvs: false,
    allow_v1: true,
    allow_v2: true,
};

/// Who connects: whom the header names, or the proxy itself where it says that it is on its own behalf, as in its checks of
/// health. Nothing behind the header is read.
///
/// # Errors
/// Where the peer is none of the proxies, and where what comes first is no header of at most 4 KiB.
pub(super) async fn peer(
    stream: &mut (impl AsyncRead + Unpin),
    peer: Peer,
    proxies: &Proxies,
) -> io::Result<Peer> {
    if !proxies.has(peer.address().to_canonical()) {
        let why =
            "this listener takes the PROXY protocol, and the peer is none of its `trusted_proxies`";
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, why));
    }
    let mut read = vec![0; SHORTEST];
    let mut from = 0;
    loop {
        stream.read_exact(&mut read[from..]).await?;
        match ProxyHeader::parse(&read, CONFIG) {
            Ok((header, _)) => {
                let named = header.proxied_address();
                let named = named.filter(|address| address.protocol == Protocol::Stream);
                return Ok(named.map_or(peer, |address| address.source.into()));
            }
            Err(Error::BufferTooShort) if read.len() < LONGEST => {}
            Err(_) => return Err(none()),
        }
        from = read.len();
        let length = match read.get(14..FIXED) {
            _ if read[0] == b'P' => from + 1,
            Some(&[high, low]) => FIXED + usize::from(u16::from_be_bytes([high, low])),
            _ => FIXED,
        };
        // What is too short for its addresses asks for no more than is there.
        if length > LONGEST || length <= from {
            return Err(none());
        }
        read.resize(length, 0);
    }
}

fn none() -> io::Error {
    let why = "what the proxy sent first is no header of the PROXY protocol; have it send one (HAProxy: `send-proxy-v2`), or \
               write `proxy_protocol = false`";
    io::Error::new(io::ErrorKind::InvalidData, why)
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::*;

    const PROXY: &str = "10.0.0.1:5000";
    const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

    fn v2(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
        let length = u16::try_from(rest.len()).unwrap().to_be_bytes();
        [SIGNATURE, &[command, family], &length, rest].concat()
    }

    /// Who connects from the proxy, and what is left to be read.
    async fn read(bytes: &[u8]) -> io::Result<(Peer, Vec<u8>)> {
        let proxies = Proxies::from(vec!["10.0.0.0/8".parse().unwrap()]);
        let proxy: SocketAddr = PROXY.parse().unwrap();
        let mut rest = bytes;
        let peer = peer(&mut rest, proxy.into(), &proxies).await?;
        Ok((peer, rest.to_vec()))
    }

    #[tokio::test]
    async fn a_header_names_the_client_and_not_a_byte_behind_it_is_read() {
        let v4 = [1, 2, 3, 4, 10, 0, 0, 1, 0, 80, 1, 187];
        let mut v6 = [0; 36];
        (v6[15], v6[33]) = (1, 80);
        let tlv = [&v4[..], &[4, 0, 1, 9]].concat();
        for (header, expected) in [
            (
                b"PROXY TCP4 1.2.3.4 10.0.0.1 80 443\r\n".to_vec(),
                "1.2.3.4:80",
            ),
            (b"PROXY TCP6 ::1 ::2 80 443\r\n".to_vec(), "[::1]:80"),
            (b"PROXY UNKNOWN\r\n".to_vec(), PROXY),
            (b"PROXY UNKNOWN ::1 ::2 80 443\r\n".to_vec(), PROXY),
            (v2(0x21, 0x11, &v4), "1.2.3.4:80"),
            (v2(0x21, 0x11, &tlv), "1.2.3.4:80"),
            (v2(0x21, 0x21, &v6), "[::1]:80"),
            (v2(0x20, 0x00, &[]), PROXY),
            (v2(0x20, 0x11, &v4), PROXY),
            (v2(0x21, 0x00, &[7; 40]), PROXY),
            (v2(0x21, 0x31, &[0; 216]), PROXY),
            // Of UDP nobody connects.
            (v2(0x21, 0x12, &v4), PROXY),
        ] {
            for behind in [&b""[..], b"GET / HTTP/1.1\r\n", b"\r\n"] {
                let (peer, rest) = read(&[&header, behind].concat()).await.unwrap();
                let expected: SocketAddr = expected.parse().unwrap();
                assert_eq!((peer, &rest[..]), (expected.into(), behind), "{header:?}");
            }
            for cut in 0..header.len() {
                let error = read(&header[..cut]).await.unwrap_err();
                assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof, "{header:?}");
            }
        }
    }

    #[tokio::test]
    async fn what_is_no_header_is_refused() {
        let long = [&b"PROXY UNKNOWN "[..], &[b'x'; 200]].concat();
        for bytes in [
            b"GET / HTTP/1.1\r\nhost: a\r\n\r\n".to_vec(),
            b"PROXY TCP4 1.2.3 10.0.0.1 80 443\r\n".to_vec(),
            b"PROXY TCP4 1.2.3.4 10.0.0.1 99999 443\r\n".to_vec(),
            b"PROXY TCP5 1.2.3.4 10.0.0.1 80 443\r\n".to_vec(),
            // No line ends with LF alone.
            [&b"PROXY TCP4 1.2.3.4 10.0.0.1 80 443\n"[..], &[b' '; 100]].concat(),
            long,
            v2(0x31, 0x11, &[0; 12]),
            v2(0x22, 0x11, &[0; 12]),
            v2(0x21, 0x11, &[0; 11]),
            v2(0x21, 0x99, &[0; 12]),
            v2(0x21, 0x11, &[0; LONGEST]),
            b"\r\n\r\n\0\r\nQUIT\r\n\r\n\r\n\r\n".to_vec(),
        ] {
            let error = read(&bytes).await.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidData, "{bytes:?}");
        }
    }

    #[tokio::test]
    async fn nobody_else_is_read() {
        let proxies = Proxies::from(vec!["10.0.0.0/8".parse().unwrap()]);
        for stranger in ["11.0.0.1:1", "[::1]:1"] {
            let stranger: SocketAddr = stranger.parse().unwrap();
            let mut rest = &b"PROXY TCP4 1.2.3.4 10.0.0.1 80 443\r\n"[..];
            let error = peer(&mut rest, stranger.into(), &proxies).await;
            assert_eq!(error.unwrap_err().kind(), io::ErrorKind::PermissionDenied);
            assert_eq!(rest[0], b'P');
        }
        let mapped: SocketAddr = "[::ffff:10.1.1.1]:1".parse().unwrap();
        let mut rest = &b"PROXY UNKNOWN\r\n"[..];
        assert!(peer(&mut rest, mapped.into(), &proxies).await.is_ok());
    }
}
