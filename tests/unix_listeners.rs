//! Listeners on unix sockets: what comes over them is served as over TCP, and their files come and go with them.

mod clients;
mod files;
mod reloads;

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt as _, Empty};
use rustls::version::TLS13;

use clients::Held;

use crate::harness::client::{Body, Client};
use crate::harness::gateway::PATIENCE;
use crate::harness::http::{Answer, read_answer, until};
use crate::harness::recorder::Recorder;
use crate::harness::tls::{Certificate, Tls};
use crate::harness::{Configuration, Gateway, Origin};

/// The listener `local` on `public.sock` beside the file, with more lines.
fn local(lines: &str) -> String {
    format!("[[listeners]]\nname = 'local'\naddress = 'unix:public.sock'\n{lines}")
}

/// With that listener, and a route to an origin.
fn config(origin: &Origin, lines: &str) -> Configuration {
    Configuration::new()
        .workers(2)
        .access_log()
        .with(&local(lines))
        .upstream("origin", origin.address)
        .route("all", "/**", "upstream = 'origin'")
}

fn socket_of(gateway: &Gateway) -> PathBuf {
    gateway.directory.path().join("public.sock")
}

fn connect(socket: &Path) -> UnixStream {
    let stream = UnixStream::connect(socket).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// A GET with more fields on a connection of its own.
fn get(socket: &Path, path: &str, fields: &[(&str, &str)]) -> Answer {
    let mut stream = connect(socket);
    stream.write_all(head(path, fields).as_bytes()).unwrap();
    read_answer(&mut stream)
}

fn head(path: &str, fields: &[(&str, &str)]) -> String {
    let fields = fields
        .iter()
        .map(|(name, value)| format!("{name}: {value}\r\n"));
    let fields: String = fields.collect();
    format!("GET {path} HTTP/1.1\r\nhost: local.test\r\n{fields}\r\n")
}

fn mode_of(socket: &Path) -> u32 {
    fs::symlink_metadata(socket).unwrap().permissions().mode() & 0o7777
}

/// What the command line says, in the directory of a configuration.
fn said(directory: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_gateway"))
        .args(arguments)
        .current_dir(directory)
        .env("XDG_CACHE_HOME", crate::harness::gateway::cache())
        .output()
        .unwrap()
}

fn text(output: &Output) -> String {
    String::from_utf8([&output.stdout[..], &output.stderr].concat()).unwrap()
}

fn request(path: &str) -> Request<Body> {
    let body = Empty::<Bytes>::new().map_err(|never| match never {});
    Request::get(path).body(body.boxed_unsync()).unwrap()
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
}

/// The status of two requests on one connection, and by which version they were answered.
async fn twice(client: &mut Client) -> [(u16, http::Version); 2] {
    let mut answers = Vec::new();
    for path in ["/one", "/two"] {
        let answer = client.send("local.test", request(path)).await.unwrap();
        answers.push((answer.status().as_u16(), answer.version()));
        answer.into_body().collect().await.unwrap();
    }
    answers.try_into().unwrap()
}

#[test]
fn http_1_and_http_2_are_spoken_over_a_unix_socket() {
    let origin = Origin::start();
    let gateway = Gateway::start(&config(&origin, ""));
    let socket = socket_of(&gateway);
    runtime().block_on(async {
        for (h2, version) in [
            (false, http::Version::HTTP_11),
            (true, http::Version::HTTP_2),
        ] {
            let stream = tokio::net::UnixStream::connect(&socket).await.unwrap();
            let mut client = Client::new(stream, h2, "http").await;
            assert_eq!(twice(&mut client).await, [(200, version); 2]);
            let open = "gateway_connections{listener=\"local\"}";
            // The test's own runtime stands still meanwhile, so the connection stays as it is.
            crate::health::until(&gateway, "an open connection", || {
                gateway.metric(open) >= 1.0
            });
        }
    });
    for protocol in ["HTTP/1.1", "HTTP/2"] {
        let protocol = format!("\"protocol\":\"{protocol}\"");
        gateway.wait_for_all(&["\"path\":\"/two\"", &protocol, "\"client\":\"unix:\""]);
    }
    // What is on TCP beside it is served as ever.
    let public = gateway.listener("public");
    assert_eq!(crate::harness::get(public, "/", &[]).status, 200);
}

#[test]
fn tls_over_a_unix_socket_agrees_on_a_protocol() {
    let origin = Origin::start();
    let directory = tempfile::tempdir().unwrap();
    let certificate = Certificate::new(&["local.test"]);
    certificate.write(directory.path(), "local");
    let tls = "tls = { certificates = [{ cert = 'local.pem', key = 'local.key' }] }";
    let gateway = Gateway::start_in(directory, &config(&origin, tls), &[]);
    let socket = socket_of(&gateway);
    runtime().block_on(async {
        for (alpn, version) in [
            ("http/1.1", http::Version::HTTP_11),
            ("h2", http::Version::HTTP_2),
        ] {
            let tls = Tls::new(&[&certificate], &TLS13, &[alpn]);
            let stream = tokio::net::UnixStream::connect(&socket).await.unwrap();
            let stream = tls.shake(stream, "local.test").await.unwrap();
            let mut client = Client::new(stream, alpn == "h2", "https").await;
            assert_eq!(twice(&mut client).await, [(200, version); 2]);
        }
    });
    let seen = origin.seen().pop().unwrap().to_ascii_lowercase();
    assert!(seen.contains("x-forwarded-proto: https\r\n"), "{seen}");
}

#[test]
fn a_listener_takes_no_more_connections_of_its_socket_than_its_limit() {
    let origin = Origin::start();
    let lines = "limits = { connections = 1 }";
    let gateway = Gateway::start(&config(&origin, lines));
    let socket = socket_of(&gateway);
    let mut first = connect(&socket);
    first.write_all(head("/first", &[]).as_bytes()).unwrap();
    assert_eq!(read_answer(&mut first).status, 200);
    let mut second = connect(&socket);
    second.write_all(head("/second", &[]).as_bytes()).unwrap();
    let third = std::thread::spawn({
        let socket = socket.clone();
        move || get(&socket, "/third", &[("connection", "close")]).status
    });
    // The first has the only place.
    first.write_all(head("/again", &[]).as_bytes()).unwrap();
    assert_eq!(read_answer(&mut first).status, 200);
    let seen = origin.seen();
    assert!(
        !seen.iter().any(|seen| seen.contains("/second")),
        "{seen:?}"
    );
    drop(first);
    assert_eq!(read_answer(&mut second).status, 200);
    drop(second);
    assert_eq!(third.join().unwrap(), 200);
}

#[test]
fn a_client_that_sends_half_a_head_is_told_so_over_a_unix_socket() {
    let origin = Origin::start();
    let gateway = Gateway::start(&config(&origin, "limits = { header_timeout = '100ms' }"));
    let mut stream = connect(&socket_of(&gateway));
    stream.write_all(b"GET /slow HTTP/1.1\r\nhost:").unwrap();
    assert_eq!(read_answer(&mut stream).status, 408);
}

#[test]
fn a_client_that_leaves_a_unix_socket_ends_its_request() {
    let held = Held::start();
    let gateway = Gateway::start(&config(&held.origin, ""));
    let mut leaving = connect(&socket_of(&gateway));
    leaving.write_all(head("/held", &[]).as_bytes()).unwrap();
    held.came();
    drop(leaving);
    gateway.wait_for_all(&[
        "\"path\":\"/held\"",
        "\"status\":499",
        "\"client\":\"unix:\"",
    ]);
    held.open();
}

#[test]
fn a_tunnel_is_opened_over_a_unix_socket() {
    let origin = Recorder::start();
    let config = Configuration::new()
        .with(&local(""))
        .upstream("origin", origin.address)
        .route("all", "/**", "upstream = 'origin'");
    let gateway = Gateway::start(&config);
    let mut client = connect(&socket_of(&gateway));
    let upgrade = [("connection", "upgrade"), ("upgrade", "websocket")];
    client.write_all(head("/", &upgrade).as_bytes()).unwrap();
    origin.head(0);
    origin.send(
        0,
        b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n",
    );
    assert!(until(&mut client, "\r\n\r\n").starts_with("HTTP/1.1 101"));
    client.write_all(b"ping").unwrap();
    origin.wait("ping", |wires| {
        wires[0].body().ends_with(b"ping").then_some(())
    });
    origin.send(0, b"pong");
    assert_eq!(until(&mut client, "pong"), "pong");
    client.shutdown(std::net::Shutdown::Write).unwrap();
    origin.ended(0);
}

#[test]
fn a_drain_loses_no_connection_of_a_unix_socket() {
    let held = Held::start();
    let gateway = Gateway::start(&config(&held.origin, ""));
    let socket = socket_of(&gateway);
    let mut under_way = connect(&socket);
    under_way.write_all(head("/held", &[]).as_bytes()).unwrap();
    held.came();
    // Clients that connect as long as there is something to connect to.
    let clients: Vec<_> = (0..4)
        .map(|_| {
            let socket = socket.clone();
            std::thread::spawn(move || {
                let mut answered = 0;
                while let Ok(mut stream) = UnixStream::connect(&socket) {
                    stream.set_read_timeout(Some(PATIENCE)).unwrap();
                    let sent = stream.write_all(head("/", &[]).as_bytes());
                    let answer = read_answer(&mut stream);
                    assert_eq!(answer.status, 200, "{sent:?} after {answered}");
                    answered += 1;
                }
                answered
            })
        })
        .collect();
    gateway.signal("TERM");
    gateway.wait_for("draining");
    for client in clients {
        assert!(client.join().unwrap() > 0);
    }
    assert!(!socket.exists());
    held.open();
    let answer = read_answer(&mut under_way);
    assert_eq!(
        (answer.status, answer.header("connection")),
        (200, Some("close"))
    );
    gateway.assert_drained();
}

/// config/examples/unix-listener.toml, as docs/listeners.md shows it.
#[test]
fn the_example_of_a_listener_does_what_its_page_says() {
    let origin = Origin::start();
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("public.sock");
    let app = origin.address.to_string();
    let at = format!("unix:{}", socket.display());
    let environment = [("GATEWAY_LOCAL", &*at), ("APP", &*app)];
    let gateway = Gateway::example_with("unix-listener", &environment);
    assert_eq!(mode_of(&socket), 0o660);
    let curl = |arguments: &[&str]| {
        let output = Command::new("curl")
            .args(["-sS", "--max-time", "20", "--unix-socket"])
            .arg(&socket)
            .args(arguments)
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", text(&output));
        String::from_utf8(output.stdout).unwrap()
    };
    assert_eq!(curl(&["http://app.example/whoami"]), "you are unix:\n");
    let forwarded = ["-H", "x-forwarded-for: 203.0.113.7"];
    let asked = [&forwarded[..], &["http://app.example/whoami"]].concat();
    assert_eq!(curl(&asked), "you are 203.0.113.7\n");
    let asked = [&forwarded[..], &["http://app.example/orders"]].concat();
    assert_eq!(curl(&asked), "{\"path\":\"/orders\",\"body\":0}");
    let seen = origin.seen().pop().unwrap().to_ascii_lowercase();
    assert!(seen.contains("x-forwarded-for: 203.0.113.7\r\n"), "{seen}");
    let asked = ["--http2-prior-knowledge", "http://app.example/whoami"];
    assert_eq!(curl(&asked), "you are unix:\n");
    let public = gateway.listener("public");
    let told = crate::harness::get(public, "/whoami", &[("x-forwarded-for", "203.0.113.7")]);
    assert_eq!(told.text(), "you are 127.0.0.1\n");
}
