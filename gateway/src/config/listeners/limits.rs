//! `listeners.limits`.

use crate::config::description::Words;
use crate::config::item::Item;
use crate::config::model::Limits;
use crate::config::table::{Default, Table};

/// Everything there is, as an upper end of sizes.
const ANY_SIZE: u64 = 1 << 60;

static LIMITS: Words = Words {
    about: "What one client may take of a listener.",
    keys: &[
        (
            "connections",
            "Open connections of the listener. Beyond it, the gateway accepts no more until one closes.",
        ),
        (
            "header_bytes",
            "The size of a request head. Beyond it 431, or over HTTP/1 414 where the target alone is larger. Over HTTP/1 also that of a request's trailer; beyond it 400.",
        ),
        (
            "header_count",
            "The fields of a request head. Beyond it 431. Over HTTP/1 also those of a request's trailer; beyond it 400.",
        ),
        (
            "body",
            "The size of a request body. Beyond it 413. `\"0B\"` is no limit.",
        ),
        (
            "header_timeout",
            "The time for a request head to arrive whole. Beyond it 408.",
        ),
        (
            "body_idle",
            "The time between two pieces of a request body, and for a client to take a piece of the response.",
        ),
        (
            "body_rate",
            "The least that a request body must bring in a second, on average over each `body_idle` that the gateway has waited for it. A slower one is 408: it holds a connection to an upstream meanwhile. `\"0B\"` is no limit. Tunnels have none, nor has gRPC to an upstream of HTTP/2.",
        ),
        (
            "idle",
            "How long a kept-alive connection may wait for its next request.",
        ),
        ("h2_streams", "Streams at once on an HTTP/2 connection."),
    ],
    example: "",
};

pub(super) fn limits(table: &mut Table<'_>) -> Limits {
    table.words(&LIMITS);
    let size = |low: u64, high: u64, named: &'static str| {
        move |item: &Item<'_>| item.size(low..=high, named)
    };
    Limits {
        connections: table.or("connections", Default::Integer(10_000), |item| {
            item.count(1)
        }),
        header_bytes: table.or("header_bytes", Default::Text("32KiB"), |item| {
            let bytes = item.size(1024..=1 << 20, "a size from \"1KiB\" to \"1MiB\"")?;
            usize::try_from(bytes).ok()
        }),
        header_count: table.or("header_count", Default::Integer(100), |item| {
            usize::try_from(item.integer(1..=10_000)?).ok()
        }),
        body: table.or(
            "body",
            Default::Text("10MiB"),
            size(0, ANY_SIZE, "a size up to 1 EiB"),
        ),
        header_timeout: table.or("header_timeout", Default::Text("10s"), |item| {
            item.duration()
        }),
        body_idle: table.or("body_idle", Default::Text("30s"), |item| item.duration()),
        body_rate: table.or(
            "body_rate",
            Default::Text("240B"),
            size(0, ANY_SIZE, "a size up to 1 EiB"),
        ),
        idle: table.or("idle", Default::Text("75s"), |item| item.duration()),
        h2_streams: table.or("h2_streams", Default::Integer(100), |item| {
            u32::try_from(item.integer(1..=10_000)?).ok()
        }),
    }
}
