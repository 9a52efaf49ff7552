//! Endpoints that signed their own certificate, which stands in `tls.ca`.

use std::net::SocketAddr;

use crate::harness::tls_origin::{Issued, Setup, TlsOrigin};
use crate::harness::{Configuration, Gateway, get};

const NAME: &str = "products.internal";

/// An upstream that believes `CA.pem`, and is asked for by its name.
fn routed(config: Configuration, name: &str, at: SocketAddr, ca: &str) -> Configuration {
    let tls =
        format!("protocol = \"auto\"\ntls = {{ server_name = \"{NAME}\", ca = \"{ca}.pem\" }}");
    let (path, to) = (format!("/{name}"), format!("upstream = '{name}'"));
    config.upstream_with(name, at, &tls).route(name, &path, &to)
}

fn origin(certificate: &Issued, version: &'static rustls::SupportedProtocolVersion) -> TlsOrigin {
    TlsOrigin::start(&Setup {
        version,
        alpn: &["h2", "http/1.1"],
        ..Setup::new(certificate)
    })
}

#[test]
fn an_endpoint_whose_own_certificate_stands_in_tls_ca_is_believed_as_nginx_and_curl_do() {
    let directory = tempfile::tempdir().unwrap();
    let (tls12, tls13) = (&rustls::version::TLS12, &rustls::version::TLS13);
    let mut config = Configuration::new();
    let mut origins = Vec::new();
    for (name, authority, version) in [
        ("authority-13", true, tls13),
        ("authority-12", true, tls12),
        ("none-13", false, tls13),
        ("none-12", false, tls12),
    ] {
        let certificate = Issued::by_itself(&[NAME], 3000, authority);
        certificate.write(directory.path(), name);
        let origin = origin(&certificate, version);
        config = routed(config, name, origin.address, name);
        origins.push((name, origin));
    }
    let gateway = Gateway::start_in(directory, &config, &[]);
    for (name, origin) in origins {
        let answer = get(gateway.listener("public"), &format!("/{name}"), &[]);
        assert_eq!(answer.status, 200, "{name}: {}", gateway.text());
        assert_eq!(origin.seen().requests.len(), 1);
    }
}

#[test]
fn what_stands_in_tls_ca_is_refused_by_its_name_its_time_and_without_its_key() {
    let directory = tempfile::tempdir().unwrap();
    let of = |names: &[&str], year| Issued::by_itself(names, year, true);
    let (trusted, stranger) = (of(&[NAME], 3000), of(&[NAME], 3000));
    let (elsewhere, old) = (of(&["orders.internal"], 3000), of(&[NAME], 2020));
    for (name, certificate) in [
        ("trusted", &trusted),
        ("elsewhere", &elsewhere),
        ("old", &old),
    ] {
        certificate.write(directory.path(), name);
    }
    let impostor = trusted.with_key_of(&stranger);
    let mut config = Configuration::new();
    let mut origins = Vec::new();
    for (name, shown, ca, said) in [
        (
            "elsewhere",
            &elsewhere,
            "elsewhere",
            "the certificate is for orders.internal, not products.internal",
        ),
        (
            "old",
            &old,
            "old",
            "the certificate has expired on 2020-01-01",
        ),
        (
            "other",
            &stranger,
            "trusted",
            "is that of an authority (CA:TRUE) and not itself in `tls.ca`",
        ),
        ("impostor", &impostor, "trusted", "no TLS"),
    ] {
        let origin = origin(shown, &rustls::version::TLS13);
        config = routed(config, name, origin.address, ca);
        origins.push((name, origin, said));
    }
    let gateway = Gateway::start_in(directory, &config, &[]);
    for (name, origin, said) in origins {
        let answer = get(gateway.listener("public"), &format!("/{name}"), &[]);
        assert_eq!(answer.status, 502, "{name}: {}", gateway.text());
        gateway.wait_for_all(&["WARN", &format!("upstream `{name}`: no TLS"), said]);
        assert_eq!(origin.seen().requests.len(), 0, "{name}");
    }
}
