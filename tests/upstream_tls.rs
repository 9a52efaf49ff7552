//! TLS to upstreams: who is believed, what is said where one is not, and what is kept.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};

use tempfile::TempDir;

use crate::harness::http::send;
use crate::harness::tls_origin::{Authority, Issued, Setup, TlsOrigin};
use crate::harness::{Configuration, Gateway, Origin, get};

/// An upstream with a route `/NAME/**` to it.
fn routed(config: Configuration, name: &str, at: SocketAddr, lines: &str) -> Configuration {
    config.upstream_with(name, at, lines).route(
        name,
        &format!("/{name}/**"),
        &format!("upstream = '{name}'"),
    )
}

/// A directory with `ca.pem`, its authority, and a certificate of it for `products.internal`.
fn trusted() -> (TempDir, Authority, Issued) {
    let directory = tempfile::tempdir().unwrap();
    let authority = Authority::new("ours");
    authority.write(directory.path(), "ca");
    let issued = authority.issue(&["products.internal", "127.0.0.1"]);
    (directory, authority, issued)
}

const NAMED: &str = r#"tls = { server_name = "products.internal", ca = "ca.pem" }"#;

#[test]
fn an_upstream_over_tls_is_asked_over_one_connection_by_its_own_host() {
    let (directory, _, issued) = trusted();
    let origin = TlsOrigin::start(&Setup::new(&issued));
    let config = routed(Configuration::new(), "named", origin.address, NAMED);
    let config = routed(
        config,
        "addressed",
        origin.address,
        r#"tls = { ca = "ca.pem" }"#,
    );
    let gateway = Gateway::start_in(directory, &config, &[]);
    let public = gateway.listener("public");
    for _ in 0..3 {
        let answer = send(public, "POST", "/named/x", &[], b"body");
        let host = origin.address;
        assert_eq!(
            answer.text(),
            format!("HTTP/1.1 POST - {host} /named/x body")
        );
    }
    assert_eq!(origin.seen().handshakes, 1);
    // Without a name, the certificate is for the address.
    assert_eq!(get(public, "/addressed/x", &[]).status, 200);
    // An answer as any other: it is the client that may ask elsewhere.
    assert_eq!(get(public, "/named/misdirected", &[]).status, 421);
}

/// A way in which there is no TLS.
struct Refusal {
    name: &'static str,
    /// Of the upstream.
    lines: String,
    said: &'static str,
    at: SocketAddr,
    origin: Option<TlsOrigin>,
}

const ASKS: &str = "the endpoint asks for a client certificate: give `tls.certificate`";
const REFUSES: &str =
    "the endpoint does not accept the certificate of `tls.certificate`: unknown CA";

