//! The regular expressions of a configuration, and how much memory all of them together may take.
//!
//! What an expression takes does not show in its length: `\w{100}` is 5 MiB. One that fits within a limit is taken to be
//! as large as that, so that the sum errs upwards, by a small factor.

use std::cell::RefCell;
use std::collections::HashSet;
use std::mem;
use std::sync::Arc;

use foldhash::fast::RandomState;

use super::reason::Reason;
use super::regex::Regex;

/// The limits that an expression is tried with, in bytes: nearly all are within the first. A configuration is refused
/// for one that is beyond the last.
const SIZES: [usize; 6] = [8 << 10, 32 << 10, 128 << 10, 512 << 10, 2 << 20, 10 << 20];

/// The most that all of them may take, in bytes: four times what ten thousand usual ones do. During a reload there are
/// those in force besides.
const TOGETHER: usize = 256 << 20;

/// The expressions of a configuration, each once however often it stands there. The configuration that follows takes
/// over what stands in both.
#[derive(Debug, Default)]
pub struct Regexes(HashSet<Regex, RandomState>);

/// The expressions of one load.
#[derive(Debug)]
pub(super) struct Expressions {
    most: usize,
    /// Those of the configuration before.
    before: Arc<Regexes>,
    known: RefCell<Known>,
}

#[derive(Debug, Default)]
struct Known {
    compiled: Regexes,
    taken: usize,
    largest: Option<Largest>,
    /// Whether one had no room: that is said once, and no other is compiled.
    is_full: bool,
}

/// The largest expression so far.
#[derive(Debug, Clone)]
struct Largest {
    size: usize,
    place: String,
}

/// Why there is no expression.
#[derive(Debug)]
pub(super) enum Uncompiled {
    /// It is none.
    Faulty(Reason),
    /// There is no room for it, in words.
    NoRoom(String),
    /// There is no room, which was said of another.
    Said,
}

impl Default for Expressions {
    fn default() -> Self {
        Self::after(Arc::default())
    }
}

impl Expressions {
    /// Those of the configuration that follows one with these.
    pub(super) fn after(before: Arc<Regexes>) -> Self {
        Self {
            most: TOGETHER,
            before,
            known: RefCell::default(),
        }
    }

    /// All of them, for the configuration that follows.
    pub(super) fn finish(&self) -> Arc<Regexes> {
        Arc::new(mem::take(&mut self.known.borrow_mut().compiled))
    }

    /// An expression, in linear time only. `place` says where it stands. One of the configuration before counts for as much
    /// as if it were compiled.
    ///
    /// # Errors
    /// Its fault, in one line; or that all together take too much.
    pub(super) fn compile(
        &self,
        text: &str,
        place: impl FnOnce() -> String,
    ) -> Result<Regex, Uncompiled> {
        let mut known = self.known.borrow_mut();
        if let Some(regex) = known.compiled.0.get(text) {
            return Ok(regex.clone());
        }
        let left = self.most - known.taken;
        if let Some(regex) = self.before.0.get(text)
            && !known.is_full
            && regex.size() <= left
        {
            known.add(regex, place);
            return Ok(regex.clone());
        }
        let sizes = SIZES.into_iter().filter(|_| !known.is_full);
        let mut refused = None;
        for size in sizes.take_while(|size| *size <= left) {
            match Regex::within(text, size) {
                Ok(regex) => {
                    known.add(&regex, place);
                    return Ok(regex);
                }
                Err(regex::Error::CompiledTooBig(_)) => refused = Some(size),
                Err(error) => return Err(Uncompiled::Faulty(faulty(error))),
            }
        }
        if refused == SIZES.last().copied() {
            return Err(Uncompiled::Faulty(too_large()));
        }
        // Its own faults are said all the same.
        if let Err(error @ regex::Error::Syntax(_)) = Regex::within(text, 0) {
            return Err(Uncompiled::Faulty(faulty(error)));
        }
        if mem::replace(&mut known.is_full, true) {
            return Err(Uncompiled::Said);
        }
        Err(Uncompiled::NoRoom(no_room(
            self.most,
            known.largest.as_ref(),
        )))
    }
}

