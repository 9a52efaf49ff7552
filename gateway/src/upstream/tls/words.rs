//! Why there is no TLS with an endpoint, in words that say what to do.

use std::fmt;
use std::io;
use std::time::{Duration, UNIX_EPOCH};

use rustls::pki_types::UnixTime;
use rustls::{AlertDescription, CertificateError, Error, InvalidMessage, PeerIncompatible};

use super::verifier::of_webpki;

/// What the gateway knows of its own side.
pub(super) struct Context {
    /// An endpoint asked for a client certificate.
    pub(super) asked: bool,
    /// There is one.
    pub(super) shows: bool,
    /// The authorities are those of the system.
    pub(super) of_system: bool,
    /// No older version of TLS is taken.
    pub(super) only_1_3: bool,
}

/// How many names of a certificate are told.
const NAMES: usize = 5;

const ASKS: &str = "the endpoint asks for a client certificate: give `tls.certificate`";

/// The endpoint does not choose HTTP/2.
pub(super) fn no_http_2() -> String {
    "the endpoint does not choose HTTP/2 by ALPN: write `protocol = \"h1\"`, or \"auto\"".to_owned()
}

/// Why a handshake failed.
pub(super) fn handshake(error: &io::Error, context: &Context) -> String {
    if let Some(error) = of_tls(error) {
        return match error {
            Error::InvalidCertificate(error) => certificate(error, context),
            Error::AlertReceived(alert) => told(*alert, context),
            Error::InvalidMessage(
                InvalidMessage::InvalidContentType | InvalidMessage::UnknownProtocolVersion,
            ) => {
                "what came is no TLS: the endpoint speaks in clear text on this port, perhaps HTTP"
                    .to_owned()
            }
            Error::PeerIncompatible(
                PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig
                | PeerIncompatible::ServerDoesNotSupportTls12Or13,
            ) => version(context),
            Error::PeerIncompatible(why) => {
                let why = plain(why);
                format!("the endpoint speaks no TLS that this gateway does: {why}")
            }
            Error::NoCertificatesPresented => "the endpoint shows no certificate".to_owned(),
            Error::General(text) => text.clone(),
            Error::PeerMisbehaved(why) => {
                format!("the endpoint breaks a rule of TLS: {}", plain(why))
            }
            error => format!("what came is not as TLS has it: {}", plain(error)),
        };
    }
    match error.kind() {
        io::ErrorKind::UnexpectedEof
        | io::ErrorKind::ConnectionReset
        | io::ErrorKind::ConnectionAborted
        | io::ErrorKind::BrokenPipe => {
            "the endpoint ended the connection during the handshake: it may not speak TLS on this port".to_owned()
        }
        _ => error.to_string(),
    }
}

/// Why the endpoint, after the handshake as this side sees it, does not accept the client's certificate, if it does not.
pub(super) fn refusal(error: &io::Error, context: &Context) -> Option<String> {
    let Error::AlertReceived(alert) = of_tls(error)? else {
        return None;
    };
    is_about_certificate(*alert).then(|| told(*alert, context))
}

fn of_tls(error: &io::Error) -> Option<&Error> {
    error.get_ref()?.downcast_ref()
}

fn is_about_certificate(alert: AlertDescription) -> bool {
    matches!(
        alert,
        AlertDescription::CertificateRequired
            | AlertDescription::NoCertificate
            | AlertDescription::BadCertificate
            | AlertDescription::UnsupportedCertificate
            | AlertDescription::CertificateRevoked
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateUnknown
            | AlertDescription::UnknownCA
    )
}

