//! SIGTERM: nothing new, what is open ends well, and the process ends by itself.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use crate::harness::h2::{self, DATA, GOAWAY};
use crate::harness::http::{connect, read_answer, until};
use crate::harness::{Configuration, Gateway, Origin, get};

/// An upstream that waits to be told: each request shows its path, each answer is what the test says.
struct Told {
    address: SocketAddr,
    asked: Receiver<String>,
    say: Sender<Vec<u8>>,
}

impl Told {
    /// Serves one request after the other, each on a connection of its own; an empty word ends the answer.
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (ask, asked) = channel();
        let (say, said) = channel::<Vec<u8>>();
        std::thread::spawn(move || {
            for mut stream in listener.incoming().map_while(Result::ok) {
                let mut head = [0; 4096];
                let Ok(length) = stream.read(&mut head) else {
                    continue;
                };
                let head = String::from_utf8_lossy(&head[..length]).into_owned();
                let _over = ask.send(head.split(' ').nth(1).unwrap_or_default().to_owned());
                for word in said.iter().take_while(|word| !word.is_empty()) {
                    if stream.write_all(&word).is_err() {
                        break;
                    }
                }
            }
        });
        Self {
            address,
            asked,
            say,
        }
    }

    fn say(&self, word: &str) {
        self.say.send(word.as_bytes().to_vec()).unwrap();
    }
}

fn start(upstream: SocketAddr, grace: &str) -> Gateway {
    let config = Configuration::new()
        .workers(2)
        .server(&format!("grace = '{grace}'"))
        .public("limits = { header_timeout = '60s' }")
        .upstream("origin", upstream)
        .route("all", "/**", "upstream = 'origin'");
    Gateway::start(&config)
}

fn ask(stream: &mut TcpStream) {
    stream
        .write_all(b"GET /x HTTP/1.1\r\nhost: a\r\n\r\n")
        .unwrap();
}

/// The connection `told` becomes a tunnel.
fn upgraded(gateway: &Gateway, told: &Told) -> TcpStream {
    let mut client = connect(gateway.listener("public"));
    client
        .write_all(
            b"GET /ws HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n",
        )
        .unwrap();
    assert_eq!(told.asked.recv().unwrap(), "/ws");
    told.say(
        "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n",
    );
    assert_eq!(read_answer(&mut client).status, 101);
    client
}

/// Ended by itself, with 0, and without the end of the grace.
fn assert_ended_well(gateway: Gateway) {
    gateway.wait_for("drained");
    let text = gateway.text();
    assert!(!text.contains("the grace is over"), "{text}");
    gateway.assert_drained();
}

#[test]
fn a_kept_connection_lingers_is_answered_once_more_and_closed() {
    let origin = Origin::start();
    // It lingers for a second, for which a machine may stand still.
    let lingered = (0..5).any(|_| lingers(&origin));
    assert!(lingered);
}

/// Whether there was time to ask once more.
fn lingers(origin: &Origin) -> bool {
    let gateway = start(origin.address, "20s");
    let (mut asking, mut silent) = (
        connect(gateway.listener("public")),
        connect(gateway.listener("public")),
    );
    for stream in [&mut asking, &mut silent] {
        ask(stream);
        assert_eq!(read_answer(stream).header("connection"), None);
    }
    let began = Instant::now();
    gateway.terminate(gateway.listener("public"));
    ask(&mut asking);
    let last = read_answer(&mut asking);
    if last.status == 0 && began.elapsed() > Duration::from_secs(1) {
        return false;
    }
    assert_eq!(last.status, 200);
    assert_eq!(last.header("connection"), Some("close"));
    assert_eq!(last.json()["path"], "/x");
    for mut stream in [asking, silent] {
        assert_eq!(stream.read(&mut [0]).unwrap(), 0, "closed in order");
    }
    assert_ended_well(gateway);
    true
}