impl Known {
    fn add(&mut self, regex: &Regex, place: impl FnOnce() -> String) {
        let size = regex.size();
        self.taken += size;
        if self.largest.as_ref().is_none_or(|it| it.size < size) {
            let place = place();
            self.largest = Some(Largest { size, place });
        }
        self.compiled.0.insert(regex.clone());
    }
}

fn faulty(error: regex::Error) -> Reason {
    match error {
        regex::Error::Syntax(message) => {
            let last = message.lines().last().unwrap_or_default();
            let reason = last.trim_start_matches("error: ");
            match reason.contains("look-around") || reason.contains("backreferences") {
                true => Reason::own(format!(
                    "{reason}; expressions run in linear time, without them"
                )),
                false => Reason::own(reason.to_owned()),
            }
        }
        other => Reason::own(other.to_string()),
    }
}

fn too_large() -> Reason {
    let most = SIZES.last().map_or(0, |size| size >> 20);
    Reason::own(format!(
        "it compiles to more than {most} MiB; use smaller repetitions"
    ))
}

fn no_room(most: usize, largest: Option<&Largest>) -> String {
    let largest = largest.map_or(String::new(), |Largest { size, place }| {
        let size = humane(*size);
        format!(" (the largest, of up to {size}, is in {place})")
    });
    format!(
        "with this one, the regular expressions of all routes take more than {}{largest}; use smaller repetitions, and \
         `[0-9A-Za-z_]` and `[0-9]` for `\\w` and `\\d`, which stand for all letters and digits of Unicode",
        humane(most)
    )
}

