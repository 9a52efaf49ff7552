//! TLS towards clients: which certificate, which protocol, and what a connection may be asked for.

use std::sync::Arc;

use rustls::ServerConfig;
use rustls::server::{
    ClientHello, NoServerSessionStorage, ResolvesServerCert, ServerSessionMemoryCache,
    StoresServerSessions,
};
use rustls::sign::CertifiedKey;

use crate::config;

/// Sessions kept for TLS 1.2 clients that resume by id.
const SESSIONS: usize = 4096;

/// TLS of one listener.
#[derive(Debug)]
pub struct Tls {
    /// For the acceptor.
    pub(crate) config: Arc<ServerConfig>,
    resolver: Arc<Resolver>,
    min_version: config::TlsVersion,
}

impl Tls {
    /// Makes the configuration of rustls: ring, SNI, ALPN in the order h2, http/1.1; resumption by tickets and by
    /// session id; no key log.
    ///
    /// # Errors
    /// When ring cannot make tickets or speak the versions.
    pub fn new(tls: &config::Tls, h1: bool, h2: bool) -> Result<Self, rustls::Error> {
        let resolver = Arc::new(Resolver {
            certificates: tls.certificates.clone(),
        });
        let versions: &[&rustls::SupportedProtocolVersion] = match tls.min_version {
            config::TlsVersion::V1_2 => &[&rustls::version::TLS13, &rustls::version::TLS12],
            config::TlsVersion::V1_3 => &[&rustls::version::TLS13],
        };
        let mut config =
            ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
                .with_protocol_versions(versions)?
                .with_no_client_auth()
                .with_cert_resolver(resolver.clone());
        if h2 {
            config.alpn_protocols.push(b"h2".to_vec());
        }
        if h1 {
            config.alpn_protocols.push(b"http/1.1".to_vec());
        }
        config.ticketer = rustls::crypto::ring::Ticketer::new()?;
        config.session_storage = session_storage(tls.min_version);
        Ok(Self {
            config: Arc::new(config),
            resolver,
            min_version: tls.min_version,
        })
    }

    /// Keeps the sessions of `previous` alive over a reload that changes nothing of TLS. Where a certificate
    /// changed, clients shake hands anew and see it.
    pub(crate) fn succeed(&mut self, previous: &Self) {
        let (new, old) = (&self.config, &previous.config);
        let same = new.alpn_protocols == old.alpn_protocols
            && self.min_version == previous.min_version
            && self.resolver.same_as(&previous.resolver);
        if same {
            self.config = previous.config.clone();
            self.resolver = previous.resolver.clone();
        }
    }

    /// What was agreed in a handshake.
    pub(crate) fn session(&self, connection: &rustls::ServerConnection) -> Session {
        let server_name = connection.server_name().map(Box::from);
        Session {
            h2: connection.alpn_protocol() == Some(b"h2"),
            certificate: self.resolver.pick(server_name.as_deref()),
            server_name,
            resolver: self.resolver.clone(),
        }
    }
}

fn session_storage(min_version: config::TlsVersion) -> Arc<dyn StoresServerSessions> {
    match min_version {
        config::TlsVersion::V1_2 => ServerSessionMemoryCache::new(SESSIONS),
        config::TlsVersion::V1_3 => Arc::new(NoServerSessionStorage {}),
    }
}

/// What a TLS connection agreed on.
#[derive(Debug)]
pub struct Session {
    /// The name the client asked for (SNI), lower case.
    pub server_name: Option<Box<str>>,
    /// Whether ALPN chose h2.
    pub h2: bool,
    certificate: usize,
    resolver: Arc<Resolver>,
}

impl Session {
    /// Whether the certificate shown covers `host` (without port). A request for another host is misdirected:
    /// 421 (RFC 9110, 15.5.20).
    pub fn covers(&self, host: &str) -> bool {
        let Some(certificate) = self.resolver.certificates.get(self.certificate) else {
            return false;
        };
        certificate.names.iter().any(|name| name_covers(name, host))
    }
}

#[derive(Debug)]
struct Resolver {
    certificates: Vec<config::Certificate>,
}

impl Resolver {
    /// Whether both show the same chains, in the same order.
    fn same_as(&self, other: &Self) -> bool {
        let (ours, theirs) = (&self.certificates, &other.certificates);
        let same = |(one, other): (&config::Certificate, &config::Certificate)| {
            one.key.cert == other.key.cert
        };
        ours.len() == theirs.len() && ours.iter().zip(theirs).all(same)
    }

    /// The certificate for a name: one that names it, else one whose wildcard covers it, else the first.
    fn pick(&self, name: Option<&str>) -> usize {
        let Some(name) = name else { return 0 };
        // A name with the dot of the root is the same name.
        let name = name.strip_suffix('.').unwrap_or(name);
        let exact =
            |c: &config::Certificate| c.names.iter().any(|have| have.eq_ignore_ascii_case(name));
        let wildcard = |c: &config::Certificate| c.names.iter().any(|have| name_covers(have, name));
        self.certificates
            .iter()
            .position(exact)
            .or_else(|| self.certificates.iter().position(wildcard))
            .unwrap_or(0)
    }
}

impl ResolvesServerCert for Resolver {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.certificates
            .get(self.pick(hello.server_name()))
            .map(|certificate| certificate.key.clone())
    }
}

/// Whether a certificate's name covers a host; a wildcard stands for exactly one label (RFC 9525, 6.3).
pub(crate) fn name_covers(name: &str, host: &str) -> bool {
    match name.strip_prefix("*.") {
        None => name.eq_ignore_ascii_case(host),
        Some(parent) => host
            .split_once('.')
            .is_some_and(|(label, rest)| !label.is_empty() && rest.eq_ignore_ascii_case(parent)),
    }
}

#[cfg(test)]
mod tests {
    use super::name_covers;

    #[test]
    fn a_wildcard_covers_one_label_and_not_its_parent() {
        assert!(name_covers("*.example.com", "A.example.com"));
        assert!(!name_covers("*.example.com", "example.com"));
        assert!(!name_covers("*.example.com", "a.b.example.com"));
        assert!(!name_covers("*.example.com", ".example.com"));
        assert!(name_covers("example.com", "EXAMPLE.com"));
    }
}
