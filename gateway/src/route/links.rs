//! A chain explained: its links, and which of them a request has to do with, without running one.

use serde::Serialize;
use serde_json::Value as Json;

use super::matcher;
use super::subject::Subject;
use crate::config::{Conditions, Predicates, RoutePlugin, When};

/// A link of a chain, for those who ask.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Explained {
    /// The plugin.
    pub plugin: String,
    /// What it is configured with, masked.
    pub config: Json,
    /// Where it stands, as `file:line: key`.
    pub place: String,
    /// `when` as it was written, masked, and whether it holds; `None`: it always has its turn.
    pub when: Option<(String, Holds)>,
}

/// Whether a condition holds for a request as it came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Holds {
    /// It does.
    Yes,
    /// It does not.
    No,
    /// What plugins before it leave decides: attributes, or what they edit of the request.
    Undecided,
}

/// Every link of a chain. What plugins before a link do to the request is not known: its condition is asked of the
/// request as it came.
pub fn explain(chain: &[RoutePlugin], subject: Subject<'_>) -> Vec<Explained> {
    let links = chain.iter().enumerate();
    let link = |(at, link): (usize, &RoutePlugin)| Explained {
        plugin: link.plugin.to_string(),
        config: link.masked(),
        place: link.place.to_string(),
        when: link.when.as_ref().map(|when| {
            let holds = whether(when, subject, at == 0);
            (when.written.clone(), holds)
        }),
    };
    links.map(link).collect()
}

/// Whether a condition holds; before the first plugin there are no attributes.
fn whether(when: &When, subject: Subject<'_>, first: bool) -> Holds {
    let not = when.not.as_ref();
    let not = not.map_or(Holds::Yes, |not| match all_hold(not, subject, first) {
        Holds::Yes => Holds::No,
        Holds::No => Holds::Yes,
        Holds::Undecided => Holds::Undecided,
    });
    match (all_hold(&when.all, subject, first), not) {
        (Holds::No, _) | (_, Holds::No) => Holds::No,
        (Holds::Yes, Holds::Yes) => Holds::Yes,
        _ => Holds::Undecided,
    }
}

fn all_hold(conditions: &Conditions, subject: Subject<'_>, first: bool) -> Holds {
    if first {
        let mut attributes = conditions.attributes.iter();
        let holds = matcher::all_hold(&conditions.predicates, subject)
            && attributes.all(|(_, asked)| matcher::fits(asked, None));
        return if holds { Holds::Yes } else { Holds::No };
    }
    // Who asks, and when, no plugin changes.
    let asked = &conditions.predicates;
    let kept = Predicates {
        client: asked.client.clone(),
        after: asked.after,
        before: asked.before,
        ..Predicates::default()
    };
    let Predicates {
        methods,
        headers,
        cookies,
        query,
        version,
        ..
    } = asked;
    let is_open = !(methods.is_empty()
        && headers.is_empty()
        && cookies.is_empty()
        && query.is_empty()
        && version.is_none()
        && conditions.attributes.is_empty());
    match matcher::all_hold(&kept, subject) {
        false => Holds::No,
        true if is_open => Holds::Undecided,
        true => Holds::Yes,
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use http::{HeaderMap, Method};

    use super::*;
    use crate::config::ValuePattern;
    use crate::route::Moment;

    fn conditions(methods: &[Method], attribute: Option<ValuePattern>) -> Conditions {
        Conditions {
            predicates: Predicates {
                methods: methods.to_vec(),
                ..Predicates::default()
            },
            attributes: attribute
                .map(|asked| ("a".into(), asked))
                .into_iter()
                .collect(),
        }
    }

    fn judged(all: Conditions, not: Option<Conditions>, first: bool) -> Holds {
        let when = When {
            all,
            not,
            written: String::new(),
        };
        let headers = HeaderMap::new();
        let subject = Subject {
            listener: 0,
            host: "a.test",
            path: "/",
            query: "",
            method: &Method::GET,
            headers: &headers,
            client: IpAddr::V4(Ipv4Addr::LOCALHOST).into(),
            moment: &Moment::default(),
            params: &[],
        };
        whether(&when, subject, first)
    }

    #[test]
    fn what_a_plugin_may_change_is_undecided_behind_one() {
        let there = || Some(ValuePattern::Present(true));
        let (get, post) = (&[Method::GET], &[Method::POST]);
        for (all, not, first, expected) in [
            (conditions(get, None), None, true, Holds::Yes),
            (conditions(get, None), None, false, Holds::Undecided),
            (conditions(post, None), None, true, Holds::No),
            (conditions(get, there()), None, false, Holds::Undecided),
            (conditions(post, there()), None, true, Holds::No),
            (conditions(get, there()), None, true, Holds::No),
            (
                conditions(&[], None),
                Some(conditions(get, None)),
                true,
                Holds::No,
            ),
            (
                conditions(&[], None),
                Some(conditions(post, there())),
                true,
                Holds::Yes,
            ),
            (
                conditions(&[], None),
                Some(conditions(get, there())),
                false,
                Holds::Undecided,
            ),
            (
                conditions(&[], None),
                Some(conditions(get, there())),
                true,
                Holds::Yes,
            ),
            (
                conditions(post, None),
                Some(conditions(get, there())),
                true,
                Holds::No,
            ),
            (
                conditions(get, there()),
                Some(conditions(get, None)),
                true,
                Holds::No,
            ),
        ] {
            assert_eq!(judged(all, not, first), expected);
        }
    }
}
