//! Every line of the quickstart, with config/gateway.toml itself.

use std::io::Write;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::harness::http::read_answer;
use crate::harness::{Gateway, get};

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn quickstart() -> Gateway {
    start(&repository(), tempfile::tempdir().unwrap())
}

/// The quickstart of a tree, on ports of its own. The demo services' port must be known before: one that was free, of
/// an address where no other listener may get it meanwhile.
fn start(tree: &Path, directory: tempfile::TempDir) -> Gateway {
    let free = std::net::TcpListener::bind("127.0.0.2:0").unwrap();
    let demo = free.local_addr().unwrap().to_string();
    drop(free);
    let file = tree.join("config/gateway.toml");
    let environment = [
        ("GATEWAY_PUBLIC", "127.0.0.1:0"),
        ("GATEWAY_ADMIN", "127.0.0.1:0"),
        ("GATEWAY_DEMO", demo.as_str()),
    ];
    Gateway::start_file(&file, &environment, directory)
}

const KEY: (&str, &str) = ("x-api-key", "demo");

#[test]
fn without_a_key_the_answer_is_401_as_json() {
    let gateway = quickstart();
    let answer = get(gateway.listener("public"), "/products/1", &[]);
    assert_eq!(answer.status, 401);
    assert_eq!(answer.json()["status"], 401);
    assert!(answer.header("content-type").unwrap().contains("json"));
}

#[test]
fn with_the_key_the_product_comes_with_the_plugins_headers() {
    let gateway = quickstart();
    let answer = get(gateway.listener("public"), "/products/1", &[KEY]);
    assert_eq!(answer.status, 200, "{}\n{}", answer.text(), gateway.text());
    assert_eq!(answer.json()["name"], "widget");
    assert_eq!(answer.json()["id"], "1");
    assert_eq!(answer.header("x-served-by"), Some("gateway"));
    assert!(
        answer.header("x-ratelimit-remaining").is_some(),
        "{:?}",
        answer.headers
    );
    assert!(answer.header("ratelimit").is_some(), "{:?}", answer.headers);
}

#[test]
fn the_shop_is_one_json_of_three_services() {
    let gateway = quickstart();
    let answer = get(gateway.listener("public"), "/shop/1", &[KEY]);
    assert_eq!(answer.status, 200, "{}\n{}", answer.text(), gateway.text());
    let shop = answer.json();
    assert_eq!(shop["product"]["name"], "widget");
    assert_eq!(shop["reviews"][0]["stars"], 5);
    assert_eq!(shop["inventory"]["stock"], 42);
}

#[test]
fn the_sixth_request_of_a_second_is_429_with_retry_after() {
    let gateway = quickstart();
    let public = gateway.listener("public");
    // A window of the clock may end between two of the six; it cannot in two rounds that follow each other, unless the
    // machine is slow.
    for round in 0..10 {
        let answers: Vec<_> = (0..6).map(|_| get(public, "/limited", &[KEY])).collect();
        let statuses: Vec<u16> = answers.iter().map(|answer| answer.status).collect();
        if statuses == [200, 200, 200, 200, 200, 429] {
            assert!(
                answers[5]
                    .header("retry-after")
                    .unwrap()
                    .parse::<u32>()
                    .unwrap()
                    >= 1
            );
            return;
        }
        assert!(round < 9, "{statuses:?}\n{}", gateway.text());
        std::thread::sleep(Duration::from_millis(1_100));
    }
}

#[test]
fn the_operator_sees_health_plugins_metrics_and_a_masked_configuration() {
    let gateway = quickstart();
    let admin = gateway.admin();
    assert_eq!(get(admin, "/livez", &[]).status, 200);
    assert_eq!(get(admin, "/readyz", &[]).status, 200);
    let _answer = get(gateway.listener("public"), "/products/1", &[KEY]);
    let plugins = get(admin, "/plugins", &[]).json();
    assert_eq!(plugins["plugins"].as_array().unwrap().len(), 4);
    let config = get(admin, "/config", &[]).text();
    assert!(
        !config.contains("\"key\": \"demo\"") && config.contains("***"),
        "the api key shows: {config}"
    );
    gateway.wait_for("\"route\":\"products\"");
    let metrics = get(admin, "/metrics", &[]).text();
    for line in [
        r#"gateway_requests_total{route="products",status="200"} 1"#,
        r#"gateway_plugin_phase_duration_seconds_count{plugin="auth",phase="request"} 1"#,
    ] {
        assert!(metrics.contains(line), "{line} is not in:\n{metrics}");
    }
}

