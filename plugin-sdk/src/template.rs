//! Values with holes, `Bearer {header.x-token}`, parsed once in `configure` and filled per request.
//!
//! A hole is `{source}` or `{source|default}`; `{{` and `}}` stand for braces. A text without holes stays constant. The
//! gateway has the same grammar for its own: `tests/vectors/templates.txt` holds both to it.

use std::fmt;

use crate::{Request, percent};

/// What a hole of the exchange in hand is filled with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// `{path.name}`: `{name}` of the route's pattern.
    Path(String),
    /// `{query.name}`: the first value of that name.
    Query(String),
    /// `{header.name}`: the first request field of that name.
    Header(String),
    /// `{attribute.name}`: what an earlier plugin found.
    Attribute(String),
    /// `{id}`: the id of the request.
    Id,
    /// `{client}`: the client's IP address.
    Client,
    /// `{host}`: host and port that the client asked for.
    Host,
    /// `{route}`: the name of the route.
    Route,
}

impl Source {
    /// Reads what stands between the braces.
    ///
    /// # Errors
    /// What it is not and what would be right.
    pub fn parse(text: &str) -> Result<Self, String> {
        let name = |name: &str| {
            if name.is_empty() {
                Err(format!("`{{{text}}}` has no name after the dot"))
            } else {
                Ok(name.to_owned())
            }
        };
        match text.split_once('.') {
            Some(("path", rest)) => Ok(Self::Path(name(rest)?)),
            Some(("query", rest)) => Ok(Self::Query(name(rest)?)),
            Some(("header", rest)) => Ok(Self::Header(name(rest)?.to_ascii_lowercase())),
            Some(("attribute", rest)) => Ok(Self::Attribute(name(rest)?)),
            None if text == "id" => Ok(Self::Id),
            None if text == "client" => Ok(Self::Client),
            None if text == "host" => Ok(Self::Host),
            None if text == "route" => Ok(Self::Route),
            _ => Err(format!(
                "`{{{text}}}` is no source; known are path.NAME, query.NAME, header.NAME, attribute.NAME, id, \
                 client, host and route, and `{{{{` stands for a brace"
            )),
        }
    }

    /// The request field that it reads, if it reads one: for [`Wants::reads_field`](crate::Wants::reads_field).
    #[must_use]
    pub fn field(&self) -> Option<&str> {
        match self {
            Self::Header(name) => Some(name),
            _ => None,
        }
    }

    /// The value for the exchange in hand: one call of the host.
    #[must_use]
    pub fn read(&self, request: &Request) -> Option<Vec<u8>> {
        match self {
            Self::Path(name) => request.path_param(name).map(String::into_bytes),
            Self::Query(name) => request.query_param(name).map(String::into_bytes),
            Self::Header(name) => request.header(name),
            Self::Attribute(name) => request.attribute(name).map(String::into_bytes),
            Self::Id => Some(request.id().into_bytes()),
            Self::Client => Some(request.client_address().into_bytes()),
            Self::Host => Some(request.authority().into_bytes()),
            Self::Route => Some(request.route().into_bytes()),
        }
    }
}

/// Why a template has no value for an exchange.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unfilled {
    /// Nothing to fill this hole with, and it has no default.
    NoValue(String),
    /// The path would have had a segment `.` or `..`.
    DotSegment(String),
}

impl fmt::Display for Unfilled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoValue(hole) => write!(f, "{{{hole}}} has no value"),
            Self::DotSegment(path) => write!(f, "{path} has a dot segment"),
        }
    }
}

impl std::error::Error for Unfilled {}

/// A parsed text. `V` is what its holes are read as.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template<V = Source> {
    pieces: Vec<Piece<V>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece<V> {
    Text(String),
    Hole {
        value: V,
        text: String,
        default: Option<String>,
    },
}

impl Template {
    /// Parses a text whose holes are sources of the exchange.
    ///
    /// # Errors
    /// What is wrong with it, and what would be right.
    pub fn parse(text: &str) -> Result<Self, String> {
        Self::parse_with(text, Source::parse)
    }
}

impl<V> Template<V> {
    /// Parses a text whose holes `hole` reads.
    ///
    /// # Errors
    /// Those of `hole`, or a brace without its partner.
    pub fn parse_with(
        text: &str,
        mut hole: impl FnMut(&str) -> Result<V, String>,
    ) -> Result<Self, String> {
        let mut pieces = Vec::new();
        let mut literal = String::new();
        let mut rest = text;
        while let Some(at) = rest.find(['{', '}']) {
            literal.push_str(&rest[..at]);
            let brace = &rest[at..=at];
            rest = &rest[at + 1..];
            if let Some(after) = rest.strip_prefix(brace) {
                literal.push_str(brace);
                rest = after;
                continue;
            }
            let Some(end) = rest.find('}').filter(|_| brace == "{") else {
                return Err(format!(
                    "`{brace}` has no partner; write `{brace}{brace}` for the brace itself"
                ));
            };
            let (inside, default) = match rest[..end].split_once('|') {
                Some((inside, default)) => (inside, Some(default.to_owned())),
                None => (&rest[..end], None),
            };
            if !literal.is_empty() {
                pieces.push(Piece::Text(std::mem::take(&mut literal)));
            }
            pieces.push(Piece::Hole {
                value: hole(inside)?,
                text: inside.to_owned(),
                default,
            });
            rest = &rest[end + 1..];
        }
        literal.push_str(rest);
        if !literal.is_empty() {
            pieces.push(Piece::Text(literal));
        }
        Ok(Self { pieces })
    }

    /// The text, if there is no hole in it.
    #[must_use]
    pub fn constant(&self) -> Option<&str> {
        match self.pieces.as_slice() {
            [] => Some(""),
            [Piece::Text(text)] => Some(text),
            _ => None,
        }
    }

