//! `upstreams.NAME.breaker`.

use crate::config::description::Words;
use crate::config::model::{Breaker, Trip};
use crate::config::table::{Default, Table};

static WORDS: Words = Words {
    about: "What the gateway holds back from an upstream. With `failure_ratio` it is a circuit breaker: once so large a \
            part of the requests of the last `window` failed it opens, and requests get 503 at once, or what `fallback` \
            of their route says for `breaker`. After `open_for` one request is let through: if it succeeds the breaker \
            closes, else it stays open for as long again. A request failed where there was no answer, or not all of it, \
            and where the answer had a status of 500 or more.",
    keys: &[
        (
            "max_pending",
            "Requests, over all workers, that may wait for one of `pool.max_connections`. One beyond gets 503 at once. `0`: none waits.",
        ),
        (
            "max_requests",
            "Requests, over all workers, that may be under way, up to the last byte of their answers. One beyond gets 503 at once. Unless given, any number.",
        ),
        (
            "failure_ratio",
            "The part of requests, over 0.0 and up to 1.0, whose failure opens the breaker. Unless given, it never opens.",
        ),
        (
            "window",
            "How far back requests count. Unless given, `10s`.",
        ),
        (
            "min_requests",
            "So many requests must have ended in the window before the breaker opens. Unless given, 20.",
        ),
        (
            "open_for",
            "How long the breaker stays open before a request is let through. Unless given, `5s`.",
        ),
        (
            "slow",
            "An answer whose head takes longer than this counts as a failure. Unless given, none does.",
        ),
    ],
    example: "",
};

/// How many may wait, and the rest.
pub(super) fn breaker(table: &mut Table<'_>) -> (usize, Option<Breaker>) {
    table.words(&WORDS);
    let max_pending = table.or("max_pending", Default::Integer(1024), |item| item.count(0));
    let max_requests = table.optional("max_requests", |item| item.count(1));
    let trip = match table.optional("failure_ratio", |item| match item.share()? {
        0.0 => {
            item.fault("must be more than 0: the breaker would open without a failure");
            None
        }
        ratio => Some(ratio),
    }) {
        Some(failure_ratio) => Some(Trip {
            failure_ratio,
            window: table.or("window", Default::Text("10s"), |item| item.duration()),
            min_requests: table.or("min_requests", Default::Integer(20), |item| item.count(1))
                as u64,
            open_for: table.or("open_for", Default::Text("5s"), |item| item.duration()),
            slow: table.optional("slow", |item| item.duration()),
        }),
        None => {
            without_ratio(table);
            None
        }
    };
    let breaker = Breaker { max_requests, trip };
    let holds = max_requests.is_some() || trip.is_some();
    (max_pending, holds.then_some(breaker))
}

/// What says when a breaker opens says nothing where none does.
fn without_ratio(table: &mut Table<'_>) {
    table.optional("window", |item| item.duration());
    table.optional("min_requests", |item| item.count(1));
    table.optional("open_for", |item| item.duration());
    table.optional("slow", |item| item.duration());
    if table.has("failure_ratio") {
        return;
    }
    for key in ["window", "min_requests", "open_for", "slow"] {
        if table.has(key) {
            table.fault(
                key,
                "does nothing without `failure_ratio`, which opens the breaker; add for example `failure_ratio = 0.5`",
            );
        }
    }
}
