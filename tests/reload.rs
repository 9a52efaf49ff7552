//! What a reload does to keys that are read at start, and what it says of plugins that refuse their configuration.

use std::collections::BTreeSet;
use std::io::Write as _;

use serde_json::Value;

use crate::harness::http::{Answer, connect, read_answer, send};
use crate::harness::{Configuration, Gateway, get};

#[cfg(target_os = "linux")]
fn root() -> std::path::PathBuf {
    std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn config() -> Configuration {
    Configuration::new().route("all", "/**", "respond = { status = 204 }")
}

/// `[admin]` with this token.
fn guarded(token: &str) -> String {
    format!("address = '127.0.0.1:0'\ntoken = '{token}'")
}

fn with_token(gateway: &Gateway, method: &str, path: &str, token: &str) -> Answer {
    let credentials = format!("Bearer {token}");
    let fields = [("authorization", credentials.as_str())];
    send(gateway.admin(), method, path, &fields, b"")
}

#[test]
fn an_admin_token_holds_from_the_reload_on_and_the_old_one_no_longer() {
    let gateway = Gateway::start(&config().admin(&guarded("the-old-one")));
    let status = |token: &str| with_token(&gateway, "GET", "/config", token).status;
    assert_eq!((status("the-old-one"), status("the-new-one")), (200, 401));
    gateway.configure(&config().admin(&guarded("the-new-one")));
    gateway.signal("HUP");
    gateway.wait_for_all(&["configuration reloaded", "version=2"]);
    assert_eq!((status("the-old-one"), status("the-new-one")), (401, 200));
    gateway.configure(&config());
    assert_eq!(
        with_token(&gateway, "POST", "/reload", "the-new-one").status,
        200
    );
    assert_eq!(get(gateway.admin(), "/config", &[]).status, 200);
}

#[test]
fn listeners_that_all_take_a_free_port_stay_open() {
    let config = config().with("[[listeners]]\nname = 'second'\naddress = '127.0.0.1:0'");
    let gateway = Gateway::start(&config);
    for _ in 0..2 {
        assert_eq!(gateway.post("/reload").status, 200);
    }
    let text = gateway.text();
    assert_eq!(text.matches(" listening listener=").count(), 2, "{text}");
    for listener in ["public", "second"] {
        assert_eq!(get(gateway.listener(listener), "/", &[]).status, 204);
    }
}

fn many_routes() -> Configuration {
    let routes = (0..2_000).map(|route| {
        format!(
            "[[routes]]\nname = 'r{route}'\nmatch.path = '/{route}'\nrespond = {{ status = 204 }}\n"
        )
    });
    config().with(&routes.collect::<String>())
}

/// Looked at while it reloads, which ends with this status, again and again until a look comes at the right time.
#[cfg(target_os = "linux")]
#[track_caller]
fn assert_nice(gateway: &Gateway, reload: &str, status: u16) {
    let tasks = std::path::PathBuf::from(format!("/proc/{}/task", gateway.id()));
    let is_nice = |task: std::fs::DirEntry| {
        let stat = std::fs::read_to_string(task.path().join("stat")).unwrap_or_default();
        // The 19th field, the 17th behind the name.
        let behind_name = stat.rsplit(')').next().unwrap_or_default();
        behind_name.split_whitespace().nth(16) == Some("10")
    };
    let begin = std::time::Instant::now();
    std::thread::scope(|scope| {
        let mut reloading = scope.spawn(|| gateway.post(reload).status);
        loop {
            let mut tasks = std::fs::read_dir(&tasks).unwrap().flatten();
            if tasks.any(is_nice) {
                break;
            }
            if reloading.is_finished() {
                assert_eq!(reloading.join().unwrap(), status);
                assert!(begin.elapsed().as_secs() < 60, "no thread is nice");
                reloading = scope.spawn(|| gateway.post(reload).status);
            }
        }
    });
}

#[cfg(target_os = "linux")]
#[test]
fn those_who_serve_go_before_the_loader_of_a_reload() {
    assert_nice(&Gateway::start(&many_routes()), "/reload", 200);
}

/// That of a plugin loads no configuration, and one that is refused drops none.
#[cfg(target_os = "linux")]
#[test]
fn those_who_serve_go_before_who_builds_what_comes_into_force() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("version.wasm");
    std::fs::copy(root().join("target/plugins/guest_version_a.wasm"), &file).unwrap();
    let plugin = "[plugins.version]\npath = 'version.wasm'\n";
    let gateway = Gateway::start_in(directory, &config().with(plugin), &[]);
    std::fs::write(&file, vec![0; 8 << 20]).unwrap();
    assert_nice(&gateway, "/plugins/version/reload", 409);
}