#[test]
fn http_2_is_told_to_go_and_its_streams_are_answered() {
    let told = Told::start();
    let gateway = start(told.address, "20s");
    let mut client = h2::Connection::open(gateway.listener("public"));
    client.get(1, "/first");
    assert_eq!(told.asked.recv().unwrap(), "/first");
    gateway.signal("TERM");
    let goaway = client.read().unwrap();
    assert_eq!((goaway.kind, goaway.stream), (GOAWAY, 0));
    // NO_ERROR (RFC 9113, section 7).
    assert_eq!(goaway.payload[4..8], [0; 4]);
    // The stream goes on although the client was told.
    told.say("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 6\r\n\r\nabc");
    let mut body = Vec::new();
    let mut rest = Some("def");
    while let Some(frame) = client.read() {
        assert!(
            matches!(frame.kind, DATA | h2::HEADERS | GOAWAY),
            "{frame:?}"
        );
        let ended = frame.ends_stream();
        if frame.kind == DATA {
            body.extend_from_slice(&frame.payload);
        }
        if let Some(word) = rest.take_if(|_| body == b"abc") {
            told.say(word);
            told.say("");
        }
        if ended {
            break;
        }
    }
    assert_eq!(body, b"abcdef");
    while let Some(frame) = client.read() {
        assert_eq!(frame.kind, GOAWAY, "{frame:?}");
    }
    assert_ended_well(gateway);
}

#[test]
fn a_stream_that_crosses_the_goaway_is_answered() {
    let origin = Origin::start();
    let gateway = start(origin.address, "20s");
    let mut client = h2::Connection::open(gateway.listener("public"));
    let answered = |client: &mut h2::Connection, stream| {
        while let Some(frame) = client.read() {
            if frame.stream == stream && frame.ends_stream() {
                return true;
            }
        }
        false
    };
    client.get(1, "/before");
    assert!(answered(&mut client, 1));
    gateway.terminate(gateway.listener("public"));
    // Not read yet: for this client the GOAWAY is still under way.
    client.get(3, "/crossing");
    assert!(answered(&mut client, 3), "{}", gateway.text());
    assert_ended_well(gateway);
}

#[test]
fn a_web_socket_lives_through_the_grace_and_ends_with_going_away() {
    let told = Told::start();
    // The second signal ends this grace, whenever the machine comes to it; the one below ends by itself.
    let gateway = start(told.address, "1h");
    let mut client = upgraded(&gateway, &told);
    gateway.terminate(gateway.listener("public"));
    // A message of two bytes, in two pieces.
    let mut message = [0; 4];
    told.say.send(vec![0x81, 2, b'h']).unwrap();
    told.say("i");
    client.read_exact(&mut message).unwrap();
    assert_eq!(message, [0x81, 2, b'h', b'i']);
    gateway.signal("TERM");
    assert_told_to_go(client, gateway);

    let told = Told::start();
    let gateway = start(told.address, "3s");
    let client = upgraded(&gateway, &told);
    let began = Instant::now();
    gateway.signal("TERM");
    assert_told_to_go(client, gateway);
    assert!(began.elapsed() > Duration::from_secs(3), "the whole grace");
}

fn assert_told_to_go(mut client: TcpStream, gateway: Gateway) {
    // What the client still sends must not turn the goodbye into a reset.
    client.write_all(&[0x8a, 0x80, 1, 2, 3, 4]).unwrap();
    let mut rest = Vec::new();
    client.read_to_end(&mut rest).unwrap();
    assert_eq!(rest, [0x88, 2, 0x03, 0xe9], "close, 1001");
    drop(client);
    gateway.assert_drained();
}

#[test]
fn a_tunnel_whose_client_reads_nothing_ends_with_the_grace_too() {
    let told = Told::start();
    let gateway = start(told.address, "1s");
    let _client = upgraded(&gateway, &told);
    // More than fits into the buffers of the kernel.
    for _ in 0..64 {
        told.say.send(vec![0; 1 << 20]).unwrap();
    }
    gateway.signal("TERM");
    gateway.assert_drained();
}

#[test]
fn a_download_is_finished_inside_the_grace() {
    let told = Told::start();
    let gateway = start(told.address, "20s");
    let mut client = connect(gateway.listener("public"));
    ask(&mut client);
    assert_eq!(told.asked.recv().unwrap(), "/x");
    told.say("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 6\r\n\r\nxyz");
    until(&mut client, "xyz");
    gateway.terminate(gateway.listener("public"));
    told.say("uvw");
    told.say("");
    let mut rest = Vec::new();
    client.read_to_end(&mut rest).unwrap();
    assert_eq!(rest, b"uvw");
    assert_ended_well(gateway);
}

