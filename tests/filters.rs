//! What a plugin takes out of responses stays out, whatever a client asks for and however the upstream answers.

mod upstream;

use bytes::Bytes;
use http::Request;
use tokio::net::TcpStream;

use crate::harness::client::{Client, run, whole};
use crate::harness::http::{raw, send};
use crate::harness::recorder::Recorder;
use crate::harness::{Answer, Configuration, Gateway, Origin, get};

/// What the plugin takes out.
const SECRET: &str = "SECRET-OF-THE-UPSTREAM";

/// `/x/**` loses the field `secret` of its JSON.
fn filtered(origin: &Origin, plugin: &str) -> Gateway {
    let config = Configuration::new()
        .plugin("filter", "transform", plugin)
        .upstream("origin", origin.address)
        .chain("filtered", "/x/**", &["filter"], "upstream = 'origin'");
    Gateway::start(&config)
}

const REMOVES: &str = "config = { response = { json = { remove = ['secret'] } } }";

/// A request as a client may spell it.
#[derive(Debug, Clone)]
struct Spelling {
    path: &'static str,
    method: &'static str,
    version: &'static str,
    fields: Vec<(&'static str, &'static str)>,
}

const METHODS: &[&str] = &["GET", "HEAD", "POST", "DELETE"];
const CODINGS: &[&str] = &[
    "",
    "gzip",
    "GZIP",
    "x-gzip",
    "br",
    "zstd",
    "deflate",
    "*",
    "identity",
    "identity;q=0, gzip;q=1",
    "gzip, deflate, br, zstd",
    "br;q=1.0, gzip;q=0.8, *;q=0.1",
];
const RANGES: &[&str] = &[
    "",
    "bytes=0-9",
    "bytes=1-",
    "bytes=-20",
    "bytes=0-0,5-9",
    "Bytes=1-",
    "bytes=99999-",
    "lines=1-2",
];
const ACCEPTS: &[&str] = &["", "*/*", "text/html", "application/json;q=0.1, text/html"];
const MORE: &[(&str, &str)] = &[
    ("if-none-match", "\"v1\""),
    ("if-none-match", "\"other\""),
    ("if-modified-since", "Thu, 01 Jan 2026 00:00:00 GMT"),
    ("if-range", "\"v1\""),
    ("te", "trailers"),
    ("want-content-digest", "sha-256=1"),
    ("cache-control", "no-transform"),
    ("accept-charset", "utf-16"),
    ("x-http-method-override", "HEAD"),
];

/// So many spellings, always the same ones.
fn spellings(count: usize) -> impl Iterator<Item = Spelling> {
    let mut random = fastrand::Rng::with_seed(7);
    (0..count).map(move |_| {
        let mut fields = Vec::new();
        for (name, values) in [
            ("accept-encoding", CODINGS),
            ("range", RANGES),
            ("accept", ACCEPTS),
        ] {
            let value = values[random.usize(..values.len())];
            if !value.is_empty() {
                fields.push((name, value));
            }
        }
        for more in MORE {
            if random.u8(..4) == 0 {
                fields.push(*more);
            }
        }
        Spelling {
            path: upstream::PATHS[random.usize(..upstream::PATHS.len())],
            method: METHODS[random.usize(..METHODS.len())],
            version: if random.u8(..8) == 0 { "1.0" } else { "1.1" },
            fields,
        }
    })
}

/// A body without its codings, as a client would read it.
fn decoded(answer: &Answer) -> Vec<u8> {
    let codings = answer.header("content-encoding").unwrap_or_default();
    let codings: Vec<_> = codings.split(',').map(str::trim).collect();
    let body = answer.body.clone();
    codings
        .iter()
        .rev()
        .fold(body, |body, coding| upstream::decode(coding, &body))
}

#[track_caller]
fn assert_clean(answer: &Answer, asked: &Spelling) {
    for body in [&answer.body, &decoded(answer)] {
        let text = String::from_utf8_lossy(body);
        assert!(!text.contains(SECRET), "{asked:?}: {answer:?}");
        // Nor a part of it.
        assert!(!text.contains(&SECRET[8..]), "{asked:?}: {answer:?}");
    }
    assert!(answer.status != 206 || answer.body.is_empty(), "{asked:?}");
}