/// The requests come together, while the first of them loads thousands of routes.
#[test]
fn reloads_that_wait_for_another_are_one() {
    const ASKED: usize = 16;
    let gateway = Gateway::start(&many_routes());
    let mut connections: Vec<_> = (0..ASKED).map(|_| connect(gateway.admin())).collect();
    let host = gateway.admin();
    for connection in &mut connections {
        write!(
            connection,
            "POST /reload HTTP/1.1\r\nhost: {host}\r\ncontent-length: 0\r\n\r\n"
        )
        .unwrap();
    }
    let answers = connections.iter_mut().map(|connection| {
        let answer = read_answer(connection);
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json()["version"].as_u64().unwrap()
    });
    let versions: BTreeSet<_> = answers.collect();
    assert!(versions.len() < ASKED, "{versions:?}");
    let done = gateway.metric("gateway_reloads_total{outcome=\"done\"}");
    assert_eq!(done, versions.len() as f64);
    // What comes after them sees what is there after them.
    gateway.configure(&"[[listeners]]\n");
    assert_eq!(gateway.post("/reload").status, 409);
}

#[test]
fn what_only_a_restart_applies_stays_in_force_and_is_said() {
    let gateway = Gateway::start(&config().server("grace = '30s'"));
    let before = get(gateway.admin(), "/config", &[]).json()["configuration"].clone();
    let changed = config()
        .workers(2)
        .server("grace = '123ms'\ncompile_cache = '{dir}/elsewhere'")
        .admin("address = '127.0.0.1:1'");
    gateway.configure(&changed);
    // Said each time until the restart, and not only where somebody looked once.
    for _ in 0..2 {
        let answer = gateway.post("/reload");
        assert_eq!(answer.status, 200, "{}", answer.text());
        let warnings = answer.json()["warnings"].clone();
        let keys = ["server.workers", "server.compile_cache", "admin.address"];
        assert_eq!(
            warnings.as_array().map(Vec::len),
            Some(keys.len()),
            "{warnings}"
        );
        for (warning, key) in warnings.as_array().unwrap().iter().zip(keys) {
            let warning = warning.as_str().unwrap();
            assert!(warning.starts_with(key), "{key}: {warning}");
            assert!(warning.contains("restart"), "{key}: {warning}");
            gateway.wait_for_all(&["WARN", warning]);
        }
    }
    let after = get(gateway.admin(), "/config", &[]).json()["configuration"].clone();
    for key in ["/server/workers", "/server/compile_cache", "/admin/address"] {
        assert_eq!(after.pointer(key), before.pointer(key), "{key}: {after}");
    }
    assert_eq!(after["server"]["grace"], "123ms");
    gateway.signal("TERM");
    gateway.wait_for_all(&["draining", "grace=123ms"]);
    assert!(gateway.ended().success());
}