#[test]
fn a_download_that_outlives_the_grace_is_broken_off_and_not_ended() {
    let told = Told::start();
    let gateway = start(told.address, "500ms");
    let mut client = connect(gateway.listener("public"));
    ask(&mut client);
    assert_eq!(told.asked.recv().unwrap(), "/x");
    told.say("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n");
    until(&mut client, "3\r\nabc\r\n");
    gateway.signal("TERM");
    let mut rest = Vec::new();
    // A reset is as good an end as a close: the last chunk must not be there.
    let _ended = client.read_to_end(&mut rest);
    assert_eq!(String::from_utf8(rest).unwrap(), "");
    gateway.wait_for("the grace is over");
    // What is waited at least.
    gateway.wait_for("no longer ready drain_delay=100ms");
    assert!(gateway.ended().success());
}

#[test]
fn who_has_connected_and_not_asked_yet_does_not_hold_up_a_drain() {
    let origin = Origin::start();
    // Neither the grace nor any other limit ends them as long as this test waits.
    let gateway = start(origin.address, "60s");
    let mut silent: Vec<_> = (0..4)
        .map(|_| connect(gateway.listener("public")))
        .collect();
    let mut halfway = connect(gateway.listener("public"));
    halfway.write_all(b"PRI * HT").unwrap();
    silent.push(halfway);
    gateway.signal("TERM");
    for mut stream in silent {
        assert_eq!(stream.read(&mut [0]).unwrap(), 0, "closed in order");
    }
    assert_ended_well(gateway);
}

/// A gateway that is told to go on accepting for so long.
fn delayed(origin: &Origin, delay: &str, grace: &str) -> Gateway {
    let config = Configuration::new()
        .workers(2)
        .server(&format!("drain_delay = '{delay}'\ngrace = '{grace}'"))
        .upstream("origin", origin.address)
        .route("all", "/**", "upstream = 'origin'");
    Gateway::start(&config)
}

#[test]
fn during_the_delay_of_a_drain_it_is_not_ready_and_serves_as_ever() {
    let origin = Origin::start();
    // The second signal ends this delay, whenever the machine comes to it; the one below ends by itself.
    let gateway = delayed(&origin, "1h", "20s");
    let public = gateway.listener("public");
    let mut kept = connect(gateway.listener("public"));
    assert_eq!(get(gateway.admin(), "/readyz", &[]).status, 200);
    gateway.signal("TERM");
    gateway.wait_for("no longer ready");
    assert_eq!(get(gateway.admin(), "/readyz", &[]).status, 503);
    for _ in 0..20 {
        assert_eq!(get(public, "/x", &[]).status, 200);
        ask(&mut kept);
        assert_eq!(read_answer(&mut kept).header("connection"), None);
    }
    gateway.signal("TERM");
    assert_ended_well(gateway);

    let gateway = delayed(&origin, "2s", "20s");
    let began = Instant::now();
    gateway.signal("TERM");
    gateway.wait_for("draining");
    assert!(began.elapsed() >= Duration::from_secs(2));
    assert_ended_well(gateway);
}

#[test]
fn each_further_signal_ends_what_a_drain_waits_for() {
    let told = Told::start();
    let config = Configuration::new()
        .server("drain_delay = '1h'\ngrace = '1h'")
        .upstream("origin", told.address)
        .route("all", "/**", "upstream = 'origin'");
    let gateway = Gateway::start(&config);
    let mut client = connect(gateway.listener("public"));
    ask(&mut client);
    assert_eq!(told.asked.recv().unwrap(), "/x");
    gateway.signal("TERM");
    gateway.wait_for("no longer ready drain_delay=3600s");
    gateway.signal("TERM");
    gateway.wait_for("draining");
    assert!(!gateway.text().contains("ended the grace"));
    gateway.signal("INT");
    gateway.wait_for("another signal ended the grace");
    let text = gateway.text();
    assert!(!text.contains("the grace is over"), "{text}");
    gateway.assert_drained();
}
