//! `errors`: what stands for the gateway's own words, and what stays its own or another's.

use std::fs;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::Request;
use http_body_util::BodyExt;

use crate::harness::client::{Client, run, whole};
use crate::harness::gateway::PATIENCE;
use crate::harness::http::send;
use crate::harness::{Configuration, Gateway, Origin, get, raw};
use crate::streams::gone;

/// The lines of the whole file stand above its first table.
fn with_top(top: &str, config: &Configuration) -> String {
    format!("{top}\n{config}")
}

const TOP: &str = r#"errors = { 404 = '{"error":"no {path}","id":"{request_id}"}', 4xx = "refused: {status} {reason}", 5xx = { headers = { x-page = "top" }, body = "top {status}" } }"#;

fn gateway(origin: &Origin) -> Gateway {
    let keys = r#"config = { schemes = ["api_key"], api_key = { keys = [{ key = "demo", subject = "alice" }] } }"#;
    let stamp = "config = { response = { set_headers = { x-stamp = 'yes' } } }";
    let gone_routed = r#"
upstream = "gone"
errors = { 5xx = "class", 502 = { status = 503, headers = { retry-after = "7", x-path = "{path}" }, body = '{"error":"try again","why":"{reason}","status":{status}}' } }
"#;
    let config = Configuration::new()
        .access_log()
        .public("limits = { body = '1KiB' }")
        .plugin("auth", "auth", keys)
        .plugin("stamp", "transform", stamp)
        .upstream("origin", origin.address)
        .upstream("gone", gone())
        .chain("keyed", "/keyed", &["auth"], "upstream = 'origin'")
        .route("served", "/served/**", "upstream = 'origin'")
        .route(
            "written",
            "/written",
            "respond = { status = 404, body = 'mine' }",
        )
        .route("wide", "/wide", "upstream = 'gone'")
        .chain("near", "/near/**", &["stamp"], gone_routed);
    Gateway::start(&with_top(TOP, &config))
}

#[test]
fn what_the_gateway_answers_itself_is_replaced_and_nothing_else() {
    let origin =
        Origin::answering(|_, _| b"HTTP/1.1 502 Bad\r\ncontent-length: 5\r\n\r\ntheir".to_vec());
    let gateway = gateway(&origin);
    let public = gateway.listener("public");

    let none = get(public, "/nowhere/%22x", &[]);
    assert_eq!(none.status, 404);
    assert_eq!(none.header("content-type"), Some("application/json"));
    assert_eq!(none.json()["error"], "no /nowhere/%22x");
    assert_eq!(none.json()["id"].as_str(), none.header("x-request-id"));

    let near = get(public, "/near/x?y", &[]);
    assert_eq!(near.status, 503);
    assert_eq!(near.json()["status"], 502);
    assert_eq!(
        near.json()["why"],
        "the service behind this gateway did not answer as it should"
    );
    assert_eq!(near.header("retry-after"), Some("7"));
    assert_eq!(near.header("x-path"), Some("/near/x"));
    assert_eq!(near.header("x-stamp"), Some("yes"), "the response phases");
    gateway.wait_for_all(&[
        "\"path\":\"/near/x?y\"",
        "\"status\":503",
        "\"error\":\"connect\"",
    ]);

    let wide = get(public, "/wide", &[]);
    assert_eq!((wide.status, wide.text().as_str()), (502, "top 502"));
    assert_eq!(wide.header("x-page"), Some("top"));
    let plain = Some("text/plain; charset=utf-8");
    assert_eq!(wide.header("content-type"), plain);

    // Those of the upstream, of a plugin and of a route are not the gateway's own.
    let served = get(public, "/served/x", &[]);
    assert_eq!((served.status, served.text().as_str()), (502, "their"));
    let keyed = get(public, "/keyed", &[]);
    assert_eq!(keyed.status, 401);
    assert!(!keyed.text().contains("refused:"), "{}", keyed.text());
    let written = get(public, "/written", &[]);
    assert_eq!((written.status, written.text().as_str()), (404, "mine"));
}

#[test]
fn fields_of_the_refusal_stay_and_a_head_has_no_body() {
    let origin = Origin::start();
    let gateway = gateway(&origin);
    let public = gateway.listener("public");
    let large = send(public, "POST", "/served/x", &[], &[b'a'; 2_000]);
    assert_eq!(large.status, 413);
    assert_eq!(large.header("connection"), Some("close"));
    let told = "refused: 413 the request body is larger than this gateway accepts";
    assert_eq!(large.text(), told);

    let trace = send(public, "TRACE", "/served/x", &[("max-forwards", "0")], b"");
    assert_eq!(trace.status, 405);
    assert!(trace.header("allow").is_some());
    assert_eq!(trace.text(), "refused: 405 Method Not Allowed");

    let request = "HEAD /wide HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
    let head = String::from_utf8(raw_bytes(public, request)).unwrap();
    assert!(head.starts_with("HTTP/1.1 502"), "{head}");
    assert!(head.contains("content-length: 7\r\n"), "{head}");
    assert!(head.ends_with("\r\n\r\n"), "{head}");

    // What is refused before there is a route.
    let bad = raw(
        public,
        b"GET /a%2fb HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n",
    );
    assert_eq!(bad.status, 400);
    assert_eq!(bad.text(), "refused: 400 the path has %2F");
}

