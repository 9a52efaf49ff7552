//! Where something listens: an address and a port, or a unix socket and its permissions.

use super::item::Item;
use super::model::{ListenAddress, UnixSocket};
use super::process;
use super::socket_path::{SCHEME, is_misspelt, socket_path};
use super::table::Table;
use crate::file;

/// The permissions of a socket unless given: of the user of the gateway alone.
const MODE: u32 = 0o600;

/// Who may write to a socket may connect to it.
const ANYONE: u32 = 0o002;

/// How such an address is written.
pub(super) struct Example {
    /// What is expected, in words.
    pub(super) expected: &'static str,
    /// A unix socket.
    pub(super) socket: &'static str,
}

impl UnixSocket {
    /// Whether every user of this host may connect.
    pub(super) fn is_open(&self) -> bool {
        self.mode & ANYONE != 0
    }
}

/// `address` and `mode` of a table; both are read whatever the other is.
pub(super) fn address(
    table: &mut Table<'_>,
    add: &'static str,
    example: &Example,
) -> Option<ListenAddress> {
    let address = table.required("address", add, |item| listening(item, example));
    let mode = table.optional("mode", mode);
    let mut address = address?;
    match &mut address {
        ListenAddress::Unix(socket) => socket.mode = mode.unwrap_or(MODE),
        // Also where the address comes from outside: who wrote `mode` counts on it.
        ListenAddress::Ip(ip) if mode.is_some() => {
            let message =
                format!("is for a unix socket, and `address` is `{ip}`; remove one of the two");
            table.fault_between(&["address", "mode"], message);
        }
        ListenAddress::Ip(_) => {}
    }
    Some(address)
}

/// `IP:port`, or `unix:` and a path.
fn listening(item: &Item<'_>, example: &Example) -> Option<ListenAddress> {
    let text = item.text_as(example.expected)?;
    if let Some(path) = text.strip_prefix(SCHEME) {
        let path = socket_path(item, path, example.socket)?;
        return Some(ListenAddress::Unix(UnixSocket {
            place: file::place(&path).into(),
            path: path.into(),
            mode: MODE,
        }));
    }
    if is_misspelt(item, text) {
        return None;
    }
    process::address(item).map(ListenAddress::Ip)
}

/// Permissions as chmod(1) takes them.
fn mode(item: &Item<'_>) -> Option<u32> {
    const EXPECTED: &str = "permissions in octal such as \"0600\" or \"0660\"";
    let text = item.text_as(EXPECTED)?;
    let is_octal =
        (3..=4).contains(&text.len()) && text.bytes().all(|digit| matches!(digit, b'0'..=b'7'));
    let mode = u32::from_str_radix(text, 8).ok();
    let mode = mode.filter(|mode| is_octal && *mode <= 0o777);
    match mode {
        Some(_) => item.may_show(Some(text)),
        None => item.mismatch(EXPECTED),
    }
    mode
}
