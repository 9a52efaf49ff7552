//! Sessions that a handshake may resume. A resumed handshake shows no certificate, so TLS verifies none (RFC 8446, section
//! 2.2): what the certificate of the first handshake is worth now is asked here.

use std::sync::Arc;

use rustls::ClientConnection;
use rustls::client::danger::ServerCertVerifier as _;
use rustls::client::{ClientSessionMemoryCache, ClientSessionStore, Resumption};
use rustls::pki_types::{ServerName, UnixTime};
use rustls::{Error, HandshakeKind};

use super::verifier::Verifier;

/// For so many sessions there is room, those of TLS 1.3 by eights.
const MOST: usize = 256;

/// The sessions of one upstream, and who says whether their endpoints are still believed.
#[derive(Debug)]
pub(super) struct Sessions {
    store: Arc<ClientSessionMemoryCache>,
    verifier: Arc<Verifier>,
}

impl Sessions {
    pub(super) fn new(verifier: Arc<Verifier>) -> Self {
        let store = Arc::new(ClientSessionMemoryCache::new(MOST));
        Self { store, verifier }
    }

    /// What rustls keeps them by.
    pub(super) fn resumption(&self) -> Resumption {
        Resumption::store(self.store.clone())
    }

    /// Whether the endpoint of a connection is believed now, where its handshake resumed a session: by the certificate
    /// that it showed once. A whole handshake has verified that itself. If not, the sessions with this name are forgotten,
    /// so that the next handshake is a whole one.
    ///
    /// # Errors
    /// As of a whole handshake.
    pub(super) fn verify(
        &self,
        connection: &ClientConnection,
        name: &ServerName<'static>,
    ) -> Result<(), Error> {
        use HandshakeKind::{Full, FullWithHelloRetryRequest};
        if let Some(Full | FullWithHelloRetryRequest) = connection.handshake_kind() {
            return Ok(());
        }
        let shown = connection.peer_certificates().unwrap_or_default();
        let verified = match shown.split_first() {
            Some((own, between)) => {
                let (verifier, now) = (&self.verifier, UnixTime::now());
                verifier.verify_server_cert(own, between, name, &[], now)
            }
            None => Err(Error::NoCertificatesPresented),
        };
        verified.map(drop).inspect_err(|_| self.forget(name))
    }

    fn forget(&self, name: &ServerName<'static>) {
        self.store.remove_tls12_session(name);
        while self.store.take_tls13_ticket(name).is_some() {}
    }
}
