//! Bytes both ways between two upgraded connections.

use std::time::Duration;

use bytes::Bytes;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::Exchange;
use crate::worker;

/// A close frame with status 1001 "going away" as a server sends it (RFC 6455, sections 5.5.1 and 7.4.1).
const GOING_AWAY: [u8; 4] = [0x88, 0x02, 0x03, 0xe9];

/// Carries bytes until either side ends, nothing moves for `idle`, or the worker's grace is over.
pub(super) async fn join(
    client: OnUpgrade,
    (mut backend, first): (TcpStream, Bytes),
    idle: Duration,
    exchange: &mut Exchange,
) {
    let Ok(client) = client.await else {
        exchange.record.error = Some("upgrade_broken");
        return;
    };
    let mut client = TokioIo::new(client);
    let mut frames = Frames::default();
    frames.follow(&first);
    // What the upstream sent right behind its 101.
    if !first.is_empty() {
        let sent = pass(
            Ok(first.len()),
            &first,
            &mut client,
            &mut exchange.record.bytes_out,
        );
        if !sent.await {
            return;
        }
    }
    let (mut up, mut down) = (vec![0; 16 << 10], vec![0; 16 << 10]);
    loop {
        let moved = tokio::select! {
            read = client.read(&mut up) => pass(read, &up, &mut backend, &mut exchange.record.bytes_in).await,
            read = backend.read(&mut down) => {
                if let Ok(length) = read {
                    frames.follow(&down[..length]);
                }
                pass(read, &down, &mut client, &mut exchange.record.bytes_out).await
            }
            () = tokio::time::sleep(idle) => {
                exchange.record.error = Some("idle");
                false
            }
            () = worker::grace_over() => {
                if frames.at_boundary() {
                    let _gone = client.write_all(&GOING_AWAY).await;
                }
                false
            }
        };
        if !moved {
            break;
        }
    }
    exchange.record.finished = exchange.record.error.is_none();
    let _gone = tokio::join!(client.shutdown(), backend.shutdown());
}

/// Writes what was read; `false` at the end.
async fn pass(
    read: std::io::Result<usize>,
    buffer: &[u8],
    to: &mut (impl tokio::io::AsyncWrite + Unpin),
    count: &mut u64,
) -> bool {
    match read {
        Ok(0) | Err(_) => false,
        Ok(length) => {
            *count += length as u64;
            to.write_all(&buffer[..length]).await.is_ok() && to.flush().await.is_ok()
        }
    }
}

/// Follows the frames of a WebSocket server (unmasked), to know where a close frame may stand.
#[derive(Default)]
struct Frames {
    head: Vec<u8>,
    payload: u64,
}

impl Frames {
    fn at_boundary(&self) -> bool {
        self.head.is_empty() && self.payload == 0
    }

    fn follow(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            if self.payload > 0 {
                let step = usize::try_from(self.payload)
                    .unwrap_or(usize::MAX)
                    .min(bytes.len());
                self.payload -= step as u64;
                bytes = &bytes[step..];
                continue;
            }
            self.head.push(bytes[0]);
            bytes = &bytes[1..];
            let long = self.head.get(1).map_or(0, |second| match second & 0x7f {
                126 => 2,
                127 => 8,
                _ => 0,
            });
            if self.head.len() == 2 + long {
                self.payload = match long {
                    0 => u64::from(self.head[1] & 0x7f),
                    _ => self.head[2..]
                        .iter()
                        .fold(0, |length, byte| length << 8 | u64::from(*byte)),
                };
                self.head.clear();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Frames;

    #[test]
    fn a_boundary_is_known_however_the_bytes_are_cut() {
        let mut stream = vec![0x81, 3, b'a', b'b', b'c', 0x82, 126, 1, 0];
        stream.extend([7; 256]);
        let boundaries = [0, 5, stream.len()];
        let mut frames = Frames::default();
        for (at, byte) in stream.iter().enumerate() {
            assert_eq!(
                frames.at_boundary(),
                boundaries.contains(&at),
                "before byte {at}"
            );
            frames.follow(&[*byte]);
        }
        assert!(frames.at_boundary());
    }
}
