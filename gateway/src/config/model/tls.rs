//! `listeners.tls`, and the certificates that it has in common with `upstreams.NAME.tls`.

use std::sync::Arc;

/// `listeners.tls`. Certificates are read and matched with their keys by the loader.
#[derive(Debug, Clone)]
pub struct Tls {
    /// At least one; the first is the default, SNI picks by the names in the certificate.
    pub certificates: Vec<Certificate>,
    /// The lowest version.
    pub min_version: TlsVersion,
}

/// One certificate chain and its key.
#[derive(Debug, Clone)]
pub struct Certificate {
    /// Chain and key, ready for rustls.
    pub key: Arc<rustls::sign::CertifiedKey>,
    /// The DNS names it covers, lower case, `*.example.com` for wildcards.
    pub names: Vec<String>,
}

/// `tls.min_version`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TlsVersion {
    /// TLS 1.2.
    V1_2,
    /// TLS 1.3.
    V1_3,
}
