//! Connections that hyper is taken off.

use std::rc::Rc;
use std::time::Instant;

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use super::{Connection, connect, rest, run, start, until};
use crate::allocator;
use crate::server::watchdog::REST;

async fn resting(connection: &Connection, resting: bool) {
    while connection.resting.get() != resting {
        tokio::task::yield_now().await;
    }
}

async fn send(stream: &mut TcpStream, text: &str) {
    stream.write_all(text.as_bytes()).await.unwrap();
}

/// A request that is answered while its body, in two chunks, is not read.
const HELD: &str =
    "POST /held HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n1\r\nb\r\n0\r\n\r\n";

#[test]
fn a_body_that_began_behind_one_that_is_held_is_never_taken_for_a_request() {
    run(async {
        let server = start(true, false, None);
        let inner = "GET /smuggled HTTP/1.1\r\n\r\n";
        let head = format!(
            "POST /second HTTP/1.1\r\ncontent-length: {}\r\n\r\n",
            4 + inner.len()
        );
        let mut stream = connect(&server, &format!("{HELD}{head}body")).await;
        until(&mut stream, "/held").await;
        // Nothing is to happen in that time.
        tokio::time::sleep(REST * 2).await;
        send(&mut stream, inner).await;
        server.release.notify_one();
        send(
            &mut stream,
            "GET /last HTTP/1.1\r\nconnection: close\r\n\r\n",
        )
        .await;
        let answers = rest(&mut stream).await;
        assert!(
            answers.contains("/second") && answers.ends_with("/last"),
            "{answers}"
        );
        assert!(!answers.contains("/smuggled"), "{answers}");
    });
}

#[test]
fn a_connection_that_holds_what_nobody_read_ends_instead_of_resting() {
    run(async {
        let server = start(true, false, None);
        let mut stream = connect(&server, HELD).await;
        until(&mut stream, "/held").await;
        assert_eq!(rest(&mut stream).await, "");
    });
}

#[test]
fn an_empty_line_wakes_a_connection_for_a_whole_time_and_is_not_counted_as_its_use() {
    run(async {
        let server = start(true, false, None);
        let mut stream = connect(&server, "GET /a HTTP/1.1\r\n\r\n").await;
        until(&mut stream, "/a").await;
        let connection: Rc<Connection> = server.connection.take().upgrade().unwrap();
        resting(&connection, true).await;
        assert_eq!(allocator::freed(), 1);
        let woken = Instant::now();
        send(&mut stream, "\r\n").await;
        resting(&connection, false).await;
        resting(&connection, true).await;
        assert!(woken.elapsed() >= REST, "{:?}", woken.elapsed());
        assert_eq!(allocator::freed(), 1);
        send(&mut stream, "GET /b HTTP/1.1\r\n\r\n").await;
        until(&mut stream, "/b").await;
        resting(&connection, true).await;
        assert_eq!(allocator::freed(), 2);
    });
}
