//! The configuration loader, through `gateway check`: every mistake is named with file, line and key, all of
//! them in one run.
//!
//! `config/broken.txt` holds the broken files. A case is `## name`, its `gateway.toml`, and the lines of
//! stderr after `=> `; `=== path` starts another file. What a case does not speak of (a listener, an upstream
//! `p`, a plugin `a`) is added below it, where it moves no line.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use gateway::config::{self, PathPattern, Target};
use tempfile::TempDir;

use crate::harness::gateway::cache;
use crate::harness::wasm;

const BROKEN: &str = include_str!("config/broken.txt");
const GOOD: &str = include_str!("config/good.toml");
const LISTENER: &str = "\n[[listeners]]\nname = \"main\"\naddress = \"127.0.0.1:0\"\n";
const UPSTREAM: &str = "\n[upstreams.p]\nendpoints = [\"127.0.0.1:9001\"]\n";
const ROUTE: &str =
    "\n[[routes]]\nname = \"r\"\nmatch = { path = \"/**\" }\nrespond = { status = 200 }\n";
const PLUGIN: &str = "\n[plugins.a]\npath = \"a.wasm\"\n";

#[derive(Default)]
struct Case<'a> {
    name: &'a str,
    files: Vec<(&'a str, String)>,
    expected: Vec<&'a str>,
}

fn cases() -> Vec<Case<'static>> {
    let mut cases: Vec<Case<'static>> = Vec::new();
    for line in BROKEN.lines() {
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
    fs::copy(wasm("guest_version_a"), directory.path().join("a.wasm")).unwrap();
    write("empty.pem", "");
    write("secret.txt", "from a file\n");
    let names = vec!["Example.com".to_owned(), "*.example.com".to_owned()];
    let first = rcgen::generate_simple_self_signed(names).unwrap();
    let second = rcgen::generate_simple_self_signed(vec!["b.test".to_owned()]).unwrap();
    write("cert.pem", &first.cert.pem());
    write("key.pem", &first.signing_key.serialize_pem());
    write("other.pem", &second.signing_key.serialize_pem());
    write(
        "broken.pem",
        "-----BEGIN CERTIFICATE-----\n!!!\n-----END CERTIFICATE-----\n",
    );
    directory
}

