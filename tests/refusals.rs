//! What is refused before it is a request: it is logged and counted like every exchange.

use std::io::Write;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::harness::http::read_answer;
use crate::harness::{Configuration, Gateway};

fn gateway() -> Gateway {
    let limits = "limits = { header_bytes = '4KiB', header_count = 20, header_timeout = '1s' }";
    let here = "respond = { status = 200, body = 'here' }";
    let config = Configuration::new()
        .access_log()
        .public(limits)
        .route("here", "/**", here);
    Gateway::start(&config)
}

/// The line of that number among those of no route.
pub(crate) fn refusal(gateway: &Gateway, number: usize) -> String {
    let began = Instant::now();
    loop {
        let text = gateway.text();
        let mut lines = text.lines().filter(|line| line.contains("\"route\":\"-\""));
        if let Some(line) = lines.nth(number - 1) {
            return line.to_owned();
        }
        assert!(
            began.elapsed() < Duration::from_secs(20),
            "{number}: {text}"
        );
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// What it is, the bytes, and the status of the refusal.
fn cases() -> Vec<(&'static str, String, u16)> {
    vec![
        (
            "space before a colon",
            "GET / HTTP/1.1\r\nhost : a\r\n\r\n".to_owned(),
            400,
        ),
        (
            "an unknown version",
            "GET / HTTP/9.9\r\nhost: a\r\n\r\n".to_owned(),
            400,
        ),
        (
            "a length that is none",
            "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: +3\r\n\r\nabc".to_owned(),
            400,
        ),
        ("a bare LF", "GET / HTTP/1.1\nhost: a\n\n".to_owned(), 400),
        ("empty lines", "\r\n".repeat(3_000), 400),
        ("a slow head", "GET / HTTP/1.1\r\nhost".to_owned(), 408),
        (
            "a long target",
            format!("GET /{} HTTP/1.1\r\n\r\n", "a".repeat(5_000)),
            414,
        ),
        (
            "a large field",
            format!("GET / HTTP/1.1\r\na: {}\r\n\r\n", "a".repeat(5_000)),
            431,
        ),
        (
            "many fields",
            format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(21)),
            431,
        ),
        (
            "behind a request",
            "GET / HTTP/1.1\r\nhost : a\r\n\r\n".to_owned(),
            400,
        ),
    ]
}

#[test]
fn a_request_that_cannot_be_read_is_a_line_and_a_count_of_no_route() {
    let gateway = gateway();
    let mut at = 0;
    let mut counts = [(400, 0.0), (408, 0.0), (414, 0.0), (431, 0.0)];
    for (what, request, status) in cases() {
        let mut client = TcpStream::connect(gateway.listener("public")).unwrap();
        client
            .set_read_timeout(Some(Duration::from_secs(20)))
            .unwrap();
        if what == "behind a request" {
            client
                .write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
                .unwrap();
            assert_eq!(read_answer(&mut client).status, 200);
        }
        let _refused = client.write_all(request.as_bytes());
        assert_eq!(read_answer(&mut client).status, status, "{what}");
        at += 1;
        let line = refusal(&gateway, at);
        assert!(
            line.contains(&format!("\"status\":{status}")),
            "{what}: {line}"
        );
        for part in ["\"error\":\"refused\"", "\"client\":\"127.0.0.1\""] {
            assert!(line.contains(part), "{what}: {part}: {line}");
        }
        for (counted, count) in &mut counts {
            *count += f64::from(u8::from(*counted == status));
            let line = format!("gateway_requests_total{{route=\"-\",status=\"{counted}\"}}");
            assert_eq!(gateway.metric(&line), *count, "{what}: {counted}");
        }
    }
    assert_eq!(
        gateway.metric(r#"gateway_errors_total{kind="refused"}"#),
        10.0
    );
}

/// Who connects and says nothing, or goes in the middle of a head, asked for nothing.
#[test]
fn silence_is_no_exchange() {
    let gateway = gateway();
    for text in ["", "GET / HT"] {
        let mut client = TcpStream::connect(gateway.listener("public")).unwrap();
        client.write_all(text.as_bytes()).unwrap();
        client.shutdown(std::net::Shutdown::Write).unwrap();
        assert_eq!(read_answer(&mut client).status, 0);
    }
    assert!(!gateway.text().contains("\"status\""), "{}", gateway.text());
}