/// What the endpoint says by an alert.
fn told(alert: AlertDescription, context: &Context) -> String {
    match alert {
        AlertDescription::CertificateRequired | AlertDescription::NoCertificate => ASKS.to_owned(),
        AlertDescription::HandshakeFailure if context.asked && !context.shows => ASKS.to_owned(),
        alert if is_about_certificate(alert) && !context.shows && context.asked => ASKS.to_owned(),
        alert if is_about_certificate(alert) && context.asked => {
            let alert = plain(&alert);
            format!("the endpoint does not accept the certificate of `tls.certificate`: {alert}")
        }
        AlertDescription::NoApplicationProtocol => {
            "the endpoint speaks none of the protocols that are offered by ALPN: look at `protocol`"
                .to_owned()
        }
        AlertDescription::UnrecognisedName => {
            "the endpoint knows nobody of the name that it is asked for: look at `tls.server_name`"
                .to_owned()
        }
        AlertDescription::ProtocolVersion => version(context),
        AlertDescription::HandshakeFailure => {
            "the endpoint has no cipher suite or key exchange in common with this gateway, or wants what it does not say"
                .to_owned()
        }
        alert => {
            let alert = plain(&alert);
            format!("the endpoint ended the handshake by the alert \"{alert}\"")
        }
    }
}

/// The endpoint does not speak a version that is taken.
fn version(context: &Context) -> String {
    match context.only_1_3 {
        true => "the endpoint does not speak TLS 1.3, and `tls.min_version` takes no older",
        false => "the endpoint speaks neither TLS 1.3 nor 1.2, and older versions are not taken",
    }
    .to_owned()
}

/// What is wrong with the certificate of the endpoint.
fn certificate(error: &CertificateError, context: &Context) -> String {
    match error {
        CertificateError::NotValidForNameContext {
            expected,
            presented,
        } => format!(
            "the certificate is for {}, not {}: look at `tls.server_name`",
            names(presented),
            expected.to_str()
        ),
        CertificateError::ExpiredContext { not_after, .. } => {
            format!("the certificate has expired on {}", second(*not_after))
        }
        CertificateError::NotValidYetContext { not_before, .. } => {
            format!("the certificate is not valid before {}", second(*not_before))
        }
        CertificateError::UnknownIssuer if context.of_system => {
            "none of the authorities that the system trusts vouches for the certificate: name the one that does by `tls.ca`".to_owned()
        }
        CertificateError::UnknownIssuer => {
            "none of the authorities in `tls.ca` vouches for the certificate".to_owned()
        }
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            "the certificate is not one of a server (extended key usage)".to_owned()
        }
        CertificateError::BadEncoding => "the certificate is not well formed".to_owned(),
        CertificateError::UnsupportedSignatureAlgorithmContext { .. }
        | CertificateError::UnsupportedSignatureAlgorithmForPublicKeyContext { .. } => {
            "the certificate is signed by an algorithm that is not taken, such as SHA-1: have it signed by ECDSA, Ed25519 or RSA with SHA-256".to_owned()
        }
        error => match of_webpki(error) {
            Some(webpki::Error::CaUsedAsEndEntity) => {
                "the certificate is that of an authority (CA:TRUE) and not itself in `tls.ca`: put it there, or have one issued for the endpoint".to_owned()
            }
            Some(webpki::Error::UnsupportedCertVersion) => {
                "the certificate is of version 1, which has no names: make one of version 3, with a subject alternative name".to_owned()
            }
            Some(webpki::Error::NameConstraintViolation) => {
                "the authority may not vouch for this name (name constraints)".to_owned()
            }
            Some(error) => format!("the certificate is not accepted: {}", plain(error)),
            None => format!("the certificate is not accepted: {}", plain(error)),
        },
    }
}

/// The name that a library has for a fault, as words: `UnknownCA` is "unknown CA". What stands in brackets after it is
/// left out.
fn plain(fault: &dyn fmt::Debug) -> String {
    let name = format!("{fault:?}");
    // Of a fault with a fault in it, the inner one says more.
    let name = match name.split_once('(') {
        Some((_, inner)) if inner.starts_with(char::is_alphabetic) => inner,
        _ => &name,
    };
    let end = name.find(|c: char| !c.is_alphanumeric());
    let name: Vec<char> = name[..end.unwrap_or(name.len())].chars().collect();
    let mut words = String::new();
    for (at, c) in name.iter().enumerate() {
        let before = at.checked_sub(1).and_then(|at| name.get(at));
        let after = name.get(at + 1);
        let is_lower = |c: Option<&char>| c.is_some_and(|c| !c.is_uppercase());
        if c.is_uppercase() && at > 0 && (is_lower(before) || after.is_some() && is_lower(after)) {
            words.push(' ');
        }
        let is_acronym = c.is_uppercase()
            && (before.is_some_and(|c| c.is_uppercase()) && !(after.is_some() && is_lower(after))
                || after.is_some_and(|c| c.is_uppercase()));
        match is_acronym {
            true => words.push(*c),
            false => words.extend(c.to_lowercase()),
        }
    }
    words
}

