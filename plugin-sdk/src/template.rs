//! Values with holes, `Bearer {header.x-token}`, parsed once in `configure` and filled per request.
//!
//! A hole is `{source}` or `{source|default}`; `{{` and `}}` stand for braces. A text without holes stays constant. The
//! gateway has the same grammar for its own: `tests/vectors/templates.txt` holds both to it.

use std::fmt;

use crate::{Request, path, percent};

/// What a hole of the exchange in hand is filled with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// `{path.name}`: `{name}` of the route's pattern, as [`Request::path_param`] has it.
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

    /// The same, for a path or a query.
    #[must_use]
    pub fn read_to_encode(&self, request: &Request) -> Option<Fill> {
        let value = self.read(request)?;
        Some(match self {
            Self::Path(_) => Fill::Escaped(value),
            _ => Fill::Text(value),
        })
    }
}

/// What fills a hole of a path or a query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fill {
    /// Text: all of it is percent-encoded.
    Text(Vec<u8>),
    /// A parameter of the path: the escapes in it stay, the rest is percent-encoded.
    Escaped(Vec<u8>),
}

impl Fill {
    fn is_empty(&self) -> bool {
        let (Self::Text(bytes) | Self::Escaped(bytes)) = self;
        bytes.is_empty()
    }

    fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Text(bytes) => percent::encode(bytes, out),
            Self::Escaped(bytes) => percent::encode_rest(bytes, out),
        }
    }
}

/// Why a template has no value for an exchange.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unfilled {
    /// Nothing to fill this hole with, and it has no default.
    NoValue(String),
    /// This would have been the path. A segment of it, or a part of one, is `.`, `..` or empty, however it is escaped.
    Astray(String),
}

impl fmt::Display for Unfilled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoValue(hole) => write!(f, "{{{hole}}} has no value"),
            Self::Astray(path) => write!(
                f,
                "{path} goes to no upstream: a part of it is `.`, `..` or empty, or its escapes are broken"
            ),
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
    pub fn bytes(&self, mut read: impl FnMut(&V) -> Option<Vec<u8>>) -> Result<Vec<u8>, Unfilled> {
        let mut out = Vec::new();
        for piece in &self.pieces {
            match piece {
                Piece::Text(text) => out.extend_from_slice(text.as_bytes()),
                Piece::Hole {
                    value,
                    text,
                    default,
                } => match (read(value), default) {
                    (Some(bytes), _) => out.extend_from_slice(&bytes),
                    (None, Some(default)) => out.extend_from_slice(default.as_bytes()),
                    (None, None) => return Err(Unfilled::NoValue(text.clone())),
                },
            }
        }
        Ok(out)
    }

    /// The text as a path and query: what fills a hole is percent-encoded, and stays in its segment or its value. Before
    /// the query an empty value is none, since the segment would go with it.
    ///
    /// # Errors
    /// See [`Unfilled`].
    pub fn path(&self, mut read: impl FnMut(&V) -> Option<Fill>) -> Result<String, Unfilled> {
        let mut out = Vec::new();
        let mut in_query = false;
        for piece in &self.pieces {
            match piece {
                Piece::Text(text) => {
                    in_query |= text.contains('?');
                    out.extend_from_slice(text.as_bytes());
                }
                Piece::Hole { value, .. } => {
                    let fill = read(value).filter(|fill| in_query || !fill.is_empty());
                    piece.or_default(fill)?.encode(&mut out);
                }
            }
        }
        let path = text(out);
        match path::may_be_asked(&path) {
            true => Ok(path),
            false => Err(Unfilled::Astray(path)),
        }
    }

    /// The text as one name or value of a query: all of it is percent-encoded.
    ///
    /// # Errors
    /// If a hole has neither a value nor a default.
    pub fn query_value(
        &self,
        mut read: impl FnMut(&V) -> Option<Fill>,
    ) -> Result<String, Unfilled> {
        let mut out = Vec::new();
        for piece in &self.pieces {
            match piece {
                Piece::Text(text) => percent::encode(text.as_bytes(), &mut out),
                Piece::Hole { value, .. } => piece.or_default(read(value))?.encode(&mut out),
            }
        }
        Ok(text(out))
    }
}

impl<V> Piece<V> {
    /// What fills this hole.
    fn or_default(&self, fill: Option<Fill>) -> Result<Fill, Unfilled> {
        let (text, default) = match self {
            Self::Hole { text, default, .. } => (text.as_str(), default.as_deref()),
            Self::Text(_) => ("", None),
        };
        fill.or_else(|| default.map(|default| Fill::Text(default.as_bytes().to_vec())))
            .ok_or_else(|| Unfilled::NoValue(text.to_owned()))
    }
}

/// Literals are text, and everything that is encoded is ASCII.
fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap_or_else(|e| String::from_utf8_lossy(e.as_bytes()).into_owned())
}

#[cfg(test)]
mod tests;
