//! The admin listener of a running gateway: who may ask it, and the unix socket that it may listen on.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::harness::gateway::PATIENCE;
use crate::harness::http::{Answer, connect, read_answer};
use crate::harness::{Configuration, Gateway, Origin, get};
use crate::streams::gone;

fn config() -> Configuration {
    Configuration::new().route("all", "/**", "respond = { status = 204 }")
}

/// With the admin listener on the socket `admin.sock` beside the file, and more lines of `[admin]`.
fn on_socket(lines: &str) -> Configuration {
    config().admin(&format!("address = 'unix:admin.sock'\n{lines}"))
}

fn socket_of(gateway: &Gateway) -> PathBuf {
    gateway.directory.path().join("admin.sock")
}

/// A request over a unix socket, with a token if there is one.
fn ask(socket: &Path, request: &str, token: Option<&str>) -> Answer {
    let mut stream = UnixStream::connect(socket).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(head(request, token).as_bytes()).unwrap();
    read_answer(&mut stream)
}

fn head(request: &str, token: Option<&str>) -> String {
    let token = token.map(|token| format!("authorization: Bearer {token}\r\n"));
    let token = token.unwrap_or_default();
    format!("{request} HTTP/1.1\r\nhost: localhost\r\n{token}\r\n")
}

/// The answer to a request with a token and a body.
fn asked(gateway: &Gateway, request: &str, token: &str, body: &str) -> Answer {
    let mut stream = connect(gateway.admin());
    let length = body.len();
    let head = format!(
        "{request} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {token}\r\ncontent-length: {length}\r\n\r\n{body}"
    );
    stream.write_all(head.as_bytes()).unwrap();
    read_answer(&mut stream)
}

#[test]
fn a_filter_of_the_log_may_be_text_and_names_what_nothing_logs_by() {
    let config = Configuration::new().route("all", "/**", "respond = { status = 204 }");
    let gateway = Gateway::start(&config);
    let ask = |request: &str, body: &str| asked(&gateway, request, "", body);
    // As `curl --data` sends it, and `--data-binary @file`.
    for text in ["info,gateway::proxy=debug", " debug\n"] {
        let answer = ask("PUT /log", text);
        assert_eq!(answer.status, 200, "{}", answer.text());
        let answer = answer.json();
        assert_eq!(answer["filter"], text.trim());
        assert_eq!(answer["warnings"], serde_json::json!([]));
    }
    let said =
        "nothing of the gateway logs as `gateway::upstreem`; did you mean `gateway::upstream`?";
    for text in [
        "info,gateway::upstreem=debug,hyper=info",
        "info,gateway::upstreem=debug,gateway::upstreem=trace",
        r#"{ "filter": "gateway::upstreem" }"#,
    ] {
        let answer = ask("PUT /log", text);
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(answer.json()["warnings"], serde_json::json!([said]));
        assert_eq!(answer.json(), ask("GET /log", "").json());
    }
    for wrong in [
        " ",
        "loud",
        "\"debug\"",
        "info;debug",
        "info debug",
        "{debug}",
        "[\"info\"]",
    ] {
        let answer = ask("PUT /log", wrong);
        assert_eq!(answer.status, 400, "{wrong}: {}", answer.text());
    }
    let blank = ask("PUT /log", "   ").text();
    assert!(blank.contains("nothing but white space"), "{blank}");
    for request in ["PUT /log", "POST /explain"] {
        let answer = ask(request, &" ".repeat(70 << 10));
        assert_eq!(answer.status, 413, "{}", answer.text());
        assert!(answer.text().contains("larger than 64 KiB"), "{request}");
    }
}

