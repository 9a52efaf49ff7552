//! Types of bodies (RFC 9110, section 8.3), and the ranges of them that a plugin means.

use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue};

/// The longest type that is looked at, bytes (RFC 6838, section 4.2, has 127 for each half).
const LONGEST: usize = 255;

/// The type of a body in lower case, without its parameters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MediaType(String);

/// Types that belong together: `application/json`, `image/*`, `*/*+json`, `*/*`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MediaRange {
    /// None for any.
    kind: Option<String>,
    subtype: Subtype,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Subtype {
    Any,
    /// With its `+`.
    Suffix(String),
    Exact(String),
}

/// Which responses a plugin means, by the type of their bodies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResponseTypes {
    /// Those that it reads; empty for all.
    pub touched: Vec<MediaRange>,
    /// Those that pass by.
    pub passed: Vec<MediaRange>,
    /// Whether it fails on the rest; else they pass.
    pub refuses_others: bool,
}

/// What a plugin does with a response of some type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Meant {
    /// It reads the body.
    Touched,
    /// The body passes by.
    Passed,
    /// It fails.
    Refused,
}

impl MediaType {
    /// The type that a message says, if it says one and no second.
    pub fn of(headers: &HeaderMap) -> Option<Self> {
        let mut said = headers.get_all(CONTENT_TYPE).iter();
        let (first, second) = (said.next()?, said.next());
        let essence = first.to_str().ok()?.split(';').next()?.trim();
        if second.is_some() || essence.len() > LONGEST {
            return None;
        }
        let (kind, subtype) = essence.split_once('/')?;
        (is_name(kind) && is_name(subtype)).then(|| Self(essence.to_ascii_lowercase()))
    }

    /// As it is written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Whether a message is one of gRPC.
pub fn is_grpc(headers: &HeaderMap) -> bool {
    let said = headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes);
    let rest = said.and_then(|said| said.strip_prefix(b"application/grpc"));
    rest.is_some_and(|rest| matches!(rest.first(), None | Some(b'+' | b';' | b' ')))
}

impl MediaRange {
    /// Reads a range; none if it is not one.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim().to_ascii_lowercase();
        let (kind, subtype) = text.split_once('/')?;
        let kind = match kind {
            "*" => None,
            kind if is_name(kind) => Some(kind.to_owned()),
            _ => return None,
        };
        let subtype = match subtype.strip_prefix('*') {
            Some("") => Subtype::Any,
            Some(suffix) if suffix.len() > 1 && suffix.starts_with('+') && is_name(suffix) => {
                Subtype::Suffix(suffix.to_owned())
            }
            None if is_name(subtype) && kind.is_some() => Subtype::Exact(subtype.to_owned()),
            _ => return None,
        };
        Some(Self { kind, subtype })
    }

    fn covers(&self, MediaType(text): &MediaType) -> bool {
        let Some((kind, subtype)) = text.split_once('/') else {
            return false;
        };
        let fits = match &self.subtype {
            Subtype::Any => true,
            Subtype::Suffix(suffix) => subtype.len() > suffix.len() && subtype.ends_with(suffix),
            Subtype::Exact(exact) => subtype == exact,
        };
        fits && self.kind.as_ref().is_none_or(|own| own == kind)
    }

    /// How much it says of a type.
    fn rank(&self) -> u8 {
        let subtype = match self.subtype {
            Subtype::Any => 0,
            Subtype::Suffix(_) => 2,
            Subtype::Exact(_) => 4,
        };
        subtype + u8::from(self.kind.is_some())
    }

    fn covers_all(&self) -> bool {
        self.kind.is_none() && self.subtype == Subtype::Any
    }
}

impl Default for ResponseTypes {
    /// All of them.
    fn default() -> Self {
        Self {
            touched: Vec::new(),
            passed: Vec::new(),
            refuses_others: false,
        }
    }
}

impl ResponseTypes {
    /// What the plugin does with a body of this type, or of one that is not known. The range that says more of the type
    /// decides, and of two that say the same, that it is read.
    pub fn meant(&self, media: Option<&MediaType>) -> Meant {
        let best = |ranges: &[MediaRange]| {
            let covering = ranges.iter().filter(|range| match media {
                Some(media) => range.covers(media),
                None => range.covers_all(),
            });
            covering.map(MediaRange::rank).max()
        };
        let touched = match self.touched.is_empty() {
            true => Some(0),
            false => best(&self.touched),
        };
        match (touched, best(&self.passed)) {
            (Some(touched), Some(passed)) if passed > touched => Meant::Passed,
            (Some(_), _) => Meant::Touched,
            (None, Some(_)) => Meant::Passed,
            (None, None) if self.refuses_others => Meant::Refused,
            (None, None) => Meant::Passed,
        }
    }

