//! Upstreams as the admin listener shows them, and endpoints that an operator takes out of them and back.

use std::net::SocketAddr;
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::harness::gateway::PATIENCE;
use crate::harness::http::send;
use crate::harness::{Configuration, Gateway, Origin, get};

/// Holds requests for `/held` until it is opened.
#[derive(Default)]
struct Gate {
    is_open: Mutex<bool>,
    opened: Condvar,
}

impl Gate {
    fn pass(&self) {
        let mut is_open = self.is_open.lock().unwrap();
        while !*is_open {
            is_open = self.opened.wait(is_open).unwrap();
        }
    }

    fn open(&self) {
        *self.is_open.lock().unwrap() = true;
        self.opened.notify_all();
    }
}

/// An origin that answers with its name.
fn origin(name: &'static str, gate: &Arc<Gate>) -> Origin {
    let gate = gate.clone();
    Origin::answering(move |head, _| {
        if head.starts_with("GET /held ") {
            gate.pass();
        }
        let length = name.len();
        format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{name}").into_bytes()
    })
}

/// The upstream `my/app` of these endpoints.
fn config(endpoints: &[&Origin]) -> Configuration {
    let addresses: Vec<_> = endpoints.iter().map(|it| it.address.to_string()).collect();
    let upstream = format!("[upstreams.'my/app']\nendpoints = {addresses:?}");
    let config = Configuration::new().with(&upstream);
    config.route("all", "/**", "upstream = 'my/app'")
}

/// Has the endpoint drained or restored.
fn turn(gateway: &Gateway, endpoint: SocketAddr, turn: &str) -> Value {
    let answer = gateway.post(&format!("/upstreams/my%2Fapp/{endpoint}/{turn}"));
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()
}

/// How an endpoint is shown.
fn shown(gateway: &Gateway, endpoint: SocketAddr) -> Value {
    let upstream = get(gateway.admin(), "/upstreams/my%2Fapp", &[]).json();
    let endpoints = upstream["endpoints"].as_array().unwrap();
    let address = endpoint.to_string();
    let found = endpoints.iter().find(|it| it["address"] == *address);
    found.unwrap_or_else(|| panic!("{upstream}")).clone()
}

/// Who answers so many requests.
fn answers(gateway: &Gateway, count: usize) -> Vec<String> {
    let public = gateway.listener("public");
    let mut names: Vec<_> = (0..count).map(|_| get(public, "/", &[]).text()).collect();
    names.sort();
    names.dedup();
    names
}