#[test]
fn the_filter_of_the_log_is_another_one_until_the_next_reload() {
    let retry = "upstream = 'gone'\nretry = { attempts = 2, backoff = '1ms', budget = false }";
    let with = |token: &str| {
        Configuration::new()
            .upstream("gone", gone())
            .route("all", "/**", retry)
            .admin(&format!(
                "address = '127.0.0.1:0'\ntoken = '{token}'\nread_token = 'r1'"
            ))
    };
    let gateway = Gateway::start(&with("w1"));
    let public = gateway.listener("public");
    let ask = |request: &str, token: &str, body: &str| asked(&gateway, request, token, body);
    let in_force = || ask("GET /log", "r1", "").json();
    // Whether a request that fails has a line at level debug, which would stand before its last.
    let is_finer = || {
        let answer = get(public, "/", &[]);
        assert_eq!(answer.status, 502);
        let id = answer.header("x-request-id").unwrap();
        gateway.wait_for_all(&["WARN", id]);
        gateway
            .find(|line| line.contains("DEBUG") && line.contains(id))
            .is_some()
    };
    let begun = in_force();
    assert_eq!(begun["filter"], "info");
    assert_eq!(begun["from"], "default");
    assert!(!is_finer());
    let finer = r#"{"filter": "info,gateway::proxy=debug"}"#;
    assert_eq!(ask("PUT /log", "r1", finer).status, 403);
    assert!(!is_finer());
    let answer = ask("PUT /log", "w1", finer);
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.json(), in_force());
    assert_eq!(in_force()["from"], "PUT /log");
    assert_eq!(in_force()["then"], "info");
    assert!(is_finer(), "{}", gateway.text());
    for wrong in [
        "",
        " ",
        "loud",
        "\"debug\"",
        "{}",
        r#"{"filter": ""}"#,
        r#"{"filter": "loud"}"#,
        r#"{"filter": "gateway=loud"}"#,
        r#"{"filter": "debug", "until": "12:00"}"#,
    ] {
        let answer = ask("PUT /log", "w1", wrong);
        assert_eq!(answer.status, 400, "{wrong}: {}", answer.text());
    }
    assert_eq!(in_force()["filter"], "info,gateway::proxy=debug");
    // A reload that is refused changes nothing; the next one ends it.
    gateway.configure(&"nonsense");
    assert_eq!(ask("POST /reload", "w1", "").status, 409);
    assert!(is_finer());
    gateway.configure(&with("w2"));
    assert_eq!(ask("POST /reload", "w1", "").status, 200);
    assert_eq!(in_force(), begun);
    assert!(!is_finer());
}

#[test]
fn tokens_that_a_reload_changes_hold_at_once_on_a_connection_that_is_open() {
    let with = |tokens: &str| config().admin(&format!("address = '127.0.0.1:0'\n{tokens}"));
    let gateway = Gateway::start(&with("token = 'w1'\nread_token = 'r1'"));
    let mut stream = connect(gateway.admin());
    let mut status = |request: &str, token: &str| {
        let head = head(request, Some(token));
        stream.write_all(head.as_bytes()).unwrap();
        read_answer(&mut stream).status
    };
    assert_eq!(status("GET /config", "r1"), 200);
    assert_eq!(status("POST /reload", "r1"), 403);
    gateway.configure(&with("token = 'w2'\nread_token = 'r2'"));
    assert_eq!(status("POST /reload", "w1"), 200);
    for (token, read, reload) in [("r1", 401, 401), ("w1", 401, 401), ("r2", 200, 403)] {
        assert_eq!(status("GET /config", token), read, "{token}");
        assert_eq!(status("POST /reload", token), reload, "{token}");
    }
    // Without `token`, nothing can be changed by request any more.
    gateway.configure(&with("read_token = 'r3'"));
    assert_eq!(status("POST /reload", "w2"), 200);
    for (token, read, reload) in [("w2", 401, 401), ("r3", 200, 403)] {
        assert_eq!(status("GET /config", token), read, "{token}");
        assert_eq!(status("POST /reload", token), reload, "{token}");
    }
}