    /// Whether there is a type that passes by.
    pub fn exempts(&self) -> bool {
        let all = self.touched.is_empty() || self.touched.iter().any(MediaRange::covers_all);
        !self.passed.is_empty() || (!all && !self.refuses_others)
    }
}

/// A name of RFC 6838, section 4.2, and what is in use beside it.
fn is_name(text: &str) -> bool {
    let byte = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&byte);
    !text.is_empty() && text.bytes().all(byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn types(touched: &[&str], passed: &[&str], refuses_others: bool) -> ResponseTypes {
        let ranges = |all: &[&str]| {
            let all = all.iter().map(|text| MediaRange::parse(text));
            all.collect::<Option<_>>().unwrap()
        };
        ResponseTypes {
            touched: ranges(touched),
            passed: ranges(passed),
            refuses_others,
        }
    }

    fn said(values: &[&str]) -> Option<MediaType> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(CONTENT_TYPE, value.parse().unwrap());
        }
        MediaType::of(&headers)
    }

    #[test]
    fn a_type_is_read_without_case_and_parameters_and_only_where_there_is_one() {
        let json = said(&["Application/JSON ; charset=utf-8"]);
        assert_eq!(json.unwrap().as_str(), "application/json");
        for none in [
            &[][..],
            &["json"],
            &["/json"],
            &["a b/json"],
            &["text/plain, application/json"],
            &["application/json", "text/plain"],
        ] {
            assert_eq!(said(none), None, "{none:?}");
        }
    }

    #[test]
    fn ranges_cover_what_they_say() {
        let json = types(&["application/json", "*/*+json"], &["image/*"], true);
        for (text, meant) in [
            ("application/json", Meant::Touched),
            ("application/problem+json; charset=utf-8", Meant::Touched),
            ("application/+json", Meant::Refused),
            ("application/jsonp", Meant::Refused),
            ("image/png", Meant::Passed),
            ("text/event-stream", Meant::Refused),
        ] {
            assert_eq!(json.meant(said(&[text]).as_ref()), meant, "{text}");
        }
        assert_eq!(json.meant(None), Meant::Refused);
        assert_eq!(types(&[], &["image/*"], true).meant(None), Meant::Touched);
        let but = types(
            &["text/*", "image/svg+xml", "a/b"],
            &["text/csv", "image/*", "a/b"],
            true,
        );
        for (text, meant) in [
            ("text/plain", Meant::Touched),
            ("text/csv", Meant::Passed),
            ("image/png", Meant::Passed),
            ("image/svg+xml", Meant::Touched),
            ("a/b", Meant::Touched),
        ] {
            assert_eq!(but.meant(said(&[text]).as_ref()), meant, "{text}");
        }
        assert_eq!(types(&["*/*"], &[], true).meant(None), Meant::Touched);
        assert_eq!(types(&["text/*"], &[], false).meant(None), Meant::Passed);
    }

    #[test]
    fn what_no_range_is_is_not_read() {
        for text in [
            "",
            "json",
            "*",
            "*/json",
            "text/*json",
            "text/*+",
            "a/b/c",
            "/*",
            "te xt/*",
        ] {
            assert_eq!(MediaRange::parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_type_passes_by_unless_all_are_touched_or_refused() {
        assert!(!types(&[], &[], false).exempts());
        assert!(types(&["*/*"], &["image/*"], true).exempts());
        assert!(!types(&["text/*"], &[], true).exempts());
        assert!(types(&["text/*"], &["image/*"], true).exempts());
        assert!(types(&["text/*"], &[], false).exempts());
    }

    #[test]
    fn grpc_is_told_by_its_type() {
        for (said, is) in [
            ("application/grpc", true),
            ("application/grpc+proto", true),
            ("application/grpc; x=y", true),
            ("application/grpc-web", false),
            ("application/json", false),
        ] {
            let headers = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static(said))]);
            assert_eq!(is_grpc(&headers), is, "{said}");
        }
    }
}
