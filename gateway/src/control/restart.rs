//! What only a restart applies. A reload keeps it as it is, and says so: the configuration in force never claims what
//! the process does not do.

use serde_json::Value as Json;

use crate::config::{Admin, Config, ListenAddress, UnixSocket};

/// Puts back in `config` what a running process cannot change. Each key for which it had to, as a message.
pub(super) fn keep(config: &mut Config, running: &Config) -> Vec<String> {
    let mut said = Vec::new();
    let mut kept = Vec::new();
    let (new, old) = (&mut config.server, &running.server);
    if new.workers != old.workers {
        said.push(stays("server.workers", &old.workers, &new.workers));
        new.workers = old.workers;
        kept.push(("server", "workers"));
    }
    if new.compile_cache != old.compile_cache {
        let shown = |cache: &Option<std::path::PathBuf>| match cache {
            Some(path) => path.display().to_string(),
            None => "false".to_owned(),
        };
        let (was, is) = (shown(&old.compile_cache), shown(&new.compile_cache));
        said.push(stays("server.compile_cache", &was, &is));
        new.compile_cache.clone_from(&old.compile_cache);
        kept.push(("server", "compile_cache"));
    }
    match (&mut config.admin, &running.admin) {
        (Some(new), Some(old)) => {
            let keys = keep_address(new, old, &mut said);
            kept.extend(keys.into_iter().map(|key| ("admin", key)));
        }
        (None, None) => {}
        (new, old) => {
            said.push(match old {
                Some(old) => format!("admin: stays on at {}; a restart ends it", old.address),
                None => "admin: stays off; it needs a restart".to_owned(),
            });
            new.clone_from(old);
            put(&mut config.masked, "admin", running.masked.get("admin"));
            config.origins.restore("admin", &running.origins);
        }
    }
    for (section, key) in kept {
        restore(&mut config.masked, &running.masked, section, key);
        let key = format!("{section}.{key}");
        config.origins.restore(&key, &running.origins);
    }
    said
}

/// The admin listener stays where it is. The keys that stay with it.
fn keep_address(new: &mut Admin, old: &Admin, said: &mut Vec<String>) -> Vec<&'static str> {
    if new.address == old.address {
        return Vec::new();
    }
    let mut kept = vec!["address", "mode"];
    match (&new.address, &old.address) {
        // Another way to write it.
        (ListenAddress::Unix(new), ListenAddress::Unix(old))
            if (&new.place, new.mode) == (&old.place, old.mode) => {}
        (ListenAddress::Unix(new), ListenAddress::Unix(old)) if new.place == old.place => {
            let octal = |socket: &UnixSocket| format!("{:04o}", socket.mode);
            said.push(stays("admin.mode", &octal(old), &octal(new)));
        }
        (is, was) => {
            said.push(stays("admin.address", was, is));
            kept.extend(keep_tokens(new, old, said));
        }
    }
    new.address = old.address.clone();
    kept
}

/// A listener that stays takes other tokens, but does not go without where it may have needed one.
fn keep_tokens(new: &mut Admin, old: &Admin, said: &mut Vec<String>) -> Vec<&'static str> {
    if new.token.is_some() || new.read_token.is_some() {
        return Vec::new();
    }
    let mut kept = Vec::new();
    for (key, new, old) in [
        ("token", &mut new.token, &old.token),
        ("read_token", &mut new.read_token, &old.read_token),
    ] {
        if old.is_some() {
            said.push(format!(
                "admin.{key}: stays as long as the address does; none needs a restart"
            ));
            new.clone_from(old);
            kept.push(key);
        }
    }
    kept
}

fn stays(key: &str, old: &impl std::fmt::Display, new: &impl std::fmt::Display) -> String {
    format!("{key}: {old} stays in force; {new} needs a restart")
}

/// Shows a key as it was shown.
fn restore(masked: &mut Json, running: &Json, section: &str, key: &str) {
    let old = running.get(section).and_then(|section| section.get(key));
    if let Some(section) = masked.get_mut(section) {
        put(section, key, old);
    }
}

fn put(table: &mut Json, key: &str, value: Option<&Json>) {
    let Some(table) = table.as_object_mut() else {
        return;
    };
    match value {
        Some(value) => table.insert(key.to_owned(), value.clone()),
        None => table.remove(key),
    };
}
