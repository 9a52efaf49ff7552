//! docs/coming-from-nginx.md: what it says for the gateway is one sound configuration, and what it says for nginx is
//! nginx's.

use std::path::Path;
use std::process::Command;

use regex::Regex;

use crate::harness::http::send;
use crate::harness::{Answer, Gateway, Origin, program, raw};
use crate::streams::gone;

fn page() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/coming-from-nginx.md");
    std::fs::read_to_string(path).unwrap()
}

/// The blocks of a language.
fn blocks(language: &str) -> Vec<String> {
    let page = page();
    let fence = format!("```{language}\n");
    let rests = page.split(&fence).skip(1);
    let blocks = rests.filter_map(|rest| rest.split("```").next());
    blocks.map(str::to_owned).collect()
}

/// A directory with the files that the page names.
fn directory() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    let named = rcgen::generate_simple_self_signed(vec!["example.com".to_owned()]).unwrap();
    for (name, text) in [
        ("cert.pem", named.cert.pem()),
        ("key.pem", named.signing_key.serialize_pem()),
        ("sorry.html", "<p>Back soon.</p>".to_owned()),
    ] {
        std::fs::write(directory.path().join(name), text).unwrap();
    }
    let plugins = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/plugins");
    let plugins = plugins.canonicalize().unwrap();
    std::os::unix::fs::symlink(plugins, directory.path().join("plugins")).unwrap();
    directory
}

/// The page's configuration, on ports of its own and before these upstreams; the first endpoint of `app` is nowhere
/// if `app` is.
fn gateway(app: &Origin, instead: &Origin) -> Gateway {
    gateway_of(&format!("\"{}\"", app.address), app, instead)
}

/// The same with these endpoints of `app`.
fn gateway_of(servers: &str, app: &Origin, instead: &Origin) -> Gateway {
    let directory = directory();
    let text = blocks("toml").join("\n");
    let listeners = Regex::new(r"0\.0\.0\.0:\d+|127\.0\.0\.1:9901").unwrap();
    let text = listeners.replace_all(&text, "127.0.0.1:0");
    let text = text.replace("10.0.0.4:8080", &instead.address.to_string());
    let endpoints = r#""10.0.0.1:8080", "10.0.0.2:8080""#;
    assert!(text.contains(endpoints));
    let text = text.replace(endpoints, servers);
    let text = text.replace("10.0.0.3:8080", &app.address.to_string());
    let file = directory.path().join("gateway.toml");
    std::fs::write(&file, text).unwrap();
    Gateway::start_file(&file, &[], directory)
}

fn ask(gateway: &Gateway, method: &str, path: &str, fields: &[(&str, &str)]) -> Answer {
    send(gateway.listener("public"), method, path, fields, b"")
}

#[test]
fn the_snippets_for_the_gateway_are_one_configuration_that_does_what_the_page_says() {
    let (app, instead) = (Origin::start(), Origin::start());
    let gateway = gateway(&app, &instead);
    for (asked, sent) in [
        ("/api/x", "/api/x"),
        ("/apis", "/apis"),
        ("/old/a%2Bb", "/new/a%2Bb"),
        ("/users/7/orders", "/orders/7"),
        ("/users/7", "/users/7"),
        ("/crm/x", "/x"),
        ("/v1/x", "/v1/x"),
        ("/checkout/x", "/checkout/x"),
        ("/reports/x", "/reports/x"),
    ] {
        assert_eq!(ask(&gateway, "GET", asked, &[]).status, 200, "{asked}");
        let seen = app.seen().pop().unwrap();
        assert!(seen.starts_with(&format!("GET {sent} ")), "{asked}: {seen}");
    }
    for asked in ["/static/a.css", "/thumbs/a.PNG"] {
        assert_eq!(ask(&gateway, "GET", asked, &[]).status, 200, "{asked}");
        let seen = instead.seen().pop().unwrap();
        assert!(seen.starts_with(&format!("GET {asked} ")), "{seen}");
    }
    for (method, asked, status) in [
        ("GET", "/healthz", 200),
        ("GET", "/admin/x", 403),
        ("POST", "/admin/x", 403),
        ("GET", "/orders/1", 401),
        ("GET", "/search", 200),
        ("GET", "/a%2Fb", 400),
    ] {
        let answer = ask(&gateway, method, asked, &[]);
        assert_eq!(answer.status, status, "{method} {asked}");
    }
    let key = [("x-api-key", "demo-key")];
    assert_eq!(ask(&gateway, "GET", "/orders/1", &key).status, 200);
    let moved = ask(&gateway, "GET", "/blog/a?b", &[]);
    assert_eq!(moved.status, 301);
    assert!(moved.header("location").unwrap().ends_with("/posts/a?b"));
    let plain = b"GET /api/x?y HTTP/1.1\r\nhost: example.com:8081\r\n\r\n";
    let plain = raw(gateway.listener("plain"), plain);
    let secure = (301, Some("https://example.com/api/x?y"));
    assert_eq!((plain.status, plain.header("location")), secure);
    for (method, stored) in [("POST", Some("no-store")), ("GET", None)] {
        let answer = ask(&gateway, method, "/forms/x", &[]);
        assert_eq!(answer.header("cache-control"), stored, "{method}");
    }
    let fields = ask(&gateway, "GET", "/fields/x", &[("cookie", "a=b")]);
    assert_eq!(fields.header("x-frame-options"), Some("DENY"));
    let seen = app.seen().pop().unwrap().to_ascii_lowercase();
    assert!(
        seen.contains("x-language: en\r\n") && !seen.contains("cookie"),
        "{seen}"
    );
}

