//! `[upstreams.NAME.tls]`.

use std::sync::Arc;

use rustls::RootCertStore;
use rustls::pki_types::{CertificateDer, ServerName};

use super::tls::{Certificate, TlsVersion};

/// `upstreams.NAME.tls`. Files are read, and matched with each other, by the loader.
#[derive(Debug, Clone)]
pub struct UpstreamTls {
    /// The name that an endpoint must prove to be, and that it is asked for; unless given, its own name or address.
    pub server_name: Option<ServerName<'static>>,
    /// The authorities of which one must vouch for it.
    pub roots: Arc<RootCertStore>,
    /// The same as they stand in `ca`; none without it.
    pub authorities: Vec<CertificateDer<'static>>,
    /// Whether they are those of the system, since no `ca` is given.
    pub of_system: bool,
    /// What the gateway shows of itself where it is asked to.
    pub certificate: Option<Certificate>,
    /// The lowest version.
    pub min_version: TlsVersion,
}

impl PartialEq for UpstreamTls {
    /// Whether connections over the one are as good as over the other.
    fn eq(&self, other: &Self) -> bool {
        let shown = |tls: &Self| tls.certificate.as_ref().map(|shown| shown.key.cert.clone());
        self.server_name == other.server_name
            && self.of_system == other.of_system
            && self.authorities == other.authorities
            && (Arc::ptr_eq(&self.roots, &other.roots) || self.roots.roots == other.roots.roots)
            && shown(self) == shown(other)
            && self.min_version == other.min_version
    }
}

impl Eq for UpstreamTls {}