/// What is wrong with the endpoint, for a gateway that believes this authority and asks for `products.internal`.
fn endpoints_that_are_refused(authority: &Authority, issued: &Issued) -> Vec<Refusal> {
    let other = Authority::new("theirs");
    let usual = tls("");
    let wrong = "tls = { server_name = \"orders.internal\", ca = \"ca.pem\" }";
    let system = "tls = { server_name = \"products.internal\" }";
    let tls12 = &rustls::version::TLS12;
    let expired = authority.issue_until(&["products.internal"], 2020);
    let unknown = other.issue(&["products.internal"]);
    let of = |setup: Setup<'_>, name, lines: &str, said| Refusal::of(&setup, name, lines, said);
    vec![
        of(
            Setup::new(issued),
            "name",
            wrong,
            "the certificate is for products.internal, 127.0.0.1, not orders.internal: look at `tls.server_name`",
        ),
        of(
            Setup::new(&expired),
            "expired",
            &usual,
            "the certificate has expired on 2020-01-01T00:00:00Z",
        ),
        of(
            Setup::new(&unknown),
            "authority",
            &usual,
            "none of the authorities in `tls.ca` vouches for the certificate",
        ),
        of(
            Setup::new(issued),
            "system",
            system,
            "none of the authorities that the system trusts vouches for the certificate: name the one that does by `tls.ca`",
        ),
        of(
            Setup {
                version: tls12,
                ..Setup::new(issued)
            },
            "version",
            &tls(r#", min_version = "1.3""#),
            "the endpoint does not speak TLS 1.3, and `tls.min_version` takes no older",
        ),
        of(
            Setup {
                alpn: &["http/1.1"],
                ..Setup::new(issued)
            },
            "alpn",
            &h2(&usual),
            "the endpoint speaks none of the protocols that are offered by ALPN: look at `protocol`",
        ),
        of(
            Setup::new(issued),
            "no-alpn",
            &h2(&usual),
            "the endpoint does not choose HTTP/2 by ALPN: write `protocol = \"h1\"`, or \"auto\"",
        ),
    ]
}

/// What endpoints find wrong with the gateway.
fn endpoints_that_refuse(authority: &Authority, issued: &Issued) -> Vec<Refusal> {
    let stranger = tls(r#", certificate = { cert = "stranger.pem", key = "stranger.key" }"#);
    let of = |version, name, lines: &str, said| {
        let setup = Setup {
            clients: Some(authority),
            version,
            alpn: &["h2", "http/1.1"],
            ..Setup::new(issued)
        };
        Refusal::of(&setup, name, lines, said)
    };
    let (tls12, tls13) = (&rustls::version::TLS12, &rustls::version::TLS13);
    vec![
        of(tls12, "asks-12", &tls(""), ASKS),
        of(tls13, "asks-13", &tls(""), ASKS),
        of(tls13, "asks-h2", &h2(&tls("")), ASKS),
        of(tls12, "stranger-12", &stranger, REFUSES),
        of(tls13, "stranger-13", &stranger, REFUSES),
        of(tls13, "stranger-h2", &h2(&stranger), REFUSES),
    ]
}

fn tls(keys: &str) -> String {
    format!("tls = {{ server_name = \"products.internal\", ca = \"ca.pem\"{keys} }}")
}

fn h2(lines: &str) -> String {
    format!("protocol = \"h2\"\n{lines}")
}

impl Refusal {
    fn of(setup: &Setup<'_>, name: &'static str, lines: &str, said: &'static str) -> Self {
        let origin = TlsOrigin::start(setup);
        Self {
            name,
            lines: lines.to_owned(),
            said,
            at: origin.address,
            origin: Some(origin),
        }
    }
}

/// A server of HTTP that answers whatever it reads, as those do that cannot make a request of it.
fn clear() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let answer = b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n";
            // Who reads it may have gone.
            let _read = stream.read(&mut [0; 1024]);
            let _sent = stream.write_all(answer);
        }
    });
    address
}

#[test]
fn where_there_is_no_tls_the_request_is_502_and_the_log_says_what_to_do() {
    let (directory, authority, issued) = trusted();
    let stranger = Authority::new("theirs").issue(&["gateway"]);
    stranger.write(directory.path(), "stranger");
    let clear = clear();
    let mut refusals = endpoints_that_are_refused(&authority, &issued);
    refusals.extend(endpoints_that_refuse(&authority, &issued));
    refusals.push(Refusal {
        name: "clear",
        lines: tls(""),
        said: "what came is no TLS: the endpoint speaks in clear text on this port, perhaps HTTP",
        at: clear,
        origin: None,
    });
    let mut config = Configuration::new().access_log();
    for Refusal {
        name, at, lines, ..
    } in &refusals
    {
        config = routed(config, name, *at, lines);
    }
    let gateway = Gateway::start_in(directory, &config, &[]);
    let public = gateway.listener("public");
    for refusal in &refusals {
        let Refusal { name, at, said, .. } = refusal;
        let path = format!("/{name}/x");
        let answer = send(public, "POST", &path, &[], b"body");
        assert_eq!(answer.status, 502, "{name}");
        let line = format!("upstream `{name}`: no TLS: {at}: {said}");
        gateway.wait_for_all(&["WARN", &line]);
        gateway.wait_for_all(&[&path, "\"error\":\"tls\""]);
        let seen = refusal.origin.as_ref().map(TlsOrigin::seen);
        assert!(seen.is_none_or(|seen| seen.requests.is_empty()), "{name}");
    }
    let failures = "gateway_upstream_failures_total{upstream=\"asks-13\",kind=\"tls\"}";
    assert_eq!(gateway.metric(failures), 1.0);
}

