//! Hostile and broken requests over HTTP/1.1, with an upstream that remembers what it got: every byte, where not one
//! may arrive.

mod cases;
mod guard;
mod splits;

use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use crate::harness::client::{Client, run};
use crate::harness::http::read_answer;
use crate::harness::recorder::Recorder;
use crate::harness::{Configuration, Gateway, Origin, get, raw};

fn gateway(origin: &Origin) -> Gateway {
    before(origin.address)
}

/// Limits that a test reaches in no time. What is broken passes the access log too.
fn before(upstream: SocketAddr) -> Gateway {
    let limits = r#"limits = { header_bytes = "4KiB", header_count = 20, body = "1KiB", header_timeout = "1s", body_idle = "1s", idle = "20s" }"#;
    let timeouts = r#"timeouts = { connect = "20s", first_byte = "20s", idle = "20s" }"#;
    let config = Configuration::new()
        .access_log()
        .public(limits)
        .upstream_with("origin", upstream, timeouts)
        .route("all", "/**", "upstream = 'origin'")
        .route("still", "/still", "respond = { status = 200 }");
    Gateway::start(&config)
}

/// Each refused before a byte of it reaches the upstream, which would keep each and was never connected to.
#[test]
fn what_breaks_the_rules_of_http_is_refused_and_never_forwarded() {
    let upstream = Recorder::start();
    let gateway = before(upstream.address);
    let public = gateway.listener("public");
    for (what, request, status) in cases::refused() {
        let answer = raw(public, request.as_bytes());
        assert_eq!(answer.status, status, "{what}: {}", answer.text());
        // Whatever was on its way arrives while these are served.
        assert_eq!(get(public, "/still", &[]).status, 200);
        assert_eq!(upstream.counts().0, 0, "{what} reached the upstream");
    }
}

#[test]
fn the_path_is_normalised_once_for_everybody() {
    let origin = Origin::start();
    let gateway = gateway(&origin);
    let public = gateway.listener("public");
    for (asked, seen) in [
        ("/a/./b/../c", "/a/c"),
        ("//a///b", "/a/b"),
        ("/%61%7e", "/a~"),
        ("/a%c3%a4", "/a%C3%A4"),
        ("/../../etc", "/etc"),
        ("/a?q=%2f/../x", "/a?q=%2f/../x"),
    ] {
        assert_eq!(get(public, asked, &[]).json()["path"], seen, "{asked}");
    }
    // RFC 9112, section 3.2.1: an empty path is sent as `/`.
    let asked = format!("http://{public}?q=1");
    assert_eq!(get(public, &asked, &[]).json()["path"], "/?q=1");
}

/// What an upstream sees of it is above.
#[test]
fn routes_plugins_and_upstream_see_one_path() {
    let origin = Origin::start();
    let config = Configuration::new()
        .probed(origin.address, "config = { phases = ['request'] }")
        .route("admin", "/admin/**", "respond = { status = 403 }");
    let gateway = Gateway::start(&config);
    let public = gateway.listener("public");
    for asked in [
        "/probe/../admin/x",
        "/probe/%2e%2E/admin/x",
        "//admin//x",
        "/%61dmin/x",
    ] {
        assert_eq!(get(public, asked, &[]).status, 403, "{asked}");
    }
    for (asked, seen) in [
        ("/admin/../probe/path?q=%2f/../x", "/probe/path?q=%2f/../x"),
        ("//pr%6fbe/./%70ath", "/probe/path"),
    ] {
        assert_eq!(get(public, asked, &[]).json()["saw"], seen, "{asked}");
    }
    for asked in ["/admin/%2e./probe/x/../next", "//probe/n%65xt"] {
        assert_eq!(
            get(public, asked, &[]).json()["path"],
            "/probe/next",
            "{asked}"
        );
    }
}

#[test]
fn hop_by_hop_fields_end_here_and_forwarded_ones_of_a_stranger_are_replaced() {
    let origin = Origin::start();
    let gateway = gateway(&origin);
    let request = "GET / HTTP/1.1\r\nhost: a\r\nconnection: close, x-mine\r\nx-mine: 1\r\nkeep-alive: 5\r\n\
        proxy-authorization: x\r\nte: gzip\r\nx-forwarded-for: 6.6.6.6\r\nforwarded: for=6.6.6.6\r\nx-request-id: mine\r\n\
        x-forwarded-proto: https\r\nx-forwarded-host: 6.6.6.6\r\nx-forwarded-port: 443\r\nx-forwarded-port: 444\r\n\
        x-forwarded-prefix: /admin\r\nx-forwarded-server: 6.6.6.6\r\nX-Forwarded-Ssl: on\r\nx-forwarded-invented: 1\r\n\
        x-forwarded-: 1\r\nx-real-ip: 6.6.6.6\r\nx-forwardedness: stays\r\n\r\n";
    assert_eq!(
        raw(gateway.listener("public"), request.as_bytes()).status,
        200
    );
    let seen = origin.seen().remove(0).to_ascii_lowercase();
    for gone in [
        "x-mine",
        "keep-alive",
        "proxy-authorization",
        "te: ",
        "6.6.6.6",
        "mine",
        "connection: close",
        "x-forwarded-port",
        "x-forwarded-prefix",
        "x-forwarded-server",
        "x-forwarded-ssl",
        "x-forwarded-invented",
        "x-forwarded-:",
        "x-real-ip",
    ] {
        assert!(!seen.contains(gone), "{gone} went upstream:\n{seen}");
    }
    assert!(seen.contains("x-forwarded-for: 127.0.0.1"), "{seen}");
    assert!(seen.contains("x-forwarded-proto: http\r\n"), "{seen}");
    assert!(seen.contains("x-forwarded-host: a\r\n"), "{seen}");
    assert!(seen.contains("x-forwardedness: stays\r\n"), "{seen}");
}