#[test]
fn tokens_come_out_of_the_environment_and_files_and_are_nowhere_shown() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("token"), "written-in-a-file\n").unwrap();
    let lines = "address = '127.0.0.1:0'\ntoken = { file = 'token' }\nread_token = '${READ_TOKEN}'";
    let environment = [("READ_TOKEN", "given-by-the-environment")];
    let gateway = Gateway::start_in(directory, &config().admin(lines), &environment);
    let send = |request: &str, token: &str| {
        let mut stream = connect(gateway.admin());
        stream
            .write_all(head(request, Some(token)).as_bytes())
            .unwrap();
        read_answer(&mut stream)
    };
    assert_eq!(send("POST /reload", "written-in-a-file").status, 200);
    assert_eq!(send("POST /reload", "given-by-the-environment").status, 403);
    let shown = send("GET /config", "given-by-the-environment");
    assert_eq!(shown.status, 200);
    for text in [shown.text(), gateway.text()] {
        assert!(!text.contains("written-in"), "{text}");
        assert!(!text.contains("given-by"), "{text}");
    }
    // Without its value, a check says nothing of the two being the same.
    let unset = "address = '127.0.0.1:0'\ntoken = '${TOKEN}'\nread_token = '${READ_TOKEN}'";
    gateway.configure(&config().admin(unset));
    let checked = check(gateway.directory.path(), &["--allow-unset"]);
    assert!(checked.contains("sound"), "{checked}");
}

/// What a check says.
fn check(directory: &Path, options: &[&str]) -> String {
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_gateway"))
        .args(["check", "--config", "gateway.toml"])
        .args(options)
        .current_dir(directory)
        .env("XDG_CACHE_HOME", crate::harness::gateway::cache())
        .output();
    let output = output.unwrap();
    String::from_utf8([output.stdout, output.stderr].concat()).unwrap()
}

#[test]
fn a_unix_socket_answers_whatever_the_host_and_goes_with_the_process() {
    let gateway = Gateway::start(&on_socket(""));
    let socket = socket_of(&gateway);
    let mode = fs::symlink_metadata(&socket).unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o600, "of its user alone");
    for (request, code) in [
        ("GET /readyz", 200),
        ("GET /config", 200),
        ("POST /reload", 200),
        ("GET /nowhere", 404),
    ] {
        assert_eq!(ask(&socket, request, None).status, code, "{request}");
    }
    let mut foreign = UnixStream::connect(&socket).unwrap();
    foreign.set_read_timeout(Some(PATIENCE)).unwrap();
    foreign
        .write_all(b"GET /config HTTP/1.1\r\nhost: rebound.example\r\n\r\n")
        .unwrap();
    assert_eq!(read_answer(&mut foreign).status, 200);
    gateway.wait_for_all(&["admin listening", "address=unix:"]);
    gateway.signal("TERM");
    gateway.wait_for("drained");
    let directory = gateway.ended_in();
    assert!(!directory.path().join("admin.sock").exists());
}

#[test]
fn the_socket_of_a_gateway_that_was_killed_is_replaced() {
    let gateway = Gateway::start(&on_socket("mode = '0660'"));
    gateway.signal("KILL");
    let directory = gateway.ended_in();
    assert!(directory.path().join("admin.sock").exists(), "left behind");
    assert!(check(directory.path(), &["--strict"]).contains("sound"));
    let gateway = Gateway::start_in(directory, &on_socket("mode = '0660'"), &[]);
    let socket = socket_of(&gateway);
    let mode = fs::symlink_metadata(&socket).unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o660);
    assert_eq!(ask(&socket, "GET /readyz", None).status, 200);
}

