//! How connections of HTTP/2 to upstreams end, and what that means for the requests on them.

use std::io::{Read as _, Write as _};
use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::mpsc::channel;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::harness::frames::{
    DATA, END_HEADERS, END_STREAM, ENHANCE_YOUR_CALM, HEADERS, INITIAL_WINDOW, PING,
    PROTOCOL_ERROR, RST_STREAM, WINDOW_UPDATE, frame,
};
use crate::harness::gateway::PATIENCE;
use crate::harness::h2_origin::{FrameOrigin, Link};
use crate::harness::http::{connect, read_answer};
use crate::harness::{Answer, Configuration, Gateway, get};

const MAX_HEADER_LIST_SIZE: u16 = 6;
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
    let origin = FrameOrigin::start(|link| {
        serve_few(link, 3);
    });
    let gateway = gateway(origin.address, "", "");
    let public = gateway.listener("public");
    for _ in 0..10 {
        let statuses = statuses(at_once(public, 8));
        assert_eq!(statuses, [200; 8], "{}", gateway.text());
    }
    // A GOAWAY may come before the head of a request has left the buffer of its connection: the endpoint did not see
    // what goes out again then.
    let again = gateway.metric(r#"gateway_upstream_retries_total{upstream="a"}"#);
    let came_again = origin.requests() - 80;
    assert!(came_again > 0, "nothing was left out");
    assert!(again >= came_again as f64, "{again} of {came_again}");
}

