//! A unix socket in front of an origin that listens on TCP, for what only the way to it is asked about.

use std::io;
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::thread;

use socket2::Socket;

/// Carries what comes on a socket at this path to an address, and back, for as long as the test runs.
pub(crate) fn bridge(path: &Path, to: SocketAddr) {
    let listener = UnixListener::bind(path).unwrap();
    thread::spawn(move || {
        while let Ok((near, _)) = listener.accept() {
            let far = TcpStream::connect(to).unwrap();
            let (near, far) = (Socket::from(near), Socket::from(far));
            let back = (far.try_clone().unwrap(), near.try_clone().unwrap());
            thread::spawn(move || carry(near, far));
            thread::spawn(move || carry(back.0, back.1));
        }
    });
}

fn carry(mut from: Socket, mut to: Socket) {
    // A side that is gone is an end like any other.
    let _ended = io::copy(&mut from, &mut to);
    let _gone = to.shutdown(Shutdown::Write);
}
