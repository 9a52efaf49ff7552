//! config/examples/gateway.service and the configuration beside it, as docs/deploying.md speaks of them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::harness::gateway::cache;

fn examples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../config/examples")
}

fn unit() -> String {
    fs::read_to_string(examples().join("gateway.service")).unwrap()
}

/// What the unit says of a key.
fn line(unit: &str, key: &str) -> String {
    let value = |line: &str| Some(line.strip_prefix(key)?.strip_prefix('=')?.to_owned());
    let found = unit.lines().find_map(value);
    found.unwrap_or_else(|| panic!("no {key}"))
}

/// The built binary, with the words behind that of the unit, and the example in the place of its configuration.
fn run(command: &str) -> Output {
    let (binary, words) = command.split_once(' ').unwrap();
    assert_eq!(binary, "/usr/local/bin/gateway");
    let directory = tempfile::tempdir().unwrap();
    let example = examples().join("deploying.toml");
    let words = words.split(' ').map(|word| match word {
        "/etc/gateway/gateway.toml" => example.as_path(),
        word => Path::new(word),
    });
    let socket = directory.path().join("admin.sock");
    let output = Command::new(env!("CARGO_BIN_EXE_gateway"))
        .args(words)
        .env("XDG_CACHE_HOME", cache())
        .env("ACCESS_LOG", directory.path().join("access.log"))
        .env("GATEWAY_ADMIN", format!("unix:{}", socket.display()))
        .env("GATEWAY_PUBLIC", "127.0.0.1:0")
        .output();
    output.unwrap()
}

#[test]
fn what_the_unit_checks_before_a_start_is_sound() {
    let output = run(&line(&unit(), "ExecStartPre"));
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!((told.as_str(), output.status.code()), ("", Some(0)));
}

#[test]
fn the_options_of_the_unit_are_those_of_the_command_line() {
    let unit = unit();
    for key in ["ExecStartPre", "ExecStart"] {
        let command = line(&unit, key);
        let mut words = command.split(' ');
        let (binary, asked) = (words.next().unwrap(), words.next().unwrap());
        let help = run(&format!("{binary} {asked} --help")).stdout;
        let help = String::from_utf8(help).unwrap();
        let known: Vec<_> = help.split_whitespace().collect();
        for option in words.filter(|word| word.starts_with('-')) {
            assert!(
                known.contains(&option),
                "{key}: {option} is not in:\n{help}"
            );
        }
    }
}

#[test]
fn the_unit_waits_for_the_drain_of_its_configuration() {
    let example = fs::read_to_string(examples().join("deploying.toml")).unwrap();
    for lines in ["drain_delay = \"10s\"", "grace = \"30s\""] {
        assert!(example.contains(lines), "{lines}");
    }
    assert_eq!(line(&unit(), "TimeoutStopSec"), (10 + 30 + 5).to_string());
}
