//! Whom an idle connection serves where none may wait, and what a lower limit of connections closes.

use std::io::Write;
use std::net::TcpStream;

use crate::harness::Gateway;
use crate::harness::Origin;
use crate::harness::http::read_answer;
use crate::harness::recorder::{Recorder, Wire};
use crate::pool::{OK, PATIENT, ask, config, pending, refused};

#[test]
fn an_idle_connection_of_another_worker_serves_where_none_may_wait() {
    let origin = Origin::start();
    let lines = format!("{PATIENT}\nbreaker = {{ max_pending = 0 }}");
    let gateway = Gateway::start(&config(origin.address, &lines).workers(2));
    // The kernel spreads them over the workers.
    let public = gateway.listener("public");
    let mut clients: Vec<_> = (0..16)
        .map(|_| TcpStream::connect(public).unwrap())
        .collect();
    for at in 0..48 {
        let client = &mut clients[at % 16];
        client
            .write_all(b"GET /x HTTP/1.1\r\nhost: a\r\n\r\n")
            .unwrap();
        assert_eq!(read_answer(client).status, 200, "{}", gateway.text());
    }
    assert_eq!(refused(&gateway, "queue_full"), 0.0);
}

/// A reload lowers the limit from four to this while four requests are held, before or after they are answered.
fn lowered(upstream: &Recorder, most: usize, before: bool) -> Gateway {
    let limit = |most: usize| PATIENT.replace("= 1 ", &format!("= {most} "));
    let gateway = Gateway::start(&config(upstream.address, &limit(4)).workers(1));
    let mut clients = Vec::new();
    for at in 0..4 {
        clients.push(ask(&gateway, &format!("/{at}")));
        upstream.head(at);
    }
    let reload = || {
        gateway.configure(&config(upstream.address, &limit(most)).workers(1));
        assert_eq!(gateway.post("/reload").status, 200);
    };
    if before {
        reload();
    }
    for (at, client) in clients.iter_mut().enumerate() {
        upstream.send(at, OK);
        assert_eq!(read_answer(client).status, 200);
    }
    if !before {
        reload();
    }
    gateway
}

/// Those that idle when the reload comes are not closed yet.
#[test]
fn no_kept_connection_serves_beyond_a_limit_that_a_reload_lowers() {
    let upstream = Recorder::start();
    let gateway = lowered(&upstream, 1, false);
    let _clients = ["/a", "/b", "/c"].map(|path| ask(&gateway, path));
    pending(&gateway, 2.0);
}

#[test]
fn connections_beyond_a_limit_that_a_reload_lowers_are_closed_as_they_come_to_rest_or_idle() {
    for before in [true, false] {
        let upstream = Recorder::start();
        let gateway = lowered(&upstream, 1, before);
        upstream.wait("the end of three", |wires| {
            (wires.iter().filter(|wire| !wire.ended).count() == 1).then_some(())
        });
        let open = gateway.metric(r#"gateway_upstream_connections{upstream="origin"}"#);
        assert_eq!(open, 1.0);
        // The one that is left serves one at a time.
        let at = upstream.wait("", |wires| wires.iter().position(|wire| !wire.ended));
        let mut clients = ["/a", "/b", "/c"].map(|path| ask(&gateway, path));
        pending(&gateway, 2.0);
        for _ in 0..3 {
            assert_eq!(upstream.counts(), (4, 1));
            let seen = |wires: &[Wire]| wires[at].text().matches("GET ").count();
            let count = upstream.wait("", |wires| Some(seen(wires)));
            upstream.send(at, OK);
            let follows = |wires: &[Wire]| (seen(wires) > count || seen(wires) == 4).then_some(());
            upstream.wait("the next", follows);
        }
        for client in &mut clients {
            assert_eq!(read_answer(client).status, 200);
        }
    }
}
