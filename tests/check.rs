//! `gateway check` and `gateway config print`: what they are asked, what they answer, and that they change nothing.

mod origins;
mod unset;

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::harness::gateway::cache;
use crate::harness::{Configuration, Gateway, get, wasm};

const LISTENER: &str = "[[listeners]]\nname = \"l\"\naddress = \"127.0.0.1:0\"\n";
const ROUTE: &str = "[[routes]]\nname = \"r\"\nrespond = { status = 204 }\n";

/// A directory with this `gateway.toml`.
fn written(text: &str) -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("gateway.toml"), text).unwrap();
    directory
}

/// The command in a directory, with its compile cache elsewhere.
fn command(directory: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gateway"));
    command
        .args(arguments)
        .args(["--config", "gateway.toml"])
        .current_dir(directory)
        .env("XDG_CACHE_HOME", cache());
    command
}

/// What it wrote to standard output and error, and its exit code.
fn told(output: &Output) -> (String, String, Option<i32>) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (
        text(&output.stdout),
        text(&output.stderr),
        output.status.code(),
    )
}

fn check(directory: &Path, options: &[&str]) -> (String, String, Option<i32>) {
    let arguments = [&["check"], options].concat();
    told(&command(directory, &arguments).output().unwrap())
}

fn check_json(directory: &Path, options: &[&str]) -> Value {
    let (out, err, _) = check(directory, &[options, &["--format", "json"]].concat());
    assert_eq!(err, "", "all of it is in the document");
    serde_json::from_str(&out).unwrap()
}

#[test]
fn a_check_makes_and_changes_no_file() {
    let text = format!(
        "[server]\ncompile_cache = \"cache/of/plugins\"\naccess_log = {{ path = \"access.log\" }}\n\
         [plugins.a]\npath = \"a.wasm\"\n{LISTENER}{ROUTE}plugins = [\"a\"]\n"
    );
    let directory = written(&text);
    fs::copy(wasm("guest_version_a"), directory.path().join("a.wasm")).unwrap();
    let there = || {
        let entries = fs::read_dir(directory.path()).unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        names
    };
    let before = there();
    let (out, err, code) = check(directory.path(), &[]);
    assert_eq!(
        out,
        "gateway.toml: sound (1 listeners, 1 routes, 0 upstreams, 1 plugins)\n"
    );
    assert_eq!((err.as_str(), code), ("", Some(0)));
    assert_eq!(there(), before);
    // Nor in a cache that is there.
    let kept = directory.path().join("cache/of/plugins");
    fs::create_dir_all(&kept).unwrap();
    assert_eq!(check(directory.path(), &[]).2, Some(0));
    assert_eq!(fs::read_dir(kept).unwrap().count(), 0);
}

#[test]
fn the_gateway_that_runs_with_a_configuration_makes_it_no_fault() {
    let held = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = held.local_addr().unwrap();
    let text = LISTENER.replace("127.0.0.1:0", &address.to_string());
    let directory = written(&format!("{text}{ROUTE}"));
    let (_, err, code) = check(directory.path(), &[]);
    let said = format!(
        "gateway.toml:3: listeners[0].address: {address} is in use: by a gateway that runs, or a process beside which none starts\n"
    );
    assert_eq!((err, code), (format!("warning: {said}"), Some(0)));
    assert_eq!(check(directory.path(), &["--strict"]).1, said);
}

