//! An upstream over TLS that counts what shook hands with it, and the authorities that vouch for it.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http::{Request, Response, Version};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rcgen::{BasicConstraints, Certificate, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ServerSessionMemoryCache, StoresServerSessions, WebPkiClientVerifier};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{HandshakeKind, RootCertStore, ServerConfig, SupportedProtocolVersion};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;

use super::serving::Serving;

/// Who vouches for certificates.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    der: CertificateDer<'static>,
    pem: String,
}

/// A certificate that an authority vouches for.
pub(crate) struct Issued {
    der: CertificateDer<'static>,
    /// The authorities between.
    between: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    pem: String,
    key_pem: String,
}

impl Authority {
    pub(crate) fn new(name: &str) -> Self {
        let mut parameters = CertificateParams::default();
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        parameters.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().unwrap();
        let certificate = parameters.self_signed(&key).unwrap();
        Self {
            der: certificate.der().clone(),
            pem: certificate.pem(),
            issuer: Issuer::new(parameters, key),
        }
    }

    /// A certificate for these names.
    pub(crate) fn issue(&self, names: &[&str]) -> Issued {
        self.issue_until(names, 3000)
    }

    /// One that is valid until a year begins.
    pub(crate) fn issue_until(&self, names: &[&str], year: i32) -> Issued {
        self.sign(&valid_until(names, year))
    }

    /// One that is valid up to this second.
    pub(crate) fn issue_ending(&self, names: &[&str], end: SystemTime) -> Issued {
        self.sign(&ending(names, end))
    }

    fn sign(&self, parameters: &CertificateParams) -> Issued {
        let key = KeyPair::generate().unwrap();
        let certificate = parameters.signed_by(&key, &self.issuer).unwrap();
        Issued::of(&certificate, &key)
    }

    /// Writes `NAME.pem`.
    pub(crate) fn write(&self, directory: &Path, name: &str) {
        std::fs::write(directory.join(format!("{name}.pem")), &self.pem).unwrap();
    }

    fn roots(&self) -> RootCertStore {
        let mut roots = RootCertStore::empty();
        roots.add(self.der.clone()).unwrap();
        roots
    }
}

impl Issued {
    /// One that signed itself, for these names, valid until a year begins: with CA:TRUE as `openssl req -x509` has it, or
    /// without.
    pub(crate) fn by_itself(names: &[&str], year: i32, authority: bool) -> Self {
        let is_ca = match authority {
            true => IsCa::Ca(BasicConstraints::Unconstrained),
            false => IsCa::ExplicitNoCa,
        };
        Self::sign_itself(valid_until(names, year), is_ca)
    }

    /// One of an authority that signed itself, valid up to this second.
    pub(crate) fn by_itself_ending(names: &[&str], end: SystemTime) -> Self {
        Self::sign_itself(
            ending(names, end),
            IsCa::Ca(BasicConstraints::Unconstrained),
        )
    }

    fn sign_itself(mut parameters: CertificateParams, is_ca: IsCa) -> Self {
        parameters.is_ca = is_ca;
        let key = KeyPair::generate().unwrap();
        let certificate = parameters.self_signed(&key).unwrap();
        Self::of(&certificate, &key)
    }

    /// The chain in `CHAIN.pem`, whose key is in `KEY.key`.
    pub(crate) fn read(directory: &Path, chain: &str, key: &str) -> Self {
        let at = |name: &str, ending: &str| directory.join(format!("{name}.{ending}"));
        let (chain, key) = (at(chain, "pem"), at(key, "key"));
        let all = CertificateDer::pem_file_iter(&chain).unwrap();
        let mut all: Vec<_> = all.map(Result::unwrap).collect();
        Self {
            der: all.remove(0),
            between: all,
            key: PrivateKeyDer::from_pem_file(&key).unwrap(),
            pem: std::fs::read_to_string(chain).unwrap(),
            key_pem: std::fs::read_to_string(key).unwrap(),
        }
    }

