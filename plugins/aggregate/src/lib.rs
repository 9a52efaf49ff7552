//! Answers one request from several upstreams: fans out in parallel, picks fields, merges in the order of the
//! configuration, and says when something is missing.

mod config;
mod fields;
mod gather;
mod merge;
mod part;
mod plan;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::time::Duration;

use gateway_plugin_sdk::json::{Node, put};
use gateway_plugin_sdk::prelude::*;
use serde_json::Value;

use crate::config::MergeMode;
use crate::gather::Outcome;
use crate::merge::Merge;
use crate::part::Part;

pub use crate::config::Config;

/// The plugin under one configuration.
#[derive(Debug)]
pub struct Aggregate {
    /// In the order of the configuration, which is the order of the merge.
    parts: Vec<Part>,
    /// Which parts go out together: each wave needs what the earlier ones brought.
    waves: Vec<Vec<usize>>,
    deadline: Duration,
    merge: Merge,
    report: bool,
}

export!(Aggregate);

impl Plugin for Aggregate {
    type Config = Config;

    fn configure(config: Config) -> Result<Self, Vec<ConfigError>> {
        let mut faults = Vec::new();
        let deadline = config.deadline.0;
        if deadline.is_zero() {
            faults.push(ConfigError::new("deadline", config::NO_TIME));
        }
        let parts = part::check(&config.parts, &mut faults);
        config::check_places(&config, &mut faults);
        let waves = parts.as_ref().map_or_else(Vec::new, |parts| {
            plan::waves(parts).unwrap_or_else(|cycle| {
                faults.extend(plan::cycle_fault(parts, &cycle));
                Vec::new()
            })
        });
        match parts {
            Some(parts) if faults.is_empty() => Ok(Self {
                parts: part::placed(parts, config.merge == MergeMode::Group),
                waves,
                deadline,
                merge: Merge::new(config.merge, config.arrays),
                report: config.report,
            }),
            _ => Err(faults),
        }
    }

    fn wants(&self) -> Wants {
        let mut phases = Phases::REQUEST;
        if self.parts.iter().any(|part| part.takes_body) {
            phases |= Phases::REQUEST_BODY;
        }
        let mut wants = Wants::from(phases);
        for part in &self.parts {
            wants = wants.upstream(&part.upstream);
            wants = part.fields_read().fold(wants, Wants::reads_field);
        }
        wants
    }

    fn on_request(&self, request: &mut Request) -> Result {
        let outcomes = match gather::gather(&self.parts, &self.waves, self.deadline, request) {
            Ok(outcomes) => outcomes,
            Err(refusal) => return Ok(refusal.into()),
        };
        let mut document = Node::object();
        let mut missing = BTreeMap::new();
        for (part, outcome) in self.parts.iter().zip(outcomes) {
            let value = match outcome {
                Outcome::Whole(value) => value,
                // At the top of the document nothing adds nothing.
                Outcome::Empty if part.into.is_none() => continue,
                Outcome::Empty => Node::from_value(&Value::Null),
                Outcome::Missing(reason) => {
                    missing.insert(part.name.as_str(), reason);
                    let Some(fallback) = &part.fallback else {
                        continue;
                    };
                    fallback.clone()
                }
            };
            if let Err(clash) = self.merge.add(&mut document, part.into.as_deref(), value) {
                log::error!(part = part.name; "its field `{clash}` is there already: `into` or `rename` keep them apart");
                let detail = format!(
                    "The part `{}` has a field that another part has.",
                    part.name
                );
                return Ok(Answer::new(502).problem("Bad Gateway", &detail).into());
            }
        }
        Ok(self.answer(document, &missing).into())
    }
}

impl Aggregate {
    fn answer(&self, mut document: Node, missing: &BTreeMap<&str, &'static str>) -> Answer {
        if self.report
            && !missing.is_empty()
            && let Some(members) = document.members()
        {
            let reasons = missing
                .iter()
                .map(|(part, reason)| ((*part).to_owned(), Value::from(*reason)))
                .collect();
            put(
                members,
                "_errors",
                Node::from_value(&Value::Object(reasons)),
            );
        }
        let complete = if missing.is_empty() { "true" } else { "false" };
        Answer::new(200)
            .header("x-aggregate-complete", complete)
            .json(&document)
    }
}
