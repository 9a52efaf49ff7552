//! Clients of HTTP/2 that cost more than they pay: each ends as RFC 9113, section 10.5 allows, holds no memory,
//! and nobody beside them notices.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::bad_http2::gateway;
use crate::harness::frames::{
    CANCEL, CONTINUATION, DATA, Door, END_HEADERS, END_STREAM, ENHANCE_YOUR_CALM, Frame, HEADERS,
    Http2, INITIAL_WINDOW, Outcome, PING, PRIORITY, RST_STREAM, SETTINGS, WINDOW_UPDATE, frame,
    get_fields, head, setting, text,
};
use crate::harness::recorder::Recorder;
use crate::harness::{Gateway, Origin, get};

/// What any attack here may leave behind.
const MEMORY: u64 = 16 << 20;

/// Runs an attack over clear text, then over TLS, and returns what each came to.
fn attack<T: Send>(gateway: &Gateway, run: impl Fn(&Door) -> T) -> [T; 2] {
    Door::both(gateway).map(|door| attack_at(gateway, || run(&door)))
}

/// Runs an attack while a neighbour asks again and again; memory must not grow by more than [`MEMORY`].
fn attack_at<T>(gateway: &Gateway, run: impl FnOnce() -> T) -> T {
    let public = gateway.listener("public");
    assert_eq!(get(public, "/here", &[]).status, 200);
    let before = gateway.resident();
    let over = AtomicBool::new(false);
    let (result, (served, slowest)) = std::thread::scope(|scope| {
        let neighbour = scope.spawn(|| {
            let (mut served, mut slowest) = (0, Duration::ZERO);
            while !over.load(Ordering::Relaxed) || served == 0 {
                let began = Instant::now();
                assert_eq!(get(public, "/here", &[]).status, 200, "the neighbour");
                slowest = slowest.max(began.elapsed());
                served += 1;
            }
            (served, slowest)
        });
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(run));
        over.store(true, Ordering::Relaxed);
        (result, neighbour.join().unwrap())
    });
    let result = result.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    assert!(
        slowest < Duration::from_secs(10),
        "one of {served} requests took {slowest:?}"
    );
    let grown = gateway.resident().saturating_sub(before);
    assert!(grown < MEMORY, "{} MiB more", grown >> 20);
    result
}

/// Sends until the gateway takes no more, or `most` times; the code of its GOAWAY.
fn flood(client: &mut Http2, most: usize, bytes: impl Fn(usize) -> Vec<u8>) -> Option<u32> {
    for at in 0..most {
        if !client.send(&bytes(at)) {
            break;
        }
    }
    client.away()
}

/// Whether each connection ended with an error.
fn ended(away: &[Option<u32>; 2]) -> bool {
    away.iter().all(|away| away.is_some_and(|code| code != 0))
}

fn number(at: usize) -> u32 {
    u32::try_from(at).unwrap() * 2 + 1
}

/// A request, then `then`, in one piece.
fn request_then(at: usize, then: Vec<u8>) -> Vec<u8> {
    let block = head(&get_fields("/wait"));
    let request = frame(HEADERS, END_HEADERS | END_STREAM, number(at), &block);
    [request, then].concat()
}

#[test]
fn control_frames_that_carry_nothing_end_the_connection() {
    let upstream = Recorder::start();
    let gateway = gateway(upstream.address);
    let floods: Vec<(&str, Vec<u8>)> = vec![
        ("PING", frame(PING, 0, 0, &[0; 8])),
        ("the ACK of a PING", frame(PING, 1, 0, &[0; 8])),
        (
            "SETTINGS",
            frame(SETTINGS, 0, 0, &setting(INITIAL_WINDOW, 65_535)),
        ),
        ("empty SETTINGS", frame(SETTINGS, 0, 0, &[])),
        (
            "WINDOW_UPDATE",
            frame(WINDOW_UPDATE, 0, 0, &1_u32.to_be_bytes()),
        ),
        ("PRIORITY", frame(PRIORITY, 0, 1, &[0, 0, 0, 3, 0])),
        ("an unknown frame", frame(77, 0, 0, b"x")),
    ];
    for (what, bytes) in floods {
        let away = attack(&gateway, |door| {
            flood(&mut Http2::connect(door.clone()), 20_000, |_| bytes.clone())
        });
        assert_eq!(away, [Some(ENHANCE_YOUR_CALM); 2], "{what}");
    }
    assert_eq!(upstream.counts().0, 0);
}

