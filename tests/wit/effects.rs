//! What each function does, seen by whoever it is for: the origin, the client, or the guest itself.

use serde_json::{Value, json};

use crate::harness::{Answer, Configuration, Gateway, Origin, get};

/// The table of the guest.
const PROBE: &str = r#"
grants = { upstreams = ["echo", "other"], secrets = ["token"], state = true }
config = { upstream = "other" }
"#;

/// Two upstreams, of which the route names `echo` and the guest the other.
struct Scene {
    gateway: Gateway,
    echo: Origin,
    other: Origin,
}

impl Scene {
    fn start() -> Self {
        let (echo, other) = (Origin::start(), Origin::start());
        let target = "upstream = 'echo'";
        let config = Configuration::new()
            .access_log()
            .secret("token", "s3cret")
            .plugin("probe", "guest_probe", PROBE)
            .upstream("echo", echo.address)
            .upstream("other", other.address)
            .chain("probed", "/probe/**", &["probe"], target)
            .chain("named", "/probe/{name}", &["probe"], target);
        Self {
            gateway: Gateway::start(&config),
            echo,
            other,
        }
    }

    fn ask(&self, path: &str) -> Answer {
        let fields = [("x-probe", "theirs"), ("cookie", "a=b")];
        get(self.gateway.listener("public"), path, &fields)
    }

    /// What the guest reports.
    fn saw(&self, path: &str) -> Value {
        let answer = self.ask(&format!("/probe/{path}"));
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        answer.json()["saw"].clone()
    }

    /// The request that reaches the route's upstream.
    fn sent(&self, function: &str) -> Seen {
        let before = self.echo.seen().len();
        let answer = self.ask(&format!("/probe/{function}?q=1"));
        assert_eq!(answer.status, 200, "{function}: {}", answer.text());
        let seen = self.echo.seen();
        assert_eq!(seen.len(), before + 1, "{function}");
        Seen(seen[before].clone())
    }
}

/// A request as an origin sees it.
struct Seen(String);

impl Seen {
    fn line(&self) -> &str {
        self.0.lines().next().unwrap()
    }

    fn all(&self, name: &str) -> Vec<&str> {
        let fields = self.0.lines().filter_map(|line| line.split_once(": "));
        let found = fields.filter(|(each, _)| each.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value).collect()
    }
}

fn all<'a>(answer: &'a Answer, name: &str) -> Vec<&'a str> {
    let found = answer.headers.iter().filter(|(each, _)| each == name);
    found.map(|(_, value)| value.as_str()).collect()
}

#[test]
fn edits_of_the_request_are_what_the_upstream_sees() {
    let scene = Scene::start();
    let sent = |function| scene.sent(function);
    let untouched = sent("next");
    assert_eq!(untouched.line(), "GET /probe/next?q=1 HTTP/1.1");
    assert_eq!(untouched.all("x-probe"), ["theirs"]);
    assert_eq!(untouched.all("cookie"), ["a=b"]);
    assert_eq!(sent("set-request-header").all("x-probe"), ["set"]);
    assert_eq!(
        sent("append-request-header").all("x-probe"),
        ["theirs", "one", "two"]
    );
    assert!(sent("remove-request-header").all("x-probe").is_empty());
    let several = sent("apply");
    assert_eq!(several.all("x-probe"), ["one", "two"]);
    assert_eq!(several.all("x-before"), ["made"]);
    assert!(several.all("cookie").is_empty() && several.all("x-after").is_empty());
    assert_eq!(
        sent("set-method").line(),
        "PUT /probe/set-method?q=1 HTTP/1.1"
    );
    assert_eq!(sent("set-path").line(), "GET /probed?by=probe HTTP/1.1");
}

#[test]
fn the_upstream_that_is_set_is_the_one_that_is_asked() {
    let scene = Scene::start();
    assert_eq!(scene.ask("/probe/set-upstream").status, 200);
    assert!(scene.echo.seen().is_empty());
    let seen = Seen(scene.other.seen().pop().unwrap());
    assert_eq!(seen.line(), "GET /probe/set-upstream HTTP/1.1");
}

