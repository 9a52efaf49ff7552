//! Who asks over a unix socket: a peer without an address.

use std::sync::{Arc, Condvar, Mutex};

use serde_json::{Value, json};

use super::{config, get, local, said, socket_of, text};
use crate::harness::config as harness;
use crate::harness::{Configuration, Gateway, Origin};

/// An origin that holds what asks for `/held` until it is opened.
pub(super) struct Held {
    pub(super) origin: Origin,
    gate: Arc<(Mutex<(bool, bool)>, Condvar)>,
}

impl Held {
    pub(super) fn start() -> Self {
        let gate: Arc<(Mutex<(bool, bool)>, Condvar)> = Arc::default();
        let passing = gate.clone();
        let origin = Origin::answering(move |head, _| {
            if head.starts_with("GET /held ") {
                let (state, changed) = &*passing;
                let mut state = state.lock().unwrap();
                state.0 = true;
                changed.notify_all();
                while !state.1 {
                    state = changed.wait(state).unwrap();
                }
            }
            b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok".to_vec()
        });
        Self { origin, gate }
    }

    /// Waits until it was asked.
    pub(super) fn came(&self) {
        let (state, changed) = &*self.gate;
        let mut state = state.lock().unwrap();
        while !state.0 {
            state = changed.wait(state).unwrap();
        }
    }

    pub(super) fn open(&self) {
        let (state, changed) = &*self.gate;
        state.lock().unwrap().1 = true;
        changed.notify_all();
    }
}

/// The line of the access log for a path.
fn line(gateway: &Gateway, path: &str) -> Value {
    let line = gateway.wait_for(&format!("\"path\":\"{path}\""));
    serde_json::from_str(&line[line.find('{').unwrap()..]).unwrap()
}

/// The lines of a name in what an upstream saw.
fn lines<'a>(seen: &'a str, name: &str) -> Vec<&'a str> {
    let of = |line: &'a str| line.strip_prefix(name)?.strip_prefix(": ");
    seen.lines().filter_map(of).collect()
}

/// Who asks, by which scheme, and the fields by which the upstream is told, of a request with these.
fn told(gateway: &Gateway, origin: &Origin, fields: &[(&str, &str)]) -> [String; 5] {
    let path = format!("/{}", origin.seen().len());
    let answer = get(&socket_of(gateway), &path, fields);
    assert_eq!(answer.status, 200, "{fields:?}: {}", answer.text());
    let line = line(gateway, &path);
    let said = |key: &str| line[key].as_str().unwrap().to_owned();
    let seen = origin.seen().pop().unwrap().to_ascii_lowercase();
    let upstream = |name| lines(&seen, name).join(" | ");
    [
        said("client"),
        said("scheme"),
        upstream("x-forwarded-for"),
        upstream("forwarded"),
        upstream("x-real-ip"),
    ]
}

#[test]
fn a_peer_that_is_not_trusted_says_nothing_of_who_asks() {
    let origin = Origin::start();
    for (lines, forwarded) in [
        ("", ""),
        (
            "client_from = 'forwarded'",
            "for=unknown;host=local.test;proto=http",
        ),
    ] {
        let gateway = Gateway::start(&config(&origin, lines));
        for fields in [
            &[][..],
            &[
                ("x-forwarded-for", "1.2.3.4"),
                ("x-forwarded-proto", "https"),
                ("x-real-ip", "1.2.3.4"),
                ("forwarded", "for=1.2.3.4;proto=https"),
            ],
        ] {
            let expected = ["unix:", "http", "", forwarded, ""];
            assert_eq!(told(&gateway, &origin, fields), expected, "{lines}");
        }
    }
}

