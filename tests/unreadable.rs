//! Files that a configuration names and that cannot be had: each message has the file and line of the key, the key, the
//! path that was tried, why, and what to do.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Output};

use tempfile::TempDir;

use crate::harness::gateway::cache;
use crate::harness::{Configuration, Gateway, wasm};

/// Who may read no file but those that everyone may.
const NOBODY: u32 = 65534;

/// Every key that names a file which is read while the configuration is.
const KEYS: &str = r#"include = ["FILE"]
[[listeners]]
name = "a"
address = "127.0.0.1:0"
[[listeners.tls.certificates]]
cert = "FILE"
key = "FILE"
[secrets]
a = { file = "FILE" }
[plugins.a]
path = "FILE"
[plugins.b]
path = "b.wasm"
config = { a = { file = "FILE" } }
[upstreams.u]
endpoints = ["127.0.0.1:9"]
[upstreams.u.tls]
ca = "FILE"
[upstreams.u.tls.certificate]
cert = "FILE"
key = "FILE"
[[routes]]
name = "r"
plugins = ["a", "b"]
upstream = "u"
[routes.errors]
404 = { file = "FILE" }
502 = { file = "FILE", status = 503 }
"#;

/// Where each of them stands.
const PLACES: [&str; 11] = [
    "1: include[0]",
    "6: listeners[0].tls.certificates[0].cert",
    "7: listeners[0].tls.certificates[0].key",
    "9: secrets.a",
    "11: plugins.a.path",
    "14: plugins.b.config.a",
    "18: upstreams.u.tls.ca",
    "20: upstreams.u.tls.certificate.cert",
    "21: upstreams.u.tls.certificate.key",
    "27: routes[0].errors.404",
    "28: routes[0].errors.502.file",
];

fn make_fifo(path: &Path) {
    assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
}

fn close(path: &Path) {
    fs::set_permissions(path, Permissions::from_mode(0o000)).unwrap();
}

/// A directory that everyone may enter, with this `gateway.toml` and what all of them need.
fn written(text: &str) -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    fs::set_permissions(directory.path(), Permissions::from_mode(0o755)).unwrap();
    fs::copy(wasm("guest_version_a"), at("b.wasm")).unwrap();
    fs::set_permissions(at("b.wasm"), Permissions::from_mode(0o644)).unwrap();
    fs::write(at("gateway.toml"), text).unwrap();
    directory
}

/// A command that has ten seconds, and to which permissions apply: root may read everything.
fn command(directory: &Path, name: &str) -> Command {
    let binary = directory.join("gateway");
    if !binary.exists() {
        let own = env!("CARGO_BIN_EXE_gateway");
        if fs::hard_link(own, &binary).is_err() {
            fs::copy(own, &binary).unwrap();
        }
    }
    let mut command = Command::new("timeout");
    command
        .arg("10")
        .arg(binary)
        .args([name, "--config", "gateway.toml"])
        .current_dir(directory)
        .env("XDG_CACHE_HOME", cache());
    if is_root() {
        command.uid(NOBODY).gid(NOBODY);
    }
    command
}

/// Whether permissions say nothing to this process.
fn is_root() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    status.lines().any(|line| line.starts_with("Uid:\t0\t0"))
}

fn user() -> u32 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("Uid:"));
    let user = line.unwrap().split_whitespace().nth(2).unwrap();
    match is_root() {
        true => NOBODY,
        false => user.parse().unwrap(),
    }
}

fn told(directory: &Path, output: Output) -> Vec<String> {
    let text = String::from_utf8(output.stderr).unwrap();
    let text = text.replace(&format!("{}/", directory.display()), "");
    text.lines().map(str::to_owned).collect()
}

fn check(directory: &Path) -> Vec<String> {
    let output = command(directory, "check").output().unwrap();
    assert_eq!(output.status.code(), Some(78), "{output:?}");
    // Of a cache that another user owns, for one.
    let mut lines = told(directory, output);
    lines.retain(|line| !line.starts_with("warning: "));
    lines
}

