//! Two clients, each with bytes of its own, one after the other through one plugin that keeps bytes back where the next
//! exchange finds them. However the first exchange ends, no byte of it is in the second.

mod request;
mod response;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use socket2::SockRef;

use crate::harness::frames::{DATA, END_HEADERS, HEADERS, Http2, head};
use crate::harness::http::send;
use crate::harness::recorder::Recorder;
use crate::harness::{Configuration, Gateway, Origin};

/// What only the first client may see.
const ALICE: &str = "alice-and-nobody-else";
/// Keeps all that it sees of both bodies until their end, which is `<k>`.
const KEEPS: &str = r#"config = { phases = ["request-stream", "response-stream"], tail = "<k>", keeps = 1_000_000, careless = true }"#;

/// The gateway and the upstream of the first client.
struct Stage {
    gateway: Gateway,
    upstream: Recorder,
}

/// How an exchange ends: a name, its plugins, what is special about its route, and what happens.
type Ending = (
    &'static str,
    &'static [&'static str],
    &'static str,
    fn(&Stage),
);

impl Stage {
    /// With a route `/alice` through these plugins and one `/bob` through `keeps` alone.
    fn start(chain: &[&str], lines: &str, echo: SocketAddr) -> Self {
        let upstream = Recorder::start();
        let mut lines = format!("{lines}\nplugins = {chain:?}");
        if !lines.contains("upstream") {
            lines.push_str("\nupstream = 'alice'");
        }
        let timeouts = "timeouts = { idle = '700ms' }";
        let config = Configuration::new()
            .access_log()
            .public("limits = { body_idle = '700ms', body = '64KiB' }")
            .secret("token", "s3cret")
            .plugin("keeps", "guest_probe", &granted(KEEPS))
            .plugin(
                "panics-on-request",
                "guest_hostile",
                &hostile("panic-in-request-chunk"),
            )
            .plugin(
                "panics-on-response",
                "guest_hostile",
                &hostile("panic-in-response-chunk"),
            )
            .plugin(
                "holds-little",
                "guest_probe",
                &granted(
                    "body_limit = '1KiB'\nconfig = { phases = ['response-body', 'request-body'] }",
                ),
            )
            .upstream_with("alice", upstream.address, timeouts)
            .upstream("gone", "127.0.0.1:1".parse().unwrap())
            .upstream("bob", echo)
            .route("alice", "/alice", &lines)
            .chain("bob", "/bob", &["keeps"], "upstream = 'bob'");
        Self {
            gateway: Gateway::start(&config),
            upstream,
        }
    }

    fn public(&self) -> SocketAddr {
        self.gateway.listener("public")
    }

    /// An HTTP/1.1 client that asks.
    fn ask(&self) -> TcpStream {
        let client = self.h1("GET /alice HTTP/1.1\r\nhost: a\r\n\r\n");
        self.upstream.head(0);
        client
    }

    /// The upstream begins an answer with bytes that are Alice's.
    fn answer_begins(&self, framing: &str) {
        let piece = match framing.contains("chunked") {
            true => format!("{:x}\r\n{ALICE}\r\n", ALICE.len()),
            false => ALICE.to_owned(),
        };
        let head = format!("HTTP/1.1 200 OK\r\n{framing}\r\n\r\n{piece}");
        self.upstream.send(0, head.as_bytes());
        self.gateway_has_chunk("response_chunk");
    }

    /// An HTTP/1.1 client that sends Alice's bytes, and not all of its body.
    fn upload(&self, framing: &str) -> TcpStream {
        let piece = match framing.contains("chunked") {
            true => format!("{:x}\r\n{ALICE}\r\n", ALICE.len()),
            false => ALICE.to_owned(),
        };
        let client = self.h1(&format!(
            "POST /alice HTTP/1.1\r\nhost: a\r\n{framing}\r\n\r\n{piece}"
        ));
        self.gateway_has_chunk("request_chunk");
        client
    }

    /// The same over HTTP/2.
    fn upload_h2(&self) -> Http2 {
        let mut client = Http2::connect(self.public());
        let fields = [
            (":method", "POST"),
            (":scheme", "http"),
            (":authority", "a"),
            (":path", "/alice"),
        ];
        client.frame(HEADERS, END_HEADERS, 1, &head(&fields));
        client.frame(DATA, 0, 1, ALICE.as_bytes());
        self.gateway_has_chunk("request_chunk");
        client
    }

    fn h1(&self, text: &str) -> TcpStream {
        let mut client = TcpStream::connect(self.public()).unwrap();
        client
            .set_read_timeout(Some(Duration::from_secs(20)))
            .unwrap();
        client.write_all(text.as_bytes()).unwrap();
        client
    }

    /// Waits until the plugin has seen Alice's bytes.
    fn gateway_has_chunk(&self, phase: &str) {
        let line = format!(
            "gateway_plugin_phase_duration_seconds_count{{plugin=\"keeps\",phase=\"{phase}\"}}"
        );
        let began = std::time::Instant::now();
        // The stream begins, and then has a chunk.
        while self.gateway.metric(&line) < 2.0 {
            assert!(
                began.elapsed() < Duration::from_secs(20),
                "{phase} never came: {}",
                self.gateway.text()
            );
            std::thread::yield_now();
        }
    }
}

/// What the components import must be granted.
fn granted(lines: &str) -> String {
    format!("grants = {{ upstreams = ['bob'], secrets = ['token'], state = true }}\n{lines}")
}

fn hostile(act: &str) -> String {
    granted(&format!("config = {{ act = '{act}' }}"))
}

/// Reads whatever comes until the connection ends.
fn read_out(mut client: TcpStream) {
    let mut read = Vec::new();
    let _reset = client.read_to_end(&mut read);
}

/// Has the kernel say RST.
fn reset(client: TcpStream) {
    SockRef::from(&client)
        .set_linger(Some(Duration::ZERO))
        .unwrap();
}

/// Runs every ending in a gateway of its own, and sends the second client behind it.
#[track_caller]
fn assert_isolated(endings: &[Ending]) {
    let echo = Origin::answering(|_, body| {
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len());
        [head.as_bytes(), body].concat()
    });
    for (name, chain, lines, end) in endings {
        let stage = Stage::start(chain, lines, echo.address);
        end(&stage);
        stage.gateway.wait_for("\"path\":\"/alice\"");
        for id in 0..4 {
            let body = format!("bob {id}");
            let answer = send(stage.public(), "POST", "/bob", &[], body.as_bytes());
            let log = stage.gateway.text();
            assert_eq!(answer.text(), format!("{body}<k><k>"), "{name}:\n{log}");
        }
    }
}
