//! Asks the DNS, by the servers of the configuration or of the system.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolverConfig};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::op::ResponseCode;
use hickory_resolver::proto::rr::RecordType;
use hickory_resolver::system_conf::read_system_conf;

/// How long one server is waited for, and how often it is asked.
const TIMEOUT: Duration = Duration::from_secs(2);
const ATTEMPTS: usize = 2;

/// How long all of it may take, whatever the system's options say.
const ALTOGETHER: Duration = Duration::from_secs(15);

/// Which addresses.
#[derive(Debug, Clone, Copy)]
pub(super) enum Family {
    /// A records.
    V4,
    /// AAAA records.
    V6,
}

impl Family {
    /// As the DNS names its records.
    pub(super) fn records(self) -> &'static str {
        match self {
            Self::V4 => "A",
            Self::V6 => "AAAA",
        }
    }
}

/// What a name has.
#[derive(Debug)]
pub(super) struct Answered {
    /// Not empty.
    pub(super) addresses: Vec<IpAddr>,
    /// The shortest on the way to them.
    pub(super) ttl: Duration,
}

/// Why there are no addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Trouble {
    /// NXDOMAIN.
    NoSuchName,
    /// There is the name, and no such record of it.
    NoAddresses,
    /// Servers did not answer.
    TimedOut,
    /// Another answer than one, such as SERVFAIL, or no way to a server.
    Failed(String),
}

impl Trouble {
    /// Whether that is an answer: there is nothing.
    pub(super) fn is_none(&self) -> bool {
        matches!(self, Self::NoSuchName | Self::NoAddresses)
    }

    /// As metrics name it.
    pub(super) fn outcome(&self) -> &'static str {
        match self {
            Self::NoSuchName => "no_such_name",
            Self::NoAddresses => "no_addresses",
            Self::TimedOut => "timeout",
            Self::Failed(_) => "failed",
        }
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoSuchName => f.write_str("there is no such name (NXDOMAIN)"),
            Self::NoAddresses => f.write_str("the name has no addresses"),
            Self::TimedOut => f.write_str("no name server answered in time"),
            Self::Failed(why) => f.write_str(why),
        }
    }
}

/// Asks the servers of a configuration, or those of the system where there are none.
pub(super) struct Resolver {
    servers: Arc<[SocketAddr]>,
    ready: Option<Ready>,
}

/// A resolver that knows whom to ask. It keeps no answers: the servers do.
pub(super) struct Ready {
    resolver: TokioResolver,
    /// Whom it asks, for people.
    servers: String,
}

impl Resolver {
    pub(super) fn new(servers: Arc<[SocketAddr]>) -> Self {
        Self {
            servers,
            ready: None,
        }
    }

    /// Reads what the system says of servers and hosts again, the next time.
    pub(super) fn forget(&mut self) {
        self.ready = None;
    }

    /// Whom it asks, for people.
    pub(super) fn servers(&self) -> String {
        match &self.ready {
            Some(ready) => ready.servers().to_owned(),
            None => "/etc/resolv.conf".to_owned(),
        }
    }

    /// Whom to ask.
    ///
    /// # Errors
    /// If the system does not say that.
    pub(super) fn ready(&mut self) -> Result<&Ready, Trouble> {
        if self.ready.is_none() {
            let made = made(&self.servers).map_err(|error| {
                Trouble::Failed(format!("/etc/resolv.conf names no server: {error}"))
            })?;
            self.ready = Some(made);
        }
        self.ready.as_ref().ok_or(Trouble::TimedOut)
    }
}

fn joined(servers: impl Iterator<Item: ToString>) -> String {
    let servers: Vec<_> = servers.map(|server| server.to_string()).collect();
    servers.join(", ")
}

fn made(servers: &[SocketAddr]) -> Result<Ready, NetError> {
    let mut asked = joined(servers.iter());
    let mut builder = match servers {
        [] => {
            let (config, options) = read_system_conf()?;
            let servers = config.name_servers().iter().map(|server| server.ip);
            asked = format!("{} of /etc/resolv.conf", joined(servers));
            TokioResolver::builder_with_config(config, TokioRuntimeProvider::default())
                .with_options(options)
        }
        servers => {
            let servers = servers.iter().map(server).collect();
            let config = ResolverConfig::from_name_servers(servers);
            let mut builder =
                TokioResolver::builder_with_config(config, TokioRuntimeProvider::default());
            let options = builder.options_mut();
            options.timeout = TIMEOUT;
            options.attempts = ATTEMPTS;
            builder
        }
    };
    let options = builder.options_mut();
    options.cache_size = 0;
    // The TTL of an alias counts as well.
    options.preserve_intermediates = true;
    Ok(Ready {
        resolver: builder.build()?,
        servers: asked,
    })
}

fn server(address: &SocketAddr) -> NameServerConfig {
    let connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()];
    let at_port = |mut connection: ConnectionConfig| {
        connection.port = address.port();
        connection
    };
    let connections = connections.into_iter().map(at_port).collect();
    NameServerConfig::new(address.ip(), true, connections)
}

impl Ready {
    /// Whom it asks, for people.
    pub(super) fn servers(&self) -> &str {
        &self.servers
    }

    /// The addresses of a name.
    ///
    /// # Errors
    /// If there are none.
    pub(super) async fn ask(&self, host: &str, family: Family) -> Result<Answered, Trouble> {
        let records = match family {
            Family::V4 => RecordType::A,
            Family::V6 => RecordType::AAAA,
        };
        let asking = self.resolver.lookup(host, records);
        let answer = match tokio::time::timeout(ALTOGETHER, asking).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) => return Err(trouble(error)),
            Err(_) => return Err(Trouble::TimedOut),
        };
        let records = answer.answers();
        let addresses: Vec<_> = records.iter().filter_map(|it| it.data.ip_addr()).collect();
        let ttl = records.iter().map(|record| record.ttl).min();
        match (addresses.is_empty(), ttl) {
            (false, Some(ttl)) => Ok(Answered {
                addresses,
                ttl: Duration::from_secs(ttl.into()),
            }),
            _ => Err(Trouble::NoAddresses),
        }
    }
}

fn trouble(error: NetError) -> Trouble {
    let code = match &error {
        NetError::Dns(DnsError::NoRecordsFound(none)) => none.response_code,
        NetError::Dns(DnsError::ResponseCode(code)) => *code,
        NetError::Timeout => return Trouble::TimedOut,
        _ => return Trouble::Failed(error.to_string()),
    };
    match code {
        ResponseCode::NXDomain => Trouble::NoSuchName,
        ResponseCode::NoError => Trouble::NoAddresses,
        code => Trouble::Failed(format!("the name server answers: {code}")),
    }
}