#[test]
fn edits_of_the_response_are_what_the_client_sees_from_either_phase() {
    let scene = Scene::start();
    for phase in ["", "response/"] {
        let ask = |function: &str| scene.ask(&format!("/probe/{phase}{function}"));
        let untouched = ask(if phase.is_empty() {
            "next"
        } else {
            "try?name=x-y"
        });
        assert_eq!(all(&untouched, "content-type"), ["application/json"]);
        assert!(all(&untouched, "x-probe").is_empty());
        assert_eq!(ask("set-status").status, 418, "{phase}");
        let set = ask("set-response-header");
        assert_eq!((set.status, all(&set, "x-probe")), (200, vec!["set"]));
        let appended = ask("append-response-header");
        assert_eq!(all(&appended, "x-probe"), ["one", "two"], "{phase}");
        let removed = ask("remove-response-header");
        assert!(all(&removed, "content-type").is_empty(), "{phase}");
    }
    let several = scene.ask("/probe/apply");
    assert_eq!(all(&several, "x-probe"), ["one", "two"]);
    assert!(all(&several, "content-type").is_empty());
}

#[test]
fn the_facts_of_an_exchange_are_the_ones_of_its_request_and_response() {
    let scene = Scene::start();
    let answer = scene.ask("/probe/id");
    let id = answer.header("x-request-id").unwrap();
    assert_eq!(answer.json()["saw"], id);
    let host = scene.gateway.listener("public").to_string();
    for (function, expected) in [
        ("route", json!("named")),
        ("client-address", json!("127.0.0.1")),
        ("scheme", json!("http")),
        ("authority", json!(host)),
        ("method", json!("GET")),
        ("path?q=%41", json!("/probe/path?q=%41")),
        ("path-param", json!("path-param")),
        ("query-param?p=0&q=a%20b+c&q=2", json!("a b c")),
        ("client-certificate-subject", Value::Null),
        ("request-header", json!(b"theirs")),
        ("secret", json!("s3cret")),
        ("response/status", json!(200)),
        ("response/response-header", json!("application/json")),
    ] {
        assert_eq!(scene.saw(function), expected, "{function}");
    }
    let fields = scene.saw("request-headers");
    let fields = fields.as_array().unwrap();
    assert!(fields.contains(&json!(["x-probe", "theirs"])), "{fields:?}");
    assert!(fields.contains(&json!(["cookie", "a=b"])), "{fields:?}");
    let fields = scene.saw("response/response-headers");
    let kind = json!(["content-type", "application/json"]);
    assert!(fields.as_array().unwrap().contains(&kind), "{fields}");
}

#[test]
fn an_attribute_is_read_back_and_stands_in_the_access_log() {
    let scene = Scene::start();
    assert_eq!(scene.saw("attribute"), "set");
    assert_eq!(scene.ask("/probe/set-attribute").status, 200);
    let line = [
        "\"path\":\"/probe/set-attribute\"",
        "\"attributes\":{\"probe.left\":\"set\"}",
    ];
    scene.gateway.wait_for_all(&line);
}

#[test]
fn state_is_what_the_calls_before_made_of_it() {
    let scene = Scene::start();
    assert_eq!(scene.saw("state-get"), Value::Null);
    assert_eq!(scene.saw("state-set"), Value::Null);
    assert_eq!(scene.saw("state-get"), "set");
    assert_eq!(scene.saw("state-delete"), Value::Null);
    assert_eq!(scene.saw("state-get"), Value::Null);
    assert_eq!(scene.saw("state-increment"), 2);
    assert_eq!(scene.saw("state-increment"), 4);
    let swapped = json!({ "missed": true, "now": "a" });
    assert_eq!(scene.saw("state-compare-and-swap"), swapped);
}

