//! Clients that leave: what hangs on their requests ends with them, and is recorded as 499.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use rustls::version::TLS13;
use socket2::SockRef;

use crate::harness::frames::Http2;
use crate::harness::http::{connect, read_answer, until};
use crate::harness::recorder::Recorder;
use crate::harness::tls::{Certificate, Tls};
use crate::harness::{Configuration, Gateway};

/// Longer than a test waits for anything.
const PATIENT: &str = "timeouts = { first_byte = '300s' }";

fn config(origin: SocketAddr) -> Configuration {
    Configuration::new()
        .access_log()
        .upstream_with("origin", origin, PATIENT)
        .route("all", "/**", "timeout = '300s'\nupstream = 'origin'")
}

fn ask(address: SocketAddr, path: &str, version: &str) -> TcpStream {
    let mut stream = connect(address);
    write!(stream, "GET {path} {version}\r\nhost: a\r\n\r\n").unwrap();
    stream
}

/// Has the kernel say RST.
fn reset(stream: TcpStream) {
    let now = Some(Duration::ZERO);
    SockRef::from(&stream).set_linger(now).unwrap();
}

/// One line of that path says that the client left before it had an answer.
fn assert_left(gateway: &Gateway, path: &str) {
    let line = gateway.wait_for(&format!("\"path\":\"{path}\""));
    for part in ["\"status\":499", "\"error\":\"client_closed\""] {
        assert!(line.contains(part), "{part}: {line}");
    }
}

const OK: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

#[test]
fn a_client_that_leaves_before_the_answer_takes_the_request_upstream_with_it() {
    let upstream = Recorder::start();
    let gateway = Gateway::start(&config(upstream.address));
    let public = gateway.listener("public");
    let mut at = 0;
    for version in ["HTTP/1.1", "HTTP/1.0"] {
        for how in ["fin", "rst"] {
            let path = format!("/{how}/{version}");
            let client = ask(public, &path, version);
            upstream.head(at);
            match how {
                "fin" => client.shutdown(Shutdown::Write).unwrap(),
                _ => reset(client),
            }
            upstream.ended(at);
            assert_left(&gateway, &path);
            at += 1;
        }
    }
    let mut h2 = Http2::connect(public);
    h2.get(1, "/h2");
    upstream.head(at);
    drop(h2);
    upstream.ended(at);
    assert_left(&gateway, "/h2");
    let counted = r#"gateway_requests_total{route="all",status="499"}"#;
    assert_eq!(gateway.metric(counted), 5.0);
}