#[test]
fn with_one_of_two_servers_gone_every_request_is_answered_as_with_nginx() {
    let (app, instead) = (Origin::start(), Origin::start());
    let servers = format!("\"{}\", \"{}\"", gone(), app.address);
    let gateway = gateway_of(&servers, &app, &instead);
    for at in 0..20 {
        assert_eq!(ask(&gateway, "GET", &format!("/api/{at}"), &[]).status, 200);
    }
    // Nothing was sent, so that these may go there, too.
    for at in 0..4 {
        assert_eq!(
            ask(&gateway, "POST", &format!("/api/{at}"), &[]).status,
            200
        );
    }
}

#[test]
fn the_snippets_for_failures_do_what_the_page_says() {
    let broken = Origin::answering(|_, _| Vec::new());
    let gateway = gateway(&broken, &Origin::start());
    let sorry = ask(&gateway, "GET", "/store/x", &[]);
    assert_eq!((sorry.status, &*sorry.text()), (502, "<p>Back soon.</p>"));
    let unavailable = b"HTTP/1.1 503 Unavailable\r\ncontent-length: 0\r\n\r\n";
    let broken = Origin::answering(|_, _| unavailable.to_vec());
    let instead = Origin::start();
    let gateway = self::gateway(&broken, &instead);
    assert_eq!(ask(&gateway, "GET", "/catalogue/x", &[]).status, 200);
    assert!(instead.seen()[0].starts_with("GET /catalogue/x "));
    assert_eq!(ask(&gateway, "GET", "/store/x", &[]).status, 503);
}

/// What stands within `http`; everything else is a line of a server.
const OF_HTTP: &[&str] = &[
    "server",
    "upstream",
    "map",
    "split_clients",
    "limit_req_zone",
];

/// The beginning of a file that names no place but its own directory.
const BEFORE: &str = "pid nginx.pid; error_log stderr; events {} http { access_log off; client_body_temp_path body; \
    proxy_temp_path proxy; fastcgi_temp_path fastcgi; uwsgi_temp_path uwsgi; scgi_temp_path scgi;\n";

/// A snippet as two parts: what belongs into `http`, and what into a server.
fn parts(block: &str) -> (String, String) {
    let (mut http, mut server, mut depth, mut is_http) = (String::new(), String::new(), 0, false);
    for line in block.lines() {
        if depth == 0 {
            let word = line.split_whitespace().next().unwrap_or_default();
            is_http = OF_HTTP.contains(&word);
        }
        let part = if is_http { &mut http } else { &mut server };
        part.push_str(line);
        part.push('\n');
        depth += line.matches('{').count();
        depth -= line.matches('}').count();
    }
    (http, server)
}

#[test]
fn the_snippets_for_nginx_are_taken_by_nginx() {
    let directory = directory();
    let snippets = blocks("nginx");
    assert!(snippets.len() >= 20, "{}", snippets.len());
    let ports = Regex::new(r"listen (\d+)").unwrap();
    let socket = format!("listen unix:{}/$1.sock", directory.path().display());
    let upstreams = snippets
        .iter()
        .find(|block| block.contains("upstream app {"));
    for snippet in &snippets {
        let (mut http, server) = parts(snippet);
        if !http.contains("upstream app") {
            http += upstreams.unwrap();
        }
        let server = format!("server {{ listen 8088;\n{server}}}");
        let text = format!("{BEFORE}{http}{server}\n}}\n");
        // It binds what it is asked to look at.
        let text = ports.replace_all(&text, &socket);
        let file = directory.path().join("nginx.conf");
        std::fs::write(&file, &*text).unwrap();
        let mut command = Command::new(program("nginx"));
        command.arg("-t").arg("-e").arg("stderr");
        command.arg("-p").arg(directory.path()).arg("-c").arg(&file);
        let said = command.output().unwrap();
        let words = String::from_utf8_lossy(&said.stderr);
        assert!(said.status.success(), "{words}\n{text}");
    }
}
