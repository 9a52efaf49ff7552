//! `differences.toml`, the table of what differs and why, and docs/differences.md, which is made of it.

use std::fmt::Write;

use regex::Regex;
use serde::Deserialize;

use super::Difference;

/// A chapter of the page.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Section {
    title: String,
    difference: Vec<Row>,
}

/// A difference as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    what: String,
    peers: Vec<String>,
    /// Finds a match in the request, whose first line begins with the listener.
    request: String,
    /// Matches the whole of what is shown.
    shows: String,
    why: String,
}

/// A difference that is expected.
pub(super) struct Entry {
    section: String,
    pub(super) what: String,
    pub(super) peers: Vec<String>,
    request: Regex,
    shows: Regex,
    why: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    section: Vec<Section>,
}

pub(super) fn read() -> Vec<Entry> {
    let text = std::fs::read_to_string(super::folder().join("differences.toml")).unwrap();
    let table: Table = toml::from_str(&text).unwrap();
    let expression = |text: &str| Regex::new(text).unwrap_or_else(|error| panic!("{error}"));
    let mut entries = Vec::new();
    for section in table.section {
        entries.extend(section.difference.into_iter().map(|row| Entry {
            section: section.title.clone(),
            what: row.what,
            peers: row.peers,
            request: expression(&format!("(?m){}", row.request)),
            shows: expression(&format!("^(?:{})$", row.shows)),
            why: row.why,
        }));
    }
    entries
}

impl Entry {
    pub(super) fn is(&self, difference: &Difference) -> bool {
        self.peers.iter().any(|peer| peer == difference.peer)
            && self.shows.is_match(&difference.shown)
            && self.request.is_match(&difference.request)
    }
}

const HEAD: &str = "\
<!-- Written by `BLESS=1 cargo test --release -p gateway --test gateway peers` from tests/peers/differences.toml: change that. -->

# What nginx and HAProxy do otherwise, and why

";

/// The page: `examples` has those that were found of each entry.
pub(super) fn page(entries: &[Entry], examples: &[Vec<&Difference>], intro: &str) -> String {
    let mut page = HEAD.to_owned() + intro;
    let mut section = "";
    for (entry, examples) in entries.iter().zip(examples) {
        if section != entry.section {
            section = &entry.section;
            write!(
                page,
                "\n## {section}\n\n| what | for example | here | there | why |\n|---|---|---|---|---|\n"
            )
            .unwrap();
        }
        // The shortest says it best, unless something else happens there as well.
        let shortest = |peer: &str| {
            let of = examples.iter().filter(|each| each.peer == peer);
            of.min_by_key(|each| (each.shown.ends_with("| 301"), each.request.len()))
        };
        let shown: Vec<_> = entry
            .peers
            .iter()
            .filter_map(|peer| shortest(peer))
            .collect();
        let Some(first) = shown.first() else { continue };
        let (here, _) = first.sides();
        let mut there: Vec<_> = shown
            .iter()
            .map(|each| format!("{}: {}", name(each.peer), code(each.sides().1)))
            .collect();
        if let [nginx, haproxy] = &*shown
            && nginx.sides() == haproxy.sides()
        {
            there = vec![format!("both: {}", code(nginx.sides().1))];
        }
        writeln!(
            page,
            "| {} | {} | {} | {} | {} |",
            entry.what,
            example(&first.request),
            code(here),
            there.join("; "),
            entry.why
        )
        .unwrap();
    }
    page
}

fn name(peer: &str) -> &str {
    match peer {
        "haproxy" => "HAProxy",
        peer => peer,
    }
}

/// A request without what all requests have.
fn example(request: &str) -> String {
    let lines = request
        .lines()
        .filter(|line| !matches!(*line, "" | "connection: close" | "host: peers.example"));
    let lines = lines.enumerate().map(|(at, line)| match at {
        0 => line
            .split_once(' ')
            .map_or(line, |(_, line)| line)
            .trim_end_matches(" HTTP/1.1"),
        _ => line,
    });
    let lines: Vec<_> = lines.map(code).collect();
    lines.join("<br>")
}

/// Text as code in a cell of a table.
fn code(text: &str) -> String {
    let text = text.trim_matches('`').replace('|', "\\|");
    let text = match text.char_indices().nth(90) {
        Some((end, _)) => format!("{}..", &text[..end]),
        None => text,
    };
    match text.contains('`') {
        true => format!("`` {text} ``"),
        false if text.is_empty() => "empty".to_owned(),
        false => format!("`{text}`"),
    }
}
