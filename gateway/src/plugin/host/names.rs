//! Field names that the edits of an instance have used: a name is parsed and judged once, and afterwards looked up.
//!
//! A plugin edits the same few fields in every exchange, and to parse a name, to compare it with the gateway's own and
//! with the grants costs more than the edit.

use std::collections::HashSet;

use http::HeaderName;
use parking_lot::Mutex;

/// Names that an instance keeps of one message; more are parsed each time. So few are found faster by looking at each.
const KEPT: usize = 16;
/// Names that the process keeps for ever, so that a clone of one counts no references.
const INTERNED: usize = 1_024;

/// Names that may be edited, in the letters that the guest uses.
#[derive(Debug, Default)]
pub(super) struct Names(Vec<(Box<[u8]>, HeaderName)>);

impl Names {
    pub(super) fn get(&self, name: &[u8]) -> Option<HeaderName> {
        let found = self.0.iter().find(|(known, _)| **known == *name);
        found.map(|(_, field)| field.clone())
    }

    /// Keeps a name that may be edited.
    pub(super) fn keep(&mut self, name: &[u8], field: &HeaderName) {
        if self.0.len() < KEPT {
            self.0.push((name.into(), interned(field)));
        }
    }
}

/// The same name, without a count of references if there is room for it.
fn interned(name: &HeaderName) -> HeaderName {
    static ALL: Mutex<Option<HashSet<&'static str>>> = Mutex::new(None);

    let mut all = ALL.lock();
    let all = all.get_or_insert_default();
    match all.get(name.as_str()) {
        Some(kept) => HeaderName::from_static(kept),
        None if all.len() < INTERNED => {
            let kept: &'static str = Box::leak(name.as_str().into());
            all.insert(kept);
            HeaderName::from_static(kept)
        }
        None => name.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_found_as_the_guest_writes_it_and_no_more_are_kept_than_may_be() {
        let mut names = Names::default();
        for number in 0..2 * KEPT {
            let name = format!("X-{number}");
            let field = HeaderName::from_bytes(name.as_bytes()).unwrap();
            names.keep(name.as_bytes(), &field);
        }
        assert_eq!(names.get(b"X-0").unwrap(), "x-0");
        assert_eq!(names.get(b"x-0"), None);
        let known = |number: &usize| names.get(format!("X-{number}").as_bytes()).is_some();
        let kept = (0..2 * KEPT).filter(known);
        assert_eq!(kept.count(), KEPT);
    }
}