/// CVE-2023-44487, all at once.
#[test]
fn rapid_reset_ends_the_connection() {
    let upstream = Recorder::start();
    let gateway = gateway(upstream.address);
    let away = attack(&gateway, |door| {
        flood(&mut Http2::connect(door.clone()), 5_000, |at| {
            request_then(at, frame(RST_STREAM, 0, number(at), &CANCEL.to_be_bytes()))
        })
    });
    assert_eq!(away, [Some(ENHANCE_YOUR_CALM); 2]);
    upstream.wait("the end of all", |wires| {
        wires.iter().all(|wire| wire.ended).then_some(())
    });
    assert!(upstream.counts().0 < 100, "{:?}", upstream.counts());
}

/// CVE-2023-44487 by a client that lets each request begin before it resets it.
#[test]
fn patient_rapid_reset_ends_the_connection_too() {
    let upstream = Recorder::start();
    let gateway = gateway(upstream.address);
    let away = attack(&gateway, |door| {
        let mut client = Http2::connect(door.clone());
        for at in 0..5_000 {
            client.get(number(at), "/wait");
            match client.round_trip() {
                Ok(_) => {}
                Err(frames) => return away_in(&frames),
            }
            client.frame(RST_STREAM, 0, number(at), &CANCEL.to_be_bytes());
        }
        client.away()
    });
    assert_eq!(away, [Some(ENHANCE_YOUR_CALM); 2]);
    upstream.wait("the end of all", |wires| {
        wires.iter().all(|wire| wire.ended).then_some(())
    });
}

fn away_in(frames: &[Frame]) -> Option<u32> {
    let away = frames.iter().find(|frame| frame.kind == 7)?;
    Some(away.code())
}

/// CVE-2025-8671: the client makes the gateway reset the streams.
#[test]
fn made_you_reset_ends_the_connection_and_every_request_upstream() {
    type Provoke = fn(u32) -> Vec<u8>;
    let ways: [(&str, Provoke); 4] = [
        ("DATA on a half-closed stream", |stream| {
            frame(DATA, END_STREAM, stream, b"x")
        }),
        ("HEADERS on a half-closed stream", |stream| {
            frame(
                HEADERS,
                END_HEADERS | END_STREAM,
                stream,
                &head(&[("x", "y")]),
            )
        }),
        ("a window over 2^31", |stream| {
            frame(WINDOW_UPDATE, 0, stream, &0x7fff_ffff_u32.to_be_bytes())
        }),
        ("a stream that depends on itself", |stream| {
            frame(
                PRIORITY,
                0,
                stream,
                &[&stream.to_be_bytes()[..], &[0]].concat(),
            )
        }),
    ];
    for (what, provoke) in ways {
        let upstream = Recorder::start();
        let gateway = gateway(upstream.address);
        let outcomes = attack(&gateway, |door| {
            let mut client = Http2::connect(door.clone());
            let mut most = 0;
            for at in 0..5_000 {
                client.send(&request_then(at, provoke(number(at))));
                if at % 16 == 0 {
                    most = most.max(upstream.counts().1);
                    if let Err(frames) = client.round_trip() {
                        return (away_in(&frames), most);
                    }
                }
            }
            (client.away(), most)
        });
        // h2 makes a connection error of some of these at once, as RFC 9113, 5.4.1 allows.
        assert!(
            ended(&outcomes.map(|(away, _)| away)),
            "{what}: {outcomes:?}"
        );
        upstream.wait("the end of all", |wires| {
            wires.iter().all(|wire| wire.ended).then_some(())
        });
        let most = outcomes.map(|(_, most)| most);
        assert!(
            most.iter().all(|most| *most <= 100),
            "{what}: {most:?} requests upstream at once"
        );
    }
}

