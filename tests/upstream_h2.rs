//! HTTP/2 to upstreams: how many connections there are, and what goes out again.

use std::io::Write;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use h2::server::SendResponse;
use http::{Request, Response};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;

use crate::harness::gateway::PATIENCE;
use crate::harness::http::{connect, read_answer, send};
use crate::harness::serving::Serving;
use crate::harness::{Answer, Configuration, Gateway, Origin, get};

/// What becomes of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Act {
    /// It is answered with its body.
    Answer,
    /// The same, once it is released.
    Hold,
    /// The stream is reset by REFUSED_STREAM.
    Refuse,
    /// It is answered, and the connection takes no more.
    Leave,
    /// The connection is closed.
    Break,
    /// Nothing is read of the connection any more.
    Ignore,
}

/// What an origin saw.
#[derive(Debug, Default)]
struct Seen {
    connections: usize,
    requests: usize,
    at_once: usize,
    most_at_once: usize,
}

/// A server of HTTP/2 in clear text that does to each request, by its number from 1, what a test says.
struct H2Origin {
    address: SocketAddr,
    seen: Arc<Mutex<Seen>>,
    released: Arc<Semaphore>,
    _serving: Serving,
}

#[derive(Clone)]
struct Shared {
    act: fn(usize) -> Act,
    streams: Option<u32>,
    seen: Arc<Mutex<Seen>>,
    released: Arc<Semaphore>,
}

impl H2Origin {
    /// It allows so many streams at once.
    fn start(streams: Option<u32>, act: fn(usize) -> Act) -> Self {
        let shared = Shared {
            act,
            streams,
            seen: Arc::default(),
            released: Arc::new(Semaphore::new(0)),
        };
        let (seen, released) = (shared.seen.clone(), shared.released.clone());
        let serving = Serving::start(move |stream| {
            shared.seen.lock().unwrap().connections += 1;
            serve(stream, shared.clone())
        });
        Self {
            address: serving.address,
            seen,
            released,
            _serving: serving,
        }
    }

    fn look<T>(&self, look: impl FnOnce(&Seen) -> T) -> T {
        look(&self.seen.lock().unwrap())
    }