    fn of(certificate: &Certificate, key: &KeyPair) -> Self {
        Self {
            der: certificate.der().clone(),
            between: Vec::new(),
            pem: certificate.pem(),
            key_pem: key.serialize_pem(),
            key: PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
        }
    }

    /// This certificate with the key of another.
    pub(crate) fn with_key_of(&self, other: &Self) -> Self {
        Self {
            der: self.der.clone(),
            between: self.between.clone(),
            pem: self.pem.clone(),
            key_pem: other.key_pem.clone(),
            key: other.key.clone_key(),
        }
    }

    /// Writes `NAME.pem` and `NAME.key`.
    pub(crate) fn write(&self, directory: &Path, name: &str) {
        std::fs::write(directory.join(format!("{name}.pem")), &self.pem).unwrap();
        std::fs::write(directory.join(format!("{name}.key")), &self.key_pem).unwrap();
    }
}

fn valid_until(names: &[&str], year: i32) -> CertificateParams {
    let names: Vec<String> = names.iter().map(ToString::to_string).collect();
    let mut parameters = CertificateParams::new(names).unwrap();
    parameters.not_before = rcgen::date_time_ymd(2000, 1, 1);
    parameters.not_after = rcgen::date_time_ymd(year, 1, 1);
    parameters
}

fn ending(names: &[&str], end: SystemTime) -> CertificateParams {
    let mut parameters = valid_until(names, 3000);
    let end = end.duration_since(UNIX_EPOCH).unwrap();
    parameters.not_after = rcgen::date_time_ymd(1970, 1, 1) + end;
    parameters
}

/// What an origin is like.
pub(crate) struct Setup<'a> {
    pub(crate) certificate: &'a Issued,
    /// The authority of the clients that it takes; any client if none.
    pub(crate) clients: Option<&'a Authority>,
    pub(crate) alpn: &'a [&'a str],
    pub(crate) version: &'static SupportedProtocolVersion,
}

impl<'a> Setup<'a> {
    /// TLS 1.3 for any client, without ALPN.
    pub(crate) fn new(certificate: &'a Issued) -> Self {
        Self {
            certificate,
            clients: None,
            alpn: &[],
            version: &rustls::version::TLS13,
        }
    }

    fn config(&self, sessions: &Sessions) -> Arc<ServerConfig> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ServerConfig::builder_with_provider(provider.clone())
            .with_protocol_versions(&[self.version])
            .unwrap();
        let builder = match self.clients {
            None => builder.with_no_client_auth(),
            Some(authority) => {
                let roots = Arc::new(authority.roots());
                let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider.clone());
                builder.with_client_cert_verifier(verifier.build().unwrap())
            }
        };
        let mut chain = vec![self.certificate.der.clone()];
        chain.extend_from_slice(&self.certificate.between);
        // Unchecked, so that an origin can show what it has no key for.
        let key = provider
            .key_provider
            .load_private_key(self.certificate.key.clone_key());
        let shown = CertifiedKey::new(chain, key.unwrap());
        let mut config = builder.with_cert_resolver(Arc::new(SingleCertAndKey::from(shown)));
        config.session_storage = sessions.clone();
        config.alpn_protocols = self.alpn.iter().map(|it| it.as_bytes().to_vec()).collect();
        Arc::new(config)
    }
}

/// What an origin knows of earlier connections.
type Sessions = Arc<dyn StoresServerSessions>;

/// What an origin saw.
#[derive(Debug, Default, Clone)]
pub(crate) struct Seen {
    /// Handshakes that came to an end, and of those the ones that resumed a session.
    pub(crate) handshakes: usize,
    pub(crate) resumed: usize,
    /// Certificates of clients.
    pub(crate) clients: Vec<Vec<u8>>,
    /// Version, method, scheme, authority, path and body of each request.
    pub(crate) requests: Vec<String>,
}

