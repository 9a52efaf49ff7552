//! What hyper alone would do otherwise.

use std::rc::Rc;

use tokio::io::AsyncWriteExt;

use super::{Connection, LARGE, connect, rest, run, start, until};

/// However it came about.
#[test]
fn a_request_that_the_guard_did_not_see_is_not_served() {
    run(async {
        let server = start(true, false, None);
        let mut stream = connect(&server, "GET /a HTTP/1.1\r\n\r\n").await;
        until(&mut stream, "/a").await;
        let connection: Rc<Connection> = server.connection.take().upgrade().unwrap();
        // As if hyper had found one more.
        connection.requests.set(connection.requests.get() + 1);
        stream.write_all(b"GET /b HTTP/1.1\r\n\r\n").await.unwrap();
        assert_eq!(rest(&mut stream).await, "");
        assert_eq!(connection.in_flight.get(), 0);
    });
}

/// hyper leaves a connection on which an upgrade was asked for before everything is written.
#[test]
fn the_last_answer_is_written_whole_where_an_upgrade_was_refused() {
    run(async {
        let server = start(true, false, None);
        let head = "POST /large HTTP/1.1\r\nconnection: upgrade, close\r\nupgrade: x\r\ncontent-length: 9\r\n\r\nbegin";
        let mut stream = connect(&server, head).await;
        let answer = rest(&mut stream).await;
        let body = answer.split_once("\r\n\r\n").unwrap().1;
        assert_eq!(body.len(), LARGE);
    });
}