#[test]
fn a_socket_that_is_in_use_refuses_the_second_and_stays_with_the_first() {
    let first = Gateway::start(&on_socket(""));
    let socket = socket_of(&first);
    let second = format!("address = 'unix:{}'", socket.display());
    let second = Gateway::launch(&config().admin(&second), &[]);
    let said = "gateway.toml:6: admin.address: cannot listen on unix:";
    second.wait_for_all(&[said, "a process listens there"]);
    let status = second.ended();
    assert_eq!(status.code(), Some(1));
    assert_eq!(ask(&socket, "GET /readyz", None).status, 200);
    let checked = check(first.directory.path(), &[]);
    assert!(
        checked.contains("is in use: by a gateway that runs"),
        "{checked}"
    );
    assert_eq!(ask(&socket, "GET /readyz", None).status, 200);
}

#[test]
fn what_is_no_socket_is_left_alone_and_refused_by_name() {
    for kind in ["file", "symbolic link", "directory"] {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("admin.sock");
        match kind {
            "file" => fs::write(&path, "kept").unwrap(),
            "directory" => fs::create_dir(&path).unwrap(),
            _ => symlink("elsewhere", &path).unwrap(),
        }
        let lines = format!("address = 'unix:{}'", path.display());
        let gateway = Gateway::launch(&config().admin(&lines), &[]);
        let words = format!("there is a {kind}, which is left alone");
        gateway.wait_for_all(&["gateway.toml:6: admin.address: cannot listen on", &words]);
        assert_eq!(gateway.ended().code(), Some(1), "{kind}");
        assert!(fs::symlink_metadata(&path).is_ok(), "{kind} is gone");
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1, "{kind}");
    }
}

#[test]
fn a_start_that_fails_leaves_no_socket_behind() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("no.wasm"), "no component").unwrap();
    let path = directory.path().join("admin.sock");
    let lines = format!("address = 'unix:{}'", path.display());
    let plugin = directory.path().join("no.wasm");
    let broken = config()
        .admin(&lines)
        .plugin_at("a", &plugin.display().to_string(), "");
    let gateway = Gateway::launch(&broken, &[]);
    gateway.wait_for("is not a WebAssembly component");
    assert_eq!(gateway.ended().code(), Some(78));
    assert!(fs::symlink_metadata(&path).is_err());
}