#[test]
fn a_client_certificate_is_shown_and_the_authorities_of_the_system_are_believed() {
    let (directory, authority, issued) = trusted();
    let shown = authority.issue(&["gateway"]);
    shown.write(directory.path(), "gateway");
    let clients = Some(&authority);
    let origin = TlsOrigin::start(&Setup {
        clients,
        ..Setup::new(&issued)
    });
    let lines = r#"tls = { server_name = "products.internal", certificate = { cert = "gateway.pem", key = "gateway.key" } }"#;
    let config = routed(Configuration::new(), "a", origin.address, lines);
    let system = directory.path().join("ca.pem");
    let gateway = Gateway::start_in(
        directory,
        &config,
        &[("SSL_CERT_FILE", system.to_str().unwrap())],
    );
    assert_eq!(get(gateway.listener("public"), "/a/x", &[]).status, 200);
    assert_eq!(origin.seen().clients.len(), 1);
}

#[test]
fn auto_is_what_the_endpoint_chooses_and_an_upgrade_is_for_http_1() {
    let (directory, _, issued) = trusted();
    let both = TlsOrigin::start(&Setup {
        alpn: &["h2", "http/1.1"],
        ..Setup::new(&issued)
    });
    let one = TlsOrigin::start(&Setup {
        alpn: &["http/1.1"],
        ..Setup::new(&issued)
    });
    let none = TlsOrigin::start(&Setup::new(&issued));
    let auto = format!("protocol = \"auto\"\n{NAMED}");
    let mut config = Configuration::new();
    let origins = [
        ("both", &both, "HTTP/2.0"),
        ("one", &one, "HTTP/1.1"),
        ("none", &none, "HTTP/1.1"),
    ];
    for (name, origin, _) in origins {
        config = routed(config, name, origin.address, &auto);
    }
    let gateway = Gateway::start_in(directory, &config, &[]);
    let public = gateway.listener("public");
    for (name, origin, version) in origins {
        let scheme = if version == "HTTP/2.0" { "https" } else { "-" };
        for _ in 0..3 {
            let answer = send(public, "POST", &format!("/{name}/x"), &[], b"body");
            let host = origin.address;
            assert_eq!(
                answer.text(),
                format!("{version} POST {scheme} {host} /{name}/x body")
            );
        }
        assert_eq!(origin.seen().handshakes, 1, "{name}");
    }
    let asked = [("connection", "upgrade"), ("upgrade", "websocket")];
    assert_eq!(get(public, "/both/x", &asked).status, 101);
    let last = both.seen().requests.pop().unwrap();
    assert!(last.starts_with("HTTP/1.1 GET"), "{last}");
}

#[test]
fn sessions_are_resumed_over_a_reload_and_rotated_files_are_read_without_one() {
    let (directory, authority, issued) = trusted();
    let at = directory.path().to_owned();
    authority.issue(&["gateway"]).write(&at, "gateway");
    let clients = Some(&authority);
    let origin = TlsOrigin::start(&Setup {
        clients,
        ..Setup::new(&issued)
    });
    let lines = r#"pool = { idle_per_worker = 0 }
tls = { server_name = "products.internal", ca = "ca.pem", certificate = { cert = "gateway.pem", key = "gateway.key" } }"#;
    let config = routed(Configuration::new(), "a", origin.address, lines);
    let gateway = Gateway::start_in(directory, &config, &[]);
    let public = gateway.listener("public");
    let ask = |times: usize| {
        for _ in 0..times {
            assert_eq!(get(public, "/a/x", &[]).status, 200, "{}", gateway.text());
        }
    };
    ask(3);
    assert_eq!((origin.seen().handshakes, origin.seen().resumed), (3, 2));
    gateway.configure(&config.clone().route("more", "/more/**", "upstream = 'a'"));
    gateway.wait_for("config_version=2");
    ask(2);
    assert_eq!((origin.seen().handshakes, origin.seen().resumed), (5, 4));

    // Another certificate: what the endpoint sees is the new one, which a resumed session would not show.
    let before = origin.seen().clients.pop().unwrap();
    authority.issue(&["gateway"]).write(&at, "gateway");
    gateway.wait_for("config_version=3");
    ask(1);
    assert_ne!(origin.seen().clients.pop().unwrap(), before);
    assert_eq!(origin.seen().resumed, 4);
}