#[track_caller]
fn assert_said(lines: &[String], begins: &str, why: &str) {
    let is_it = |line: &&String| line.starts_with(begins) && line.contains(why);
    assert!(
        lines.iter().any(|line| is_it(&line)),
        "{begins}.. {why}: {lines:#?}"
    );
}

#[test]
fn every_key_that_names_a_file_says_where_it_stands_and_why_the_file_is_not_read() {
    let denied = format!("permission denied; let user {} read it", user());
    for (name, why) in [
        ("fifo", "it is a FIFO; expected a regular file"),
        ("directory", "it is a directory; expected a regular file"),
        ("closed", &denied),
        ("large", "it is larger than "),
        ("closed-directory/file", &denied),
    ] {
        let directory = written(&KEYS.replace("FILE", name));
        let at = |name: &str| directory.path().join(name);
        make_fifo(&at("fifo"));
        fs::create_dir(at("directory")).unwrap();
        fs::create_dir(at("closed-directory")).unwrap();
        fs::write(at("closed-directory/file"), "").unwrap();
        close(&at("closed-directory"));
        fs::write(at("closed"), "").unwrap();
        close(&at("closed"));
        fs::File::create(at("large"))
            .unwrap()
            .set_len(65 << 20)
            .unwrap();
        let lines = check(directory.path());
        fs::set_permissions(at("closed-directory"), Permissions::from_mode(0o700)).unwrap();
        for place in PLACES {
            let begins = format!("gateway.toml:{place}: cannot read ");
            assert_said(&lines, &begins, name);
            assert_said(&lines, &begins, why);
            assert_said(
                &lines,
                &begins,
                &format!(" (looked at {name}, relative to this file)"),
            );
        }
        assert_eq!(lines.len(), PLACES.len(), "{lines:#?}");
    }
}

#[test]
fn what_a_pattern_of_include_finds_and_cannot_read_is_named_beside_the_pattern() {
    let directory = written("include = [\"r/*.toml\", \"closed/*.toml\", \"directory\"]\n");
    let at = |name: &str| directory.path().join(name);
    fs::create_dir_all(at("r/directory.toml")).unwrap();
    fs::write(at("r/sound.toml"), "").unwrap();
    make_fifo(&at("r/fifo.toml"));
    symlink("nowhere", at("r/link.toml")).unwrap();
    fs::write(at("r/closed.toml"), "").unwrap();
    close(&at("r/closed.toml"));
    fs::create_dir(at("closed")).unwrap();
    close(&at("closed"));
    fs::create_dir(at("directory")).unwrap();
    let lines = check(directory.path());
    fs::set_permissions(at("closed"), Permissions::from_mode(0o700)).unwrap();
    let user = user();
    for said in [
        format!("include[0]: cannot read r/closed.toml, which `r/*.toml` matches: permission denied; let user {user} read it"),
        "include[0]: cannot read r/fifo.toml, which `r/*.toml` matches: it is a FIFO; expected a regular file".to_owned(),
        "include[0]: cannot read r/link.toml, which `r/*.toml` matches: it is a symbolic link to r/nowhere, which is not there".to_owned(),
        format!("include[1]: cannot list the files of closed: permission denied; let user {user} read it"),
        "include[2]: cannot read `directory`: it is a directory; expected a regular file (looked at directory, relative to this file); write \"directory/*.toml\" for the files in it".to_owned(),
    ] {
        assert_said(&lines, &format!("gateway.toml:1: {said}"), "");
    }
    let of_includes = lines.iter().filter(|line| line.contains("include["));
    assert_eq!(of_includes.count(), 5, "{lines:#?}");
}

#[test]
fn a_secret_without_a_value_names_the_file_that_it_was_read_from() {
    for (content, why) in [
        (&b""[..], "is empty; a secret has to have a value"),
        (b"\n", "is empty; a secret has to have a value"),
        (
            b" \n\t\n",
            "has nothing but white space in it; a secret has to have a value",
        ),
        (b"\xff\xfe", "it is not UTF-8 text"),
    ] {
        for (section, key) in [
            ("secrets", "a"),
            ("server", "fleet_key"),
            ("admin", "token"),
            ("admin", "read_token"),
        ] {
            let directory = written(&format!("[{section}]\n{key} = {{ file = \"s.txt\" }}\n"));
            fs::write(directory.path().join("s.txt"), content).unwrap();
            let begins = format!("gateway.toml:2: {section}.{key}: ");
            let lines = check(directory.path());
            assert_said(&lines, &begins, why);
            assert_said(&lines, &begins, "\"s.txt\"");
        }
    }
}

