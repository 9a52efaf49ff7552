//! What ends by the clock. No other test of the server may depend on how fast a machine is.

use super::*;

fn hasty() -> config::Limits {
    config::Limits {
        header_timeout: Duration::from_millis(300),
        body_idle: Duration::from_millis(300),
        idle: Duration::from_millis(400),
        ..limits()
    }
}

#[test]
fn a_slow_head_is_answered_with_408_and_silence_with_nothing() {
    run(async {
        let server = start_with(true, false, None, hasty());
        let mut slow = connect(&server, "GET /a HTTP/1.1\r\n").await;
        let mut silent = connect(&server, "").await;
        assert!(rest(&mut slow).await.starts_with("HTTP/1.1 408 "));
        assert_eq!(rest(&mut silent).await, "");
    });
}

#[test]
fn an_idle_connection_is_closed_without_a_word() {
    run(async {
        let server = start_with(true, false, None, hasty());
        let mut stream = connect(&server, "GET /a HTTP/1.1\r\n\r\n").await;
        until(&mut stream, "/a").await;
        assert_eq!(rest(&mut stream).await, "");
        server.drain.empty().await;
    });
}

#[test]
fn a_client_that_takes_nothing_is_reset() {
    run(async {
        let server = start_with(true, false, None, hasty());
        let mut stream = connect(&server, "GET /endless HTTP/1.1\r\n\r\n").await;
        while server.drain.open() == 0 {
            tokio::task::yield_now().await;
        }
        server.drain.empty().await;
        let mut buffer = vec![0; 1 << 20];
        let error = loop {
            match stream.read(&mut buffer).await {
                Ok(0) => panic!("closed in order"),
                Ok(_) => {}
                Err(error) => break error,
            }
        };
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    });
}

#[test]
fn an_idle_client_of_http2_is_told_to_go() {
    run(async {
        let server = start_with(true, true, None, hasty());
        let mut send = h2_client(connect(&server, "").await).await;
        assert_eq!(get(&mut send, "http://a/one").await, "/one");
        server.drain.empty().await;
    });
}

#[test]
fn an_http2_response_that_the_client_gives_no_window_ends() {
    run(async {
        let server = start_with(false, true, None, hasty());
        let stream = connect(&server, "").await;
        let (send, connection) = h2::client::Builder::new()
            .initial_window_size(0)
            .handshake::<_, Bytes>(stream)
            .await
            .unwrap();
        tokio::task::spawn_local(connection);
        let mut send = send.ready().await.unwrap();
        let request = Request::get("http://a/endless").body(()).unwrap();
        let (response, _) = send.send_request(request, true).unwrap();
        let mut body = response.await.unwrap().into_body();
        assert!(body.data().await.unwrap().is_err());
    });
}
