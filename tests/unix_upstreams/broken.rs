//! Sockets that are not there, connections that end, and bytes that nobody asked for.

use std::io::{Read, Write};
use std::os::unix::net::{UnixDatagram, UnixListener};

use super::{config, fs, place, recorded, served, told};
use crate::harness::http::{connect, send, until};
use crate::harness::{Configuration, Gateway, Origin, get};

#[test]
fn a_socket_that_cannot_be_connected_to_is_502_in_words_and_others_are_asked_instead() {
    let (directory, _) = place();
    let at = |name: &str| directory.path().join(name);
    fs::write(at("file"), "").unwrap();
    drop(UnixListener::bind(at("left")).unwrap());
    let _datagrams = UnixDatagram::bind(at("datagrams")).unwrap();
    let origin = Origin::start();
    let whys = [
        (
            "nowhere",
            "there is no socket: its server does not run, or makes it elsewhere",
        ),
        ("file", "what is there is no socket"),
        (
            "left",
            "nothing listens there: a server that has ended left the socket",
        ),
        ("datagrams", "the socket there is none of streams"),
    ];
    let mut config = Configuration::new().access_log();
    for (name, _) in whys {
        let other = origin.address;
        config = config
            .with(&format!(
                "[upstreams.{name}]\nendpoints = ['unix:{name}']\n\
                 [upstreams.{name}-or]\nendpoints = ['unix:{name}', '{other}']"
            ))
            .route(name, &format!("/{name}"), &format!("upstream = '{name}'"))
            .route(
                &format!("{name}-or"),
                &format!("/{name}/or"),
                &format!("upstream = '{name}-or'\nretry = {{ backoff = '1ms', budget = false }}"),
            );
    }
    let gateway = Gateway::start_in(directory, &config, &[]);
    let public = gateway.listener("public");
    for (name, why) in whys {
        assert_eq!(get(public, &format!("/{name}"), &[]).status, 502, "{name}");
        gateway.wait_for_all(&[&told(&gateway, name), why]);
        gateway.wait_for_all(&["\"error\":\"connect\"", &format!("\"path\":\"/{name}\"")]);
        // Nothing was sent, so that a POST may go elsewhere.
        for _ in 0..2 {
            let answer = send(public, "POST", &format!("/{name}/or"), &[], b"body");
            assert_eq!(answer.status, 200, "{name}");
        }
    }
    assert_eq!(origin.seen().len(), 2 * whys.len());
}

#[test]
fn a_connection_that_was_closed_at_rest_is_not_used_again() {
    let (upstream, gateway) = recorded("");
    let public = gateway.listener("public");
    served(&upstream, public, 0);
    upstream.close(0);
    served(&upstream, public, 1);
    upstream.ended(0);
}

#[test]
fn bytes_on_a_connection_at_rest_are_no_answer_to_the_next_request() {
    let (upstream, gateway) = recorded("");
    let public = gateway.listener("public");
    served(&upstream, public, 0);
    upstream.send(0, b"HTTP/1.1 200 OK\r\ncontent-length: 8\r\n\r\npoisoned");
    served(&upstream, public, 1);
    upstream.ended(0);
    let surplus = "gateway_upstream_surplus_total{upstream=\"app\"}";
    assert_eq!(gateway.metric(surplus), 1.0);
    // No connection to it is kept for a while.
    upstream.ended(1);
    served(&upstream, public, 2);
}

#[test]
fn an_answer_that_breaks_off_is_broken_off_for_the_client() {
    // Closed at its end, and over bytes that were not read, which resets it.
    for unread in [false, true] {
        let (directory, path) = place();
        let listener = UnixListener::bind(&path).unwrap();
        let gateway = Gateway::start_in(directory, &config(&["unix:app.sock"], ""), &[]);
        let mut client = connect(gateway.listener("public"));
        let request = "POST /x HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\n\r\nbody";
        client.write_all(request.as_bytes()).unwrap();
        let (mut stream, _) = listener.accept().unwrap();
        until(&mut stream, if unread { "\r\n" } else { "\r\n\r\nbody" });
        stream
            .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc")
            .unwrap();
        until(&mut client, "\r\n\r\nabc");
        drop(stream);
        // A reset is as good an end of half a message.
        let mut rest = Vec::new();
        let _end = client.read_to_end(&mut rest);
        assert_eq!(rest, b"", "{unread}");
        let line = gateway.wait_for_all(&["\"path\":\"/x\"", "\"error\":\"response_broken\""]);
        assert!(line.contains("\"complete\":false"), "{line}");
    }
}
