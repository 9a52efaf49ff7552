//! Answers without content that say how much it would be (RFC 9110, section 8.6), and values that no field may have.

use std::io::Write as _;
use std::process::Command;

use crate::harness::frames::{DATA, END_HEADERS, END_STREAM, HEADERS, head};
use crate::harness::h2_origin::FrameOrigin;
use crate::harness::http::{connect, read_answer};
use crate::harness::{Configuration, Gateway, Origin};

/// An origin of HTTP/2 that answers with this head and, in a frame of its own, the end.
fn framed(fields: Vec<u8>) -> FrameOrigin {
    FrameOrigin::start(move |mut link| {
        link.begin(&[(3, 100)]);
        while let Some(stream) = link.request() {
            link.send(HEADERS, END_HEADERS, stream, &fields);
            link.send(DATA, END_STREAM, stream, b"");
        }
    })
}

#[test]
fn answers_of_http_2_without_content_are_whole_though_their_end_comes_later() {
    let length = head(&[("content-length", "5")]);
    let sound = framed([&[0x88][..], &length].concat());
    let unmodified = framed([&[0x8b][..], &length].concat());
    let config = Configuration::new()
        .access_log()
        .upstream_with("origin", sound.address, "protocol = 'h2'")
        .upstream_with("unmodified", unmodified.address, "protocol = 'h2'")
        .with("[plugins.head]\npath = '{plugins}/transform.wasm'\nconfig = { request = { method = 'HEAD' } }")
        .route("all", "/200", "upstream = 'origin'")
        .route("none", "/304", "upstream = 'unmodified'")
        .chain("asked", "/asked", &["head"], "upstream = 'origin'");
    let gateway = Gateway::start(&config);
    let public = gateway.listener("public");
    for (method, path, status) in [
        ("HEAD", "/200", 200),
        ("GET", "/304", 304),
        ("HEAD", "/304", 304),
        ("GET", "/asked", 200),
    ] {
        let mut client = connect(public);
        for _ in 0..3 {
            // On one connection, so that nothing stands behind an answer.
            write!(client, "{method} {path} HTTP/1.1\r\nhost: a\r\n\r\n").unwrap();
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                std::io::Read::read_exact(&mut client, &mut byte)
                    .unwrap_or_else(|error| panic!("{method} {path}: {error}"));
                head.push(byte[0]);
            }
            let text = String::from_utf8(head).unwrap();
            let line = format!("HTTP/1.1 {status} ");
            assert!(text.starts_with(&line), "{method} {path}: {text}");
        }
    }
    assert!(!gateway.text().contains("\"error\":"), "{}", gateway.text());
}

/// RFC 9113, section 8.2.1.
#[test]
fn a_field_of_an_http_2_upstream_with_white_space_around_it_goes_nowhere() {
    let odd = head(&[("x", " a ")]);
    let origin = framed([&[0x88][..], &odd].concat());
    let config = Configuration::new()
        .upstream_with("origin", origin.address, "protocol = 'h2'")
        .route("all", "/**", "upstream = 'origin'");
    let gateway = Gateway::start(&config);
    let mut client = connect(gateway.listener("public"));
    write!(client, "GET /padded HTTP/1.1\r\nhost: a\r\n\r\n").unwrap();
    assert_eq!(read_answer(&mut client).status, 502);
    gateway.wait_for("begins or ends with white space");
}

#[test]
fn a_status_that_a_plugin_sets_on_an_answer_without_content_promises_none() {
    let origin = Origin::forgetting(|head, _| {
        let length = match head.contains("/none") {
            true => "",
            false => "content-length: 5\r\n",
        };
        format!("HTTP/1.1 304 Not Modified\r\n{length}etag: \"a\"\r\n\r\n").into_bytes()
    });
    let plugin =
        "[plugins.ok]\npath = '{plugins}/transform.wasm'\nconfig = { response = { status = 200 } }";
    let config = Configuration::new()
        .with(plugin)
        .upstream("origin", origin.address)
        .chain("all", "/**", &["ok"], "upstream = 'origin'");
    let gateway = Gateway::start(&config);
    for path in ["/some", "/none"] {
        let url = format!("http://{}{path}", gateway.listener("public"));
        for version in ["--http1.1", "--http2-prior-knowledge"] {
            let output = Command::new("curl").args(["-si", version, &url]).output();
            let output = output.unwrap();
            let text = String::from_utf8(output.stdout).unwrap();
            assert!(output.status.success(), "{version} {path}: {text}");
            assert!(text.contains(" 200"), "{version} {path}: {text}");
            assert!(!text.contains("content-length: 5"), "{version}: {text}");
        }
    }
}

/// RFC 9110, section 15.3.6. As with 204, plugins that read bodies see an empty one.
#[test]
fn a_205_with_content_passes_plugins_that_hold_without_it() {
    let origin = Origin::forgetting(|head, _| {
        let kind = match head.contains("/html") {
            true => "content-type: text/html\r\n",
            false => "",
        };
        let body = match head.contains("chunked") {
            true => "transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
            false => "content-length: 5\r\n\r\nhello",
        };
        format!("HTTP/1.1 205 Reset Content\r\n{kind}{body}").into_bytes()
    });
    let framed = FrameOrigin::start(move |mut link| {
        link.begin(&[(3, 100)]);
        while let Some(stream) = link.request() {
            let fields = head(&[(":status", "205"), ("content-type", "text/html")]);
            link.send(HEADERS, END_HEADERS, stream, &fields);
            link.send(DATA, END_STREAM, stream, b"hello");
        }
    });
    let plugin = "[plugins.json]\npath = '{plugins}/transform.wasm'\nconfig = { response = { json = { set = { added = '1' }, types = ['text/plain'], other = 'pass' } } }\n[plugins.reset]\npath = '{plugins}/transform.wasm'\nconfig = { response = { status = 205 } }";
    let config = Configuration::new()
        .access_log()
        .with(plugin)
        .upstream("origin", origin.address)
        .upstream_with("framed", framed.address, "protocol = 'h2'")
        .chain("framed", "/framed", &["json"], "upstream = 'framed'")
        .chain(
            "made",
            "/made",
            &["json", "reset"],
            "respond = { status = 200, body = 'hello' }",
        )
        .chain("all", "/**", &["json"], "upstream = 'origin'");
    let gateway = Gateway::start(&config);
    for path in [
        "/html",
        "/none",
        "/html/chunked",
        "/none/chunked",
        "/framed",
        "/made",
    ] {
        let mut client = connect(gateway.listener("public"));
        write!(client, "GET {path} HTTP/1.1\r\nhost: a\r\n\r\n").unwrap();
        let answer = read_answer(&mut client);
        assert_eq!((answer.status, &answer.body[..]), (205, &b""[..]), "{path}");
        assert_eq!(answer.header("content-length"), Some("0"), "{path}");
    }
}