fn until(what: impl Fn() -> bool) {
    let began = Instant::now();
    while !what() {
        assert!(began.elapsed() < PATIENCE);
        thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_drained_endpoint_gets_no_new_request_and_ends_those_under_way() {
    let gate = Arc::new(Gate::default());
    let (one, other) = (origin("one", &gate), origin("other", &gate));
    let gateway = Gateway::start(&config(&[&one, &other]));
    let public = gateway.listener("public");
    let held: Vec<_> = (0..2)
        .map(|_| thread::spawn(move || get(public, "/held", &[])))
        .collect();
    until(|| one.seen().len() == 1 && other.seen().len() == 1);

    let drained = turn(&gateway, one.address, "drain");
    assert_eq!(
        (&drained["changed"], &drained["left"]),
        (&true.into(), &1.into())
    );
    assert_eq!(drained["upstream"], "my/app");
    assert_eq!(drained["endpoint"]["in_flight"], 1, "{drained}");
    gateway.wait_for_all(&["INFO", "endpoint drained", &one.address.to_string()]);
    assert_eq!(answers(&gateway, 6), ["other"]);
    let (upstream, at) = ("my/app", one.address);
    let is_drained = || {
        gateway.metric(&format!(
            "gateway_endpoint_obstacle{{upstream=\"{upstream}\",endpoint=\"{at}\",obstacle=\"drained\"}}"
        ))
    };
    assert_eq!(is_drained(), 1.0);
    assert_eq!(turn(&gateway, one.address, "drain")["changed"], false);

    let now = shown(&gateway, one.address);
    assert_eq!(now["takes_requests"], false);
    assert_eq!(now["standing"][0]["is"], "drained");
    assert_eq!(now["standing"][0]["why"], "an operator drained it");
    let since = now["standing"][0]["since"].as_str().unwrap();
    assert!(humantime::parse_rfc3339(since).is_ok(), "{since}");
    assert_eq!(
        shown(&gateway, other.address)["standing"],
        serde_json::json!([])
    );

    gate.open();
    let mut ended: Vec<_> = held
        .into_iter()
        .map(|it| it.join().unwrap().text())
        .collect();
    ended.sort();
    assert_eq!(ended, ["one", "other"]);
    until(|| shown(&gateway, one.address)["in_flight"] == 0);

    assert_eq!(turn(&gateway, one.address, "restore")["left"], 2);
    assert_eq!(answers(&gateway, 6), ["one", "other"]);
    assert_eq!(is_drained(), 0.0);
    assert_eq!(turn(&gateway, one.address, "restore")["changed"], false);
}

#[test]
fn draining_outlives_reloads_that_keep_the_endpoint() {
    let gate = Arc::default();
    let (one, other, third) = (
        origin("one", &gate),
        origin("other", &gate),
        origin("third", &gate),
    );
    let gateway = Gateway::start(&config(&[&one, &other]));
    turn(&gateway, one.address, "drain");
    let since = shown(&gateway, one.address)["standing"][0]["since"].clone();
    for (config, serving) in [
        (config(&[&one, &other]).secret("new", "one"), &["other"][..]),
        (config(&[&third, &other, &one]), &["other", "third"]),
    ] {
        gateway.configure(&config);
        assert_eq!(gateway.post("/reload").status, 200);
        assert_eq!(answers(&gateway, 9), serving);
        assert_eq!(shown(&gateway, one.address)["standing"][0]["since"], since);
    }
}

#[test]
fn draining_ends_with_a_configuration_that_leaves_the_endpoint_out_though_its_connections_idle() {
    let gate = Arc::default();
    let (one, other) = (origin("one", &gate), origin("other", &gate));
    let gateway = Gateway::start(&config(&[&one, &other]));
    assert_eq!(
        answers(&gateway, 4),
        ["one", "other"],
        "both have connections"
    );
    turn(&gateway, one.address, "drain");
    for config in [config(&[&other]), config(&[&one, &other])] {
        gateway.configure(&config);
        assert_eq!(gateway.post("/reload").status, 200);
    }
    assert_eq!(shown(&gateway, one.address)["takes_requests"], true);
    assert_eq!(answers(&gateway, 4), ["one", "other"]);
}

#[test]
fn the_last_endpoint_is_drained_too_which_the_answer_and_the_log_say() {
    let gate = Arc::default();
    let one = origin("one", &gate);
    let gateway = Gateway::start(&config(&[&one]));
    assert_eq!(answers(&gateway, 1), ["one"]);
    let drained = turn(&gateway, one.address, "drain");
    assert_eq!(drained["left"], 0, "{drained}");
    gateway.wait_for_all(&["WARN", "endpoint drained; no other takes requests"]);
    assert_eq!(get(gateway.listener("public"), "/", &[]).status, 503);
    turn(&gateway, one.address, "restore");
    assert_eq!(answers(&gateway, 1), ["one"]);
    assert_eq!(one.seen().len(), 2);
}

#[test]
fn upstreams_are_shown_in_the_order_of_the_file_with_what_they_hold() {
    let gate = Arc::new(Gate::default());
    let (one, other) = (origin("one", &gate), origin("other", &gate));
    let pool = "pool = { max_connections = 1 }\ntimeouts = { connect = '30s' }";
    let config = Configuration::new()
        .upstream_with("z", one.address, pool)
        .upstream("a", other.address)
        .route("z", "/**", "upstream = 'z'")
        .route("a", "/a", "upstream = 'a'");
    let gateway = Gateway::start(&config);
    let public = gateway.listener("public");
    get(public, "/a", &[]);
    let waiting: Vec<_> = (0..2)
        .map(|_| thread::spawn(move || get(public, "/held", &[])))
        .collect();
    let all = || get(gateway.admin(), "/upstreams", &[]).json();
    until(|| all()["upstreams"][0]["connections"]["waiting"] == 1);
    let shown = all();
    let names: Vec<_> = shown["upstreams"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| &it["name"])
        .collect();
    assert_eq!(names, ["z", "a"]);
    assert_eq!(
        shown["upstreams"][0]["connections"],
        serde_json::json!({ "open": 1, "most": 1, "waiting": 1, "most_waiting": 1024 })
    );
    let endpoint = &shown["upstreams"][0]["endpoints"][0];
    assert_eq!(endpoint["address"], one.address.to_string());
    // One is on its connection, and one waits for that.
    assert_eq!(
        (&endpoint["in_flight"], &endpoint["idle_connections"]),
        (&2.into(), &0.into())
    );
    assert_eq!(
        shown["upstreams"][1]["endpoints"][0]["idle_connections"], 1,
        "{shown}"
    );
    gate.open();
    waiting
        .into_iter()
        .for_each(|it| assert_eq!(it.join().unwrap().status, 200));
    until(|| all()["upstreams"][0]["endpoints"][0]["idle_connections"] == 1);
}

#[test]
fn what_there_is_not_is_404_with_words_and_changes_nothing() {
    let one = origin("one", &Arc::default());
    let gateway = Gateway::start(&config(&[&one]));
    let at = one.address;
    for (method, path, words) in [
        (
            "GET",
            "/upstreams/none".to_owned(),
            "no upstream is named \"none\"",
        ),
        (
            "POST",
            format!("/upstreams/none/{at}/drain"),
            "no upstream is named \"none\"",
        ),
        (
            "POST",
            "/upstreams/my%2Fapp/127.0.0.1:1/drain".to_owned(),
            "has no endpoint \"127.0.0.1:1\"",
        ),
        (
            "POST",
            format!("/upstreams/my/app/{at}/drain"),
            "no such endpoint",
        ),
        (
            "POST",
            format!("/upstreams/my%2Fapp/{at}/../{at}/drain"),
            "no such endpoint",
        ),
        (
            "POST",
            "/upstreams/../../reload".to_owned(),
            "no such endpoint",
        ),
    ] {
        let answer = send(gateway.admin(), method, &path, &[], b"");
        assert_eq!(answer.status, 404, "{path}");
        assert!(
            answer.json()["detail"].as_str().unwrap().contains(words),
            "{}",
            answer.text()
        );
    }
    assert_eq!(answers(&gateway, 1), ["one"]);
    assert!(!gateway.text().contains("reloaded"), "{}", gateway.text());
}
