//! What the gateway says beside what it does: warnings of `check`, lines of `explain`, and words for wrong protocols.

use std::fmt::Display;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::os::unix::fs::symlink;
use std::process::{Command, Output};

use crate::harness::gateway::cache;
use crate::harness::{Configuration, Gateway, config, get};

/// What a command says of a configuration.
fn said(command: &[&str], config: &impl Display) -> (String, String) {
    let directory = tempfile::tempdir().unwrap();
    let file = config::write(config, directory.path());
    let output: Output = Command::new(env!("CARGO_BIN_EXE_gateway"))
        .args(&command[..1])
        .arg("--config")
        .arg(file)
        .args(&command[1..])
        .env("XDG_CACHE_HOME", cache())
        .output()
        .unwrap();
    let here = format!("{}", directory.path().display());
    let text = |bytes| String::from_utf8(bytes).unwrap().replace(&here, "{dir}");
    (text(output.stdout), text(output.stderr))
}

fn upstreams() -> Configuration {
    let nowhere = "127.0.0.1:9".parse().unwrap();
    let other = "127.0.0.2:9".parse().unwrap();
    Configuration::new()
        .upstream_of(
            "it",
            &[nowhere, other],
            "balance = 'least_request'\nbreaker = { failure_ratio = 0.5, max_requests = 9, slow = '2s' }",
        )
        .upstream("static", other)
}

#[test]
fn check_warns_of_methods_that_are_repeated_where_no_plugin_holds_their_bodies() {
    let retry = |methods: &str| format!("upstream = 'it'\nretry = {{ methods = {methods} }}");
    let json = "config = { request = { json = { set = { a = 1 } } } }";
    let config = upstreams()
        .plugin("transform", "transform", json)
        .route("plain", "/plain", &retry("['GET', 'POST', 'PUT']"))
        .route("usual", "/usual", "upstream = 'it'\nretry = {}")
        .route("reads", "/reads", &retry("['GET', 'HEAD']"))
        .chain("held", "/held", &["transform"], &retry("['POST']"));
    let (_, warnings) = said(&["check"], &config);
    let about: Vec<_> = warnings
        .lines()
        .filter(|line| line.contains("retry.methods"))
        .collect();
    assert_eq!(about.len(), 1, "{warnings}");
    assert!(
        about[0].contains(
            "routes[0].retry.methods: `POST` and `PUT`: no plugin of the route holds bodies"
        ),
        "{warnings}"
    );
}

#[test]
fn check_warns_of_defaults_only_where_no_route_holds_bodies() {
    let defaults = "[defaults]\nretry = { methods = ['POST'] }";
    let json = "config = { request = { json = { set = { a = 1 } } } }";
    let plain = upstreams()
        .with(defaults)
        .route("plain", "/plain", "upstream = 'it'");
    let (_, warnings) = said(&["check"], &plain);
    assert!(
        warnings.contains("defaults.retry.methods: `POST`: no plugin"),
        "{warnings}"
    );
    let held = plain.plugin("transform", "transform", json).chain(
        "held",
        "/held",
        &["transform"],
        "upstream = 'it'",
    );
    let (_, warnings) = said(&["check"], &held);
    assert!(!warnings.contains("retry.methods"), "{warnings}");
}

#[test]
fn a_file_that_is_not_there_is_named_with_where_it_was_looked_for() {
    let tls = |ca: &str| format!("tls = {{ ca = \"{ca}\" }}");
    let at = "127.0.0.1:9".parse().unwrap();
    let config = Configuration::new()
        .upstream_with("a", at, &tls("nowhere.pem"))
        .upstream_with("b", at, &tls("${NO_CA:-nowhere.pem}"))
        .route("r", "/**", "respond = { status = 204 }")
        .with(
            "[secrets]\nc = { file = \"nowhere.txt\" }\nd = { file = \"${NO_FILE:-nowhere.txt}\" }",
        );
    let (_, faults) = said(&["check"], &config);
    for part in [
        "secrets.c: cannot read \"nowhere.txt\": no such file (looked for {dir}/nowhere.txt, relative to this file)",
        "secrets.d: cannot read `{dir}/nowhere.txt` (the value of \"${NO_FILE:-nowhere.txt}\"): no such file",
        "cannot read `nowhere.pem`: no such file (looked for {dir}/nowhere.pem, relative to this file)",
        "cannot read `{dir}/nowhere.pem` (the value of \"${NO_CA:-nowhere.pem}\"): no such file",
    ] {
        assert!(faults.contains(part), "{part}: {faults}");
    }
}