/// Copies what is not built.
fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
        let (name, path) = (entry.file_name(), entry.path());
        if name == "target" || name == ".git" {
            continue;
        }
        if entry.file_type().unwrap().is_dir() {
            copy(&path, &to.join(name));
        } else {
            std::fs::copy(&path, to.join(name)).unwrap();
        }
    }
}

fn replace(file: &Path, old: &str, new: &str) {
    let text = std::fs::read_to_string(file).unwrap();
    assert!(text.contains(old), "`{old}` is not in {}", file.display());
    std::fs::write(file, text.replacen(old, new, 1)).unwrap();
}

/// A copy of the repository with its built plugins.
fn copy_of_the_repository() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    copy(&repository(), directory.path());
    let built = repository().join("target/plugins");
    let plugins = directory.path().join("target/plugins");
    std::fs::create_dir_all(&plugins).unwrap();
    for name in ["auth", "rate_limit", "transform", "aggregate"] {
        let file = format!("{name}.wasm");
        std::fs::copy(built.join(&file), plugins.join(&file)).unwrap();
    }
    directory
}

/// `make plugins`, for the one that changed. The others' crates would be built too, since this copy never was.
///
/// What it builds stays beside what the repository builds, for the next run, but never in the same place: a
/// component has one name for all its versions there, and the changed one would be taken for the repository's.
fn make_plugins(tree: &Path) -> std::process::Child {
    let build = std::env::var_os("CARGO_BUILD_BUILD_DIR")
        .map_or_else(|| repository().join("target"), PathBuf::from)
        .join("copied-plugins");
    Command::new("make")
        .args(["plugins", "PLUGINS=transform"])
        .current_dir(tree)
        .env("CARGO_BUILD_BUILD_DIR", build)
        .env("CARGO_NET_OFFLINE", "true")
        .env_remove("CARGO_TARGET_DIR")
        .env_remove("MAKEFLAGS")
        .env_remove("MAKELEVEL")
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

#[test]
fn a_changed_plugin_shows_after_make_plugins_and_no_connection_closes() {
    let directory = copy_of_the_repository();
    let tree = directory.path().to_owned();
    let gateway = start(&tree, directory);
    let mut kept = TcpStream::connect(gateway.listener("public")).unwrap();
    kept.set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    let mut ask = || {
        kept.write_all(b"GET /products/1 HTTP/1.1\r\nhost: a\r\nx-api-key: demo\r\n\r\n")
            .unwrap();
        let answer = read_answer(&mut kept);
        assert_eq!(answer.status, 200, "{}\n{}", answer.text(), gateway.text());
        answer.header("x-changed").map(str::to_owned)
    };
    assert_eq!(ask(), None);
    replace(
        &tree.join("plugins/transform/src/lib.rs"),
        "fn on_request(&self, request: &mut Request) -> Result {\n",
        "fn on_request(&self, request: &mut Request) -> Result {\n\
         request.response().set_header(\"x-changed\", \"yes\")?;\n",
    );
    let mut make = make_plugins(&tree);
    let began = Instant::now();
    while make.try_wait().unwrap().is_none() {
        // The old version or, once it is in its place, the new one; and always on the same connection.
        ask();
        assert!(
            began.elapsed() < Duration::from_secs(300),
            "make never ends"
        );
        std::thread::sleep(Duration::from_millis(50));
    }
    let made = make.wait_with_output().unwrap();
    assert!(
        made.status.success(),
        "{}",
        String::from_utf8_lossy(&made.stderr)
    );
    gateway.wait_for("plugin reloaded");
    assert_eq!(ask().as_deref(), Some("yes"));
}