fn humane(bytes: usize) -> String {
    match bytes >> 20 {
        0 => format!("{} KiB", bytes >> 10),
        mebibytes => format!("{mebibytes} MiB"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;

    fn of(most: usize) -> Expressions {
        following(most, &Arc::default())
    }

    fn following(most: usize, before: &Arc<Regexes>) -> Expressions {
        Expressions {
            most,
            ..Expressions::after(before.clone())
        }
    }

    fn compile(all: &Expressions, text: &str) -> Result<Regex, Uncompiled> {
        all.compile(text, || format!("place of {text}"))
    }

    /// What is said of each of these, and the expressions.
    fn load(
        most: usize,
        texts: &[&str],
        before: &Arc<Regexes>,
    ) -> (Vec<Result<(), String>>, Arc<Regexes>) {
        let all = following(most, before);
        let said = texts.iter().map(|text| match compile(&all, text) {
            Ok(_) => Ok(()),
            Err(error) => Err(format!("{error:?}")),
        });
        (said.collect(), all.finish())
    }

    #[test]
    fn the_first_that_has_no_room_says_so_and_names_the_largest() {
        let all = of(64 << 10);
        assert!(compile(&all, "^/a").is_ok());
        assert!(compile(&all, "(?i)^/a[a-z]{64}").is_ok());
        let Err(Uncompiled::NoRoom(said)) = compile(&all, r"\w{100}") else {
            panic!("there was room");
        };
        assert!(
            said.contains("more than 64 KiB (the largest, of up to "),
            "{said}"
        );
        assert!(said.contains("is in place of (?i)^/a[a-z]{64})"), "{said}");
        assert!(matches!(compile(&all, r"\w{101}"), Err(Uncompiled::Said)));
        let faulty = compile(&all, "(");
        assert!(matches!(faulty, Err(Uncompiled::Faulty(_))), "{faulty:?}");
        assert!(compile(&all, "^/a").is_ok(), "it is there already");
    }

    #[test]
    fn one_that_stands_there_often_takes_its_room_once() {
        let all = of(8 << 10);
        for _ in 0..3 {
            assert!(compile(&all, "^/a").is_ok());
        }
        assert!(compile(&all, "^/b").is_err());
    }

    #[test]
    fn what_stood_in_the_configuration_before_is_not_compiled_again() {
        let first = Expressions::default();
        let [a, b] = ["^/a", "^/b"].map(|text| compile(&first, text).unwrap());
        let next = Expressions::after(first.finish());
        assert!(compile(&next, "^/a").unwrap().is(&a));
        for changed in ["(?i)^/a", "^/a$", "^/A"] {
            let changed = compile(&next, changed).unwrap();
            assert!(!changed.is(&a) && !changed.is(&b), "{changed:?}");
        }
        // Nor is it later: each takes over from the one before.
        let last = Expressions::after(next.finish());
        assert!(compile(&last, "^/a").unwrap().is(&a));
        assert!(
            !compile(&last, "^/b").unwrap().is(&b),
            "it was gone between"
        );
    }

    #[test]
    fn a_reload_compiles_none_of_a_file_wherever_they_stand() {
        const FILE: &str = r#"
listeners = [{ name = "a", address = "127.0.0.1:0" }]
upstreams.u.endpoints = ["127.0.0.1:9"]
upstreams.v.endpoints = ["127.0.0.1:9"]
[[routes]]
name = "a"
match = { path.regex = "^/1", headers.x-a.regex = "^2", cookies.a.not.regex = "^3", query.a.regex = "^4" }
rewrite = { regex = "^/5", to = "/6" }
split = [{ upstream = "u", weight = 1 }, { upstream = "v", weight = 1, match.headers.x-b.regex = "^7", rewrite = { regex = "^/8", to = "/9" } }]
[[routes]]
name = "b"
match = { path = [{ regex = "^/b" }, { regex = "^/c" }] }
redirect = { regex = "^/d", to = "/e" }
"#;
        let file = tempfile::NamedTempFile::with_suffix(".toml").unwrap();
        std::fs::write(&file, FILE).unwrap();
        let load = |before: &Arc<_>| config::load_after(before, file.path()).0.unwrap().regexes;
        let first = load(&Arc::default());
        let again = load(&first);
        assert_eq!(first.0.len(), FILE.matches("regex").count());
        assert_eq!(again.0.len(), first.0.len());
        let was_there = |regex: &Regex| first.0.get(regex).is_some_and(|known| known.is(regex));
        assert!(again.0.iter().all(was_there), "{again:?}");
    }

    #[test]
    fn what_no_configuration_has_any_more_goes() {
        let of_load = |at: usize| ["^/stays".to_owned(), format!("^/changes/{at}")];
        let mut before: Arc<Regexes> = Arc::default();
        let mut kept: Vec<Regex> = Vec::new();
        for at in 0..100 {
            let all = Expressions::after(before);
            kept.extend(of_load(at).map(|text| compile(&all, &text).unwrap()));
            before = all.finish();
            assert_eq!(before.0.len(), 2);
        }
        let (stays, changes): (Vec<_>, Vec<_>) =
            kept.into_iter().partition(|it| it.as_str() == "^/stays");
        assert!(stays.iter().all(|it| it.is(&stays[0])));
        // The last load has what it had, the others nothing.
        assert_eq!(stays[0].holders(), stays.len() + 1);
        let holders: Vec<_> = changes.iter().map(Regex::holders).collect();
        assert_eq!(holders, [vec![1; 99], vec![2]].concat());
    }

    #[test]
    fn the_bound_says_the_same_whatever_was_loaded_before() {
        const TEXTS: [&str; 8] = [
            "^/a",
            "^/b",
            "(?i)^/a[a-z]{64}",
            "(?i)^/b[a-z]{64}",
            r"\w{4}",
            r"\w{100}",
            r"\w{5000}",
            "(",
        ];
        let mut random = fastrand::Rng::with_seed(11);
        for _ in 0..30 {
            let mut before: Arc<Regexes> = Arc::default();
            for _ in 0..6 {
                let most = random.usize(1..=128) << 10;
                let count = random.usize(1..8);
                let texts: Vec<_> = (0..count)
                    .map(|_| *random.choice(&TEXTS).unwrap())
                    .collect();
                let (fresh, _) = load(most, &texts, &Arc::default());
                let (said, all) = load(most, &texts, &before);
                assert_eq!(said, fresh, "{texts:?} in {most}");
                before = all;
            }
        }
    }
}