#[test]
fn an_admin_address_that_stays_keeps_its_token_too() {
    let gateway = Gateway::start(&config().admin(&guarded("the-token")));
    let status = |token: &str| with_token(&gateway, "GET", "/config", token).status;
    for (config, key) in [
        (config().admin("address = '127.0.0.1:1'"), "admin.token: "),
        (config().without_admin(), "admin: "),
    ] {
        gateway.configure(&config);
        gateway.signal("HUP");
        gateway.wait_for_all(&["WARN", key, "restart"]);
        assert_eq!((status("the-token"), status("")), (200, 401), "{key}");
    }
}

#[test]
fn a_plugin_that_refuses_a_new_configuration_is_counted_and_shown_as_refused() {
    let nowhere = ([127, 0, 0, 1], 1).into();
    let plugins = |lines: &str| {
        let config = config().probe(nowhere, lines);
        config.plugin("other", "guest_version_a", "")
    };
    let gateway = Gateway::start(&plugins(""));
    gateway.configure(&plugins("config = { secret = '' }"));
    assert_eq!(gateway.post("/reload").status, 409);
    let refused = |plugin: &str| {
        let line = format!("gateway_plugin_swaps_total{{plugin=\"{plugin}\",outcome=\"refused\"}}");
        gateway.metric(&line)
    };
    assert!(refused("probe") >= 1.0);
    assert_eq!(refused("other"), 0.0);
    let shown = get(gateway.admin(), "/plugins", &[]).json();
    let swap = |name: &str| -> Value {
        let plugins = shown["plugins"].as_array().unwrap();
        let plugin = plugins.iter().find(|plugin| plugin["name"] == name);
        plugin.unwrap()["last_swap"].clone()
    };
    assert_eq!(swap("probe")["outcome"], "refused");
    let error = swap("probe")["error"].as_str().unwrap().to_owned();
    assert!(error.contains("secret: is empty"), "{error}");
    assert_eq!(swap("other"), Value::Null);
}

/// The plugin `rate-limit` with this configuration before an answer.
fn limited(limit: &str) -> Configuration {
    Configuration::new()
        .plugin("limit", "rate_limit", &format!("config = {{ {limit} }}"))
        .chain("all", "/**", &["limit"], "respond = { status = 200 }")
}

#[test]
fn a_rate_limit_that_a_reload_changes_counts_what_was_used_before() {
    for algorithm in ["token_bucket", "sliding_window", "fixed_window"] {
        let quota = |limit: u32| {
            limited(&format!(
                "algorithm = '{algorithm}', limit = {limit}, window = '10h'"
            ))
        };
        let gateway = Gateway::start(&quota(5));
        let public = gateway.listener("public");
        let ask = || get(public, "/x", &[]).status;
        for _ in 0..3 {
            assert_eq!(ask(), 200);
        }
        gateway.configure(&quota(4));
        assert_eq!(gateway.post("/reload").status, 200);
        assert_eq!([ask(), ask()], [200, 429], "{algorithm}");
        gateway.configure(&quota(6));
        assert_eq!(gateway.post("/reload").status, 200);
        assert_eq!([ask(), ask(), ask()], [200, 200, 429], "{algorithm}");
    }
}

/// While the limit is below what was used, what is refused forgets nothing of it.
#[test]
fn a_rate_limit_that_a_reload_makes_smaller_for_a_while_forgets_nothing() {
    for burst in ["", ", burst = {limit}"] {
        let quota = |limit: u32| {
            let burst = burst.replace("{limit}", &limit.to_string());
            limited(&format!("limit = {limit}, window = '10h'{burst}"))
        };
        let gateway = Gateway::start(&quota(6));
        let public = gateway.listener("public");
        let ask = || get(public, "/x", &[]).status;
        assert!((0..6).all(|_| ask() == 200));
        gateway.configure(&quota(2));
        assert_eq!(gateway.post("/reload").status, 200);
        assert_eq!(ask(), 429);
        gateway.configure(&quota(8));
        assert_eq!(gateway.post("/reload").status, 200);
        assert_eq!([ask(), ask(), ask()], [200, 200, 429], "{burst}");
    }
}
