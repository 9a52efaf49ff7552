//! Nobody keeps the others out of the admin listener.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::TcpStream;

use crate::harness::http::{connect, read_answer};
use crate::harness::{Configuration, Gateway, get};

/// Connections that it has at a time.
const MOST: usize = 64;

fn gateway() -> Gateway {
    let config = Configuration::new().route("all", "/**", "respond = { status = 204 }");
    Gateway::start(&config.admin("address = '127.0.0.1:0'\ntoken = 'sixteen bytes long'"))
}

/// A client that asks without end and reads nothing.
fn deaf(gateway: &Gateway) -> TcpStream {
    let mut client = connect(gateway.admin());
    client.set_nonblocking(true).unwrap();
    let requests = b"GET /upstreams HTTP/1.1\r\nhost: x\r\n\r\n".repeat(1000);
    while client.write(&requests).is_ok() {}
    client
}

#[test]
fn clients_that_do_not_read_keep_nobody_from_the_probes_nor_from_what_needs_a_token() {
    let gateway = gateway();
    let _deaf: Vec<_> = (0..2 * MOST).map(|_| deaf(&gateway)).collect();
    let token = [("authorization", "Bearer sixteen bytes long")];
    for (path, headers) in [
        ("/livez", &[][..]),
        ("/readyz", &[]),
        ("/upstreams", &token),
        ("/metrics", &token),
    ] {
        let answer = get(gateway.admin(), path, headers);
        assert_eq!(answer.status, 200, "{path}");
    }
}

#[test]
fn the_connection_that_has_nothing_to_do_for_longest_makes_way() {
    let gateway = gateway();
    let ask = |client: &mut TcpStream| {
        let request = b"GET /livez HTTP/1.1\r\nhost: x\r\n\r\n";
        client.write_all(request).unwrap();
        read_answer(client).status
    };
    let mut clients: Vec<_> = (0..MOST).map(|_| connect(gateway.admin())).collect();
    // Each is known to be in once it is answered.
    for client in &mut clients {
        assert_eq!(ask(client), 200);
    }
    // The first was answered first, and again after the second.
    assert_eq!(ask(&mut clients[0]), 200);
    assert_eq!(ask(&mut connect(gateway.admin())), 200);
    let ended = clients[1].read(&mut [0; 1]);
    let is_reset = |error: &std::io::Error| error.kind() == ErrorKind::ConnectionReset;
    assert!(
        ended.as_ref().is_ok_and(|read| *read == 0) || ended.as_ref().is_err_and(is_reset),
        "{ended:?}"
    );
    assert_eq!(ask(&mut clients[0]), 200);
    assert_eq!(ask(&mut clients[2]), 200);
}
