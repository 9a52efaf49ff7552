//! `listeners.tls`, and what upstreams' has in common with it: chains and keys, read and matched with each other.

use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::sign::CertifiedKey;

use super::description::Words;
use super::item::Item;
use super::model::{Certificate, Tls, TlsVersion};
use super::table::{Default, Table};

/// How long before its end a certificate is warned about.
const SOON: Duration = Duration::from_secs(7 * 24 * 3600);

static TLS: Words = Words {
    about: "TLS of a listener. A reload reads the files again.",
    keys: &[
        (
            "certificates",
            "Certificates with their keys. The name that the client asks for picks one; the first is the default.",
        ),
        ("min_version", "The lowest version of TLS."),
    ],
    example: "",
};

static CERTIFICATE: Words = Words {
    about: "A certificate and its key.",
    keys: &[
        (
            "cert",
            "A PEM file with the certificate first, then those that vouch for it.",
        ),
        ("key", "A PEM file with the private key, not encrypted."),
    ],
    example: "",
};

/// Whom a certificate is shown to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shown {
    /// By a listener.
    ToClients,
    /// To an upstream that asks for one.
    ToEndpoints,
}

impl Shown {
    fn who(self) -> &'static str {
        match self {
            Self::ToClients => "clients",
            Self::ToEndpoints => "endpoints",
        }
    }
}

/// `listeners.tls`.
pub(super) fn tls(table: &mut Table<'_>) -> Option<Tls> {
    table.words(&TLS);
    table.later(&["client_auth"]);
    let example = "certificates = [{ cert = \"cert.pem\", key = \"key.pem\" }]";
    let certificates = table.required("certificates", example, |item| {
        let items = item.items("a list such as [{ cert = \"cert.pem\", key = \"key.pem\" }]")?;
        if items.is_empty() {
            item.fault("is empty; TLS needs at least one certificate");
        }
        let read: Vec<_> = items
            .iter()
            .filter_map(|item| certificate(item, Shown::ToClients))
            .collect();
        Some(read)
    });
    let min_version = min_version(table);
    Some(Tls {
        certificates: certificates?,
        min_version,
    })
}

/// The lowest version of TLS.
pub(super) fn min_version(table: &mut Table<'_>) -> TlsVersion {
    table.or("min_version", Default::Text("1.2"), |item| {
        item.choice(&[("1.2", TlsVersion::V1_2), ("1.3", TlsVersion::V1_3)], &[])
    })
}

/// A certificate, those that vouch for it, and its key.
pub(super) fn certificate(item: &Item<'_>, shown: Shown) -> Option<Certificate> {
    let (read, _) = item.table(
        "a table such as { cert = \"cert.pem\", key = \"key.pem\" }",
        |table| {
            table.words(&CERTIFICATE);
            let chain = table.required("cert", "cert = \"cert.pem\"", |item| chain(item, shown));
            let key = table.required("key", "key = \"key.pem\"", |item| {
                Some((item.quoted(), private_key(item)?))
            });
            Some((chain?, key?))
        },
    )?;
    let ((chain, names), (key_file, key)) = read?;
    let provider = rustls::crypto::ring::default_provider();
    match CertifiedKey::from_der(chain, key, &provider) {
        Ok(key) => Some(Certificate {
            key: Arc::new(key),
            names,
        }),
        Err(rustls::Error::InconsistentKeys(_)) => {
            item.fault(format!(
                "the key in {key_file} does not belong to the certificate: their public keys differ"
            ));
            None
        }
        Err(error) => {
            item.fault(format!(
                "the key in {key_file} cannot be used ({error}); RSA of 2048 bits or more, ECDSA P-256, P-384 and Ed25519 can"
            ));
            None
        }
    }
}

/// What is said of a certificate that no one can make sense of.
pub(super) const MALFORMED: &str = "is not well formed; make it anew";

