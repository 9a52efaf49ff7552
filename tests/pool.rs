//! The connections of an upstream: how many there are, who waits for one, and who gets it.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use crate::harness::frames::{
    CANCEL, DATA, END_HEADERS, HEADERS, Http2, Outcome, RST_STREAM, get_fields, head,
};
use crate::harness::http::read_answer;
use crate::harness::recorder::{Recorder, Wire};
use crate::harness::{Configuration, Gateway, Origin, get};

pub(crate) const OK: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

/// `upstream` are further lines of its table.
pub(crate) fn config(address: SocketAddr, upstream: &str) -> Configuration {
    Configuration::new()
        .access_log()
        .upstream_with("origin", address, upstream)
        .route("all", "/**", "upstream = 'origin'")
}

pub(crate) const PATIENT: &str = "timeouts = { connect = '20s' }\npool = { max_connections = 1 }";

pub(crate) fn ask(gateway: &Gateway, path: &str) -> TcpStream {
    let mut client = TcpStream::connect(gateway.listener("public")).unwrap();
    let patience = Some(Duration::from_secs(20));
    client.set_read_timeout(patience).unwrap();
    client
        .write_all(format!("GET {path} HTTP/1.1\r\nhost: a\r\n\r\n").as_bytes())
        .unwrap();
    client
}