#[test]
fn a_limiter_counts_down_and_refuses_by_every_algorithm() {
    let scene = Scene::start();
    // Two per minute. Three calls may fall into two windows of the clock, and then they count from anew.
    let began = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap();
    let decisions = [(); 3].map(|()| scene.saw("acquire"));
    let ended = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap();
    let one_window = began.as_secs() / 60 == ended.as_secs() / 60;
    for algorithm in ["token-bucket", "sliding-window", "fixed-window"] {
        if algorithm != "token-bucket" && !one_window {
            continue;
        }
        for (at, decision) in decisions.iter().enumerate() {
            let decision = &decision[algorithm];
            let what = format!("{algorithm}, call {at}: {decision}");
            assert_eq!(decision["allowed"], at < 2, "{what}");
            assert_eq!(
                decision["remaining"],
                1_u32.saturating_sub(at as u32),
                "{what}"
            );
            let reset = decision["reset_ms"].as_u64().unwrap();
            assert!((1..=120_000).contains(&reset), "{what}");
        }
    }
}

#[test]
fn sub_requests_arrive_as_they_were_made_and_their_answers_come_back() {
    let scene = Scene::start();
    let answer = |path: &str| format!("{{\"path\":\"{path}\",\"body\":4}}");
    let sent = scene.saw("send");
    assert_eq!(
        (&sent["status"], &sent["body"]),
        (&json!(200), &json!(answer("/one")))
    );
    let headers = sent["headers"].as_array().unwrap();
    assert!(headers.contains(&json!(["content-type", "application/json"])));
    let sent = scene.saw("send-all");
    let bodies: Vec<&Value> = sent
        .as_array()
        .unwrap()
        .iter()
        .map(|each| &each["body"])
        .collect();
    assert_eq!(bodies, [&json!(answer("/one")), &json!(answer("/two"))]);
    assert!(scene.echo.seen().is_empty());
    let mut lines = Vec::new();
    for seen in scene.other.seen().into_iter().map(Seen) {
        assert_eq!(seen.all("x-probe"), ["sub-request"], "{}", seen.0);
        assert!(seen.0.ends_with("\r\n\r\nbody"), "{}", seen.0);
        lines.push(seen.line().to_owned());
    }
    lines[1..].sort();
    let expected = ["/one", "/one", "/two"].map(|path| format!("POST {path} HTTP/1.1"));
    assert_eq!(lines, expected);
}

#[test]
fn sub_requests_of_one_list_are_answered_as_they_come_each_with_its_place() {
    let scene = Scene::start();
    let sent = scene.saw("start-all");
    let seen: Vec<_> = sent
        .as_array()
        .unwrap()
        .iter()
        .map(|each| (&each[0], &each[1]["body"]))
        .collect();
    let answer = |path: &str| json!(format!("{{\"path\":\"{path}\",\"body\":4}}"));
    let (one, two) = (answer("/one"), answer("/two"));
    assert_eq!(seen, [(&json!(0), &one), (&json!(1), &two)]);
    // One that is given up at once may have gone out before.
    let seen = scene.other.seen().into_iter().map(Seen);
    let seen: Vec<_> = seen
        .filter(|seen| !seen.line().contains("/never"))
        .collect();
    assert_eq!(seen.len(), 2);
    for seen in seen {
        assert_eq!(seen.all("host"), ["probe.example"], "{}", seen.0);
    }
    assert_eq!(scene.saw("next-answer")["body"], one);
}

#[test]
fn what_a_guest_tells_its_operators_is_told() {
    let scene = Scene::start();
    let gateway = &scene.gateway;
    for function in ["log", "count", "count", "observe"] {
        assert_eq!(scene.saw(function), Value::Null);
    }
    gateway.wait_for_all(&["WARN", "probe logs", "field", "plugin=\"probe\""]);
    let counted = r#"gateway_custom_probed_total{plugin="probe",by="probe"}"#;
    assert_eq!(gateway.metric(counted), 6.0);
    let sum = r#"gateway_custom_probe_seconds_sum{plugin="probe",by="probe"}"#;
    assert_eq!(gateway.metric(sum), 0.25);
}
