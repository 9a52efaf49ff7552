//! Which fields of a part's answer are used: descend, filter, rename, in this order.

use std::collections::BTreeMap;

use gateway_plugin_sdk::ConfigError;
use gateway_plugin_sdk::json::{self, Node};

use crate::config::PartConfig;

type Path = Vec<String>;

/// What to take from an answer.
#[derive(Debug)]
pub(crate) struct Fields {
    take: Path,
    allow: Option<Allowed>,
    deny: Vec<Path>,
    rename: Vec<(Path, Path)>,
}

/// The members of an object that stay.
type Allowed = BTreeMap<String, Keep>;

#[derive(Debug)]
enum Keep {
    Whole,
    Members(Allowed),
}

impl Fields {
    /// Checks what the part at `at` says of its fields.
    pub(crate) fn check(at: &str, config: &PartConfig, faults: &mut Vec<ConfigError>) -> Self {
        let mut fields = Self {
            take: Vec::new(),
            allow: None,
            deny: Vec::new(),
            rename: Vec::new(),
        };
        if let Some(take) = &config.take {
            fields.take = path(&format!("{at}.take"), take, faults).unwrap_or_default();
        }
        if let Some(allow) = &config.allow {
            let mut allowed = Allowed::new();
            for (index, dotted) in allow.iter().enumerate() {
                if let Some(path) = path(&format!("{at}.allow[{index}]"), dotted, faults) {
                    permit(&mut allowed, &path);
                }
            }
            fields.allow = Some(allowed);
            if !config.deny.is_empty() {
                let fault =
                    "stands beside `allow`, which already says what stays; keep one of them";
                faults.push(ConfigError::new(format!("{at}.deny"), fault));
            }
        }
        for (index, dotted) in config.deny.iter().enumerate() {
            fields
                .deny
                .extend(path(&format!("{at}.deny[{index}]"), dotted, faults));
        }
        for (from, to) in &config.rename {
            let key = format!("{at}.rename.{from}");
            if let (Some(from), Some(to)) = (path(&key, from, faults), path(&key, to, faults)) {
                fields.rename.push((from, to));
            }
        }
        fields
    }

    /// What is used of an answer; none if the field to take is not there, or nothing of it is allowed.
    pub(crate) fn of(&self, mut answer: Node) -> Option<Node> {
        let mut node = if self.take.is_empty() {
            answer
        } else {
            answer.get(&self.take)?.clone()
        };
        if let Some(allowed) = &self.allow
            && !keep(&mut node, allowed)
        {
            return None;
        }
        for path in &self.deny {
            node.remove(path);
        }
        for (from, to) in &self.rename {
            node.rename(from, to);
        }
        Some(node)
    }
}

/// A dotted path, or a fault at `key`.
pub(crate) fn path(key: &str, dotted: &str, faults: &mut Vec<ConfigError>) -> Option<Path> {
    let path = json::path(dotted);
    if path.is_none() {
        let fault = format!("`{dotted}` is no dotted path; names joined by dots are");
        faults.push(ConfigError::new(key, fault));
    }
    path
}

fn permit(allowed: &mut Allowed, path: &[String]) {
    let Some((name, rest)) = path.split_first() else {
        return;
    };
    if rest.is_empty() {
        allowed.insert(name.clone(), Keep::Whole);
        return;
    }
    let below = allowed
        .entry(name.clone())
        .or_insert_with(|| Keep::Members(Allowed::new()));
    if let Keep::Members(below) = below {
        permit(below, rest);
    }
}

/// Leaves only what is allowed; false if that is nothing, as for a number where fields were meant.
fn keep(node: &mut Node, allowed: &Allowed) -> bool {
    if let Some(items) = node.items() {
        items.retain_mut(|item| keep(item, allowed));
        return true;
    }
    let Some(members) = node.members() else {
        return false;
    };
    members.retain_mut(|(name, member)| match allowed.get(name) {
        None => false,
        Some(Keep::Whole) => true,
        Some(Keep::Members(below)) => keep(member, below),
    });
    true
}
