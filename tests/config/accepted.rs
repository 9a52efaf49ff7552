//! A configuration that uses every key: what the loader makes of it.

use std::fs;
use std::time::Duration;

use gateway::config::{self, PathPattern, Target};
use tempfile::TempDir;

use super::{LISTENER, check, directory, refused};

const GOOD: &str = include_str!("good.toml");
const ROUTE: &str =
    "\n[[routes]]\nname = \"r\"\nmatch = { path = \"/**\" }\nrespond = { status = 200 }\n";

/// How it is said that nothing refers to a name, which is not what these cases are about.
const UNUSED: &str = "or remove it";

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
    let faults = refused::faults(&output);
    assert_eq!(faults.lines().count(), 3, "{faults}");
    assert!(
        faults.lines().all(|line| line.ends_with(
            "a.wasm: is not a WebAssembly component; build one for the target wasm32-wasip2"
        )),
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
    assert_eq!(config.state.max_entries, 1_000);
    assert_eq!(config.state.max_bytes, 64 << 20);
    let seconds = Duration::from_secs;
    assert_eq!(config.server.drain_delay, seconds(5));
    let compile = config.server.compile;
    assert_eq!((compile.time, compile.memory), (seconds(10), 512 << 20));
    assert_eq!(config.server.plugin_memory, 512 << 20);
}

#[test]
fn a_share_that_is_smaller_than_a_value_may_be_is_said_where_a_plugin_stores_values() {
    let warnings = |bytes: &str, grants: &str| -> Vec<String> {
        let directory = directory();
        let plugins: String = ["a", "b"]
            .map(|name| format!("[plugins.{name}]\npath = \"a.wasm\"\n{grants}\n"))
            .concat();
        let text = format!("[state]\nmax_bytes = \"{bytes}\"\n{plugins}{LISTENER}{ROUTE}");
        let path = directory.path().join("gateway.toml");
        fs::write(&path, text).unwrap();
        let config = config::load(&path).unwrap();
        let said = config.warnings.iter().map(ToString::to_string);
        said.filter(|said| !said.ends_with(UNUSED)).collect()
    };
    let stores = "grants = { state = true }";
    let said = warnings("2MiB", stores);
    assert_eq!(said.len(), 1, "{said:?}");
    let expected = "gateway.toml:2: state.max_bytes: each plugin's share is 1024 KiB: larger values, which may have up to \
                    1 MiB, are refused; \"2052KiB\" has room for them";
    assert!(said[0].ends_with(expected), "{said:?}");
    assert_eq!(warnings("2052KiB", stores), [""; 0]);
    assert_eq!(warnings("64KiB", ""), [""; 0]);
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
            .spot()
            .key
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
        matches!(&route("product-service").matcher.paths[0], PathPattern::Prefix(path) if path == "/products")
    );
    assert!(matches!(
        route("product-service").target,
        Target::Upstream(config::UpstreamId(0))
    ));
    assert!(matches!(
        route("open").matcher.paths[0],
        PathPattern::Template { .. }
    ));
    assert!(matches!(route("old").target, Target::Redirect(_)));
    assert!(matches!(route("aggregate").target, Target::Plugins));
    assert_eq!(route("old").listeners, [1]);
    assert!(config.upstreams["products"].reads_bodies);
    assert!(!config.upstreams["idp"].reads_bodies);
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
        "let me in, it is me",
        "let me look, it is me",
        "a key of the fleet",
    ] {
        assert!(!shown.contains(secret), "{secret} in {shown}");
    }
    assert!(shown.contains("x-api-key"), "the name of a header is none");
    assert_eq!(config.masked["listeners"][1]["limits"]["body"], "10MiB");
    assert_eq!(config.masked["plugins"]["limit"]["cpu"], "10ms");
    assert_eq!(config.masked["admin"]["token"], "***");
    assert_eq!(config.masked["admin"]["read_token"], "***");
    assert_eq!(config.masked["server"]["fleet_key"], "***");
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
    assert_eq!(config.plugin_places["limit"].spot().key, "plugins.limit");
    assert!(config.plugin_places["limit"].of("").line == line);
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

/// What is warned of in a configuration that may be served.
pub(super) fn warned(text: &str) -> Vec<String> {
    let directory = directory();
    let path = directory.path().join("gateway.toml");
    fs::write(&path, text).unwrap();
    let config = config::load(&path).unwrap_or_else(|errors| panic!("{errors}"));
    let here = format!("{}/", directory.path().display());
    let warnings = config.warnings.iter().map(ToString::to_string);
    warnings
        .filter(|said| !said.ends_with(UNUSED))
        .map(|text| text.replace(&here, ""))
        .collect()
}