#[test]
fn a_socket_stays_where_it_is_until_a_restart_and_a_watched_file_changes_its_tokens() {
    let gateway = Gateway::start(&on_socket("token = 'first'"));
    let socket = socket_of(&gateway);
    let elsewhere = gateway.directory.path().join("elsewhere.sock");
    for (lines, said) in [
        ("address = 'unix:elsewhere.sock'", "admin.address: unix:"),
        ("address = '127.0.0.1:0'", "admin.address: unix:"),
        (
            "address = 'unix:admin.sock'\nmode = '0660'\ntoken = 'first'",
            "admin.mode: 0600 stays in force; 0660 needs a restart",
        ),
    ] {
        gateway.configure(&config().admin(lines));
        let answer = ask(&socket, "POST /reload", Some("first"));
        assert_eq!(answer.status, 200, "{lines}: {}", answer.text());
        let warnings = answer.json()["warnings"].to_string();
        assert!(
            warnings.contains(said) && warnings.contains("restart"),
            "{warnings}"
        );
        // It may have needed the token there.
        assert_eq!(ask(&socket, "GET /config", None).status, 401, "{lines}");
        let shown = ask(&socket, "GET /config", Some("first")).json();
        let admin = shown["configuration"]["admin"].to_string();
        let expected = format!(r#"{{"address":"unix:{}","token":"***"}}"#, socket.display());
        assert_eq!(admin, expected, "{lines}");
        assert!(!elsewhere.exists());
    }
    let mode = fs::symlink_metadata(&socket).unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o600);
    // With --watch: nobody asks for the reload.
    gateway.configure(&on_socket("read_token = 'second'"));
    let began = std::time::Instant::now();
    while ask(&socket, "GET /config", Some("second")).status != 200 {
        assert!(began.elapsed() < PATIENCE, "{}", gateway.text());
        std::thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(ask(&socket, "POST /reload", Some("first")).status, 401);
    assert_eq!(ask(&socket, "POST /reload", Some("second")).status, 403);
}

/// config/examples/admin.toml, as docs/admin.md walks through it.
#[test]
fn the_example_drains_an_endpoint_as_its_page_says() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let read = |path: &str| fs::read_to_string(root.join(path)).unwrap();
    let (page, example) = (read("docs/admin.md"), read("config/examples/admin.toml"));
    let admin = example.split("[[listeners]]").next().unwrap();
    let admin = admin.split_once("\n\n").unwrap().1.trim();
    assert!(page.contains(admin), "{admin}");
    let (v1, v2) = (Origin::start(), Origin::start());
    let (one, other) = (v1.address.to_string(), v2.address.to_string());
    let environment = [
        ("GATEWAY_ADMIN", "127.0.0.1:0"),
        ("GATEWAY_PUBLIC", "127.0.0.1:0"),
        ("ADMIN_TOKEN", "all"),
        ("ADMIN_READ_TOKEN", "read"),
        ("V1", &one),
        ("V2", &other),
    ];
    let file = root.join("config/examples/admin.toml");
    let gateway = Gateway::start_file(&file, &environment, tempfile::tempdir().unwrap());
    let ask = |request: &str, token: &str| {
        let mut stream = connect(gateway.admin());
        stream
            .write_all(head(request, Some(token)).as_bytes())
            .unwrap();
        read_answer(&mut stream)
    };
    let drain = format!("POST /upstreams/products/{one}/drain");
    assert_eq!(ask(&drain, "read").status, 403);
    assert_eq!(ask("POST /reload", "read").status, 403);
    assert_eq!(ask(&drain, "all").json()["left"], 1);
    for _ in 0..4 {
        get(gateway.listener("public"), "/products/1", &[]);
    }
    assert_eq!((v1.seen().len(), v2.seen().len()), (0, 4));
    let shown = ask("GET /upstreams/products", "read").json();
    // The page shows one with the same keys.
    let shown_there = page.split("```json").nth(1).unwrap();
    let shown_there = shown_there.split("```").next().unwrap();
    let shown_there: serde_json::Value = serde_json::from_str(shown_there).unwrap();
    assert_eq!(keys(&shown), keys(&shown_there));
    assert_eq!(
        ask(&drain.replace("drain", "restore"), "all").json()["left"],
        2
    );
    assert_eq!(ask("POST /reload", "all").status, 200);
    let list = ask("GET /", "read").text();
    for request in page.lines().filter_map(|line| line.strip_prefix("| `")) {
        let request = request.split('`').next().unwrap();
        let request: Vec<_> = request.split(' ').collect();
        if let [method @ ("GET" | "POST" | "PUT"), path] = request[..] {
            let is_listed = |line: &str| line.split_whitespace().take(2).eq([method, path]);
            assert!(list.lines().any(is_listed), "{method} {path}: {list}");
        }
    }
    let listed = list.lines().filter(|line| !line.is_empty()).count();
    let methods = ["| `GET /", "| `POST /", "| `PUT /"];
    let told = page.lines();
    let told = told.filter(|line| methods.iter().any(|method| line.starts_with(method)));
    assert_eq!(told.count(), listed, "the page has what the list has");
}

/// The paths of all values in it.
fn keys(value: &serde_json::Value) -> std::collections::BTreeSet<String> {
    use serde_json::Value;
    let below = |key: &str, value: &Value| {
        let mut below: Vec<_> = keys(value).iter().map(|it| format!("{key}.{it}")).collect();
        below.push(key.to_owned());
        below
    };
    match value {
        Value::Object(fields) => fields.iter().flat_map(|(key, it)| below(key, it)).collect(),
        Value::Array(items) => items.iter().flat_map(|it| below("[]", it)).collect(),
        _ => Default::default(),
    }
}
