//! `redirect`: where clients are sent, and that none is sent in a circle or out of the place that was meant. And what
//! `respond` writes of a request.

use crate::harness::http::send;
use crate::harness::{Answer, Configuration, Gateway, get, raw};

/// What a trusted proxy says of a client that it serves over TLS.
const FORWARDED: &str = "x-forwarded-proto: https\r\nx-forwarded-for: 192.0.2.1\r\n";

fn gateway() -> Gateway {
    let redirects = [
        ("secure", "/secure/**", r#"{ scheme = "https" }"#),
        (
            "port",
            "/port",
            r#"{ scheme = "https", port = 8443, status = 301 }"#,
        ),
        ("host", "/host/**", r#"{ host = "www.example.com" }"#),
        ("only-port", "/only-port", r#"{ port = 80, status = 302 }"#),
        ("path", "/path/**", r#"{ path = "/new{path}" }"#),
        (
            "item",
            "/item/{id}/{other}",
            r#"{ host = "items.example.com", path = "/items/{id}" }"#,
        ),
        (
            "url",
            "/url/{id}",
            r#"{ to = "https://items.example.com/{id}?from={id}&{query}" }"#,
        ),
        (
            "strip",
            "/strip/**",
            r#"{ strip_prefix = "/strip/old", prefix = "/new" }"#,
        ),
        (
            "blog",
            "/blog/**",
            r#"{ regex = "^/blog/([0-9]+)-(.*)$", to = "/posts/${1}/$2", scheme = "https" }"#,
        ),
        (
            "dots",
            "/dots/**",
            r#"{ regex = "^/dots/-(.*)$", to = "/$1" }"#,
        ),
        ("self", "/self/**", r#"{ path = "{path}" }"#),
        ("form", "/form", r#"{ to = "{path}", status = 303 }"#),
    ];
    let mut config = Configuration::new()
        .access_log()
        .public("trusted_proxies = ['127.0.0.1']");
    for (name, path, redirect) in redirects {
        config = config.route(name, path, &format!("redirect = {redirect}"));
    }
    Gateway::start(&config.with(RESPONDS))
}

const RESPONDS: &str = r#"
[[routes]]
name = "echo"
match = { path = "/echo/{id}" }
respond = { headers = { x-id = "{id}", x-q = "{query.q|none}", x-braces = "{{a}}" }, body = '{"id":"{id}","q":"{query.q}","agent":"{header.user-agent}","c":"{cookie.c}","at":"{method} {hostname} {path} {query}","by":"{client}","no":"{nothing}"}' }
[[routes]]
name = "page"
match = { path = "/page" }
respond = { headers = { content-type = "text/html" }, body = "<p title='{query.q}'>{query.q}" }
[[routes]]
name = "text"
match = { path = "/text" }
respond = { body = "hello {query.q}" }
"#;

fn ask(gateway: &Gateway, host: &str, path: &str, more: &str) -> Answer {
    let request = format!("GET {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n{more}\r\n");
    raw(gateway.listener("public"), request.as_bytes())
}

#[test]
fn what_a_redirect_does_not_name_stays_as_the_client_asked_for_it() {
    let gateway = gateway();
    for (host, path, more, status, location) in [
        (
            "a.b",
            "/secure/x?y=%2F",
            "",
            308,
            "https://a.b/secure/x?y=%2F",
        ),
        ("a.b:8080", "/secure", "", 308, "https://a.b/secure"),
        ("[::1]:8080", "/secure", "", 308, "https://[::1]/secure"),
        ("a.b", "/port", "", 301, "https://a.b:8443/port"),
        (
            "a.b:8080",
            "/host/x?y",
            "",
            308,
            "http://www.example.com:8080/host/x?y",
        ),
        (
            "a.b",
            "/host/x",
            FORWARDED,
            308,
            "https://www.example.com/host/x",
        ),
        ("a.b:8080", "/only-port", "", 302, "http://a.b/only-port"),
        ("a.b", "/path/x?y", "", 308, "/new/path/x?y"),
        (
            "a.b",
            "/item/7%3fx/o?y",
            "",
            308,
            "http://items.example.com/items/7%3Fx?y",
        ),
        (
            "a.b",
            "/item/caf%C3%A9/o",
            "",
            308,
            "http://items.example.com/items/caf%C3%A9",
        ),
        (
            "a.b",
            "/url/a%26b?x=1",
            "",
            308,
            "https://items.example.com/a%26b?from=a%26b&x=1",
        ),
        ("a.b", "/strip/old/x?y", "", 308, "/new/x?y"),
        (
            "a.b",
            "/blog/2026-hello?y",
            "",
            308,
            "https://a.b/posts/2026/hello?y",
        ),
        (
            "a.b:8443",
            "/blog/1-x",
            FORWARDED,
            308,
            "https://a.b/posts/1/x",
        ),
    ] {
        let answer = ask(&gateway, host, path, more);
        let found = (answer.status, answer.header("location"));
        assert_eq!(found, (status, Some(location)), "{host} {path}");
    }
}

#[test]
fn a_client_is_sent_neither_in_a_circle_nor_by_a_rule_about_other_paths() {
    let gateway = gateway();
    for (path, more, status, kind) in [
        ("/secure/x", FORWARDED, 500, "bad_rewrite"),
        ("/self/x?y", "", 500, "bad_rewrite"),
        ("/dots/-./x", "", 500, "bad_rewrite"),
        ("/dots/x", "", 404, "no_answer"),
        ("/strip/other", "", 404, "no_answer"),
        ("/blog/x", "", 404, "no_answer"),
    ] {
        let answer = ask(&gateway, "a.b", path, more);
        assert_eq!(answer.status, status, "{path}");
        assert_eq!(answer.header("location"), None, "{path}");
        let error = format!("\"error\":\"{kind}\"");
        gateway.wait_for_all(&[&error, &format!("\"path\":\"{path}\"")]);
    }
    gateway.wait_for("that is what the client asked for");
    // After a form was sent, the page that shows it is the same one.
    let public = gateway.listener("public");
    let sent = send(public, "POST", "/form", &[], b"a=b");
    assert_eq!((sent.status, sent.header("location")), (303, Some("/form")));
    assert_eq!(get(public, "/form", &[]).status, 500);
}

#[test]
fn values_of_a_request_stay_in_their_places() {
    let gateway = gateway();
    let fields = "user-agent: a\"b\\c\r\ncookie: b=1; c=\"two\"\r\n";
    let answer = ask(&gateway, "a.b:81", "/echo/7%22?q=%22x%0ay", fields);
    assert_eq!(answer.status, 400, "a line of the client's making");
    let answer = ask(&gateway, "a.b:81", "/echo/7%22?q=%22x", fields);
    let json = answer.json();
    for (key, value) in [
        ("id", "7\""),
        ("q", "\"x"),
        ("agent", "a\"b\\c"),
        ("c", "\"two\""),
        ("at", "GET a.b /echo/7%22 q=%22x"),
        ("by", "127.0.0.1"),
        ("no", "{nothing}"),
    ] {
        assert_eq!(json[key], value, "{key}");
    }
    for (name, value) in [
        ("content-type", "application/json"),
        ("x-id", "7\""),
        ("x-q", "\"x"),
        ("x-braces", "{a}"),
    ] {
        assert_eq!(answer.header(name), Some(value), "{name}");
    }
    let public = gateway.listener("public");
    assert_eq!(get(public, "/echo/x", &[]).header("x-q"), Some("none"));
    let page = get(public, "/page?q=%27%3Cb%3E", &[]).text();
    assert_eq!(page, "<p title='&#39;&lt;b&gt;'>&#39;&lt;b&gt;");
    let text = get(public, "/text?q=%22%3Cb%3E", &[]);
    assert_eq!(text.text(), "hello \"<b>");
    let plain = Some("text/plain; charset=utf-8");
    assert_eq!(text.header("content-type"), plain);
}