    /// Waits until it has seen something.
    fn wait_until(&self, seen: impl Fn(&Seen) -> bool) {
        let began = Instant::now();
        while !self.look(&seen) {
            assert!(
                began.elapsed() < PATIENCE,
                "{:?}",
                self.look(|it| format!("{it:?}"))
            );
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    fn release(&self, many: usize) {
        self.released.add_permits(many);
    }
}

async fn serve(stream: TcpStream, shared: Shared) {
    let mut builder = h2::server::Builder::new();
    if let Some(streams) = shared.streams {
        builder.max_concurrent_streams(streams);
    }
    let Ok(mut connection) = builder.handshake::<_, Bytes>(stream).await else {
        return;
    };
    while let Some(Ok((request, mut respond))) = connection.accept().await {
        let number = {
            let mut seen = shared.seen.lock().unwrap();
            seen.requests += 1;
            seen.requests
        };
        match (shared.act)(number) {
            Act::Refuse => respond.send_reset(h2::Reason::REFUSED_STREAM),
            Act::Break => return,
            Act::Ignore => std::future::pending().await,
            act => {
                if act == Act::Leave {
                    connection.graceful_shutdown();
                }
                tokio::spawn(answer(request, respond, shared.clone(), act == Act::Hold));
            }
        }
    }
}

async fn answer(
    request: Request<h2::RecvStream>,
    mut respond: SendResponse<Bytes>,
    shared: Shared,
    hold: bool,
) {
    let count = |change: fn(&mut Seen)| change(&mut shared.seen.lock().unwrap());
    count(|seen| {
        seen.at_once += 1;
        seen.most_at_once = seen.most_at_once.max(seen.at_once);
    });
    if hold {
        shared.released.acquire().await.unwrap().forget();
    }
    let mut body = request.into_body();
    let mut whole = Vec::new();
    while let Some(Ok(bytes)) = body.data().await {
        body.flow_control().release_capacity(bytes.len()).unwrap();
        whole.extend_from_slice(&bytes);
    }
    count(|seen| seen.at_once -= 1);
    // The gateway may have left.
    if let Ok(mut stream) = respond.send_response(Response::new(()), false) {
        let _sent = stream.send_data(whole.into(), true);
    }
}

/// One worker before it.
fn gateway(origin: &H2Origin, lines: &str) -> Gateway {
    let lines = format!("protocol = 'h2'\n{lines}");
    let config = Configuration::new()
        .access_log()
        .upstream_with("a", origin.address, &lines)
        .route("a", "/**", "upstream = 'a'");
    Gateway::start(&config)
}

/// So many requests at once.
fn at_once(public: SocketAddr, many: usize) -> Vec<std::thread::JoinHandle<Answer>> {
    let ask = |_| std::thread::spawn(move || get(public, "/x", &[]));
    (0..many).map(ask).collect()
}

fn all_are(status: u16, asked: Vec<std::thread::JoinHandle<Answer>>) {
    for asked in asked {
        assert_eq!(asked.join().unwrap().status, status);
    }
}

#[test]
fn requests_that_race_at_the_start_share_one_connection() {
    let origin = H2Origin::start(None, |_| Act::Hold);
    let gateway = gateway(&origin, "");
    let asked = at_once(gateway.listener("public"), 12);
    origin.wait_until(|seen| seen.at_once == 12);
    origin.release(12);
    all_are(200, asked);
    assert_eq!(origin.look(|seen| seen.connections), 1);
}

#[test]
fn requests_that_wait_for_a_stream_are_counted_where_upstreams_are_shown_and_those_that_left_are_not()
 {
    let origin = H2Origin::start(Some(1), |_| Act::Hold);
    let gateway = gateway(
        &origin,
        "pool = { max_connections = 1 }\ntimeouts = { connect = '1h' }",
    );
    let public = gateway.listener("public");
    let shown = || get(gateway.admin(), "/upstreams/a", &[]).json()["connections"].clone();
    let is_waiting = |many: usize| {
        crate::health::until(&gateway, "so many wait", || shown()["waiting"] == many);
    };
    is_waiting(0);
    let first = at_once(public, 1);
    origin.wait_until(|seen| seen.at_once == 1);
    is_waiting(0);
    let asked = at_once(public, 2);
    is_waiting(2);
    let mut leaves = connect(public);
    leaves
        .write_all(b"GET /x HTTP/1.1\r\nhost: a\r\n\r\n")
        .unwrap();
    is_waiting(3);
    drop(leaves);
    is_waiting(2);
    assert_eq!(shown()["most_waiting"], 1024);
    origin.release(1);
    all_are(200, first);
    is_waiting(1);
    origin.release(2);
    all_are(200, asked);
    is_waiting(0);
}

#[test]
fn more_than_an_endpoint_allows_at_once_goes_over_another_connection() {
    let origin = H2Origin::start(Some(2), |_| Act::Hold);
    let gateway = gateway(&origin, "");
    let asked = at_once(gateway.listener("public"), 6);
    origin.wait_until(|seen| seen.at_once == 6);
    assert_eq!(origin.look(|seen| seen.connections), 3);
    origin.release(6);
    all_are(200, asked);
}

#[test]
fn where_there_may_be_no_other_connection_requests_wait_for_a_stream() {
    let origin = H2Origin::start(Some(2), |_| Act::Hold);
    let gateway = gateway(
        &origin,
        "pool = { max_connections = 1 }\ntimeouts = { connect = '30s' }",
    );
    let asked = at_once(gateway.listener("public"), 8);
    origin.wait_until(|seen| seen.at_once == 2);
    origin.release(8);
    all_are(200, asked);
    let seen = origin.look(|seen| (seen.connections, seen.requests, seen.most_at_once));
    assert_eq!(seen, (1, 8, 2));
}

#[test]
fn who_waits_for_a_stream_in_vain_gets_503() {
    let origin = H2Origin::start(Some(1), |_| Act::Hold);
    let gateway = gateway(
        &origin,
        "pool = { max_connections = 1 }\ntimeouts = { connect = '200ms' }",
    );
    let public = gateway.listener("public");
    let asked = at_once(public, 1);
    origin.wait_until(|seen| seen.at_once == 1);
    let began = Instant::now();
    let refused = get(public, "/x", &[]);
    assert_eq!(refused.status, 503);
    assert_eq!(refused.header("retry-after"), Some("1"));
    assert!(began.elapsed() >= Duration::from_millis(200));
    gateway.wait_for("\"error\":\"saturated\"");
    origin.release(1);
    all_are(200, asked);
    let metric = |name: &str| gateway.metric(&format!("gateway_upstream_{name}{{upstream=\"a\"}}"));
    assert_eq!((metric("connections"), metric("pending")), (1.0, 0.0));
}

#[test]
fn what_the_endpoint_says_it_did_nothing_for_goes_out_again_once() {
    // A stream that is refused.
    let origin = H2Origin::start(None, |number| match number {
        1 => Act::Refuse,
        _ => Act::Answer,
    });
    let served = gateway(&origin, "");
    // What was taken of a body that streams goes out again with it.
    let answer = send(served.listener("public"), "POST", "/x", &[], b"body");
    assert_eq!((answer.status, answer.text().as_str()), (200, "body"));
    assert_eq!(origin.look(|seen| seen.requests), 2);
    // One that always is.
    let origin = H2Origin::start(None, |_| Act::Refuse);
    let refused = gateway(&origin, "");
    let answer = send(refused.listener("public"), "POST", "/x", &[], b"");
    assert_eq!(answer.status, 502);
    assert_eq!(origin.look(|seen| seen.requests), 2);
    refused.wait_for("\"error\":\"bad_gateway\"");
}

#[test]
fn a_connection_that_takes_no_more_is_followed_by_another() {
    let origin = H2Origin::start(None, |number| match number {
        1 => Act::Leave,
        _ => Act::Answer,
    });
    let gateway = gateway(&origin, "");
    for _ in 0..3 {
        let answer = send(gateway.listener("public"), "POST", "/x", &[], b"body");
        assert_eq!((answer.status, answer.text().as_str()), (200, "body"));
    }
    let seen = origin.look(|seen| (seen.connections, seen.requests));
    assert_eq!(seen, (2, 3));
}

#[test]
fn where_the_connection_breaks_only_what_is_idempotent_goes_out_again() {
    let once = |number| match number {
        2 => Act::Break,
        _ => Act::Answer,
    };
    for (method, status, requests) in [("POST", 502, 2), ("GET", 200, 3)] {
        let origin = H2Origin::start(None, once);
        let gateway = gateway(&origin, "");
        let public = gateway.listener("public");
        assert_eq!(get(public, "/x", &[]).status, 200);
        let answer = send(public, method, "/x", &[], b"");
        assert_eq!(answer.status, status, "{method}");
        assert_eq!(origin.look(|seen| seen.requests), requests, "{method}");
        assert_eq!(get(public, "/x", &[]).status, 200);
    }
}

#[test]
fn where_a_connection_breaks_that_never_answered_nothing_goes_out_again() {
    let origin = H2Origin::start(None, |_| Act::Break);
    let gateway = gateway(&origin, "");
    let public = gateway.listener("public");
    for requests in 1..=3 {
        assert_eq!(get(public, "/x", &[]).status, 502);
        assert_eq!(origin.look(|seen| seen.requests), requests);
    }
}

#[test]
fn a_fallback_gets_what_the_endpoint_did_nothing_for() {
    let refusing = H2Origin::start(None, |_| Act::Refuse);
    let other = Origin::start();
    let config = Configuration::new()
        .upstream_with("a", refusing.address, "protocol = 'h2'")
        .upstream("other", other.address)
        .route(
            "a",
            "/**",
            "upstream = 'a'\nfallback = { on = ['reset'], upstream = 'other' }",
        );
    let gateway = Gateway::start(&config);
    let answer = send(gateway.listener("public"), "POST", "/x", &[], b"");
    assert_eq!(answer.text(), r#"{"path":"/x","body":0}"#);
}

#[test]
fn a_connection_that_went_silent_is_given_no_other_request() {
    let origin = H2Origin::start(None, |number| match number {
        1 => Act::Ignore,
        _ => Act::Answer,
    });
    let gateway = gateway(&origin, "timeouts = { first_byte = '300ms' }");
    let public = gateway.listener("public");
    assert_eq!(get(public, "/x", &[]).status, 504);
    assert_eq!(get(public, "/x", &[]).status, 200);
    assert_eq!(origin.look(|seen| seen.connections), 2);
}

#[test]
fn the_time_for_an_answer_begins_where_the_body_ends() {
    let origin = H2Origin::start(None, |number| match number {
        1 => Act::Answer,
        _ => Act::Hold,
    });
    let gateway = gateway(&origin, "timeouts = { first_byte = '300ms' }");
    let public = gateway.listener("public");
    let mut slow = connect(public);
    slow.write_all(b"POST /x HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\n\r\n")
        .unwrap();
    for byte in b"slow" {
        slow.write_all(&[*byte]).unwrap();
        // Longer than half of the time for an answer: all together take longer than that.
        std::thread::sleep(Duration::from_millis(200));
    }
    let answer = read_answer(&mut slow);
    assert_eq!((answer.status, answer.text().as_str()), (200, "slow"));
    // Where nothing more comes, it counts.
    assert_eq!(send(public, "POST", "/x", &[], b"body").status, 504);
}

#[test]
fn an_endpoint_of_http_1_is_told_apart() {
    let origin =
        Origin::answering(|_, _| b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n".to_vec());
    let config = Configuration::new()
        .upstream_with("a", origin.address, "protocol = 'h2'")
        .route("a", "/**", "upstream = 'a'");
    let gateway = Gateway::start(&config);
    assert_eq!(get(gateway.listener("public"), "/x", &[]).status, 502);
    gateway.wait_for("the endpoint speaks HTTP/1.1: write `protocol = \"h1\"`");
}