#[test]
fn a_peer_that_is_trusted_is_believed_and_adds_no_address() {
    let origin = Origin::start();
    let trusted = "trusted_proxies = ['unix:', '10.0.0.0/8']";
    let gateway = Gateway::start(&config(&origin, trusted));
    for (fields, expected) in [
        (&[][..], ["unix:", "http", "", "", ""]),
        (
            &[
                ("x-forwarded-for", "6.6.6.6, 1.2.3.4, 10.0.0.2"),
                ("x-real-ip", "6.6.6.6"),
            ],
            [
                "1.2.3.4",
                "http",
                "6.6.6.6, 1.2.3.4, 10.0.0.2",
                "",
                "1.2.3.4",
            ],
        ),
        (
            &[
                ("x-forwarded-for", "1.2.3.4"),
                ("x-forwarded-proto", "https"),
            ],
            ["1.2.3.4", "https", "1.2.3.4", "", ""],
        ),
        // What is no address ends the walk, at the peer.
        (
            &[("x-forwarded-for", "unknown"), ("x-real-ip", "6.6.6.6")],
            ["unix:", "http", "unknown", "", ""],
        ),
    ] {
        assert_eq!(told(&gateway, &origin, fields), expected, "{fields:?}");
    }
    let believed = format!("{trusted}\nclient_from = 'forwarded'");
    let gateway = Gateway::start(&config(&origin, &believed));
    for (fields, expected) in [
        (
            &[][..],
            [
                "unix:",
                "http",
                "",
                "for=unknown;host=local.test;proto=http",
                "",
            ],
        ),
        (
            &[(
                "forwarded",
                "for=6.6.6.6, for=1.2.3.4;proto=https, for=10.0.0.2",
            )],
            [
                "1.2.3.4",
                "http",
                "1.2.3.4",
                "for=1.2.3.4;proto=https, for=10.0.0.2",
                "",
            ],
        ),
    ] {
        let [client, _, rest @ ..] = told(&gateway, &origin, fields);
        let [wanted, _, others @ ..] = expected;
        assert_eq!(
            (&*client, rest),
            (wanted, others.map(String::from)),
            "{fields:?}"
        );
    }
}

#[test]
fn a_peer_is_in_no_network_and_one_client_to_plugins() {
    let origin = Origin::start();
    let trusted = "trusted_proxies = ['unix:']";
    let config = config(&origin, trusted)
        .probed(origin.address, "")
        .with(
            "[[routes]]\nname = 'network'\nmatch = { path = '/who', client = ['0.0.0.0/0', '::/0'] }\n\
             respond = { body = 'in a network' }",
        )
        .route("who", "/who", "respond = { body = '{client}' }")
        .chain(
            "counted",
            "/counted",
            &["limit"],
            "respond = { status = 204 }",
        )
        .plugin(
            "limit",
            "rate_limit",
            "config = { algorithm = 'fixed_window', limit = 1, window = '1h', key = 'client_address' }",
        );
    let gateway = Gateway::start(&config);
    let socket = socket_of(&gateway);
    let behind = [("x-forwarded-for", "192.0.2.7")];
    assert_eq!(get(&socket, "/who", &[]).text(), "unix:");
    assert_eq!(get(&socket, "/who", &behind).text(), "in a network");
    let saw = |fields| get(&socket, "/probe/client-address", fields).json()["saw"].clone();
    assert_eq!(saw(&[]), json!("unix:"));
    assert_eq!(saw(&behind), json!("192.0.2.7"));
    let counted = |fields| get(&socket, "/counted", fields).status;
    assert_eq!(
        [counted(&[]), counted(&[]), counted(&behind)],
        [204, 429, 204]
    );
}

#[test]
fn a_route_asks_for_clients_of_unix_sockets_beside_networks() {
    let origin = Origin::start();
    let route = |name: &str, client: &str| {
        format!(
            "[[routes]]\nname = '{name}'\nmatch = {{ path = '/{name}', client = {client} }}\n\
             respond = {{ body = 'ours' }}\n"
        )
    };
    let config = config(&origin, "trusted_proxies = ['unix:']")
        .with(&route("sockets", "'unix:'"))
        .with(&route("both", "['unix:', '10.0.0.0/8']"))
        .with(&route("network", "['10.0.0.0/8']"));
    let gateway = Gateway::start(&config);
    let (socket, public) = (socket_of(&gateway), gateway.listener("public"));
    let near = [("x-forwarded-for", "10.0.0.7")];
    let far = [("x-forwarded-for", "192.0.2.7")];
    for (path, without, behind_near, behind_far) in [
        ("/sockets", true, false, false),
        ("/both", true, true, false),
        ("/network", false, true, false),
    ] {
        for (fields, holds) in [
            (&[][..], without),
            (&near[..], behind_near),
            (&far[..], behind_far),
        ] {
            let is_ours = get(&socket, path, fields).text() == "ours";
            assert_eq!(is_ours, holds, "{path} {fields:?}");
        }
        assert_ne!(crate::harness::get(public, path, &[]).text(), "ours");
    }
    let explain = |path: &str, fields: &[&str]| {
        let url = format!("http://a.test{path}");
        let asked = [
            "explain",
            "--config",
            "gateway.toml",
            &url,
            "--listener",
            "local",
        ];
        text(&said(
            gateway.directory.path(),
            &[&asked[..], fields].concat(),
        ))
    };
    let over = explain("/sockets", &[]);
    assert!(over.contains("\nroute sockets ("), "{over}");
    let behind = explain("/sockets", &["-H", "x-forwarded-for: 10.0.0.7"]);
    let unmet = "client: wanted unix:, the request has 10.0.0.7";
    assert!(behind.contains(unmet), "{behind}");
    let behind = explain("/both", &["-H", "x-forwarded-for: 192.0.2.7"]);
    let unmet = "client: wanted an address in 10.0.0.0/8 or unix:, the request has 192.0.2.7";
    assert!(behind.contains(unmet), "{behind}");
}

