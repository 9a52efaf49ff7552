//! How the parts become one document, in the order of the configuration.

use std::collections::BTreeMap;

use gateway_plugin_sdk::json::Node;

use crate::config::{Arrays, MergeMode};

/// Up to so many names are looked for one by one: an index of the other side costs an allocation for each name in it,
/// and a document of many names may be made of many small parts.
const FEW: usize = 8;

/// What happens where two parts meet.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Merge {
    append: bool,
    strict: bool,
}

impl Merge {
    pub(crate) fn new(mode: MergeMode, arrays: Arrays) -> Self {
        Self {
            append: arrays == Arrays::Append,
            strict: mode == MergeMode::Error,
        }
    }

    /// Adds a part to the document, at a place in it or at its top.
    ///
    /// # Errors
    /// The dotted path at which two values met that may not.
    pub(crate) fn add(
        self,
        document: &mut Node,
        into: Option<&[String]>,
        value: Node,
    ) -> Result<(), String> {
        let mut placed = value;
        for name in into.unwrap_or_default().iter().rev() {
            placed = around(name, placed);
        }
        self.join(document, placed)
    }

    fn join(self, here: &mut Node, other: Node) -> Result<(), String> {
        let mut other = other;
        if let (true, Some(items)) = (self.append, other.items())
            && let Some(here) = here.items()
        {
            here.append(items);
            return Ok(());
        }
        if let Some(others) = other.members()
            && let Some(members) = here.members()
        {
            let mut places = (others.len() > FEW).then(|| index(members));
            for (name, value) in others.drain(..) {
                let place = match &places {
                    Some(places) => places.get(&name).copied(),
                    None => members.iter().position(|(known, _)| *known == name),
                };
                match place {
                    Some(place) => self.join(&mut members[place].1, value).map_err(|below| {
                        if below.is_empty() {
                            name
                        } else {
                            format!("{name}.{below}")
                        }
                    })?,
                    None => {
                        if let Some(places) = &mut places {
                            places.insert(name.clone(), members.len());
                        }
                        members.push((name, value));
                    }
                }
            }
            return Ok(());
        }
        if self.strict {
            return Err(String::new());
        }
        *here = other;
        Ok(())
    }
}

/// An object of one member.
fn around(name: &str, value: Node) -> Node {
    let mut node = Node::object();
    if let Some(members) = node.members() {
        members.push((name.to_owned(), value));
    }
    node
}

/// Where each name stands first.
fn index(members: &[(String, Node)]) -> BTreeMap<String, usize> {
    let mut places = BTreeMap::new();
    for (place, (name, _)) in members.iter().enumerate() {
        places.entry(name.clone()).or_insert(place);
    }
    places
}

#[cfg(test)]
mod tests {
    use super::*;

    fn merged(mode: MergeMode, arrays: Arrays, parts: &[&str]) -> Result<String, String> {
        let merge = Merge::new(mode, arrays);
        let mut document = Node::object();
        for part in parts {
            merge.add(&mut document, None, Node::parse(part.as_bytes()).unwrap())?;
        }
        Ok(String::from_utf8(document.to_vec()).unwrap())
    }

    #[test]
    fn objects_join_and_the_later_value_wins() {
        let parts = [
            r#"{"a":{"x":1,"y":2},"b":1}"#,
            r#"{"a":{"y":3,"z":4},"b":{}}"#,
        ];
        assert_eq!(
            merged(MergeMode::Deep, Arrays::Replace, &parts).unwrap(),
            r#"{"a":{"x":1,"y":3,"z":4},"b":{}}"#
        );
    }

    #[test]
    fn a_name_that_a_part_gives_twice_joins_with_itself() {
        let parts = [r#"{"a":{"x":1},"b":1,"a":{"y":2}}"#, r#"{"a":{"z":3}}"#];
        assert_eq!(
            merged(MergeMode::Deep, Arrays::Replace, &parts).unwrap(),
            r#"{"a":{"x":1,"y":2,"z":3},"b":1}"#
        );
    }

    #[test]
    fn few_names_and_many_meet_the_same_ones() {
        for many in [FEW - 2, FEW - 1] {
            let names = |value: &str| -> String {
                let each = (0..many).map(|n| format!("\"n{n}\":{value}"));
                each.collect::<Vec<_>>().join(",")
            };
            // With two names more in the second part: one by one, and by an index.
            let (first, second) = (names("{\"x\":1}"), names("{\"y\":2}"));
            let parts = [
                format!("{{{first},\"old\":1}}"),
                format!("{{{second},\"new\":1,\"new\":2}}"),
            ];
            let parts = parts.each_ref().map(String::as_str);
            assert_eq!(
                merged(MergeMode::Deep, Arrays::Replace, &parts).unwrap(),
                format!("{{{},\"old\":1,\"new\":2}}", names("{\"x\":1,\"y\":2}")),
            );
        }
    }

    #[test]
    fn arrays_are_replaced_or_appended() {
        let parts = [r#"{"a":[1,2]}"#, r#"{"a":[3]}"#];
        let with = |arrays| merged(MergeMode::Deep, arrays, &parts).unwrap();
        assert_eq!(with(Arrays::Replace), r#"{"a":[3]}"#);
        assert_eq!(with(Arrays::Append), r#"{"a":[1,2,3]}"#);
    }

    #[test]
    fn a_clash_is_named_by_its_path_where_it_is_an_error() {
        let parts = [r#"{"a":{"x":1}}"#, r#"{"a":{"y":1}}"#, r#"{"a":{"x":1}}"#];
        assert!(merged(MergeMode::Error, Arrays::Replace, &parts[..2]).is_ok());
        assert_eq!(
            merged(MergeMode::Error, Arrays::Replace, &parts),
            Err("a.x".to_owned())
        );
    }
}
