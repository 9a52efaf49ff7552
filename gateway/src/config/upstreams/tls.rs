//! `upstreams.NAME.tls`: whom the gateway believes, and what it shows of itself.

use std::net::IpAddr;
use std::sync::Arc;

use rustls::RootCertStore;
use rustls::pki_types::{CertificateDer, ServerName};

use crate::config::certificates::{self, Shown};
use crate::config::description::Words;
use crate::config::item::Item;
use crate::config::model::UpstreamTls;
use crate::config::table::Table;

/// What other systems switch verification off by.
const UNVERIFIED: [&str; 5] = [
    "verify",
    "insecure",
    "insecure_skip_verify",
    "skip_verify",
    "trust_all",
];

static WORDS: Words = Words {
    about: "TLS to an upstream; `tls = {}` is all that it takes. The certificate of an endpoint is verified always: by its \
            name, its time and the authority that vouches for it. The files are read again as they change.",
    keys: &[
        (
            "server_name",
            "The name, or the IP address, that the certificate of every endpoint must have, and that endpoints are asked \
             for (SNI). Unless given, that of the endpoint.",
        ),
        (
            "ca",
            "A PEM file with the authorities that may vouch for an endpoint: those alone, or the certificate of an endpoint \
             itself, where it signed its own. Unless given, those that the system trusts.",
        ),
        (
            "certificate",
            "What the gateway shows of itself to an endpoint that asks for a client certificate.",
        ),
        ("min_version", "The lowest version of TLS."),
    ],
    example: "",
};

/// `upstreams.NAME.tls`.
pub(super) fn tls(table: &mut Table<'_>) -> Option<UpstreamTls> {
    table.words(&WORDS);
    table.refuse(&UNVERIFIED, |_| {
        "verification cannot be switched off; name the authority that signed the certificate by `ca`, and the name in it by \
         `server_name`"
            .to_owned()
    });
    let server_name = table.optional("server_name", server_name);
    let of_system = !table.has("ca");
    let given = table.optional("ca", authorities);
    let certificate = table.optional("certificate", |item| {
        certificates::certificate(item, Shown::ToEndpoints)
    });
    let min_version = certificates::min_version(table);
    let (roots, authorities) = match of_system {
        true => {
            let roots = table.scope.authorities(system);
            (roots.map_err(|why| table.fault_here(why)).ok()?, Vec::new())
        }
        false => given?,
    };
    Some(UpstreamTls {
        server_name,
        roots,
        authorities,
        of_system,
        certificate,
        min_version,
    })
}

fn server_name(item: &Item<'_>) -> Option<ServerName<'static>> {
    const EXPECTED: &str = "a name or an IP address such as \"products.internal\"";
    let text = item.text_as(EXPECTED)?;
    if let Ok(name) = ServerName::try_from(text.to_owned()) {
        item.may_show(Some(text));
        return Some(name);
    }
    let quoted = item.quoted();
    let bare = text.trim_start_matches('[').split([']', ':']).next();
    if text.contains("://") {
        item.fault(format!("{quoted} is a URL, expected {EXPECTED}"));
    } else if text.starts_with("*.") {
        item.fault(format!(
            "{quoted} is a pattern; write one name that the certificate covers"
        ));
    } else if text
        .rsplit_once(':')
        .is_some_and(|(_, port)| port.parse::<u16>().is_ok())
        && text.parse::<IpAddr>().is_err()
        && bare.is_some_and(|bare| !bare.is_empty())
    {
        item.fault(format!(
            "{quoted} has a port; write the name alone, a certificate has none"
        ));
    } else {
        item.mismatch(EXPECTED);
    }
    None
}

/// The authorities in a file.
fn authorities(item: &Item<'_>) -> Option<(Arc<RootCertStore>, Vec<CertificateDer<'static>>)> {
    let certificates = certificates::all_of(item, "`ca` wants the certificates of authorities")?;
    let mut roots = RootCertStore::empty();
    for (index, certificate) in certificates.iter().enumerate() {
        if roots.add(certificate.clone()).is_err() {
            let (number, quoted, why) = (index + 1, item.quoted(), certificates::MALFORMED);
            item.fault(format!("certificate {number} of {quoted} {why}"));
            return None;
        }
    }
    Some((Arc::new(roots), certificates))
}

/// The authorities that the system trusts.
///
/// # Errors
/// Why there are none.
fn system() -> Result<Arc<RootCertStore>, String> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    // Stores have some that no one reads any more.
    let (added, _unread) = roots.add_parsable_certificates(found.certs);
    if added > 0 {
        return Ok(Arc::new(roots));
    }
    let why = found.errors.first().map(|error| format!(": {error}"));
    Err(format!(
        "the system has no certificates of authorities{}; install them (on Debian: ca-certificates), or name a file by `ca`",
        why.unwrap_or_default()
    ))
}
