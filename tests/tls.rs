//! TLS from outside: versions, protocols, names, sessions, and what changes while connections are open.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use rustls::version::{TLS12, TLS13};
use rustls::{HandshakeKind, SupportedProtocolVersion};

use crate::harness::client::{Client, run};
use crate::harness::tls::{Certificate, Tls, shown};
use crate::harness::{Configuration, Gateway, Origin, wasm};

const KEY: (&str, &str) = ("x-api-key", "demo");
const VERSIONS: [&SupportedProtocolVersion; 2] = [&TLS12, &TLS13];
const BOTH: [&str; 2] = ["h2", "http/1.1"];

/// A gateway with one certificate for `a.test` and one for `b.test` and `*.c.test`.
struct Served {
    gateway: Gateway,
    origin: Origin,
    first: Certificate,
    second: Certificate,
}

/// `tls` and `limits` are further keys of the listener's tables.
fn config(origin: &Origin, tls: &str, limits: &str) -> Configuration {
    let public = format!(
        r#"
limits = {{ {limits} }}
[listeners.tls]
certificates = [{{ cert = "a.pem", key = "a.key" }}, {{ cert = "b.pem", key = "b.key" }}]
{tls}
"#
    );
    let keys = r#"config = { schemes = ["api_key"], api_key = { keys = [{ key = "demo", subject = "alice" }] } }"#;
    let chain = ["auth", "version"];
    Configuration::new()
        .workers(2)
        .public(&public)
        .plugin("auth", "auth", keys)
        .plugin_at("version", "{dir}/version.wasm", "")
        .upstream("origin", origin.address)
        .chain("all", "/**", &chain, "upstream = 'origin'")
}

fn serve(tls: &str, limits: &str) -> Served {
    let origin = Origin::start();
    let (first, second) = (
        Certificate::new(&["a.test"]),
        Certificate::new(&["b.test", "*.c.test"]),
    );
    let directory = tempfile::tempdir().unwrap();
    first.write(directory.path(), "a");
    second.write(directory.path(), "b");
    std::fs::copy(
        wasm("guest_version_a"),
        directory.path().join("version.wasm"),
    )
    .unwrap();
    let gateway = Gateway::start_in(directory, &config(&origin, tls, limits), &[]);
    Served {
        gateway,
        origin,
        first,
        second,
    }
}

impl Served {
    fn address(&self) -> SocketAddr {
        self.gateway.listener("public")
    }

    fn client(&self, version: &'static SupportedProtocolVersion, alpn: &[&str]) -> Tls {
        Tls::new(&[&self.first, &self.second], version, alpn)
    }

    /// A connection to `a.test`.
    async fn connect(&self, version: &'static SupportedProtocolVersion, alpn: &str) -> Client {
        let tls = self.client(version, &[alpn]);
        let stream = tls.connect(self.address(), "a.test").await.unwrap();
        Client::new(stream, alpn == "h2", "https").await
    }
}

