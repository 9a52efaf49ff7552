//! The parameters of hosts and paths.

use std::sync::Arc;

use crate::config::{Match, PathPattern, Segment};
use crate::message::path;

/// The parameters of a request in the order of host and path; values of the path as [`path::parameter`] decodes them.
///
/// Where several patterns of the route match, the most specific one says where they stand.
pub fn params(matcher: &Match, host: &str, path: &str) -> Vec<(Arc<str>, String)> {
    let mut params = Vec::new();
    let templates = matcher.hosts.iter().map(|host| host.labels());
    if let Some(labels) = most_specific(templates, |labels| fits(labels, false, host, '.')) {
        let values = host.split('.').map(str::to_owned);
        extend(&mut params, labels, values);
    }
    if let Some(segments) = template(&matcher.paths, path) {
        let values = path[1..].split('/').map(path::parameter);
        extend(&mut params, segments, values);
    }
    params
}

/// One parameter of a path, as it stands there.
pub(super) fn of_path<'a>(paths: &[PathPattern], path: &'a str, name: &str) -> Option<&'a str> {
    let mut segments = template(paths, path)?.iter();
    let index = segments.position(|segment| segment.param().is_some_and(|param| **param == *name));
    path[1..].split('/').nth(index?)
}

fn extend(
    params: &mut Vec<(Arc<str>, String)>,
    pattern: &[Segment],
    values: impl Iterator<Item = String>,
) {
    let pairs = pattern.iter().zip(values);
    params.extend(pairs.filter_map(|(segment, value)| Some((segment.param()?.clone(), value))));
}

/// The segments of the template that a path matches.
fn template<'m>(paths: &'m [PathPattern], path: &str) -> Option<&'m [Segment]> {
    let templates = paths.iter().filter_map(|pattern| match pattern {
        PathPattern::Template { segments, rest } => {
            fits(segments, *rest, path.strip_prefix('/')?, '/').then_some(segments.as_slice())
        }
        _ => None,
    });
    most_specific(templates, |_| true)
}

/// Of those that are wanted, the one with a literal where they first differ, or else the longest.
fn most_specific<'m>(
    patterns: impl Iterator<Item = &'m [Segment]>,
    wanted: impl Fn(&[Segment]) -> bool,
) -> Option<&'m [Segment]> {
    let patterns = patterns.filter(|pattern| !pattern.is_empty() && wanted(pattern));
    patterns.min_by(|one, other| {
        let is_param = |segment: &Segment| segment.param().is_some();
        let pairs = one.iter().zip(other.iter());
        let mut orders = pairs.map(|(one, other)| is_param(one).cmp(&is_param(other)));
        let first = orders.find(|order| order.is_ne());
        first.unwrap_or_else(|| other.len().cmp(&one.len()))
    })
}

/// Whether a text is such pieces between separators; behind them there may be a rest.
fn fits(pattern: &[Segment], rest: bool, text: &str, separator: char) -> bool {
    let mut pieces = text.split(separator);
    let all = pattern
        .iter()
        .all(|segment| match (segment, pieces.next()) {
            (Segment::Literal(literal), Some(piece)) => literal == piece,
            (Segment::Param(_), Some(piece)) => !piece.is_empty(),
            (_, None) => false,
        });
    all && (rest || pieces.next().is_none())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::HostPattern;

    fn pattern(text: &str, separator: char) -> Vec<Segment> {
        let segment = |text: &str| match text.strip_prefix('{') {
            Some(name) => Segment::Param(name.trim_end_matches('}').into()),
            None => Segment::Literal(text.to_owned()),
        };
        text.split(separator).map(segment).collect()
    }

    #[test]
    fn those_of_the_host_come_first_and_the_most_specific_pattern_says_where_they_stand() {
        let paths = ["{a}/{b}", "x/{b}/{a}", "x/y/{b}/{a}"];
        let template = |text: &&str| PathPattern::Template {
            segments: pattern(text, '/'),
            rest: true,
        };
        let matcher = Match {
            hosts: vec![
                HostPattern::Template(pattern("{t}.test", '.')),
                HostPattern::Template(pattern("{t}.eu.test", '.')),
            ],
            paths: paths.iter().map(template).collect(),
            ..Match::any()
        };
        for (host, path, expected) in [
            ("shop.test", "/1/2", "t=shop a=1 b=2"),
            ("shop.eu.test", "/x/1/2", "t=shop b=1 a=2"),
            ("shop.test", "/x/y/1/2%2B/more", "t=shop b=1 a=2+"),
            ("shop.test", "/x/y/1", "t=shop b=y a=1"),
        ] {
            let params = params(&matcher, host, path);
            let params = params.iter().map(|(name, value)| format!("{name}={value}"));
            let params: Vec<_> = params.collect();
            assert_eq!(params.join(" "), expected, "{host}{path}");
        }
        assert!(params(&Match::any(), "a.test", "/").is_empty());
        assert_eq!(of_path(&matcher.paths, "/x/y/1/2", "a"), Some("2"));
        assert_eq!(of_path(&matcher.paths, "/x/y/1/2", "t"), None);
    }
}
