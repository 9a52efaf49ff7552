//! Where what is said of a configuration belongs, past the loader.

use std::io;

use super::fault::{Fault, Spot};
use super::model::{AccessLogPath, Config};
use super::tree;

impl Config {
    /// The place of a key of a plugin's table.
    pub fn place_of_plugin(&self, plugin: &str, key: &str) -> Spot {
        self.origins
            .spot(&tree::join(&tree::join("plugins", plugin), key))
    }

    /// Whether a plugin has a configuration of its own, for chains that give it none.
    pub fn has_default(&self, plugin: &str) -> bool {
        let key = tree::join(&tree::join("plugins", plugin), "config");
        self.origins.has(&key)
    }

    /// What is said of an access log that cannot be written.
    pub fn unwritable_log(&self, why: &io::Error) -> Fault {
        let message = match &self.server.access_log.path {
            AccessLogPath::File(path) => format!(
                "cannot write {}: {why}; give this user a directory there that it may write to, or name another file",
                path.display()
            ),
            _ => format!("cannot be written: {why}"),
        };
        self.origins.spot("server.access_log.path").fault(message)
    }
}
