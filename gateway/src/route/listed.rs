//! Routes as those see them who ask which there are.

use std::collections::BTreeMap;
use std::fmt::{self, Display, Formatter};

use serde::Serialize;
use serde_json::{Value as Json, json};

use super::unmet;
use crate::config::{self, Arm, Config, HostPattern, PathPattern, Segment, Target};
use crate::message::text::Line;

/// One route.
#[derive(Debug, Serialize)]
pub struct Listed {
    /// Its name.
    pub name: String,
    /// `file:line`.
    pub place: String,
    /// The listeners it serves on; empty: all.
    pub listeners: Vec<String>,
    /// Its hosts, as they are written; empty: any.
    pub hosts: Vec<String>,
    /// Its paths, as they are written; empty: any.
    pub paths: Vec<String>,
    /// What it asks besides.
    pub predicates: Vec<String>,
    /// Its priority.
    pub priority: i32,
    /// Its plugins, in order.
    pub chain: Vec<String>,
    /// Where it leads.
    pub target: Json,
    /// What it is marked with.
    pub tags: BTreeMap<String, String>,
}

impl Listed {
    /// A route of a configuration.
    pub fn new(config: &Config, route: &config::Route) -> Self {
        let matcher = &route.matcher;
        let listeners = route.listeners.iter();
        let listeners = listeners.map(|index| config.listeners[*index].name.to_string());
        let paths = matcher.paths.iter().filter_map(path);
        let chain = route.plugins.iter();
        let tags = route.overrides.tags.iter();
        Self {
            name: route.name.to_string(),
            place: route.place.clone(),
            listeners: listeners.collect(),
            hosts: matcher.hosts.iter().map(host).collect(),
            paths: paths.collect(),
            predicates: unmet::asked(&matcher.predicates),
            priority: matcher.priority,
            chain: chain.map(|step| step.plugin.to_string()).collect(),
            target: target(config, &route.target),
            tags: tags
                .map(|(name, value)| (name.to_string(), value.to_string()))
                .collect(),
        }
    }
}

fn host(pattern: &HostPattern) -> String {
    match pattern {
        HostPattern::Exact(name) => name.clone(),
        HostPattern::Suffix(suffix) => format!("*{suffix}"),
        HostPattern::Template(labels) => joined(labels, "."),
    }
}

/// None for every path.
fn path(pattern: &PathPattern) -> Option<String> {
    Some(match pattern {
        PathPattern::Any => return None,
        PathPattern::Exact(path) => path.clone(),
        PathPattern::Prefix(prefix) => format!("{prefix}/**"),
        PathPattern::Template { segments, rest } => {
            let rest = if *rest { "/**" } else { "" };
            format!("/{}{rest}", joined(segments, "/"))
        }
        PathPattern::Regex(regex) => format!("a match of {:?}", regex.as_str()),
    })
}

fn joined(segments: &[Segment], separator: &str) -> String {
    let texts = segments.iter().map(|segment| match segment {
        Segment::Literal(text) => text.clone(),
        Segment::Param(name) => format!("{{{name}}}"),
    });
    texts.collect::<Vec<_>>().join(separator)
}

fn target(config: &Config, target: &Target) -> Json {
    let name = |upstream: &config::UpstreamId| {
        let found = config.upstreams.get_index(upstream.0);
        found.map(|(name, _)| name.to_string())
    };
    match target {
        Target::Upstream(upstream) => json!({ "upstream": name(upstream) }),
        Target::Respond(respond) => json!({ "respond": respond.status.as_u16() }),
        Target::Redirect(redirect) => json!({ "redirect": redirect.written }),
        Target::Split(split) => {
            let arm = |arm: &Arm| {
                json!({
                    "name": &*arm.name,
                    "upstream": name(&arm.upstream),
                    "weight": arm.weight,
                    "plugins": arm.plugins.iter().map(|step| &*step.plugin).collect::<Vec<_>>(),
                })
            };
            json!({ "split": split.arms.iter().map(arm).collect::<Vec<_>>() })
        }
        Target::Plugins => json!("plugins"),
    }
}

impl Display for Listed {
    /// Its name and place, and a line each for what it matches and where it leads.
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} ({})", self.name, self.place)?;
        let mut asked = Vec::new();
        if !self.listeners.is_empty() {
            asked.push(format!("listener {}", self.listeners.join(" or ")));
        }
        if !self.hosts.is_empty() {
            asked.push(format!("host {}", self.hosts.join(" or ")));
        }
        let paths = match self.paths.as_slice() {
            [] => "any path".to_owned(),
            paths => format!("path {}", paths.join(" or ")),
        };
        asked.push(paths);
        asked.extend_from_slice(&self.predicates);
        if self.priority != 0 {
            asked.push(format!("priority {}", self.priority));
        }
        writeln!(f, "  {}", Line(&asked.join("; ")))?;
        if !self.chain.is_empty() {
            writeln!(f, "  through {}", self.chain.join(", "))?;
        }
        match &self.target {
            Json::Object(target) => {
                for (kind, value) in target {
                    let value = value
                        .as_str()
                        .map_or_else(|| value.to_string(), str::to_owned);
                    writeln!(f, "  {kind} {}", Line(&value))?;
                }
                Ok(())
            }
            _ => writeln!(f, "  answered by its plugins"),
        }
    }
}
