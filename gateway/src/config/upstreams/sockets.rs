//! Endpoints that are sockets of this host: `unix:` and a path.

use std::path::Path;
use std::sync::Arc;

use crate::config::item::Item;
use crate::config::model::{Endpoint, Named};
use crate::config::socket_path::{SCHEME, socket_path};
use crate::config::table::Table;
use crate::message::target::Target;

/// The socket whose path stands behind `unix:`.
pub(super) fn socket(item: &Item<'_>, path: &str) -> Option<Arc<Path>> {
    socket_path(item, path, "unix:/run/app.sock").map(Arc::from)
}

/// What is left of `unix:/run/app.sock:/uri`, as nginx has it behind `http://`, without what stands behind the path.
pub(super) fn without_uri(text: &str) -> String {
    let path = text.strip_prefix(SCHEME).unwrap_or(text);
    let path = path.split(':').next().unwrap_or(path);
    format!("{SCHEME}{path}")
}

/// The endpoints of an upstream: those with a place, and names of others.
type Endpoints = (Vec<Endpoint>, Vec<Named>);

fn is_socket(endpoint: &Endpoint) -> bool {
    matches!(endpoint.target, Target::Unix(_))
}

/// TLS to a socket needs to be told the name that a certificate is verified by.
pub(super) fn check_tls(tls: &Table<'_>, endpoints: Option<&Endpoints>) {
    let has_socket = endpoints.is_some_and(|(placed, _)| placed.iter().any(is_socket));
    if has_socket && !tls.has("server_name") {
        tls.fault_here(
            "a socket has no name that its certificate could be verified by; add `server_name`",
        );
    }
}

/// Another port to be asked at is for endpoints that have one.
pub(super) fn check_health(health: &Table<'_>, endpoints: Option<&Endpoints>) {
    let are_all = |(placed, named): &Endpoints| named.is_empty() && placed.iter().all(is_socket);
    let has_port = health.is_given("port");
    if has_port && endpoints.is_some_and(|it| !it.0.is_empty() && are_all(it)) {
        let message = "has no effect, since every endpoint is a socket, and has no port; remove it";
        health.fault("port", message);
    }
}