/// CVE-2024-27316 and its kin.
#[test]
fn a_header_block_without_end_ends_the_connection() {
    let upstream = Recorder::start();
    let gateway = gateway(upstream.address);
    for (what, piece) in [
        ("empty CONTINUATION", Vec::new()),
        ("small CONTINUATION", head(&[("x", "y")])),
        ("large CONTINUATION", head(&[("x", &"y".repeat(16_000))])),
    ] {
        let away = attack(&gateway, |door| {
            let mut client = Http2::connect(door.clone());
            client.frame(HEADERS, END_STREAM, 1, &head(&get_fields("/")));
            flood(&mut client, 10_000, |_| frame(CONTINUATION, 0, 1, &piece))
        });
        assert!(ended(&away), "{what}: {away:?}");
    }
    assert_eq!(upstream.counts().0, 0);
}

#[test]
fn a_head_that_unfolds_to_megabytes_is_refused_before_it_does() {
    let upstream = Recorder::start();
    let gateway = gateway(upstream.address);
    let mut large = head(&get_fields("/"));
    // A field of 4 KiB into the dynamic table (RFC 7541, 6.2.1), then named again and again (6.1).
    large.push(0x40);
    text(&mut large, b"x");
    text(&mut large, &[b'v'; 3_900]);
    large.extend([0xbe; 12_000]);
    // `accept-encoding: gzip, deflate` of the static table.
    let mut tiny = head(&get_fields("/"));
    tiny.extend([0x90; 16_000]);
    for (what, block) in [("large", large), ("tiny", tiny)] {
        let outcomes = attack(&gateway, |door| {
            let mut clients: Vec<Http2> = (0..20).map(|_| Http2::connect(door.clone())).collect();
            for client in &mut clients {
                client.frame(HEADERS, END_HEADERS | END_STREAM, 1, &block);
            }
            let outcomes = clients.iter_mut().map(|client| client.outcome(1));
            outcomes.collect::<Vec<_>>()
        });
        for outcome in outcomes.into_iter().flatten() {
            assert!(
                matches!(
                    outcome,
                    Outcome::Answer(431, _) | Outcome::Away(ENHANCE_YOUR_CALM)
                ),
                "{what}: {outcome:?}"
            );
        }
    }
    assert_eq!(upstream.counts().0, 0);
}

#[test]
fn data_frames_of_nothing_end_the_connection() {
    let upstream = Recorder::start();
    let gateway = gateway(upstream.address);
    let mut fields = get_fields("/post");
    fields[0] = (":method", "POST");
    for (what, data) in [
        ("empty", Vec::new()),
        ("a byte of padding", vec![0]),
        ("padding alone", [&[100][..], &[0; 100]].concat()),
    ] {
        let flags = if data.is_empty() { 0 } else { 8 };
        let away = attack(&gateway, |door| {
            let mut client = Http2::connect(door.clone());
            client.frame(HEADERS, END_HEADERS, 1, &head(&fields));
            flood(&mut client, 50_000, |_| frame(DATA, flags, 1, &data))
        });
        assert!(ended(&away), "{what}: {away:?}");
    }
    upstream.wait("the end of all", |wires| {
        wires.iter().all(|wire| wire.ended).then_some(())
    });
}

