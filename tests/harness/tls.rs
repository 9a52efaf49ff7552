//! Certificates of the test's own making, and a client that trusts them.

use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, SupportedProtocolVersion};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// A certificate that signed itself.
pub(crate) struct Certificate {
    chain: String,
    key: String,
    pub(crate) der: CertificateDer<'static>,
}

impl Certificate {
    /// For these names.
    pub(crate) fn new(names: &[&str]) -> Self {
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        let made = rcgen::generate_simple_self_signed(names).unwrap();
        Self {
            chain: made.cert.pem(),
            key: made.signing_key.serialize_pem(),
            der: made.cert.der().clone(),
        }
    }

    /// Writes `NAME.pem` and `NAME.key`.
    pub(crate) fn write(&self, directory: &Path, name: &str) {
        std::fs::write(directory.join(format!("{name}.pem")), &self.chain).unwrap();
        std::fs::write(directory.join(format!("{name}.key")), &self.key).unwrap();
    }
}

/// A client that keeps its sessions; clones share them.
#[derive(Clone)]
pub(crate) struct Tls {
    config: Arc<ClientConfig>,
}

impl Tls {
    /// Trusts these certificates, speaks this version of TLS, and offers these protocols.
    pub(crate) fn new(
        trusted: &[&Certificate],
        version: &'static SupportedProtocolVersion,
        alpn: &[&str],
    ) -> Self {
        let trusted = trusted.iter().map(|certificate| certificate.der.clone());
        Self::trusting(trusted, version, alpn)
    }

    /// The same for certificates that were read.
    pub(crate) fn trusting(
        trusted: impl IntoIterator<Item = CertificateDer<'static>>,
        version: &'static SupportedProtocolVersion,
        alpn: &[&str],
    ) -> Self {
        let mut roots = RootCertStore::empty();
        for certificate in trusted {
            roots.add(certificate).unwrap();
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[version])
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
        Self {
            config: Arc::new(config),
        }
    }

    /// Does not say whom it wants to reach.
    pub(crate) fn without_sni(mut self) -> Self {
        Arc::make_mut(&mut self.config).enable_sni = false;
        self
    }

    /// Over a socket that blocks.
    pub(crate) fn over(&self, mut tcp: std::net::TcpStream, name: &str) -> Blocking {
        let name = ServerName::try_from(name.to_owned()).unwrap();
        let mut tls = ClientConnection::new(self.config.clone(), name).unwrap();
        tls.complete_io(&mut tcp).unwrap();
        Blocking { tls, tcp }
    }

    /// Shakes hands, and holds the certificate to `name`.
    pub(crate) async fn connect(
        &self,
        address: SocketAddr,
        name: &str,
    ) -> io::Result<TlsStream<TcpStream>> {
        self.shake(TcpStream::connect(address).await?, name).await
    }

    /// The same on whatever carries bytes.
    pub(crate) async fn shake<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        stream: S,
        name: &str,
    ) -> io::Result<TlsStream<S>> {
        let name = ServerName::try_from(name.to_owned()).unwrap();
        TlsConnector::from(self.config.clone())
            .connect(name, stream)
            .await
    }
}

/// A stream that still reads when the other side takes no more, which rustls' own does not.
pub(crate) struct Blocking {
    tls: ClientConnection,
    tcp: std::net::TcpStream,
}

impl Blocking {
    /// Says by TLS that nothing follows.
    pub(crate) fn say_end(&mut self) {
        self.tls.send_close_notify();
        self.flush().unwrap();
    }
}

impl Read for Blocking {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.tls.reader().read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                read => return read,
            }
            self.tls.read_tls(&mut self.tcp)?;
            self.tls.process_new_packets().map_err(io::Error::other)?;
        }
    }
}

impl Write for Blocking {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.tls.writer().write(bytes)?;
        self.flush()?;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        while self.tls.wants_write() {
            self.tls.write_tls(&mut self.tcp)?;
        }
        Ok(())
    }
}

/// A certificate of [`Certificate::write`].
pub(crate) fn read(directory: &Path, name: &str) -> CertificateDer<'static> {
    let path = directory.join(format!("{name}.pem"));
    CertificateDer::from_pem_file(path).unwrap()
}

/// The certificate that the other side showed.
pub(crate) fn shown(stream: &TlsStream<TcpStream>) -> CertificateDer<'static> {
    let chain = stream.get_ref().1.peer_certificates().unwrap();
    chain[0].clone().into_owned()
}
