//! What an endpoint of HTTP/2 allows, and how long routes wait for it.

use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc::channel;
use std::time::Duration;

use crate::harness::frames::SETTINGS;
use crate::harness::gateway::PATIENCE;
use crate::harness::h2_origin::{FrameOrigin, Link};
use crate::harness::{Configuration, Gateway, get};

/// SETTINGS_MAX_CONCURRENT_STREAMS of so many.
fn most(streams: u32) -> [(u16, u32); 1] {
    [(3, streams)]
}

fn allow(link: &mut Link, streams: u32) {
    let payload = [&3_u16.to_be_bytes()[..], &streams.to_be_bytes()].concat();
    link.send(SETTINGS, 0, 0, &payload);
}

fn serve(mut link: Link) -> Option<()> {
    link.begin(&most(100))?;
    loop {
        let stream = link.request()?;
        link.answer(stream);
    }
}

fn gateway(origin: SocketAddr, upstream: &str) -> Gateway {
    let config = Configuration::new()
        .workers(1)
        .upstream_with("a", origin, &format!("protocol = 'h2'\n{upstream}"))
        .route("a", "/**", "upstream = 'a'");
    Gateway::start(&config)
}

#[test]
fn a_connection_that_takes_none_any_more_gets_none_and_is_closed() {
    let is_first = AtomicBool::new(true);
    let (closed, closes) = channel();
    let closed = Mutex::new(closed);
    let origin = FrameOrigin::start(move |mut link| {
        if !is_first.swap(false, Relaxed) {
            serve(link);
            return;
        }
        let mut begin = || {
            link.begin(&most(100))?;
            let stream = link.request()?;
            allow(&mut link, 0);
            link.answer(stream);
            // Whatever comes then is not answered.
            while link.read().is_some() {}
            Some(())
        };
        begin();
        closed.lock().unwrap().send(()).unwrap();
    });
    let gateway = gateway(origin.address, "pool = { idle_timeout = '1s' }");
    let public = gateway.listener("public");
    for _ in 0..3 {
        assert_eq!(get(public, "/x", &[]).status, 200, "{}", gateway.text());
    }
    assert_eq!(origin.connections(), 2);
    closes.recv_timeout(PATIENCE).unwrap();
}

#[test]
fn a_connection_that_takes_more_from_now_on_gets_more() {
    let origin = FrameOrigin::start(|mut link| {
        let mut serve = || {
            link.begin(&most(1))?;
            let held = link.request()?;
            allow(&mut link, 100);
            let other = link.request()?;
            link.answer(other);
            link.answer(held);
            link.read()?;
            Some(())
        };
        serve();
    });
    let gateway = gateway(
        origin.address,
        "pool = { max_connections = 1 }\ntimeouts = { connect = '20s' }",
    );
    let public = gateway.listener("public");
    let ask = || std::thread::spawn(move || get(public, "/x", &[]).status);
    let both = [ask(), ask()].map(|asked| asked.join().unwrap());
    assert_eq!(both, [200, 200], "{}", gateway.text());
}

#[test]
fn a_route_that_does_not_wait_long_fails_no_other() {
    let origin = FrameOrigin::start(|mut link| {
        std::thread::sleep(Duration::from_millis(200));
        let mut serve = || {
            link.begin(&most(100))?;
            let stream = link.request()?;
            link.answer(stream);
            link.go_away(stream, 0);
            while link.read().is_some() {}
            Some(())
        };
        serve();
    });
    let route = |connect: &str| format!("upstream = 'a'\ntimeouts = {{ connect = '{connect}' }}");
    let config = Configuration::new()
        .workers(1)
        .upstream_with(
            "a",
            origin.address,
            "protocol = 'h2'\ntimeouts = { connect = '20s' }",
        )
        .route("hasty", "/hasty", &route("20ms"))
        .route("patient", "/patient", &route("20s"));
    let gateway = Gateway::start(&config);
    let public = gateway.listener("public");
    let over = std::sync::Arc::new(AtomicBool::new(false));
    let hasty = {
        let over = over.clone();
        std::thread::spawn(move || {
            while !over.load(Relaxed) {
                get(public, "/hasty", &[]);
            }
        })
    };
    for _ in 0..8 {
        let answer = get(public, "/patient", &[]);
        assert_eq!(answer.status, 200, "{}", gateway.text());
    }
    over.store(true, Relaxed);
    hasty.join().unwrap();
}
