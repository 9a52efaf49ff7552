//! Whom the gateway believes.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_name};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{
    CertificateError, DigitallySignedStruct, Error, OtherError, RootCertStore, SignatureScheme,
};

/// What is wrong where it is not the certificate of the endpoint itself that is of version 1.
const OLD_AUTHORITY: &str =
    "the certificate of an authority between is of version 1: have one of version 3 made for it";

/// The verifier of webpki, but for one thing: webpki takes no certificate of an authority (CA:TRUE) from an endpoint, as
/// `openssl req -x509` makes them for a server that signs its own. Here such a one is taken where it is, byte for byte, one
/// of `tls.ca`, and its name and its time are right, as nginx and curl do. Who has its key could make itself a certificate
/// for any name that this authority may vouch for, so nobody is believed who was not before; that the endpoint has the key
/// is what the signature of the handshake proves, here as ever.
#[derive(Debug)]
pub(super) struct Verifier {
    webpki: Arc<WebPkiServerVerifier>,
    given: Vec<CertificateDer<'static>>,
}

impl Verifier {
    /// One for the authorities in `roots`, of which there is one at least; `given` are the same where they stand in `tls.ca`.
    pub(super) fn new(
        roots: &Arc<RootCertStore>,
        given: &[CertificateDer<'static>],
        provider: &Arc<CryptoProvider>,
    ) -> Self {
        let webpki = WebPkiServerVerifier::builder_with_provider(roots.clone(), provider.clone())
            .build()
            .expect("there is an authority, and there are no revocation lists");
        let given = given.to_vec();
        Self { webpki, given }
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let verified = self.webpki.verify_server_cert(
            end_entity,
            intermediates,
            server_name,
            ocsp_response,
            now,
        );
        match verified {
            // Webpki has looked at its time before.
            Err(error)
                if is(&error, &webpki::Error::CaUsedAsEndEntity)
                    && self.given.contains(end_entity) =>
            {
                verify_server_name(&ParsedCertificate::try_from(end_entity)?, server_name)?;
                Ok(ServerCertVerified::assertion())
            }
            // Which certificate it is, the error does not tell.
            Err(error) if is(&error, &webpki::Error::UnsupportedCertVersion) => {
                match ParsedCertificate::try_from(end_entity) {
                    Ok(_) => Err(Error::General(OLD_AUTHORITY.to_owned())),
                    Err(_) => Err(error),
                }
            }
            verified => verified,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.webpki.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.webpki.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.webpki.supported_verify_schemes()
    }
}

/// What webpki says of a certificate, where rustls has no name for it.
pub(super) fn of_webpki(error: &CertificateError) -> Option<&webpki::Error> {
    let CertificateError::Other(OtherError(error)) = error else {
        return None;
    };
    error.downcast_ref()
}

/// Whether this is what webpki found wrong.
fn is(error: &Error, fault: &webpki::Error) -> bool {
    let Error::InvalidCertificate(error) = error else {
        return false;
    };
    of_webpki(error) == Some(fault)
}
