//! Configurations that are refused: which faults are named, and where.
//!
//! `broken.txt` holds the broken files. A case is `## name`, its `gateway.toml`, and the lines of
//! stderr after `=> `, without warnings; `=== path` starts another file. What a case does not speak of (a listener, an upstream
//! `p`, a plugin `a`) is added below it, where it moves no line.

use std::fs;
use std::process::Output;
use std::sync::Arc;

use gateway::config;
use tempfile::TempDir;

use super::{check, completed, directory, stderr};

const BROKEN: &str = include_str!("broken.txt");

#[derive(Default)]
pub(super) struct Case<'a> {
    pub(super) name: &'a str,
    pub(super) files: Vec<(&'a str, String)>,
    pub(super) expected: Vec<&'a str>,
}

pub(super) fn cases(text: &str) -> Vec<Case<'_>> {
    let mut cases: Vec<Case<'_>> = Vec::new();
    for line in text.lines() {
        if let Some(name) = line.strip_prefix("## ") {
            cases.push(Case {
                name,
                files: vec![("gateway.toml", String::new())],
                expected: Vec::new(),
            });
            continue;
        }
        let case = cases.last_mut().expect("a case starts with its name");
        if let Some(expected) = line.strip_prefix("=> ") {
            case.expected.push(expected);
        } else if let Some(path) = line.strip_prefix("=== ") {
            case.files.push((path, String::new()));
        } else {
            let (_, text) = case.files.last_mut().unwrap();
            text.push_str(line);
            text.push('\n');
        }
    }
    cases
}

/// What a check says beside its warnings, which are the matter of `warned.txt`.
pub(super) fn faults(output: &Output) -> String {
    let said = stderr(output);
    let lines = said.split_inclusive('\n');
    let faults = lines.filter(|line| !line.starts_with("warning: "));
    faults.collect()
}

#[test]
fn every_broken_file_is_refused_with_exactly_its_faults() {
    let cases = cases(BROKEN);
    assert!(cases.len() >= 60, "{}", cases.len());
    let mut wrong = String::new();
    for case in &cases {
        let directory = directory();
        for (index, (path, text)) in case.files.iter().enumerate() {
            let path = directory.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            let text = if index == 0 {
                completed(text)
            } else {
                text.clone()
            };
            fs::write(path, text).unwrap();
        }
        let output = check(directory.path());
        let here = format!("{}/", directory.path().display());
        let a = fs::read(directory.path().join("a.wasm")).unwrap();
        let digest = ring::digest::digest(&ring::digest::SHA256, &a);
        let digest = digest.as_ref().iter().map(|byte| format!("{byte:02x}"));
        let got = faults(&output)
            .replace(&here, "")
            .replace(&digest.collect::<String>(), "SHA256(a.wasm)");
        let expected = case.expected.join("\n") + "\n";
        if got != expected || output.status.code() != Some(78) {
            let code = output.status.code();
            wrong.push_str(&format!(
                "## {} (exit {code:?})\nexpected:\n{expected}got:\n{got}\n",
                case.name
            ));
        }
    }
    assert!(wrong.is_empty(), "\n{wrong}");
}

#[test]
fn twelve_mistakes_are_named_in_one_run() {
    let case = cases(BROKEN)
        .into_iter()
        .find(|case| case.name == "twelve mistakes")
        .unwrap();
    assert_eq!(case.expected.len(), 12);
}

#[test]
fn bytes_that_are_no_text_are_refused_with_their_line() {
    let directory = directory();
    let path = directory.path().join("gateway.toml");
    fs::write(path, b"[server]\nworkers = 1\n\xff\xfe\n").unwrap();
    let output = check(directory.path());
    let expected = "gateway.toml:3: not UTF-8, which TOML files have to be\n";
    assert_eq!(stderr(&output), expected);
}

