//! JSON that is opened only where it is looked at. What is not touched keeps its bytes, so the order of members and a
//! number of thirty digits survive an edit next to them.

mod items;
mod surrogates;

use std::fmt;

use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;
use serde_json::value::RawValue;

/// How deep a document may be nested.
pub const MAX_DEPTH: usize = 64;

/// Reads a document into a type.
///
/// # Errors
/// If it is not JSON, of another form than the type, or nested deeper than [`MAX_DEPTH`].
pub fn read<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> crate::Result<T> {
    if depth(bytes) > MAX_DEPTH {
        return Err(format!("nested deeper than {MAX_DEPTH}").into());
    }
    Ok(serde_json::from_slice(bytes)?)
}

/// The members of an object in order; a name that comes twice is there twice.
pub type Members = Vec<(String, Node)>;

/// A value of a document.
#[derive(Clone, Debug)]
pub struct Node(Inner);

#[derive(Clone, Debug)]
enum Inner {
    Raw(Box<RawValue>),
    Object(Members),
    Array(Vec<Node>),
}

impl Node {
    /// Reads a document. One with half a surrogate pair is none: it has no text (RFC 8259, section 8.2), so a name that
    /// has one could not be compared with those that a filter takes out.
    ///
    /// # Errors
    /// If it is not JSON, or nested deeper than [`MAX_DEPTH`]; the text says where.
    pub fn parse(bytes: &[u8]) -> crate::Result<Self> {
        let raw: Box<RawValue> = read(bytes)?;
        if surrogates::halves_a_pair(raw.get().as_bytes()) {
            return Err("half a surrogate pair in a string".into());
        }
        Ok(Self(Inner::Raw(raw)))
    }

    /// An empty object.
    #[must_use]
    pub const fn object() -> Self {
        Self(Inner::Object(Vec::new()))
    }

    /// A value as a document.
    ///
    /// # Panics
    /// Never: a [`Value`] has a form in JSON.
    #[must_use]
    pub fn from_value(value: &Value) -> Self {
        let raw = serde_json::value::to_raw_value(value).expect("a value has a form in JSON");
        Self(Inner::Raw(raw))
    }

    /// Whether it is an object.
    #[must_use]
    pub fn is_object(&self) -> bool {
        self.kind() == b'{'
    }

    /// Whether it is an array.
    #[must_use]
    pub fn is_array(&self) -> bool {
        self.kind() == b'['
    }

    /// The members of an object.
    pub fn members(&mut self) -> Option<&mut Members> {
        if let Inner::Raw(raw) = &self.0
            && raw.get().starts_with('{')
        {
            // Nothing can fail here; an object that could not be opened would not carry past a filter what the filter
            // takes out.
            let members =
                serde_json::from_str(raw.get()).map_or_else(|_| Vec::new(), |Opened(m)| m);
            self.0 = Inner::Object(members);
        }
        match &mut self.0 {
            Inner::Object(members) => Some(members),
            _ => None,
        }
    }

    /// The items of an array.
    pub fn items(&mut self) -> Option<&mut Vec<Self>> {
        if let Inner::Raw(raw) = &self.0
            && raw.get().starts_with('[')
        {
            let value = |text: &str| RawValue::from_string(text.to_owned()).ok();
            let value = |text: &str| value(text).map(|raw| Self(Inner::Raw(raw)));
            self.0 = Inner::Array(items::items(raw.get(), value, |items| {
                Self(Inner::Array(items))
            }));
        }
        match &mut self.0 {
            Inner::Array(items) => Some(items),
            _ => None,
        }
    }

    /// The first value at a path: names of members, numbers of items.
    pub fn get(&mut self, path: &[String]) -> Option<&mut Self> {
        let Some((name, rest)) = path.split_first() else {
            return Some(self);
        };
        if self.is_array() {
            let index: usize = name.parse().ok()?;
            return self.items()?.get_mut(index)?.get(rest);
        }
        let (_, member) = self.members()?.iter_mut().find(|(n, _)| n == name)?;
        member.get(rest)
    }

