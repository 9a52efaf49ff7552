//! Why there is no TLS with an endpoint, in words that say what to do.

use std::io;
use std::time::{Duration, UNIX_EPOCH};

use rustls::pki_types::UnixTime;
use rustls::{AlertDescription, CertificateError, Error, InvalidMessage};

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
            Error::PeerIncompatible(why) => {
                format!("the endpoint speaks no TLS that this gateway does: {why:?}")
            }
            error => error.to_string(),
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
            format!("the endpoint does not accept the certificate of `tls.certificate`: {alert:?}")
        }
        AlertDescription::NoApplicationProtocol => {
            "the endpoint speaks none of the protocols that are offered by ALPN: look at `protocol`"
                .to_owned()
        }
        AlertDescription::UnrecognisedName => {
            "the endpoint knows nobody of the name that it is asked for: look at `tls.server_name`"
                .to_owned()
        }
        AlertDescription::ProtocolVersion if context.only_1_3 => {
            "the endpoint does not speak TLS 1.3, and `tls.min_version` takes no older".to_owned()
        }
        alert => format!("the endpoint ended the handshake by the alert {alert:?}"),
    }
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
        CertificateError::Revoked => "the certificate is revoked".to_owned(),
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            "the certificate is not one of a server (extended key usage)".to_owned()
        }
        error => format!("the certificate is not accepted: {error}"),
    }
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