#[test]
fn what_a_filter_removes_never_passes_whatever_a_client_asks_for_over_http_1() {
    let origin = upstream::start();
    let gateway = filtered(&origin, REMOVES);
    let public = gateway.listener("public");
    for asked in spellings(2_000) {
        let mut text = format!(
            "{} /x{} HTTP/{}\r\nhost: a\r\nconnection: close\r\n",
            asked.method, asked.path, asked.version
        );
        for (name, value) in &asked.fields {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        let answer = raw(public, format!("{text}\r\n").as_bytes());
        assert_clean(&answer, &asked);
    }
}

#[test]
fn what_a_filter_removes_never_passes_whatever_a_client_asks_for_over_http_2() {
    let origin = upstream::start();
    let gateway = filtered(&origin, REMOVES);
    run(async {
        let stream = TcpStream::connect(gateway.listener("public"))
            .await
            .unwrap();
        let mut client = Client::new(stream, true, "http").await;
        for asked in spellings(500) {
            let mut request = Request::builder()
                .method(asked.method)
                .uri(format!("/x{}", asked.path));
            for (name, value) in &asked.fields {
                request = request.header(*name, *value);
            }
            let request = request.body(whole(Bytes::new())).unwrap();
            let (head, body) = client.send("a", request).await.unwrap().into_parts();
            let body = http_body_util::BodyExt::collect(body).await;
            let field = |(name, value): (&http::HeaderName, &http::HeaderValue)| {
                (
                    name.to_string(),
                    value.to_str().unwrap_or_default().to_owned(),
                )
            };
            let answer = Answer {
                status: head.status.as_u16(),
                headers: head.headers.iter().map(field).collect(),
                body: body
                    .map(|body| body.to_bytes().to_vec())
                    .unwrap_or_default(),
            };
            assert_clean(&answer, &asked);
        }
    });
}

#[test]
fn a_polite_upstream_is_filtered_and_answers_whole_whatever_is_asked() {
    let origin = upstream::start();
    let gateway = filtered(&origin, REMOVES);
    for fields in [
        &[][..],
        &[("accept-encoding", "gzip")],
        &[("range", "bytes=1-")],
        &[("range", "bytes=1-"), ("if-range", "\"v1\"")],
        &[("range", "bytes=99999-")],
    ] {
        let answer = get(gateway.listener("public"), "/x/polite", fields);
        assert_eq!(answer.status, 200, "{fields:?}: {}", answer.text());
        assert_eq!(
            answer.json(),
            serde_json::json!({ "kept": "here" }),
            "{fields:?}"
        );
        for gone in [
            "content-encoding",
            "content-range",
            "accept-ranges",
            "content-md5",
            "digest",
            "content-digest",
            "repr-digest",
        ] {
            assert_eq!(answer.header(gone), None, "{fields:?}");
        }
        assert_eq!(answer.header("etag"), Some("W/\"v1\""), "{fields:?}");
    }
    let seen = origin.seen().join("\n").to_ascii_lowercase();
    assert!(!seen.contains("accept-encoding: gzip"), "{seen}");
}

#[test]
fn whatever_is_coded_all_the_same_is_decoded_before_the_plugin_and_stays_so() {
    let origin = upstream::start();
    let gateway = filtered(&origin, REMOVES);
    for path in [
        "/gzip", "/br", "/zstd", "/deflate", "/twice", "/bom", "/chunked",
    ] {
        let answer = get(gateway.listener("public"), &format!("/x{path}"), &[]);
        assert_eq!(
            answer.status,
            200,
            "{path}: {}\n{}",
            answer.text(),
            gateway.text()
        );
        assert_eq!(
            answer.json(),
            serde_json::json!({ "kept": "here" }),
            "{path}"
        );
    }
}

#[test]
fn the_page_about_bodies_has_an_example_that_keeps_what_it_says() {
    let page = include_str!("../docs/bodies.md");
    let example = page
        .split("```toml")
        .nth(1)
        .unwrap()
        .split("```")
        .next()
        .unwrap();
    let origin = Origin::answering(|_, _| {
        let body = r#"{"internal":1,"items":[{"cost":2,"name":"tea"}]}"#;
        let head = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}",
            body.len()
        );
        format!("{head}\r\n\r\n{body}").into_bytes()
    });
    let config = example
        .replace("0.0.0.0:8080", "127.0.0.1:0")
        .replace("127.0.0.1:9001", &origin.address.to_string())
        .replace("plugins/transform.wasm", "{plugins}/transform.wasm");
    let gateway = Gateway::start(&config);
    let answer = get(
        gateway.listener("public"),
        "/shop/1",
        &[("accept-encoding", "gzip"), ("range", "bytes=1-")],
    );
    assert_eq!(
        answer.json(),
        serde_json::json!({ "items": [{ "name": "tea" }] })
    );
}