#[test]
fn a_link_that_leads_nowhere_is_told_with_where_it_leads() {
    let directory = tempfile::tempdir().unwrap();
    let link = |to: &str, name: &str| symlink(to, directory.path().join(name)).unwrap();
    link("live/ca.pem", "ca.pem");
    link("ca.pem", "second.pem");
    link("releases/2", "live");
    link("gone", "current");
    let here = directory.path().display();
    let at = "127.0.0.1:9".parse().unwrap();
    let tls = |ca: &str| format!("tls = {{ ca = \"{ca}\" }}");
    let config = Configuration::new()
        .upstream_with("a", at, &tls(&format!("{here}/ca.pem")))
        .upstream_with("b", at, &tls(&format!("{here}/second.pem")))
        .upstream_with("c", at, &tls(&format!("{here}/current/ca.pem")))
        .plugin_at("p", &format!("{here}/current"), "")
        .with(&format!("[secrets]\ns = {{ file = \"{here}/ca.pem\" }}"));
    let (_, faults) = said(&["check"], &config);
    // The included file, not the pattern that found nothing.
    let including = format!("include = ['{here}/current']\n{config}");
    let (_, included) = said(&["check"], &including);
    let leads = |to: &str| format!("a symbolic link to {here}/{to}, which is not there");
    for (faults, part) in [
        (
            &faults,
            format!(
                "upstreams.a.tls.ca: cannot read `{here}/ca.pem`: it is {}",
                leads("live/ca.pem")
            ),
        ),
        (
            &faults,
            format!(
                "upstreams.b.tls.ca: cannot read `{here}/second.pem`: it is {}",
                leads("live/ca.pem")
            ),
        ),
        (
            &faults,
            format!(
                "upstreams.c.tls.ca: cannot read `{here}/current/ca.pem`: {here}/current is {}",
                leads("gone")
            ),
        ),
        (
            &faults,
            format!(
                "plugins.p.path: cannot read `{here}/current`: it is {}",
                leads("gone")
            ),
        ),
        (
            &faults,
            format!(
                "secrets.s: cannot read \"{here}/ca.pem\": it is {}",
                leads("live/ca.pem")
            ),
        ),
        (
            &included,
            format!(
                "include[0]: cannot read `{here}/current`: it is {}",
                leads("gone")
            ),
        ),
    ] {
        assert!(faults.contains(&part), "{part}: {faults}");
    }
}

#[test]
fn explain_has_a_line_each_for_balance_retry_breaker_and_fallback() {
    let lines = "upstream = 'it'\nretry = { attempts = 2 }\nfallback = { upstream = 'static' }";
    let config =
        upstreams()
            .route("r", "/r", lines)
            .route("plain", "/plain", "upstream = 'static'");
    let (out, _) = said(&["explain", "POST http://a/r"], &config);
    for line in [
        "\nbalance least_request\n",
        "\nretry up to 2 attempts, after connect, reset, 502, 503, 504; a POST only where nothing of it was sent; budget 0.2\n",
        "\nbreaker opens for 5s where 0.5 of 20 requests or more in 10s fail or take over 2s; at most 9 requests under way\n",
        "\nfallback upstream static, after connect, timeout, 502, 503, 504\n",
    ] {
        assert!(out.contains(line), "{line}: {out}");
    }
    let (out, _) = said(&["explain", "GET http://a/r"], &config);
    assert!(
        out.contains("; a GET also where an endpoint may have seen it"),
        "{out}"
    );
    let (out, _) = said(&["explain", "GET http://a/plain"], &config);
    for word in ["balance", "retry", "breaker", "fallback"] {
        assert!(!out.contains(&format!("\n{word} ")), "{word}: {out}");
    }
}

#[test]
fn a_server_of_another_protocol_is_named_with_what_to_write() {
    let first = |bytes: &'static [u8]| {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            for mut stream in listener.incoming().map_while(Result::ok) {
                // Who reads it may have gone.
                let _read = stream.read(&mut [0; 1024]);
                let _sent = stream.write_all(bytes);
            }
        });
        address
    };
    let h2 = first(&[0, 0, 6, 4, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 100]);
    let tls = first(&[0x15, 3, 3, 0, 2, 2, 22]);
    let config = Configuration::new()
        .upstream("h2", h2)
        .upstream("tls", tls)
        .route("h2", "/h2", "upstream = 'h2'")
        .route("tls", "/tls", "upstream = 'tls'");
    let gateway = Gateway::start(&config);
    for (path, word) in [
        (
            "/h2",
            "what came is HTTP/2, as servers of gRPC speak it: write `protocol = \"h2\"`",
        ),
        ("/tls", "what came is TLS: give the upstream `tls`"),
    ] {
        assert_eq!(get(gateway.listener("public"), path, &[]).status, 502);
        gateway.wait_for_all(&["WARN", word]);
    }
}
