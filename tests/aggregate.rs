//! The plugin aggregate in the real host: what becomes of answers that are coded, slow, empty or no JSON, and what goes
//! out with a part.

use std::io::Write;

use serde_json::json;

use crate::harness::faulty::Full;
use crate::harness::http::send;
use crate::harness::recorder::Recorder;
use crate::harness::{Answer, Configuration, Gateway, Origin, get};

/// A gateway whose route `/all/{id}` is made of these parts, each a table; `lines` are those of the plugin, and `config`
/// is its configuration, perhaps with lines of the route behind a `;`.
fn aggregating(
    lines: &str,
    config: &str,
    parts: &[String],
    rest: impl FnOnce(Configuration) -> Configuration,
) -> Gateway {
    let parts = parts.join(", ");
    let (config, route) = config.split_once(';').unwrap_or((config, ""));
    let route = format!(
        "{route}\nplugins = [{{ name = 'all', config = {{ {config}, report = true, parts = [{parts}] }} }}]"
    );
    let config = Configuration::new()
        .access_log()
        .plugin("all", "aggregate", lines)
        .route("all", "/all/{id}", &route);
    Gateway::start(&rest(config))
}

const ORIGIN: &str = "grants = { upstreams = ['origin'] }\n";
const BOTH: &str = "grants = { upstreams = ['origin', 'slow'] }\n";

/// An optional part of the upstream `origin`, by its path.
fn optional(name: &str) -> String {
    part(name, "required = false")
}

fn part(name: &str, lines: &str) -> String {
    format!("{{ name = '{name}', upstream = 'origin', path = '/{name}', {lines} }}")
}

fn message(head: &str, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let head = format!("HTTP/1.1 {head}\r\ncontent-length: {length}\r\n\r\n");
    [head.as_bytes(), body].concat()
}

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

fn brotli(text: &[u8]) -> Vec<u8> {
    let mut coded = Vec::new();
    let params = brotli::enc::BrotliEncoderParams::default();
    brotli::BrotliCompress(&mut &text[..], &mut coded, &params).unwrap();
    coded
}

