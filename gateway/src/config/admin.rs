//! `[admin]`.

use serde_json::Value as Json;

use super::description::Words;
use super::listen::{self, Example};
use super::model::{Admin, ListenAddress};
use super::process::secret_text;
use super::table::Table;
use super::units::Secret;

/// The fewest bytes of a token beside an address that others reach.
const TOKEN_BYTES: usize = 16;

const ADDRESS: Example = Example {
    expected: "an address such as \"127.0.0.1:9901\" or \"unix:/run/gateway/admin.sock\"",
    socket: "unix:/run/gateway/admin.sock",
};

static ADMIN: Words = Words {
    about: "Metrics, health and state of the process, and reloads by request.",
    keys: &[
        (
            "address",
            "Where the admin listener listens: a loopback address, unless a token is given, or a unix socket, whose path \
             is relative to this file. A file that a process left there which is gone is replaced; a socket that \
             something listens on, and what is no socket, is left alone. A change needs a restart.",
        ),
        (
            "mode",
            "The permissions of the unix socket, in octal; `\"0600\"` unless given. Without a token, no more than its \
             owner and its group may connect. A change needs a restart.",
        ),
        (
            "token",
            "What `Authorization: Bearer` must carry. Without any token, no request needs one. Beside an address that is not loopback it has at least 16 bytes, as `read_token` has.",
        ),
        (
            "read_token",
            "What it may carry instead for requests that change nothing. Without `token`, nothing can be changed by \
             request.",
        ),
    ],
    example: r#"
[admin]
address = "unix:/run/gateway/admin.sock"   # or an address such as "127.0.0.1:9901", without `mode`
mode = "0660"
token = { file = "secret.txt" }
read_token = "${ADMIN_READ_TOKEN:-not for production}"
"#,
};

/// `[admin]`.
pub(super) fn admin(table: &mut Table<'_>) -> Option<Admin> {
    table.words(&ADMIN);
    let address = listen::address(table, "address = \"127.0.0.1:9901\"", &ADDRESS);
    let token = token(table, "token");
    let read_token = token_beside(table, token.as_ref());
    let has_token = table.has("token") || table.has("read_token");
    let address = address?;
    match &address {
        ListenAddress::Ip(ip) if !ip.ip().to_canonical().is_loopback() && !has_token => {
            let message = format!(
                "`{ip}` is not loopback: anyone who can reach it could administer the gateway; listen on 127.0.0.1, or set `token`"
            );
            table.fault("address", message);
            return None;
        }
        ListenAddress::Ip(ip) if !ip.ip().to_canonical().is_loopback() => {
            let address = ip.to_string();
            let tokens = [("token", &token), ("read_token", &read_token)];
            for (key, token) in tokens {
                if let Some(token) = token {
                    long_enough(table, key, token, &address);
                }
            }
        }
        ListenAddress::Ip(_) => {}
        ListenAddress::Unix(socket) => {
            if socket.is_open() && !has_token {
                let message = "lets every user of this machine connect, who could administer the gateway; write \"0660\", \
                               or set `token`";
                table.fault("mode", message);
            }
        }
    }
    Some(Admin {
        address,
        token,
        read_token,
    })
}

/// Whether nobody guesses a token who can try as many as they like.
fn long_enough(table: &mut Table<'_>, key: &'static str, token: &Secret, address: &str) {
    let length = token.reveal().len();
    if length < TOKEN_BYTES {
        let subject = table.subject(key);
        let message = format!(
            "{subject}is {length} bytes long, and whoever reaches `{address}` may guess; write at least {TOKEN_BYTES} that nobody guesses, \
             such as `openssl rand -hex 32` prints, or listen on 127.0.0.1"
        );
        table.fault(key, message);
    }
}

/// What a client can present as a token.
fn token(table: &mut Table<'_>, key: &'static str) -> Option<Secret> {
    let item = table.item_unshown(key)?;
    if !item.is_probe() {
        table.show(key, Json::from("***"));
    }
    let token = secret_text(&item)?;
    let text = token.reveal();
    let is_cut = text.trim_ascii() != text;
    // RFC 9110, section 5.5: a field has no control characters, and no white space at its ends.
    if is_cut || text.bytes().any(|byte| byte.is_ascii_control()) {
        item.fault(format!(
            "{}has white space at its ends or control characters in it, so that no `Authorization` can carry it",
            item.subject()
        ));
        return None;
    }
    Some(token)
}

/// `read_token`, which is another one than `token`.
fn token_beside(table: &mut Table<'_>, other: Option<&Secret>) -> Option<Secret> {
    let read = token(table, "read_token")?;
    if other == Some(&read) {
        let message = format!(
            "{}is the same as `token`: who may read could change everything; give it another value",
            table.subject("read_token")
        );
        table.fault("read_token", message);
        return None;
    }
    Some(read)
}
