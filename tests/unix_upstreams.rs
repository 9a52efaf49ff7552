//! Endpoints that are unix sockets: what goes over them is what goes over TCP, and what cannot be connected to is told.

mod broken;
pub(crate) mod full;
mod standing;

use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use serde_json::json;
use tempfile::TempDir;

use crate::harness::bridge::bridge;
use crate::harness::http::{connect, read_answer, send};
use crate::harness::recorder::Recorder;
use crate::harness::tls_origin::{Authority, Setup, TlsOrigin};
use crate::harness::{Configuration, Gateway, Origin, get};
use crate::upstreams::{OK, served};

/// A directory, and the path of a socket in it.
fn place() -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("app.sock");
    (directory, path)
}

/// Everything to the upstream `app` with these endpoints.
fn config(endpoints: &[&str], lines: &str) -> Configuration {
    Configuration::new()
        .access_log()
        .with(&format!(
            "[upstreams.app]\nendpoints = {endpoints:?}\n{lines}"
        ))
        .route("all", "/**", "upstream = 'app'")
}

/// The same with the one endpoint `app.sock` beside the file, on which everything is recorded.
fn recorded(lines: &str) -> (Recorder, Gateway) {
    let (directory, path) = place();
    let upstream = Recorder::at(&path);
    let gateway = Gateway::start_in(directory, &config(&["unix:app.sock"], lines), &[]);
    (upstream, gateway)
}

/// Answers with the name of the endpoint.
fn saying(path: &Path, name: &'static str) -> Origin {
    Origin::at(path, move |_, _| {
        let length = name.len();
        format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{name}").into_bytes()
    })
}

/// How a socket is told of.
fn told(gateway: &Gateway, name: &str) -> String {
    format!("unix:{}", gateway.directory.path().join(name).display())
}

#[test]
fn requests_go_over_one_connection_with_a_host_that_is_one_and_are_told_of_by_the_path() {
    let (directory, path) = place();
    let upstream = Recorder::at(&path);
    let config = config(&["unix:./app.sock"], "").route(
        "kept",
        "/kept/**",
        "upstream = 'app'\nrewrite = { host = 'preserve' }",
    );
    let gateway = Gateway::start_in(directory, &config, &[]);
    let public = gateway.listener("public");
    let hosts = [
        ("/", "\r\nhost: localhost\r\n"),
        ("/kept/", "\r\nhost: shop.example\r\n"),
    ];
    for (number, (path, host)) in (1..).zip(hosts) {
        let mut client = connect(public);
        let request = format!("GET {path} HTTP/1.1\r\nhost: shop.example\r\n\r\n");
        client.write_all(request.as_bytes()).unwrap();
        let head = upstream.wait("a request", |wires| {
            let text = wires.first()?.text();
            let heads: Vec<_> = text.split_inclusive("\r\n\r\n").collect();
            heads.get(number - 1).map(ToString::to_string)
        });
        assert!(head.to_lowercase().contains(host), "{head}");
        upstream.send(0, OK);
        assert_eq!(read_answer(&mut client).text(), "ok");
    }
    assert_eq!(upstream.counts(), (1, 1));
    let endpoint = told(&gateway, "app.sock");
    gateway.wait_for_all(&[&format!("\"endpoint\":\"{endpoint}\""), "\"status\":200"]);
    let count = format!(
        "gateway_endpoint_requests_total{{upstream=\"app\",endpoint=\"{endpoint}\",status=\"2xx\"}}"
    );
    assert_eq!(gateway.metric(&count), 2.0, "{count}");
}

#[test]
fn bodies_of_any_size_pass_both_ways() {
    let (directory, path) = place();
    let _upstream = Origin::at(&path, |_, body| {
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len());
        [head.as_bytes(), body].concat()
    });
    let config = config(&["unix:app.sock"], "").public("limits = { body = '16MiB' }");
    let gateway = Gateway::start_in(directory, &config, &[]);
    let body: Vec<u8> = (0..3_000_000_u32).map(|at| (at / 7) as u8).collect();
    let answer = send(gateway.listener("public"), "POST", "/", &[], &body);
    assert_eq!(answer.status, 200);
    assert!(answer.body == body, "another body came back");
}

#[test]
fn a_tunnel_carries_bytes_both_ways_and_passes_its_end_on() {
    let (upstream, gateway) = recorded("");
    let mut client = connect(gateway.listener("public"));
    let asks = b"GET /ws HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\n";
    client.write_all(asks).unwrap();
    upstream.head(0);
    let down = vec![b'd'; 300_000];
    let switched =
        b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\n";
    upstream.send(0, switched);
    let mut head = vec![0; 12];
    client.read_exact(&mut head).unwrap();
    assert_eq!(head, b"HTTP/1.1 101");
    client.write_all(&[b'u'; 300_000]).unwrap();
    upstream.wait("what went up", |wires| {
        (wires[0].body() == [b'u'; 300_000]).then_some(())
    });
    upstream.send(0, &down);
    upstream.close(0);
    let mut rest = Vec::new();
    client.read_to_end(&mut rest).unwrap();
    assert!(rest.ends_with(&down));
    upstream.ended(0);
}

