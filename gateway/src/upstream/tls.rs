//! TLS to the endpoints of an upstream: whom the gateway believes, what it offers and what it shows of itself.

use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;

use rustls::client::ResolvesClientCert;
use rustls::pki_types::ServerName;
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, SignatureScheme};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::endpoint::Endpoint;
use crate::config::{self, Protocol, TlsVersion};
use crate::net::Socket;

mod sessions;
mod verifier;
mod words;

use sessions::Sessions;
use verifier::Verifier;

/// TLS of one upstream, with the sessions that its connections resume. Connections over it are as good as each other;
/// those over another are not, even to the same endpoint.
#[derive(Debug)]
pub(super) struct Tls {
    given: config::UpstreamTls,
    /// Each offers what its name says.
    h1: Arc<ClientConfig>,
    h2: Arc<ClientConfig>,
    auto: Arc<ClientConfig>,
    sessions: Sessions,
    identity: Arc<Identity>,
}

/// Why hands were not shaken.
pub(super) enum Unshaken {
    /// The endpoint of a session that was resumed is believed no more, for this reason. It may be as good as ever, with a
    /// certificate that it has renewed: a connection anew tells.
    Outdated(String),
    /// In words for operators.
    Refused(String),
}

/// What the gateway shows of itself.
#[derive(Debug)]
struct Identity {
    key: Option<Arc<CertifiedKey>>,
    /// Whether an endpoint asked for it.
    asked: AtomicBool,
}

impl Tls {
    /// Makes the configuration of rustls: ring, resumption, no early data, no key log. [`Verifier`] verifies, that of webpki;
    /// [`Sessions`] has it verify resumed handshakes too.
    pub(super) fn new(given: &config::UpstreamTls) -> Arc<Self> {
        let identity = Arc::new(Identity {
            key: given.certificate.as_ref().map(|shown| shown.key.clone()),
            asked: AtomicBool::new(false),
        });
        let versions: &[&rustls::SupportedProtocolVersion] = match given.min_version {
            TlsVersion::V1_2 => &[&rustls::version::TLS13, &rustls::version::TLS12],
            TlsVersion::V1_3 => &[&rustls::version::TLS13],
        };
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider.clone())
            .with_protocol_versions(versions)
            .expect("ring speaks both versions");
        let verifier = Arc::new(Verifier::new(&given.roots, &given.authorities, &provider));
        let sessions = Sessions::new(verifier.clone());
        let mut config = builder
            .dangerous()
            .with_custom_certificate_verifier(verifier)
            .with_client_cert_resolver(identity.clone());
        config.resumption = sessions.resumption();
        // Copies share the sessions.
        let offering = |alpn: &[&[u8]]| {
            let mut config = config.clone();
            config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
            Arc::new(config)
        };
        Arc::new(Self {
            given: given.clone(),
            h1: offering(&[b"http/1.1"]),
            h2: offering(&[b"h2"]),
            auto: offering(&[b"h2", b"http/1.1"]),
            sessions,
            identity,
        })
    }

    /// Whether it was made of this, so that a reload need not make it anew.
    pub(super) fn is_of(&self, given: &config::UpstreamTls) -> bool {
        self.given == *given
    }

    /// Shakes hands, and verifies that the other side is the endpoint.
    pub(super) async fn shake_hands(
        &self,
        socket: Socket,
        endpoint: &Endpoint,
        protocol: Protocol,
    ) -> Result<TlsStream<Socket>, Unshaken> {
        let name = self.name_of(endpoint).map_err(Unshaken::Refused)?;
        let config = match protocol {
            Protocol::H1 => &self.h1,
            Protocol::H2 => &self.h2,
            Protocol::Auto => &self.auto,
        };
        let connector = TlsConnector::from(config.clone());
        let shaken = connector.connect(name.clone(), socket).await;
        let stream = shaken.map_err(|error| Unshaken::Refused(self.explain(&error)))?;
        let (_, connection) = stream.get_ref();
        if let Err(error) = self.sessions.verify(connection, &name) {
            let why = self.explain(&io::Error::other(error));
            return Err(Unshaken::Outdated(why));
        }
        let agreed = connection.alpn_protocol();
        if protocol == Protocol::H2 && agreed != Some(b"h2") {
            return Err(Unshaken::Refused(words::no_http_2()));
        }
        Ok(stream)
    }

    /// The name that an endpoint must prove to be.
    fn name_of(&self, endpoint: &Endpoint) -> Result<ServerName<'static>, String> {
        if let Some(name) = &self.given.server_name {
            return Ok(name.clone());
        }
        let address = endpoint.target.tcp().filter(|_| endpoint.name.is_none());
        if let Some(address) = address {
            return Ok(ServerName::from(address.ip()));
        }
        let none =
            || "the endpoint has no name to be verified by: give `tls.server_name`".to_owned();
        let authority = endpoint.authority.to_str().map_err(|_| none())?;
        let host = authority
            .rsplit_once(':')
            .map_or(authority, |(host, _)| host);
        ServerName::try_from(host.to_owned()).map_err(|_| none())
    }

    /// Why there is no TLS.
    fn explain(&self, error: &io::Error) -> String {
        words::handshake(error, &self.context())
    }

    /// Why an endpoint, by TLS 1.3, does not accept what the gateway showed of itself, which it says after the gateway
    /// has shaken hands: in the place of an answer. It has read nothing of the request then (RFC 8446, section 4.4.2.4).
    pub(super) fn refusal(&self, error: &io::Error) -> Option<String> {
        words::refusal(error, &self.context())
    }

    fn context(&self) -> words::Context {
        words::Context {
            asked: self.identity.asked.load(Relaxed),
            shows: self.identity.key.is_some(),
            of_system: self.given.of_system,
            only_1_3: self.given.min_version == TlsVersion::V1_3,
        }
    }
}

impl ResolvesClientCert for Identity {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.asked.store(true, Relaxed);
        self.key.clone()
    }

    /// Without one it is asked too, so that it knows that it was.
    fn has_certs(&self) -> bool {
        true
    }
}

/// What tells connections apart that are not as good as each other, while they live: 0 stands for those in clear text.
#[inline]
pub(super) fn mark(tls: Option<&Arc<Tls>>) -> usize {
    tls.map_or(0, |tls| Arc::as_ptr(tls).addr())
}