type Chain = (Vec<CertificateDer<'static>>, Vec<String>);

fn chain(item: &Item<'_>, shown: Shown) -> Option<Chain> {
    let chain = all_of(item, "`cert` and `key` may have changed places")?;
    let (first, quoted) = (chain.first()?, item.quoted());
    let names = match webpki::EndEntityCert::try_from(first) {
        Ok(parsed) => parsed
            .valid_dns_names()
            .map(str::to_ascii_lowercase)
            .collect(),
        Err(error) => {
            let why = match error {
                webpki::Error::UnsupportedCertVersion => "is of version 1; make one of version 3",
                _ => MALFORMED,
            };
            item.fault(format!("the first certificate of {quoted} {why}"));
            return None;
        }
    };
    let names: Vec<_> = names;
    if shown == Shown::ToClients && names.is_empty() && !has_subject_alternative_names(first) {
        item.warn(format!(
            "{quoted} has no subject alternative name: clients will refuse it, a common name does not count (RFC 9525)"
        ));
    }
    for (index, certificate) in chain.iter().enumerate() {
        if let Some(trouble) = validity(certificate, UnixTime::now(), shown.who()) {
            let which = match index {
                0 => String::new(),
                _ => format!("certificate {} of ", index + 1),
            };
            item.warn(format!("{which}{quoted} {trouble}"));
        }
    }
    Some((chain, names))
}

/// The certificates in a file: at least one. `misplaced` says what it may mean that there is a private key instead.
pub(super) fn all_of(item: &Item<'_>, misplaced: &str) -> Option<Vec<CertificateDer<'static>>> {
    let pem = file(item)?;
    let quoted = item.quoted();
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    let all = match all {
        Ok(all) => all,
        Err(error) => {
            item.fault(format!("{quoted} is not sound PEM: {}", reason(&error)));
            return None;
        }
    };
    if all.is_empty() {
        let hint = match PrivateKeyDer::from_pem_slice(&pem) {
            Ok(_) => format!("it holds a private key: {misplaced}"),
            Err(_) => "expected PEM with a CERTIFICATE section".to_owned(),
        };
        item.fault(format!("{quoted} holds no certificate; {hint}"));
        return None;
    }
    Some(all)
}

/// Whether a certificate has the extension of that name (RFC 5280, section 4.2.1.6): its object identifier, 2.5.29.17,
/// stands in it.
fn has_subject_alternative_names(certificate: &CertificateDer<'_>) -> bool {
    const IDENTIFIER: [u8; 5] = [0x06, 0x03, 0x55, 0x1d, 0x11];
    memchr::memmem::find(certificate, &IDENTIFIER).is_some()
}

/// What clients, or who else looks at it, will not like about the time a certificate is valid for.
fn validity(certificate: &CertificateDer<'_>, now: UnixTime, who: &str) -> Option<String> {
    let certificate = webpki::EndEntityCert::try_from(certificate).ok()?;
    // The time is looked at before anything else; no anchor is trusted, so that nothing else comes of it.
    let at = |time| {
        let usage = webpki::KeyUsage::server_auth();
        let verified = certificate.verify_for_usage(&[], &[], &[], time, usage, None, None);
        verified.err()
    };
    let day = |time: UnixTime| {
        let time = UNIX_EPOCH + Duration::from_secs(time.as_secs());
        let mut text = humantime::format_rfc3339_seconds(time).to_string();
        text.truncate("2026-11-24".len());
        text
    };
    let soon = UnixTime::since_unix_epoch(Duration::from_secs(now.as_secs()) + SOON);
    match (at(now), at(soon)) {
        (Some(webpki::Error::CertExpired { not_after, .. }), _) => Some(format!(
            "has expired on {}: {who} will refuse it",
            day(not_after)
        )),
        (Some(webpki::Error::CertNotValidYet { not_before, .. }), _) => Some(format!(
            "is not valid before {}: {who} will refuse it",
            day(not_before)
        )),
        (_, Some(webpki::Error::CertExpired { not_after, .. })) => Some(format!(
            "expires on {}: {who} will refuse it then",
            day(not_after)
        )),
        _ => None,
    }
}

fn private_key(item: &Item<'_>) -> Option<PrivateKeyDer<'static>> {
    let pem = file(item)?;
    let quoted = item.quoted();
    match PrivateKeyDer::from_pem_slice(&pem) {
        Ok(key) => Some(key),
        Err(pem::Error::NoItemsFound) => {
            let hint = if pem.windows(9).any(|window| window == b"ENCRYPTED") {
                "an encrypted key has to be decrypted first"
            } else if CertificateDer::from_pem_slice(&pem).is_ok() {
                "it holds a certificate: `cert` and `key` may have changed places"
            } else {
                "expected PEM with a PRIVATE KEY section"
            };
            item.fault(format!("{quoted} holds no private key; {hint}"));
            None
        }
        Err(error) => {
            item.fault(format!("{quoted} is not sound PEM: {}", reason(&error)));
            None
        }
    }
}

fn file(item: &Item<'_>) -> Option<Vec<u8>> {
    let path = item.path()?;
    match item.scope.read(&path) {
        Ok(bytes) => Some(bytes),
        Err(error) => {
            item.fault(item.unreadable(&error));
            None
        }
    }
}

fn reason(error: &pem::Error) -> String {
    match error {
        pem::Error::MissingSectionEnd { .. } => "a section has no END line".to_owned(),
        pem::Error::IllegalSectionStart { .. } => "a BEGIN line is broken".to_owned(),
        pem::Error::Base64Decode(_) => "a section is not Base64".to_owned(),
        other => other.to_string(),
    }
}
