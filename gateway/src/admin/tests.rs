//! Every rule, over real sockets.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use serde_json::Value;

use super::*;
use crate::config::Secret;

mod rights;

#[derive(Default)]
struct Fake {
    tokens: Tokens,
    ready: AtomicBool,
}

impl Control for Fake {
    fn tokens(&self) -> Tokens {
        self.tokens.clone()
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

    fn upstreams(&self) -> Value {
        json!({ "upstreams": [] })
    }

    fn upstream(&self, name: &str) -> Option<Value> {
        (name == "my/app").then(|| json!({ "name": name }))
    }

    fn turn(&self, upstream: &str, endpoint: &str, turn: Turn) -> Result<Value, Missing> {
        match (upstream, endpoint) {
            ("my/app", "[::1]:80" | "unix:/run/app.sock") => {
                Ok(json!({ "turned": format!("{turn:?} {endpoint}") }))
            }
            ("my/app", _) => Err(Missing::Endpoint),
            _ => Err(Missing::Upstream),
        }
    }

    fn explain(&self, asked: &[u8]) -> Result<Value, String> {
        Ok(json!({ "asked": String::from_utf8_lossy(asked) }))
    }

    fn log(&self) -> Value {
        json!({ "filter": "info" })
    }

    fn set_log(&self, asked: &[u8]) -> Result<Value, String> {
        match asked {
            b"debug" => Ok(json!({ "filter": "debug" })),
            _ => Err("no filter".to_owned()),
        }
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
    start_with(token, None).await
}

async fn start_with(all: Option<&str>, read: Option<&str>) -> Running {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let control = Arc::new(Fake {
        tokens: Tokens {
            all: all.map(Secret::new),
            read: read.map(Secret::new),
        },
        ..Fake::default()
    });
    let stop = CancellationToken::new();
    let serving = tokio::spawn(serve(
        Listener::tcp(listener),
        control.clone(),
        stop.clone(),
    ));
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
        ("POST /log", 405, "allow: GET, HEAD, PUT\r\n"),
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
async fn endpoints_are_turned_by_names_of_one_segment_each() {
    let admin = start(None).await;
    for (request, code, body) in [
        ("GET /upstreams", 200, "\"upstreams\": []"),
        ("GET /upstreams/my%2Fapp", 200, "\"name\": \"my/app\""),
        (
            "GET /upstreams/none",
            404,
            "no upstream is named \\\"none\\\"",
        ),
        (
            "POST /upstreams/my%2Fapp/%5B::1%5D:80/drain",
            200,
            "Drain [::1]:80",
        ),
        (
            "POST /upstreams/my%2Fapp/unix:%2Frun%2fapp.sock/restore",
            200,
            "Restore unix:/run/app.sock",
        ),
        (
            "POST /upstreams/my%2Fapp/x/drain",
            404,
            "has no endpoint \\\"x\\\"",
        ),
        (
            "POST /upstreams/none/x/restore",
            404,
            "no upstream is named",
        ),
        ("GET /upstreams/my%2Fapp/x/drain", 405, "POST"),
        ("POST /upstreams/my%2Fapp", 405, "GET, HEAD"),
        ("GET /upstreams/", 404, "no such endpoint"),
    ] {
        let answer = admin.local(request).await;
        assert_eq!(status(&answer), code, "{request}: {answer}");
        assert!(answer.contains(body), "{request}: {answer}");
    }
}

#[tokio::test]
async fn a_path_is_what_it_says_and_nothing_that_it_leads_to() {
    let admin = start(None).await;
    for path in [
        "/plugins/../reload",
        "/plugins/%2e%2e/reload",
        "/plugins/x/../../reload",
        "/plugins/x%2Freload",
        "//reload",
        "/reload/",
        "/RELOAD",
        "/%72eload",
        "/plugins/%FF/reload",
        "/plugins/%/reload",
        "/upstreams/../../reload",
        "/upstreams/my%2Fapp/../reload",
        "/upstreams/my%2Fapp/[::1]:80",
        "/upstreams/my%2Fapp/[::1]:80/drain/",
        "/upstreams/my%2Fapp/[::1]:80//drain",
        "/upstreams/my%2Fapp/[::1]:80%2Fdrain",
        "/upstreams/my/app/[::1]:80/drain",
        "/upstreams/my%2Fapp/unix:/run/app.sock/drain",
        "/upstreams/my%2Fapp//drain",
        "/upstreams//[::1]:80/drain",
        "/upstreams/my%252Fapp/[::1]:80/drain",
    ] {
        let answer = admin.local(&format!("POST {path}")).await;
        assert_eq!(status(&answer), 404, "{path}: {answer}");
    }
}

#[tokio::test]
async fn what_is_too_large_is_refused_and_the_listener_goes_on() {
    let admin = start(None).await;
    let long = "a".repeat(1 << 20);
    for (request, headers) in [
        (format!("GET /{long}"), "host: localhost\r\n".to_owned()),
        (
            "GET /config".to_owned(),
            format!("host: localhost\r\nx: {long}\r\n"),
        ),
        (
            "GET /config".to_owned(),
            "host: localhost\r\n".to_owned() + &"a: b\r\n".repeat(1000),
        ),
    ] {
        let mut stream = TcpStream::connect(admin.address).await.unwrap();
        let head = format!("{request} HTTP/1.1\r\n{headers}\r\n");
        // It may be refused before all of it is read.
        let _refused = stream.write_all(head.as_bytes()).await;
        let mut answer = Vec::new();
        let _reset = stream.read_to_end(&mut answer).await;
        let answer = String::from_utf8_lossy(&answer);
        assert!(
            answer.is_empty() || matches!(status(&answer), 414 | 431),
            "{answer}"
        );
        assert_eq!(status(&admin.local("GET /config").await), 200);
    }
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
