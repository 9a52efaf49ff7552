//! What a start finds out, says and outlives.

use std::io::Write as _;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Command, Output};

use crate::compile::endless;
use crate::harness::config::write;
use crate::harness::http::read_answer;
use crate::harness::{Configuration, Gateway, get, wasm};

fn answering() -> Configuration {
    Configuration::new().workers(2).route(
        "all",
        "/**",
        "respond = { status = 200, body = 'served' }",
    )
}

/// The listener `public` at this address.
fn at(address: SocketAddr, config: &Configuration) -> String {
    let config = config.to_string();
    config.replace(
        "name = \"public\"\naddress = \"127.0.0.1:0\"",
        &format!("name = \"public\"\naddress = \"{address}\""),
    )
}

/// An address that is free now.
fn free() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap()
}

/// Starts a gateway that is expected to end by itself.
fn run(directory: &Path, config: &str) -> Output {
    Command::new(env!("CARGO_BIN_EXE_gateway"))
        .args(["run", "--config"])
        .arg(write(&config, directory))
        .output()
        .unwrap()
}

#[test]
fn a_second_start_at_the_same_address_is_refused_and_the_first_serves_on() {
    let first = Gateway::start(&answering());
    let address = first.listener("public");
    let everywhere: SocketAddr = ([0, 0, 0, 0], address.port()).into();
    for taken in [address, everywhere] {
        let directory = tempfile::tempdir().unwrap();
        let config = at(taken, &answering());
        let second = std::thread::scope(|scope| {
            let second = scope.spawn(|| run(directory.path(), &config));
            while !second.is_finished() {
                assert_eq!(get(address, "/", &[]).text(), "served");
            }
            second.join().unwrap()
        });
        let text = String::from_utf8_lossy(&second.stderr);
        assert_eq!(second.status.code(), Some(1), "{text}");
        let said = format!("listeners[0].address: cannot listen on {taken}: another process");
        assert!(text.contains(&said), "{text}");
        assert!(!text.contains("listening"), "{text}");
    }
}

#[test]
fn one_process_may_give_an_address_to_another_of_its_listeners() {
    let address = free();
    let config = at(address, &answering());
    let gateway = Gateway::start(&config);
    gateway.configure(&config.replace("\"public\"", "\"renamed\""));
    gateway.signal("HUP");
    gateway.wait_for("configuration reloaded");
    let everywhere: SocketAddr = ([0, 0, 0, 0], address.port()).into();
    gateway.configure(&at(everywhere, &answering()));
    gateway.signal("HUP");
    gateway.wait_for_all(&["configuration reloaded", "version=3"]);
    assert_eq!(get(address, "/", &[]).text(), "served");
}

/// Compiling takes its while.
fn compiling(plugin: &str) -> Configuration {
    answering()
        .server("compile_cache = false")
        .plugin("some", plugin, "")
}

#[test]
fn sighup_during_a_start_is_a_reload_right_after_it() {
    let mut gateway = Gateway::launch(&compiling("guest_version_a"), &[]);
    gateway.wait_for("starting");
    gateway.signal("HUP");
    gateway.ready();
    gateway.wait_for("configuration reloaded");
}

#[test]
fn sigterm_during_a_start_ends_it_well() {
    let directory = tempfile::tempdir().unwrap();
    let plugin = directory.path().join("endless.wasm");
    std::fs::write(&plugin, endless()).unwrap();
    // It would be ready long after this test has lost patience.
    let config = answering()
        .server("compile_cache = false\ncompile = { time = '10m', memory = '4GiB' }")
        .plugin_at("some", &plugin.display().to_string(), "");
    let gateway = Gateway::launch(&config, &[]);
    gateway.wait_for("starting");
    gateway.signal("TERM");
    let text = gateway.wait_for("ended before it was ready");
    assert!(gateway.ended().success(), "{text}");
}

#[test]
fn a_home_that_cannot_be_written_is_a_warning() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("file");
    std::fs::write(&file, "").unwrap();
    let home = file.join("cache").display().to_string();
    let environment = [("XDG_CACHE_HOME", home.as_str())];
    let config = answering().plugin("version", "guest_version_a", "");
    let gateway = Gateway::start_in(directory, &config, &environment);
    gateway.wait_for_all(&["WARN", &home, "server.compile_cache"]);
    assert_eq!(get(gateway.listener("public"), "/", &[]).text(), "served");
}

#[test]
fn a_start_says_what_it_starts() {
    let config = answering().plugin("version", "guest_version_a", "");
    let gateway = Gateway::start(&config);
    let file = gateway.directory.path().join("gateway.toml");
    let version = env!("CARGO_PKG_VERSION");
    gateway.wait_for_all(&["INFO", "starting", version, &file.display().to_string()]);
    let digest = ring::digest::digest(
        &ring::digest::SHA256,
        &std::fs::read(wasm("guest_version_a")).unwrap(),
    );
    let digest = digest.as_ref().iter().map(|byte| format!("{byte:02x}"));
    let digest: String = digest.collect();
    gateway.wait_for_all(&["INFO", "plugin=version", &digest, "guest_version_a.wasm"]);
    gateway.wait_for_all(&["INFO", "listening", "listener=public"]);
}

#[test]
fn a_client_of_the_first_is_not_reset_by_a_second_start() {
    let first = Gateway::start(&answering());
    let address = first.listener("public");
    let mut kept: Vec<_> = (0..20)
        .map(|_| std::net::TcpStream::connect(address).unwrap())
        .collect();
    let directory = tempfile::tempdir().unwrap();
    run(directory.path(), &at(address, &answering()));
    for stream in &mut kept {
        stream
            .write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
            .unwrap();
        assert_eq!(read_answer(stream).text(), "served");
    }
}
