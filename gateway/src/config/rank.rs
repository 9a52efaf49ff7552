//! How near a route is to the requests it matches: `priority`, then host, then path, then predicates.
//!
//! Each host of a route with each of its paths has a rank of its own. Between pairs that rank alike nothing decides but
//! the names of their routes; `routes/ties.rs` reports them.

mod expression;

use super::model::{HostPattern, Match, PathPattern, Predicates, Segment};

pub use expression::Expression;

/// How near a host and a path of a route are: the greatest of those that match a request takes it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Rank {
    priority: i32,
    specificity: Specificity,
}

/// What ranks where no `priority` does.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Specificity {
    host: HostKind,
    path: Box<[Part]>,
    /// All of them.
    predicates: usize,
    kinds: [usize; KINDS],
}

/// How many kinds of predicates rank.
const KINDS: usize = 7;

/// Kinds of hosts, the least specific first.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum HostKind {
    Any,
    /// By the length of its literal text, and whether it stands for one label alone.
    Wild(usize, bool),
    Exact,
}

/// What a path has in the place of a segment, the least specific first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Part {
    /// `/**`
    Rest,
    Param,
    Regex,
    Literal,
    /// The path ends here: nearer than one that may go on.
    End,
    /// The whole path.
    Exact,
}

/// The hosts of a route with its paths, each pair once; no host stands for any.
pub fn pairs(matcher: &Match) -> impl Iterator<Item = (Option<&HostPattern>, &PathPattern)> {
    let any = matcher.hosts.is_empty().then_some(None);
    let hosts = any.into_iter().chain(matcher.hosts.iter().map(Some));
    hosts.flat_map(|host| matcher.paths.iter().map(move |path| (host, path)))
}

impl Rank {
    /// The rank of one host of a route with one of its paths.
    pub fn new(matcher: &Match, host: Option<&HostPattern>, path: &PathPattern) -> Self {
        let kinds = kinds(&matcher.predicates);
        Self {
            priority: matcher.priority,
            specificity: Specificity {
                host: host.map_or(HostKind::Any, host_kind),
                path: parts(path),
                predicates: kinds.iter().sum(),
                kinds,
            },
        }
    }

    /// `match.priority`.
    pub fn priority(&self) -> i32 {
        self.priority
    }

    /// The rank but for the priority.
    pub fn specificity(&self) -> &Specificity {
        &self.specificity
    }
}

fn host_kind(host: &HostPattern) -> HostKind {
    match host {
        HostPattern::Exact(_) => HostKind::Exact,
        HostPattern::Suffix(suffix) => HostKind::Wild(suffix.len(), false),
        HostPattern::Template(labels) => HostKind::Wild(length(labels), true),
    }
}

/// The length of what is literal, dots included: that of `{tenant}.example.com` is that of `*.example.com`.
fn length(labels: &[Segment]) -> usize {
    let literal = labels.iter().map(|label| match label {
        Segment::Literal(text) => text.len(),
        Segment::Param(_) => 0,
    });
    literal.sum::<usize>() + labels.len().saturating_sub(1)
}

fn parts(path: &PathPattern) -> Box<[Part]> {
    let of_segment = |segment: &Segment| match segment {
        Segment::Literal(_) => Part::Literal,
        Segment::Param(_) => Part::Param,
    };
    match path {
        PathPattern::Any => [Part::Rest].into(),
        PathPattern::Exact(_) => [Part::Exact].into(),
        PathPattern::Prefix(prefix) => {
            let literals = prefix_segments(prefix).map(|_| Part::Literal);
            literals.chain([Part::Rest]).collect()
        }
        PathPattern::Template { segments, rest } => {
            let last = if *rest { Part::Rest } else { Part::End };
            segments.iter().map(of_segment).chain([last]).collect()
        }
        PathPattern::Regex(regex) => {
            let literals = regex.known().segments.len();
            std::iter::repeat_n(Part::Literal, literals)
                .chain([Part::Regex])
                .collect()
        }
    }
}

