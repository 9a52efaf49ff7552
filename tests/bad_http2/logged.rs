//! What no request could be made of is a line of the access log, and a count.

use std::net::SocketAddr;

use super::{gateway, gateway_with, replacing};
use crate::harness::frames::{END_HEADERS, END_STREAM, HEADERS, Http2, Outcome, get_fields, head};
use crate::harness::recorder::Recorder;
use crate::refusals::refusal;

fn asks(public: SocketAddr, block: &[u8]) -> (Http2, Outcome) {
    let mut client = Http2::connect(public);
    client.frame(HEADERS, END_HEADERS | END_STREAM, 1, block);
    let outcome = client.outcome(1);
    (client, outcome)
}

#[test]
fn a_head_over_http_2_that_is_refused_is_a_line_and_a_count_of_no_route() {
    let upstream = Recorder::start();
    let gateway = gateway(upstream.address);
    let public = gateway.listener("public");
    let large = |bytes: usize| "v".repeat(bytes);
    let (long, longest) = (large(9_000), large(15_000));
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
    for (what, value) in [("too long", &long), ("twice as long", &longest)] {
        let fields = [&get_fields("/")[..], &[("a", value)]].concat();
        cases.push((what, head(&fields), 431));
    }
    let mut lines = 0;
    for (what, block, status) in cases {
        let (_client, _) = asks(public, &block);
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
    let (mut client, outcome) = asks(public, &head(&small));
    assert!(matches!(outcome, Outcome::Answer(..)), "{outcome:?}");
    client.get(3, "/here");
    assert_eq!(client.outcome(3), Outcome::Answer(200, 4));
    let refused = gateway.metric(r#"gateway_errors_total{kind="refused"}"#);
    assert_eq!(refused, lines as f64, "of those that were served too");
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
