//! Paths: which text may be one, how it is named in messages, and what is said of a file that cannot be read.
//!
//! A path out of the environment is shown where a key takes a path, in messages as in `config print`: who reads "no such
//! file" has to see which, and nginx and Envoy show it too. What lands there by mistake is often the text of a key or a
//! certificate in the place of its file. That is no path by its looks, so that it is refused and not shown.
//! Beside `file`, where a secret is read, the mistake is the secret itself in the place of its file: there only what
//! begins as a path does is shown.

use std::path::{Path, PathBuf};

use serde_json::Value as Json;

use super::item::Item;
use super::scope::{Location, Scope};
use super::tree::Outside;
use crate::file::Unreadable;

/// The longest path, and the longest name in one, bytes (limits.h(0p)).
const LONGEST: usize = 4095;
const LONGEST_NAME: usize = 255;

impl Item<'_> {
    /// A path, relative to the file it stands in, made absolute.
    pub(super) fn path(&self) -> Option<PathBuf> {
        self.path_as("a path")
    }

    /// As [`Item::path`]; `expected` says what else could stand here.
    pub(super) fn path_as(&self, expected: &str) -> Option<PathBuf> {
        let text = self.text_as(expected)?;
        if !self.is_fit(text) {
            return None;
        }
        let path = self.scope.resolve(self.node.at, text);
        // What a file holds is shown nowhere: it is hardly a path where the path of that file was meant.
        if let Some(path) = path.to_str().filter(|_| self.file().is_none()) {
            let scope = self.scope;
            scope.may_show(self.node.at, &self.key, Json::from(path));
        }
        Some(path)
    }

    /// Whether a text may be a path; one that is none by its looks is reported, in words that show nothing of it.
    pub(super) fn is_fit(&self, text: &str) -> bool {
        let why = unfit(text);
        if let Some(why) = why {
            self.fault(format!("{}{why}", self.subject()));
        }
        why.is_none()
    }

    /// What is said of the file at this path, which cannot be read.
    pub(super) fn unreadable(&self, error: &Unreadable) -> String {
        let looked_for = self.looked_for(error);
        let meant = match self.file() {
            Some(_) => {
                "; the path is what that file holds: write the path of the file itself, if that is meant"
            }
            None => "",
        };
        format!("cannot read {}: {error}{looked_for}{meant}", self.quoted())
    }

    /// Where the file of this path was looked for, in brackets. One from outside is shown whole already.
    pub(super) fn looked_for(&self, error: &Unreadable) -> String {
        match self.is_outside() {
            true => String::new(),
            false => looked_for(
                self.scope,
                self.node.at,
                self.text().unwrap_or_default(),
                error,
            ),
        }
    }
}

/// Why a text is no path, in words that show nothing of it.
pub(super) fn unfit(text: &str) -> Option<&'static str> {
    let is_too_long = || text.len() > LONGEST || text.split('/').any(|it| it.len() > LONGEST_NAME);
    if text.is_empty() {
        Some("is empty; write a path")
    } else if text.contains("-----BEGIN ") {
        Some(
            "is the text of a PEM file, and a path stands here; write that text to a file, and the path of it here",
        )
    } else if !text.trim_end().contains(char::is_control) && text.contains(char::is_control) {
        Some("has a line break at its end, which no path has; remove it")
    } else if text.contains(char::is_control) {
        Some("has control characters in it, which no path has; write a path")
    } else if is_too_long() {
        Some(
            "is too long for a path: a name in one has at most 255 bytes, and all of it 4095; write a path",
        )
    } else {
        None
    }
}

/// Where a file of a relative path was looked for that cannot be read, in brackets; the path stands in the file of this
/// place.
fn looked_for(scope: &Scope, at: Location, path: &str, error: &Unreadable) -> String {
    if Path::new(path).is_absolute() {
        return String::new();
    }
    let looked = match error {
        Unreadable::Missing => "looked for",
        _ => "looked at",
    };
    let path = scope.resolve(at, path);
    format!(" ({looked} {}, relative to this file)", path.display())
}

/// The path of `{ file = ".." }`, whose value is what the file holds.
#[derive(Debug)]
pub(super) struct OfFile<'a> {
    pub(super) scope: &'a Scope,
    pub(super) at: Location,
    /// As it stands in the file of the configuration.
    pub(super) written: &'a str,
    /// What came from outside for it.
    pub(super) outside: Option<&'a Outside>,
    pub(super) path: &'a str,
}

impl OfFile<'_> {
    /// What is said where the file cannot be read.
    pub(super) fn unreadable(&self, error: &Unreadable) -> String {
        let Self {
            scope,
            written,
            path,
            ..
        } = *self;
        if self.outside.is_none() {
            let looked_for = looked_for(scope, self.at, path, error);
            return format!("cannot read {written:?}: {error}{looked_for}");
        }
        match self.shown() {
            Some(path) => format!(
                "cannot read `{}` (the value of {written:?}): {error}",
                path.display()
            ),
            None => {
                let folder = scope.resolve(self.at, ".");
                let folder = folder.display();
                format!(
                    "cannot read {written:?}: {error} (a relative path, looked for in {folder})"
                )
            }
        }
    }

    /// What messages call the value that the file holds.
    pub(super) fn named(&self) -> String {
        let written = self.written;
        match self.shown() {
            Some(path) => format!("{{ file = {written:?} }} ({})", path.display()),
            None => format!("{{ file = {written:?} }}"),
        }
    }

    /// The path, if it came from outside and is none but a path: all that came begins as one does and goes on as one, or it
    /// stands in the configuration as a default.
    fn shown(&self) -> Option<PathBuf> {
        let outside = self.outside?;
        let is_path = |text: &str| {
            let rest = ["/", "./", "../"]
                .iter()
                .find_map(|it| text.strip_prefix(it));
            rest.is_some_and(|rest| rest.contains('/'))
        };
        let is_shown = outside.values.iter().all(|it| is_path(it.reveal()));
        let is_unset = outside
            .values
            .iter()
            .any(|it| self.scope.is_stand_in(it.reveal()));
        (is_shown && !is_unset).then(|| self.scope.resolve(self.at, self.path))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_path_is_like_is_refused_in_words_that_do_not_show_it() {
        let long = format!("/{}", "a".repeat(256));
        let deep = "/a".repeat(2048);
        for (text, why) in [
            ("", "is empty"),
            ("-----BEGIN PRIVATE KEY-----\nhunter2", "PEM file"),
            ("-----BEGIN PRIVATE KEY-----\\nhunter2", "PEM file"),
            ("/run/hunter2\n", "line break at its end"),
            ("/run\n/hunter2", "control characters"),
            (&long, "too long"),
            (&deep, "too long"),
        ] {
            let said = unfit(text).unwrap();
            assert!(said.contains(why), "{text:?}: {said}");
            assert!(!said.contains("hunter2"), "{said}");
        }
        for text in [
            "a",
            "/a b/c",
            "../ä.pem",
            "certs/*.toml",
            &"/a".repeat(2047),
        ] {
            assert_eq!(unfit(text), None, "{text}");
        }
    }
}