#[test]
fn a_client_that_leaves_an_answer_that_pauses_takes_the_rest_with_it() {
    let upstream = Recorder::start();
    let gateway = Gateway::start(&config(upstream.address));
    for (at, how) in ["fin", "rst"].into_iter().enumerate() {
        let mut client = ask(gateway.listener("public"), "/events", "HTTP/1.1");
        upstream.head(at);
        upstream.send(at, b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nabc");
        let mut read = Vec::new();
        while !read.ends_with(b"abc") {
            let mut byte = [0];
            client.read_exact(&mut byte).unwrap();
            read.push(byte[0]);
        }
        match how {
            "fin" => client.shutdown(Shutdown::Write).unwrap(),
            _ => reset(client),
        }
        upstream.ended(at);
    }
    let line = gateway.wait_for("\"path\":\"/events\"");
    for part in ["\"status\":200", "\"complete\":false", "client_closed"] {
        assert!(line.contains(part), "{part}: {line}");
    }
}

/// However the end is said: by TLS, by TCP alone, or by RST.
#[test]
fn a_client_leaves_tls_as_it_leaves_tcp() {
    let upstream = Recorder::start();
    let directory = tempfile::tempdir().unwrap();
    let certificate = Certificate::new(&["a"]);
    certificate.write(directory.path(), "a");
    let tls = "tls = { certificates = [{ cert = 'a.pem', key = 'a.key' }] }";
    let config = config(upstream.address).listener("secure", tls);
    let gateway = Gateway::start_in(directory, &config, &[]);
    let client = Tls::new(&[&certificate], &TLS13, &["http/1.1"]);
    for (at, how) in ["notify", "fin", "rst"].into_iter().enumerate() {
        let tcp = connect(gateway.listener("secure"));
        let mut stream = client.over(tcp.try_clone().unwrap(), "a");
        write!(stream, "GET /{how} HTTP/1.1\r\nhost: a\r\n\r\n").unwrap();
        upstream.head(at);
        match how {
            "notify" => stream.say_end(),
            "fin" => tcp.shutdown(Shutdown::Write).unwrap(),
            _ => {
                drop(stream);
                reset(tcp);
            }
        }
        upstream.ended(at);
        assert_left(&gateway, &format!("/{how}"));
    }
}

/// What a client sends while its request is served is kept, and served in its turn.
#[test]
fn what_comes_behind_a_request_that_is_served_is_served_next() {
    let upstream = Recorder::start();
    let gateway = Gateway::start(&config(upstream.address));
    let mut client = ask(gateway.listener("public"), "/one", "HTTP/1.1");
    upstream.head(0);
    let more = "POST /two HTTP/1.1\r\nhost: a\r\ncontent-length: 10000\r\n\r\n";
    let more = format!(
        "{more}{}GET /three HTTP/1.1\r\nhost: a\r\n\r\n",
        "x".repeat(10_000)
    );
    for piece in more.as_bytes().chunks(999) {
        client.write_all(piece).unwrap();
        // In pieces that the gateway meets one by one.
        std::thread::sleep(Duration::from_millis(2));
    }
    for path in ["/one", "/two", "/three"] {
        let asked = format!(" {path} HTTP/1.1");
        upstream.wait(path, |wires| wires[0].text().contains(&asked).then_some(()));
        if path == "/two" {
            upstream.wait("the body", |wires| {
                wires[0]
                    .text()
                    .contains("xxx\r\n\r\n")
                    .then_some(())
                    .or_else(|| {
                        let body = wires[0].bytes.iter().filter(|byte| **byte == b'x').count();
                        (body >= 10_000).then_some(())
                    })
            });
        }
        upstream.send(0, OK);
        assert_eq!(read_answer(&mut client).text(), "ok", "{path}");
    }
    assert_eq!(upstream.counts().0, 1);
}

/// Also where what was sent ahead fills all that is read ahead.
#[test]
fn an_end_behind_requests_that_wait_ends_the_one_that_is_served() {
    let upstream = Recorder::start();
    let gateway = Gateway::start(&config(upstream.address));
    let cases = [(40, "rst"), (100_000, "rst"), (40, "fin"), (100_000, "fin")];
    for (at, (ahead, how)) in cases.into_iter().enumerate() {
        let path = format!("/served/{ahead}/{how}");
        let mut client = ask(gateway.listener("public"), &path, "HTTP/1.1");
        upstream.head(at);
        let behind = "POST /behind HTTP/1.1\r\nhost: a\r\ncontent-length: 1000000\r\n\r\n";
        client.write_all(behind.as_bytes()).unwrap();
        client.write_all(&vec![b'x'; ahead]).unwrap();
        match how {
            "fin" => client.shutdown(Shutdown::Write).unwrap(),
            _ => reset(client),
        }
        upstream.ended(at);
        assert_left(&gateway, &path);
    }
}

/// A body that goes nowhere is not read, and what follows it in the socket not seen.
#[test]
fn a_reset_ends_an_upload_that_the_upstream_does_not_take() {
    let upstream = TcpListener::bind("127.0.0.1:0").unwrap();
    let gateway = Gateway::start(&config(upstream.local_addr().unwrap()));
    let mut client = connect(gateway.listener("public"));
    let head = "POST /up HTTP/1.1\r\nhost: a\r\ncontent-length: 10000000\r\n\r\n";
    client.write_all(head.as_bytes()).unwrap();
    client.write_all(b"begun").unwrap();
    let (_stalled, _) = upstream.accept().unwrap();
    client
        .set_write_timeout(Some(Duration::from_millis(500)))
        .unwrap();
    // Until nobody takes more.
    while client.write(&[b'x'; 1 << 16]).is_ok() {}
    reset(client);
    assert_left(&gateway, "/up");
}

#[test]
fn a_sub_request_of_a_plugin_ends_with_the_client() {
    let upstream = Recorder::start();
    let config = Configuration::new()
        .access_log()
        .probed(upstream.address, "timeout = '60s'");
    let gateway = Gateway::start(&config);
    let client = ask(gateway.listener("public"), "/probe/send", "HTTP/1.1");
    upstream.head(0);
    drop(client);
    upstream.ended(0);
    assert_left(&gateway, "/probe/send");
}

#[test]
fn a_client_that_has_said_all_is_answered_where_the_listener_says_so() {
    let upstream = Recorder::start();
    let config = config(upstream.address).public("half_close = 'answer'");
    let gateway = Gateway::start(&config);
    let public = gateway.listener("public");
    for (at, version) in ["HTTP/1.1", "HTTP/1.0"].into_iter().enumerate() {
        let mut client = ask(public, "/half", version);
        upstream.head(at);
        client.shutdown(Shutdown::Write).unwrap();
        std::thread::sleep(Duration::from_millis(50));
        upstream.send(at, OK);
        let answer = read_answer(&mut client);
        assert_eq!((answer.status, answer.text().as_str()), (200, "ok"));
        assert_eq!(client.read(&mut [0]).unwrap(), 0);
        upstream.close(at);
    }
    // Both at once, and then it is gone altogether.
    let mut client = connect(public);
    write!(client, "GET /gone HTTP/1.1\r\nhost: a\r\n\r\n").unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    upstream.head(2);
    reset(client);
    upstream.ended(2);
    assert_left(&gateway, "/gone");
}

/// What is made at once is there before the end is seen.
#[test]
fn an_answer_that_waits_for_nobody_reaches_a_client_that_has_said_all() {
    let config =
        Configuration::new().route("here", "/**", "respond = { status = 200, body = 'here' }");
    let gateway = Gateway::start(&config);
    let mut client = connect(gateway.listener("public"));
    write!(client, "GET / HTTP/1.1\r\nhost: a\r\n\r\n").unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    assert_eq!(read_answer(&mut client).text(), "here");
}

/// A tunnel is left half open for as long as one side has something to say; a client that ends before there is one has
/// left.
#[test]
fn an_end_is_passed_on_through_a_tunnel_and_ends_a_request_for_one() {
    let upstream = Recorder::start();
    let gateway = Gateway::start(&config(upstream.address));
    let public = gateway.listener("public");
    let asks = "GET /ws HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n";
    let mut client = connect(public);
    client.write_all(asks.as_bytes()).unwrap();
    upstream.head(0);
    let switched =
        "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n";
    upstream.send(0, switched.as_bytes());
    until(&mut client, "\r\n\r\n");
    client.write_all(b"ping").unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    upstream.ended(0);
    assert!(upstream.body(0).ends_with(b"ping"));
    upstream.send(0, b"pong");
    upstream.close(0);
    let mut rest = Vec::new();
    client.read_to_end(&mut rest).unwrap();
    assert_eq!(rest, b"pong");

    let mut client = connect(public);
    client.write_all(asks.as_bytes()).unwrap();
    upstream.head(1);
    client.shutdown(Shutdown::Write).unwrap();
    upstream.ended(1);
}