#[test]
fn hop_by_hop_fields_of_a_response_end_here_too() {
    let origin = Origin::answering(|_, _| {
        b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: keep-alive, X-Mine\r\nconnection: x-other\r\n\
            x-mine: 1\r\nx-other: 1\r\nkeep-alive: timeout=5\r\nproxy-connection: keep-alive\r\nupgrade: h2c\r\n\
            te: gzip\r\nproxy-authenticate: Basic\r\nx-kept: 1\r\n\r\nok"
            .to_vec()
    });
    let gateway = gateway(&origin);
    let public = gateway.listener("public");
    let over_h1 = raw(public, b"GET / HTTP/1.1\r\nhost: a\r\n\r\n");
    assert_eq!((over_h1.status, over_h1.text()), (200, "ok".to_owned()));
    let over_h2 = run(async {
        let stream = tokio::net::TcpStream::connect(public).await.unwrap();
        let mut client = Client::new(stream, true, "http").await;
        client.get("a", "/", &[]).await.headers().clone()
    });
    for gone in [
        "x-mine",
        "x-other",
        "keep-alive",
        "proxy-connection",
        "upgrade",
        "te",
        "proxy-authenticate",
        "connection",
    ] {
        assert_eq!(over_h1.header(gone), None, "{gone}");
        assert!(!over_h2.contains_key(gone), "{gone} over HTTP/2");
    }
    assert_eq!(over_h1.header("x-kept"), Some("1"));
    assert!(over_h2.contains_key("x-kept"));
}

#[test]
fn slow_heads_and_bodies_end_with_408() {
    let origin = Origin::start();
    let gateway = gateway(&origin);
    for begun in [
        "GET / HTTP/1.1\r\nhost: a\r\n",
        "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\nabc",
    ] {
        let mut stream = TcpStream::connect(gateway.listener("public")).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(20)))
            .unwrap();
        stream.write_all(begun.as_bytes()).unwrap();
        assert_eq!(
            read_answer(&mut stream).status,
            408,
            "{begun:?}\n{}",
            gateway.text()
        );
    }
}

#[test]
fn a_body_that_grows_over_the_limit_is_413() {
    let origin = Origin::start();
    let gateway = gateway(&origin);
    let chunk = format!("400\r\n{}\r\n", "a".repeat(1024));
    let request = format!(
        "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n{chunk}{chunk}0\r\n\r\n"
    );
    assert_eq!(
        raw(gateway.listener("public"), request.as_bytes()).status,
        413
    );
    assert!(
        origin.seen().is_empty(),
        "the upstream saw it as whole: {:?}",
        origin.seen()
    );
}

#[test]
fn a_broken_chunk_is_never_a_clean_end_upstream() {
    let origin = Origin::start();
    let gateway = gateway(&origin);
    let request =
        "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\nzz\r\n";
    let answer = raw(gateway.listener("public"), request.as_bytes());
    assert!(answer.status == 400 || answer.status == 0, "{answer:?}");
    assert!(
        origin.seen().is_empty(),
        "the upstream saw it as whole: {:?}",
        origin.seen()
    );
}

#[test]
fn an_upstream_that_misbehaves_is_502_and_its_connection_is_thrown_away() {
    for (what, bytes) in [
        ("garbage", "nonsense\r\n\r\n".to_owned()),
        (
            "a doubled Content-Length",
            "HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\na".to_owned(),
        ),
        (
            "a bad Content-Length",
            "HTTP/1.1 200 OK\r\ncontent-length: x\r\n\r\na".to_owned(),
        ),
        ("the end before the head", String::new()),
        (
            "too many informational responses",
            format!(
                "{}HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
                "HTTP/1.1 103 Early Hints\r\n\r\n".repeat(9)
            ),
        ),
    ] {
        let origin = Origin::answering(move |_, _| bytes.clone().into_bytes());
        let gateway = gateway(&origin);
        let answer = get(gateway.listener("public"), "/", &[]);
        assert_eq!(
            answer.status,
            502,
            "{what}: {}\n{}",
            answer.text(),
            gateway.text()
        );
    }
}

#[test]
fn a_response_that_breaks_off_is_broken_for_the_client_too() {
    let origin = Origin::answering(|_, _| {
        b"HTTP/1.1 200 OK\r\nx: content-length\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\nzz"
            .to_vec()
    });
    let gateway = gateway(&origin);
    let answer = get(gateway.listener("public"), "/", &[]);
    assert_ne!(answer.body, b"abc".to_vec(), "a clean end: {answer:?}");
}

/// The status of each answer in what came on a connection. Every body has a length.
fn statuses(mut bytes: &[u8]) -> Vec<u16> {
    let mut statuses = Vec::new();
    while let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
        let head = String::from_utf8_lossy(&bytes[..end]).to_ascii_lowercase();
        let status = head
            .split(' ')
            .nth(1)
            .and_then(|status| status.parse().ok());
        statuses.push(status.unwrap_or(0));
        let length = head.split("content-length: ").nth(1);
        let length = length.and_then(|rest| rest.split("\r\n").next()?.parse().ok());
        bytes = bytes
            .get(end + 4 + length.unwrap_or(0)..)
            .unwrap_or_default();
    }
    statuses
}