#[test]
fn what_a_check_passes_a_start_does_not_trip_over_and_both_say_the_same() {
    let cases = [
        (
            format!("{ROUTE}{}", LISTENER.replace("127.0.0.1", "203.0.113.7")),
            1,
            "listeners[0].address: cannot listen on 203.0.113.7:0: no interface",
        ),
        (
            format!(
                "[admin]\naddress = \"203.0.113.7:1\"\ntoken = \"a-token-of-the-tests\"\n{LISTENER}{ROUTE}"
            ),
            1,
            "admin.address: cannot listen on 203.0.113.7:1: no interface",
        ),
        (
            format!("[server]\naccess_log = {{ path = \"no/log\" }}\n{LISTENER}{ROUTE}"),
            78,
            "server.access_log.path: cannot write ",
        ),
        (
            format!("[plugins.a]\npath = \"gateway.toml\"\n{LISTENER}{ROUTE}plugins = [\"a\"]\n"),
            78,
            "plugins.a.path: ",
        ),
    ];
    for (text, code, said) in cases {
        let directory = written(&text);
        let (_, checked, checked_code) = check(directory.path(), &[]);
        assert_eq!(checked_code, Some(78), "{checked}");
        let started = told(&command(directory.path(), &["run"]).output().unwrap());
        assert_eq!(started.2, Some(code), "{}", started.1);
        for told in [&checked, &started.1] {
            let mut lines = told.lines();
            let line = lines.find(|line| line.starts_with("gateway.toml:"));
            assert!(line.is_some_and(|line| line.contains(said)), "{told}");
        }
    }
}

#[test]
fn too_few_descriptors_for_the_workers_are_a_fault() {
    let directory = written(&format!("[server]\nworkers = 64\n{LISTENER}{ROUTE}"));
    let check = command(directory.path(), &["check"]);
    let output = Command::new("prlimit")
        .args(["--nofile=200", "--"])
        .arg(check.get_program())
        .args(check.get_args())
        .current_dir(directory.path())
        .env("XDG_CACHE_HOME", cache())
        .output();
    let (_, err, code) = told(&output.unwrap());
    let said = "gateway.toml:2: server.workers: 64 workers and their listeners need 288 file descriptors, and this process \
                may have 200; raise that (`ulimit -n`), or lower `workers`\n";
    assert_eq!((err.as_str(), code), (said, Some(78)));
}

#[test]
fn no_place_for_the_compile_cache_is_a_warning() {
    let text = format!("{LISTENER}{ROUTE}plugins = [\"a\"]\n[plugins.a]\npath = \"a.wasm\"\n");
    let directory = written(&text);
    fs::copy(wasm("guest_version_a"), directory.path().join("a.wasm")).unwrap();
    let mut homeless = command(directory.path(), &["check"]);
    homeless.env_remove("XDG_CACHE_HOME").env_remove("HOME");
    let (_, err, code) = told(&homeless.output().unwrap());
    let said = "warning: gateway.toml: server.compile_cache: there is none, since neither XDG_CACHE_HOME nor HOME names a \
                directory: plugins are compiled again at every start; write a directory, or `false`\n";
    assert_eq!((err.as_str(), code), (said, Some(0)));
    let mut elsewhere = command(directory.path(), &["check"]);
    elsewhere.env(
        "XDG_CACHE_HOME",
        directory.path().join("gateway.toml/cache"),
    );
    let (_, err, code) = told(&elsewhere.output().unwrap());
    // No line of the file has it.
    assert!(
        err.starts_with("warning: gateway.toml: server.compile_cache: "),
        "{err}"
    );
    assert!(
        err.ends_with("plugins are compiled again at every start; it is the one unless given: write another, or `false`\n"),
        "{err}"
    );
    assert_eq!(code, Some(0));
    let directory = written(&format!(
        "{text}[server]\n\ncompile_cache = \"a.wasm/cache\"\n"
    ));
    fs::copy(wasm("guest_version_a"), directory.path().join("a.wasm")).unwrap();
    let (_, err, _) = check(directory.path(), &[]);
    assert!(
        err.starts_with("warning: gateway.toml:12: server.compile_cache: "),
        "{err}"
    );
}

#[test]
fn what_is_wrong_and_what_had_better_be_looked_at_is_said_in_one_run() {
    let text = format!(
        "[server]\nwrokers = 1\n{LISTENER}[upstreams.u]\nendpoints = [\"127.0.0.1:9\"]\n{ROUTE}"
    );
    let directory = written(&text);
    let wrong = "gateway.toml:2: server.wrokers: unknown key; did you mean `workers`?\n";
    let unused = "gateway.toml:6: upstreams.u: nothing is sent there: no route and no grant of a plugin names it; name it in one, or remove it\n";
    let (out, err, code) = check(directory.path(), &[]);
    assert_eq!(err, format!("{wrong}warning: {unused}"));
    assert_eq!((out.as_str(), code), ("", Some(78)));
    let strict = check(directory.path(), &["--strict"]).1;
    assert_eq!(strict, format!("{wrong}{unused}"));
}