#[test]
fn what_is_wrong_with_a_token_or_key_from_a_file_names_the_file() {
    for (content, key, why) in [
        ("short", "server.fleet_key", "has 5 bytes"),
        ("a b\n\n", "admin.token", "has white space at its ends"),
        ("short", "admin.token", "is 5 bytes long"),
    ] {
        let (section, name) = key.split_once('.').unwrap();
        let address = match section {
            "admin" => "address = \"0.0.0.0:0\"",
            _ => "workers = 1",
        };
        let text = format!("[{section}]\n{name} = {{ file = \"s.txt\" }}\n{address}\n");
        let directory = written(&text);
        fs::write(directory.path().join("s.txt"), content).unwrap();
        let begins = format!("gateway.toml:2: {key}: the value of {{ file = \"s.txt\" }} {why}");
        assert_said(&check(directory.path()), &begins, "");
    }
}

/// What is said where each path comes out of the environment and is this.
fn told_of(path: &str) -> Vec<String> {
    let directory = written(&KEYS.replace("FILE", "${IT}"));
    let output = command(directory.path(), "check").env("IT", path).output();
    told(directory.path(), output.unwrap())
}

#[test]
fn a_path_out_of_the_environment_is_shown_as_it_was_tried() {
    let lines = told_of("/nowhere/it.pem");
    for place in PLACES {
        let begins = format!("gateway.toml:{place}: ");
        assert_said(
            &lines,
            &begins,
            "`/nowhere/it.pem` (the value of \"${IT}\")",
        );
    }
    // A relative one is made absolute by the file it stands in. The secret itself may stand where its file should.
    let lines = told_of("nowhere.pem");
    for place in PLACES {
        let begins = format!("gateway.toml:{place}: ");
        match ["secrets.a", "config.a", "errors.404"]
            .iter()
            .any(|it| place.ends_with(it))
        {
            false => assert_said(&lines, &begins, "`nowhere.pem` (the value of \"${IT}\")"),
            true => {
                assert_said(&lines, &begins, "(a relative path, looked for in ");
                assert!(
                    !lines
                        .iter()
                        .any(|line| line.starts_with(&begins) && line.contains("nowhere")),
                    "{lines:#?}"
                );
            }
        }
    }
}

#[test]
fn the_text_of_a_key_in_the_place_of_its_file_is_refused_and_not_shown() {
    for (text, why) in [
        (
            "-----BEGIN PRIVATE KEY-----\nhunter2\n-----END PRIVATE KEY-----\n",
            "is the text of a PEM file",
        ),
        ("/run/hunter2.pem\n", "has a line break at its end"),
        (&"hunter2".repeat(40), "is too long for a path"),
    ] {
        let lines = told_of(text);
        for place in PLACES {
            let begins = format!("gateway.toml:{place}: the value of \"${{IT}}\" {why}");
            assert_said(&lines, &begins, "");
        }
        let shown = lines.iter().find(|line| line.contains("hunter2"));
        assert_eq!(shown, None);
    }
}

#[test]
fn what_a_file_holds_is_not_shown_where_a_path_is_expected() {
    let text = "[[listeners]]\nname = \"l\"\naddress = \"127.0.0.1:0\"\ntls = { certificates = [{ cert = \"c.pem\", key = { file = \"s.txt\" } }] }\n";
    let directory = written(text);
    fs::write(directory.path().join("s.txt"), "hunter2").unwrap();
    let lines = check(directory.path());
    let begins = "gateway.toml:4: listeners[0].tls.certificates[0].key: ";
    assert_said(
        &lines,
        begins,
        "the value of { file = \"s.txt\" }: no such file",
    );
    assert_said(&lines, begins, "write the path of the file itself");
    let shown = lines.iter().find(|line| line.contains("hunter2"));
    assert_eq!(shown, None);
}

