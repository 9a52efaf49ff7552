//! Templates of hosts, `{tenant}.example.com`, as a trie of labels from the last one on.

use std::collections::HashMap;

use crate::config::Segment;

/// What belongs to a host that ends with the labels so far.
#[derive(Debug)]
pub(super) struct Hosts<T> {
    literals: HashMap<Box<str>, Hosts<T>, foldhash::fast::RandomState>,
    param: Option<Box<Hosts<T>>>,
    here: Option<T>,
}

impl<T> Default for Hosts<T> {
    fn default() -> Self {
        Self {
            literals: HashMap::default(),
            param: None,
            here: None,
        }
    }
}

impl<T: Default> Hosts<T> {
    /// What belongs to a template.
    pub(super) fn entry(&mut self, labels: &[Segment]) -> &mut T {
        let mut node = self;
        for label in labels.iter().rev() {
            node = match label {
                Segment::Literal(text) => node.literals.entry(text.as_str().into()).or_default(),
                Segment::Param(_) => node.param.get_or_insert_default(),
            };
        }
        node.here.get_or_insert_default()
    }
}

impl<T> Hosts<T> {
    /// Calls `change` with what belongs to each template.
    pub(super) fn each_mut(&mut self, change: &mut impl FnMut(&mut T)) {
        self.here.iter_mut().for_each(&mut *change);
        let below = self.literals.values_mut();
        for node in below.chain(self.param.as_deref_mut()) {
            node.each_mut(change);
        }
    }

    /// Whether there is no template.
    pub(super) fn is_empty(&self) -> bool {
        self.literals.is_empty() && self.param.is_none()
    }

    /// Calls `found` with what belongs to every template that a host matches.
    pub(super) fn each(&self, host: &str, found: &mut impl FnMut(&T)) {
        if !self.is_empty() {
            self.walk(Some(host), found);
        }
    }

    /// `left` is what stands before the dot of this node's label; none where the host begins with it.
    fn walk(&self, left: Option<&str>, found: &mut impl FnMut(&T)) {
        let Some(left) = left else {
            self.here.iter().for_each(found);
            return;
        };
        let (left, label) = match left.rsplit_once('.') {
            Some((left, label)) => (Some(left), label),
            None => (None, left),
        };
        if let Some(node) = self.literals.get(label) {
            node.walk(left, found);
        }
        if let Some(node) = &self.param
            && !label.is_empty()
        {
            node.walk(left, found);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(text: &str) -> Vec<Segment> {
        let label = |label: &str| match label.strip_prefix('{') {
            Some(name) => Segment::Param(name.trim_end_matches('}').into()),
            None => Segment::Literal(label.to_owned()),
        };
        text.split('.').map(label).collect()
    }

    #[test]
    fn one_label_stands_for_each_parameter() {
        let mut hosts = Hosts::<Vec<&str>>::default();
        for template in [
            "{a}.test",
            "{a}.eu.test",
            "eu.{a}.test",
            "{a}.{b}.test",
            "{a}",
        ] {
            hosts.entry(&labels(template)).push(template);
        }
        for (host, matching) in [
            ("shop.test", &["{a}.test"][..]),
            (
                "eu.eu.test",
                &["{a}.eu.test", "eu.{a}.test", "{a}.{b}.test"],
            ),
            ("x.us.test", &["{a}.{b}.test"]),
            ("a.b.c.test", &[]),
            ("test", &["{a}"]),
            (".test", &[]),
            ("", &[]),
        ] {
            let mut found = Vec::new();
            hosts.each(host, &mut |here| found.extend(here.iter().copied()));
            assert_eq!(found, matching, "{host}");
        }
    }
}
