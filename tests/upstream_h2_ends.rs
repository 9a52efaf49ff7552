//! How connections of HTTP/2 to upstreams end, and what that means for the requests on them.

use std::io::Write as _;
use std::net::SocketAddr;
use std::thread::JoinHandle;
use std::time::Duration;

use crate::harness::frames::{DATA, END_STREAM, HEADERS};
use crate::harness::h2_origin::{FrameOrigin, Link};
use crate::harness::http::{connect, read_answer};
use crate::harness::{Answer, Configuration, Gateway, get};

/// SETTINGS_MAX_CONCURRENT_STREAMS.
const MOST: (u16, u32) = (3, 100);

/// One worker before it. `upstream` and `route` are further lines of theirs.
fn gateway(origin: SocketAddr, upstream: &str, route: &str) -> Gateway {
    let config = Configuration::new()
        .access_log()
        .upstream_with("a", origin, &format!("protocol = 'h2'\n{upstream}"))
        .route("a", "/**", &format!("upstream = 'a'\n{route}"));
    Gateway::start(&config)
}

/// A POST whose body comes behind its head.
fn post(public: SocketAddr) -> Answer {
    let mut client = connect(public);
    client
        .write_all(b"POST /x HTTP/1.1\r\nhost: a\r\ncontent-length: 8\r\n\r\n")
        .unwrap();
    std::thread::sleep(Duration::from_millis(5));
    client.write_all(b"01234567").unwrap();
    read_answer(&mut client)
}

/// So many requests at once, every second one a POST.
fn at_once(public: SocketAddr, many: usize) -> Vec<JoinHandle<Answer>> {
    let ask = |at| {
        std::thread::spawn(move || match at % 2 {
            0 => get(public, "/x", &[]),
            _ => post(public),
        })
    };
    (0..many).map(ask).collect()
}

fn statuses(asked: Vec<JoinHandle<Answer>>) -> Vec<u16> {
    let asked = asked.into_iter();
    asked.map(|asked| asked.join().unwrap().status).collect()
}

/// Answers so many requests; the next one is left out, with all that follow.
fn serve_few(mut link: Link, few: usize) -> Option<()> {
    link.begin(&[MOST])?;
    let (mut begun, mut last) = (0, 0);
    loop {
        let frame = link.read()?;
        if frame.kind == HEADERS {
            begun += 1;
            if begun <= few {
                last = frame.stream;
            }
            if begun == few + 1 {
                link.go_away(last, 0);
            }
        }
        let ends = matches!(frame.kind, HEADERS | DATA) && frame.flags & END_STREAM != 0;
        if ends && frame.stream <= last {
            link.answer(frame.stream);
        }
    }
}

#[test]
fn what_a_goaway_leaves_out_goes_over_another_connection_whatever_the_method() {
    let origin = FrameOrigin::start(|link| drop(serve_few(link, 3)));
    let gateway = gateway(origin.address, "", "");
    let public = gateway.listener("public");
    for _ in 0..10 {
        let statuses = statuses(at_once(public, 8));
        assert_eq!(statuses, [200; 8], "{}", gateway.text());
    }
    let again = gateway.metric(r#"gateway_upstream_retries_total{upstream="a"}"#);
    assert_eq!(again, (origin.requests() - 80) as f64);
}