fn check(directory: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_gateway"))
        .args(["check", "--config", "gateway.toml"])
        .current_dir(directory)
        .env("XDG_CACHE_HOME", cache())
        .env_remove("GATEWAY_TEST_UNSET")
        .env("GATEWAY_TEST_VALUE", "hunter2")
        .output()
        .unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[test]
fn every_broken_file_is_refused_with_exactly_its_faults() {
    let cases = cases();
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
        let got = stderr(&output).replace(&here, "");
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
    let case = cases()
        .into_iter()
        .find(|case| case.name == "twelve mistakes")
        .unwrap();
    assert_eq!(case.expected.len(), 12);
}

fn loaded() -> (TempDir, config::Config) {
    let directory = directory();
    let path = directory.path().join("gateway.toml");
    fs::write(&path, GOOD).unwrap();
    fs::write(directory.path().join("a.wasm"), "").unwrap();
    fs::create_dir(directory.path().join("routes")).unwrap();
    fs::write(
        directory.path().join("routes/more.toml"),
        "[[routes]]\nname = \"included\"\nmatch = { path = \"/included\" }\nupstream = \"products\"\n",
    )
    .unwrap();
    let config = config::load(&path).unwrap_or_else(|errors| panic!("{errors}"));
    (directory, config)
}

#[test]
fn the_whole_contract_of_this_version_is_accepted() {
    let (directory, config) = loaded();
    // The loader has nothing to say; the plugins, which are empty files here, are what `check` compiles next.
    let output = check(directory.path());
    let faults = stderr(&output);
    assert_eq!(faults.lines().count(), 3, "{faults}");
    assert!(
        faults
            .lines()
            .all(|line| line.ends_with("a.wasm: is not a WebAssembly component")),
        "{faults}"
    );
    assert_eq!(output.status.code(), Some(78));
    assert_eq!(config.routes.len(), 9);
    let names: Vec<_> = config.routes.iter().map(|route| &*route.name).collect();
    assert_eq!(names.last(), Some(&"included"));
    let tls = config.listeners[0].tls.as_ref().unwrap();
    assert_eq!(tls.certificates[0].names, ["example.com", "*.example.com"]);
    assert_eq!(config.secrets["from_file"].reveal(), "from a file");
    assert_eq!(config.secrets["from_env"].reveal(), "a default");
}

#[test]
fn chains_start_with_the_global_one_unless_skipped() {
    let (_directory, config) = loaded();
    let chain = |name: &str| -> Vec<String> {
        let route = config.routes.iter().find(|route| &*route.name == name);
        let plugins = &route.unwrap().plugins;
        plugins.iter().map(|step| step.plugin.to_string()).collect()
    };
    assert_eq!(chain("product-service"), ["limit", "auth", "transform"]);
    assert_eq!(chain("open"), ["transform"]);
    assert_eq!(chain("status"), ["limit"]);
    let route = &config.routes[0];
    assert_eq!(route.plugins[1].config["schemes"][0], "jwt");
    assert_eq!(
        route.plugins[2].config["request"]["set_headers"]["x-from"],
        "gateway"
    );
    assert!(
        route.plugins[2]
            .place
            .to_string()
            .ends_with("routes[0].plugins[1].config")
    );
}

#[test]
fn targets_and_patterns_are_what_the_file_says() {
    let (_directory, config) = loaded();
    let route = |name: &str| {
        config
            .routes
            .iter()
            .find(|route| &*route.name == name)
            .unwrap()
    };
    assert!(
        matches!(&route("product-service").matcher.path, PathPattern::Prefix(path) if path == "/products")
    );
    assert!(matches!(
        route("product-service").target,
        Target::Upstream(config::UpstreamId(0))
    ));
    assert!(matches!(
        route("open").matcher.path,
        PathPattern::Template { .. }
    ));
    assert!(matches!(route("old").target, Target::Redirect(_)));
    assert!(matches!(route("aggregate").target, Target::Plugins));
    assert_eq!(route("old").listeners, [1]);
}

#[test]
fn nothing_secret_is_in_the_masked_configuration() {
    let (_directory, config) = loaded();
    let shown = config.masked.to_string();
    for secret in [
        "a default",
        "from a file",
        "s3cret",
        "k-123",
        "hunter2",
        "letmein",
    ] {
        assert!(!shown.contains(secret), "{secret} in {shown}");
    }
    assert!(shown.contains("x-api-key"), "the name of a header is none");
    assert_eq!(config.masked["listeners"][1]["limits"]["body"], "10MiB");
    assert_eq!(config.masked["plugins"]["limit"]["cpu"], "10ms");
    assert_eq!(config.masked["admin"]["token"], "***");
    assert_eq!(config.masked["secrets"]["from_env"], "***");
    assert_eq!(
        config.masked["plugins"]["auth"]["config"]["api_keys"],
        "***"
    );
}

#[test]
fn a_plugin_gets_its_configuration_as_json_with_everything_in_place() {
    let (_directory, config) = loaded();
    let given = &config.plugins["limit"].config;
    assert_eq!(given["seed"], "from a file");
    assert_eq!(given["note"], "a default");
    assert_eq!(
        config.plugins["auth"].config["since"],
        "2026-01-01T00:00:00Z"
    );
    assert_eq!(config.plugins["transform"].config, serde_json::json!({}));
    let line = 1 + GOOD
        .lines()
        .position(|line| line == "[plugins.limit]")
        .unwrap();
    let place = format!("gateway.toml:{line}: plugins.limit");
    assert!(config.plugin_places["limit"].to_string().ends_with(&place));
}

/// A line lost, a file cut off, a value of another kind: a fault or none, never a panic, and never a fault
/// without a message.
#[test]
fn no_damage_to_a_good_file_panics() {
    let (directory, _) = loaded();
    let lines: Vec<&str> = GOOD.lines().collect();
    let path = directory.path().join("damaged.toml");
    let mut refused = 0;
    for at in 0..lines.len() {
        let mut lost = lines.clone();
        lost.remove(at);
        let mut other = lines.clone();
        let replaced = other[at]
            .split_once(" = ")
            .map(|(key, _)| format!("{key} = 7"));
        other[at] = replaced.as_deref().unwrap_or("[[");
        for damaged in [&lost[..], &other[..], &lines[..at]] {
            fs::write(&path, damaged.join("\n")).unwrap();
            if let Err(errors) = config::load(&path) {
                refused += 1;
                assert!(!errors.0.is_empty());
                assert!(errors.0.iter().all(|fault| !fault.message.is_empty()));
            }
        }
    }
    assert!(refused > lines.len(), "{refused}");
}

#[test]
fn every_file_that_was_read_is_watched() {
    let (directory, config) = loaded();
    let at = |name: &str| directory.path().join(name);
    let watched = config.watched;
    for name in [
        "gateway.toml",
        "routes/more.toml",
        "secret.txt",
        "cert.pem",
        "key.pem",
    ] {
        assert!(watched.files.contains(&at(name)), "{name}");
    }
    assert_eq!(watched.includes, [at("routes/*.toml")]);
    assert_eq!(watched.plugins, [at("a.wasm")]);
}

#[test]
fn a_certificate_that_clients_will_refuse_is_warned_about_with_its_line() {
    let day = |year| rcgen::date_time_ymd(year, 1, 1);
    for (from, to, said) in [
        (2000, 2001, Some("has expired on 2001-01-01")),
        (3000, 3001, Some("is not valid before 3000-01-01")),
        (2000, 3000, None),
    ] {
        let directory = directory();
        let at = |name: &str| directory.path().join(name);
        let key = rcgen::KeyPair::generate().unwrap();
        let mut parameters = rcgen::CertificateParams::new(vec!["a.test".to_owned()]).unwrap();
        (parameters.not_before, parameters.not_after) = (day(from), day(to));
        let certificate = parameters.self_signed(&key).unwrap();
        fs::write(at("old.pem"), certificate.pem()).unwrap();
        fs::write(at("old.key"), key.serialize_pem()).unwrap();
        let tls = "tls = { certificates = [{ cert = \"old.pem\", key = \"old.key\" }] }\n";
        fs::write(at("gateway.toml"), format!("{LISTENER}{tls}{ROUTE}")).unwrap();
        let config = config::load(&at("gateway.toml")).unwrap();
        let warnings: Vec<_> = config.warnings.iter().map(ToString::to_string).collect();
        match said {
            None => assert_eq!(warnings, [""; 0]),
            Some(said) => {
                let place = "gateway.toml:5: listeners[0].tls.certificates[0].cert: `old.pem` ";
                assert_eq!(warnings.len(), 1, "{warnings:?}");
                assert!(
                    warnings[0].contains(&format!("{place}{said}")),
                    "{warnings:?}"
                );
            }
        }
    }
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
    let (loaded, watched) = config::load_watched(&at("gateway.toml"));
    assert!(loaded.is_err());
    assert_eq!(watched.files, [at("gateway.toml"), at("broken.toml")]);
    assert_eq!(watched.includes, [at("none-*.toml"), at("broken.toml")]);
    assert_eq!(watched.plugins, [at("late.wasm")]);
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

#[test]
fn bytes_that_are_no_text_are_refused_with_their_line() {
    let directory = directory();
    let path = directory.path().join("gateway.toml");
    fs::write(path, b"[server]\nworkers = 1\n\xff\xfe\n").unwrap();
    let output = check(directory.path());
    let expected = "gateway.toml:3: not UTF-8, which TOML files have to be\n";
    assert_eq!(stderr(&output), expected);
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
    fs::copy(wasm("guest_probe"), at("probe.wasm")).unwrap();
    fs::write(at("core.wasm"), b"\0asm\x01\0\0\0").unwrap();
    fs::write(at("gateway.toml"), completed(REFUSED)).unwrap();
    let output = check(directory.path());
    assert_eq!(output.status.code(), Some(78));
    let said = stderr(&output).replace(at("core.wasm").to_str().unwrap(), "core.wasm");
    assert_eq!(
        said.lines().collect::<Vec<_>>(),
        [
            "gateway.toml:2: server.wrokers: unknown key; did you mean `workers`?",
            "gateway.toml:14: plugins.faulty.memory: `lots` is not a size: write a whole number and a unit, such as \"512B\", \"64KiB\", \"10MiB\" or \"1GiB\"",
            "gateway.toml:21: routes[0].upstream: no upstream is called `missing`; there is `p`",
            "gateway.toml:10: plugins.probe.config: plugin \"probe\": upstream: is empty; a name is wanted",
            "gateway.toml:11: plugins.probe.config: plugin \"probe\": secret: is empty; a name is wanted",
            "gateway.toml:27: routes[0].plugins[0].config: plugin \"probe\": phases[1]: unknown variant `nonsense`, expected one of `request`, `request-body`, `response`, `response-body`, `request-stream`, `response-stream`, `complete`",
            "plugin \"core\": core.wasm: is a core WebAssembly module, not a component; build it for the target wasm32-wasip2",
        ]
    );
}
