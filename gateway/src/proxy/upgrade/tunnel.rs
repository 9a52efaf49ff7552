//! Bytes both ways between two upgraded connections.

use std::cell::{Cell, RefCell};
use std::io;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep_until, timeout};

use crate::message::error::ErrorKind;
use crate::proxy::passage::Passage;
use crate::server::drain::LINGER;
use crate::server::guard::Guarded;
use crate::upstream::Tunnel;

/// A close frame with status 1001 "going away" as a server sends it (RFC 6455, sections 5.5.1 and 7.4.1).
const GOING_AWAY: [u8; 4] = [0x88, 0x02, 0x03, 0xe9];

/// What is read at a time, and held of each direction.
const CHUNK: usize = 16 << 10;

/// Carries bytes until both sides have ended, one breaks off, nothing moves for `idle`, or the worker's grace is
/// over. The end of one side is passed on, and the other may still finish.
pub(super) async fn join(
    client: oneshot::Receiver<Guarded>,
    mut backend: Tunnel,
    passage: &mut Passage,
) {
    let Ok(client) = client.await else {
        passage.record.error = Some(ErrorKind::UpgradeBroken);
        return;
    };
    let Tunnel {
        io, first, idle, ..
    } = &mut backend;
    let (first, idle) = (std::mem::take(first), *idle);
    let (mut client_read, mut client_write) = tokio::io::split(client);
    let (backend_read, mut backend_write) = tokio::io::split(io);
    // What the upstream sent right behind its 101 comes first.
    let mut backend_read = io::Cursor::new(first).chain(backend_read);
    let (up, down) = (Direction::default(), Direction::default());
    let frames = RefCell::new(Frames::default());
    let grace = passage.local.grace.clone();
    let ended = tokio::select! {
        ended = async {
            tokio::try_join!(
                up.carry(&mut client_read, &mut backend_write, |_| {}),
                down.carry(&mut backend_read, &mut client_write, |sent| {
                    frames.borrow_mut().follow(sent);
                }),
            )
        } => ended.map_err(|_| ErrorKind::UpgradeBroken),
        () = still(&up, &down, idle) => Err(ErrorKind::Idle),
        () = grace.cancelled() => {
            if frames.borrow().at_boundary() {
                // What breaks it off now ends it as well.
                let _gone = timeout(LINGER, farewell(&mut client_read, &mut client_write)).await;
            }
            Ok(((), ()))
        }
    };
    let record = &mut passage.record;
    record.bytes_in += up.bytes.get();
    record.bytes_out += down.bytes.get();
    record.error = ended.err();
    record.finished = ended.is_ok();
}

/// Says goodbye and waits for the client's own: a socket closed over unread bytes is reset, and the reset may
/// overtake the close frame.
async fn farewell(
    from: &mut (impl AsyncRead + Unpin),
    to: &mut (impl AsyncWrite + Unpin),
) -> io::Result<()> {
    to.write_all(&GOING_AWAY).await?;
    to.shutdown().await?;
    let mut rest = [0; 1024];
    while from.read(&mut rest).await? > 0 {}
    Ok(())
}

/// Returns when neither direction moved for `idle`.
async fn still(up: &Direction, down: &Direction, idle: Duration) {
    loop {
        let due = up.moved.get().max(down.moved.get()) + idle;
        if due <= Instant::now() {
            return;
        }
        sleep_until(due).await;
    }
}

/// One direction.
struct Direction {
    bytes: Cell<u64>,
    moved: Cell<Instant>,
}

impl Default for Direction {
    fn default() -> Self {
        Self {
            bytes: Cell::new(0),
            moved: Cell::new(Instant::now()),
        }
    }
}

impl Direction {
    /// Carries until `from` ends, then ends `to`. `sent` sees what was written, also if this is cancelled.
    async fn carry(
        &self,
        from: &mut (impl AsyncRead + Unpin),
        to: &mut (impl AsyncWrite + Unpin),
        sent: impl Fn(&[u8]),
    ) -> io::Result<()> {
        let mut chunk = vec![0; CHUNK];
        loop {
            let length = from.read(&mut chunk).await?;
            self.moved.set(Instant::now());
            if length == 0 {
                return to.shutdown().await;
            }
            let mut rest = &chunk[..length];
            while !rest.is_empty() {
                let written = to.write(rest).await?;
                if written == 0 {
                    return Err(io::ErrorKind::WriteZero.into());
                }
                sent(&rest[..written]);
                rest = &rest[written..];
                self.bytes.set(self.bytes.get() + written as u64);
                self.moved.set(Instant::now());
            }
            to.flush().await?;
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
