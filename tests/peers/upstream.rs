//! What stands behind each proxy: a listener for each route, which keeps every request byte for byte.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// A request as it arrived: the route that it came by, and its bytes.
pub(super) type Arrival = (&'static str, Vec<u8>);

/// The upstreams of one proxy.
pub(super) struct Upstreams {
    /// Where each route's requests go.
    pub(super) addresses: Vec<(&'static str, SocketAddr)>,
    arrived: Arc<Mutex<Vec<Arrival>>>,
}

impl Upstreams {
    /// One for each route.
    pub(super) fn start(routes: &[&'static str]) -> Self {
        let arrived = Arc::<Mutex<Vec<Arrival>>>::default();
        let listen = |route: &&'static str| (*route, listen(route, arrived.clone()));
        let addresses = routes.iter().map(listen).collect();
        Self { addresses, arrived }
    }

    /// What arrived since this was asked last.
    pub(super) fn take(&self) -> Vec<Arrival> {
        std::mem::take(&mut *self.arrived.lock().unwrap())
    }
}

fn listen(route: &'static str, arrived: Arc<Mutex<Vec<Arrival>>>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let arrived = arrived.clone();
            std::thread::spawn(move || serve(stream, route, &arrived));
        }
    });
    address
}

/// Answers every request of a connection. What arrived is kept before it is answered.
fn serve(mut stream: TcpStream, route: &'static str, arrived: &Mutex<Vec<Arrival>>) {
    let mut bytes = Vec::new();
    let mut chunk = [0; 16 << 10];
    loop {
        while let Some(length) = whole(&bytes) {
            let request = bytes.drain(..length).collect();
            arrived.lock().unwrap().push((route, request));
            let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
            if stream.write_all(answer).is_err() {
                return;
            }
        }
        match stream.read(&mut chunk) {
            Ok(0) | Err(_) => return,
            Ok(length) => bytes.extend_from_slice(&chunk[..length]),
        }
    }
}

/// The length of the first request, once it is whole.
fn whole(bytes: &[u8]) -> Option<usize> {
    let end = find(bytes, b"\r\n\r\n")? + 4;
    let head = String::from_utf8_lossy(&bytes[..end]).to_ascii_lowercase();
    if head.contains("\r\ntransfer-encoding: chunked\r\n") {
        let last = find(&bytes[end - 2..], b"\r\n0\r\n")? + end + 1;
        return Some(find(&bytes[last..], b"\r\n\r\n")? + last + 4);
    }
    let length = head
        .split("\r\ncontent-length: ")
        .nth(1)
        .and_then(|rest| rest.split("\r\n").next()?.parse::<usize>().ok());
    let length = end + length.unwrap_or(0);
    (bytes.len() >= length).then_some(length)
}

/// Where `wanted` begins.
fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes
        .windows(wanted.len())
        .position(|window| window == wanted)
}
