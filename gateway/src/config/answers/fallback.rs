//! `routes.fallback`.

use std::sync::Arc;

use super::errors::failed;
use super::respond::respond;
use crate::config::description::{Shape, Words};
use crate::config::item::Item;
use crate::config::model::{Failed, Fallback, FallbackOn, FallbackTo, UpstreamId};
use crate::config::sections::Names;
use crate::config::table::Table;
use crate::config::tree::Value;

/// What a list of outcomes has in it.
const OUTCOMES: &str =
    "`connect`, `reset`, `timeout`, `breaker`, a status from 400 to 599, `4xx` or `5xx`";

static WORDS: Words = Words {
    about: "What answers where the upstream does not: another upstream, or the gateway. It comes after all attempts, \
            its answer passes the response phases, and the request phases are not run again. The request goes to the \
            other upstream as it would have left, with the Host of that upstream; if that has no answer either, the \
            first outcome stands. What was sent is not repeated unless it is safe: where a byte of a request went out, \
            only one of an idempotent method whose body is not there or was held goes to the other upstream.",
    keys: &[
        ("upstream", "The other upstream."),
        ("respond", "The answer of the gateway."),
        (
            "on",
            "When. `connect`: no connection, or no endpoint that takes requests. `reset`: the connection broke before the answer, or what came was no \
             answer. `timeout`: no connection or no answer in time, `timeout` of the route included. `breaker`: the \
             upstream has as many requests as `pool` and `breaker` allow. A status or a class of them: that of the \
             upstream's answer, or of the gateway's own in its place. Unless given, \
             `[\"connect\", \"timeout\", 502, 503, 504]`.",
        ),
    ],
    example: "",
};

/// What answers where the upstream does not; `params` are those of the path.
pub(in crate::config) fn fallback(
    table: &mut Table<'_>,
    names: &Names,
    params: &[Arc<str>],
) -> Option<Fallback> {
    table.words(&WORDS);
    let upstream = table.optional("upstream", |item| {
        let name = item.reference("an upstream", &names.upstreams)?;
        let index = names.upstreams.iter().position(|known| *known == name);
        index.map(|index| FallbackTo::Upstream(UpstreamId(index)))
    });
    let respond = table.optional_sub("respond", |table| respond(table, params));
    let on = table.item("on");
    if on.is_none() {
        let usual = serde_json::json!(["connect", "timeout", 502, 503, 504]);
        table.show("on", usual);
    }
    let on = on.map_or_else(|| Some(usual()), |item| outcomes(&item))?;
    let to = match (table.has("upstream"), table.has("respond")) {
        (true, true) if table.scope.description().is_none() => {
            table.fault_here("has `upstream` and `respond`; a fallback has one of them");
            None
        }
        (false, false) => {
            table.fault_here(
                "answers nothing; add `upstream = \"name\"` or `respond = { status = 503 }`",
            );
            None
        }
        (true, _) => upstream,
        (false, true) => respond.flatten().map(FallbackTo::Respond),
    };
    Some(Fallback { on, to: to? })
}

fn usual() -> Vec<FallbackOn> {
    let statuses = [502, 503, 504].map(|status| FallbackOn::Status(Failed::Status(status)));
    [FallbackOn::Connect, FallbackOn::Timeout]
        .into_iter()
        .chain(statuses)
        .collect()
}

fn outcomes(item: &Item<'_>) -> Option<Vec<FallbackOn>> {
    let items = item.items("a list such as [\"connect\", \"timeout\", 502, 503]")?;
    if items.is_empty() && !item.is_probe() {
        item.fault(
            "is empty, so that the fallback never answers; leave it out for the usual outcomes",
        );
    }
    let mut outcomes = Vec::new();
    for item in items {
        let Some(outcome) = outcome(&item) else {
            continue;
        };
        if outcomes.contains(&outcome) {
            item.fault(format!("{} is listed twice", item.quoted()));
        }
        outcomes.push(outcome);
    }
    Some(outcomes)
}

fn outcome(item: &Item<'_>) -> Option<FallbackOn> {
    let words = [
        ("connect", FallbackOn::Connect),
        ("reset", FallbackOn::Reset),
        ("timeout", FallbackOn::Timeout),
        ("breaker", FallbackOn::Breaker),
        ("4xx", FallbackOn::Status(Failed::Class(4))),
        ("5xx", FallbackOn::Status(Failed::Class(5))),
    ];
    if let Some(outcome) = item.keyword(words) {
        return Some(outcome);
    }
    if item.is_probe() {
        item.expect(Shape::Integer(400, 599), "a status");
        return None;
    }
    let status = match &item.node.value {
        Value::Integer(number) => failed(&number.to_string()),
        Value::Text(text) => failed(text),
        _ => None,
    };
    if status.is_none() {
        item.mismatch(&format!("one of {OUTCOMES}"));
    }
    status.map(FallbackOn::Status)
}
