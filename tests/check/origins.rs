//! `config print`: the effective configuration, where each value comes from, and that it loads again.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use super::{command, told, written};
use crate::harness::wasm;

const WHOLE: &str = r#"include = ["more/*.toml"]
chain = ["a", { name = "a", config = {} }]
[server]
workers = "${PRINT_WORKERS}"
grace = "${PRINT_UNSET:-10s}"
access_log = { format = "{client} {path}", path = "access.log", sample = "${PRINT_SAMPLE}" }
[secrets]
key = "${PRINT_KEY}"
[[listeners]]
name = "l"
address = { file = "address.txt" }
trusted_proxies = ["10.0.0.0/8", "${PRINT_PROXY}"]
[plugins.a]
path = "a.wasm"
[upstreams.u]
endpoints = ["127.0.0.1:9", { address = "${PRINT_ENDPOINT}" }]
[[routes]]
name = "dollars"
match = { path = "/a/**", headers = { x-a = "$${HOME}", "x-b" = { regex = "^\"\\d\u007f?" } } }
rewrite = { regex = "^/a/(?<rest>.*)", to = "/b/${rest}" }
upstream = "u"
[[routes]]
name = "answers"
match = { path = "/b" }
plugins = { skip = ["a"] }
respond = { status = 200, headers = { content-type = "text/plain" }, body = '''
two
lines, one "quoted"
''' }
"#;

const MORE: &str = r#"
[plugins."b.c"]
path = "b.wasm"
config = { text = "${secrets.key}" }

[[routes]]
name = "more"
match = { path = "/more" }
respond = { status = 204 }
"#;

fn print(directory: &Path, options: &[&str]) -> String {
    let arguments = [&["config", "print"], options].concat();
    let mut command = command(directory, &arguments);
    let environment = [
        ("PRINT_WORKERS", "2"),
        ("PRINT_SAMPLE", "0.5"),
        ("PRINT_PROXY", "192.0.2.0/24"),
        ("PRINT_ENDPOINT", "127.0.0.1:10"),
        ("PRINT_KEY", "k3y"),
    ];
    command.envs(environment);
    let (out, err, code) = told(&command.output().unwrap());
    assert_eq!(code, Some(0), "{err}");
    out
}

fn whole(text: &str, more: &str) -> tempfile::TempDir {
    let directory = written(text);
    let at = |name: &str| directory.path().join(name);
    fs::create_dir(at("more")).unwrap();
    fs::write(at("more/routes.toml"), more).unwrap();
    fs::write(at("address.txt"), "127.0.0.1:0\n").unwrap();
    for name in ["a.wasm", "more/b.wasm"] {
        fs::copy(wasm("guest_version_a"), at(name)).unwrap();
    }
    directory
}

#[test]
fn each_value_has_its_origin_behind_it_and_no_secret_is_shown() {
    let directory = whole(WHOLE, MORE);
    let printed = print(directory.path(), &[]);
    let here = directory.path().canonicalize().unwrap();
    let here = here.display();
    for line in [
        "workers = 2 # environment PRINT_WORKERS (gateway.toml:4)".to_owned(),
        "grace = \"10s\" # gateway.toml:5, the default of PRINT_UNSET".to_owned(),
        "drain_delay = \"0s\" # default".to_owned(),
        "sample = 0.5 # environment PRINT_SAMPLE (gateway.toml:6)".to_owned(),
        format!("path = \"{here}/access.log\" # gateway.toml:6"),
        "key = \"***\" # hidden; environment PRINT_KEY (gateway.toml:8)".to_owned(),
        "address = \"127.0.0.1:0\" # file address.txt (gateway.toml:11)".to_owned(),
        "    \"192.0.2.0/24\", # environment PRINT_PROXY (gateway.toml:12)".to_owned(),
        "protocols = [\"h1\", \"h2\"] # default".to_owned(),
        "x-a = \"$${HOME}\" # gateway.toml:19".to_owned(),
        "to = \"/b/${rest}\" # gateway.toml:20".to_owned(),
        "[plugins.\"b.c\"]".to_owned(),
        format!("path = \"{here}/more/b.wasm\" # more/routes.toml:3"),
        "text = \"***\" # hidden; secrets.key (more/routes.toml:4)".to_owned(),
        "name = \"more\" # more/routes.toml:7".to_owned(),
    ] {
        assert!(
            printed.lines().any(|printed| printed == line),
            "{line}\n{printed}"
        );
    }
    assert!(!printed.contains("k3y"), "{printed}");
    let json: Value =
        serde_json::from_str(&print(directory.path(), &["--format", "json"])).unwrap();
    assert_eq!(json["configuration"]["server"]["workers"], 2);
    assert_eq!(
        json["origins"]["server.workers"],
        "environment PRINT_WORKERS (gateway.toml:4)"
    );
    assert_eq!(json["origins"]["routes[2].name"], "more/routes.toml:7");
    assert_eq!(
        json["origins"]["secrets.key"],
        "environment PRINT_KEY (gateway.toml:8)"
    );
}

