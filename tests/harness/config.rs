//! Configurations: a test says what matters to it, and the rest is what every test wants.

use std::fmt::{self, Display, Formatter};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// The text of a `gateway.toml`: one worker, no access log, the admin listener and the listener `public` on ports of
/// their own, and what a test adds.
///
/// `lines` are always TOML, and end the table that the method names.
#[derive(Clone)]
pub(crate) struct Configuration {
    workers: usize,
    access_log: &'static str,
    server: String,
    admin: Option<String>,
    public: String,
    secrets: String,
    tables: String,
}

impl Configuration {
    pub(crate) fn new() -> Self {
        Self {
            workers: 1,
            access_log: r#"{ format = "off" }"#,
            server: String::new(),
            admin: Some(r#"address = "127.0.0.1:0""#.to_owned()),
            public: String::new(),
            secrets: String::new(),
            tables: String::new(),
        }
    }

    pub(crate) fn workers(self, workers: usize) -> Self {
        Self { workers, ..self }
    }

    /// Writes the access log as JSON, to where [`Gateway::wait_for`](super::Gateway::wait_for) looks.
    pub(crate) fn access_log(self) -> Self {
        let access_log = r#"{ format = "json", path = "stdout" }"#;
        Self { access_log, ..self }
    }

    /// More lines of `[server]`.
    pub(crate) fn server(self, lines: &str) -> Self {
        let server = self.server + lines + "\n";
        Self { server, ..self }
    }

    /// All lines of `[admin]`, the address too.
    pub(crate) fn admin(self, lines: &str) -> Self {
        let admin = Some(lines.to_owned());
        Self { admin, ..self }
    }

    pub(crate) fn without_admin(self) -> Self {
        Self {
            admin: None,
            ..self
        }
    }

    /// More lines of the listener `public`.
    pub(crate) fn public(self, lines: &str) -> Self {
        let public = self.public + lines + "\n";
        Self { public, ..self }
    }

    /// Another listener, on a port of its own.
    pub(crate) fn listener(self, name: &str, lines: &str) -> Self {
        self.with(&listener(name, lines))
    }

    pub(crate) fn secret(self, name: &str, value: &str) -> Self {
        let secrets = self.secrets + &format!("{name} = \"{value}\"\n");
        Self { secrets, ..self }
    }

    /// A plugin or guest that `make plugins guests` built.
    pub(crate) fn plugin(self, name: &str, built: &str, lines: &str) -> Self {
        self.plugin_at(name, &format!("{{plugins}}/{built}.wasm"), lines)
    }

    /// A plugin of the test's own making.
    pub(crate) fn plugin_at(self, name: &str, path: &str, lines: &str) -> Self {
        self.with(&format!("[plugins.{name}]\npath = \"{path}\"\n{lines}"))
    }

    /// The guest `probe`, and what it may ask: the upstream `echo` at this address, the secret `token` and the state.
    pub(crate) fn probe(self, echo: SocketAddr, lines: &str) -> Self {
        let grants = r#"grants = { upstreams = ["echo"], secrets = ["token"], state = true }"#;
        self.secret("token", "s3cret")
            .plugin("probe", "guest_probe", &format!("{grants}\n{lines}"))
            .upstream("echo", echo)
    }

    /// The same, and the route `probed`: `/probe/**` passes the probe and goes to `echo`.
    pub(crate) fn probed(self, echo: SocketAddr, lines: &str) -> Self {
        self.probe(echo, lines)
            .chain("probed", "/probe/**", &["probe"], "upstream = 'echo'")
    }

    /// An upstream of one endpoint.
    pub(crate) fn upstream(self, name: &str, endpoint: SocketAddr) -> Self {
        self.upstream_with(name, endpoint, "")
    }

    pub(crate) fn upstream_with(self, name: &str, endpoint: SocketAddr, lines: &str) -> Self {
        self.upstream_of(name, &[endpoint], lines)
    }

    /// An upstream with several endpoints.
    pub(crate) fn upstream_of(self, name: &str, endpoints: &[SocketAddr], lines: &str) -> Self {
        let endpoints: Vec<_> = endpoints.iter().map(ToString::to_string).collect();
        self.with(&format!(
            "[upstreams.{name}]\nendpoints = {endpoints:?}\n{lines}"
        ))
    }

    pub(crate) fn route(self, name: &str, path: &str, lines: &str) -> Self {
        self.with(&format!(
            "[[routes]]\nname = \"{name}\"\nmatch = {{ path = \"{path}\" }}\n{lines}"
        ))
    }

    /// A route through these plugins.
    pub(crate) fn chain(self, name: &str, path: &str, plugins: &[&str], lines: &str) -> Self {
        self.route(name, path, &format!("plugins = {plugins:?}\n{lines}"))
    }

    /// Whole tables, as they stand.
    pub(crate) fn with(self, tables: &str) -> Self {
        let tables = self.tables + tables + "\n";
        Self { tables, ..self }
    }
}

impl Display for Configuration {
    fn fmt(&self, text: &mut Formatter<'_>) -> fmt::Result {
        writeln!(text, "[server]\nworkers = {}", self.workers)?;
        writeln!(text, "access_log = {}\n{}", self.access_log, self.server)?;
        if let Some(admin) = &self.admin {
            writeln!(text, "[admin]\n{admin}")?;
        }
        text.write_str(&listener("public", &self.public))?;
        if !self.secrets.is_empty() {
            writeln!(text, "[secrets]\n{}", self.secrets)?;
        }
        text.write_str(&self.tables)
    }
}

fn listener(name: &str, lines: &str) -> String {
    format!("[[listeners]]\nname = \"{name}\"\naddress = \"127.0.0.1:0\"\n{lines}\n")
}

/// Writes `gateway.toml` into a directory; its path. `{dir}` in the text becomes that directory, `{plugins}` that of
/// the built plugins.
pub(crate) fn write(config: &impl Display, directory: &Path) -> PathBuf {
    let plugins = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/plugins");
    let text = config
        .to_string()
        .replace("{dir}", directory.to_str().unwrap())
        .replace("{plugins}", plugins.to_str().unwrap());
    let file = directory.join("gateway.toml");
    std::fs::write(&file, text).unwrap();
    file
}

/// A file with the numbers of its lines, which the gateway's faults name.
pub(crate) fn numbered(file: &Path) -> String {
    let text = std::fs::read_to_string(file).unwrap_or_else(|error| error.to_string());
    let lines = (1..).zip(text.lines());
    lines
        .map(|(number, line)| format!("{number:4} {line}\n"))
        .collect()
}