#[test]
fn a_plugin_whose_largest_call_has_no_room_is_warned_about() {
    let directory = directory();
    let component = directory.path().join("a.wasm");
    fs::write(&component, "").unwrap();
    let config = |memory: &str, limit: &str| {
        let path = component.display();
        format!(
            "[server]\nplugin_memory = \"{memory}\"\n[plugins.a]\npath = \"{path}\"\nbody_limit = \"{limit}\"\n\
             [plugins.b]\npath = \"{path}\"\n{LISTENER}{ROUTE}"
        )
    };
    assert!(warned(&config("1GiB", "16MiB")).is_empty());
    assert_eq!(
        warned(&config("1GiB", "32MiB")),
        [
            "gateway.toml:3: plugins.a: a call that holds `body_limit` may need 1040 MiB, and has at most 768 MiB of `server.plugin_memory`: it fails where it needs more; raise that, or lower `memory` or `body_limit`"
        ]
    );
}

#[test]
fn a_gateway_that_believes_no_mark_is_warned_about() {
    let fleet = "[upstreams.p]\nendpoints = [\"127.0.0.1:9001\"]\ngateway = true\n";
    assert_eq!(
        warned(&format!("{fleet}{LISTENER}{ROUTE}")),
        [
            "gateway.toml:1: upstreams.p: `gateway = true` without `server.fleet_key`: no other gateway believes the mark of this one"
        ]
    );
    let key = "[server]\nfleet_key = \"0123456789abcdef\"\n";
    assert_eq!(warned(&format!("{key}{fleet}{LISTENER}{ROUTE}")), [""; 0]);
    let empty = "[server]\nfleet_key = \"${GATEWAY_TEST_UNSET_HERE:-}\"\n";
    assert_eq!(warned(&format!("{empty}{LISTENER}{ROUTE}")), [""; 0]);
}

#[test]
fn a_field_that_arrives_at_some_listeners_alone_is_warned_about() {
    let keeps =
        "[[listeners]]\nname = \"keeps\"\naddress = \"127.0.0.1:0\"\nunusual_names = \"keep\"\n";
    let route = "[[routes]]\nname = \"r\"\nmatch = { headers = { x_a = \"1\" } }\nrespond = { status = 200 }\n";
    assert_eq!(
        warned(&format!("{keeps}{route}{LISTENER}")),
        [
            "gateway.toml:7: routes[0].match.headers.x_a: does not arrive everywhere: the listener `main` lets no name pass with other characters than letters, digits and `-`; match `x-a`, or set `unusual_names = \"keep\"` there"
        ]
    );
    assert_eq!(warned(&format!("{keeps}{route}")), [""; 0]);
}

const OUTSIDE: &str = r#"
include = ["secrets.toml"]
chain = [{ name = "a", config = { key = "${secrets.from_file}" } }]
[server]
workers = "${GATEWAY_TEST_UNSET:-3}"
access_log = { format = "off", sample = "${GATEWAY_TEST_UNSET:-0.5}" }
compile_cache = "${GATEWAY_TEST_UNSET:-false}"
[[listeners]]
name = "main"
address = "127.0.0.1:0"
proxy_protocol = "${GATEWAY_TEST_UNSET:-false}"
limits = { connections = { file = "number.txt" } }
[plugins.a]
path = "a.wasm"
grants = { state = "${GATEWAY_TEST_UNSET:-true}" }
[[routes]]
name = "r"
plugins = [{ name = "a", config = { keys = [{ key = "<${secrets.plain}|${secrets.from_file}>" }], file = "$${secrets.plain}", path = { regex = "^/(?<rest>.*)", to = "/v${GATEWAY_TEST_UNSET:-2}/${rest}$${" } } }]
respond = {}
"#;

#[test]
fn secrets_stand_in_every_configuration_of_plugins_and_numbers_may_come_from_outside() {
    let directory = directory();
    let write = |name: &str, text: &str| fs::write(directory.path().join(name), text).unwrap();
    write("gateway.toml", OUTSIDE);
    write("number.txt", "42\n");
    write(
        "secrets.toml",
        "[secrets]\nplain = \"s3cret\"\nfrom_file = { file = \"secret.txt\" }\n",
    );
    let path = directory.path().join("gateway.toml");
    let config = config::load(&path).unwrap_or_else(|errors| panic!("{errors}"));
    let plugins = &config.routes[0].plugins;
    assert_eq!(plugins[0].config["key"], "from a file");
    assert_eq!(plugins[1].config["keys"][0]["key"], "<s3cret|from a file>");
    assert_eq!(plugins[1].config["file"], "${secrets.plain}");
    let to = "/v${GATEWAY_TEST_UNSET:-2}/${rest}$${";
    assert_eq!(plugins[1].config["path"]["to"], to, "groups, not variables");
    let given = plugins[1].place.given();
    assert_eq!(given.len(), 1);
    assert_eq!(given[0].pointer, "/keys/0/key");
    let values: Vec<_> = given[0].values.iter().map(config::Secret::reveal).collect();
    assert_eq!(values, ["s3cret", "from a file"]);
    assert_eq!(config.server.workers, 3);
    assert_eq!(config.server.access_log.sample, 0.5);
    assert_eq!(config.server.compile_cache, None);
    assert_eq!(config.listeners[0].limits.connections, 42);
    assert!(config.plugins["a"].grants.state);
    let shown = config.masked.to_string();
    assert!(
        !shown.contains("s3cret") && !shown.contains("a file"),
        "{shown}"
    );
}
