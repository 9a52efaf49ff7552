//! Who may ask for what.

use tokio::net::UnixStream;

use super::*;

#[tokio::test]
async fn a_token_is_asked_for_except_by_probes() {
    let admin = start(Some("right")).await;
    for (headers, code) in [
        ("", 401),
        ("authorization: Bearer wrong\r\n", 401),
        ("authorization: Bearer righ\r\n", 401),
        ("authorization: Basic right\r\n", 401),
        (
            "authorization: Bearer right\r\nauthorization: Bearer wrong\r\n",
            401,
        ),
        ("authorization: bearer right\r\n", 200),
    ] {
        let answer = admin
            .send(
                "GET /config",
                &format!("host: gateway.example\r\n{headers}"),
            )
            .await;
        assert_eq!(status(&answer), code, "{headers}");
        assert_eq!(
            answer.contains("www-authenticate: Bearer"),
            code == 401,
            "{answer}"
        );
    }
    assert_eq!(status(&admin.local("POST /reload").await), 401);
    assert_eq!(status(&admin.local("GET /nowhere").await), 401);
    assert_eq!(status(&admin.local("GET /livez").await), 200);
    assert_eq!(status(&admin.local("GET /readyz").await), 503);
}

fn bearer(token: &str) -> String {
    format!("host: gateway.example\r\nauthorization: Bearer {token}\r\n")
}

#[tokio::test]
async fn a_read_token_reads_and_changes_nothing() {
    let admin = start_with(Some("writes"), Some("reads")).await;
    for (request, read, all) in [
        ("GET /", 200, 200),
        ("HEAD /config", 200, 200),
        ("GET /metrics", 200, 200),
        ("GET /routes", 200, 200),
        ("POST /explain", 200, 200),
        ("GET /upstreams", 200, 200),
        ("POST /upstreams/my%2Fapp/x/drain", 403, 404),
        ("POST /reload", 403, 200),
        ("GET /log", 200, 200),
        ("PUT /log", 403, 400),
        ("POST /plugins/my%20auth/reload", 403, 200),
        ("POST /plugins/none/reload", 403, 404),
        // What is not there and what is not taken is so for both.
        ("GET /reload", 405, 405),
        ("DELETE /config", 405, 405),
        ("POST /nowhere", 404, 404),
    ] {
        for (token, code) in [("reads", read), ("writes", all), ("neither", 401)] {
            let answer = admin.send(request, &bearer(token)).await;
            assert_eq!(status(&answer), code, "{request}, {token}: {answer}");
            let says_why =
                answer.contains("admin.read_token") && answer.contains("needs admin.token");
            assert_eq!(says_why, code == 403, "{request}, {token}: {answer}");
        }
    }
}

#[tokio::test]
async fn with_a_read_token_alone_nothing_can_be_changed() {
    let admin = start_with(None, Some("reads")).await;
    assert_eq!(
        status(&admin.send("GET /config", &bearer("reads")).await),
        200
    );
    let refused = admin.send("POST /reload", &bearer("reads")).await;
    assert_eq!(status(&refused), 403);
    assert!(refused.contains("there is no admin.token"), "{refused}");
    for request in ["GET /config", "POST /reload"] {
        assert_eq!(status(&admin.local(request).await), 401, "{request}");
    }
    assert_eq!(status(&admin.local("GET /livez").await), 200);
}

#[tokio::test]
async fn a_token_counts_in_no_other_place_than_its_field() {
    let admin = start_with(Some("writes"), Some("reads")).await;
    for (request, headers) in [
        ("GET /config?access_token=writes", ""),
        ("GET /config?token=writes", ""),
        ("GET http://writes@localhost/config", ""),
        ("GET /config", "authorization: writes\r\n"),
        ("GET /config", "authorization: Bearer\r\n"),
        ("GET /config", "authorization: Bearer \r\n"),
        ("GET /config", "authorization: Bearer writes reads\r\n"),
        (
            "GET /config",
            "authorization: Bearer writes, Bearer reads\r\n",
        ),
        ("GET /config", "authorization: Bearer ***\r\n"),
        ("GET /config", "authorization: Basic d3JpdGVz\r\n"),
        ("GET /config", "cookie: token=writes\r\n"),
        ("GET /config", "proxy-authorization: Bearer writes\r\n"),
    ] {
        let headers = format!("host: localhost\r\n{headers}");
        let answer = admin.send(request, &headers).await;
        assert!(
            matches!(status(&answer), 400 | 401),
            "{request}, {headers}: {answer}"
        );
        assert!(!answer.contains("writes"), "{answer}");
    }
}

#[tokio::test]
async fn on_a_unix_socket_the_host_says_nothing_and_a_page_cannot_post() {
    let directory = tempfile::tempdir().unwrap();
    let at = directory.path().join("admin.sock");
    let listener = Listener::unix(unix::bind(&at, 0o600).unwrap()).unwrap();
    let stop = CancellationToken::new();
    let serving = tokio::spawn(serve(listener, Arc::new(Fake::default()), stop.clone()));
    for (request, headers, code) in [
        ("GET /config", "host: rebound.example\r\n", 200),
        ("GET /config", "", 200),
        ("POST /reload", "host: gateway\r\n", 200),
        (
            "POST /reload",
            "host: gateway\r\norigin: http://page.example\r\n",
            403,
        ),
    ] {
        let mut stream = UnixStream::connect(&at).await.unwrap();
        let head = format!("{request} HTTP/1.1\r\nconnection: close\r\n{headers}\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert_eq!(status(&answer), code, "{request}, {headers}: {answer}");
    }
    stop.cancel();
    serving.await.unwrap();
    assert!(!at.exists());
}

#[tokio::test]
async fn without_a_token_the_host_is_a_loopback_one() {
    let admin = start(None).await;
    for (headers, code) in [
        ("host: localhost:9901\r\n", 200),
        ("host: 127.0.0.1:1\r\n", 200),
        ("host: [::1]:9901\r\n", 200),
        ("host: [::ffff:127.0.0.1]:9901\r\n", 200),
        ("host: [::ffff:192.0.2.1]:9901\r\n", 403),
        ("host: rebound.example\r\n", 403),
        ("host: localhost.example\r\n", 403),
        ("host: 127.0.0.1.example\r\n", 403),
        ("host: 192.0.2.1\r\n", 403),
        ("host: localhost\r\nhost: rebound.example\r\n", 403),
        ("", 403),
    ] {
        assert_eq!(
            status(&admin.send("GET /config", headers).await),
            code,
            "{headers}"
        );
    }
    assert_eq!(
        status(&admin.local("GET http://rebound.example/config").await),
        403
    );
}

#[tokio::test]
async fn without_a_token_a_page_cannot_post() {
    let admin = start(None).await;
    let headers = "host: localhost\r\norigin: http://localhost\r\n";
    assert_eq!(status(&admin.send("POST /reload", headers).await), 403);
    assert_eq!(status(&admin.send("GET /routes", headers).await), 200);
}
