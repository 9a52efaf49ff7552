//! `routes.retry`.

use http::Method;

use super::matcher;
use crate::config::answers;
use crate::config::description::Words;
use crate::config::model::{Failed, Outcome, Outcomes, Retry};
use crate::config::table::{Default, Table};

/// The most attempts.
const MOST: i64 = 10;

/// What is said of `methods` without any.
const NO_METHOD: &str = "is empty, so that nothing that an endpoint may have seen is sent again; leave it out for the idempotent methods \
     (RFC 9110, section 9.2.2), or write `retry = false`";

static WORDS: Words = Words {
    about: "What is sent again where the upstream does not answer as it should: to another endpoint if there is one. \
            What may have been seen by an endpoint goes out again only with a method of `methods` and a body that is not \
            there or was held by a plugin; a request of which nothing was sent goes out again whatever its method. \
            Where all attempts are used up, or the budget is, the client gets the last answer that the upstream gave, \
            and where it gave none the failure. Sub-requests of plugins and the request to a fallback go out once.",
    keys: &[
        (
            "attempts",
            "How often a request is sent at most, the first time included: 2 to 10. Unless given, 3.",
        ),
        (
            "on",
            "After which outcomes. `connect`: no connection. `reset`: the connection broke before the answer, or what \
             came was no answer. `timeout`: no connection or no answer in time. A status or a class of them: that of the \
             upstream's answer, or of the gateway's own in its place. Unless given, `[\"connect\", \"reset\", 502, 503, 504]`.",
        ),
        (
            "methods",
            "Of what may have been seen. Unless given, the idempotent ones (RFC 9110, section 9.2.2): GET, HEAD, \
             OPTIONS, TRACE, PUT and DELETE. POST and PATCH are sent twice only where they stand here.",
        ),
        (
            "backoff",
            "The longest pause before the second attempt; it doubles with each attempt, up to ten times this. Each pause \
             is a random part of it. Unless given, `25ms`.",
        ),
        (
            "budget",
            "The part of the upstream's requests of the last 10 s that may go out again, from 0.0 to 1.0; ten always \
             may. `false`: any number. Unless given, 0.2.",
        ),
        (
            "per_try",
            "How long one attempt may take, from when there is something to send up to the head of the answer. Unless \
             given, as long as `timeouts` and `timeout` allow.",
        ),
    ],
    example: "",
};

/// What is sent again, and how often.
pub(super) fn retry(table: &mut Table<'_>) -> Option<Retry> {
    table.words(&WORDS);
    let attempts = table.or("attempts", Default::Integer(3), |item| {
        u32::try_from(item.integer(2..=MOST)?).ok()
    });
    let on = table.item("on");
    if on.is_none() {
        table.show("on", serde_json::json!(["connect", "reset", 502, 503, 504]));
    }
    let on = on.map_or_else(
        || Some(usual()),
        |item| answers::outcomes(&item, "nothing is sent again", false),
    );
    let methods = table.optional("methods", |item| matcher::methods_of(item, NO_METHOD));
    let backoff = table.or("backoff", Default::Text("25ms"), |item| item.duration());
    let budget = table.or("budget", Default::Float(0.2), |item| {
        match item.is_false() {
            true => Some(None),
            false => item.share().map(Some),
        }
    });
    let per_try = table.optional("per_try", |item| item.duration());
    Some(Retry {
        attempts,
        on: on?,
        methods: methods.unwrap_or_else(idempotent),
        backoff,
        budget,
        per_try,
    })
}

fn usual() -> Outcomes {
    let statuses = [502, 503, 504].map(|status| Outcome::Status(Failed::Status(status)));
    let others = [Outcome::Connect, Outcome::Reset];
    Outcomes(others.into_iter().chain(statuses).collect())
}

fn idempotent() -> Vec<Method> {
    let methods = [
        Method::GET,
        Method::HEAD,
        Method::OPTIONS,
        Method::TRACE,
        Method::PUT,
        Method::DELETE,
    ];
    methods.to_vec()
}
