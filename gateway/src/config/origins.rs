//! Where each value of the effective configuration comes from: a line of a file, the environment, another file, or,
//! where none of the files has it, its default.

use std::mem;
use std::path::PathBuf;

use serde_json::{Map, Value as Json};

use super::fault::Spot;
use super::item::Item;
use super::scope::{Location, Scope};
use super::tree::{self, Key, Node, Source, Value};

/// The origins of all values that the files give.
#[derive(Debug, Clone, Default)]
pub struct Origins {
    files: Vec<PathBuf>,
    all: Origin,
}

/// The origin of one value and of those in it: a tree as the files have it, since a key of its own for each would be most
/// of what a load of many routes costs.
#[derive(Debug, Clone, Default)]
pub(super) struct Origin {
    /// None where the files have only what is in it.
    stands: Option<Stands>,
    /// By name, as it is written in a key; sorted.
    fields: Vec<(Box<str>, Origin)>,
    items: Vec<Origin>,
}

#[derive(Debug, Clone)]
struct Stands {
    at: Location,
    /// Where it does not stand there itself.
    source: Option<Box<Source>>,
}

impl Origins {
    /// With the files of a load.
    pub(super) fn new(scope: &Scope) -> Self {
        Self {
            files: scope.files(),
            all: Origin::default(),
        }
    }

    /// Takes in what a file says of a section, beside what others say of it.
    pub(super) fn add(&mut self, section: &str, origin: Origin) {
        let mut of_section = Origin::default();
        of_section.fields.push((section.into(), origin));
        self.all.merge(of_section);
    }

    /// Takes in the items of a section that is a list.
    pub(super) fn add_items(&mut self, section: &str, items: Vec<Origin>) {
        let list = Origin {
            items,
            ..Origin::default()
        };
        self.add(section, list);
    }

    /// Whether the files say anything of a key.
    pub fn has(&self, key: &str) -> bool {
        self.stands(key).is_some()
    }

    fn stands(&self, key: &str) -> Option<&Stands> {
        let mut origin = &self.all;
        for piece in pieces(key) {
            origin = origin.below(piece)?;
        }
        origin.stands.as_ref()
    }

    /// The place of a key: that of what is around it where no file has it, and the whole of the first file where none has
    /// that.
    pub fn spot(&self, key: &str) -> Spot {
        let mut at = Location { file: 0, line: 0 };
        let mut origin = Some(&self.all);
        let mut pieces = pieces(key);
        while let Some(known) = origin {
            at = known.stands.as_ref().map_or(at, |stands| stands.at);
            origin = pieces.next().and_then(|piece| known.below(piece));
        }
        Spot {
            file: self.files.get(at.file).cloned().unwrap_or_default(),
            line: at.line,
            key: key.to_owned(),
        }
    }

    /// Where a value comes from, in words: `gateway.toml:12`, `environment NAME (gateway.toml:12)`,
    /// `file PATH (gateway.toml:12)`, `secrets.NAME (gateway.toml:12)` or `default`.
    pub fn told(&self, key: &str) -> String {
        self.in_words(self.stands(key))
    }

    fn in_words(&self, stands: Option<&Stands>) -> String {
        let Some(Stands { at, source }) = stands else {
            return "default".to_owned();
        };
        let file = self.files.get(at.file).cloned().unwrap_or_default();
        let place = format!("{}:{}", file.display(), at.line);
        match source.as_deref() {
            None => place,
            Some(Source::File(path)) => format!("file {path} ({place})"),
            Some(Source::Variables {
                set,
                absent,
                secrets,
            }) => {
                let mut from: Vec<_> = secrets
                    .iter()
                    .map(|name| tree::join("secrets", name))
                    .collect();
                if !set.is_empty() {
                    from.insert(0, format!("environment {}", set.join(", ")));
                }
                match from.is_empty() {
                    true => format!("{place}, the default of {}", absent.join(", ")),
                    false => format!("{} ({place})", from.join(", ")),
                }
            }
        }
    }

    /// The origins of all values that a configuration shows, in words, by their keys. An empty list and an empty table
    /// are values.
    pub fn of(&self, shown: &Json) -> Map<String, Json> {
        let mut all = Map::new();
        self.collect(String::new(), Some(&self.all), shown, &mut all);
        all
    }

    fn collect(
        &self,
        key: String,
        origin: Option<&Origin>,
        shown: &Json,
        all: &mut Map<String, Json>,
    ) {
        match shown {
            Json::Object(fields) if !fields.is_empty() => {
                for (name, value) in fields {
                    let below = origin.and_then(|origin| origin.field(&tree::quoted(name)));
                    self.collect(tree::join(&key, name), below, value, all);
                }
            }
            Json::Array(items) if !items.is_empty() => {
                for (index, value) in items.iter().enumerate() {
                    let below = origin.and_then(|origin| origin.items.get(index));
                    self.collect(tree::at(&key, index), below, value, all);
                }
            }
            _ => {
                let stands = origin.and_then(|origin| origin.stands.as_ref());
                all.insert(key, Json::from(self.in_words(stands)));
            }
        }
    }

    /// Puts back where a key comes from, and all below it. It is one of names alone.
    pub fn restore(&mut self, key: &str, before: &Self) {
        let mut old = Some(&before.all);
        let mut new = &mut self.all;
        for name in pieces(key) {
            old = old.and_then(|old| old.field(name));
            new = new.field_mut(name);
        }
        let mut origin = old.cloned().unwrap_or_default();
        // The files of the two may differ.
        origin.each(&mut |stands| {
            let file = before.files.get(stands.at.file);
            let file = file.cloned().unwrap_or_default();
            let known = self.files.iter().position(|known| *known == file);
            stands.at.file = known.unwrap_or_else(|| {
                self.files.push(file);
                self.files.len() - 1
            });
        });
        *new = origin;
    }
}