#[test]
fn a_document_for_machines_has_every_fault_by_its_parts() {
    let text = format!("{LISTENER}[upstreams.u]\nendpoints = [\"127.0.0.1:9\"]\n{ROUTE}");
    let directory = written(&text);
    let unused = json!({
        "file": "gateway.toml",
        "line": 4,
        "key": "upstreams.u",
        "message": "nothing is sent there: no route and no grant of a plugin names it; name it in one, or remove it",
    });
    let document = json!({
        "file": "gateway.toml",
        "sound": true,
        "errors": [],
        "warnings": [unused],
        "unset": [],
        "listeners": 1,
        "routes": 1,
        "upstreams": 1,
        "plugins": 0,
    });
    assert_eq!(check_json(directory.path(), &[]), document);
    let strict = check_json(directory.path(), &["--strict"]);
    assert_eq!(strict["sound"], false);
    assert_eq!(strict["errors"], json!([unused]));
    assert_eq!(strict["warnings"], json!([]));
    let directory = written("[server]\nwrokers = 1\n");
    let broken = check_json(directory.path(), &[]);
    assert_eq!(
        broken["errors"],
        json!([
            { "file": "gateway.toml", "line": 1, "key": "listeners", "message": "there is none; add [[listeners]] with a name and an address" },
            { "file": "gateway.toml", "line": 2, "key": "server.wrokers", "message": "unknown key; did you mean `workers`?" },
        ])
    );
    let nothing = tempfile::tempdir().unwrap();
    let missing = check_json(nothing.path(), &[]);
    assert_eq!(
        missing["errors"],
        json!([{ "file": "gateway.toml", "line": null, "key": "", "message": "cannot be read: no such file" }])
    );
}

#[test]
fn options_that_there_are_not_exit_with_64_and_those_that_there_are_explain_themselves() {
    let directory = written(&format!("{LISTENER}{ROUTE}"));
    for arguments in [
        &["check", "--format", "yaml"][..],
        &["check", "--strickt"],
        &["config", "print", "--format", "xml"],
        &["config", "show"],
    ] {
        let output = command(directory.path(), arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(64), "{arguments:?}");
    }
    let help = |arguments: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_gateway"))
            .args(arguments)
            .output();
        let (out, _, code) = told(&output.unwrap());
        assert_eq!(code, Some(0), "{arguments:?}");
        out
    };
    let text = help(&["check", "--help"]);
    for option in [
        "--config <FILE>",
        "--strict",
        "--format <FORMAT>",
        "--allow-unset",
        "78",
    ] {
        assert!(text.contains(option), "{option}: {text}");
    }
    let text = help(&["config", "print", "--help"]);
    assert!(
        text.contains("effective") && text.contains("json"),
        "{text}"
    );
}

#[test]
fn a_log_that_cannot_be_opened_again_is_in_the_answer_to_a_reload() {
    let config = Configuration::new()
        .access_log()
        .route("all", "/**", "respond = { status = 204 }")
        .to_string()
        .replace("path = \"stdout\"", "path = '{dir}/logs/access.log'");
    let directory = tempfile::tempdir().unwrap();
    fs::create_dir(directory.path().join("logs")).unwrap();
    let gateway = Gateway::start_in(directory, &config, &[]);
    assert_eq!(gateway.post("/reload").json()["warnings"], json!([]));
    fs::remove_dir_all(gateway.directory.path().join("logs")).unwrap();
    let answer = gateway.post("/reload");
    assert_eq!(answer.status, 200, "{}", answer.text());
    let warnings = answer.json()["warnings"].to_string();
    assert!(
        warnings.contains("server.access_log.path: cannot write "),
        "{warnings}"
    );
}

