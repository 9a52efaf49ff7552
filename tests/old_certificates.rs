//! Certificates of version 1, which OpenSSL makes where it is given no extensions.

use std::path::Path;
use std::process::Command;

use crate::harness::tls_origin::{Issued, Setup, TlsOrigin};
use crate::harness::{Configuration, Gateway, config, get, program};

const NAME: &str = "products.internal";
const KEY: &str = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes";

fn openssl(at: &Path, arguments: &str) -> String {
    let output = Command::new(program("openssl"))
        .args(arguments.split(' '))
        .current_dir(at)
        .output()
        .expect("openssl (`make packages`)");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "openssl {arguments}: {said}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Authorities and certificates: `ca`, and `old`, which is of version 1; `plain` of version 1, `own` that signed itself, and
/// `right`, which `old` signed; `between`, of an authority of version 1 that `ca` vouches for.
fn make(at: &Path) {
    std::fs::write(at.join("names"), format!("subjectAltName=DNS:{NAME}\n")).unwrap();
    openssl(
        at,
        &format!("req -x509 {KEY} -keyout ca.key -out ca.pem -days 2 -subj /CN=ca"),
    );
    for name in ["old", "middle", "endpoint"] {
        let subject = if name == "endpoint" { NAME } else { name };
        openssl(
            at,
            &format!("req {KEY} -keyout {name}.key -out {name}.csr -subj /CN={subject}"),
        );
    }
    let sign = |name: &str, by: &str, to: &str, more: &str| {
        let by = match by {
            "itself" => format!("-signkey {name}.key"),
            by => format!("-CA {by}.pem -CAkey {by}.key -CAcreateserial"),
        };
        openssl(
            at,
            &format!("x509 -req -in {name}.csr {by} -out {to}.pem -days 2{more}"),
        );
    };
    sign("old", "itself", "old", "");
    sign("middle", "ca", "middle", "");
    sign("endpoint", "ca", "plain", "");
    sign("endpoint", "itself", "own", "");
    sign("endpoint", "old", "right", " -extfile names");
    sign("endpoint", "middle", "under", " -extfile names");
    for (name, version) in [
        ("old", 1),
        ("middle", 1),
        ("plain", 1),
        ("own", 1),
        ("right", 3),
        ("under", 3),
    ] {
        let text = openssl(at, &format!("x509 -in {name}.pem -noout -text"));
        assert!(
            text.contains(&format!("Version: {version} ")),
            "{name}: {text}"
        );
    }
    let chain =
        ["under.pem", "middle.pem"].map(|name| std::fs::read_to_string(at.join(name)).unwrap());
    std::fs::write(at.join("between.pem"), chain.concat()).unwrap();
}

#[test]
fn a_certificate_of_version_1_is_refused_with_words_and_as_an_authority_that_stands_in_ca_it_is_believed()
 {
    let directory = tempfile::tempdir().unwrap();
    make(directory.path());
    let names = "the certificate is of version 1, which has no names: make one of version 3, with a subject alternative name";
    let between = "the certificate of an authority between is of version 1: have one of version 3 made for it";
    let mut config = Configuration::new();
    let mut cases = Vec::new();
    for (shown, ca, said) in [
        ("plain", "ca", Some(names)),
        ("own", "own", Some(names)),
        ("between", "ca", Some(between)),
        ("right", "old", None),
    ] {
        let chain = Issued::read(directory.path(), shown, "endpoint");
        let origin = TlsOrigin::start(&Setup::new(&chain));
        let tls = format!("tls = {{ server_name = \"{NAME}\", ca = \"{ca}.pem\" }}");
        let to = format!("upstream = '{shown}'");
        config = config.upstream_with(shown, origin.address, &tls).route(
            shown,
            &format!("/{shown}"),
            &to,
        );
        cases.push((shown, said, origin));
    }
    let gateway = Gateway::start_in(directory, &config, &[]);
    for (shown, said, origin) in cases {
        let status = get(gateway.listener("public"), &format!("/{shown}"), &[]).status;
        let requests = origin.seen().requests.len();
        let Some(said) = said else {
            assert_eq!((status, requests), (200, 1), "{shown}: {}", gateway.text());
            continue;
        };
        assert_eq!((status, requests), (502, 0), "{shown}");
        let address = origin.address;
        gateway.wait_for_all(&[
            "WARN",
            &format!("upstream `{shown}`: no TLS: {address}: {said}"),
        ]);
    }
}

#[test]
fn a_certificate_of_version_1_that_the_gateway_would_show_is_refused_with_words() {
    let directory = tempfile::tempdir().unwrap();
    make(directory.path());
    let shown = "tls = { certificates = [{ cert = 'plain.pem', key = 'endpoint.key' }] }";
    let text = Configuration::new().listener("secure", shown).route(
        "all",
        "/**",
        "respond = { status = 204 }",
    );
    let file = config::write(&text, directory.path());
    let output = Command::new(env!("CARGO_BIN_EXE_gateway"))
        .args(["check", "--config"])
        .arg(file)
        .output()
        .unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    let said = "listeners[1].tls.certificates[0].cert: the first certificate of `plain.pem` is of version 1; make one of version 3";
    assert!(told.contains(said), "{told}");
}