/// Waits until so many requests wait for a connection.
pub(crate) fn pending(gateway: &Gateway, count: f64) {
    let began = Instant::now();
    let line = r#"gateway_upstream_pending{upstream="origin"}"#;
    while gateway.metric(line) != count {
        assert!(began.elapsed() < Duration::from_secs(20), "not {count}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

pub(crate) fn refused(gateway: &Gateway, reason: &str) -> f64 {
    gateway.metric(&format!(
        "gateway_upstream_refused_total{{upstream=\"origin\",reason=\"{reason}\"}}"
    ))
}

/// Waits for the request for `path` on connection `at`, and answers it.
fn answer(upstream: &Recorder, at: usize, path: &str) {
    let line = format!("GET {path} HTTP/1.1\r\n");
    upstream.wait(&line, |wires| {
        wires.get(at)?.text().contains(&line).then_some(())
    });
    upstream.send(at, OK);
}

#[test]
fn an_idle_connection_of_another_worker_serves_who_finds_the_pool_full() {
    let origin = Origin::start();
    let gateway = Gateway::start(&config(origin.address, PATIENT).workers(4));
    // The kernel spreads them over the workers.
    for _ in 0..40 {
        let answer = get(gateway.listener("public"), "/x", &[]);
        assert_eq!(answer.status, 200, "{}", gateway.text());
        let open = gateway.metric(r#"gateway_upstream_connections{upstream="origin"}"#);
        assert_eq!(open, 1.0);
    }
}

#[test]
fn an_idle_connection_of_another_endpoint_makes_way() {
    let (one, two) = (Origin::start(), Origin::start());
    let (one, two) = (one.address, two.address);
    let upstream = format!("[upstreams.origin]\nendpoints = [\"{one}\", \"{two}\"]\n{PATIENT}");
    let config =
        Configuration::new()
            .workers(2)
            .with(&upstream)
            .route("all", "/**", "upstream = 'origin'");
    let gateway = Gateway::start(&config);
    for _ in 0..20 {
        let answer = get(gateway.listener("public"), "/x", &[]);
        assert_eq!(answer.status, 200, "{}", gateway.text());
    }
    let open = gateway.metric(r#"gateway_upstream_connections{upstream="origin"}"#);
    assert_eq!(open, 1.0);
}

#[test]
fn an_idle_connection_of_an_endpoint_that_a_reload_removed_makes_way() {
    let (one, two) = (Origin::start(), Origin::start());
    let gateway = Gateway::start(&config(one.address, PATIENT));
    assert_eq!(get(gateway.listener("public"), "/x", &[]).status, 200);
    gateway.configure(&config(two.address, PATIENT));
    assert_eq!(gateway.post("/reload").status, 200);
    assert_eq!(get(gateway.listener("public"), "/x", &[]).status, 200);
    assert_eq!(two.seen().len(), 1);
}

#[test]
fn who_finds_the_pool_full_waits_its_turn_and_all_are_served_on_one_connection() {
    let upstream = Recorder::start();
    let gateway = Gateway::start(&config(upstream.address, PATIENT).workers(2));
    let mut clients = vec![ask(&gateway, "/0")];
    upstream.head(0);
    for at in 1..6 {
        clients.push(ask(&gateway, &format!("/{at}")));
        pending(&gateway, f64::from(at));
    }
    for (at, client) in clients.iter_mut().enumerate() {
        answer(&upstream, 0, &format!("/{at}"));
        assert_eq!(read_answer(client).status, 200);
    }
    pending(&gateway, 0.0);
    assert_eq!(upstream.counts(), (1, 1));
}

#[test]
fn the_place_of_a_connection_that_closes_goes_to_who_waits() {
    let upstream = Recorder::start();
    let gateway = Gateway::start(&config(upstream.address, PATIENT));
    let mut first = ask(&gateway, "/0");
    upstream.head(0);
    let mut second = ask(&gateway, "/1");
    pending(&gateway, 1.0);
    upstream.send(
        0,
        b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok",
    );
    assert_eq!(read_answer(&mut first).status, 200);
    answer(&upstream, 1, "/1");
    assert_eq!(read_answer(&mut second).status, 200);
}

#[test]
fn over_what_may_wait_a_request_is_503_at_once() {
    let upstream = Recorder::start();
    let lines = format!("{PATIENT}\nbreaker = {{ max_pending = 1 }}");
    let gateway = Gateway::start(&config(upstream.address, &lines));
    let mut first = ask(&gateway, "/0");
    upstream.head(0);
    let mut second = ask(&gateway, "/1");
    pending(&gateway, 1.0);
    let third = get(gateway.listener("public"), "/2", &[]);
    assert_eq!(third.status, 503);
    assert_eq!(third.header("retry-after"), Some("1"));
    assert_eq!(refused(&gateway, "queue_full"), 1.0);
    for (at, client) in [&mut first, &mut second].into_iter().enumerate() {
        answer(&upstream, 0, &format!("/{at}"));
        assert_eq!(read_answer(client).status, 200);
    }
}

#[test]
fn where_none_may_wait_a_full_pool_is_503_at_once() {
    let upstream = Recorder::start();
    let lines = format!("{PATIENT}\nbreaker = {{ max_pending = 0 }}");
    let gateway = Gateway::start(&config(upstream.address, &lines));
    let mut first = ask(&gateway, "/0");
    upstream.head(0);
    assert_eq!(get(gateway.listener("public"), "/1", &[]).status, 503);
    answer(&upstream, 0, "/0");
    assert_eq!(read_answer(&mut first).status, 200);
}

#[test]
fn a_client_that_leaves_gives_up_its_place() {
    let upstream = Recorder::start();
    let lines = format!("{PATIENT}\nbreaker = {{ max_pending = 2 }}");
    let gateway = Gateway::start(&config(upstream.address, &lines));
    let mut first = ask(&gateway, "/0");
    upstream.head(0);
    let mut leaving = Http2::connect(gateway.listener("public"));
    leaving.get(1, "/left");
    pending(&gateway, 1.0);
    let mut last = ask(&gateway, "/last");
    pending(&gateway, 2.0);
    leaving.frame(RST_STREAM, 0, 1, &CANCEL.to_be_bytes());
    pending(&gateway, 1.0);
    answer(&upstream, 0, "/0");
    assert_eq!(read_answer(&mut first).status, 200);
    answer(&upstream, 0, "/last");
    assert_eq!(read_answer(&mut last).status, 200);
    let seen = upstream.wait("all", |wires| Some(wires[0].text()));
    assert!(!seen.contains("/left"), "{seen}");
}

#[test]
fn a_route_whose_time_is_over_gives_up_its_place_and_is_504() {
    let upstream = Recorder::start();
    let config = config(upstream.address, PATIENT).route(
        "short",
        "/short",
        "upstream = 'origin'\ntimeout = '200ms'",
    );
    let gateway = Gateway::start(&config);
    let mut first = ask(&gateway, "/0");
    upstream.head(0);
    assert_eq!(get(gateway.listener("public"), "/short", &[]).status, 504);
    pending(&gateway, 0.0);
    answer(&upstream, 0, "/0");
    assert_eq!(read_answer(&mut first).status, 200);
}

#[test]
fn more_clients_than_connections_are_all_served_by_no_more_connections() {
    let origin = Origin::start();
    let lines = "timeouts = { connect = '20s' }\npool = { max_connections = 4 }";
    let gateway = Gateway::start(&config(origin.address, lines).workers(2));
    let public = gateway.listener("public");
    let clients: Vec<_> = (0..16)
        .map(|_| {
            std::thread::spawn(move || {
                let mut client = TcpStream::connect(public).unwrap();
                for _ in 0..200 {
                    client
                        .write_all(b"GET /x HTTP/1.1\r\nhost: a\r\n\r\n")
                        .unwrap();
                    assert_eq!(read_answer(&mut client).status, 200);
                }
            })
        })
        .collect();
    clients
        .into_iter()
        .for_each(|client| client.join().unwrap());
    let open = gateway.metric(r#"gateway_upstream_connections{upstream="origin"}"#);
    assert!((1.0..=4.0).contains(&open), "{open}");
    pending(&gateway, 0.0);
    assert_eq!(refused(&gateway, "queue_timeout"), 0.0);
}

#[test]
fn a_limit_that_a_reload_raises_serves_who_waits_and_counts_what_is_open() {
    let upstream = Recorder::start();
    let gateway = Gateway::start(&config(upstream.address, PATIENT));
    let mut clients = vec![ask(&gateway, "/0")];
    upstream.head(0);
    clients.extend([ask(&gateway, "/1"), ask(&gateway, "/2")]);
    pending(&gateway, 2.0);
    gateway.configure(&config(upstream.address, &PATIENT.replace("= 1 ", "= 2 ")));
    assert_eq!(gateway.post("/reload").status, 200);
    upstream.head(1);
    pending(&gateway, 1.0);
    assert_eq!(upstream.counts().1, 2);
    upstream.send(0, OK);
    upstream.send(1, OK);
    upstream.wait("the third request", |wires| {
        let third = |wire: &Wire| wire.text().matches("GET ").count() == 2;
        let at = wires.iter().position(third)?;
        Some(at)
    });
    assert_eq!(upstream.counts().0, 2);
}

#[test]
fn a_limit_that_a_reload_lowers_counts_what_is_open() {
    let upstream = Recorder::start();
    let two = PATIENT.replace("= 1 ", "= 2 ");
    let gateway = Gateway::start(&config(upstream.address, &two));
    let (mut first, mut second) = (ask(&gateway, "/0"), ask(&gateway, "/1"));
    upstream.head(1);
    gateway.configure(&config(upstream.address, PATIENT));
    assert_eq!(gateway.post("/reload").status, 200);
    let mut third = ask(&gateway, "/2");
    pending(&gateway, 1.0);
    for at in [0, 1] {
        upstream.send(at, OK);
    }
    assert_eq!(read_answer(&mut first).status, 200);
    assert_eq!(read_answer(&mut second).status, 200);
    upstream.wait("the third request", |wires| {
        let third = |wire: &Wire| wire.text().contains("GET /2 ");
        wires.iter().any(third).then_some(())
    });
    // The other one goes.
    upstream.wait("the end of one", |wires| {
        (wires.iter().filter(|wire| !wire.ended).count() == 1).then_some(())
    });
    let at = upstream.wait("", |wires| wires.iter().position(|wire| !wire.ended));
    upstream.send(at, OK);
    assert_eq!(read_answer(&mut third).status, 200);
}

/// Sends a body in pieces of so many bytes, ten a second, until it is answered.
fn trickle(client: &mut TcpStream, piece: usize) -> u16 {
    let pause = Duration::from_millis(100);
    client.set_read_timeout(Some(pause)).unwrap();
    let chunk = format!("{piece:x}\r\n{}\r\n", "x".repeat(piece));
    for _ in 0..40 {
        // The gateway may have answered and closed.
        let _ended = client.write_all(chunk.as_bytes());
        if client.peek(&mut [0]).is_ok() {
            break;
        }
    }
    client.set_read_timeout(Some(pause * 100)).unwrap();
    let _ended = client.write_all(b"0\r\n\r\n");
    read_answer(client).status
}

const CHUNKED: &[u8] = b"POST /x HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n";

#[test]
fn a_body_that_comes_too_slowly_is_408_and_gives_its_upstream_connection_back() {
    let upstream = Recorder::start();
    let slow = config(upstream.address, PATIENT).public("limits = { body_idle = '1s' }");
    let gateway = Gateway::start(&slow);
    let mut client = TcpStream::connect(gateway.listener("public")).unwrap();
    client.write_all(CHUNKED).unwrap();
    // 100 bytes a second, where 240 are the least.
    assert_eq!(trickle(&mut client, 10), 408);
    upstream.ended(0);
    gateway.wait_for("\"error\":\"body_timeout\"");
    let failures = r#"gateway_upstream_failures_total{upstream="origin",kind="body_timeout"}"#;
    assert_eq!(gateway.metric(failures), 0.0);
}

#[test]
fn a_body_that_is_fast_enough_or_need_not_be_may_take_its_time() {
    let origin = Origin::start();
    // All longer than `body_idle`. A machine may stand still for the most of that: one piece in it is enough, or two.
    for (limits, piece) in [
        ("", 500),
        ("body_rate = '20B'", 20),
        ("body_rate = '0B'", 1),
    ] {
        let limits = format!("limits = {{ body_idle = '2s', {limits} }}");
        let gateway = Gateway::start(&config(origin.address, PATIENT).public(&limits));
        let mut client = TcpStream::connect(gateway.listener("public")).unwrap();
        client.write_all(CHUNKED).unwrap();
        assert_eq!(trickle(&mut client, piece), 200, "{limits}: {piece}");
    }
}

#[test]
fn the_time_that_an_upstream_takes_for_a_body_is_not_the_clients() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let slow = config(listener.local_addr().unwrap(), PATIENT);
    let limits = "limits = { body = '0B', body_idle = '700ms', body_rate = '1MiB' }";
    let gateway = Gateway::start(&slow.public(limits));
    let mut client = TcpStream::connect(gateway.listener("public")).unwrap();
    let length: usize = 24 << 20;
    let head = format!("POST /x HTTP/1.1\r\nhost: a\r\ncontent-length: {length}\r\n\r\n");
    client.write_all(head.as_bytes()).unwrap();
    let sending = {
        let mut client = client.try_clone().unwrap();
        std::thread::spawn(move || client.write_all(&vec![b'x'; length]).unwrap())
    };
    let (mut upstream, _) = listener.accept().unwrap();
    // Longer than the client may take for less.
    std::thread::sleep(Duration::from_millis(2_000));
    let mut read = 0;
    let mut chunk = vec![0; 1 << 20];
    while read < length {
        read += upstream.read(&mut chunk).unwrap();
    }
    upstream.write_all(OK).unwrap();
    sending.join().unwrap();
    assert_eq!(read_answer(&mut client).status, 200, "{}", gateway.text());
}

#[test]
fn a_slow_body_over_http_2_is_408_too_and_its_neighbour_goes_on() {
    let upstream = Recorder::start();
    let lines = "pool = { max_connections = 2 }";
    let slow = config(upstream.address, lines).public("limits = { body_idle = '1s' }");
    let gateway = Gateway::start(&slow);
    let mut client = Http2::connect(gateway.listener("public"));
    let mut post = get_fields("/slow");
    post[0].1 = "POST";
    client.frame(HEADERS, END_HEADERS, 1, &head(&post));
    client.frame(DATA, 0, 1, b"x");
    upstream.head(0);
    client.get(3, "/next");
    upstream.head(1);
    let began = Instant::now();
    while upstream.wait("", |wires| Some(!wires[0].ended)) {
        assert!(began.elapsed() < Duration::from_secs(20), "it goes on");
        client.frame(DATA, 0, 1, b"x");
        std::thread::sleep(Duration::from_millis(100));
    }
    upstream.send(1, OK);
    assert_eq!(client.outcome(3), Outcome::Answer(200, 2));
    gateway.wait_for_all(&["\"path\":\"/slow\"", "\"status\":408"]);
}