    /// Calls `act` with each object that holds the last name of `path`, and with that name. An array on the way
    /// stands for each of its items; with `create`, missing objects on the way are made.
    pub fn each_parent(
        &mut self,
        path: &[String],
        create: bool,
        act: &mut dyn FnMut(&mut Members, &str),
    ) {
        if let Some(items) = self.items() {
            for item in items {
                item.each_parent(path, create, act);
            }
            return;
        }
        let Some((name, rest)) = path.split_first() else {
            return;
        };
        let Some(members) = self.members() else {
            return;
        };
        if rest.is_empty() {
            act(members, name);
            return;
        }
        if create && !members.iter().any(|(n, _)| n == name) {
            members.push((name.clone(), Self::object()));
        }
        for (_, member) in members.iter_mut().filter(|(n, _)| n == name) {
            member.each_parent(rest, create, act);
        }
    }

    /// Puts `value` at a path, in place of what is there.
    pub fn set(&mut self, path: &[String], value: &Self) {
        self.each_parent(path, true, &mut |members, name| {
            put(members, name, value.clone());
        });
    }

    /// Takes away what is at a path.
    pub fn remove(&mut self, path: &[String]) {
        self.each_parent(path, false, &mut |members, name| {
            members.retain(|(n, _)| n != name);
        });
    }

    /// Moves what is at one path to another. Where both share their beginning through an array, each item keeps its
    /// own; an array anywhere else on the way has no one value to move, and nothing happens.
    pub fn rename(&mut self, from: &[String], to: &[String]) {
        if let Some(items) = self.items() {
            for item in items {
                item.rename(from, to);
            }
            return;
        }
        if let ([a, from @ ..], [b, to @ ..]) = (from, to)
            && a == b
            && !from.is_empty()
            && !to.is_empty()
        {
            let members = self.members().into_iter().flatten();
            for (_, member) in members.filter(|(name, _)| name == a) {
                member.rename(from, to);
            }
            return;
        }
        if let Some(value) = self.get(from).cloned() {
            self.remove(from);
            self.set(to, &value);
        }
    }

    /// A string without its quotes, or a number or boolean as it stands.
    #[must_use]
    pub fn scalar(&self) -> Option<String> {
        let Inner::Raw(raw) = &self.0 else {
            return None;
        };
        match self.kind() {
            b'"' => serde_json::from_str(raw.get()).ok(),
            b'{' | b'[' | b'n' => None,
            _ => Some(raw.get().to_owned()),
        }
    }

    /// The document as text.
    ///
    /// # Panics
    /// Never: every node has a form in JSON.
    #[must_use]
    pub fn to_vec(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("a node has a form in JSON")
    }

    fn kind(&self) -> u8 {
        match &self.0 {
            Inner::Raw(raw) => raw.get().bytes().next().unwrap_or(b'n'),
            Inner::Object(_) => b'{',
            Inner::Array(_) => b'[',
        }
    }
}

/// Puts a member in the place of the first of that name, or last; others of that name go.
pub fn put(members: &mut Members, name: &str, value: Node) {
    let Some(at) = members.iter().position(|(n, _)| n == name) else {
        members.push((name.to_owned(), value));
        return;
    };
    members[at].1 = value;
    let mut index = 0;
    members.retain(|(n, _)| {
        index += 1;
        index - 1 <= at || n != name
    });
}

/// A dotted path as the names on it; none if it is empty, has an empty name, or is deeper than [`MAX_DEPTH`].
#[must_use]
pub fn path(dotted: &str) -> Option<Vec<String>> {
    let names: Vec<String> = dotted.split('.').map(str::to_owned).collect();
    (names.len() <= MAX_DEPTH && names.iter().all(|name| !name.is_empty())).then_some(names)
}

impl Serialize for Node {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.0 {
            Inner::Raw(raw) => raw.serialize(serializer),
            Inner::Object(members) => {
                serializer.collect_map(members.iter().map(|(name, value)| (name, value)))
            }
            Inner::Array(items) => serializer.collect_seq(items),
        }
    }
}

struct Opened(Members);

