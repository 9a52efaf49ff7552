//! Files that the gateway opens: whatever stands at their paths, nothing waits for it and nothing is read without end.

use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

use crate::harness::gateway::cache;
use crate::harness::tls::Certificate;
use crate::harness::{Configuration, Gateway, Origin, config, get, wasm};

fn make_fifo(path: &Path) {
    assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
}

/// `gateway check`, which has ten seconds.
fn check(file: &Path) -> Output {
    Command::new("timeout")
        .arg("10")
        .arg(env!("CARGO_BIN_EXE_gateway"))
        .args(["check", "--config"])
        .arg(file)
        .env("XDG_CACHE_HOME", cache())
        .output()
        .unwrap()
}

#[test]
fn a_fifo_in_the_place_of_any_file_is_refused_with_its_key() {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    make_fifo(&at("fifo"));
    make_fifo(&at("include.toml"));
    Certificate::new(&["a.test"]).write(directory.path(), "a");
    let tls = "tls = { certificates = [{ cert = 'fifo', key = 'a.key' }, { cert = 'a.pem', key = 'fifo' }] }";
    let text = Configuration::new()
        .listener("secure", tls)
        .plugin_at("a", "fifo", "config = { text = { file = 'fifo' } }")
        .route("all", "/**", "respond = { status = 204 }")
        .with("[secrets]\na = { file = 'fifo' }");
    let text = format!("include = ['include.toml']\n{text}");
    let file = config::write(&text, directory.path());
    let output = check(&file);
    assert_eq!(output.status.code(), Some(78));
    let told = String::from_utf8(output.stderr).unwrap();
    let fifo = "it is a FIFO; expected a regular file";
    for part in [
        &format!("include[0]: cannot read `include.toml`: {fifo}"),
        &format!("listeners[1].tls.certificates[0].cert: cannot read `fifo`: {fifo}"),
        &format!("listeners[1].tls.certificates[1].key: cannot read `fifo`: {fifo}"),
        &format!("plugins.a.path: cannot read `fifo`: {fifo}"),
        &format!("plugins.a.config.text: cannot read \"fifo\": {fifo}"),
        &format!("secrets.a: cannot read \"fifo\": {fifo}"),
    ] {
        let line = told.lines().find(|line| line.contains(part.as_str()));
        assert!(
            line.is_some_and(|line| line.contains(".toml")),
            "{part}:\n{told}"
        );
    }
    let output = check(&at("fifo"));
    assert_eq!(output.status.code(), Some(78));
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(told.contains(fifo), "{told}");
}

/// Serves `version.wasm` and `other.wasm` of its directory.
fn versions(origin: &Origin) -> Gateway {
    let directory = tempfile::tempdir().unwrap();
    for name in ["version.wasm", "other.wasm"] {
        std::fs::copy(wasm("guest_version_a"), directory.path().join(name)).unwrap();
    }
    let config = Configuration::new()
        .plugin_at("version", "{dir}/version.wasm", "")
        .plugin_at("other", "{dir}/other.wasm", "")
        .upstream("origin", origin.address)
        .chain("other", "/other", &["other"], "upstream = 'origin'")
        .chain("all", "/**", &["version"], "upstream = 'origin'");
    Gateway::start_in(directory, &config, &[])
}

/// Moves a file into the place of another.
fn install(gateway: &Gateway, built: &str, name: &str) {
    let new = gateway.directory.path().join("new");
    std::fs::copy(wasm(built), &new).unwrap();
    std::fs::rename(new, gateway.directory.path().join(name)).unwrap();
}

fn version(gateway: &Gateway) -> Option<String> {
    let answer = get(gateway.listener("public"), "/x", &[]);
    answer.header("x-response-version").map(str::to_owned)
}

