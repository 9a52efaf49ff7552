//! A socket whose queue is full: the kernel does not wait for it.

use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;

use socket2::{Domain, SockAddr, Socket, Type};

use super::{config, place};
use crate::harness::http::read_answer;
use crate::harness::{Gateway, get};
use crate::upstreams::{OK, connect};

/// A listener whose queue is full, and what fills it.
pub(crate) fn full(path: &Path) -> (UnixListener, Vec<UnixStream>) {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None).unwrap();
    socket.bind(&SockAddr::unix(path).unwrap()).unwrap();
    socket.listen(1).unwrap();
    let mut queue = Vec::new();
    loop {
        let client = Socket::new(Domain::UNIX, Type::STREAM, None).unwrap();
        client.set_nonblocking(true).unwrap();
        match client.connect(&SockAddr::unix(path).unwrap()) {
            Ok(()) => queue.push(client.into()),
            Err(error) => {
                assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock);
                return (socket.into(), queue);
            }
        }
    }
}

#[test]
fn a_request_waits_until_the_queue_of_the_socket_has_room() {
    use std::io::{Read, Write};
    let (directory, path) = place();
    let (listener, queue) = full(&path);
    let config = config(&["unix:app.sock"], "timeouts = { connect = '20s' }");
    let gateway = Gateway::start_in(directory, &config, &[]);
    let mut client = connect(
        gateway.listener("public"),
        b"GET / HTTP/1.1\r\nhost: a\r\n\r\n",
    );
    crate::health::until(&gateway, "the request", || {
        gateway.metric("gateway_upstream_connections{upstream=\"app\"}") > 0.0
    });
    for _ in &queue {
        drop(listener.accept().unwrap());
    }
    let (mut stream, _) = listener.accept().unwrap();
    let read = stream.read(&mut [0; 4096]).unwrap();
    assert!(read > 0);
    stream.write_all(OK).unwrap();
    assert_eq!(read_answer(&mut client).text(), "ok");
}

#[test]
fn a_queue_that_stays_full_is_504_in_words_that_say_so() {
    let (directory, path) = place();
    let _full = full(&path);
    let config = config(&["unix:app.sock"], "timeouts = { connect = '100ms' }");
    let gateway = Gateway::start_in(directory, &config, &[]);
    assert_eq!(get(gateway.listener("public"), "/", &[]).status, 504);
    gateway.wait_for_all(&["connect_timeout", "\"path\":\"/\""]);
    gateway.wait_for("the queue of the socket is full, and none of it was accepted within 100ms");
}
