//! The route of a request is that of the best rank, whatever the order of the file: compared with a scan of all routes that
//! reads the rank off the text of their patterns.

use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;

use fastrand::Rng;
use http::{HeaderMap, HeaderName, HeaderValue, Method};

use super::{Moment, Router, Subject};
use crate::config::{self, Config};

const SETS: usize = 500;
const REQUESTS: usize = 20;

const HOSTS: [&str; 5] = ["a.test", "b.a.test", "*.test", "*.a.test", "*.b.a.test"];
const SEGMENTS: [&str; 3] = ["a", "b", "{}"];
/// Each with the number of segments that all its matches begin with.
const EXPRESSIONS: [(&str, usize); 9] = [
    ("^/a/[ab]/", 1),
    ("^/a/[ab]$", 1),
    ("^/a(/|$)", 1),
    ("^/a/b/", 2),
    ("^/a/b$", 2),
    ("^/[ab]/", 0),
    ("(?i)^/A", 0),
    ("b$", 0),
    ("a", 0),
];
const METHODS: [&str; 3] = [r#"["GET"]"#, r#"["POST"]"#, r#"["GET", "POST"]"#];
const VALUES: [&str; 5] = [
    r#""1""#,
    r#""2""#,
    r#"{ regex = "^1" }"#,
    "{ present = true }",
    "{ present = false }",
];

/// A route as its file has it.
#[derive(Debug, Clone, Default)]
struct Sketch {
    name: String,
    hosts: Vec<&'static str>,
    path: Pattern,
    methods: Option<&'static str>,
    headers: Vec<(&'static str, &'static str)>,
    query: Vec<(&'static str, &'static str)>,
    priority: i32,
}

#[derive(Debug, Clone, Default)]
enum Pattern {
    #[default]
    Any,
    Segments(Vec<&'static str>, bool),
    Expression(&'static str, usize),
}

/// What is asked for.
#[derive(Debug)]
struct Request {
    host: &'static str,
    path: String,
    method: Method,
    headers: Vec<(&'static str, &'static str)>,
    query: Vec<(&'static str, &'static str)>,
}

fn some<T: Copy>(random: &mut Rng, of: &[T]) -> T {
    of[random.usize(..of.len())]
}

fn named<T: Copy>(
    random: &mut Rng,
    names: &[&'static str],
    values: &[T],
) -> Vec<(&'static str, T)> {
    let mut chosen = Vec::new();
    for name in names {
        if random.u8(..3) == 0 {
            chosen.push((*name, some(random, values)));
        }
    }
    chosen
}

impl Sketch {
    fn new(random: &mut Rng, name: String) -> Self {
        let mut hosts = Vec::new();
        for _ in 0..random.usize(..3) {
            let host = some(random, &HOSTS);
            if !hosts.contains(&host) {
                hosts.push(host);
            }
        }
        let depth = random.usize(..4);
        let segments = (0..depth).map(|_| some(random, &SEGMENTS)).collect();
        let path = match random.u8(..8) {
            0 => Pattern::Any,
            1 | 2 => {
                let (text, literals) = some(random, &EXPRESSIONS);
                Pattern::Expression(text, literals)
            }
            kind => Pattern::Segments(segments, kind > 5),
        };
        Self {
            name,
            hosts,
            path,
            methods: (random.u8(..4) == 0).then(|| some(random, &METHODS)),
            headers: named(random, &["x-a", "x-b"], &VALUES),
            query: named(random, &["v", "w"], &VALUES),
            priority: i32::from(random.u8(..8) == 0),
        }
    }

    fn toml(&self) -> String {
        let mut matcher = format!("priority = {}", self.priority);
        let mut key = |text: String| matcher += &format!(", {text}");
        if !self.hosts.is_empty() {
            key(format!("host = {:?}", self.hosts));
        }
        match &self.path {
            Pattern::Any => {}
            Pattern::Segments(segments, rest) => {
                let mut path = String::new();
                for (at, segment) in segments.iter().enumerate() {
                    path += &match *segment {
                        "{}" => format!("/{{p{at}}}"),
                        text => format!("/{text}"),
                    };
                }
                match (rest, path.is_empty()) {
                    (true, _) => path += "/**",
                    (false, true) => path += "/",
                    (false, false) => {}
                }
                key(format!("path = {path:?}"));
            }
            Pattern::Expression(text, _) => key(format!("path = {{ regex = '{text}' }}")),
        }
        if let Some(methods) = self.methods {
            key(format!("methods = {methods}"));
        }
        for (kind, values) in [("headers", &self.headers), ("query", &self.query)] {
            let values: Vec<_> = values
                .iter()
                .map(|(name, value)| format!("{name} = {value}"))
                .collect();
            if !values.is_empty() {
                key(format!("{kind} = {{ {} }}", values.join(", ")));
            }
        }
        let name = &self.name;
        format!("[[routes]]\nname = \"{name}\"\nmatch = {{ {matcher} }}\nrespond = {{}}\n")
    }

    /// The best rank of those of its pairs that match: greater is better.
    fn rank(&self, request: &Request) -> Option<impl Ord + use<>> {
        let path = self.path.rank(&request.path)?;
        let host = match self.hosts.is_empty() {
            true => 0,
            false => {
                let ranks = self.hosts.iter();
                ranks
                    .filter_map(|host| host_rank(host, request.host))
                    .max()?
            }
        };
        let holds = self
            .methods
            .is_none_or(|methods| methods.contains(request.method.as_str()))
            && all_hold(&self.headers, &request.headers)
            && all_hold(&self.query, &request.query);
        let kinds = [
            usize::from(self.methods.is_some()),
            self.headers.len(),
            self.query.len(),
        ];
        let count: usize = kinds.iter().sum();
        holds.then_some((self.priority, host, path, count, kinds))
    }

    /// Whether a regular expression may leave open what it matches.
    fn is_open(&self) -> bool {
        let expression = |(_, value): &(&str, &str)| value.contains("regex");
        matches!(self.path, Pattern::Expression(..))
            || self.headers.iter().any(expression)
            || self.query.iter().any(expression)
    }
}

fn host_rank(pattern: &str, host: &str) -> Option<usize> {
    match pattern.strip_prefix('*') {
        Some(suffix) => host.ends_with(suffix).then_some(pattern.len()),
        None => (pattern == host).then_some(1_000),
    }
}

fn all_hold(patterns: &[(&str, &str)], values: &[(&str, &str)]) -> bool {
    patterns.iter().all(|(name, pattern)| {
        let value = values.iter().find(|(other, _)| other == name);
        let value = value.map(|(_, value)| *value);
        match *pattern {
            "{ present = true }" => value.is_some(),
            "{ present = false }" => value.is_none(),
            r#"{ regex = "^1" }"# => value.is_some_and(|value| value.starts_with('1')),
            text => value.is_some_and(|value| text.trim_matches('"') == value),
        }
    })
}

impl Pattern {
    /// A letter for each segment, better ones later in the alphabet, where it matches.
    fn rank(&self, path: &str) -> Option<String> {
        match self {
            Self::Any => Some("B".to_owned()),
            Self::Expression(text, literals) => {
                let regex = regex::Regex::new(text).unwrap();
                regex.is_match(path).then(|| "E".repeat(*literals) + "D")
            }
            Self::Segments(segments, rest) => {
                let there: Vec<_> = path
                    .split('/')
                    .skip(1)
                    .filter(|text| !text.is_empty())
                    .collect();
                let long_enough = match rest {
                    true => there.len() >= segments.len(),
                    false => there.len() == segments.len(),
                };
                let fits = segments
                    .iter()
                    .zip(&there)
                    .all(|(pattern, text)| *pattern == "{}" || pattern == text);
                if !long_enough || !fits {
                    return None;
                }
                let kinds = segments.iter().map(|segment| match *segment {
                    "{}" => 'C',
                    _ => 'E',
                });
                let whole = !rest && !segments.contains(&"{}");
                Some(match (whole, rest) {
                    (true, _) => "Z".to_owned(),
                    (false, true) => kinds.chain(['B']).collect(),
                    (false, false) => kinds.chain(['F']).collect(),
                })
            }
        }
    }
}

impl Request {
    fn new(random: &mut Rng) -> Self {
        let depth = random.usize(..4);
        let path: String = (0..depth)
            .map(|_| format!("/{}", some(random, &["a", "b", "c"])))
            .collect();
        Self {
            host: some(
                random,
                &["a.test", "b.a.test", "c.b.a.test", "c.test", "other"],
            ),
            path: if path.is_empty() {
                "/".to_owned()
            } else {
                path
            },
            method: some(random, &[&Method::GET, &Method::POST, &Method::PUT]).clone(),
            headers: named(random, &["x-a", "x-b"], &["1", "12", "2"]),
            query: named(random, &["v", "w"], &["1", "12", "2"]),
        }
    }

    fn ask<T>(&self, ask: impl FnOnce(Subject<'_>) -> T) -> T {
        let mut headers = HeaderMap::new();
        for (name, value) in &self.headers {
            headers.append(
                HeaderName::from_static(name),
                HeaderValue::from_static(value),
            );
        }
        let query: Vec<_> = self
            .query
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        ask(Subject {
            listener: 0,
            host: self.host,
            path: &self.path,
            query: &query.join("&"),
            method: &self.method,
            headers: &headers,
            client: std::net::IpAddr::from([192, 0, 2, 1]).into(),
            moment: &Moment::default(),
            params: &[],
        })
    }
}

/// The configuration of a route alone.
#[derive(Debug)]
struct Alone(Arc<config::Route>);

impl AsRef<config::Route> for Alone {
    fn as_ref(&self) -> &config::Route {
        &self.0
    }
}

fn load(file: &Path, routes: &[Sketch]) -> Result<Config, config::Errors> {
    let mut text = String::from("[[listeners]]\nname = \"l\"\naddress = \"127.0.0.1:0\"\n");
    for route in routes {
        write!(text, "{}", route.toml()).unwrap();
    }
    std::fs::write(file, text).unwrap();
    config::load(file)
}

/// Routes of which none ties with another, and their configuration. Whatever ties goes.
fn sound(file: &Path, mut routes: Vec<Sketch>) -> (Vec<Sketch>, Config) {
    loop {
        let errors = match load(file, &routes) {
            Ok(config) => return (routes, config),
            Err(errors) => errors,
        };
        for fault in errors.0 {
            assert!(
                fault.message.contains("nothing says which is meant"),
                "{fault}"
            );
            let name = fault.message.split('`').nth(1).unwrap().to_owned();
            routes.retain(|route| route.name != name);
        }
    }
}

fn router(config: Config) -> Router<Alone> {
    let routes = config.routes.into_iter().map(Alone).map(Arc::new);
    Router::new(routes.collect())
}

fn name(route: &Arc<Alone>) -> &str {
    &route.0.name
}

#[test]
fn the_route_is_that_of_the_best_rank_whatever_the_order_of_the_file() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("gateway.toml");
    let mut random = Rng::with_seed(7);
    let (mut found, mut doubtful) = (0, 0);
    for _ in 0..SETS {
        let count = 2 + random.usize(..24);
        let routes = (0..count).map(|_| {
            let name = format!("r{:03}", random.u16(..1_000));
            Sketch::new(&mut random, name)
        });
        let mut routes: Vec<Sketch> = routes.collect();
        routes.sort_by(|a, b| a.name.cmp(&b.name));
        routes.dedup_by(|a, b| a.name == b.name);
        random.shuffle(&mut routes);
        let (mut routes, config) = sound(&file, routes);
        let first = router(config);
        random.shuffle(&mut routes);
        let again = load(&file, &routes).unwrap_or_else(|errors| panic!("{routes:#?}\n{errors}"));
        let again = router(again);
        for _ in 0..REQUESTS {
            let request = Request::new(&mut random);
            let ranked = routes
                .iter()
                .filter_map(|route| Some((route.rank(&request)?, route)));
            let mut ranked: Vec<_> = ranked.collect();
            ranked.sort_by(|(a, one), (b, other)| b.cmp(a).then_with(|| one.name.cmp(&other.name)));
            let expected = ranked.first().map(|(_, route)| route.name.as_str());
            let got = request.ask(|subject| first.find(subject).map(name));
            assert_eq!(got, expected, "{request:?}\n{routes:#?}");
            assert_eq!(
                request.ask(|subject| again.find(subject).map(name)),
                expected
            );
            let chosen = request.ask(|subject| {
                let mut candidates = first.candidates(subject).into_iter();
                candidates.find(|candidate| super::matcher::holds(&candidate.0, subject))
            });
            assert_eq!(chosen.map(name), expected);
            found += usize::from(expected.is_some());
            if let [(one, a), (other, b), ..] = &ranked[..]
                && one == other
            {
                assert!(a.is_open() || b.is_open(), "a tie: {a:?}\n{b:?}");
                doubtful += 1;
            }
        }
    }
    // Enough of them are for some route, and some are for two that nothing but their names ranks.
    assert!(found > 4_000, "{found}");
    assert!(doubtful > 0);
}
