//! The regular expressions of a configuration, and how much memory all of them together may take.
//!
//! What an expression takes does not show in its length: `\w{100}` is 5 MiB. One that fits within a limit is taken to be
//! as large as that, so that the sum errs upwards, by a small factor.

use std::cell::RefCell;
use std::collections::HashMap;

use foldhash::fast::RandomState;
use regex::{Regex, RegexBuilder};

use super::reason::Reason;

/// The limits that an expression is tried with, in bytes: nearly all are within the first. A configuration is refused
/// for one that is beyond the last.
const SIZES: [usize; 6] = [8 << 10, 32 << 10, 128 << 10, 512 << 10, 2 << 20, 10 << 20];

/// The most that all of them may take, in bytes: four times what ten thousand usual ones do. During a reload there are
/// those in force besides.
const TOGETHER: usize = 256 << 20;

/// The expressions of one load, each once however often it stands there.
#[derive(Debug)]
pub(super) struct Expressions {
    most: usize,
    known: RefCell<Known>,
}

#[derive(Debug, Default)]
struct Known {
    compiled: HashMap<String, Regex, RandomState>,
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
        Self {
            most: TOGETHER,
            known: RefCell::default(),
        }
    }
}

impl Expressions {
    /// An expression, in linear time only. `place` says where it stands.
    ///
    /// # Errors
    /// Its fault, in one line; or that all together take too much.
    pub(super) fn compile(
        &self,
        text: &str,
        place: impl FnOnce() -> String,
    ) -> Result<Regex, Uncompiled> {
        let mut known = self.known.borrow_mut();
        if let Some(regex) = known.compiled.get(text) {
            return Ok(regex.clone());
        }
        let left = self.most - known.taken;
        let sizes = SIZES.into_iter().filter(|_| !known.is_full);
        let mut refused = None;
        for size in sizes.take_while(|size| *size <= left) {
            match sized(text, size) {
                Ok(regex) => {
                    known.taken += size;
                    if known.largest.as_ref().is_none_or(|it| it.size < size) {
                        let place = place();
                        known.largest = Some(Largest { size, place });
                    }
                    known.compiled.insert(text.to_owned(), regex.clone());
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
        if let Err(error @ regex::Error::Syntax(_)) = sized(text, 0) {
            return Err(Uncompiled::Faulty(faulty(error)));
        }
        if std::mem::replace(&mut known.is_full, true) {
            return Err(Uncompiled::Said);
        }
        Err(Uncompiled::NoRoom(no_room(
            self.most,
            known.largest.as_ref(),
        )))
    }
}

fn sized(text: &str, limit: usize) -> Result<Regex, regex::Error> {
    RegexBuilder::new(text).size_limit(limit).build()
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

    fn of(most: usize) -> Expressions {
        Expressions {
            most,
            known: RefCell::default(),
        }
    }

    fn compile(all: &Expressions, text: &str) -> Result<Regex, Uncompiled> {
        all.compile(text, || format!("place of {text}"))
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
}
