//! `when`: which requests a plugin of a chain has its turn with, decided once and for all of its phases.

mod bodies;
mod chains;
mod defaults;
mod example;
mod turns;

use crate::harness::http::send;
use crate::harness::{Answer, Configuration, Gateway, Origin};

/// Probes by name: each a plugin of its own with these phases, whose bodies end in `<name>`.
fn probes(config: Configuration, origin: &Origin, probes: &[(&str, &str)]) -> Configuration {
    let config = config
        .secret("token", "s3cret")
        .upstream("echo", origin.address);
    probes.iter().fold(config, |config, (name, phases)| {
        let lines = format!(
            "config = {{ phases = [{phases}], tail = '<{name}>' }}\n\
             grants = {{ upstreams = ['echo'], secrets = ['token'], state = true }}"
        );
        config.plugin(name, "guest_probe", &lines)
    })
}

/// Sends everything through these links to `echo`.
fn through(config: Configuration, links: &str) -> Configuration {
    config.route(
        "all",
        "/**",
        &format!("plugins = [{links}]\nupstream = 'echo'"),
    )
}

/// How often a phase of a plugin was called.
fn calls(gateway: &Gateway, plugin: &str, phase: &str) -> f64 {
    gateway.metric(&format!(
        "gateway_plugin_phase_duration_seconds_count{{plugin=\"{plugin}\",phase=\"{phase}\"}}"
    ))
}

const PHASES: [&str; 5] = [
    "request",
    "response",
    "request_chunk",
    "response_chunk",
    "complete",
];

/// A link of `transform` that marks each answer that it sees.
fn marks(when: &str) -> String {
    format!(
        "{{ name = 'mark', when = {when}, config = {{ response = {{ set_headers = {{ x-marked = '1' }} }} }} }}"
    )
}

fn is_marked(answer: &Answer) -> bool {
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.header("x-marked").is_some()
}

/// Fields of a request.
type Fields = &'static [(&'static str, &'static str)];
/// Method, path, fields, and whether `when` holds for such a request.
type Judged = (&'static str, &'static str, Fields, bool);

/// What `when` asks, and requests.
const CASES: &[(&str, &[Judged])] = &[
    (
        "{ methods = ['POST', 'PUT'] }",
        &[
            ("POST", "/", &[], true),
            ("PUT", "/", &[], true),
            ("GET", "/", &[], false),
        ],
    ),
    (
        "{ headers = { x-tier = 'gold', x-any = { present = true } } }",
        &[
            ("GET", "/", &[("x-tier", "gold"), ("x-any", "")], true),
            ("GET", "/", &[("x-tier", "gold")], false),
            ("GET", "/", &[("x-tier", "golden"), ("x-any", "")], false),
        ],
    ),
    (
        "{ query = { v = { regex = '^[12]$' } } }",
        &[
            ("GET", "/?v=2", &[], true),
            ("GET", "/?v=12", &[], false),
            ("GET", "/", &[], false),
        ],
    ),
    (
        "{ methods = ['GET'], not = { headers = { x-a = '1' }, query = { b = '2' } } }",
        &[
            ("GET", "/", &[], true),
            ("GET", "/?b=2", &[], true),
            ("GET", "/", &[("x-a", "1")], true),
            ("GET", "/?b=2", &[("x-a", "1")], false),
            ("POST", "/", &[], false),
        ],
    ),
    (
        "{ client = ['127.0.0.0/8'], cookies = { a = '1' }, headers = { x-a = { not = '1' } } }",
        &[
            ("GET", "/", &[("cookie", "b=2; a=1")], true),
            ("GET", "/", &[("cookie", "a=1"), ("x-a", "2")], true),
            ("GET", "/", &[("cookie", "a=1"), ("x-a", "1")], false),
            ("GET", "/", &[("cookie", "a=2")], false),
        ],
    ),
    ("{ client = ['10.0.0.0/8'] }", &[("GET", "/", &[], false)]),
    (
        "{ after = '2020-01-01T00:00:00Z', before = '2020-01-02T00:00:00Z' }",
        &[("GET", "/", &[], false)],
    ),
    (
        "{ attributes = { 'a.b' = { present = false } } }",
        &[("GET", "/", &[], true)],
    ),
    (
        "{ attributes = { 'a.b' = { regex = '.*' } } }",
        &[("GET", "/", &[], false)],
    ),
];

#[test]
fn a_plugin_has_its_turn_where_all_of_its_when_holds() {
    let origin = Origin::start();
    let mut config = Configuration::new()
        .plugin("mark", "transform", "")
        .upstream("echo", origin.address);
    for (at, (when, _)) in CASES.iter().enumerate() {
        let link = marks(when);
        let lines = format!("plugins = [{link}]\nupstream = 'echo'");
        config = config.with(&format!(
            "[[routes]]\nname = 'r{at}'\nmatch = {{ host = 'r{at}.test' }}\n{lines}"
        ));
    }
    let gateway = Gateway::start(&config);
    for (at, (when, requests)) in CASES.iter().enumerate() {
        for (method, path, fields, holds) in *requests {
            let mut request = format!("{method} {path} HTTP/1.1\r\nhost: r{at}.test\r\n");
            for (name, value) in *fields {
                request.push_str(&format!("{name}: {value}\r\n"));
            }
            request.push_str("connection: close\r\n\r\n");
            let answer = crate::harness::raw(gateway.listener("public"), request.as_bytes());
            assert_eq!(is_marked(&answer), *holds, "{when}: {request}");
        }
    }
}

#[test]
fn what_does_not_hold_is_decided_by_not_and_one_of_two_plugins_has_its_turn() {
    let origin = Origin::start();
    let link = |when: &str, name: &str| {
        format!(
            "{{ name = 'mark', when = {when}, config = {{ response = {{ add_headers = {{ x-by = '{name}' }} }} }} }}"
        )
    };
    let asks = "methods = ['POST'], headers = { x-a = '1' }";
    let links = [
        link(&format!("{{ {asks} }}"), "chosen"),
        link(&format!("{{ not = {{ {asks} }} }}"), "otherwise"),
    ];
    let config = Configuration::new()
        .plugin("mark", "transform", "")
        .upstream("echo", origin.address);
    let gateway = Gateway::start(&through(config, &links.join(", ")));
    for (method, value, by) in [
        ("POST", "1", "chosen"),
        ("POST", "2", "otherwise"),
        ("GET", "1", "otherwise"),
        ("GET", "2", "otherwise"),
    ] {
        let answer = send(
            gateway.listener("public"),
            method,
            "/",
            &[("x-a", value)],
            b"",
        );
        let named = answer.headers.iter().filter(|(name, _)| name == "x-by");
        let named: Vec<_> = named.map(|(_, value)| value.as_str()).collect();
        assert_eq!(named, [by], "{method} {value}");
    }
}