#[test]
fn under_the_name_of_a_credential_texts_alone_are_hidden_and_not_those_that_say_where_to_look() {
    let text = r#"
[[listeners]]
name = "l"
address = "127.0.0.1:0"
[plugins.a]
path = "a.wasm"
config = { key = "client_address", on_missing_key = "hunter22", token = true, keys = ["hunter22", 7], api_key = { hunter22 = "a" } }
[[routes]]
name = "r"
match = { path = "/a", headers = { x-api-key = { present = true }, authorization = { not = { regex = "^hunter22" } } }, cookies = { token = "hunter22" } }
plugins = [{ name = "a", config = { request = { set_headers = { x-token = "{client.address}", x-key = "hunter22 {client.address}" } } } }]
respond = { status = 204 }
"#;
    let directory = whole(text, "");
    let printed = print(directory.path(), &["--format", "json"]);
    assert!(!printed.contains("hunter22"), "{printed}");
    let json: Value = serde_json::from_str(&printed).unwrap();
    let configuration = &json["configuration"];
    assert_eq!(
        configuration["plugins"]["a"]["config"],
        json!({ "key": "client_address", "on_missing_key": "***", "token": true, "keys": ["***", 7], "api_key": "***" })
    );
    let matcher = &configuration["routes"][0]["match"];
    assert_eq!(
        matcher["headers"],
        json!({ "x-api-key": { "present": true }, "authorization": { "not": { "regex": "***" } } })
    );
    assert_eq!(matcher["cookies"], json!({ "token": "***" }));
    let set = &configuration["routes"][0]["plugins"][0]["config"]["request"]["set_headers"];
    assert_eq!(
        *set,
        json!({ "x-token": "{client.address}", "x-key": "***" })
    );
}

#[test]
fn what_is_printed_loads_to_the_same_where_nothing_is_hidden() {
    let text = WHOLE.replace("key = \"${PRINT_KEY}\"\n", "");
    let more = MORE.replace("config = { text = \"${secrets.key}\" }\n", "");
    let directory = whole(&text, &more);
    let printed = print(directory.path(), &[]);
    assert!(!printed.contains("***"), "{printed}");
    let again = written(&printed);
    let of = |directory: &Path| -> Value {
        serde_json::from_str(&print(directory, &["--format", "json"])).unwrap()
    };
    assert_eq!(
        of(again.path())["configuration"],
        of(directory.path())["configuration"]
    );
    // No comment of a default is one of the first, whose values it all has.
    assert!(!print(again.path(), &[]).contains("environment"));
}

#[test]
fn a_faulty_configuration_is_not_printed() {
    let directory = written("[server]\nwrokers = 1\n");
    let output = command(directory.path(), &["config", "print"]).output();
    let (out, err, code) = told(&output.unwrap());
    assert_eq!((out.as_str(), code), ("", Some(78)));
    assert!(
        err.contains("gateway.toml:2: server.wrokers: unknown key"),
        "{err}"
    );
}