/// A body that no filter could look into gets what `on_error` says.
const UNREADABLE: &[&str] = &[
    "/snappy",
    "/broken-gzip",
    "/cut-gzip",
    "/not-json",
    "/html",
    "/no-type",
    "/two-types",
    "/partial",
    "/parts",
];

#[test]
fn what_cannot_be_read_is_refused_and_the_log_says_why() {
    let origin = upstream::start();
    let gateway = filtered(&origin, REMOVES);
    for path in UNREADABLE {
        let answer = get(gateway.listener("public"), &format!("/x{path}"), &[]);
        assert!(matches!(answer.status, 500 | 502), "{path}: {answer:?}");
    }
    gateway.wait_for_all(&[
        "plugin=\"filter\"",
        "kind=\"unreadable\"",
        "text/html",
        "neither reads nor lets pass",
    ]);
    gateway.wait_for_all(&["kind=\"unreadable\"", "snappy"]);
    gateway.wait_for_all(&[
        "kind=\"refused\"",
        "the response says that it is JSON, and is not",
    ]);
}

#[test]
fn what_cannot_be_read_passes_where_the_plugin_may_be_skipped() {
    let origin = upstream::start();
    let gateway = filtered(&origin, &format!("on_error = 'open'\n{REMOVES}"));
    for path in ["/not-json", "/html", "/no-type", "/snappy"] {
        let answer = get(gateway.listener("public"), &format!("/x{path}"), &[]);
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        assert!(answer.text().contains(SECRET), "{path}: {}", answer.text());
    }
}

#[test]
fn what_nobody_reads_as_text_passes_a_filter_untouched_and_in_parts() {
    let origin = upstream::start();
    let gateway = filtered(&origin, REMOVES);
    let public = gateway.listener("public");
    let whole = get(public, "/x/image", &[]);
    assert_eq!((whole.status, whole.body.len()), (200, 1000));
    assert_eq!(whole.header("etag"), Some("\"v1\""));
    let part = get(public, "/x/image", &[("range", "bytes=10-19")]);
    assert_eq!((part.status, part.body.len()), (206, 10));
    assert_eq!(part.header("content-range"), Some("bytes 10-19/1000"));
}

#[test]
fn a_plugin_that_only_sets_lets_other_types_pass() {
    let origin = upstream::start();
    let gateway = filtered(
        &origin,
        "config = { response = { json = { set = { more = 1 } } } }",
    );
    let answer = get(gateway.listener("public"), "/x/html", &[]);
    assert_eq!(
        (answer.status, answer.header("content-type")),
        (200, Some("text/html"))
    );
    let answer = get(gateway.listener("public"), "/x/polite", &[]);
    assert_eq!(answer.json()["more"], 1);
}

#[test]
fn a_configuration_may_name_more_types_and_let_others_pass() {
    let origin = upstream::start();
    let json = "remove = ['secret'], types = ['text/html'], pass = ['text/event-stream']";
    let gateway = filtered(
        &origin,
        &format!("config = {{ response = {{ json = {{ {json} }} }} }}"),
    );
    let public = gateway.listener("public");
    assert_eq!(
        get(public, "/x/html", &[]).json(),
        serde_json::json!({ "kept": "here" })
    );
    assert!(get(public, "/x/events", &[]).text().contains("data: "));
    assert_eq!(get(public, "/x/two-types", &[]).status, 500);
}

