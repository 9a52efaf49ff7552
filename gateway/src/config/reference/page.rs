//! The page, for people.

use std::ptr;

use serde_json::Value as Json;

use super::super::description::{Described, Key, Shape};
use super::{Paths, is_table, items, key, values};

const HEAD: &str = "<!-- Written from the readers in gateway/src/config by \
    `BLESS=1 cargo test --release -p gateway --lib reference`: change those, not this page. -->\n";

/// Numbers beyond this are no bound that is worth a word.
const LARGE: i64 = i32::MAX as i64;
const SMALL: i64 = i32::MIN as i64;

/// The page.
pub(super) fn page(paths: &Paths) -> String {
    let mut page = format!("{HEAD}\n{}", include_str!("intro.md"));
    for path in sections(paths) {
        section(&mut page, paths, &path);
    }
    page
}

/// Every table in the order in which the readers ask for them; of those that are the same, the first.
fn sections(paths: &Paths) -> Vec<String> {
    let mut found = Vec::new();
    walk(paths, "", &mut found);
    found
}

fn walk(paths: &Paths, path: &str, found: &mut Vec<String>) {
    let Some(described) = paths.get(path) else {
        return;
    };
    let is_section = path.is_empty() || is_table(paths, path);
    if is_section && first_like(paths, found, path).is_none() {
        found.push(path.to_owned());
    }
    for (shape, _) in &described.forms {
        match shape {
            Shape::List => walk(paths, &items(path), found),
            Shape::Map => walk(paths, &values(path), found),
            _ => {}
        }
    }
    for of in &described.keys {
        walk(paths, &key(path, of.name), found);
    }
}

/// The section that has the words of a path.
fn first_like<'a>(paths: &Paths, sections: &'a [String], path: &str) -> Option<&'a String> {
    let words = |path: &str| paths.get(path).and_then(|at| at.words);
    let here = words(path)?;
    let has_them = |other| words(other).is_some_and(|words| ptr::eq(words, here));
    sections.iter().find(|section| has_them(section))
}

fn section(page: &mut String, paths: &Paths, path: &str) {
    let Described { keys, words, .. } = &paths[path];
    let level = match path.trim_end_matches("[]").matches('.').count() {
        0 => "##",
        1 if path.ends_with(".NAME") => "##",
        _ => "###",
    };
    page.push_str(&format!("\n{level} {}\n\n", heading(path)));
    let Some(words) = words else { return };
    page.push_str(&format!("{}\n\n", words.about));
    page.push_str("| key | type | default | what it does |\n|---|---|---|---|\n");
    for of in keys {
        let here = key(path, of.name);
        let said = words.keys.iter().find(|(name, _)| *name == of.name);
        let cells = [
            format!("`{}`", of.name),
            kinds(paths, &here),
            default(of),
            said.map_or(String::new(), |(_, said)| (*said).to_owned()),
        ];
        let cells = cells.map(|cell| cell.replace('|', "\\|"));
        page.push_str(&format!("| {} |\n", cells.join(" | ")));
    }
    if !words.example.is_empty() {
        page.push_str(&format!("\n```toml\n{}\n```\n", words.example.trim()));
    }
}

/// How a file writes the head of a table.
fn heading(path: &str) -> String {
    if path.is_empty() {
        return "The whole file".to_owned();
    }
    match path.strip_suffix("[]") {
        Some(list) if !list.contains('.') && list != "chain" => format!("`[[{list}]]`"),
        _ if path.ends_with(".NAME") && path.matches('.').count() == 1 => format!("`[{path}]`"),
        _ if !path.contains(['.', '[']) => format!("`[{path}]`"),
        _ => format!("`{}`", path.replacen("[].", ".", 1)),
    }
}

/// A link to a table's section, by the anchor that its heading gets.
fn link(paths: &Paths, path: &str, text: &str) -> String {
    let sections = sections(paths);
    let section = first_like(paths, &sections, path).map_or("", String::as_str);
    let anchor: String = heading(section)
        .to_lowercase()
        .chars()
        .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'))
        .map(|c| if c == ' ' { '-' } else { c })
        .collect();
    format!("[{text}](#{anchor})")
}

/// What may stand at a path.
fn kinds(paths: &Paths, path: &str) -> String {
    let mut kinds: Vec<String> = Vec::new();
    let forms = paths.get(path).into_iter().flat_map(|at| &at.forms);
    let forms: Vec<_> = forms.collect();
    for (shape, expected) in &forms {
        // A string with words of its own says them itself.
        let repeated = matches!(shape, Shape::Words(_) | Shape::False)
            && forms.iter().any(|(other, _)| *other == Shape::Text);
        let kind = kind(paths, path, shape, expected);
        if !repeated && !kinds.contains(&kind) {
            kinds.push(kind);
        }
    }
    kinds.join(", or ")
}

fn kind(paths: &Paths, path: &str, shape: &Shape, expected: &str) -> String {
    let of = |inner: String, plain: &str, known: &str| {
        let forms = paths.get(&inner).map_or(&[][..], |at| &at.forms);
        match forms {
            [(Shape::Table, _)] => link(paths, &inner, known),
            _ if is_table(paths, &inner) => {
                let table = link(paths, &inner, "a table");
                format!("{}, in which each may be {table}", code(plain))
            }
            _ => code(plain),
        }
    };
    match shape {
        Shape::Table => link(paths, path, "a table"),
        Shape::List => of(items(path), expected, "tables in a list"),
        Shape::Map => of(values(path), expected, "tables by name"),
        Shape::Integer(..=SMALL, LARGE..) => "a whole number".to_owned(),
        Shape::Integer(low, LARGE..) => format!("a whole number of at least {low}"),
        Shape::Duration { zero: false } => "a duration".to_owned(),
        Shape::Duration { zero: true } => "a duration, or zero".to_owned(),
        _ => code(expected),
    }
}

fn default(of: &Key) -> String {
    match &of.default {
        Some(Json::Array(items)) => format!("`{}`", Json::from(items.as_slice())),
        Some(default) => format!("`{default}`"),
        None if of.is_required => "must be given".to_owned(),
        None => String::new(),
    }
}

/// Words of a message, with what is TOML in it set as code.
fn code(text: &str) -> String {
    let (mut out, mut rest) = (String::new(), text);
    while let Some(start) = rest.find(['"', '[', '{', '`']) {
        out.push_str(&rest[..start]);
        let (piece, after) = rest[start..].split_at(end(&rest[start..]));
        match piece.starts_with('`') {
            true => out.push_str(piece),
            false => out.push_str(&format!("`{piece}`")),
        }
        rest = after;
    }
    out + rest
}

/// Where a piece of TOML ends: its quotes and brackets are closed.
fn end(text: &str) -> usize {
    let mut depth = 0;
    let mut quote = None;
    for (at, c) in text.char_indices() {
        match (quote, c) {
            (Some(open), c) if open == c => quote = None,
            (Some(_), _) => continue,
            (None, '"' | '`') => quote = Some(c),
            (None, '[' | '{') => depth += 1,
            (None, ']' | '}') => depth -= 1,
            (None, _) => {}
        }
        if depth == 0 && quote.is_none() {
            return at + c.len_utf8();
        }
    }
    text.len()
}