fn breaker_is_open(gateway: &Gateway) -> bool {
    gateway.metric(r#"gateway_upstream_breaker_open{upstream="a"}"#) > 0.0
}

/// Opens by the third failure.
const BREAKER: &str =
    "breaker = { failure_ratio = 0.1, min_requests = 3, window = '60s', open_for = '1h' }";

#[test]
fn what_ends_a_connection_with_an_error_is_not_sent_again_and_is_one_failure() {
    let origin = FrameOrigin::start(|mut link| {
        link.begin(&[MOST]);
        // All of them are taken, and one is the last straw.
        let taken: Vec<_> = (0..8).map_while(|_| link.request()).collect();
        let last = taken.iter().max().copied();
        link.go_away(last.unwrap_or_default(), ENHANCE_YOUR_CALM);
    });
    let gateway = gateway(origin.address, BREAKER, "");
    let statuses = statuses(at_once(gateway.listener("public"), 8));
    assert_eq!(statuses, [502; 8], "{}", gateway.text());
    assert_eq!((origin.connections(), origin.requests()), (1, 8));
    assert!(!breaker_is_open(&gateway));
}

#[test]
fn an_opening_that_fails_is_one_failure_whoever_waits_for_it() {
    let (began, begins) = channel();
    let (go, goes) = channel::<()>();
    let goes = Mutex::new(goes);
    let origin = FrameOrigin::start(move |link| {
        began.send(()).unwrap();
        // It is closed in the place of SETTINGS, when all wait.
        let _test_over = goes.lock().unwrap().recv();
        drop(link);
    });
    let patient = format!("timeouts = {{ connect = '60s' }}\n{BREAKER}");
    let gateway = gateway(origin.address, &patient, "");
    let asked = at_once(gateway.listener("public"), 8);
    begins.recv().unwrap();
    let pending = || gateway.metric(r#"gateway_upstream_pending{upstream="a"}"#);
    until("all wait", || pending() == 7.0);
    go.send(()).unwrap();
    assert_eq!(statuses(asked), [502; 8]);
    assert_eq!(origin.connections(), 1);
    assert!(!breaker_is_open(&gateway));
}

#[test]
fn a_head_that_the_endpoint_announces_not_to_take_stays_here() {
    let origin = FrameOrigin::start(|mut link| {
        link.begin(&[MOST, (MAX_HEADER_LIST_SIZE, 4096)]);
        while let Some(stream) = link.request() {
            link.answer(stream);
        }
    });
    let gateway = gateway(origin.address, BREAKER, "");
    let public = gateway.listener("public");
    let long = "x".repeat(8192);
    for _ in 0..4 {
        assert_eq!(get(public, "/x", &[("x-long", &long)]).status, 431);
        assert_eq!(get(public, "/x", &[]).status, 200);
    }
    assert_eq!((origin.connections(), origin.requests()), (1, 4));
    gateway.wait_for_all(&["\"status\":431", "\"error\":\"head_too_long\""]);
    assert!(!breaker_is_open(&gateway));
    let failures = "gateway_endpoint_failures_total{";
    let metrics = get(gateway.admin(), "/metrics", &[]).text();
    let failed = metrics
        .lines()
        .find(|it| it.starts_with(failures) && !it.ends_with(" 0"));
    assert_eq!(failed, None);
}

#[test]
fn an_answer_that_breaks_with_its_head_is_none() {
    let origin = FrameOrigin::start(|mut link| {
        link.begin(&[MOST]);
        while let Some(stream) = link.request() {
            // One segment, so that both are there at once.
            let head = frame(HEADERS, END_HEADERS, stream, &[0x88]);
            let reset = frame(RST_STREAM, 0, stream, &PROTOCOL_ERROR.to_be_bytes());
            link.stream.write_all(&[head, reset].concat()).unwrap();
        }
    });
    let gateway = gateway(origin.address, "", "");
    assert_eq!(get(gateway.listener("public"), "/x", &[]).status, 502);
}

#[test]
fn a_client_that_breaks_its_body_is_no_failure_of_the_endpoint() {
    let origin = FrameOrigin::start(|mut link| {
        link.begin(&[MOST]);
        // The answer begins with the head of the request.
        while let Some(frame) = link.read() {
            if frame.kind == HEADERS {
                link.send(HEADERS, END_HEADERS, frame.stream, &[0x88]);
                link.send(DATA, 0, frame.stream, b"begins");
            }
        }
    });
    let outlier = "outlier = { consecutive_failures = 1, ejection = '1h', max_ejected = 1.0 }";
    let gateway = gateway(origin.address, outlier, "");
    for _ in 0..3 {
        let mut client = connect(gateway.listener("public"));
        client
            .write_all(b"POST /x HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n")
            .unwrap();
        let mut read = Vec::new();
        while !read.windows(6).any(|part| part == b"begins") {
            let mut byte = [0];
            client.read_exact(&mut byte).unwrap();
            read.push(byte[0]);
        }
        client.write_all(b"zz\r\n").unwrap();
        // Until the gateway closes.
        let _rest = client.read_to_end(&mut read);
    }
    let broken = r#"gateway_upstream_failures_total{upstream="a",kind="response_broken"}"#;
    assert_eq!(gateway.metric(broken), 0.0, "{}", gateway.text());
}

#[test]
fn a_client_of_http_1_is_told_that_an_early_answer_ends_its_connection_or_it_serves_on() {
    let origin = FrameOrigin::start(|mut link| {
        link.begin(&[MOST]);
        while let Some(frame) = link.read() {
            if frame.kind == HEADERS {
                link.answer(frame.stream);
            }
        }
    });
    let gateway = gateway(origin.address, "", "");
    for _ in 0..10 {
        let mut client = connect(gateway.listener("public"));
        for _ in 0..3 {
            client
                .write_all(b"POST /x HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\na")
                .unwrap();
            std::thread::sleep(Duration::from_millis(20));
            // The gateway may have closed.
            let _closed = client.write_all(b"b");
            let answer = read_answer(&mut client);
            assert_eq!(answer.status, 200);
            if answer.header("connection") == Some("close") {
                break;
            }
        }
    }
}

#[test]
fn a_connection_whose_endpoint_reads_nothing_any_more_gives_its_place_back() {
    let origin = FrameOrigin::start(|mut link| {
        link.begin(&[MOST, (INITIAL_WINDOW, 1 << 30)]);
        link.send(WINDOW_UPDATE, 0, 0, &(1u32 << 30).to_be_bytes());
        // Answers to these cannot be written before long.
        while link.stream.write_all(&frame(PING, 0, 0, &[0; 8])).is_ok() {}
    });
    let gateway = gateway(
        origin.address,
        "timeouts = { first_byte = '300ms' }\npool = { max_connections = 1 }",
        "",
    );
    let public = gateway.listener("public");
    // No SETTINGS are acknowledged: it may answer or not, and ends.
    assert_ne!(get(public, "/x", &[]).status, 200);
    let open = || gateway.metric(r#"gateway_upstream_connections{upstream="a"}"#);
    until("its place is free", || open() == 0.0);
}

#[test]
fn a_check_of_health_leaves_no_connection_behind() {
    let (ended, ends) = channel();
    let origin = FrameOrigin::start(move |mut link| {
        link.begin(&[MOST]);
        while link.stream.write_all(&frame(PING, 0, 0, &[0; 8])).is_ok() {}
        // The test may be over.
        let _over = ended.send(());
    });
    // Long enough for all buffers to fill.
    let health = "health = { path = '/', interval = '50ms', timeout = '1500ms' }";
    let _gateway = gateway(origin.address, health, "");
    for _ in 0..2 {
        ends.recv_timeout(PATIENCE).unwrap();
    }
}

fn until(what: &str, is: impl Fn() -> bool) {
    let began = Instant::now();
    while !is() {
        assert!(began.elapsed() < PATIENCE, "not in time: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