#[test]
fn both_protocols_pass_the_plugins_over_both_versions() {
    let served = serve("", "");
    run(async {
        for version in VERSIONS {
            for alpn in BOTH {
                let mut client = served.connect(version, alpn).await;
                let refused = client.get("a.test", "/x", &[]).await;
                assert_eq!(refused.status(), 401, "{version:?} {alpn}");
                let answer = client.get("a.test", "/x", &[KEY]).await;
                assert_eq!(answer.status(), 200, "{version:?} {alpn}");
                assert_eq!(answer.headers()["x-response-version"], "1.0.0");
                assert_eq!(answer.body(), r#"{"path":"/x","body":0}"#);
            }
        }
    });
    let seen = served.origin.seen();
    assert_eq!(seen.len(), 4, "{seen:?}");
    for request in seen {
        assert!(request.contains("x-forwarded-proto: https"), "{request}");
        assert!(request.contains("x-forwarded-host: a.test"), "{request}");
    }
}

#[test]
fn the_client_chooses_the_protocol_and_http_1_1_is_what_silence_means() {
    let served = serve("", "");
    run(async {
        for (offered, chosen) in [
            (&["h2", "http/1.1"][..], Some(&b"h2"[..])),
            (&["http/1.1"], Some(b"http/1.1")),
            (&[], None),
        ] {
            let tls = served.client(&TLS13, offered);
            let stream = tls.connect(served.address(), "a.test").await.unwrap();
            assert_eq!(stream.get_ref().1.alpn_protocol(), chosen, "{offered:?}");
            let mut client = Client::new(stream, chosen == Some(b"h2"), "https").await;
            assert_eq!(client.get("a.test", "/", &[KEY]).await.status(), 200);
        }
        let tls = served.client(&TLS13, &["spdy/3"]);
        assert!(tls.connect(served.address(), "a.test").await.is_err());
    });
}

#[test]
fn the_name_chooses_the_certificate_and_an_unknown_one_gets_the_first() {
    let served = serve("", "");
    run(async {
        let tls = served.client(&TLS13, &BOTH);
        for (name, certificate) in [
            ("a.test", &served.first),
            ("b.test", &served.second),
            ("x.c.test", &served.second),
        ] {
            let stream = tls.connect(served.address(), name).await.unwrap();
            assert_eq!(shown(&stream), certificate.der, "{name}");
        }
        let nameless = tls.clone().without_sni();
        let stream = nameless.connect(served.address(), "a.test").await.unwrap();
        assert_eq!(shown(&stream), served.first.der);
        // The client is who refuses: the name is not in the certificate it was shown.
        let error = tls.connect(served.address(), "unknown.test").await;
        let error = error.unwrap_err().to_string();
        assert!(error.contains("not valid for name"), "{error}");
    });
}

#[test]
fn a_host_that_the_certificate_does_not_cover_is_misdirected_if_a_name_was_sent() {
    let served = serve("", "");
    run(async {
        for alpn in BOTH {
            let mut named = served.connect(&TLS13, alpn).await;
            let misdirected = named.get("b.test", "/", &[KEY]).await;
            assert_eq!(misdirected.status(), 421, "{alpn}");
            // The connection is as good as before.
            assert_eq!(named.get("a.test:443", "/", &[KEY]).await.status(), 200);
            let tls = served.client(&TLS13, &[alpn]).without_sni();
            let stream = tls.connect(served.address(), "a.test").await.unwrap();
            let mut nameless = Client::new(stream, alpn == "h2", "https").await;
            assert_eq!(nameless.get("b.test", "/", &[KEY]).await.status(), 200);
        }
        let tls = served.client(&TLS13, &["h2"]);
        let stream = tls.connect(served.address(), "x.c.test").await.unwrap();
        let mut client = Client::new(stream, true, "https").await;
        for (host, status) in [
            ("y.c.test", 200),
            ("B.test", 200),
            ("y.c.test.", 200),
            ("Y.c.test.:443", 200),
            ("x.y.c.test", 421),
        ] {
            let answer = client.get(host, "/", &[KEY]).await;
            assert_eq!(answer.status(), status, "{host}");
        }
    });
    assert!(
        served
            .origin
            .seen()
            .iter()
            .all(|request| !request.contains("x.y.c.test"))
    );
}

#[test]
fn a_lowest_version_is_held() {
    let served = serve("min_version = \"1.3\"", "");
    run(async {
        let old = served.client(&TLS12, &BOTH);
        assert!(old.connect(served.address(), "a.test").await.is_err());
        let mut client = served.connect(&TLS13, "h2").await;
        assert_eq!(client.get("a.test", "/", &[KEY]).await.status(), 200);
    });
}

/// Connects and asks once, so that tickets have come; how the hands were shaken.
async fn visit(tls: &Tls, address: SocketAddr) -> HandshakeKind {
    let stream = tls.connect(address, "a.test").await.unwrap();
    let kind = stream.get_ref().1.handshake_kind().unwrap();
    let mut client = Client::new(stream, true, "https").await;
    assert_eq!(client.get("a.test", "/", &[KEY]).await.status(), 200);
    kind
}

#[test]
fn a_session_is_resumed_on_any_worker_and_after_a_swap_but_not_under_another_certificate() {
    let served = serve("", "");
    run(async {
        for version in VERSIONS {
            let tls = served.client(version, &["h2"]);
            assert_eq!(visit(&tls, served.address()).await, HandshakeKind::Full);
            // The kernel spreads connections over the workers: eight meet both, nearly always.
            for _ in 0..8 {
                let kind = visit(&tls, served.address()).await;
                assert_eq!(kind, HandshakeKind::Resumed, "{version:?}");
            }
            assert_eq!(served.gateway.post("/plugins/version/reload").status, 200);
            let kind = visit(&tls, served.address()).await;
            assert_eq!(kind, HandshakeKind::Resumed, "{version:?} after a swap");
        }
        let tls = served.client(&TLS13, &["h2"]);
        visit(&tls, served.address()).await;
        let other = Certificate::new(&["b.test"]);
        other.write(served.gateway.directory.path(), "b");
        assert_eq!(served.gateway.post("/reload").status, 200);
        assert_eq!(visit(&tls, served.address()).await, HandshakeKind::Full);
    });
}

/// Reads until the other side closes.
fn read_to_end(stream: &mut TcpStream) -> Vec<u8> {
    stream
        .set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    let mut read = Vec::new();
    if let Err(error) = stream.read_to_end(&mut read) {
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset, "{error}");
    }
    read
}

