//! Ends of answers.

use crate::harness::frames::{CANCEL, GOAWAY, Http2, RST_STREAM};

use super::{Ending, Stage, assert_isolated, read_out, reset};

/// The plugin alone.
const KEEPS: &[&str] = &["keeps"];
const LENGTH: &str = "content-length: 1000";
const CHUNKED: &str = "transfer-encoding: chunked";
/// More than the buffers between the upstream and a client hold.
const LARGE: usize = 8 << 20;

/// An HTTP/2 client whose answer has begun.
fn asked_by_h2(stage: &Stage) -> Http2 {
    let mut client = Http2::connect(stage.public());
    client.get(1, "/alice");
    stage.upstream.head(0);
    stage.answer_begins(LENGTH);
    client
}

/// The upstream goes on for as long as the gateway reads.
fn goes_on(stage: &Stage) {
    let rest = [&b"x".repeat(LARGE)[..]].concat();
    stage.upstream.pour(0, &rest);
    stage.upstream.ended(0);
}

const ENDINGS: &[Ending] = &[
    ("an HTTP/1.1 client closes", KEEPS, "", |stage| {
        let client = stage.ask();
        stage.answer_begins(&format!("content-length: {LARGE}"));
        drop(client);
        goes_on(stage);
    }),
    ("an HTTP/1.1 client resets", KEEPS, "", |stage| {
        let client = stage.ask();
        stage.answer_begins(&format!("content-length: {LARGE}"));
        reset(client);
        goes_on(stage);
    }),
    ("an HTTP/1.0 client closes", KEEPS, "", |stage| {
        let client = stage.h1("GET /alice HTTP/1.0\r\nhost: a\r\n\r\n");
        stage.upstream.head(0);
        stage.answer_begins(&format!("content-length: {LARGE}"));
        drop(client);
        goes_on(stage);
    }),
    ("an HTTP/2 client resets its stream", KEEPS, "", |stage| {
        let mut client = asked_by_h2(stage);
        client.frame(RST_STREAM, 0, 1, &CANCEL.to_be_bytes());
        stage.upstream.ended(0);
    }),
    ("an HTTP/2 client closes", KEEPS, "", |stage| {
        drop(asked_by_h2(stage));
        stage.upstream.ended(0);
    }),
    ("an HTTP/2 client goes away", KEEPS, "", |stage| {
        let mut client = asked_by_h2(stage);
        client.frame(GOAWAY, 0, 0, &[0; 8]);
        drop(client);
        stage.upstream.ended(0);
    }),
    ("an HTTP/2 client breaks its protocol", KEEPS, "", |stage| {
        let mut client = asked_by_h2(stage);
        client.window_update(1, 0);
        stage.upstream.ended(0);
    }),
    ("the upstream cuts a length", KEEPS, "", |stage| {
        let client = stage.ask();
        stage.answer_begins(LENGTH);
        stage.upstream.close(0);
        read_out(client);
    }),
    ("the upstream cuts chunks", KEEPS, "", |stage| {
        let client = stage.ask();
        stage.answer_begins(CHUNKED);
        stage.upstream.close(0);
        read_out(client);
    }),
    ("the upstream breaks a chunk", KEEPS, "", |stage| {
        let client = stage.ask();
        stage.answer_begins(CHUNKED);
        stage.upstream.send(0, b"no size\r\n");
        read_out(client);
    }),
    ("the upstream falls silent", KEEPS, "", |stage| {
        let client = stage.ask();
        stage.answer_begins(LENGTH);
        read_out(client);
    }),
    (
        "the exchange takes too long",
        KEEPS,
        "timeout = '1s'",
        |stage| {
            let client = stage.ask();
            stage.answer_begins(CHUNKED);
            read_out(client);
        },
    ),
    (
        "the next plugin panics",
        &["panics-on-response", "keeps"],
        "",
        |stage| {
            let client = stage.ask();
            stage.answer_begins(CHUNKED);
            stage.upstream.send(0, b"0\r\n\r\n");
            read_out(client);
        },
    ),
    (
        "the next plugin holds less",
        &["holds-little", "keeps"],
        "",
        |stage| {
            let client = stage.ask();
            stage.answer_begins(&format!("content-length: {LARGE}"));
            goes_on(stage);
            read_out(client);
        },
    ),
];

#[test]
fn no_byte_of_an_answer_is_in_that_of_the_next_client_however_it_ends() {
    assert_isolated(ENDINGS);
}
