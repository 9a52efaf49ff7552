//! `routes.fallback`.

use std::sync::Arc;

use super::outcomes::outcomes;
use super::respond::respond;
use crate::config::description::Words;
use crate::config::model::{Failed, Fallback, FallbackTo, Outcome, Outcomes, UpstreamId};
use crate::config::sections::Names;
use crate::config::table::Table;

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
             upstream has as many requests as `pool` and `breaker` allow, or its breaker is open. A status or a class of them: that of the \
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
    let on = on.map_or_else(
        || Some(usual()),
        |item| outcomes(&item, "the fallback never answers", true),
    )?;
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

fn usual() -> Outcomes {
    let statuses = [502, 503, 504].map(|status| Outcome::Status(Failed::Status(status)));
    let others = [Outcome::Connect, Outcome::Timeout];
    Outcomes(others.into_iter().chain(statuses).collect())
}
