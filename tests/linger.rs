//! A client that still sends when it is refused reads the refusal: the gateway takes in what it sends for a while.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::harness::http::read_answer;
use crate::harness::{Configuration, Gateway};

fn start(grace: &str) -> Gateway {
    let config = Configuration::new()
        .workers(2)
        .server(&format!("grace = '{grace}'"))
        .public("limits = { body = '1KiB', header_bytes = '2KiB' }")
        .route("all", "/**", "respond = { status = 200 }");
    Gateway::start(&config)
}

/// A client whose request is refused for its length before its body comes.
fn refused(gateway: &Gateway) -> TcpStream {
    let mut stream = TcpStream::connect(gateway.listener("public")).unwrap();
    let patience = Some(Duration::from_secs(20));
    stream.set_read_timeout(patience).unwrap();
    stream
        .write_all(b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 1000000\r\n\r\n")
        .unwrap();
    stream
}

/// Sends a bit now and then; how long that went well, at most `most`.
fn send_for(stream: &mut TcpStream, most: Duration) -> Duration {
    let began = Instant::now();
    while began.elapsed() < most && stream.write_all(&[b'x'; 100]).is_ok() {
        std::thread::sleep(Duration::from_millis(100));
    }
    began.elapsed()
}

#[test]
fn who_still_sends_after_an_early_refusal_is_not_reset_before_it_reads() {
    let gateway = start("20s");
    let most = Duration::from_secs(3);
    let mut body = refused(&gateway);
    let mut head = TcpStream::connect(gateway.listener("public")).unwrap();
    head.write_all(b"GET / HTTP/1.1\r\nhost: a\r\nx: ").unwrap();
    head.write_all(&[b'x'; 4096]).unwrap();
    let lasted = std::thread::scope(|scope| {
        let other = scope.spawn(|| send_for(&mut head, most));
        [send_for(&mut body, most), other.join().unwrap()]
    });
    assert!(lasted.iter().all(|lasted| *lasted >= most), "{lasted:?}");
    assert_eq!(read_answer(&mut body).status, 413);
    assert_eq!(read_answer(&mut head).status, 431);
}

#[test]
fn who_was_refused_and_sends_nothing_for_five_seconds_is_closed() {
    let gateway = start("20s");
    let began = Instant::now();
    let mut stream = refused(&gateway);
    assert_eq!(read_answer(&mut stream).status, 413);
    assert_eq!(stream.read(&mut [0]).unwrap(), 0);
    let open = "gateway_connections{listener=\"public\"}";
    while gateway.metric(open) > 0.0 {
        // Who still sends is closed after thirty.
        assert!(began.elapsed() < Duration::from_secs(25));
        std::thread::sleep(Duration::from_millis(50));
    }
    let lasted = began.elapsed();
    assert!(lasted >= Duration::from_secs(5), "{lasted:?}");
}

#[test]
fn who_was_refused_is_let_go_with_the_grace() {
    let gateway = start("1s");
    let mut stream = refused(&gateway);
    let mut head = [0; 12];
    stream.read_exact(&mut head).unwrap();
    assert_eq!(&head, b"HTTP/1.1 413");
    gateway.signal("TERM");
    gateway.wait_for("draining");
    // Without a drain it would be thirty seconds.
    let most = Duration::from_secs(20);
    assert!(send_for(&mut stream, most) < most);
    gateway.assert_drained();
}

/// The bound is of the whole process; it is the oldest that is cut.
#[test]
fn a_thousand_linger_at_once_and_the_next_takes_the_place_of_the_oldest() {
    let gateway = start("20s");
    let mut all: Vec<_> = (0..1_010).map(|_| refused(&gateway)).collect();
    for stream in &mut all {
        assert_eq!(read_answer(stream).status, 413);
    }
    let open = "gateway_connections{listener=\"public\"}";
    let began = Instant::now();
    while gateway.metric(open) > 1_000.0 {
        assert!(began.elapsed() < Duration::from_secs(20));
        // None of them goes because it is silent.
        for stream in &mut all {
            let _cut = stream.write_all(b"x");
        }
    }
    let last = all.last_mut().unwrap();
    assert!(send_for(last, Duration::from_millis(500)) >= Duration::from_millis(500));
}