#[test]
fn a_plugin_that_becomes_a_fifo_is_refused_and_nothing_waits_for_it() {
    let origin = Origin::start();
    let gateway = versions(&origin);
    let at = |name: &str| gateway.directory.path().join(name);
    make_fifo(&at("fifo"));
    std::fs::rename(at("fifo"), at("version.wasm")).unwrap();
    gateway.wait_for_all(&["plugin=\"version\"", "is refused", "it is a FIFO"]);
    let answer = gateway.post("/plugins/version/reload");
    assert!(answer.text().contains("it is a FIFO"), "{}", answer.text());
    assert_eq!(gateway.post("/reload").status, 409);
    assert_eq!(version(&gateway).as_deref(), Some("1.0.0"));
    install(&gateway, "guest_version_b", "version.wasm");
    gateway.wait_for("reloaded");
    assert_eq!(version(&gateway).as_deref(), Some("2.0.0"));
    gateway.signal("TERM");
    gateway.assert_drained();
}

#[test]
fn a_plugin_file_that_disappears_is_said_once_and_taken_when_it_is_back() {
    let origin = Origin::start();
    let gateway = versions(&origin);
    std::fs::remove_file(gateway.directory.path().join("version.wasm")).unwrap();
    gateway.wait_for_all(&["plugin=\"version\"", "version.wasm", "is gone"]);
    for turn in 0..4 {
        let built = ["guest_version_b", "guest_version_a"][turn % 2];
        install(&gateway, built, "other.wasm");
        let swaps = r#"gateway_plugin_swaps_total{plugin="other",outcome="done"}"#;
        while gateway.metric(swaps) < (turn + 1) as f64 {
            std::thread::sleep(Duration::from_millis(5));
        }
    }
    let text = gateway.text();
    let said = text.lines().filter(|line| line.contains("version.wasm"));
    let said = said.filter(|line| !line.contains("plugin loaded")).count();
    assert_eq!(said, 1, "{text}");
    assert_eq!(version(&gateway).as_deref(), Some("1.0.0"));
    install(&gateway, "guest_version_b", "version.wasm");
    gateway.wait_for_all(&["plugin reloaded", "plugin=\"version\""]);
    assert_eq!(version(&gateway).as_deref(), Some("2.0.0"));
}

#[test]
fn what_a_refused_configuration_lacks_is_said_once_while_other_files_change() {
    let origin = Origin::start();
    let gateway = versions(&origin);
    let file = gateway.directory.path().join("gateway.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    let lacking = format!("{text}\n[plugins.late]\npath = \"late.wasm\"\n");
    std::fs::write(&file, lacking).unwrap();
    gateway.wait_for("late.wasm");
    let swaps = r#"gateway_plugin_swaps_total{plugin="other",outcome="done"}"#;
    for turn in 0..3 {
        let built = ["guest_version_b", "guest_version_a"][turn % 2];
        install(&gateway, built, "other.wasm");
        while gateway.metric(swaps) < (turn + 1) as f64 {
            std::thread::sleep(Duration::from_millis(5));
        }
    }
    let text = gateway.text();
    let said = text
        .lines()
        .filter(|line| line.contains("late.wasm"))
        .count();
    assert_eq!(said, 1, "{text}");
    install(&gateway, "guest_version_a", "late.wasm");
    gateway.wait_for("configuration reloaded");
}

#[test]
fn a_fifo_in_the_place_of_an_entry_of_the_compile_cache_is_not_waited_for() {
    let origin = Origin::start();
    let directory = tempfile::tempdir().unwrap();
    let cache = directory.path().join("cache");
    let config = Configuration::new()
        .server(&format!("compile_cache = '{}'", cache.display()))
        .plugin("version", "guest_version_a", "")
        .upstream("origin", origin.address)
        .chain("all", "/**", &["version"], "upstream = 'origin'");
    drop(Gateway::start(&config));
    let mut replaced = 0;
    for entry in std::fs::read_dir(&cache).unwrap() {
        let entry = entry.unwrap().path();
        std::fs::remove_file(&entry).unwrap();
        make_fifo(&entry);
        replaced += 1;
    }
    assert!(replaced > 0, "the cache has no entries");
    let gateway = Gateway::start(&config);
    gateway.wait_for_all(&["compile cache", "is removed", "it is a FIFO"]);
    assert_eq!(version(&gateway).as_deref(), Some("1.0.0"));
}
