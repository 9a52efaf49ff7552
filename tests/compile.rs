//! Compiling is bounded and apart: in a child process with limits, beside which everything goes on.

mod child;

use std::fmt::Write as _;
use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use child::{compilers, gone, one_compiler};

use crate::harness::config::write;
use crate::harness::{Configuration, Gateway, get, wasm};

/// A component that would take minutes and gigabytes: each of many loops inside each other hands each of many locals
/// on.
pub(crate) fn endless() -> Vec<u8> {
    const LOOPS: usize = 2_000;
    const LOCALS: usize = 2_000;
    let mut text = "(component (core module $m (func (export \"f\") (param i32) (local".to_owned();
    text.push_str(&" i32".repeat(LOCALS));
    text.push_str(")\n");
    text.push_str(&"loop\n".repeat(LOOPS));
    for local in 1..=LOCALS {
        writeln!(
            text,
            "local.get {local} i32.const 1 i32.add local.set {local}"
        )
        .unwrap();
    }
    text.push_str(&"local.get 0 br_if 0 end\n".repeat(LOOPS));
    text.push_str("))\n(core instance (instantiate $m)))");
    wat::parse_str(text).unwrap()
}

fn put(bytes: &[u8], path: &Path) {
    let new = path.with_extension("new");
    std::fs::write(&new, bytes).unwrap();
    std::fs::rename(new, path).unwrap();
}

fn version(name: &str) -> Vec<u8> {
    std::fs::read(wasm(&format!("guest_version_{name}"))).unwrap()
}

/// The plugins `one` and `two`, each before an answer on a route of its own, in files of their own.
fn two(server: &str) -> Configuration {
    ["one", "two"].iter().fold(
        Configuration::new().server(server),
        |configuration, name| {
            configuration
                .plugin_at(name, &format!("{{dir}}/{name}.wasm"), "")
                .chain(
                    name,
                    &format!("/{name}"),
                    &[name],
                    "respond = { status = 200 }",
                )
        },
    )
}

const UNCACHED: &str = "compile_cache = false\n";

/// A directory with the files of [`two`].
fn directory(one: &[u8], two: &[u8]) -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    put(one, &directory.path().join("one.wasm"));
    put(two, &directory.path().join("two.wasm"));
    directory
}

fn served_by(gateway: &Gateway, path: &str) -> String {
    let answer = get(gateway.listener("public"), path, &[]);
    answer.header("x-request-version").unwrap().to_owned()
}

