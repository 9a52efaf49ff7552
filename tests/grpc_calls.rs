//! gRPC through the gateway, with a client and a server that others wrote: grpcio.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};

use crate::harness::gateway::PATIENCE;
use crate::harness::tls_origin::Authority;
use crate::harness::{Configuration, Gateway};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// A program of `tests/grpc_calls`, with the packages that `make packages` installs.
fn python(name: &str, arguments: &[&str]) -> Command {
    let packages = root().join("target/python");
    assert!(
        packages.join("grpc").is_dir(),
        "grpcio is not in {}: `make packages` installs it",
        packages.display()
    );
    let mut command = Command::new("python3");
    command.env("PYTHONPATH", packages);
    // It finds out by itself whether a proxy is between.
    command.env_remove("http_proxy").env_remove("https_proxy");
    command.arg(root().join("tests/grpc_calls").join(name));
    command.args(arguments);
    command
}

/// A server, ended when dropped.
struct Server {
    child: Child,
    address: SocketAddr,
    lines: Receiver<String>,
}

impl Server {
    fn start(arguments: &[&str]) -> Self {
        let mut command = python("server.py", arguments);
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        let first = lines.recv_timeout(PATIENCE).unwrap();
        let port = first.strip_prefix("listening ").unwrap();
        Self {
            child,
            address: format!("127.0.0.1:{port}").parse().unwrap(),
            lines,
        }
    }

    /// Waits for a line.
    fn wait_for(&self, wanted: &str) {
        while self.lines.recv_timeout(PATIENCE).expect(wanted) != wanted {}
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ended = self.child.kill();
        let _status = self.child.wait();
    }
}

/// A server that speaks in the clear, one by TLS, and a directory with what it takes to trust the second.
struct Both {
    clear: Server,
    secure: Server,
    directory: tempfile::TempDir,
}

impl Both {
    fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let authority = Authority::new("ours");
        let at = directory.path();
        authority.write(at, "ca");
        authority.issue(&["calls.internal"]).write(at, "calls");
        let file = |name: &str| at.join(name).to_str().unwrap().to_owned();
        Self {
            clear: Server::start(&[]),
            secure: Server::start(&[&file("calls.pem"), &file("calls.key")]),
            directory,
        }
    }
}

/// Runs the client, which fails where something is not as it should.
fn call(gateway: &Gateway, what: &str) {
    let public = gateway.listener("public").to_string();
    let output = python("client.py", &[&public, what]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let failed = String::from_utf8_lossy(&output.stderr);
    let log = gateway.text();
    assert_eq!(said.trim(), format!("ok {what}"), "{failed}\n{log}");
}

#[test]
fn every_kind_of_call_passes_with_its_trailers_deadline_and_cancellation() {
    let Both {
        clear,
        secure,
        directory,
    } = Both::start();
    let tls = r#"tls = { server_name = "calls.internal", ca = "ca.pem" }"#;
    let config = Configuration::new()
        .workers(2)
        .upstream_with("clear", clear.address, "protocol = 'h2'")
        .upstream_with("secure", secure.address, &format!("protocol = 'h2'\n{tls}"))
        .upstream_with("auto", secure.address, &format!("protocol = 'auto'\n{tls}"))
        .route("clear", "/clear.Calls/**", "upstream = 'clear'")
        .route("secure", "/secure.Calls/**", "upstream = 'secure'")
        .route("auto", "/auto.Calls/**", "upstream = 'auto'");
    let gateway = Gateway::start_in(directory, &config, &[]);
    for (service, server) in [
        ("clear.Calls", &clear),
        ("secure.Calls", &secure),
        ("auto.Calls", &secure),
    ] {
        call(&gateway, service);
        server.wait_for("waits with deadline");
        server.wait_for("cancelled deadline");
        server.wait_for("cancelled client");
    }
}

#[test]
fn what_the_gateway_refuses_or_breaks_off_has_a_status_and_ends_upstream() {
    let server = Server::start(&[]);
    let config = Configuration::new()
        .upstream_with("calls", server.address, "protocol = 'h2'")
        .upstream_with("gone", crate::streams::gone(), "protocol = 'h2'")
        .route("gone", "/gone.Calls/**", "upstream = 'gone'")
        .route("denied", "/denied.Calls/**", "respond = { status = 403 }")
        .route(
            "limited",
            "/limited.Calls/**",
            "upstream = 'calls'\ntimeout = '1s'",
        );
    let gateway = Gateway::start(&config);
    call(&gateway, "refused");
    server.wait_for("waits without deadline");
    server.wait_for("cancelled gateway");
}

/// config/examples/grpc.toml, as docs/grpc.md shows it.
#[test]
fn the_example_of_grpc_does_what_its_page_says() {
    let Both {
        clear,
        secure,
        directory,
    } = Both::start();
    let example = root().join("config/examples/grpc.toml");
    let (calls, secured, ca) = (
        clear.address.to_string(),
        secure.address.to_string(),
        directory.path().join("ca.pem").display().to_string(),
    );
    let environment = [
        ("GATEWAY_PUBLIC", "127.0.0.1:0"),
        ("CALLS", &calls),
        ("SECURE", &secured),
        ("CA", &ca),
    ];
    let gateway = Gateway::start_file(&example, &environment, directory);
    call(&gateway, "clear.Calls");
    call(&gateway, "secure.Calls");
    gateway.wait_for("POST /secure.Calls/Unary 200 route=secure");
    let page = std::fs::read_to_string(root().join("docs/grpc.md")).unwrap();
    let shown = page.split("```toml\n").nth(1).unwrap();
    let shown = shown.split("```").next().unwrap();
    let whole = std::fs::read_to_string(&example).unwrap();
    for line in shown.lines() {
        assert!(whole.contains(line), "{line}");
    }
}
