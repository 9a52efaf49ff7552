//! What tests share: the real binary and its configurations, an origin that remembers what it got, raw sockets.

pub(crate) mod bridge;
pub(crate) mod client;
pub(crate) mod config;
pub(crate) mod dns;
pub(crate) mod faulty;
pub(crate) mod frames;
pub(crate) mod gateway;
pub(crate) mod h2;
pub(crate) mod h2_origin;
pub(crate) mod http;
pub(crate) mod origin;
pub(crate) mod peer;
pub(crate) mod recorder;
pub(crate) mod serving;
pub(crate) mod tls;
pub(crate) mod tls_origin;

pub(crate) use config::Configuration;
pub(crate) use gateway::Gateway;
pub(crate) use http::{Answer, get, raw};
pub(crate) use origin::Origin;

/// A built plugin or guest.
pub(crate) fn wasm(name: &str) -> std::path::PathBuf {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../target/plugins")
        .join(format!("{name}.wasm"));
    path.canonicalize().unwrap_or_else(|error| {
        panic!(
            "{} is not built (`make plugins guests`): {error}",
            path.display()
        )
    })
}

/// Where a program is; Debian has servers where only root looks.
pub(crate) fn program(name: &str) -> std::path::PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(["/usr/sbin".into()]);
    let mut files = folders.map(|folder| folder.join(name));
    files
        .find(|file| file.is_file())
        .unwrap_or_else(|| name.into())
}
