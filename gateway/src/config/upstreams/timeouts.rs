//! `upstreams.NAME.timeouts`.

use std::time::Duration;

use crate::config::description::Words;
use crate::config::item::Item;
use crate::config::table::{Default, Table};

static WORDS: Words = Words {
    about: "How long the gateway waits for an endpoint. What bounds a request as a whole is the `timeout` of its route \
            ([timeouts.md](timeouts.md)).",
    keys: &[
        (
            "connect",
            "For a connection, and before that for a place in a full pool.",
        ),
        (
            "first_byte",
            "From the request sent to the head of the response.",
        ),
        ("idle", "Between two pieces of the body of the response."),
        (
            "tunnel",
            "Between two pieces of what goes through a tunnel, such as a WebSocket, in either direction. Unless given, as \
             long as `idle`.",
        ),
    ],
    example: "",
};

/// How long the gateway waits for an endpoint.
pub(super) struct Timeouts {
    pub(super) connect: Duration,
    pub(super) first_byte: Duration,
    pub(super) idle: Duration,
    pub(super) tunnel: Option<Duration>,
}

/// `upstreams.NAME.timeouts`.
pub(super) fn timeouts(table: &mut Table<'_>) -> Timeouts {
    table.words(&WORDS);
    Timeouts {
        connect: table.or("connect", Default::Text("1s"), |item| item.duration()),
        first_byte: table.or("first_byte", Default::Text("15s"), |item| item.duration()),
        idle: table.or("idle", Default::Text("60s"), |item| item.duration()),
        tunnel: table.optional("tunnel", Item::duration),
    }
}