/// Streams whose window the client keeps at nothing, or opens by a byte now and then, end by themselves; the
/// connection and what moves on it go on.
#[test]
fn streams_that_take_nothing_are_reset_whatever_window_updates_they_send() {
    let origin = Origin::answering(|_, _| {
        let body = "b".repeat(100 << 10);
        format!(
            "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        )
        .into_bytes()
    });
    let gateway = gateway(origin.address);
    for (what, path, window, trickle) in [
        ("small and silent", "/here", 0, false),
        ("small and trickling", "/here", 0, true),
        ("large and silent", "/large", 0, false),
        ("large and trickling", "/large", 10_000, true),
    ] {
        attack(&gateway, |door| {
            let mut client = Http2::with(door.clone(), &[(INITIAL_WINDOW, window)]);
            client.window_update(0, 1 << 20);
            for at in 0..40 {
                client.get(number(at), path);
            }
            let (mut resets, began) = (0, Instant::now());
            for round in 0.. {
                if resets == 40 {
                    break;
                }
                let taken = began.elapsed();
                assert!(
                    taken < Duration::from_secs(30),
                    "{what}: {resets} in {taken:?}"
                );
                // Anything that keeps the connection from idling.
                let frames = client.round_trip().unwrap_or_else(|_| {
                    panic!("{what}: the whole connection ended:\n{}", gateway.text())
                });
                resets += frames
                    .iter()
                    .filter(|frame| frame.kind == RST_STREAM)
                    .count();
                // A byte less than the answer of four has, or far less than that of 100 KiB.
                if trickle && (path == "/large" || round < 3) {
                    for at in 0..40 {
                        client.window_update(number(at), 1);
                    }
                }
                std::thread::sleep(Duration::from_millis(200));
            }
            client.get(101, "/here");
            client.window_update(101, 10);
            assert_eq!(client.outcome(101), Outcome::Answer(200, 4), "{what}");
        });
    }
}

/// The window of the connection, which all streams share, stops them as well.
#[test]
fn streams_behind_a_shut_connection_window_are_reset() {
    let origin = Origin::answering(|_, _| {
        let body = "b".repeat(30 << 10);
        format!(
            "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        )
        .into_bytes()
    });
    let gateway = gateway(origin.address);
    attack(&gateway, |door| {
        let mut client = Http2::with(door.clone(), &[(INITIAL_WINDOW, 1 << 20)]);
        for at in 0..40 {
            client.get(number(at), "/large");
        }
        // 65,535 bytes are the window of a connection: two answers of 30 KiB and a piece fit.
        let (mut whole, mut reset) = (0, 0);
        while whole + reset < 40 {
            let frame = client.next().expect("the whole connection ended");
            whole += usize::from(frame.kind == DATA && frame.flags & END_STREAM != 0);
            reset += usize::from(frame.kind == RST_STREAM);
        }
        assert_eq!((whole, reset), (2, 38));
    });
}

#[test]
fn a_client_that_gives_back_its_window_with_every_frame_gets_everything() {
    const LENGTH: usize = 20 << 20;
    let origin = Origin::answering(|_, _| {
        let body = "b".repeat(LENGTH);
        format!("HTTP/1.1 200 OK\r\ncontent-length: {LENGTH}\r\n\r\n{body}").into_bytes()
    });
    let gateway = gateway(origin.address);
    let mut client = Http2::connect(gateway.listener("public"));
    client.get(1, "/large");
    let (mut received, mut ended) = (0, false);
    while !ended {
        let frame = client.next().expect("the connection ended");
        assert!(!matches!(frame.kind, RST_STREAM | 7), "{frame:?}");
        if frame.kind == DATA {
            let length = u32::try_from(frame.payload.len()).unwrap();
            received += frame.payload.len();
            ended = frame.flags & END_STREAM != 0;
            if length > 0 {
                client.window_update(0, length);
                client.window_update(1, length);
            }
        }
    }
    assert_eq!(received, LENGTH);
}

/// Hedged requests: the slower half is cancelled.
#[test]
fn a_client_that_cancels_every_second_request_is_served() {
    let upstream = Recorder::start();
    let gateway = gateway(upstream.address);
    let mut client = Http2::connect(gateway.listener("public"));
    client.window_update(0, 1 << 20);
    for at in 0..1_000 {
        client.get(number(2 * at), "/wait");
        client.get(number(2 * at + 1), "/here");
        assert_eq!(client.outcome(number(2 * at + 1)), Outcome::Answer(200, 4));
        client.frame(RST_STREAM, 0, number(2 * at), &CANCEL.to_be_bytes());
    }
}
