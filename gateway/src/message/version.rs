//! Versions of an API: numbers with dots between them, or a date.

use std::cmp::Ordering;
use std::fmt::{self, Display};

use http::HeaderMap;
use http::header::ACCEPT;

/// The most numbers that a version has: `1.2.3.4`.
const NUMBERS: usize = 4;

/// A version of an API.
///
/// `1.10` is above `1.9`, and `1` is `1.0`. Between a dotted version and a date there is no order: neither is above, below
/// or equal to the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ApiVersion {
    /// `2`, `1.10`, `v1.2.3`; numbers that are not given are 0.
    Dotted([u32; NUMBERS]),
    /// `2026-01-31`: year, month and day.
    Date([u32; 3]),
}

impl ApiVersion {
    /// Reads a version: one to four numbers with dots between them, `v` before them or not, or `YYYY-MM-DD`.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.strip_prefix(['v', 'V']).unwrap_or(text);
        if text.contains('-') {
            return date(text);
        }
        let mut numbers = [0; NUMBERS];
        let mut places = numbers.iter_mut();
        for digits in text.split('.') {
            *places.next()? = number(digits)?;
        }
        Some(Self::Dotted(numbers))
    }
}

fn date(text: &str) -> Option<ApiVersion> {
    let mut parts = text.split('-');
    let [year, month, day] = [parts.next()?, parts.next()?, parts.next()?];
    if parts.next().is_some() || (year.len(), month.len(), day.len()) != (4, 2, 2) {
        return None;
    }
    let (year, month, day) = (number(year)?, number(month)?, number(day)?);
    let is_date = (1..=12).contains(&month) && (1..=31).contains(&day);
    is_date.then_some(ApiVersion::Date([year, month, day]))
}

/// Digits alone: `str::parse` takes a sign, too.
fn number(digits: &str) -> Option<u32> {
    let are_digits = digits.bytes().all(|byte| byte.is_ascii_digit());
    are_digits.then(|| digits.parse().ok()).flatten()
}

impl PartialOrd for ApiVersion {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        match (self, other) {
            (Self::Dotted(own), Self::Dotted(other)) => Some(own.cmp(other)),
            (Self::Date(own), Self::Date(other)) => Some(own.cmp(other)),
            _ => None,
        }
    }
}

impl Display for ApiVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Date([year, month, day]) => write!(f, "{year:04}-{month:02}-{day:02}"),
            Self::Dotted([major, minor, patch, build]) => {
                write!(f, "{major}.{minor}")?;
                if (*patch, *build) != (0, 0) {
                    write!(f, ".{patch}")?;
                }
                if *build != 0 {
                    write!(f, ".{build}")?;
                }
                Ok(())
            }
        }
    }
}

/// What Accept (RFC 9110, section 12.5.1) says of a version: the value of this parameter, or the label `v2` of the
/// subtype in `application/vnd.shop.v2+json`, of the first range that says one and is not refused by `q=0`.
pub fn accepted<'a>(headers: &'a HeaderMap, parameter: &str) -> Option<&'a str> {
    let fields = headers.get_all(ACCEPT).iter();
    // A field that is no ASCII says nothing that a version could be.
    let mut ranges = fields
        .filter_map(|field| field.to_str().ok())
        .flat_map(|field| unquoted(field, ','));
    ranges.find_map(|range| of_range(range, parameter))
}

fn of_range<'a>(range: &'a str, parameter: &str) -> Option<&'a str> {
    let mut parts = unquoted(range, ';').map(str::trim);
    let media = parts.next()?;
    let mut found = None;
    for part in parts {
        let Some((name, value)) = part.split_once('=') else {
            continue;
        };
        let value = match value.strip_prefix('"') {
            Some(rest) => rest.strip_suffix('"').unwrap_or(rest),
            None => value,
        };
        if name.eq_ignore_ascii_case("q") {
            let is_zero = value.starts_with('0') && value.bytes().all(|b| b == b'0' || b == b'.');
            if is_zero {
                return None;
            }
        } else if found.is_none() && name.eq_ignore_ascii_case(parameter) {
            found = Some(value);
        }
    }
    found.or_else(|| of_subtype(media.split_once('/')?.1))
}

