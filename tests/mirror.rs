//! `mirror`: what a shadow gets, and that nothing it does reaches a client.

mod bodies;
mod bounds;
mod example;
mod shadows;

use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use crate::harness::gateway::PATIENCE;
use crate::harness::http::{connect, read_answer, send};
use crate::harness::{Configuration, Gateway, Origin, get};
use crate::streams::gone;

/// An upstream for copies that says what it got.
struct Shadow {
    address: SocketAddr,
    got: Mutex<Receiver<(String, Vec<u8>)>>,
}

impl Shadow {
    /// Answers whatever comes with 200.
    fn start() -> Self {
        let (sender, got) = channel();
        let origin = Origin::forgetting(move |head, body| {
            // The test may be over.
            let _over = sender.send((head.to_owned(), body.to_vec()));
            b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok".to_vec()
        });
        Self {
            address: origin.address,
            got: Mutex::new(got),
        }
    }

    /// Head and body of the next copy.
    fn next(&self) -> (String, Vec<u8>) {
        let got = self.got.lock().unwrap();
        got.recv_timeout(PATIENCE).expect("a copy comes")
    }

    /// No copy came that was not asked for.
    fn assert_nothing_more(&self) {
        assert!(self.got.lock().unwrap().try_recv().is_err());
    }
}

/// `/**` goes to `origin` and is copied to `shadow`; `mirror` is more of its table, `lines` more of the route.
fn mirrored(origin: SocketAddr, shadow: SocketAddr, mirror: &str, lines: &str) -> Configuration {
    let mirror = format!("mirror = {{ upstream = 'shadow' {mirror} }}");
    Configuration::new()
        .upstream("origin", origin)
        .upstream("shadow", shadow)
        .route(
            "all",
            "/**",
            &format!("upstream = 'origin'\n{mirror}\n{lines}"),
        )
}

/// A figure of the mirror of the route `all`; `label` is one more of its labels.
fn count(gateway: &Gateway, name: &str, label: &str) -> u64 {
    let labels = format!("route=\"all\",upstream=\"shadow\"{label}");
    gateway.metric(&format!("gateway_mirror_{name}{{{labels}}}")) as u64
}

/// Waits until no copy is under way: what was counted is all.
fn settle(gateway: &Gateway) {
    until("no copy is under way", || {
        count(gateway, "under_way", "") == 0
    });
}