#[test]
fn a_handshake_that_stalls_is_closed_in_time_and_holds_up_nobody() {
    let served = serve("", "header_timeout = \"1500ms\"");
    let began = Instant::now();
    // A record that announces 200 bytes of ClientHello.
    let hello = [22, 3, 1, 0, 200, 1, 0, 0, 196, 3, 3];
    let mut stalled = Vec::new();
    for length in [0, 1, 5, hello.len()] {
        let mut stream = TcpStream::connect(served.address()).unwrap();
        stream.write_all(&hello[..length]).unwrap();
        stalled.push(stream);
    }
    run(async {
        for alpn in BOTH {
            let mut client = served.connect(&TLS13, alpn).await;
            assert_eq!(client.get("a.test", "/", &[KEY]).await.status(), 200);
        }
    });
    for stream in &mut stalled {
        let read = read_to_end(stream);
        assert!(read.is_empty(), "{read:?}");
    }
    let took = began.elapsed();
    assert!(took >= Duration::from_millis(1500), "{took:?}");
}

#[test]
fn what_is_no_tls_is_closed_at_once_and_hurts_nobody() {
    // Longer than anybody waits here.
    let served = serve("", "header_timeout = \"60s\"");
    let http = b"GET / HTTP/1.1\r\nhost: a.test\r\n\r\n";
    let h2 = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
    for bytes in [&http[..], h2, &[0; 64], &[0xff; 300]] {
        let mut stream = TcpStream::connect(served.address()).unwrap();
        stream.write_all(bytes).unwrap();
        let read = read_to_end(&mut stream);
        // At most an alert (content type 21, RFC 8446 section 5.1).
        assert!(read.first().is_none_or(|first| *first == 21), "{read:?}");
    }
    run(async {
        let mut client = served.connect(&TLS13, "h2").await;
        assert_eq!(client.get("a.test", "/", &[KEY]).await.status(), 200);
    });
    assert_eq!(served.origin.seen().len(), 1);
}

#[test]
fn a_handshake_that_fails_is_told_and_counted_and_a_look_at_the_port_is_not() {
    let served = serve("", "");
    let failed = "TLS handshake failed";
    let count = || {
        let counter = "gateway_tls_handshake_failures_total{listener=\"public\"}";
        served.gateway.metric(counter)
    };
    let mut silent = TcpStream::connect(served.address()).unwrap();
    silent.shutdown(Shutdown::Write).unwrap();
    assert!(read_to_end(&mut silent).is_empty());
    assert_eq!(count(), 0.0);
    let mut plain = TcpStream::connect(served.address()).unwrap();
    plain.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
    let peer = format!("peer={}", plain.local_addr().unwrap());
    let why = "InvalidContentType";
    served.gateway.wait_for_all(&[
        "INFO",
        failed,
        "listener=public",
        &peer,
        why,
        "suppressed=0",
    ]);
    assert_eq!(count(), 1.0);
    run(async {
        let stranger = Certificate::new(&["a.test"]);
        let tls = Tls::new(&[&stranger], &TLS13, &BOTH);
        assert!(tls.connect(served.address(), "a.test").await.is_err());
    });
    served.gateway.wait_for_all(&[failed, "alert"]);
    assert_eq!(count(), 2.0);
    let silent = format!("peer={}", silent.local_addr().unwrap());
    let text = served.gateway.text();
    assert!(!text.contains(&silent), "{text}");
}

#[test]
fn a_swap_and_a_new_certificate_leave_open_connections_as_they_are() {
    let served = serve("", "");
    let directory = served.gateway.directory.path();
    run(async {
        let mut open = Vec::new();
        for alpn in BOTH {
            let mut client = served.connect(&TLS13, alpn).await;
            let answer = client.get("a.test", "/", &[KEY]).await;
            assert_eq!(answer.headers()["x-response-version"], "1.0.0");
            open.push(client);
        }
        std::fs::copy(wasm("guest_version_b"), directory.join("new.wasm")).unwrap();
        std::fs::rename(directory.join("new.wasm"), directory.join("version.wasm")).unwrap();
        assert_eq!(served.gateway.post("/plugins/version/reload").status, 200);
        let renewed = Certificate::new(&["a.test"]);
        renewed.write(directory, "a");
        assert_eq!(served.gateway.post("/reload").status, 200);
        for client in &mut open {
            let answer = client.get("a.test", "/", &[KEY]).await;
            assert_eq!(answer.status(), 200);
            assert_eq!(answer.headers()["x-response-version"], "2.0.0");
        }
        let tls = Tls::new(&[&renewed], &TLS13, &BOTH);
        let stream = tls.connect(served.address(), "a.test").await.unwrap();
        assert_eq!(shown(&stream), renewed.der);
        // A key that does not belong to the certificate changes nothing.
        Certificate::new(&["a.test"]).write(directory, "wrong");
        std::fs::rename(directory.join("wrong.key"), directory.join("a.key")).unwrap();
        let refused = served.gateway.post("/reload");
        assert_eq!(refused.status, 409);
        assert!(refused.text().contains("does not belong"), "{refused:?}");
        let stream = tls.connect(served.address(), "a.test").await.unwrap();
        assert_eq!(shown(&stream), renewed.der);
    });
}