#[test]
fn a_secret_that_begins_as_a_path_is_not_shown_in_the_place_of_its_file() {
    for (path, secret) in [("${IT}", "/hunter2"), ("/run/${IT}", "hunter2")] {
        let directory = written(&format!("[secrets]\na = {{ file = \"{path}\" }}\n"));
        let output = command(directory.path(), "check")
            .env("IT", secret)
            .output();
        let lines = told(directory.path(), output.unwrap());
        assert_said(&lines, "gateway.toml:2: secrets.a: cannot read ", "${IT}");
        let shown = lines.iter().find(|line| line.contains("hunter2"));
        assert_eq!(shown, None);
    }
}

#[test]
fn the_text_of_a_key_in_the_place_of_a_socket_is_refused_and_not_shown() {
    let text = "[[listeners]]\nname = \"l\"\naddress = \"unix:${IT}\"\n[admin]\naddress = \"unix:${IT}\"\n[upstreams.a]\nendpoints = [\"unix:${IT}\"]\n";
    let directory = written(text);
    let output = command(directory.path(), "check")
        .env("IT", "-----BEGIN PRIVATE KEY-----MIGHhunter2")
        .output();
    let lines = told(directory.path(), output.unwrap());
    for place in [
        "3: listeners[0].address",
        "5: admin.address",
        "7: upstreams.a.endpoints[0]",
    ] {
        assert_said(
            &lines,
            &format!("gateway.toml:{place}: "),
            "is the text of a PEM file",
        );
    }
    let shown = lines.iter().find(|line| line.contains("hunter2"));
    assert_eq!(shown, None);
}

#[test]
fn a_log_that_cannot_be_written_says_which_folder_keeps_it_from_that() {
    let user = user();
    for (path, why) in [
        (
            "logs/new/access.log",
            "there is no directory logs/new; make it, or name another file".to_owned(),
        ),
        (
            "closed/access.log",
            format!(
                "user {user} may not make a file in the directory closed; let it, or name another file"
            ),
        ),
        (
            "closed.log",
            format!("user {user} may not write to it; let it, or name another file"),
        ),
        (
            "gateway.toml/access.log",
            "gateway.toml is no directory; make one there, or name another file".to_owned(),
        ),
        (
            "closed",
            "it is a directory; name a file, a FIFO or a terminal".to_owned(),
        ),
    ] {
        let directory = written(&format!(
            "[server]\naccess_log = {{ path = \"{path}\" }}\n[[listeners]]\nname = \"l\"\naddress = \"127.0.0.1:0\"\n\
             [[routes]]\nname = \"r\"\nrespond = {{ status = 204 }}\n"
        ));
        let at = |name: &str| directory.path().join(name);
        fs::create_dir(at("closed")).unwrap();
        fs::set_permissions(at("closed"), Permissions::from_mode(0o555)).unwrap();
        fs::write(at("closed.log"), "").unwrap();
        fs::set_permissions(at("closed.log"), Permissions::from_mode(0o444)).unwrap();
        let said = format!("gateway.toml:2: server.access_log.path: cannot write {path}: {why}");
        for name in ["check", "run"] {
            let output = command(directory.path(), name).output().unwrap();
            assert_eq!(output.status.code(), Some(78), "{output:?}");
            let lines = told(directory.path(), output);
            assert!(lines.contains(&said), "{name}: {said}: {lines:#?}");
        }
    }
}

#[test]
fn a_reload_that_is_refused_for_its_log_names_the_folder_in_log_and_answer() {
    let config = Configuration::new().route("all", "/**", "respond = { status = 204 }");
    let gateway = Gateway::start(&config);
    let other = config.access_log().to_string();
    gateway.configure(&other.replace("path = \"stdout\"", "path = 'gone/access.log'"));
    let answer = gateway.post("/reload");
    assert_eq!(answer.status, 409, "{}", answer.text());
    let here = gateway.directory.path().display();
    let said = format!(
        "server.access_log.path: cannot write {here}/gone/access.log: there is no directory {here}/gone; make it, or name another file"
    );
    assert!(answer.text().contains(&said), "{}", answer.text());
    gateway.wait_for_all(&["the new configuration is refused", &said]);
}
