//! Connections of HTTP/2 to an upstream and the workers that share their places; and clients that do not wait for one.

use std::io::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Condvar, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::Response;

use crate::harness::frames::{Http2, INITIAL_WINDOW};
use crate::harness::gateway::PATIENCE;
use crate::harness::h2_origin::{FrameOrigin, Link};
use crate::harness::http::connect;
use crate::harness::serving::Serving;
use crate::harness::{Configuration, Gateway, get};

/// SETTINGS_MAX_CONCURRENT_STREAMS.
const MOST: (u16, u32) = (3, 100);

fn gateway(workers: usize, origin: SocketAddr, upstream: &str) -> Gateway {
    let config = Configuration::new()
        .workers(workers)
        .access_log()
        .upstream_with("a", origin, &format!("protocol = 'h2'\n{upstream}"))
        .route("a", "/**", "upstream = 'a'");
    Gateway::start(&config)
}

/// Answers one request after the other, each of which takes a while: a connection with several is never idle.
fn serve_slowly(mut link: Link) -> Option<()> {
    link.begin(&[MOST])?;
    loop {
        let stream = link.request()?;
        std::thread::sleep(Duration::from_millis(5));
        link.answer(stream);
    }
}

#[test]
fn a_busy_connection_makes_way_for_a_worker_that_has_none() {
    let origin = FrameOrigin::start(|link| {
        serve_slowly(link);
    });
    let gateway = gateway(
        2,
        origin.address,
        "pool = { max_connections = 1 }\ntimeouts = { connect = '20s' }",
    );
    let public = gateway.listener("public");
    let client = move |_| {
        std::thread::spawn(move || (0..20).map(|_| get(public, "/x", &[]).status).collect())
    };
    let clients: Vec<_> = (0..8).map(client).collect();
    for client in clients {
        let statuses: Vec<u16> = client.join().unwrap();
        assert_eq!(statuses, [200; 20], "{}", gateway.text());
    }
    assert!(origin.connections() > 1, "one worker served all");
}

/// Something that is not yet, and then is.
#[derive(Default)]
struct Gate(Mutex<bool>, Condvar);

impl Gate {
    fn open(&self) {
        *self.0.lock().unwrap() = true;
        self.1.notify_all();
    }

    fn pass(&self) {
        let closed = self.1.wait_while(self.0.lock().unwrap(), |open| !*open);
        drop(closed.unwrap());
    }
}

#[test]
fn a_connection_is_opened_to_its_end_though_who_asked_for_it_leaves() {
    let gate = Arc::<Gate>::default();
    let settles = gate.clone();
    let origin = FrameOrigin::start(move |mut link| {
        settles.pass();
        link.begin(&[MOST]);
        while let Some(stream) = link.request() {
            link.answer(stream);
        }
    });
    let gateway = gateway(1, origin.address, "timeouts = { connect = '60s' }");
    let public = gateway.listener("public");
    for left in 1..=5 {
        let mut client = connect(public);
        client
            .write_all(b"GET /x HTTP/1.1\r\nhost: a\r\n\r\n")
            .unwrap();
        until("it is connected to", || origin.connections() > 0);
        drop(client);
        let gone = || gateway.text().matches("\"status\":499").count();
        until("the client has gone", || gone() == left);
    }
    gate.open();
    assert_eq!(get(public, "/x", &[]).status, 200);
    assert_eq!((origin.connections(), origin.requests()), (1, 1));
}

/// Sends of each answer what it is allowed to; how much it was, of all of them.
fn pouring() -> (Serving, Arc<AtomicU64>) {
    let sent = Arc::<AtomicU64>::default();
    let count = sent.clone();
    let serving = Serving::start(move |stream| {
        let sent = count.clone();
        async move {
            let Ok(mut connection) = h2::server::handshake(stream).await else {
                return;
            };
            while let Some(Ok((_, mut respond))) = connection.accept().await {
                let sent = sent.clone();
                tokio::spawn(async move {
                    let Ok(mut body) = respond.send_response(Response::new(()), false) else {
                        return;
                    };
                    body.reserve_capacity(1 << 20);
                    while let Some(Ok(room)) =
                        std::future::poll_fn(|cx| body.poll_capacity(cx)).await
                    {
                        if body.send_data(Bytes::from(vec![0; room]), false).is_err() {
                            return;
                        }
                        sent.fetch_add(room as u64, Relaxed);
                        body.reserve_capacity(1 << 20);
                    }
                });
            }
        }
    });
    (serving, sent)
}

/// In KiB: an answer may send so much ahead of its client (docs/upstream-tls.md), and what is on its way.
const AHEAD: u64 = 128 + 32;

#[test]
fn what_is_read_ahead_of_clients_that_do_not_read_is_bounded() {
    let (origin, sent) = pouring();
    let gateway = gateway(1, origin.address, "");
    let mut clients = Vec::new();
    for _ in 0..8 {
        let mut client = Http2::with(gateway.listener("public"), &[(INITIAL_WINDOW, 0)]);
        for stream in 0..100 {
            client.get(2 * stream + 1, "/x");
        }
        clients.push(client);
    }
    let (began, mut last) = (Instant::now(), 0);
    loop {
        std::thread::sleep(Duration::from_millis(500));
        let now = sent.load(Relaxed);
        if now == last && now > 0 {
            break;
        }
        assert!(now <= 800 * AHEAD * 1024, "{now} bytes for 800 answers");
        assert!(began.elapsed() < PATIENCE, "it still grows: {now}");
        last = now;
    }
    assert!(
        last >= 800 * (64 << 10),
        "{last} bytes: not all were asked for"
    );
}

fn until(what: &str, is: impl Fn() -> bool) {
    let began = Instant::now();
    while !is() {
        assert!(began.elapsed() < PATIENCE, "not in time: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