/// One of up to 10 MiB for each route: there is room for 25.
#[test]
fn regular_expressions_that_take_too_much_together_are_refused_where_there_is_no_room() {
    let directory = directory();
    let route = |index: usize, regex: &str| {
        format!(
            "[[routes]]\nname = 'r{index}'\nmatch.path.regex = '{regex}'\nrespond = {{ status = 204 }}\n"
        )
    };
    let large = (0..30).map(|index| route(index, &format!(r"^/s{index}/\w{{100}}$")));
    let text: String = large.chain([route(30, "(")]).collect();
    fs::write(directory.path().join("gateway.toml"), completed(&text)).unwrap();
    assert_eq!(
        faults(&check(directory.path())),
        "gateway.toml:103: routes[25].match.path.regex: with this one, the regular expressions of all routes take more \
         than 256 MiB (the largest, of up to 10 MiB, is in gateway.toml:3); use smaller repetitions, and \
         `[0-9A-Za-z_]` and `[0-9]` for `\\w` and `\\d`, which stand for all letters and digits of Unicode\n\
         gateway.toml:123: routes[30].match.path.regex: `(` is no regular expression: unclosed group\n"
    );
}

#[test]
fn a_missing_file_is_a_fault_of_the_configuration() {
    let directory = TempDir::new().unwrap();
    let output = check(directory.path());
    assert_eq!(
        stderr(&output),
        "gateway.toml: cannot be read: no such file\n"
    );
    assert_eq!(output.status.code(), Some(78));
}

/// The default configuration of a plugin, and one of a route that is faulty itself; a plugin whose own table is faulty
/// is not tried.
const REFUSED: &str = r#"[server]
wrokers = 1
[secrets]
s = "x"
[plugins.probe]
path = "probe.wasm"
grants = { upstreams = ["p"], secrets = ["s"], state = true }
[plugins.probe.config]
phases = ["request"]
upstream = ""
secret = ""
[plugins.faulty]
path = "probe.wasm"
memory = "lots"
config = { upstream = "" }
[plugins.core]
path = "core.wasm"
[[routes]]
name = "own"
match = { path = "/own" }
upstream = "missing"
[[routes.plugins]]
name = "probe"
[routes.plugins.config]
phases = [
  "request",
  "nonsense",
]
[[routes]]
name = "default"
match = { path = "/**" }
plugins = ["probe", "faulty"]
upstream = "p"
[[routes]]
name = "default-again"
match = { path = "/again" }
plugins = ["probe"]
upstream = "p"
"#;

#[test]
fn what_plugins_refuse_is_named_in_the_same_run_with_the_line_of_its_key() {
    let directory = directory();
    let at = |name: &str| directory.path().join(name);
    fs::write(at("core.wasm"), b"\0asm\x01\0\0\0").unwrap();
    fs::write(at("gateway.toml"), completed(REFUSED)).unwrap();
    let output = check(directory.path());
    assert_eq!(output.status.code(), Some(78));
    let said = faults(&output).replace(at("core.wasm").to_str().unwrap(), "core.wasm");
    assert_eq!(
        said.lines().collect::<Vec<_>>(),
        [
            "gateway.toml:2: server.wrokers: unknown key; did you mean `workers`?",
            "gateway.toml:14: plugins.faulty.memory: `lots` is not a size: write a whole number and a unit, such as \"512B\", \"64KiB\", \"10MiB\" or \"1GiB\"",
            "gateway.toml:21: routes[0].upstream: no upstream is called `missing`; there is `p`",
            "gateway.toml:10: plugins.probe.config: plugin \"probe\": upstream: is empty; a name is wanted",
            "gateway.toml:11: plugins.probe.config: plugin \"probe\": secret: is empty; a name is wanted",
            "gateway.toml:27: routes[0].plugins[0].config: plugin \"probe\": phases[1]: unknown variant `nonsense`, expected one of `request`, `request-body`, `response`, `response-body`, `request-stream`, `response-stream`, `complete`",
            "gateway.toml:17: plugins.core.path: core.wasm: is a core WebAssembly module, not a component; build it for the target wasm32-wasip2",
        ]
    );
}

#[test]
fn a_configuration_that_is_refused_says_what_to_watch_for_its_remedy() {
    let directory = directory();
    let at = |name: &str| directory.path().join(name);
    let text = completed(
        "include = [\"none-*.toml\", \"broken.toml\"]\n[plugins.late]\npath = \"late.wasm\"\n",
    );
    fs::write(at("gateway.toml"), text).unwrap();
    fs::write(at("broken.toml"), "[[").unwrap();
    let (loaded, watched) = config::load_after(&Arc::default(), &at("gateway.toml"));
    assert!(loaded.is_err());
    assert_eq!(watched.files, [at("gateway.toml"), at("broken.toml")]);
    assert_eq!(watched.includes, [at("none-*.toml"), at("broken.toml")]);
    assert_eq!(watched.plugins, [at("late.wasm")]);
}