#[test]
fn a_request_body_cannot_be_hidden_from_a_plugin_by_type_or_coding() {
    let origin = Origin::start();
    let gateway = filtered(
        &origin,
        "config = { request = { json = { remove = ['admin'] } } }",
    );
    let public = gateway.listener("public");
    let body = br#"{"admin":true,"name":"bob"}"#;
    let json = ("content-type", "application/json");
    let post = |fields: &[(&str, &str)], body: &[u8]| send(public, "POST", "/x/a", fields, body);
    for coding in ["gzip", "br", "zstd", "deflate", "GZIP"] {
        let coded = upstream::encode(coding, body);
        let answer = post(&[json, ("content-encoding", coding)], &coded);
        assert_eq!(answer.status, 200, "{coding}: {}", answer.text());
        let seen = origin.seen().pop().unwrap();
        assert!(seen.ends_with(r#"{"name":"bob"}"#), "{coding}: {seen}");
        assert!(
            !seen.to_ascii_lowercase().contains("content-encoding"),
            "{seen}"
        );
    }
    let bom = [&b"\xef\xbb\xbf"[..], body].concat();
    assert_eq!(post(&[json], &bom).status, 200);
    assert!(origin.seen().pop().unwrap().ends_with(r#"{"name":"bob"}"#));
    let before = origin.seen().len();
    for (status, fields, body) in [
        (415, &[("content-type", "text/plain")][..], &body[..]),
        (415, &[], body),
        (415, &[json, ("content-encoding", "snappy")], body),
        (400, &[json, ("content-encoding", "gzip")], body),
        (400, &[json], b"{\"admin\":true"),
        (
            413,
            &[json, ("content-encoding", "gzip")],
            &upstream::encode("gzip", &[b' '; 8 << 20]),
        ),
    ] {
        let answer = post(fields, body);
        assert_eq!(answer.status, status, "{fields:?}: {}", answer.text());
    }
    let answer = post(&[json, ("content-encoding", "snappy")], body);
    assert_eq!(
        answer.header("accept-encoding"),
        Some("gzip, deflate, br, zstd")
    );
    assert_eq!(origin.seen().len(), before, "none of them went on");
}

#[test]
fn a_field_that_a_plugin_set_or_removed_does_not_come_back_as_a_trailer() {
    let origin = Recorder::start();
    let table = "config = { request = { set_headers = { x-user = 'bob' }, remove_headers = ['x-internal'] } }";
    let held = "config = { request = { set_headers = { x-user = 'bob' }, remove_headers = ['x-internal'], json = { set = { a = 1 } } } }";
    for (table, body) in [(table, "abc"), (held, "{}")] {
        let config = Configuration::new()
            .plugin("t", "transform", table)
            .upstream("origin", origin.address)
            .chain("r", "/x", &["t"], "upstream = 'origin'");
        let gateway = Gateway::start(&config);
        let at = origin.counts().0;
        let head = "POST /x HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ntransfer-encoding: chunked";
        let chunks = format!(
            "{:x}\r\n{body}\r\n0\r\nX-User: evil\r\nx-internal: evil\r\nx-sum: 7\r\n\r\n",
            body.len()
        );
        let mut client = std::net::TcpStream::connect(gateway.listener("public")).unwrap();
        std::io::Write::write_all(&mut client, format!("{head}\r\n\r\n{chunks}").as_bytes())
            .unwrap();
        let sent = origin.wait("a whole request", |wires| {
            let text = wires.get(at)?.text();
            let whole = text.ends_with("0\r\n\r\n")
                || text.contains("x-sum: 7\r\n\r\n")
                || text.ends_with("{\"a\":1}");
            whole.then_some(text)
        });
        assert!(
            sent.contains("x-user: bob") && !sent.contains("evil"),
            "{sent}"
        );
    }
}