#[test]
fn http_2_in_clear_text_goes_over_a_socket_and_so_do_checks_by_grpc() {
    use crate::health::grpc::{NOT_SERVING, SERVING, Server};
    let (directory, path) = place();
    let server = Server::start();
    bridge(&path, server.address);
    server.says(SERVING, "0");
    let lines = "protocol = 'h2'\nhealth = { kind = 'grpc', interval = '50ms', unhealthy_after = 1, healthy_after = 1 }";
    let gateway = Gateway::start_in(directory, &config(&["unix:app.sock"], lines), &[]);
    let call = [("content-type", "application/grpc"), ("te", "trailers")];
    let ask = || {
        send(
            gateway.listener("public"),
            "POST",
            "/shop.Cart/Get",
            &call,
            b"",
        )
    };
    let answer = ask();
    assert_eq!(answer.header("content-type"), Some("application/grpc"));
    server.says(NOT_SERVING, "0");
    gateway.wait_for_all(&["the endpoint is unhealthy", "it is NOT_SERVING", "unix:"]);
}

#[test]
fn tls_goes_over_a_socket_to_an_endpoint_of_the_name_that_is_given() {
    let (directory, path) = place();
    let authority = Authority::new("ours");
    authority.write(directory.path(), "ca");
    let issued = authority.issue(&["app.internal"]);
    let origin = TlsOrigin::start(&Setup::new(&issued));
    bridge(&path, origin.address);
    let tls = "tls = { server_name = 'app.internal', ca = 'ca.pem' }";
    let gateway = Gateway::start_in(directory, &config(&["unix:app.sock"], tls), &[]);
    for _ in 0..3 {
        let answer = get(gateway.listener("public"), "/x", &[]);
        assert_eq!(answer.text(), "HTTP/1.1 GET - localhost /x");
    }
    assert_eq!(origin.seen().handshakes, 1);
}

/// Two workers and one connection: it goes from one to the other.
#[test]
fn a_kept_connection_serves_whichever_worker_needs_it() {
    let (directory, path) = place();
    let upstream = saying_counted(&path);
    let config = config(&["unix:app.sock"], "pool = { max_connections = 1 }").workers(2);
    let gateway = Gateway::start_in(directory, &config, &[]);
    for _ in 0..40 {
        assert_eq!(get(gateway.listener("public"), "/", &[]).status, 200);
    }
    let connections = upstream.lock().unwrap().len();
    assert_eq!(connections, 1, "each worker opened its own");
}

/// One entry for each connection that came.
fn saying_counted(path: &Path) -> std::sync::Arc<std::sync::Mutex<Vec<()>>> {
    let connections = std::sync::Arc::<std::sync::Mutex<Vec<()>>>::default();
    let listener = std::os::unix::net::UnixListener::bind(path).unwrap();
    let counted = connections.clone();
    std::thread::spawn(move || {
        while let Ok((mut stream, _)) = listener.accept() {
            counted.lock().unwrap().push(());
            std::thread::spawn(move || {
                let mut chunk = [0; 4096];
                while stream.read(&mut chunk).is_ok_and(|length| length > 0) {
                    // One request a read: each client waits for its answer.
                    stream.write_all(OK).unwrap();
                }
            });
        }
    });
    connections
}

#[test]
fn a_copy_of_a_request_goes_over_a_socket() {
    let (directory, path) = place();
    let (copies, origin) = (saying(&path, "copy"), Origin::start());
    let config = Configuration::new()
        .with("[upstreams.shadow]\nendpoints = ['unix:app.sock']")
        .upstream("it", origin.address)
        .route(
            "all",
            "/**",
            "upstream = 'it'\nmirror = { upstream = 'shadow' }",
        );
    let gateway = Gateway::start_in(directory, &config, &[]);
    assert_eq!(get(gateway.listener("public"), "/x", &[]).status, 200);
    crate::health::until(&gateway, "a copy", || copies.seen().len() == 1);
    assert!(copies.seen()[0].starts_with("GET /x "));
}

/// config/examples/unix-upstream.toml, as docs/upstreams.md shows it.
#[test]
fn the_example_of_sockets_does_what_its_page_says() {
    let (directory, first) = place();
    let second = directory.path().join("second.sock");
    let spare = Origin::saying("spare", ([127, 0, 0, 1], 0).into());
    let [one, two] = [&first, &second].map(|path| format!("unix:{}", path.display()));
    let one_listens = saying(&first, "first");
    let address = spare.address.to_string();
    let environment = [("APP_1", &*one), ("APP_2", &*two), ("SPARE", &*address)];
    let gateway = Gateway::example_with("unix-upstream", &environment);
    let ask = || get(gateway.listener("public"), "/app/x", &[]);
    // The second does not run yet.
    for _ in 0..4 {
        assert_eq!(ask().text(), "first");
    }
    assert!(one_listens.seen()[0].starts_with("GET /app/x "));
    let _two_listens = saying(&second, "second");
    crate::health::until(&gateway, "the second", || ask().text() == "second");
    drain(&gateway, &one);
    drain(&gateway, &two);
    assert_eq!(ask().text(), "spare");
}

/// Has an operator drain an endpoint of `app`.
fn drain(gateway: &Gateway, endpoint: &str) {
    let named: String = form_urlencoded::byte_serialize(endpoint.as_bytes()).collect();
    let named = named.replace('+', "%20");
    let answer = gateway.post(&format!("/upstreams/app/{named}/drain"));
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.json()["changed"], json!(true));
    assert_eq!(answer.json()["endpoint"]["address"], json!(endpoint));
}