/// The version among the labels of a subtype: `v2` and what numbers follow it, in `vnd.shop.v2.1+json`.
fn of_subtype(subtype: &str) -> Option<&str> {
    let name = subtype.split('+').next()?;
    let is_digit = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_digit);
    let mut at = 0;
    for label in name.split('.') {
        let begins = label.starts_with(['v', 'V']) && is_digit(label.as_bytes().get(1));
        if begins && at > 0 {
            let rest = name[at + label.len()..].split('.').skip(1);
            let numbers = rest.take_while(|label| {
                !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_digit())
            });
            let end = at + label.len() + numbers.map(|label| label.len() + 1).sum::<usize>();
            return Some(&name[at..end]);
        }
        at += label.len() + 1;
    }
    None
}

/// The pieces between these separators, but for those in quoted strings (RFC 9110, section 5.6.4).
fn unquoted(text: &str, separator: char) -> impl Iterator<Item = &str> {
    let (mut quoted, mut escaped) = (false, false);
    text.split(move |character: char| {
        match character {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            _ => return !quoted && character == separator,
        }
        false
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> ApiVersion {
        ApiVersion::parse(text).unwrap_or_else(|| panic!("{text} is no version"))
    }

    #[test]
    fn versions_are_compared_by_their_numbers() {
        for (lower, higher) in [
            ("1.9", "1.10"),
            ("1", "1.0.0.1"),
            ("v1.2", "2"),
            ("0", "0.1"),
            ("2025-12-31", "2026-01-01"),
        ] {
            assert!(parse(lower) < parse(higher), "{lower} {higher}");
        }
        for (one, same) in [("1", "1.0"), ("v2", "2.0.0"), ("V01.2", "1.2"), ("1", "1")] {
            assert_eq!(parse(one), parse(same), "{one} {same}");
        }
    }

    #[test]
    fn a_date_and_a_dotted_version_have_no_order() {
        let (date, dotted) = (parse("2026-01-31"), parse("1.1"));
        assert!(date != dotted);
        assert_eq!(date.partial_cmp(&dotted), None);
    }

    #[test]
    fn what_is_no_version_is_not_read() {
        for text in [
            "",
            "v",
            "1.",
            ".1",
            "1..2",
            "1.2.3.4.5",
            "+1",
            "-1",
            "1.x",
            "latest",
            "vv1",
            "1.0-beta",
            "4294967296",
            "2026-1-31",
            "2026-13-01",
            "2026-01-32",
            "2026-01",
            "2026-01-31-preview",
            "１",
            " 1",
            "1 ",
            "1,2",
        ] {
            assert_eq!(ApiVersion::parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn a_version_is_written_in_one_way() {
        for (text, written) in [
            ("1", "1.0"),
            ("v1.10", "1.10"),
            ("1.0.3", "1.0.3"),
            ("1.0.0.4", "1.0.0.4"),
            ("2026-01-31", "2026-01-31"),
        ] {
            assert_eq!(parse(text).to_string(), written);
        }
    }

    fn said<'a>(accept: &[&str], headers: &'a mut HeaderMap) -> Option<&'a str> {
        for value in accept {
            headers.append(ACCEPT, value.parse().unwrap());
        }
        accepted(headers, "version")
    }

    #[test]
    fn the_first_range_that_says_a_version_decides() {
        for (accept, version) in [
            (&["application/vnd.shop+json; version=2"][..], Some("2")),
            (
                &["application/vnd.shop+json;Version=\"1.2\";q=0.5"],
                Some("1.2"),
            ),
            (&["text/html, application/json;version=3"], Some("3")),
            (&["a/b;version=1;q=0.0, a/b;version=2"], Some("2")),
            (&["a/b;version=1", "a/b;version=2"], Some("1")),
            (&["*/*", "a/b;version=2"], Some("2")),
            (&["a/b;x=\",;version=9\\\",\";version=4"], Some("4")),
            (&["application/vnd.shop.v2+json"], Some("v2")),
            (&["application/vnd.shop.v2.1+json"], Some("v2.1")),
            (&["application/vnd.github.v3.raw+json"], Some("v3")),
            (
                &["application/vnd.shop.v2026-01-31+json"],
                Some("v2026-01-31"),
            ),
            (&["application/vnd.shop.v2+json;version=3"], Some("3")),
            (&["application/vnd.shop.v2+json;q=0"], None),
            (&["application/v2+json"], None),
            (&["application/vnd.vendor+json", "*/*", "a"], None),
            (&[], None),
        ] {
            assert_eq!(said(accept, &mut HeaderMap::new()), version, "{accept:?}");
        }
    }
}