/// The names of a certificate, which webpki tells with their kind: `DnsName("a.example")`.
fn names(presented: &[String]) -> String {
    if presented.is_empty() {
        return "no name".to_owned();
    }
    let bare = |name: &String| {
        let inner = name
            .split_once('(')
            .map_or(name.as_str(), |(_, inner)| inner);
        inner.trim_matches(|c| c == '"' || c == ')').to_owned()
    };
    let told: Vec<_> = presented.iter().take(NAMES).map(bare).collect();
    let more = match presented.len() > NAMES {
        true => ", ..",
        false => "",
    };
    told.join(", ") + more
}

fn second(time: UnixTime) -> String {
    let time = UNIX_EPOCH + Duration::from_secs(time.as_secs());
    humantime::format_rfc3339_seconds(time).to_string()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use rustls::pki_types::UnixTime;
    use rustls::{OtherError, PeerMisbehaved};

    use super::*;

    const CONTEXT: Context = Context {
        asked: false,
        shows: false,
        of_system: false,
        only_1_3: false,
    };

    fn said(error: Error) -> String {
        handshake(&io::Error::other(error), &CONTEXT)
    }

    fn of_certificate(error: webpki::Error) -> String {
        let error = CertificateError::Other(OtherError(Arc::new(error)));
        said(Error::InvalidCertificate(error))
    }

    #[test]
    fn a_certificate_of_an_authority_and_one_of_version_1_have_words_that_say_what_to_do() {
        let authority = of_certificate(webpki::Error::CaUsedAsEndEntity);
        assert!(authority.contains("put it there"), "{authority}");
        let old = of_certificate(webpki::Error::UnsupportedCertVersion);
        assert!(old.contains("make one of version 3"), "{old}");
    }

    #[test]
    fn no_fault_is_told_by_the_names_of_a_library() {
        let time = UnixTime::since_unix_epoch(Duration::ZERO);
        let told = [
            of_certificate(webpki::Error::PathLenConstraintViolated),
            of_certificate(webpki::Error::UnsupportedCriticalExtension),
            of_certificate(webpki::Error::TrailingData(webpki::DerTypeId::Certificate)),
            said(Error::InvalidCertificate(CertificateError::BadSignature)),
            said(Error::InvalidCertificate(CertificateError::NotValidForName)),
            said(Error::InvalidCertificate(
                CertificateError::ExpiredRevocationListContext {
                    time,
                    next_update: time,
                },
            )),
            said(Error::PeerIncompatible(
                PeerIncompatible::NoCipherSuitesInCommon,
            )),
            said(Error::PeerMisbehaved(PeerMisbehaved::SelectedUnofferedPsk)),
            said(Error::InvalidMessage(InvalidMessage::MissingData(
                "Certificate",
            ))),
            said(Error::AlertReceived(AlertDescription::InternalError)),
            said(Error::AlertReceived(AlertDescription::Unknown(99))),
            said(Error::DecryptError),
            said(Error::PeerSentOversizedRecord),
        ];
        for told in told {
            let inner = told.split(' ').any(|word| {
                word.contains(['(', '{', '_'])
                    || word
                        .trim_start_matches(char::is_uppercase)
                        .contains(char::is_uppercase)
            });
            assert!(!inner, "{told}");
        }
    }

    #[test]
    fn a_name_of_a_library_becomes_words() {
        for (fault, words) in [
            (AlertDescription::UnknownCA, "unknown CA"),
            (AlertDescription::UnknownPSKIdentity, "unknown PSK identity"),
            (AlertDescription::BadRecordMac, "bad record mac"),
        ] {
            assert_eq!(plain(&fault), words);
        }
        assert_eq!(plain(&Error::DecryptError), "decrypt error");
    }
}