#[test]
fn a_reload_of_one_plugin_says_which_version_it_took() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("a.wasm");
    fs::copy(wasm("guest_version_a"), &file).unwrap();
    let config = Configuration::new()
        .plugin_at("a", "{dir}/a.wasm", "")
        .chain("all", "/**", &["a"], "respond = { status = 204 }");
    let gateway = Gateway::start_in(directory, &config, &[]);
    assert_eq!(gateway.post("/plugins/a/reload").status, 200);
    let plugins = get(gateway.admin(), "/plugins", &[]).json();
    let digest = plugins["plugins"][0]["sha256"].as_str().unwrap();
    gateway.wait_for_all(&[
        "plugin reloaded",
        "plugin=\"a\"",
        "plugin_version=\"1.0.0\"",
        &format!("sha256=\"{digest}\""),
        "config_version=2",
    ]);
}

#[test]
fn the_configuration_in_force_stands_beside_the_one_that_was_refused() {
    let config = Configuration::new().route("all", "/**", "respond = { status = 204 }");
    let gateway = Gateway::start(&config);
    let shown = || get(gateway.admin(), "/config", &[]).json();
    let before = shown();
    assert_eq!(before["version"], 1);
    assert_eq!(before["refused"], Value::Null);
    assert_eq!(before["configuration"]["routes"][0]["name"], "all");
    assert_eq!(before["origins"]["server.grace"], "default");
    let origin = before["origins"]["routes[0].name"].as_str().unwrap();
    assert!(origin.contains("gateway.toml:"), "{origin}");
    gateway.configure(&config.clone().server("wrokers = 1"));
    assert_eq!(gateway.post("/reload").status, 409);
    let after = shown();
    assert_eq!(after["configuration"], before["configuration"]);
    let refused = &after["refused"];
    assert!(refused["at"].as_str().unwrap().ends_with('Z'), "{refused}");
    assert_eq!(refused["faults"][0]["key"], "server.wrokers");
    assert_eq!(
        refused["faults"][0]["message"],
        "unknown key; did you mean `workers`?"
    );
    assert!(refused["faults"][0]["line"].is_u64(), "{refused}");
    gateway.configure(&config);
    assert_eq!(gateway.post("/reload").status, 200);
    assert_eq!(shown()["refused"], Value::Null);
}

#[test]
fn the_page_shows_what_the_example_gives() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let page = fs::read_to_string(root.join("docs/check.md")).unwrap();
    let folder = root.join("config/examples");
    let run = |arguments: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_gateway"))
            .args(arguments)
            .args(["--config", "check.toml"])
            .current_dir(&folder)
            .env("XDG_CACHE_HOME", cache())
            .env_remove("API_TOKEN")
            .env("GATEWAY_PUBLIC", "127.0.0.1:0")
            .env("GRACE", "10s")
            .output();
        told(&output.unwrap())
    };
    let (_, err, code) = run(&["check"]);
    assert_eq!(code, Some(78));
    assert!(page.contains(&err), "{err}");
    let (out, err, code) = run(&["check", "--allow-unset"]);
    assert_eq!(code, Some(0), "{err}");
    assert!(page.contains(&out) && page.contains(&err), "{out}{err}");
    assert_eq!(run(&["check", "--allow-unset", "--strict"]).2, Some(78));
    // With all that it asks for, it serves.
    let environment = [("API_TOKEN", "127.0.0.1:1".parse().unwrap())];
    let gateway = Gateway::example("check", &environment);
    assert_eq!(get(gateway.listener("public"), "/", &[]).status, 200);
    let output = Command::new(env!("CARGO_BIN_EXE_gateway"))
        .args(["config", "print", "--config", "check.toml"])
        .current_dir(&folder)
        .env("XDG_CACHE_HOME", cache())
        .env("API_TOKEN", "t0ken")
        .env("GRACE", "10s")
        .env_remove("GATEWAY_PUBLIC")
        .output();
    let (out, _, _) = told(&output.unwrap());
    let shown = page.split("```toml\n").last().unwrap();
    let shown = shown.split("```").next().unwrap();
    for line in shown
        .lines()
        .filter(|line| !line.is_empty() && *line != "..")
    {
        assert!(out.lines().any(|printed| printed == line), "{line}\n{out}");
    }
}