impl<'de> Deserialize<'de> for Opened {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Read;
        impl<'de> Visitor<'de> for Read {
            type Value = Opened;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Opened, A::Error> {
                let mut members = Vec::new();
                while let Some((name, raw)) = map.next_entry()? {
                    members.push((name, Node(Inner::Raw(raw))));
                }
                Ok(Opened(members))
            }
        }
        deserializer.deserialize_map(Read)
    }
}

/// How deep brackets nest outside strings.
fn depth(bytes: &[u8]) -> usize {
    let (mut now, mut deepest) = (0_usize, 0);
    let (mut quoted, mut escaped) = (false, false);
    for byte in bytes {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            _ if quoted => {}
            b'{' | b'[' => {
                now += 1;
                deepest = deepest.max(now);
            }
            b'}' | b']' => now = now.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edited(json: &str, edit: impl FnOnce(&mut Node)) -> String {
        let mut node = Node::parse(json.as_bytes()).unwrap();
        edit(&mut node);
        String::from_utf8(node.to_vec()).unwrap()
    }

    fn at(dotted: &str) -> Vec<String> {
        path(dotted).unwrap()
    }

    #[test]
    fn what_is_not_touched_keeps_its_bytes() {
        let json =
            r#"{"z":123456789012345678901234567890.10,"a":{"b":1, "c" : [1e400]},"é":"\u00e9"}"#;
        assert_eq!(
            edited(json, |node| node.remove(&at("a.b"))),
            r#"{"z":123456789012345678901234567890.10,"a":{"c":[1e400]},"é":"\u00e9"}"#
        );
    }

    #[test]
    fn setting_makes_the_objects_on_the_way_and_replaces_a_name_that_comes_twice() {
        let one = Node::from_value(&Value::from(1));
        assert_eq!(
            edited("{}", |n| n.set(&at("a.b"), &one)),
            r#"{"a":{"b":1}}"#
        );
        assert_eq!(
            edited(r#"{"a":0,"b":0,"a":2}"#, |n| n.set(&at("a"), &one)),
            r#"{"a":1,"b":0}"#
        );
        assert_eq!(
            edited(r#"{"a":5}"#, |n| n.set(&at("a.b"), &one)),
            r#"{"a":5}"#
        );
    }

    #[test]
    fn an_array_on_the_way_stands_for_each_of_its_items() {
        let json = r#"{"r":[{"x":1,"y":2},{"x":3},7]}"#;
        assert_eq!(
            edited(json, |n| n.remove(&at("r.x"))),
            r#"{"r":[{"y":2},{},7]}"#
        );
        assert_eq!(
            edited(json, |n| n.rename(&at("r.x"), &at("r.z"))),
            r#"{"r":[{"y":2,"z":1},{"z":3},7]}"#
        );
    }

    #[test]
    fn a_value_moves_between_objects_and_a_missing_one_does_not() {
        assert_eq!(
            edited(r#"{"a":{"b":1}}"#, |n| n.rename(&at("a.b"), &at("c.d"))),
            r#"{"a":{},"c":{"d":1}}"#
        );
        assert_eq!(edited("{}", |n| n.rename(&at("a"), &at("b"))), "{}");
    }

    #[test]
    fn deep_documents_and_what_is_not_json_are_refused() {
        let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
        assert!(Node::parse(nested(MAX_DEPTH).as_bytes()).is_ok());
        assert!(Node::parse(nested(MAX_DEPTH + 1).as_bytes()).is_err());
        assert!(Node::parse(br#"{"a":"[[\"[[[["}"#).is_ok());
        for json in ["", "{", "{}x", "\"\u{1}\"", "nul"] {
            assert!(Node::parse(json.as_bytes()).is_err(), "{json}");
        }
        assert!(Node::parse(b"\"\xff\"").is_err());
    }

    #[test]
    fn scalars_are_text_and_nothing_else_is() {
        let scalar = |json: &str| Node::parse(json.as_bytes()).unwrap().scalar();
        assert_eq!(scalar("\"a\\nb\"").as_deref(), Some("a\nb"));
        assert_eq!(scalar("1.50").as_deref(), Some("1.50"));
        assert_eq!(scalar("true").as_deref(), Some("true"));
        assert_eq!(scalar("null"), None);
        assert_eq!(scalar("{}"), None);
    }
}
