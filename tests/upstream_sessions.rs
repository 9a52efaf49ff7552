//! Sessions of TLS to upstreams: a resumed one vouches for no more than a whole handshake would now.

use std::thread::sleep;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustls::SupportedProtocolVersion;
use rustls::version::{TLS12, TLS13};

use crate::harness::tls_origin::{Authority, Issued, Seen, Setup, TlsOrigin};
use crate::harness::{Configuration, Gateway, get};

const NAME: &str = "products.internal";
/// Another name of the same certificate.
const ALSO: &str = "orders.internal";
/// Every request over a connection of its own.
const H1: &str = "pool = { idle_per_worker = 0 }";
const H2: &str = "protocol = \"h2\"\npool = { idle_timeout = \"1ms\" }";

/// An upstream that has resumed a session with its endpoint, and how it is asked.
struct Resumed {
    name: &'static str,
    origin: TlsOrigin,
    asked: &'static [(&'static str, &'static str)],
    status: u16,
}

impl Resumed {
    fn ask(&self, gateway: &Gateway) -> u16 {
        let path = format!("/{}", self.name);
        get(gateway.listener("public"), &path, self.asked).status
    }
}

/// Upstreams whose endpoints show certificates that end at the same time, all with sessions that were resumed; none if the
/// time was over before they were.
fn resumed(life: Duration) -> Option<(Gateway, Vec<Resumed>, Authority, SystemTime)> {
    let directory = tempfile::tempdir().unwrap();
    let at = directory.path().to_owned();
    let end = SystemTime::now().duration_since(UNIX_EPOCH).unwrap() + life;
    let end = UNIX_EPOCH + Duration::from_secs(end.as_secs());
    let authority = Authority::new("ours");
    authority.write(&at, "ca");
    let issued = authority.issue_ending(&[NAME], end);
    let own = Issued::by_itself_ending(&[NAME], end);
    own.write(&at, "own");
    let (by_ca, by_own, by_system) = (", ca = \"ca.pem\"", ", ca = \"own.pem\"", "");
    let upgrade: &[_] = &[("connection", "upgrade"), ("upgrade", "websocket")];
    let checked = "pool = { idle_per_worker = 0 }\nhealth = { path = \"/\", interval = \"1s\", unhealthy_after = 1 }";
    let mut config = Configuration::new();
    let mut all = Vec::new();
    for (name, certificate, version, keys, lines, asked) in [
        ("ca-13", &issued, &TLS13, by_ca, H1, &[][..]),
        ("ca-12", &issued, &TLS12, by_ca, H1, &[]),
        ("own-13", &own, &TLS13, by_own, H1, &[]),
        ("own-12", &own, &TLS12, by_own, H1, &[]),
        ("system", &issued, &TLS13, by_system, H1, &[]),
        ("h2", &issued, &TLS13, by_ca, H2, &[]),
        ("tunnel", &issued, &TLS13, by_ca, H1, upgrade),
        ("checked", &issued, &TLS13, by_ca, checked, &[]),
        ("renewed-13", &issued, &TLS13, by_ca, H1, &[]),
        ("renewed-12", &issued, &TLS12, by_ca, H1, &[]),
    ] {
        let origin = TlsOrigin::start(&setup(certificate, version));
        let lines = format!("{lines}\ntls = {{ server_name = \"{NAME}\"{keys} }}");
        config = config.upstream_with(name, origin.address, &lines).route(
            name,
            &format!("/{name}"),
            &format!("upstream = '{name}'"),
        );
        let status = if asked.is_empty() { 200 } else { 101 };
        all.push(Resumed {
            name,
            origin,
            asked,
            status,
        });
    }
    let system = at.join("ca.pem");
    let environment = [("SSL_CERT_FILE", system.to_str().unwrap())];
    let gateway = Gateway::start_in(directory, &config, &environment);
    let mut wrong = Vec::new();
    for upstream in &all {
        while upstream.origin.seen().resumed == 0 && SystemTime::now() < end {
            let status = upstream.ask(&gateway);
            if status != upstream.status {
                wrong.push((upstream.name, status));
                break;
            }
            // A connection of HTTP/2 is closed once it carries nothing.
            sleep(Duration::from_millis(5));
        }
    }
    if SystemTime::now() >= end {
        return None;
    }
    assert!(wrong.is_empty(), "{wrong:?}: {}", gateway.text());
    Some((gateway, all, authority, end))
}

fn setup<'a>(certificate: &'a Issued, version: &'static SupportedProtocolVersion) -> Setup<'a> {
    Setup {
        version,
        alpn: &["h2", "http/1.1"],
        ..Setup::new(certificate)
    }
}

