//! Which header fields a plugin may read and write, in the real host.

use crate::harness::{Answer, Configuration, Gateway, Origin, get};

const GRANTS: &str = "
[plugins.probe.grants]
upstreams = ['echo']
secrets = ['token']
state = true
request_headers = { read = ['x-user-*'], write = ['x-user-*'] }
response_headers = { read = ['x-a'], write = ['x-a'] }
";

fn gateway(origin: &Origin) -> Gateway {
    let config = Configuration::new()
        .secret("token", "s3cret")
        .plugin("probe", "guest_probe", GRANTS)
        .upstream("echo", origin.address)
        .chain("probed", "/probe/**", &["probe"], "upstream = 'echo'");
    Gateway::start(&config)
}

fn origin() -> Origin {
    Origin::answering(|_, _| {
        b"HTTP/1.1 200 OK\r\nx-a: theirs\r\nx-b: theirs\r\ncontent-type: a/b\r\ncontent-length: 2\r\n\r\nok".to_vec()
    })
}

fn ask(gateway: &Gateway, path: &str) -> Answer {
    let fields = [("x-user-id", "7"), ("x-probe", "mine"), ("cookie", "a=b")];
    let answer = get(gateway.listener("public"), path, &fields);
    assert_eq!(answer.status, 200, "{path}: {}", answer.text());
    answer
}

fn refused(answer: &Answer) -> bool {
    answer.text().contains("the edit is denied")
}

const WAYS: [&str; 4] = ["set", "append", "remove", "batch"];

#[test]
fn a_request_field_outside_the_grant_is_not_written_and_the_log_names_the_grant() {
    let origin = origin();
    let gateway = gateway(&origin);
    for by in WAYS {
        let answer = ask(&gateway, &format!("/probe/try?name=x-probe&by={by}"));
        assert!(refused(&answer), "{by}: {}", answer.text());
    }
    let remedy = "add \"x-probe\" to `plugins.probe.grants.request_headers.write`";
    gateway.wait_for_all(&["it writes the request field x-probe", remedy, "probed"]);
    assert!(origin.seen().is_empty());
    for by in WAYS {
        let answer = ask(&gateway, &format!("/probe/try?name=x-user-id&by={by}"));
        assert_eq!(answer.text(), "ok", "{by}");
        let seen = origin.seen().pop().unwrap().to_ascii_lowercase();
        let values: Vec<_> = seen
            .lines()
            .filter_map(|line| line.strip_prefix("x-user-id: "))
            .collect();
        let expected: &[&str] = match by {
            "append" => &["7", "tried"],
            "remove" => &[],
            _ => &["tried"],
        };
        assert_eq!(values, expected, "{by}:\n{seen}");
    }
}

#[test]
fn a_response_field_outside_the_grant_is_not_written_and_the_log_names_the_grant() {
    let origin = origin();
    let gateway = gateway(&origin);
    for path in ["/probe/try?of=response", "/probe/response/try?of=response"] {
        for by in WAYS {
            let answer = ask(&gateway, &format!("{path}&name=x-b&by={by}"));
            assert!(refused(&answer), "{path} {by}: {}", answer.text());
            let answer = ask(&gateway, &format!("{path}&name=x-a&by={by}"));
            assert_eq!(answer.header("x-b"), Some("theirs"));
            let found = answer.headers.iter().filter(|(name, _)| name == "x-a");
            let values: Vec<_> = found.map(|(_, value)| value.as_str()).collect();
            let expected: &[&str] = match by {
                "append" => &["theirs", "tried"],
                "remove" => &[],
                _ => &["tried"],
            };
            assert_eq!(values, expected, "{path} {by}");
        }
    }
    let remedy = "add \"x-b\" to `plugins.probe.grants.response_headers.write`";
    gateway.wait_for_all(&["it writes the response field x-b", remedy, "probed"]);
}

#[test]
fn a_field_outside_the_grant_is_not_there_for_who_reads_it() {
    let origin = origin();
    let gateway = gateway(&origin);
    let saw = |path: &str| ask(&gateway, path).json()["saw"].clone();
    // That is `x-probe`, and `content-type` of the response.
    assert_eq!(saw("/probe/request-header"), serde_json::Value::Null);
    assert_eq!(
        saw("/probe/response/response-header"),
        serde_json::Value::Null
    );
    assert_eq!(
        saw("/probe/request-headers"),
        serde_json::json!([["x-user-id", "7"]])
    );
    assert_eq!(
        saw("/probe/response/response-headers"),
        serde_json::json!([["x-a", "theirs"]])
    );
    // Nothing is taken from the message.
    ask(&gateway, "/probe/next");
    let seen = origin.seen().pop().unwrap().to_ascii_lowercase();
    assert!(seen.contains("x-probe: mine") && seen.contains("cookie: a=b"));
}

/// What a plugin answers by itself is its own message, not an edit of somebody's.
#[test]
fn an_answer_of_the_plugin_is_not_bound_by_the_grant() {
    let origin = origin();
    let gateway = gateway(&origin);
    let answer = ask(&gateway, "/probe/route");
    assert_eq!(answer.header("content-type"), Some("application/json"));
}
