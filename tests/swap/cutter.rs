//! A proxy before the gateway that breaks one connection on purpose.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// What is not passed on whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cut {
    /// A request; nothing of it.
    Request,
    /// An answer, but for its last byte.
    Answer,
}

/// Where it listens. Once `cut` is set, it is done to the next message, and its connection ends.
pub(super) fn before(gateway: SocketAddr, at: Cut, cut: &Arc<AtomicBool>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let cut = cut.clone();
    std::thread::spawn(move || {
        for client in listener.incoming().map_while(Result::ok) {
            let server = TcpStream::connect(gateway).unwrap();
            let (from, to) = (client.try_clone().unwrap(), server.try_clone().unwrap());
            for (which, from, to) in [(Cut::Request, from, to), (Cut::Answer, server, client)] {
                let cut = cut.clone();
                std::thread::spawn(move || {
                    pass(from, to, |bytes| {
                        // A head alone is passed on: the cut is in the body.
                        let here =
                            which == at && !(at == Cut::Answer && bytes.ends_with(b"\r\n\r\n"));
                        (here && cut.swap(false, Ordering::SeqCst)).then_some(match at {
                            Cut::Request => 0,
                            Cut::Answer => bytes.len() - 1,
                        })
                    });
                });
            }
        }
    });
    address
}

/// Passes on all that comes, or of some bytes as many as `cut` says, and no more.
fn pass(mut from: TcpStream, mut to: TcpStream, cut: impl Fn(&[u8]) -> Option<usize>) {
    let mut chunk = [0; 16 << 10];
    while let Ok(length) = from.read(&mut chunk) {
        let kept = if length == 0 {
            None
        } else {
            cut(&chunk[..length])
        };
        let written = to.write_all(&chunk[..kept.unwrap_or(length)]);
        if length == 0 || kept.is_some() || written.is_err() {
            break;
        }
    }
    for stream in [from, to] {
        // The other direction may have ended it already.
        let _ended = stream.shutdown(Shutdown::Both);
    }
}