    /// What the holes were read as, in order.
    pub fn holes(&self) -> impl Iterator<Item = &V> {
        self.pieces.iter().filter_map(|piece| match piece {
            Piece::Text(_) => None,
            Piece::Hole { value, .. } => Some(value),
        })
    }

    /// The text between the holes.
    pub fn literals(&self) -> impl Iterator<Item = &str> {
        self.pieces.iter().filter_map(|piece| match piece {
            Piece::Text(text) => Some(text.as_str()),
            Piece::Hole { .. } => None,
        })
    }

    /// The text with its holes filled as they are.
    ///
    /// # Errors
    /// If a hole has neither a value nor a default.
    pub fn bytes(&self, value: impl FnMut(&V) -> Option<Vec<u8>>) -> Result<Vec<u8>, Unfilled> {
        self.fill(value, |bytes, out| out.extend_from_slice(bytes))
    }

    /// The text as a path and query: what fills a hole is percent-encoded, and no segment may be `.` or `..`.
    ///
    /// # Errors
    /// See [`Unfilled`].
    pub fn path(&self, value: impl FnMut(&V) -> Option<Vec<u8>>) -> Result<String, Unfilled> {
        let bytes = self.fill(value, percent::encode)?;
        // Literals are text and everything else is ASCII.
        let path = String::from_utf8(bytes)
            .unwrap_or_else(|e| String::from_utf8_lossy(e.as_bytes()).into_owned());
        let segments = path.split('?').next().unwrap_or_default().split('/');
        for segment in segments {
            if segment == "." || segment == ".." {
                return Err(Unfilled::DotSegment(path));
            }
        }
        Ok(path)
    }

    fn fill(
        &self,
        mut read: impl FnMut(&V) -> Option<Vec<u8>>,
        insert: impl Fn(&[u8], &mut Vec<u8>),
    ) -> Result<Vec<u8>, Unfilled> {
        let mut out = Vec::new();
        for piece in &self.pieces {
            match piece {
                Piece::Text(text) => out.extend_from_slice(text.as_bytes()),
                Piece::Hole {
                    value,
                    text,
                    default,
                } => match (read(value), default) {
                    (Some(bytes), _) => insert(&bytes, &mut out),
                    (None, Some(default)) => insert(default.as_bytes(), &mut out),
                    (None, None) => return Err(Unfilled::NoValue(text.clone())),
                },
            }
        }
        Ok(out)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn named(hole: &Source) -> Option<Vec<u8>> {
        match hole {
            Source::Path(name) if name != "none" => Some(name.clone().into_bytes()),
            Source::Header(_) => Some(b"a/../b?c".to_vec()),
            Source::Query(_) => Some(b"..".to_vec()),
            _ => None,
        }
    }

    fn bytes(text: &str) -> Result<String, Unfilled> {
        let bytes = Template::parse(text).unwrap().bytes(named)?;
        Ok(String::from_utf8(bytes).unwrap())
    }

    #[test]
    fn a_text_is_taken_apart_as_the_vectors_say() {
        let vectors = include_str!("../../tests/vectors/templates.txt").lines();
        for line in vectors.filter(|line| !line.is_empty() && !line.starts_with('#')) {
            let mut values = serde_json::Deserializer::from_str(line).into_iter::<Value>();
            let (text, pieces) = (values.next().unwrap(), values.next().unwrap());
            let text = text.unwrap();
            let parsed = Template::parse_with(text.as_str().unwrap(), |_| Ok(()));
            let apart = parsed.map_or(Value::Null, |template| {
                let pieces = template.pieces.iter().map(|piece| match piece {
                    Piece::Text(text) => json!(text),
                    Piece::Hole { text, default, .. } => match default {
                        Some(default) => json!([text, default]),
                        None => json!([text]),
                    },
                });
                pieces.collect()
            });
            assert_eq!(apart, pieces.unwrap(), "{text}");
        }
    }

    #[test]
    fn holes_are_filled_and_the_rest_stays() {
        assert_eq!(bytes("a {path.id}, {{x}}").unwrap(), "a id, {x}");
        assert_eq!(bytes("").unwrap(), "");
    }

    #[test]
    fn a_hole_without_a_value_takes_its_default_or_is_named() {
        assert_eq!(bytes("{path.none|seven}").unwrap(), "seven");
        assert_eq!(bytes("{path.none|}").unwrap(), "");
        assert_eq!(
            bytes("x{path.none}").unwrap_err().to_string(),
            "{path.none} has no value"
        );
    }

    #[test]
    fn what_fills_a_path_stays_one_segment() {
        let path = |text: &str| Template::parse(text).unwrap().path(named);
        assert_eq!(path("/u/{header.h}/x").unwrap(), "/u/a%2F..%2Fb%3Fc/x");
        assert_eq!(
            path("/u/{query.q}/x"),
            Err(Unfilled::DotSegment("/u/../x".to_owned()))
        );
        assert_eq!(path("/u?q={query.q}").unwrap(), "/u?q=..");
    }

    #[test]
    fn a_text_without_holes_is_constant() {
        assert_eq!(Template::parse("{{a}}").unwrap().constant(), Some("{a}"));
        assert_eq!(Template::parse("").unwrap().constant(), Some(""));
        assert_eq!(Template::parse("{id}").unwrap().constant(), None);
    }

    #[test]
    fn a_lone_brace_and_an_unknown_source_are_refused() {
        for text in [
            "{id",
            "id}",
            "{",
            "{nothing}",
            "{path.}",
            "{path}",
            "{cookie.x}",
        ] {
            assert!(Template::parse(text).is_err(), "{text}");
        }
    }
}
