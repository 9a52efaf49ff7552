//! A plugin's file: read, bounded, and what it is.

use std::sync::Arc;

use sha2::{Digest, Sha256};

use crate::config;
use crate::file;
use crate::message::text::hex;

/// A component as its file has it.
#[derive(Debug)]
pub struct Artifact {
    pub(super) plugin: Arc<str>,
    pub(super) bytes: Vec<u8>,
    pub(super) sha256: [u8; 32],
}

impl Artifact {
    /// Reads a plugin's file; or the key of its table that does not go with it, and why.
    pub(super) fn read(plugin: &config::Plugin) -> Result<Self, (&'static str, String)> {
        let path = plugin.path.display();
        let bytes = file::read(&plugin.path, config::COMPONENT)
            .map_err(|error| ("path", format!("cannot read {path}: {error}")))?;
        let sha256: [u8; 32] = Sha256::digest(&bytes).into();
        match plugin.sha256 {
            Some(pinned) if pinned != sha256 => {
                let (is, pinned) = (hex(&sha256), hex(&pinned));
                let message = format!(
                    "{path}: its sha256 is {is}, but the configuration pins {pinned}; put the version back that was \
                     pinned, or pin this one"
                );
                Err(("sha256", message))
            }
            _ => Ok(Self {
                plugin: plugin.name.clone(),
                bytes,
                sha256,
            }),
        }
    }

    /// What it is instead of a component, by its first bytes.
    pub(super) fn mistaken(&self) -> Option<&'static str> {
        const COMPONENT: &[u8] = b"\0asm\x0d\0\x01\0";
        const MODULE: &[u8] = b"\0asm\x01\0\0\0";
        if self.bytes.starts_with(MODULE) {
            Some(
                "is a core WebAssembly module, not a component; build it for the target wasm32-wasip2",
            )
        } else if !self.bytes.starts_with(COMPONENT) {
            Some("is not a WebAssembly component; build one for the target wasm32-wasip2")
        } else {
            None
        }
    }
}