#[test]
fn a_split_by_the_address_of_clients_has_no_key_for_a_peer_without() {
    let lines = "split_on = 'client_address'\nsplit = [{ name = 'a', upstream = 'a', weight = 1 }, \
                 { name = 'b', upstream = 'b', weight = 1 }]";
    let (a, b) = (Origin::start(), Origin::start());
    let config = Configuration::new()
        .with(&local(""))
        .upstream("a", a.address)
        .upstream("b", b.address)
        .route("all", "/**", lines);
    let gateway = Gateway::start(&config);
    for _ in 0..20 {
        assert_eq!(get(&socket_of(&gateway), "/", &[]).status, 200);
    }
    let shares = [a.seen().len(), b.seen().len()];
    assert!(shares.iter().all(|share| *share > 5), "{shares:?}");
}

#[test]
fn a_request_that_comes_back_over_the_socket_of_its_gateway_ends() {
    let config = Configuration::new()
        .with(&local(""))
        .with("[upstreams.own]\nendpoints = ['unix:public.sock']")
        .route("all", "/**", "upstream = 'own'");
    let gateway = Gateway::start(&config);
    assert_eq!(get(&socket_of(&gateway), "/", &[]).status, 508);
    let checked = said(
        gateway.directory.path(),
        &["check", "--config", "gateway.toml"],
    );
    let warning = format!(
        "routes[0].upstream: the endpoint unix:{} of `own` is the listener `local` of this gateway",
        socket_of(&gateway).display()
    );
    assert!(text(&checked).contains(&warning), "{}", text(&checked));
}

#[test]
fn explain_tells_what_a_unix_socket_tells() {
    let origin = Origin::start();
    let directory = tempfile::tempdir().unwrap();
    let config = config(&origin, "trusted_proxies = ['unix:']");
    harness::write(&config, directory.path());
    let explain = |arguments: &[&str]| {
        let base = ["explain", "--config", "gateway.toml", "http://a.test/x"];
        said(directory.path(), &[&base[..], arguments].concat())
    };
    let over = text(&explain(&["--listener", "local"]));
    assert!(
        over.contains("comes to the listener `local`, from unix:\n"),
        "{over}"
    );
    assert!(!over.contains("x-forwarded-for"), "{over}");
    let behind = ["--listener", "local", "-H", "x-forwarded-for: 192.0.2.7"];
    let behind = text(&explain(&behind));
    assert!(
        behind.contains("  x-forwarded-for: 192.0.2.7\n"),
        "{behind}"
    );
    assert!(behind.contains("from 192.0.2.7"), "{behind}");
    for (listener, client, why) in [
        (
            "local",
            "192.0.2.7",
            "`local` listens on a unix socket, where a client has no address; leave out the client, or say it by a field \
             such as 'x-forwarded-for: 192.0.2.7'",
        ),
        (
            "public",
            "unix:",
            "`public` listens at 127.0.0.1:0, where a client has an address",
        ),
        ("public", "nobody", "\"nobody\" is no address"),
    ] {
        let refused = explain(&["--listener", listener, "--client", client]);
        assert_eq!(refused.status.code(), Some(64), "{}", text(&refused));
        assert!(text(&refused).contains(why), "{}", text(&refused));
    }
}
