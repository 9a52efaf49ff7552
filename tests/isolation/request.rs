//! Ends of requests.

use std::io::Write;

use crate::harness::frames::{CANCEL, RST_STREAM};

use super::{Ending, assert_isolated, read_out, reset};

/// The plugin alone.
const KEEPS: &[&str] = &["keeps"];
const LENGTH: &str = "content-length: 1000";
const CHUNKED: &str = "transfer-encoding: chunked";

const ENDINGS: &[Ending] = &[
    (
        "an HTTP/1.1 client closes in a length",
        KEEPS,
        "",
        |stage| drop(stage.upload(LENGTH)),
    ),
    ("an HTTP/1.1 client closes in chunks", KEEPS, "", |stage| {
        drop(stage.upload(CHUNKED))
    }),
    ("an HTTP/1.1 client resets", KEEPS, "", |stage| {
        reset(stage.upload(CHUNKED))
    }),
    ("an HTTP/1.1 client breaks a chunk", KEEPS, "", |stage| {
        let mut client = stage.upload(CHUNKED);
        client.write_all(b"no size\r\n").unwrap();
        read_out(client);
    }),
    ("an HTTP/1.1 client falls silent", KEEPS, "", |stage| {
        read_out(stage.upload(CHUNKED))
    }),
    (
        "an HTTP/1.1 client sends more than it may",
        KEEPS,
        "",
        |stage| {
            let mut client = stage.upload(CHUNKED);
            let chunk = format!("{:x}\r\n{}\r\n", 128 << 10, "x".repeat(128 << 10));
            // The gateway may refuse before it has read all.
            let _refused = client.write_all(chunk.as_bytes());
            read_out(client);
        },
    ),
    ("an HTTP/2 client resets its stream", KEEPS, "", |stage| {
        let mut client = stage.upload_h2();
        client.frame(RST_STREAM, 0, 1, &CANCEL.to_be_bytes());
        client.round_trip().unwrap();
    }),
    ("an HTTP/2 client closes", KEEPS, "", |stage| {
        drop(stage.upload_h2())
    }),
    ("an HTTP/2 client falls silent", KEEPS, "", |stage| {
        stage.upload_h2().outcome(1);
    }),
    ("an HTTP/2 client breaks its protocol", KEEPS, "", |stage| {
        let mut client = stage.upload_h2();
        client.window_update(0, 0);
        client.away();
    }),
    (
        "the upstream refuses",
        KEEPS,
        "upstream = 'gone'",
        |stage| read_out(stage.upload(CHUNKED)),
    ),
    (
        "the exchange takes too long",
        KEEPS,
        "timeout = '1s'",
        |stage| read_out(stage.upload(CHUNKED)),
    ),
    (
        "the next plugin panics",
        &["keeps", "panics-on-request"],
        "",
        |stage| {
            let mut client = stage.upload(CHUNKED);
            client.write_all(b"0\r\n\r\n").unwrap();
            read_out(client);
        },
    ),
    (
        "the next plugin holds less",
        &["keeps", "holds-little"],
        "",
        |stage| {
            let mut client = stage.upload(CHUNKED);
            let chunk = format!("{:x}\r\n{}\r\n0\r\n\r\n", 4 << 10, "x".repeat(4 << 10));
            client.write_all(chunk.as_bytes()).unwrap();
            read_out(client);
        },
    ),
];

#[test]
fn no_byte_of_a_request_is_in_that_of_the_next_client_however_it_ends() {
    assert_isolated(ENDINGS);
}
