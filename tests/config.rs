//! The configuration loader, through `gateway check`: every mistake is named with file, line and key, all of
//! them in one run.

mod accepted;
mod conditions;
mod hidden;
mod refused;
mod warned;

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use tempfile::TempDir;

use crate::harness::gateway::cache;
use crate::harness::wasm;

const LISTENER: &str = "\n[[listeners]]\nname = \"main\"\naddress = \"127.0.0.1:0\"\n";
const UPSTREAM: &str = "\n[upstreams.p]\nendpoints = [\"127.0.0.1:9001\"]\n";
const PLUGIN: &str = "\n[plugins.a]\npath = \"a.wasm\"\n";

/// Adds what the case does not speak of.
fn completed(text: &str) -> String {
    let mut completed = text.to_owned();
    for (key, section) in [
        ("listeners", LISTENER),
        ("upstreams", UPSTREAM),
        ("plugins", PLUGIN),
    ] {
        let is_header =
            |line: &str| line.trim_start_matches('[').starts_with(key) && line.starts_with('[');
        let is_key = |line: &str| line.starts_with(key);
        let top = text.lines().take_while(|line| !line.starts_with('['));
        if !text.lines().any(is_header) && !top.into_iter().any(is_key) {
            completed.push_str(section);
        }
    }
    completed
}

/// A directory with what configurations refer to.
fn directory() -> TempDir {
    let directory = TempDir::new().unwrap();
    let write =
        |name: &str, content: &str| fs::write(directory.path().join(name), content).unwrap();
    for (built, name) in [
        ("guest_version_a", "a.wasm"),
        ("guest_probe", "probe.wasm"),
        ("aggregate", "aggregate.wasm"),
        ("auth", "auth.wasm"),
    ] {
        fs::copy(wasm(built), directory.path().join(name)).unwrap();
    }
    write("empty.pem", "");
    write("secret.txt", "from a file\n");
    let names = vec!["Example.com".to_owned(), "*.example.com".to_owned()];
    let first = rcgen::generate_simple_self_signed(names).unwrap();
    let second = rcgen::generate_simple_self_signed(vec!["b.test".to_owned()]).unwrap();
    write("cert.pem", &first.cert.pem());
    write("key.pem", &first.signing_key.serialize_pem());
    write("other.pem", &second.signing_key.serialize_pem());
    let nameless = rcgen::generate_simple_self_signed(Vec::<String>::new()).unwrap();
    write("nameless.pem", &nameless.cert.pem());
    write("nameless.key", &nameless.signing_key.serialize_pem());
    write(
        "broken.pem",
        "-----BEGIN CERTIFICATE-----\n!!!\n-----END CERTIFICATE-----\n",
    );
    directory
}

fn check(directory: &Path) -> Output {
    check_with(directory, &[])
}

fn check_with(directory: &Path, options: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_gateway"))
        .args(["check", "--config", "gateway.toml"])
        .args(options)
        .current_dir(directory)
        .env("XDG_CACHE_HOME", cache())
        .env_remove("GATEWAY_TEST_UNSET")
        .env("GATEWAY_TEST_VALUE", "hunter2")
        .env("GATEWAY_TEST_PORT", ":80")
        .env("GATEWAY_TEST_SHORT", "nay")
        .output()
        .unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[test]
fn a_wrong_command_line_exits_with_64() {
    for arguments in [&["check"][..], &["chekc"], &["run", "--config"], &[]] {
        let output = Command::new(env!("CARGO_BIN_EXE_gateway"))
            .args(arguments)
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(64), "{arguments:?}");
    }
    let help = Command::new(env!("CARGO_BIN_EXE_gateway"))
        .arg("--help")
        .output()
        .unwrap();
    assert_eq!(help.status.code(), Some(0));
}
