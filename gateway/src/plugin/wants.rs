//! What a configuration of a plugin wants and needs, as the plugin says it, and whether the grants cover it.

use super::host::bindings::gateway::plugin::types as wit;
use crate::config::{HeaderPatterns, Plugin};
use crate::message::media::{MediaRange, ResponseTypes};
use crate::message::phase::Phases;

/// Names of one kind that are looked at, and their bytes; a plugin that says more is refused.
const NAMES: usize = 1_000;
const NAME: usize = 256;

/// The calls that a configuration wants, and what it cannot do without.
#[derive(Debug)]
pub(super) struct Wants {
    pub(super) phases: Phases,
    pub(super) types: ResponseTypes,
    needs: wit::Needs,
}

impl Wants {
    /// What the plugin said, in the gateway's own terms.
    ///
    /// # Errors
    /// If it names what is no media range, or more than anybody can need.
    pub(super) fn from_wit(wants: wit::Wants) -> Result<Self, String> {
        let types = wants.response_types;
        let needs = wants.needs;
        let lists = [
            &types.touched,
            &types.passed,
            &needs.upstreams,
            &needs.secrets,
            &needs.request_headers_read,
            &needs.request_headers_written,
            &needs.response_headers_read,
            &needs.response_headers_written,
        ];
        let too_long = |names: &&Vec<String>| {
            names.len() > NAMES || names.iter().any(|name| name.len() > NAME)
        };
        if lists.into_iter().any(|names| too_long(&names)) {
            return Err(format!(
                "says that it needs more than {NAMES} names of one kind, or one over {NAME} bytes"
            ));
        }
        Ok(Self {
            phases: phases(wants.phases),
            types: ResponseTypes {
                touched: ranges(&types.touched)?,
                passed: ranges(&types.passed)?,
                refuses_others: types.other == wit::Other::Refuse,
            },
            needs,
        })
    }

    /// What the grants do not cover: one text for each, with the grant to add. What only `*` would cover comes
    /// second: it may go well.
    pub(super) fn missing(&self, plugin: &Plugin) -> (Vec<String>, Vec<String>) {
        let (needs, grants) = (&self.needs, &plugin.grants);
        let mut missing = Missing {
            plugin: &plugin.name,
            faults: Vec::new(),
            warnings: Vec::new(),
        };
        for name in &needs.upstreams {
            let granted = grants.upstreams.iter().any(|granted| **granted == **name);
            let what = "sends requests to the upstream";
            missing.name(granted, name, what, "upstreams");
        }
        for name in &needs.secrets {
            let granted = grants.secrets.iter().any(|granted| **granted == **name);
            let what = "reads the secret";
            missing.name(granted, name, what, "secrets");
        }
        if needs.state && !grants.state {
            missing.faults.push(format!(
                "keeps entries in the state, which is not granted; set `plugins.{}.grants.state = true`",
                plugin.name
            ));
        }
        let fields = [
            (
                &needs.request_headers_read,
                &grants.read_request_headers,
                "reads",
                "request",
                "read",
            ),
            (
                &needs.request_headers_written,
                &grants.write_request_headers,
                "writes",
                "request",
                "write",
            ),
            (
                &needs.response_headers_read,
                &grants.read_response_headers,
                "reads",
                "response",
                "read",
            ),
            (
                &needs.response_headers_written,
                &grants.write_response_headers,
                "writes",
                "response",
                "write",
            ),
        ];
        for (needed, granted, does, side, key) in fields {
            for name in needed {
                let what = format!("{does} the {side} field");
                missing.name(
                    covers(granted, name),
                    name,
                    &what,
                    &format!("{side}_headers.{key}"),
                );
            }
        }
        (missing.faults, missing.warnings)
    }
}

struct Missing<'a> {
    plugin: &'a str,
    faults: Vec<String>,
    warnings: Vec<String>,
}

impl Missing<'_> {
    fn name(&mut self, granted: bool, name: &str, what: &str, key: &str) {
        if granted {
            return;
        }
        let key = format!("`plugins.{}.grants.{key}`", self.plugin);
        match name {
            "*" => self.warnings.push(format!(
                "{what}s whose names come from requests, and {key} does not cover all of them: one that it does not \
                 cover is denied; add \"*\" to it, or make sure that requests name no other"
            )),
            _ => self.faults.push(format!(
                "{what} {name:?}, which is not granted; add {name:?} to {key}"
            )),
        }
    }
}

/// Whether grants cover a name, or all names that a prefix with `*` stands for.
fn covers(granted: &HeaderPatterns, needed: &str) -> bool {
    let needed = needed.to_ascii_lowercase();
    match (granted, needed.strip_suffix('*')) {
        (HeaderPatterns::All, _) => true,
        (granted, None) => granted.covers(&needed),
        (HeaderPatterns::Some { prefixes, .. }, Some(needed)) => prefixes
            .iter()
            .any(|prefix| needed.starts_with(prefix.as_str())),
    }
}

fn ranges(texts: &[String]) -> Result<Vec<MediaRange>, String> {
    let range = |text: &String| {
        MediaRange::parse(text).ok_or_else(|| {
            format!("says that it reads {text:?}, which is no type; one is `application/json`, `image/*` or `*/*+json`")
        })
    };
    texts.iter().map(range).collect()
}

/// A body that is held is held for a call, so the call is implied.
fn phases(phases: wit::Phases) -> Phases {
    let bits = [
        (wit::Phases::REQUEST, Phases::REQUEST),
        (
            wit::Phases::REQUEST_BODY,
            Phases::REQUEST | Phases::REQUEST_BODY,
        ),
        (wit::Phases::RESPONSE, Phases::RESPONSE),
        (
            wit::Phases::RESPONSE_BODY,
            Phases::RESPONSE | Phases::RESPONSE_BODY,
        ),
        (wit::Phases::REQUEST_STREAM, Phases::REQUEST_STREAM),
        (wit::Phases::RESPONSE_STREAM, Phases::RESPONSE_STREAM),
        (wit::Phases::COMPLETE, Phases::COMPLETE),
    ];
    let wanted = bits.iter().filter(|(flag, _)| phases.contains(*flag));
    wanted.fold(Phases::default(), |all, (_, phases)| all | *phases)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_is_covered_by_itself_and_by_a_shorter_one() {
        let granted = HeaderPatterns::Some {
            exact: vec!["x-user-id".parse().unwrap()],
            prefixes: vec!["x-tenant-".to_owned()],
        };
        for (needed, covered) in [
            ("X-User-Id", true),
            ("x-user-*", false),
            ("x-tenant-*", true),
            ("x-tenant-a-*", true),
            ("x-tenant", false),
            ("x-*", false),
            ("*", false),
        ] {
            assert_eq!(covers(&granted, needed), covered, "{needed}");
        }
        assert!(covers(&HeaderPatterns::All, "*"));
    }
}
