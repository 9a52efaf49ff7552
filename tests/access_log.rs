//! One line per exchange, when it is over: with the last byte, or where somebody broke it off.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use crate::harness::frames::{CANCEL, DATA, Http2, RST_STREAM};
use crate::harness::recorder::Recorder;
use crate::harness::{Configuration, Gateway, get};

fn gateway(upstream: &Recorder) -> Gateway {
    let config = Configuration::new()
        .access_log()
        .probed(
            upstream.address,
            "config = { phases = ['request', 'complete'] }",
        )
        .route("here", "/here/**", "respond = { status = 200 }")
        .route("streamed", "/streamed", "upstream = 'echo'");
    Gateway::start(&config)
}

fn ask(gateway: &Gateway, path: &str) -> TcpStream {
    let mut client = TcpStream::connect(gateway.listener("public")).unwrap();
    let patience = Some(Duration::from_secs(20));
    client.set_read_timeout(patience).unwrap();
    write!(client, "GET {path} HTTP/1.1\r\nhost: a\r\n\r\n").unwrap();
    client
}

fn read_until(client: &mut TcpStream, end: &str) {
    let mut read = Vec::new();
    while !read.ends_with(end.as_bytes()) {
        let mut chunk = [0; 4096];
        let length = client.read(&mut chunk).unwrap();
        assert!(length > 0, "closed: {}", String::from_utf8_lossy(&read));
        read.extend_from_slice(&chunk[..length]);
    }
}

/// The lines of a path among those of the exchanges that are over: one that ended later is waited for.
fn lines(gateway: &Gateway, path: &str, later: &str) -> Vec<String> {
    let later = format!("/here/{later}");
    assert_eq!(get(gateway.listener("public"), &later, &[]).status, 200);
    gateway.wait_for(&format!("\"path\":\"{later}\""));
    let path = format!("\"path\":\"{path}\"");
    let text = gateway.text();
    let found = text.lines().filter(|line| line.contains(&path));
    found.map(str::to_owned).collect()
}

fn assert_says(line: &str, parts: &[&str]) {
    for part in parts {
        assert!(line.contains(part), "{part}: {line}");
    }
}

#[test]
fn a_line_is_written_at_the_last_byte_and_only_then() {
    let upstream = Recorder::start();
    let gateway = gateway(&upstream);
    let mut client = ask(&gateway, "/streamed");
    upstream.head(0);
    upstream.send(0, b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nabc");
    read_until(&mut client, "abc");
    assert_eq!(lines(&gateway, "/streamed", "one"), Vec::<String>::new());
    let counted = r#"gateway_requests_total{route="streamed",status="200"}"#;
    assert_eq!(gateway.metric(counted), 0.0);
    upstream.send(0, b"def");
    read_until(&mut client, "def");
    gateway.wait_for("\"path\":\"/streamed\"");
    let lines = lines(&gateway, "/streamed", "two");
    assert_eq!(lines.len(), 1, "{lines:?}");
    let whole = ["\"status\":200", "\"bytes_out\":6", "\"complete\":true"];
    assert_says(&lines[0], &whole);
    assert_eq!(gateway.metric(counted), 1.0);
}

/// What is left of an exchange that a client broke off: one line, one count, one call of `on-complete`.
fn assert_over(gateway: &Gateway, status: &str, counted_as: &str, bytes: &str) {
    let completed = gateway.wait_for("probe completed");
    assert!(completed.contains("route=\"probed\""), "{completed}");
    gateway.wait_for("\"path\":\"/probe/next\"");
    let lines = lines(gateway, "/probe/next", "one");
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert_says(&lines[0], &[status, bytes, "\"complete\":false"]);
    let requests = format!("gateway_requests_total{{route=\"probed\",status=\"{counted_as}\"}}");
    assert_eq!(gateway.metric(&requests), 1.0, "{requests}");
    let text = gateway.text();
    assert_eq!(text.matches("probe completed").count(), 1, "{text}");
}

#[test]
fn an_answer_that_the_client_breaks_off_is_logged_counted_and_completed() {
    let upstream = Recorder::start();
    let gateway = gateway(&upstream);
    let mut client = Http2::connect(gateway.listener("public"));
    client.get(1, "/probe/next");
    upstream.head(0);
    upstream.send(0, b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nabc");
    while client.next().unwrap().kind != DATA {}
    client.frame(RST_STREAM, 0, 1, &CANCEL.to_be_bytes());
    upstream.ended(0);
    assert_over(&gateway, "\"status\":200", "200", "\"bytes_out\":3");
    let completed = r#"gateway_custom_completed_total{plugin="probe",status="200"}"#;
    assert_eq!(gateway.metric(completed), 1.0);
}

#[test]
fn a_request_that_the_client_takes_back_is_logged_counted_and_completed() {
    let upstream = Recorder::start();
    let gateway = gateway(&upstream);
    let mut client = Http2::connect(gateway.listener("public"));
    client.get(1, "/probe/next");
    upstream.head(0);
    client.frame(RST_STREAM, 0, 1, &CANCEL.to_be_bytes());
    upstream.ended(0);
    assert_over(&gateway, "\"status\":499", "499", "\"bytes_out\":0");
    let completed = r#"gateway_custom_completed_total{plugin="probe",status="0"}"#;
    assert_eq!(gateway.metric(completed), 1.0);
}
