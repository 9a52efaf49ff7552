//! `on`: the outcomes of a request to an upstream that something is for.

use super::errors::failed;
use crate::config::description::Shape;
use crate::config::item::Item;
use crate::config::model::{Failed, Outcome, Outcomes};
use crate::config::tree::Value;

/// A list of outcomes; an empty one means what `never` says. Some are not for `breaker`: nothing comes of another try.
pub(in crate::config) fn outcomes(
    item: &Item<'_>,
    never: &str,
    takes_breaker: bool,
) -> Option<Outcomes> {
    let items = item.items("a list such as [\"connect\", \"timeout\", 502, 503]")?;
    if items.is_empty() && !item.is_probe() {
        item.fault(format!(
            "is empty, so that {never}; leave it out for the usual outcomes"
        ));
    }
    let mut outcomes = Vec::new();
    for item in items {
        let Some(outcome) = outcome(&item, takes_breaker) else {
            continue;
        };
        if outcomes.contains(&outcome) {
            item.fault(format!("{} is listed twice", item.quoted()));
        }
        outcomes.push(outcome);
    }
    Some(Outcomes(outcomes))
}

fn outcome(item: &Item<'_>, takes_breaker: bool) -> Option<Outcome> {
    let words = [
        ("connect", Outcome::Connect),
        ("reset", Outcome::Reset),
        ("timeout", Outcome::Timeout),
        ("4xx", Outcome::Status(Failed::Class(4))),
        ("5xx", Outcome::Status(Failed::Class(5))),
    ];
    let breaker = takes_breaker.then_some(("breaker", Outcome::Breaker));
    if let Some(outcome) = item.keyword(words.into_iter().chain(breaker)) {
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
        let breaker = if takes_breaker { "`breaker`, " } else { "" };
        item.mismatch(&format!(
            "one of `connect`, `reset`, `timeout`, {breaker}a status from 400 to 599, `4xx` or `5xx`"
        ));
    }
    status.map(Outcome::Status)
}
