//! What no request could be made of is a line of the access log, and a count.

use super::{gateway, gateway_with, replacing};
use crate::harness::frames::{
    CONTINUATION, END_HEADERS, END_STREAM, HEADERS, Http2, Outcome, PING, frame, get_fields, head,
};
use crate::harness::recorder::Recorder;
use crate::refusals::refusal;

/// A request in as many frames as it takes.
fn ask(client: &mut Http2, stream: u32, block: &[u8]) -> Outcome {
    let (first, rest) = block.split_at(block.len().min(16_000));
    let flags = if rest.is_empty() { END_HEADERS } else { 0 };
    client.frame(HEADERS, flags | END_STREAM, stream, first);
    if !rest.is_empty() {
        client.frame(CONTINUATION, END_HEADERS, stream, rest);
    }
    client.outcome(stream)
}

#[test]
fn a_head_over_http_2_that_is_refused_is_a_line_and_a_count_of_no_route() {
    let upstream = Recorder::start();
    let gateway = gateway(upstream.address);
    let public = gateway.listener("public");
    let large = |bytes: usize| "v".repeat(bytes);
    let [long, longer, longest] = [9_000, 15_900, 24_000].map(large);
    let mut small = get_fields("/");
    small.extend([("a", "1"); 25]);
    let mut cases = vec![
        (
            "a name in upper case",
            head(&[&get_fields("/")[..], &[("X", "1")]].concat()),
            400,
        ),
        ("no path", head(&replacing(":path", "")), 400),
        ("an index outside the table", vec![0xff, 0x10], 400),
    ];
    for (what, value) in [
        ("too long", &long),
        ("nearly twice as long", &longer),
        ("far too long", &longest),
    ] {
        let fields = [&get_fields("/")[..], &[("a", value)]].concat();
        cases.push((what, head(&fields), 431));
    }
    let mut lines = 0;
    for (what, block, status) in cases {
        ask(&mut Http2::connect(public), 1, &block);
        lines += 1;
        let line = refusal(&gateway, lines);
        assert!(
            line.contains(&format!("\"status\":{status},")),
            "{what}: {line}"
        );
        for part in ["\"client\":\"127.0.0.1\"", "\"HTTP/2"] {
            assert!(line.contains(part), "{what}: {part}: {line}");
        }
    }
    // Of one connection.
    let mut client = Http2::connect(public);
    for (at, (fields, status)) in [
        ([&get_fields("/")[..], &[("a", &long)]].concat(), Some(431)),
        (replacing(":path", ""), Some(400)),
        (small, None),
        (get_fields("/here"), None),
    ]
    .into_iter()
    .enumerate()
    {
        ask(&mut client, at as u32 * 2 + 1, &head(&fields));
        if let Some(status) = status {
            lines += 1;
            let line = refusal(&gateway, lines);
            assert!(
                line.contains(&format!("\"status\":{status},")),
                "{at}: {line}"
            );
        }
    }
    let refused = gateway.metric(r#"gateway_errors_total{kind="refused"}"#);
    assert_eq!(refused, lines as f64, "of those that were served too");
}

/// Whatever came in one piece with it.
#[test]
fn every_head_before_the_end_of_a_connection_is_a_line_and_nothing_else_is() {
    let upstream = Recorder::start();
    let gateway = gateway(upstream.address);
    let mut client = Http2::connect(gateway.listener("public"));
    client.get(1, "/here");
    assert_eq!(client.outcome(1), Outcome::Answer(200, 4));
    let ping_on_a_stream = frame(PING, 0, 1, &[0; 8]);
    client.send(&ping_on_a_stream);
    assert!(client.away().is_some_and(|code| code != 0));
    let mut client = Http2::connect(gateway.listener("public"));
    client.round_trip().unwrap();
    let one = |stream, fields: &[(&str, &str)]| {
        frame(HEADERS, END_HEADERS | END_STREAM, stream, &head(fields))
    };
    let pathless = replacing(":path", "");
    let all = [
        one(1, &pathless),
        one(3, &pathless),
        one(5, &get_fields("/here")),
        ping_on_a_stream,
    ];
    client.send(&all.concat());
    assert!(client.away().is_some_and(|code| code != 0));
    refusal(&gateway, 3);
    let refused = gateway.metric(r#"gateway_errors_total{kind="refused"}"#);
    assert_eq!(refused, 3.0, "{}", gateway.text());
}

#[test]
fn a_head_over_http_2_that_does_not_end_in_time_is_a_408_of_the_log() {
    let upstream = Recorder::start();
    let gateway = gateway_with(upstream.address, "300ms");
    let mut client = Http2::connect(gateway.listener("public"));
    client.frame(HEADERS, END_STREAM, 1, &head(&get_fields("/")));
    let line = refusal(&gateway, 1);
    assert!(line.contains("\"status\":408,"), "{line}");
    assert_eq!(client.away(), None, "the connection is over");
}