/// Waits for what tells nobody that it happened.
fn until(what: &str, mut happened: impl FnMut() -> bool) {
    let began = Instant::now();
    while !happened() {
        assert!(began.elapsed() < PATIENCE, "never: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn the_shadow_gets_the_request_as_it_leaves() {
    let (origin, shadow) = (Origin::start(), Shadow::start());
    let set = "plugins = [{ name = 'transform', config = { request = { set_headers = { x-from = 'gateway' }, remove_headers = ['x-secret'] } } }]";
    let lines = format!("rewrite = {{ prefix = '/v2' }}\n{set}");
    let config = mirrored(origin.address, shadow.address, "", &lines);
    let gateway = Gateway::start(&config.plugin("transform", "transform", ""));
    let public = gateway.listener("public");
    let fields = [("x-secret", "1"), ("x-user", "alice"), ("te", "trailers")];
    for (method, path, body) in [
        ("GET", "/a?b=c", ""),
        ("DELETE", "/a", ""),
        ("POST", "/a", "abc"),
        ("PATCH", "/%41/b", "abcdef"),
        ("DELETE", "/a", "unusual"),
        // The last: this origin sends a body with it, and an endpoint that does gets `connection: close` from then on.
        ("HEAD", "/a", ""),
    ] {
        let answer = send(public, method, path, &fields, body.as_bytes());
        assert_eq!(answer.status, 200, "{method} {path}");
        let (head, copied) = shadow.next();
        let original = origin.seen().pop().unwrap();
        // The Host is that of the endpoint.
        let expected = original.replace(&origin.address.to_string(), &shadow.address.to_string());
        assert_eq!(format!("{head}{body}"), expected);
        assert_eq!(copied, body.as_bytes());
        assert!(head.contains(" /v2/"), "{head}");
        assert!(head.contains("\r\nx-from: gateway\r\n"), "{head}");
        assert!(!head.contains("x-secret"), "{head}");
    }
    settle(&gateway);
    shadow.assert_nothing_more();
    assert_eq!(count(&gateway, "sent_total", ""), 6);
}

#[test]
fn the_host_is_what_the_route_says() {
    for (rewrite, expected) in [
        ("rewrite = { host = 'preserve' }", "shop.test"),
        (
            "rewrite = { host = 'products.internal' }",
            "products.internal",
        ),
    ] {
        let (origin, shadow) = (Origin::start(), Shadow::start());
        let gateway = Gateway::start(&mirrored(origin.address, shadow.address, "", rewrite));
        let mut client = connect(gateway.listener("public"));
        client
            .write_all(b"GET /a HTTP/1.1\r\nhost: shop.test\r\n\r\n")
            .unwrap();
        assert_eq!(read_answer(&mut client).status, 200);
        let (head, _) = shadow.next();
        assert_eq!(head, origin.seen()[0]);
        assert!(
            head.contains(&format!("\r\nhost: {expected}\r\n")),
            "{head}"
        );
    }
}

#[test]
fn each_of_several_mirrors_has_its_copy() {
    let (origin, shadow, other) = (Origin::start(), Shadow::start(), Shadow::start());
    let config = Configuration::new()
        .upstream("origin", origin.address)
        .upstream("shadow", shadow.address)
        .upstream("other", other.address)
        .route(
            "all",
            "/**",
            "upstream = 'origin'\nmirror = [{ upstream = 'shadow' }, { upstream = 'other', max_body = '3B' }]",
        );
    let gateway = Gateway::start(&config);
    let public = gateway.listener("public");
    for body in [&b"abc"[..], b"abcd"] {
        assert_eq!(send(public, "POST", "/a", &[], body).status, 200);
        assert_eq!(shadow.next().1, body);
    }
    assert_eq!(other.next().1, b"abc");
    let dropped =
        "gateway_mirror_dropped_total{route=\"all\",upstream=\"other\",reason=\"too_large\"}";
    assert_eq!(gateway.metric(dropped), 1.0);
}

#[test]
fn the_share_that_is_copied_is_the_ratio() {
    let (origin, shadow) = (Origin::start(), Shadow::start());
    const REQUESTS: u64 = 2_000;
    for (ratio, least, most) in [
        ("0.0", 0, 0),
        // Ten standard deviations of a fair coin are 224.
        ("0.5", 776, 1_224),
        ("1", REQUESTS, REQUESTS),
    ] {
        let mirror = format!(", ratio = {ratio}, max_concurrent = 10_000");
        let gateway = Gateway::start(&mirrored(origin.address, shadow.address, &mirror, ""));
        let mut client = connect(gateway.listener("public"));
        for _ in 0..REQUESTS {
            client
                .write_all(b"GET /a HTTP/1.1\r\nhost: a\r\n\r\n")
                .unwrap();
            assert_eq!(read_answer(&mut client).status, 200);
        }
        settle(&gateway);
        let sent = count(&gateway, "sent_total", "");
        assert!((least..=most).contains(&sent), "{sent} of {ratio}");
        let answered = gateway.metric("gateway_upstream_requests_total{upstream=\"shadow\"}");
        assert_eq!(answered as u64, sent);
        let of_route = gateway.metric("gateway_requests_total{route=\"all\",status=\"200\"}");
        assert_eq!(of_route as u64, REQUESTS);
    }
}

#[test]
fn only_what_leaves_for_an_upstream_is_copied_and_once() {
    let (origin, shadow) = (Origin::start(), Shadow::start());
    let mirror = "mirror = { upstream = 'shadow' }";
    let key =
        "{ schemes = ['api_key'], api_key = { keys = [{ key = 'abcdefghij', subject = 'a' }] } }";
    let config = mirrored(origin.address, shadow.address, "", "")
        .upstream("gone", gone())
        .plugin("auth", "auth", &format!("config = {key}"))
        .chain(
            "private",
            "/private",
            &["auth"],
            &format!("upstream = 'origin'\n{mirror}"),
        )
        .route(
            "saved",
            "/saved",
            &format!("upstream = 'gone'\nfallback = {{ upstream = 'origin' }}\n{mirror}"),
        );
    let gateway = Gateway::start(&config);
    let public = gateway.listener("public");
    assert_eq!(get(public, "/private", &[]).status, 401);
    // A tunnel has no copy, and what asks for one neither, whatever becomes of it.
    let mut client = connect(public);
    client
        .write_all(
            b"GET /ws HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n",
        )
        .unwrap();
    assert_eq!(read_answer(&mut client).status, 200);
    assert_eq!(get(public, "/saved", &[]).status, 200);
    assert!(shadow.next().0.starts_with("GET /saved "));
    assert_eq!(get(public, "/last", &[]).status, 200);
    assert!(shadow.next().0.starts_with("GET /last "));
    shadow.assert_nothing_more();
}

#[test]
fn a_reload_that_removes_the_mirror_ends_it() {
    let (origin, shadow) = (Origin::start(), Shadow::start());
    let gateway = Gateway::start(&mirrored(origin.address, shadow.address, "", ""));
    let public = gateway.listener("public");
    // The connection stays over the reload.
    let mut client = connect(public);
    let mut ask = |path: &str| {
        let request = format!("GET {path} HTTP/1.1\r\nhost: a\r\n\r\n");
        client.write_all(request.as_bytes()).unwrap();
        assert_eq!(read_answer(&mut client).status, 200);
    };
    ask("/before");
    assert!(shadow.next().0.starts_with("GET /before "));
    let plain = Configuration::new()
        .upstream("origin", origin.address)
        .route("all", "/**", "upstream = 'origin'");
    gateway.configure(&plain);
    assert_eq!(gateway.post("/reload").status, 200);
    for _ in 0..100 {
        ask("/after");
    }
    gateway.configure(&mirrored(origin.address, shadow.address, "", ""));
    assert_eq!(gateway.post("/reload").status, 200);
    ask("/again");
    assert!(shadow.next().0.starts_with("GET /again "));
    shadow.assert_nothing_more();
}

/// A request on a connection of its own, whose body comes in pieces.
fn stream(public: SocketAddr, head: &str, pieces: &[&[u8]]) -> TcpStream {
    let mut client = connect(public);
    client.write_all(head.as_bytes()).unwrap();
    for piece in pieces {
        client.write_all(piece).unwrap();
    }
    client
}