fn raw_bytes(address: std::net::SocketAddr, request: &str) -> Vec<u8> {
    use std::io::{Read, Write};
    let mut stream = std::net::TcpStream::connect(address).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).unwrap();
    bytes
}

#[test]
fn a_client_of_grpc_is_still_told_in_its_own_words() {
    let origin = Origin::start();
    let gateway = gateway(&origin);
    let public = gateway.listener("public");
    let (head, body) = run(async {
        let stream = tokio::net::TcpStream::connect(public).await.unwrap();
        let mut client = Client::new(stream, true, "http").await;
        let request = Request::post("/near/x").header("content-type", "application/grpc");
        let request = request
            .body(whole(Bytes::from_static(b"\0\0\0\0\0")))
            .unwrap();
        let (head, body) = client.send("a", request).await.unwrap().into_parts();
        (head, body.collect().await.unwrap().to_bytes())
    });
    assert_eq!(head.status, 200);
    assert_eq!(head.headers["grpc-status"], "14");
    assert_eq!(head.headers["content-type"], "application/grpc");
    assert!(!head.headers.contains_key("x-path"));
    assert!(body.is_empty());
}

#[test]
fn a_page_of_html_shows_no_markup_of_a_client() {
    let page = r#"errors = { 404 = { headers = { content-type = "text/html; charset=utf-8", x-agent = "{header.user-agent|none}", x-what = "{query.q}" }, body = "<!doctype html><p>{query.q} {header.user-agent}" } }"#;
    let gateway = Gateway::start(&with_top(page, &Configuration::new()));
    let public = gateway.listener("public");
    let path = "/x?q=%3Cscript%3E%22%27%26";
    let answer = get(public, path, &[("user-agent", "<b>")]);
    assert_eq!(
        answer.text(),
        "<!doctype html><p>&lt;script&gt;&quot;&#39;&amp; &lt;b&gt;"
    );
    assert_eq!(answer.header("x-agent"), Some("<b>"));
    // A field that a value spoils is left out, and the answer has no line of the client's making.
    let split = get(public, "/x?q=a%0d%0aset-cookie:%20b=c", &[]);
    assert_eq!(split.status, 404);
    assert_eq!(split.header("set-cookie"), None);
    assert_eq!(split.header("x-what"), None);
    assert_eq!(split.header("x-agent"), Some("none"));
}

#[test]
fn a_page_in_a_file_is_watched_like_the_configuration() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("sorry.html");
    fs::write(&file, "<p>one {status}</p>\n").unwrap();
    let other = directory.path().join("plain.txt");
    fs::write(&other, "plain").unwrap();
    let top =
        r#"errors = { 404 = { file = "sorry.html" }, 400 = { file = "plain.txt", status = 422 } }"#;
    let config = with_top(top, &Configuration::new());
    let gateway = Gateway::start_in(directory, &config, &[]);
    let public = gateway.listener("public");
    let page = get(public, "/x", &[]);
    assert_eq!(page.text(), "<p>one 404</p>");
    let html = Some("text/html; charset=utf-8");
    assert_eq!(page.header("content-type"), html);
    let refused = get(public, "/%2f", &[]);
    assert_eq!((refused.status, refused.text().as_str()), (422, "plain"));
    fs::write(&file, "<p>two</p>").unwrap();
    fs::write(&other, "other").unwrap();
    let began = Instant::now();
    while get(public, "/x", &[]).text() != "<p>two</p>"
        || get(public, "/%2f", &[]).text() != "other"
    {
        assert!(began.elapsed() < PATIENCE, "{}", gateway.text());
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_page_has_a_bound() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("gateway.toml");
    let large = "a".repeat((64 << 10) + 1);
    fs::write(directory.path().join("large.html"), &large).unwrap();
    let top = "errors = { 404 = { file = 'large.html' }, 500 = { file = 'large.html', status = 503 }, 502 = { body = { file = 'large.html' } } }";
    let route = "[[routes]]\nname = 'r'\nrespond = {}";
    let listener = "[[listeners]]\nname = 'a'\naddress = '127.0.0.1:0'";
    fs::write(&path, format!("{top}\n{listener}\n{route}")).unwrap();
    let errors = gateway::config::load(&path).unwrap_err().to_string();
    for key in ["errors.404", "errors.500.file", "errors.502.body"] {
        let fault = format!(":1: {key}: has 65537 bytes; a page has at most 64 KiB");
        assert!(errors.contains(&fault), "{errors}");
    }
}