/// A server over TLS. It speaks HTTP/2 where ALPN chose that, and answers with what it got.
pub(crate) struct TlsOrigin {
    pub(crate) address: SocketAddr,
    config: Arc<Mutex<Arc<ServerConfig>>>,
    sessions: Sessions,
    seen: Arc<Mutex<Seen>>,
    _serving: Serving,
}

impl TlsOrigin {
    pub(crate) fn start(setup: &Setup<'_>) -> Self {
        let sessions: Sessions = ServerSessionMemoryCache::new(256);
        let config = Arc::new(Mutex::new(setup.config(&sessions)));
        let seen = Arc::<Mutex<Seen>>::default();
        let (current, log) = (config.clone(), seen.clone());
        let serving = Serving::start(move |stream| {
            let config = current.lock().unwrap().clone();
            serve(stream, config, log.clone())
        });
        Self {
            address: serving.address,
            config,
            sessions,
            seen,
            _serving: serving,
        }
    }

    /// Is another for the connections to come, and resumes the sessions that it knows, as servers do.
    pub(crate) fn become_other(&self, setup: &Setup<'_>) {
        *self.config.lock().unwrap() = setup.config(&self.sessions);
    }

    /// What it saw so far.
    pub(crate) fn seen(&self) -> Seen {
        self.seen.lock().unwrap().clone()
    }
}

async fn serve(stream: TcpStream, config: Arc<ServerConfig>, seen: Arc<Mutex<Seen>>) {
    let Ok(stream) = TlsAcceptor::from(config).accept(stream).await else {
        return;
    };
    let session = stream.get_ref().1;
    let h2 = session.alpn_protocol() == Some(b"h2");
    {
        let mut seen = seen.lock().unwrap();
        seen.handshakes += 1;
        seen.resumed += usize::from(session.handshake_kind() == Some(HandshakeKind::Resumed));
        let client = session.peer_certificates().and_then(|chain| chain.first());
        seen.clients.extend(client.map(|der| der.to_vec()));
    }
    let service = service_fn(move |request| answer(request, seen.clone()));
    let io = TokioIo::new(stream);
    // The other side ends the connection when it likes.
    let _ended = if h2 {
        hyper::server::conn::http2::Builder::new(TokioExecutor::new())
            .serve_connection(io, service)
            .await
    } else {
        hyper::server::conn::http1::Builder::new()
            .serve_connection(io, service)
            .with_upgrades()
            .await
    };
}

async fn answer(
    mut request: Request<Incoming>,
    seen: Arc<Mutex<Seen>>,
) -> hyper::Result<Response<Full<Bytes>>> {
    let uri = request.uri().clone();
    let host = request.headers().get("host");
    let host = host.map(|host| host.to_str().unwrap().to_owned());
    let authority = uri.authority().map(ToString::to_string).or(host);
    let said = format!(
        "{:?} {} {} {} {}",
        request.version(),
        request.method(),
        uri.scheme_str().unwrap_or("-"),
        authority.unwrap_or_default(),
        uri.path()
    );
    let upgrade = request.headers().get("upgrade").cloned();
    if let Some(protocol) = upgrade.filter(|_| request.version() == Version::HTTP_11) {
        seen.lock().unwrap().requests.push(said);
        let upgraded = hyper::upgrade::on(&mut request);
        tokio::spawn(upgraded);
        let answer = Response::builder()
            .status(101)
            .header("connection", "upgrade")
            .header("upgrade", protocol);
        return Ok(answer.body(Full::default()).unwrap());
    }
    let body = request.into_body().collect().await?.to_bytes();
    let said = format!("{said} {}", String::from_utf8_lossy(&body));
    let said = said.trim_end().to_owned();
    seen.lock().unwrap().requests.push(said.clone());
    let status = match uri.path() {
        path if path.ends_with("/misdirected") => 421,
        _ => 200,
    };
    let answer = Response::builder().status(status);
    Ok(answer.body(Full::from(said)).unwrap())
}
