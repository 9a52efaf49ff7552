//! TCP cuts a stream where it likes: no answer depends on where.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use super::{cases, statuses};
use crate::harness::http::{connect, read_answer};
use crate::harness::recorder::Recorder;
use crate::harness::{Configuration, Gateway, Origin};

/// Connections at once.
const AT_ONCE: usize = 100;
/// At the beginning and at the end of a long input every cut is made, between them only some.
const NEAR: usize = 150;
const STEP: usize = 97;

const LAST: &str = "GET /last HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";

/// The limits of [`cases`], and patience.
fn gateway(upstream: SocketAddr) -> Gateway {
    let limits = r#"limits = { header_bytes = "4KiB", header_count = 20, body = "1KiB", header_timeout = "20s", body_idle = "20s" }"#;
    let config = Configuration::new()
        .public(limits)
        .upstream("origin", upstream)
        .route("all", "/**", "upstream = 'origin'")
        .route("still", "/still", "respond = { status = 200 }");
    Gateway::start(&config)
}

/// A client whose requests are answered when everything that was sent before has been read: the gateway has one worker,
/// which takes its sockets in the order in which something came.
struct Barrier(TcpStream);

impl Barrier {
    fn new(gateway: &Gateway) -> Self {
        Self(connect(gateway.listener("public")))
    }

    fn wait(&mut self) {
        // The first may be answered before new connections are accepted.
        for _ in 0..2 {
            let request = b"GET /still HTTP/1.1\r\nhost: a\r\n\r\n";
            self.0.write_all(request).unwrap();
            assert_eq!(read_answer(&mut self.0).status, 200);
        }
    }
}

/// Sends `input` on a connection for each cut, and hands over every connection when all of it is sent.
fn cut_everywhere(
    gateway: &Gateway,
    barrier: &mut Barrier,
    input: &[u8],
    mut check: impl FnMut(usize, TcpStream),
) {
    let near = |at: &usize| *at <= NEAR || input.len() - at <= NEAR || at.is_multiple_of(STEP);
    let cuts: Vec<usize> = (1..input.len()).filter(near).collect();
    for cuts in cuts.chunks(AT_ONCE) {
        let mut open: Vec<(usize, TcpStream)> = Vec::new();
        for at in cuts {
            let mut stream = connect(gateway.listener("public"));
            stream.write_all(&input[..*at]).unwrap();
            open.push((*at, stream));
        }
        barrier.wait();
        for (at, stream) in &mut open {
            // The gateway may have refused it already.
            let _refused = stream.write_all(&input[*at..]);
        }
        for (at, stream) in open {
            check(at, stream);
        }
    }
}

#[test]
fn what_is_refused_in_one_piece_is_refused_the_same_in_two() {
    let upstream = Recorder::start();
    let gateway = gateway(upstream.address);
    let mut barrier = Barrier::new(&gateway);
    for (what, input, status) in cases::refused() {
        cut_everywhere(
            &gateway,
            &mut barrier,
            input.as_bytes(),
            |at, mut stream| {
                let answer = read_answer(&mut stream);
                assert_eq!(
                    answer.status,
                    status,
                    "{what}, cut at {at}: {}",
                    answer.text()
                );
            },
        );
        assert_eq!(upstream.counts().0, 0, "{what} reached the upstream");
    }
}

/// The last request shows that the end of those before was found: it is served where it may be, and refused where not.
#[test]
fn what_is_served_in_one_piece_is_served_the_same_in_two_and_blinds_no_check() {
    let origin = Origin::start();
    let gateway = gateway(origin.address);
    let mut barrier = Barrier::new(&gateway);
    let both = "POST /last HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n";
    let large = format!(
        "GET /last HTTP/1.1\r\nhost: a\r\nx: {}\r\n\r\n",
        "a".repeat(5_000)
    );
    let lasts = [(LAST, 200), (both, 400), (large.as_str(), 431)];
    for (what, first, count) in cases::served() {
        for (last, status) in lasts {
            let input = format!("{first}{last}");
            let want = [vec![200; count], vec![status]].concat();
            let check = |at: usize, mut stream: TcpStream| {
                let mut bytes = Vec::new();
                let read = stream.read_to_end(&mut bytes);
                assert_eq!(
                    statuses(&bytes),
                    want,
                    "{what}, cut at {at} before {last:.60}: {read:?}"
                );
            };
            let mut stream = connect(gateway.listener("public"));
            stream.write_all(input.as_bytes()).unwrap();
            check(input.len(), stream);
            if status != 431 {
                cut_everywhere(&gateway, &mut barrier, input.as_bytes(), check);
            }
        }
    }
    let seen = origin.seen().concat();
    assert!(!seen.contains("POST /last"), "{seen}");
}

/// All inputs at the same time: every byte is read alone.
#[test]
fn a_byte_at_a_time_changes_no_answer() {
    let origin = Origin::start();
    let gateway = gateway(origin.address);
    let mut barrier = Barrier::new(&gateway);
    let refused = cases::refused().into_iter();
    let refused = refused.map(|(what, input, status)| (what, input, vec![status]));
    let served = cases::served().into_iter();
    let served = served.map(|(what, input, count)| (what, input + LAST, vec![200; count + 1]));
    let inputs: Vec<_> = refused
        .chain(served)
        .filter(|(_, input, _)| input.len() < 500)
        .collect();
    let mut streams: Vec<TcpStream> = inputs
        .iter()
        .map(|_| connect(gateway.listener("public")))
        .collect();
    for at in 0..inputs
        .iter()
        .map(|(_, input, _)| input.len())
        .max()
        .unwrap()
    {
        for ((_, input, _), stream) in inputs.iter().zip(&mut streams) {
            if let Some(byte) = input.as_bytes().get(at) {
                // The gateway may have refused it already.
                let _refused = stream.write_all(&[*byte]);
            }
        }
        barrier.wait();
    }
    for ((what, _, want), mut stream) in inputs.iter().zip(streams) {
        let got = match want.len() {
            1 => vec![read_answer(&mut stream).status],
            _ => {
                let mut bytes = Vec::new();
                let _reset = stream.read_to_end(&mut bytes);
                statuses(&bytes)
            }
        };
        assert_eq!(got, *want, "{what}\n{}", gateway.text());
    }
}