#[test]
fn no_session_is_resumed_with_an_endpoint_whose_certificate_has_expired_since() {
    let lives = [4, 16, 64].map(Duration::from_secs);
    let (gateway, upstreams, authority, end) = lives.into_iter().find_map(resumed).unwrap();
    let issued = authority.issue(&[NAME]);
    // A certificate is valid up to the end of its last second.
    let over = end + Duration::from_secs(1);
    sleep(over.duration_since(SystemTime::now()).unwrap_or_default());
    let expired = format!(
        "the certificate has expired on {}",
        humantime::format_rfc3339_seconds(end)
    );
    for upstream in &upstreams {
        let Resumed { name, origin, .. } = upstream;
        let (before, address) = (origin.seen(), origin.address);
        match *name {
            "checked" => {
                gateway.wait_for_all(&["the endpoint is unhealthy", &expired]);
            }
            "renewed-12" | "renewed-13" => {
                let version = if *name == "renewed-12" {
                    &TLS12
                } else {
                    &TLS13
                };
                origin.become_other(&setup(&issued, version));
                for _ in 0..2 {
                    assert_eq!(upstream.ask(&gateway), 200, "{name}: {}", gateway.text());
                }
                // The first went over a connection with a whole handshake, which the second resumes. The one before,
                // which was closed right after its handshake, may count or not.
                let seen = origin.seen();
                let whole = |seen: &Seen| seen.handshakes - seen.resumed;
                assert_eq!(seen.requests.len(), before.requests.len() + 2, "{name}");
                assert_eq!(whole(&seen), whole(&before) + 1, "{name}");
                assert!(seen.resumed > before.resumed, "{name}");
            }
            name => {
                for _ in 0..2 {
                    assert_eq!(upstream.ask(&gateway), 502, "{name}");
                }
                let line = format!("upstream `{name}`: no TLS: {address}: {expired}");
                gateway.wait_for_all(&["WARN", &line]);
                assert_eq!(
                    origin.seen().requests.len(),
                    before.requests.len(),
                    "{name}"
                );
                // A whole handshake says so from then on.
                assert!(origin.seen().resumed <= before.resumed + 1, "{name}");
            }
        }
    }
}

#[test]
fn no_session_is_resumed_once_a_reload_has_changed_the_tls_of_its_upstream() {
    let directory = tempfile::tempdir().unwrap();
    let at = directory.path().to_owned();
    let authority = Authority::new("ours");
    authority.write(&at, "ca");
    authority.write(&at, "same");
    Authority::new("theirs").write(&at, "theirs");
    let both = ["ca.pem", "theirs.pem"].map(|name| std::fs::read_to_string(at.join(name)).unwrap());
    std::fs::write(at.join("both.pem"), both.concat()).unwrap();
    let issued = authority.issue(&[NAME, ALSO]);
    let origin = TlsOrigin::start(&setup(&issued, &TLS13));
    let config = |tls: &str| {
        let lines = format!("{H1}\ntls = {{ {tls} }}");
        Configuration::new()
            .upstream_with("a", origin.address, &lines)
            .route("a", "/a", "upstream = 'a'")
    };
    let system = at.join("ca.pem");
    let environment = [("SSL_CERT_FILE", system.to_str().unwrap())];
    let named = format!("server_name = \"{NAME}\"");
    let by_ca = format!("{named}, ca = \"ca.pem\"");
    let gateway = Gateway::start_in(directory, &config(&by_ca), &environment);
    let public = gateway.listener("public");
    // What is in force next, its status, and whether its first connection resumes a session of the one before.
    for (index, (tls, status, resumes)) in [
        (format!("{named}, ca = \"same.pem\""), 200, true),
        (format!("{named}, ca = \"both.pem\""), 200, false),
        (by_ca.clone(), 200, false),
        (
            format!("server_name = \"{ALSO}\", ca = \"ca.pem\""),
            200,
            false,
        ),
        (by_ca.clone(), 200, false),
        (format!("{by_ca}, min_version = \"1.3\""), 200, false),
        (by_ca.clone(), 200, false),
        (named.clone(), 200, false),
        (by_ca.clone(), 200, false),
        (format!("{named}, ca = \"theirs.pem\""), 502, false),
        (by_ca.clone(), 200, false),
    ]
    .into_iter()
    .enumerate()
    {
        get(public, "/a", &[]);
        let before = origin.seen().resumed;
        gateway.configure(&config(&tls));
        gateway.wait_for(&format!("version={}", index + 2));
        assert_eq!(get(public, "/a", &[]).status, status, "{tls}");
        let resumed = origin.seen().resumed - before;
        assert_eq!(resumed, usize::from(resumes), "{tls}");
        let before = origin.seen().resumed;
        assert_eq!(get(public, "/a", &[]).status, status, "{tls}");
        let resumed = origin.seen().resumed - before;
        assert_eq!(resumed, usize::from(status == 200), "{tls}");
    }
}