/// The segments of a prefix such as `/a/b`; the empty one has none.
pub fn prefix_segments(prefix: &str) -> impl Iterator<Item = &str> {
    prefix.split('/').skip(1)
}

/// How many predicates there are of each kind, in the order in which kinds rank. What is no predicate is named, too, so
/// that a new one is not forgotten.
fn kinds(predicates: &Predicates) -> [usize; KINDS] {
    let Predicates {
        methods,
        headers,
        cookies,
        query,
        client,
        after,
        before,
        version,
        unshown: _,
    } = predicates;
    [
        usize::from(!methods.is_empty()),
        headers.len(),
        cookies.len(),
        query.len(),
        usize::from(!client.is_empty()),
        usize::from(version.is_some()),
        usize::from(after.is_some()) + usize::from(before.is_some()),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::patterns;
    use crate::config::{Regex, ValuePattern};

    fn rank(host: &str, path: &str, predicates: Predicates) -> Rank {
        let path = match path.strip_prefix('~') {
            Some(regex) => PathPattern::Regex(Regex::new(regex).unwrap()),
            None => patterns::path(path).unwrap(),
        };
        let host = (!host.is_empty()).then(|| patterns::host(host).unwrap());
        let matcher = Match {
            predicates,
            ..Match::any()
        };
        Rank::new(&matcher, host.as_ref(), &path)
    }

    /// The nearest first.
    fn assert_ranked(ranks: &[(&str, Rank)]) {
        for pair in ranks.windows(2) {
            let [(nearer, first), (farther, second)] = pair else {
                continue;
            };
            assert!(first > second, "{nearer} before {farther}");
        }
    }

    #[test]
    fn an_exact_host_goes_before_a_wild_one_by_its_length_and_any_before_none() {
        let hosts = [
            "a.b.example.com",
            "{x}.b.example.com",
            "*.b.example.com",
            "{x}.example.com",
            "*.example.com",
            "",
        ];
        let of = |host| (host, rank(host, "/**", Predicates::default()));
        assert_ranked(&hosts.map(of));
        let wide = rank("*.example.com", "/**", Predicates::default());
        assert!(wide > rank("", "/a", Predicates::default()));
    }

    #[test]
    fn a_path_ranks_at_the_first_segment_where_two_differ() {
        for paths in [
            ["/a/b", "/a/{x}", "/a/{x}/**"],
            ["/a/{x}", "/{y}/b", "/{y}/**"],
            ["/a/b/**", "/a/{x}/c", "/a/**"],
            ["/a/{x}/c", "/a/{x}/{y}", "/a/{x}/**"],
            // A regular expression is literal as far as all of its matches are.
            ["/a/b/**", "~^/a/v[12]/", "/a/{x}"],
            ["/a/{x}", "~^/[ab]/x", "/{x}/b"],
            ["~^/a/b(/|$)", "~^/a/[bc]/x", "~[bc]/x"],
            ["~^/(?i)a/", "/{x}/**", "/**"],
            ["~^/", "/{x}/b", "/**"],
            ["~b", "/{x}/{y}", "/**"],
        ] {
            let of = |path| (path, rank("", path, Predicates::default()));
            assert_ranked(&paths.map(of));
        }
    }

    #[test]
    fn more_predicates_go_before_fewer_and_then_methods_before_headers_before_the_query() {
        let methods = || vec![http::Method::GET];
        let header = |name| {
            let name = http::HeaderName::from_static(name);
            (name, ValuePattern::Present(true))
        };
        let query = || vec![("q".to_owned(), ValuePattern::Present(true))];
        let of = |what, predicates| (what, rank("", "/a", predicates));
        let none = Predicates::default;
        assert_ranked(&[
            of(
                "two headers",
                Predicates {
                    headers: vec![header("a"), header("b")],
                    ..none()
                },
            ),
            of(
                "methods",
                Predicates {
                    methods: methods(),
                    ..none()
                },
            ),
            of(
                "a header",
                Predicates {
                    headers: vec![header("a")],
                    ..none()
                },
            ),
            of(
                "query",
                Predicates {
                    query: query(),
                    ..none()
                },
            ),
            of("none", none()),
        ]);
    }
}
