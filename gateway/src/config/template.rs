//! Texts with holes, `https://{host}{path}`, taken apart once, when the configuration is read.
//!
//! A hole is `{source}` or `{source|default}`; `{{` and `}}` stand for braces. Plugins have the same grammar by the
//! SDK: `tests/vectors/templates.txt` holds both to it. What fills a hole is never looked at for holes.

use bytes::Bytes;

use super::item::Item;
use super::reason::Reason;

/// A text with holes. `V` is what its holes are read as.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template<V> {
    pieces: Vec<Piece<V>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece<V> {
    Text(Bytes),
    Hole { value: V, default: Option<Bytes> },
}

impl<V> Template<V> {
    /// Takes a text apart; `hole` reads what stands between the braces, before a `|`.
    ///
    /// # Errors
    /// All faults of `hole`, or a brace without its partner.
    pub(super) fn parse_with(
        text: &str,
        mut hole: impl FnMut(&str) -> Result<V, Reason>,
    ) -> Result<Self, Vec<Reason>> {
        let mut pieces = Pieces::default();
        let mut faults = Vec::new();
        let mut rest = text;
        while let Some(at) = rest.find(['{', '}']) {
            pieces.literal.push_str(&rest[..at]);
            let brace = &rest[at..=at];
            rest = &rest[at + 1..];
            if let Some(after) = rest.strip_prefix(brace) {
                pieces.literal.push_str(brace);
                rest = after;
                continue;
            }
            let Some(end) = rest.find('}').filter(|_| brace == "{") else {
                let fault = "has a `{` or `}` without the other; `{{` and `}}` stand for braces";
                return Err(vec![fault.into()]);
            };
            let (inside, default) = match rest[..end].split_once('|') {
                Some((inside, default)) => (inside, Some(default)),
                None => (&rest[..end], None),
            };
            match hole(inside) {
                Ok(value) => pieces.hole(value, default),
                Err(fault) => faults.push(fault),
            }
            rest = &rest[end + 1..];
        }
        pieces.literal.push_str(rest);
        if faults.is_empty() {
            Ok(pieces.finish())
        } else {
            Err(faults)
        }
    }

    /// The template of a value, or a fault for each thing that is wrong with it.
    pub(super) fn or_faults(parsed: Result<Self, Vec<Reason>>, item: &Item<'_>) -> Option<Self> {
        let report = |faults: Vec<Reason>| {
            for fault in faults {
                item.fault(format!("{} {}", item.quoted(), item.told(&fault)));
            }
        };
        parsed.map_err(report).ok()
    }

    /// Takes a text apart that has braces of its own, as JSON has: `{name}` is a hole where `hole` knows the name, and
    /// every other brace is text.
    pub(super) fn with_braces(text: &str, mut hole: impl FnMut(&str) -> Option<V>) -> Self {
        let mut pieces = Pieces::default();
        let mut rest = text;
        while let Some(at) = rest.find('{') {
            let (before, inside) = (&rest[..at], &rest[at + 1..]);
            pieces.literal.push_str(before);
            let known = inside.split_once('}').and_then(|(inside, after)| {
                let (name, default) = match inside.split_once('|') {
                    Some((name, default)) => (name, Some(default)),
                    None => (inside, None),
                };
                Some((hole(name)?, default, after))
            });
            rest = match known {
                Some((value, default, after)) => {
                    pieces.hole(value, default);
                    after
                }
                None => {
                    pieces.literal.push('{');
                    inside
                }
            };
        }
        pieces.literal.push_str(rest);
        pieces.finish()
    }

    /// The text, if there is no hole in it.
    pub fn constant(&self) -> Option<Bytes> {
        match self.pieces.as_slice() {
            [] => Some(Bytes::new()),
            [Piece::Text(text)] => Some(text.clone()),
            _ => None,
        }
    }

    /// Writes the text. `fill` writes what stands in a hole, or says that there is nothing: then its default stands
    /// there, or else `absent`.
    pub fn write(
        &self,
        to: &mut Vec<u8>,
        absent: &[u8],
        mut fill: impl FnMut(&mut Vec<u8>, &V) -> bool,
    ) {
        for piece in &self.pieces {
            match piece {
                Piece::Text(text) => to.extend_from_slice(text),
                Piece::Hole { value, default } => {
                    if !fill(to, value) {
                        to.extend_from_slice(default.as_deref().unwrap_or(absent));
                    }
                }
            }
        }
    }
}

