//! Where what is said of a configuration belongs, past the loader.

use std::io;

use super::fault::{Fault, Spot};
use super::model::{AccessLog, AccessLogFormat, AccessLogPath, Config};
use super::tree;
use crate::file;

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

    /// What is said of an access log that cannot be written, if that is so. The system may have said why, as it was
    /// opened.
    pub fn unwritable_log(&self, failed: Option<&io::Error>) -> Option<Fault> {
        let AccessLog { path, format, .. } = &self.server.access_log;
        let why = match path {
            _ if *format == AccessLogFormat::Off => return None,
            AccessLogPath::File(path) => {
                let why = file::appendable(path).err().map(|why| why.to_string());
                let failed = || failed.map(|why| format!("{why}; name another file"));
                format!("cannot write {}: {}", path.display(), why.or_else(failed)?)
            }
            _ => format!("cannot be written: {}; write the path of a file", failed?),
        };
        Some(self.origins.spot("server.access_log.path").fault(why))
    }
}
