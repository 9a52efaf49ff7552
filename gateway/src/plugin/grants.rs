//! Which of a plugin's imports the configuration allows.

use crate::config::Grants;

/// The version of `gateway:plugin` that this host serves.
pub(super) const VERSION: &str = "0.2.0";

/// The version of the contract that a name of an interface belongs to, if it is not the one that this host serves.
pub(super) fn foreign_version(name: &str) -> Option<&str> {
    let (_, version) = name.strip_prefix("gateway:plugin/")?.split_once('@')?;
    (version != VERSION).then_some(version)
}

/// What is wrong with one import of a component, if anything, and the remedy. `calls` tells whether it brings
/// functions: a plugin that only limits imports the error type of `state`, and that needs no grant.
pub(super) fn check_import(
    name: &str,
    calls: bool,
    granted: Option<&Grants>,
) -> Result<(), String> {
    let path = name.split('@').next().unwrap_or(name);
    if path.starts_with("wasi:") {
        return Ok(());
    }
    let Some(interface) = path.strip_prefix("gateway:plugin/") else {
        return Err(format!(
            "imports `{name}`, which the gateway does not have; it serves gateway:plugin@{VERSION} and wasi 0.2"
        ));
    };
    let all = granted.is_none();
    let with = |has: fn(&Grants) -> bool| all || granted.is_some_and(has);
    let (granted, remedy) = match interface {
        "exchange" | "edits" | "types" | "limiter" | "telemetry" => return Ok(()),
        "state" => (with(|grants| grants.state), "set `grants.state = true`"),
        "upstream" => (
            with(|grants| !grants.upstreams.is_empty()),
            "name the upstreams in `grants.upstreams`",
        ),
        "secrets" => (
            with(|grants| !grants.secrets.is_empty()),
            "name the secrets in `grants.secrets`",
        ),
        _ => {
            return Err(format!(
                "imports `{name}`, which gateway:plugin@{VERSION} does not have"
            ));
        }
    };
    if granted || !calls {
        return Ok(());
    }
    Err(format!(
        "calls `{interface}`, which is not granted; {remedy}"
    ))
}