/// A template in the making.
struct Pieces<V> {
    done: Vec<Piece<V>>,
    literal: String,
}

impl<V> Default for Pieces<V> {
    fn default() -> Self {
        Self {
            done: Vec::new(),
            literal: String::new(),
        }
    }
}

impl<V> Pieces<V> {
    fn hole(&mut self, value: V, default: Option<&str>) {
        self.end_literal();
        let default = default.map(|text| Bytes::copy_from_slice(text.as_bytes()));
        self.done.push(Piece::Hole { value, default });
    }

    fn end_literal(&mut self) {
        if !self.literal.is_empty() {
            let text = Bytes::from(std::mem::take(&mut self.literal));
            self.done.push(Piece::Text(text));
        }
    }

    fn finish(mut self) -> Template<V> {
        self.end_literal();
        Template { pieces: self.done }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn apart(template: &Template<String>) -> Value {
        let text = |bytes: &Bytes| String::from_utf8(bytes.to_vec()).unwrap();
        let pieces = template.pieces.iter().map(|piece| match piece {
            Piece::Text(literal) => json!(text(literal)),
            Piece::Hole { value, default } => match default {
                Some(default) => json!([value, text(default)]),
                None => json!([value]),
            },
        });
        pieces.collect()
    }

    #[test]
    fn a_text_is_taken_apart_as_the_vectors_say() {
        let vectors = include_str!("../../../tests/vectors/templates.txt").lines();
        for line in vectors.filter(|line| !line.is_empty() && !line.starts_with('#')) {
            let mut values = serde_json::Deserializer::from_str(line).into_iter::<Value>();
            let (text, pieces) = (values.next().unwrap(), values.next().unwrap());
            let text = text.unwrap();
            let parsed = Template::parse_with(text.as_str().unwrap(), |hole| Ok(hole.to_owned()));
            let apart = parsed.as_ref().map_or(Value::Null, apart);
            assert_eq!(apart, pieces.unwrap(), "{text}");
        }
    }

    #[test]
    fn every_fault_of_a_hole_is_named() {
        let refuse = |hole: &str| match hole {
            "a" => Ok(()),
            _ => Err(Reason::own(hole.to_owned())),
        };
        let faults = Template::parse_with("{b} {a|x} {c|d}", refuse);
        let named = |hole: &'static str| Reason::from(hole);
        assert_eq!(faults, Err(vec![named("b"), named("c")]));
    }

    #[test]
    fn braces_of_a_text_that_has_its_own_are_text_around_known_names() {
        for (text, pieces) in [
            (r#"{"a":{"b":1}}"#, json!([r#"{"a":{"b":1}}"#])),
            (
                r#"{"id":"{id}","x":{}}"#,
                json!([r#"{"id":""#, ["id"], r#"","x":{}}"#]),
            ),
            ("{{id}}", json!(["{", ["id"], "}"])),
            ("{id}{id}", json!([["id"], ["id"]])),
            ("{id|x} {other} }{", json!([["id", "x"], " {other} }{"])),
            ("{{{id", json!(["{{{id"])),
            ("", json!([])),
        ] {
            let hole = |name: &str| (name == "id").then(|| name.to_owned());
            assert_eq!(apart(&Template::with_braces(text, hole)), pieces, "{text}");
        }
    }

    #[test]
    fn a_hole_is_filled_once_whatever_fills_it() {
        let template = Template::parse_with("/{a}/{b}/{c|d}/{e}", |hole| Ok(hole.to_owned()));
        let mut filled = Vec::new();
        template.unwrap().write(&mut filled, b"-", |to, hole| {
            let value: &[u8] = match hole.as_str() {
                "a" => b"{b}",
                "b" => b"{a|{b}}",
                _ => return false,
            };
            to.extend_from_slice(value);
            true
        });
        assert_eq!(filled, b"/{b}/{a|{b}}/d/-");
    }
}
