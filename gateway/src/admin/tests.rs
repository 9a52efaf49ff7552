//! Every rule, over real sockets.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::JoinHandle;

use serde_json::Value;

use super::*;
use crate::config::Secret;

#[derive(Default)]
struct Fake {
    token: Option<Secret>,
    ready: AtomicBool,
}

impl Control for Fake {
    fn token(&self) -> Option<Secret> {
        self.token.clone()
    }

    fn ready(&self) -> bool {
        self.ready.load(Ordering::Acquire)
    }

    fn metrics(&self) -> String {
        "# EOF\n".to_owned()
    }

    fn plugins(&self) -> Value {
        json!({ "plugins": [] })
    }

    fn config(&self) -> Value {
        json!({ "server": {} })
    }

    fn routes(&self) -> Value {
        json!({ "routes": [] })
    }

    fn explain(&self, asked: &[u8]) -> Result<Value, String> {
        Ok(json!({ "asked": String::from_utf8_lossy(asked) }))
    }

    async fn reload(&self) -> Result<Value, Value> {
        Ok(json!({ "version": 2 }))
    }

    async fn reload_plugin(&self, name: &str) -> Option<Result<Value, Value>> {
        match name {
            "my auth" => Some(Ok(json!({ "version": 3 }))),
            "broken" => Some(Err(json!({ "errors": ["a reason"] }))),
            "panics" => panic!("as the test wants"),
            _ => None,
        }
    }
}

struct Running {
    address: SocketAddr,
    control: Arc<Fake>,
    stop: CancellationToken,
    serving: JoinHandle<()>,
}

async fn start(token: Option<&str>) -> Running {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let control = Arc::new(Fake {
        token: token.map(Secret::new),
        ..Fake::default()
    });
    let stop = CancellationToken::new();
    let serving = tokio::spawn(serve(listener, control.clone(), stop.clone()));
    Running {
        address,
        control,
        stop,
        serving,
    }
}

impl Running {
    /// Sends a request with these header lines; the whole answer, as text.
    async fn send(&self, start: &str, headers: &str) -> String {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        let head = format!("{start} HTTP/1.1\r\nconnection: close\r\n{headers}\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    async fn local(&self, start: &str) -> String {
        self.send(start, "host: localhost\r\n").await
    }
}

fn status(answer: &str) -> u16 {
    answer.split(' ').nth(1).unwrap().parse().unwrap()
}

#[tokio::test]
async fn what_is_in_force_is_shown() {
    let admin = start(None).await;
    for (path, kind, body) in [
        ("/", "text/plain", "POST /reload"),
        ("/livez", "text/plain", "ok"),
        (
            "/metrics",
            "application/openmetrics-text; version=1.0.0; charset=utf-8",
            "# EOF\n",
        ),
        ("/plugins", "application/json", "{\n  \"plugins\": []\n}"),
        ("/config?x", "application/json", "\"server\""),
        ("/routes", "application/json", "\"routes\""),
    ] {
        let answer = admin.local(&format!("GET {path}")).await;
        assert_eq!(status(&answer), 200, "{answer}");
        assert!(
            answer.contains(&format!("content-type: {kind}")),
            "{answer}"
        );
        assert!(
            answer.split_once("\r\n\r\n").unwrap().1.contains(body),
            "{answer}"
        );
    }
}

#[tokio::test]
async fn readiness_follows_the_gateway() {
    let admin = start(None).await;
    assert_eq!(status(&admin.local("GET /readyz").await), 503);
    admin.control.ready.store(true, Ordering::Release);
    assert_eq!(status(&admin.local("GET /readyz").await), 200);
}

#[tokio::test]
async fn a_head_request_has_no_body() {
    let answer = start(None).await.local("HEAD /plugins").await;
    assert_eq!(status(&answer), 200);
    assert!(answer.ends_with("\r\n\r\n"), "{answer}");
}

#[tokio::test]
async fn other_methods_and_paths_are_refused_as_problems() {
    let admin = start(None).await;
    for (request, code, allow) in [
        ("POST /plugins", 405, "allow: GET, HEAD\r\n"),
        ("GET /reload", 405, "allow: POST\r\n"),
        ("HEAD /plugins/x/reload", 405, "allow: POST\r\n"),
        ("GET /nowhere", 404, ""),
        ("POST /plugins//reload", 404, ""),
    ] {
        let answer = admin.local(request).await;
        assert_eq!(status(&answer), code, "{answer}");
        assert!(
            answer.contains(allow) && answer.contains("application/problem+json"),
            "{answer}"
        );
    }
}

#[tokio::test]
async fn reloads_tell_how_they_ended() {
    let admin = start(None).await;
    for (path, code, body) in [
        ("/reload", 200, "\"version\": 2"),
        ("/plugins/my%20auth/reload", 200, "\"version\": 3"),
        ("/plugins/broken/reload", 409, "a reason"),
        ("/plugins/none/reload", 404, "none"),
        ("/plugins/panics/reload", 500, "see the log"),
    ] {
        let answer = admin.local(&format!("POST {path}")).await;
        assert_eq!(status(&answer), code, "{answer}");
        assert!(answer.contains(body), "{answer}");
    }
}

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

#[tokio::test]
async fn stopping_closes_idle_connections_and_the_listener() {
    let admin = start(None).await;
    let mut idle = TcpStream::connect(admin.address).await.unwrap();
    idle.write_all(b"GET /livez HTTP/1.1\r\nhost: localhost\r\n\r\n")
        .await
        .unwrap();
    let mut first = [0; 12];
    idle.read_exact(&mut first).await.unwrap();
    assert_eq!(&first, b"HTTP/1.1 200");
    admin.stop.cancel();
    let mut rest = Vec::new();
    idle.read_to_end(&mut rest).await.unwrap();
    admin.serving.await.unwrap();
    assert!(TcpStream::connect(admin.address).await.is_err());
}