/// What each path answers.
fn answers() -> Origin {
    Origin::answering(|head, _| {
        let path = head.split(' ').nth(1).unwrap_or_default();
        let sound = br#"{"id":1}"#;
        match path.trim_start_matches('/') {
            "gzip" => message("200 OK\r\ncontent-encoding: gzip", &gzip(sound)),
            "twice" => message(
                "200 OK\r\ncontent-encoding: br\r\ncontent-encoding: x-gzip",
                &gzip(&brotli(sound)),
            ),
            "identity" => message("200 OK\r\ncontent-encoding: identity", sound),
            "bomb" => message(
                "200 OK\r\ncontent-encoding: gzip",
                &gzip(&vec![b' '; 64 << 20]),
            ),
            "cut" => message("200 OK\r\ncontent-encoding: gzip", &gzip(sound)[..12]),
            "unknown" => message("200 OK\r\ncontent-encoding: exi", sound),
            "coded-part" => message("206 Partial\r\ncontent-encoding: gzip", &gzip(sound)),
            "mark" => message("200 OK", "\u{feff}{\"id\":1}".as_bytes()),
            "utf-16" => message("200 OK", b"\xff\xfe{\0}\0"),
            "no-content" => b"HTTP/1.1 204 No Content\r\nx-no: content-length\r\n\r\n".to_vec(),
            "reset-content" => message("205 Reset Content", b""),
            "empty" => message("200 OK", b""),
            "partial" => message("206 Partial Content", sound),
            "half-name" => message("200 OK", br#"{"id":1,"\ud800":2}"#),
            "half-value" => message("200 OK", br#"{"id":"\udc00"}"#),
            "pair" => message("200 OK", br#"{"\ud83d\ude00":1}"#),
            "missing" => message("404 Not Found", b"{}"),
            _ => message("200 OK", sound),
        }
    })
}

fn ask(gateway: &Gateway) -> Answer {
    get(gateway.listener("public"), "/all/7", &[])
}

#[test]
fn coded_parts_are_decoded_in_bounds_and_identity_is_asked_for() {
    let origin = answers();
    let names = [
        "plain",
        "gzip",
        "twice",
        "identity",
        "bomb",
        "cut",
        "unknown",
        "coded-part",
    ];
    let mut parts: Vec<_> = names.map(optional).into();
    let passing = "required = false, headers = ['accept-encoding', 'accept']";
    parts.push(part("passing", passing));
    let gateway = aggregating(ORIGIN, "deadline = '20s'", &parts, |config| {
        config.upstream("origin", origin.address)
    });
    let fields = [("accept-encoding", "gzip"), ("accept", "application/json")];
    let answer = get(gateway.listener("public"), "/all/7", &fields);
    let one = json!({ "id": 1 });
    assert_eq!(
        answer.json(),
        json!({
            "plain": one, "gzip": one, "twice": one, "identity": one, "passing": one,
            "_errors": {
                "bomb": "too-large", "cut": "protocol", "unknown": "protocol", "coded-part": "protocol",
            },
        })
    );
    for seen in origin.seen() {
        let seen = seen.to_ascii_lowercase();
        assert_eq!(seen.matches("accept-encoding").count(), 1, "{seen}");
        assert!(seen.contains("accept-encoding: identity\r\n"), "{seen}");
    }
}

#[test]
fn what_is_no_document_is_missing_and_what_is_nothing_on_purpose_is_null() {
    let origin = answers();
    let names = [
        "mark",
        "utf-16",
        "no-content",
        "reset-content",
        "empty",
        "partial",
        "half-name",
        "half-value",
        "pair",
    ];
    let parts = names.map(optional);
    let gateway = aggregating(ORIGIN, "deadline = '20s'", &parts, |config| {
        config.upstream("origin", origin.address)
    });
    let answer = ask(&gateway);
    assert_eq!(
        answer.json(),
        json!({
            "mark": { "id": 1 }, "no-content": null, "reset-content": null, "pair": { "\u{1f600}": 1 },
            "_errors": {
                "utf-16": "not-json", "empty": "not-json", "partial": "status", "half-name": "not-json",
                "half-value": "not-json",
            },
        })
    );
    assert_eq!(answer.header("x-aggregate-complete"), Some("false"));
}

#[test]
fn a_required_part_that_fails_ends_it_at_once_and_gives_the_others_up() {
    let (origin, slow) = (answers(), Recorder::start());
    let waits = "{ name = 'waits', upstream = 'slow', path = '/' }".to_owned();
    let parts = [waits, part("missing", "pass_status = true")];
    let lines = format!("{BOTH}timeout = '60s'");
    let gateway = aggregating(&lines, "deadline = '50s'", &parts, |config| {
        config
            .upstream("origin", origin.address)
            .upstream("slow", slow.address)
    });
    // The client waits for less than the deadline.
    assert_eq!(ask(&gateway).status, 404);
    // Nobody answers it: it was given up, if it had begun.
    if slow.counts().0 > 0 {
        slow.ended(0);
    }
}

/// Whatever lacks it: the answer of a part, or one that is missing because of it.
#[test]
fn a_required_part_that_can_never_be_asked_for_ends_it_at_once() {
    let (origin, slow) = (answers(), Recorder::start());
    let waits = "{ name = 'waits', upstream = 'slow', path = '/' }".to_owned();
    let needs = |name: &str, needs: &str, required: bool| {
        format!(
            "{{ name = '{name}', upstream = 'origin', path = '/{needs}', required = {required} }}"
        )
    };
    for parts in [
        vec![needs("p", "{parts.w.body.zz}", true)],
        vec![needs("p", "{parts.w.body.zz}/{parts.waits.body.id}", true)],
        vec![
            needs("o", "{parts.w.body.zz}", false),
            needs("p", "{parts.o.body.id}", true),
        ],
        vec![needs("p", "{parts.waits.body.id}?{query.none}", true)],
    ] {
        let all = [vec![waits.clone(), part("w", "")], parts].concat();
        let lines = format!("{BOTH}timeout = '60s'");
        let gateway = aggregating(&lines, "deadline = '50s'", &all, |config| {
            config
                .upstream("origin", origin.address)
                .upstream("slow", slow.address)
        });
        // The client waits for less than the deadline.
        let answer = ask(&gateway);
        assert_eq!(answer.status, 502, "{all:?}");
        let text = answer.text();
        assert!(text.contains("`p` is missing: no-value"), "{text}");
    }
}

/// As of an upstream that the client asks by itself.
#[test]
fn a_required_part_whose_upstream_takes_no_connection_in_time_is_504() {
    let full = Full::start();
    let lines = "grants = { upstreams = ['full'] }\ntimeout = '60s'";
    let parts = ["{ name = 'a', upstream = 'full', path = '/' }".to_owned()];
    let gateway = aggregating(lines, "deadline = '50s'", &parts, |config| {
        let connect = "timeouts = { connect = '200ms' }";
        config.upstream_with("full", full.address, connect)
    });
    assert_eq!(ask(&gateway).status, 504);
    let counted = r#"gateway_upstream_failures_total{upstream="full",kind="connect_timeout"}"#;
    assert_eq!(gateway.metric(counted), 1.0);
}

#[test]
fn a_slow_optional_part_is_left_out_before_the_plugin_or_the_route_runs_out_of_time() {
    let (origin, slow) = (answers(), Recorder::start());
    let waits = "{ name = 'waits', upstream = 'slow', path = '/', required = false }".to_owned();
    let late =
        "{ name = 'late', upstream = 'slow', path = '/{parts.waits.body.id}', required = false }";
    let parts = [waits, part("here", ""), late.to_owned()];
    for (lines, config) in [
        ("timeout = '500ms'", "deadline = '500ms'"),
        ("timeout = '500ms'", "deadline = '60s'"),
        ("timeout = '60s'", "deadline = '60s'; timeout = '500ms'"),
    ] {
        let gateway = aggregating(&format!("{BOTH}{lines}"), config, &parts, |config| {
            config
                .upstream("origin", origin.address)
                .upstream("slow", slow.address)
        });
        let errors = json!({ "waits": "timeout", "late": "no-value" });
        let document = json!({ "here": { "id": 1 }, "_errors": errors });
        // It leaves itself a tenth of a second, for which a machine may stand still: once is enough.
        let in_time = (0..10).any(|_| {
            let answer = ask(&gateway);
            answer.status == 200 && answer.json() == document
        });
        assert!(in_time, "{config}\n{}", gateway.text());
    }
}

#[test]
fn a_part_takes_the_clients_body_and_a_host_of_its_own() {
    let (origin, grants) = (
        Origin::start(),
        "grants = { upstreams = ['origin'], request_headers = { read = ['content-type', 'x-tenant'] } }\n",
    );
    let parts = [
        part(
            "taken",
            "body = 'client', host = '{header.x-tenant}.example:81'",
        ),
        part(
            "put",
            "body = 'client', method = 'PUT', set_headers = { content-type = 'text/x' }",
        ),
        part("got", ""),
        part("odd", "required = false, host = '{path.id}'"),
    ];
    let gateway = aggregating(grants, "deadline = '20s'", &parts, |config| {
        config.upstream("origin", origin.address)
    });
    let fields = [
        ("content-type", "application/x-y"),
        ("x-tenant", "acme"),
        ("x-other", "1"),
    ];
    // User information is no part of a host.
    let answer = send(
        gateway.listener("public"),
        "POST",
        "/all/a@b",
        &fields,
        b"some bytes",
    );
    assert_eq!(answer.status, 200, "{}", answer.text());
    let lengths = ["taken", "put", "got"].map(|name| answer.json()[name]["body"].clone());
    assert_eq!(lengths, [json!(10), json!(10), json!(0)]);
    assert_eq!(answer.json()["_errors"], json!({ "odd": "protocol" }));
    let seen: Vec<_> = origin
        .seen()
        .iter()
        .map(|seen| seen.to_ascii_lowercase())
        .collect();
    let of = |line: &str| seen.iter().find(|seen| seen.starts_with(line)).unwrap();
    let taken = of("post /taken ");
    assert!(taken.contains("host: acme.example:81\r\n"), "{taken}");
    assert!(
        taken.contains("content-type: application/x-y\r\n"),
        "{taken}"
    );
    assert!(taken.ends_with("\r\n\r\nsome bytes"), "{taken}");
    assert!(
        !taken.contains("x-other") && !taken.contains("x-tenant:"),
        "{taken}"
    );
    let put = of("put /put ");
    assert!(put.contains("content-type: text/x\r\n"), "{put}");
    assert!(
        put.contains(&format!("host: {}\r\n", origin.address)),
        "{put}"
    );
    assert!(put.ends_with("\r\n\r\nsome bytes"), "{put}");
    let got = of("get /got ");
    assert!(!got.contains("content-type"), "{got}");
}