fn wait_until_served_by(gateway: &Gateway, path: &str, version: &str) {
    let began = Instant::now();
    while served_by(gateway, path) != version {
        assert!(
            began.elapsed() < Duration::from_secs(20),
            "{}",
            gateway.text()
        );
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn check(directory: &Path, config: &Configuration) -> Output {
    let file = write(config, directory);
    Command::new(env!("CARGO_BIN_EXE_gateway"))
        .args(["check", "--config"])
        .arg(file)
        .output()
        .unwrap()
}

#[test]
fn what_takes_too_long_or_too_much_to_compile_is_refused_with_the_key_to_raise() {
    for (limits, key, limit) in [
        ("time = '500ms'", "server.compile.time", "500ms"),
        ("memory = '64MiB'", "server.compile.memory", "64MiB"),
    ] {
        let directory = directory(&version("a"), &endless());
        let config = two(&format!("{UNCACHED}compile = {{ {limits} }}"));
        let config = match key {
            // What is sound may take longer than that.
            "server.compile.time" => config.to_string().replace("one.wasm", "two.wasm"),
            _ => config.to_string(),
        };
        let began = Instant::now();
        let file = write(&config, directory.path());
        let output = Command::new(env!("CARGO_BIN_EXE_gateway"))
            .args(["check", "--config"])
            .arg(file)
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(began.elapsed() < Duration::from_secs(40), "{text}");
        assert_eq!(output.status.code(), Some(78), "{text}");
        let told = |line: &str| {
            let parts = ["plugins.two.path: ", "two.wasm", key, limit, "raise"];
            parts.iter().all(|part| line.contains(part))
        };
        assert!(text.lines().any(told), "{text}");
    }
}

#[test]
fn while_one_plugin_compiles_others_are_swapped_and_its_next_version_is_not_waited_for() {
    let directory = directory(&version("a"), &version("a"));
    let gateway = Gateway::start_in(directory, &two(UNCACHED), &[]);
    let path = |name: &str| gateway.directory.path().join(name);
    put(&endless(), &path("two.wasm"));
    let child = one_compiler(gateway.id());
    put(&version("b"), &path("one.wasm"));
    wait_until_served_by(&gateway, "/one", "2.0.0");
    assert_eq!(gateway.post("/plugins/one/reload").status, 200);
    assert_eq!(served_by(&gateway, "/two"), "1.0.0");
    assert!(compilers(gateway.id()).contains(&child), "it goes on");
    put(&version("b"), &path("two.wasm"));
    wait_until_served_by(&gateway, "/two", "2.0.0");
    assert!(gone(child), "what replaced it ended it");
}

#[test]
fn a_configuration_without_the_slow_plugin_is_not_waited_for() {
    let directory = directory(&version("a"), &version("a"));
    let gateway = Gateway::start_in(directory, &two(UNCACHED), &[]);
    put(&endless(), &gateway.directory.path().join("two.wasm"));
    gateway.signal("HUP");
    let child = one_compiler(gateway.id());
    let route =
        Configuration::new()
            .server(UNCACHED)
            .route("new", "/new", "respond = { status = 204 }");
    gateway.configure(&route);
    gateway.signal("HUP");
    gateway.wait_for("configuration reloaded");
    assert_eq!(get(gateway.listener("public"), "/new", &[]).status, 204);
    assert!(gone(child), "nobody waits for it any more");
}

#[test]
fn sigterm_ends_a_gateway_that_compiles_at_once() {
    let directory = directory(&version("a"), &version("a"));
    let gateway = Gateway::start_in(directory, &two(UNCACHED), &[]);
    put(&endless(), &gateway.directory.path().join("two.wasm"));
    let child = one_compiler(gateway.id());
    let began = Instant::now();
    gateway.signal("TERM");
    gateway.assert_drained();
    // The compiler alone might take a minute.
    let took = began.elapsed();
    assert!(took < Duration::from_secs(20), "{took:?}");
    assert!(gone(child));
}

#[test]
fn a_compiler_has_little_and_dies_with_its_gateway() {
    let directory = directory(&version("a"), &version("a"));
    let environment = [("GATEWAY_TEST_SECRET", "s3cret")];
    let gateway = Gateway::start_in(directory, &two(UNCACHED), &environment);
    put(&endless(), &gateway.directory.path().join("two.wasm"));
    let child = one_compiler(gateway.id());
    child::assert_has_little(child);
    drop(gateway);
    assert!(gone(child));
}

/// With a limit that nothing keeps, only what is in the cache can be loaded.
#[test]
fn what_is_in_the_compile_cache_starts_no_compiler() {
    let cache = tempfile::tempdir().unwrap();
    let cached = |limit: &str| {
        let cache = cache.path().display();
        two(&format!(
            "compile_cache = '{cache}'\ncompile = {{ time = '{limit}' }}"
        ))
    };
    let directory = directory(&version("a"), &version("b"));
    let code = |limit| check(directory.path(), &cached(limit)).status.code();
    // A check only reads the cache; a start fills it.
    let start = || {
        let file = write(&cached("60s"), directory.path());
        drop(Gateway::start_file(
            &file,
            &[],
            tempfile::tempdir().unwrap(),
        ));
    };
    assert_eq!(code("1ms"), Some(78));
    assert_eq!(code("60s"), Some(0));
    assert_eq!(std::fs::read_dir(cache.path()).unwrap().count(), 0);
    start();
    assert_eq!(code("1ms"), Some(0));
    // What the file system broke is compiled again.
    for file in std::fs::read_dir(cache.path()).unwrap() {
        let path = file.unwrap().path();
        let mut bytes = std::fs::read(&path).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        std::fs::write(path, bytes).unwrap();
    }
    assert_eq!(code("1ms"), Some(78));
    start();
    assert_eq!(code("1ms"), Some(0));
}

const ROUNDS: usize = 1_000;

#[test]
#[ignore = "soak: a thousand compilers that are killed take minutes"]
fn soak_of_components_that_cannot_be_compiled_in_time_leaves_nothing_behind() {
    let directory = directory(&version("a"), &version("a"));
    let limited = |time: &str| two(&format!("compile = {{ time = '{time}' }}"));
    let gateway = Gateway::start_in(directory, &limited("60s"), &[]);
    gateway.configure(&limited("30ms"));
    gateway.wait_for("configuration reloaded");
    put(&endless(), &gateway.directory.path().join("two.wasm"));
    gateway.wait_for("server.compile.time");
    let round = |count: usize| {
        for _ in 0..count {
            assert_eq!(gateway.post("/plugins/two/reload").status, 409);
            assert_eq!(served_by(&gateway, "/one"), "1.0.0");
        }
    };
    round(ROUNDS / 10);
    let before = gateway.allocated();
    round(ROUNDS);
    let after = gateway.allocated();
    assert!(after < before + (16 << 20), "{before} bytes, then {after}");
    assert_eq!(compilers(gateway.id()), [0; 0]);
}