#[test]
fn no_connection_from_before_is_used_once_its_authority_is_believed_no_more() {
    let (directory, _, issued) = trusted();
    let at = directory.path().to_owned();
    let origin = TlsOrigin::start(&Setup {
        alpn: &["h2", "http/1.1"],
        ..Setup::new(&issued)
    });
    let mut config = Configuration::new();
    for protocol in ["h1", "h2", "auto"] {
        let lines = format!("protocol = \"{protocol}\"\n{NAMED}");
        config = routed(config, protocol, origin.address, &lines);
    }
    let gateway = Gateway::start_in(directory, &config, &[]);
    let public = gateway.listener("public");
    let paths = ["/h1/x", "/h2/x", "/auto/x"];
    for path in paths {
        assert_eq!(get(public, path, &[]).status, 200);
    }
    let others = Authority::new("others");
    others.write(&at, "ca");
    gateway.wait_for("config_version=2");
    for path in paths {
        assert_eq!(get(public, path, &[]).status, 502, "{path}");
    }
    let renewed = others.issue(&["products.internal"]);
    origin.become_other(&Setup {
        alpn: &["h2", "http/1.1"],
        ..Setup::new(&renewed)
    });
    for path in paths {
        assert_eq!(get(public, path, &[]).status, 200, "{path}");
    }
}

#[test]
fn a_fallback_for_connect_answers_where_there_is_no_tls_and_gets_the_body() {
    let (directory, _, issued) = trusted();
    let origin = TlsOrigin::start(&Setup::new(&issued));
    let other = Origin::start();
    let wrong = r#"tls = { server_name = "orders.internal", ca = "ca.pem" }"#;
    let config = Configuration::new()
        .upstream_with("wrong", origin.address, wrong)
        .upstream("other", other.address)
        .route(
            "r",
            "/**",
            "upstream = 'wrong'\nfallback = { on = ['connect'], upstream = 'other' }",
        );
    let gateway = Gateway::start_in(directory, &config, &[]);
    let public = gateway.listener("public");
    let answer = send(public, "POST", "/x", &[], b"body");
    assert_eq!(answer.text(), r#"{"path":"/x","body":4}"#);
}

/// config/examples/upstream-tls.toml, as docs/upstream-tls.md shows it.
#[test]
fn the_example_of_tls_to_upstreams_does_what_its_page_says() {
    let (directory, authority, issued) = trusted();
    let at = directory.path();
    authority.issue(&["gateway"]).write(at, "gateway");
    let file = |name: &str| at.join(name).to_str().unwrap().to_owned();
    let products = TlsOrigin::start(&Setup {
        clients: Some(&authority),
        alpn: &["h2"],
        ..Setup::new(&issued)
    });
    let orders = TlsOrigin::start(&Setup::new(&issued));
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let example = root.join("config/examples/upstream-tls.toml");
    let (one, other) = (products.address.to_string(), orders.address.to_string());
    let files = ["ca.pem", "gateway.pem", "gateway.key"].map(file);
    let environment = [
        ("GATEWAY_PUBLIC", "127.0.0.1:0"),
        ("PRODUCTS", &one),
        ("ORDERS", &other),
        ("CA", &files[0]),
        ("CERT", &files[1]),
        ("KEY", &files[2]),
    ];
    let gateway = Gateway::start_file(&example, &environment, directory);
    let public = gateway.listener("public");
    let answer = get(public, "/products/1", &[]);
    assert_eq!(
        answer.text(),
        format!("HTTP/2.0 GET https {one} /products/1")
    );
    // No system trusts what a test makes.
    let later = get(public, "/orders/1", &[]);
    assert_eq!((later.status, later.text().as_str()), (503, "later\n"));
    gateway.wait_for("none of the authorities that the system trusts vouches for the certificate");
    let page = std::fs::read_to_string(root.join("docs/upstream-tls.md")).unwrap();
    let shown = page.split("```toml\n").nth(1).unwrap();
    let shown = shown.split("```").next().unwrap();
    assert!(
        std::fs::read_to_string(&example)
            .unwrap()
            .contains(shown.trim_end())
    );
}
