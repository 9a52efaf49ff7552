//! Links of the pages: every file that one names is there, and every `#anchor` is that of a heading.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Pages below these folders, and those of the root itself.
const FOLDERS: [&str; 4] = ["docs", "plugins", "benches", "config"];

/// The links that lead nowhere.
pub(super) fn check(root: &Path) -> Vec<String> {
    let mut pages = Vec::new();
    find(root, false, &mut pages);
    for folder in FOLDERS {
        find(&root.join(folder), true, &mut pages);
    }
    pages.sort();
    let texts: BTreeMap<PathBuf, String> = pages
        .into_iter()
        .map(|page| (page.canonicalize().unwrap(), read(&page)))
        .collect();
    let mut findings = Vec::new();
    for (page, text) in &texts {
        let shown = page.strip_prefix(root.canonicalize().unwrap()).unwrap();
        for (line, link) in links(text) {
            if let Some(why) = broken(page, &link, &texts) {
                findings.push(format!("{}:{line}: {link}: {why}", shown.display()));
            }
        }
    }
    findings
}

fn read(page: &Path) -> String {
    std::fs::read_to_string(page).unwrap()
}

/// The pages of a folder, and of those in it.
fn find(folder: &Path, deep: bool, pages: &mut Vec<PathBuf>) {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return;
    };
    for path in entries.map(|entry| entry.unwrap().path()) {
        let hidden = path.file_name().is_some_and(|name| {
            let name = name.to_string_lossy();
            name.starts_with('.') || name == "target" || name == "node_modules"
        });
        match path.extension() {
            _ if hidden => {}
            Some(extension) if extension == "md" => pages.push(path),
            _ if deep && path.is_dir() => find(&path, true, pages),
            _ => {}
        }
    }
}

/// Lines that are no code, with their numbers.
fn prose(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut in_code = false;
    (1..).zip(text.lines()).filter(move |(_, line)| {
        let fence = line.trim_start().starts_with("```");
        in_code ^= fence;
        !in_code && !fence
    })
}

/// What links lead to, with the number of their line; not those that lead to other servers.
fn links(text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for (number, line) in prose(text) {
        // What stands between backquotes is code.
        let line: String = line.split('`').step_by(2).collect();
        for rest in line.split("](").skip(1) {
            let to = rest.split([')', ' ']).next().unwrap_or_default();
            if !to.contains("://") && !to.starts_with("mailto:") {
                found.push((number, to.to_owned()));
            }
        }
    }
    found
}

/// Why a link of a page leads nowhere.
fn broken(page: &Path, link: &str, texts: &BTreeMap<PathBuf, String>) -> Option<&'static str> {
    let (file, anchor) = match link.split_once('#') {
        Some((file, anchor)) => (file, Some(anchor)),
        None => (link, None),
    };
    let to = match file {
        "" => page.to_owned(),
        file => page.parent()?.join(file),
    };
    let Ok(to) = to.canonicalize() else {
        return Some("no such file");
    };
    let anchor = anchor?;
    let text = texts.get(&to).cloned().unwrap_or_else(|| read(&to));
    let known = anchors(&text).iter().any(|known| known == anchor);
    (!known).then_some("no such heading")
}

/// The anchors of a page, as GitHub makes them of its headings.
fn anchors(text: &str) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    for (_, line) in prose(text) {
        let title = line.trim_start_matches('#');
        if title.len() == line.len() || !title.starts_with(' ') {
            continue;
        }
        let title = title.trim().to_lowercase();
        let kept = title
            .chars()
            .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
        let anchor: String = kept.map(|c| if c == ' ' { '-' } else { c }).collect();
        let before = all.iter().filter(|known| **known == anchor).count();
        all.push(match before {
            0 => anchor,
            times => format!("{anchor}-{times}"),
        });
    }
    all
}
