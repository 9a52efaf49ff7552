//! `[admin]`.

use super::listen::ListenAddress;
use crate::config::units::Secret;

/// `[admin]`.
#[derive(Debug, Clone)]
pub struct Admin {
    /// Where it listens: on loopback, unless there is a token; of a unix socket where others than its owner and group may
    /// connect, there is one.
    pub address: ListenAddress,
    /// What `Authorization: Bearer` must carry for everything, if set.
    pub token: Option<Secret>,
    /// What it may carry instead for what changes nothing, if set; another one than `token`.
    pub read_token: Option<Secret>,
}