impl Origin {
    /// Of what the files say of a value, as `shown` shows it; a value that was read as something which is no secret is
    /// shown as that.
    pub(super) fn of(item: &Item<'_>, shown: Option<&mut Json>) -> Self {
        let stands = (item.node, item.node.at);
        Self::new(item.scope, stands, &Key::Whole(&item.key), shown)
    }

    fn new(
        scope: &Scope,
        (node, at): (&Node, Location),
        local: &Key<'_>,
        shown: Option<&mut Json>,
    ) -> Self {
        let source = node.outside.as_ref();
        let source = source.map(|outside| Box::new(outside.source.clone()));
        let mut origin = Self {
            stands: Some(Stands { at, source }),
            ..Self::default()
        };
        match (&node.value, shown) {
            (Value::Table(entries), shown) => {
                let mut shown = shown.and_then(Json::as_object_mut);
                let fields = entries.iter().map(|entry| {
                    let (name, local) = (&entry.key, Key::Field(local, &entry.key));
                    let shown = shown.as_mut().and_then(|shown| shown.get_mut(name));
                    let below = Self::new(scope, (&entry.node, entry.at), &local, shown);
                    (Box::from(&*tree::quoted(name)), below)
                });
                origin.fields = fields.collect();
                origin.sort();
            }
            (Value::List(nodes), shown) => {
                let mut shown = shown.and_then(Json::as_array_mut);
                let items = nodes.iter().enumerate().map(|(index, node)| {
                    let local = Key::Item(local, index);
                    let shown = shown.as_mut().and_then(|shown| shown.get_mut(index));
                    Self::new(scope, (node, node.at), &local, shown)
                });
                origin.items = items.collect();
            }
            (_, Some(shown)) => {
                if let Some(read) = scope.read_as(node.at, || local.text()) {
                    *shown = read;
                }
            }
            _ => {}
        }
        origin
    }

    /// Adds a field that the value does not have itself.
    pub(super) fn add_field(&mut self, name: &str, origin: Self) {
        self.fields.push((Box::from(&*tree::quoted(name)), origin));
        self.sort();
    }

    /// Takes in what another file says of the same.
    fn merge(&mut self, other: Self) {
        self.stands = other.stands.or(self.stands.take());
        self.items.extend(other.items);
        self.fields.extend(other.fields);
        self.sort();
    }

    /// Sorts the fields; of two of one name the later one stays, with what both have in them.
    fn sort(&mut self) {
        self.fields.sort_by(|(a, _), (b, _)| a.cmp(b));
        self.fields.dedup_by(|(name, later), (before, earlier)| {
            let is_same = name == before;
            if is_same {
                earlier.merge(mem::take(later));
            }
            is_same
        });
    }

    fn below(&self, piece: &str) -> Option<&Self> {
        let index = piece.strip_prefix('[').and_then(|it| it.strip_suffix(']'));
        match index {
            Some(index) => self.items.get(index.parse::<usize>().ok()?),
            None => self.field(piece),
        }
    }

    fn field(&self, name: &str) -> Option<&Self> {
        let found = self
            .fields
            .binary_search_by(|(known, _)| (**known).cmp(name));
        Some(&self.fields[found.ok()?].1)
    }

    fn field_mut(&mut self, name: &str) -> &mut Self {
        let found = self
            .fields
            .binary_search_by(|(known, _)| (**known).cmp(name));
        let at = found.unwrap_or_else(|at| {
            self.fields.insert(at, (name.into(), Self::default()));
            at
        });
        &mut self.fields[at].1
    }

    fn each(&mut self, work: &mut impl FnMut(&mut Stands)) {
        self.stands.iter_mut().for_each(&mut *work);
        let fields = self.fields.iter_mut().map(|(_, origin)| origin);
        fields
            .chain(&mut self.items)
            .for_each(|below| below.each(work));
    }
}

/// The names and indexes that a key is made of: `a`, `"b.c"` and `[0]` of `a."b.c"[0]`.
fn pieces(key: &str) -> impl Iterator<Item = &str> {
    let mut left = key;
    std::iter::from_fn(move || {
        left = left.strip_prefix('.').unwrap_or(left);
        let end = match left.chars().next()? {
            '"' => quoted_end(left),
            '[' => left.find(']').map_or(left.len(), |end| end + 1),
            _ => left.find(['.', '[']).unwrap_or(left.len()),
        };
        let (piece, rest) = left.split_at(end);
        left = rest;
        Some(piece)
    })
}

/// Where a quoted name that a text begins with ends.
fn quoted_end(text: &str) -> usize {
    let mut is_escaped = false;
    let end = text.char_indices().skip(1).find(|(_, c)| {
        let ends = *c == '"' && !is_escaped;
        is_escaped = *c == '\\' && !is_escaped;
        ends
    });
    end.map_or(text.len(), |(at, _)| at + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_falls_into_its_names_and_indexes() {
        let all = |key| pieces(key).collect::<Vec<_>>();
        assert_eq!(all("a.b-c[12][0].d"), ["a", "b-c", "[12]", "[0]", "d"]);
        assert_eq!(all(r#"a."b.c[0]\"".d"#), ["a", r#""b.c[0]\"""#, "d"]);
        assert_eq!(all(r#"a."\\".b"#), ["a", r#""\\""#, "b"]);
        assert!(all("").is_empty());
    }
}
