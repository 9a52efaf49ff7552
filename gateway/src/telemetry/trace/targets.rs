//! The targets of the gateway's own log: what a filter can name, and what is said of one that names something else.
//!
//! `targets.txt` has them, one a line. A test compares it with the sources, and writes it anew where `BLESS=1` is set:
//! `BLESS=1 cargo test --release -p gateway --lib targets`.

use std::collections::BTreeSet;

use tracing_subscriber::filter::LevelFilter;

use crate::config::closest;

/// The first segment of all of them. What other crates have cannot be known.
const OWN: &str = "gateway";
const SEPARATOR: &str = "::";

fn known() -> impl Iterator<Item = &'static str> {
    include_str!("targets.txt").lines()
}

/// What is said of the targets in a filter that look like the gateway's own and by which it logs nothing.
pub(super) fn warnings(filter: &str) -> Vec<String> {
    let targets = filter.split(',').filter_map(target);
    let unknown =
        targets.filter(|it| it.starts_with(OWN) && !known().any(|known| known.starts_with(it)));
    let unknown: BTreeSet<_> = unknown.collect();
    unknown
        .into_iter()
        .map(|it| format!("nothing of the gateway logs as `{it}`{}", remedy(it)))
        .collect()
}

/// The target of one directive, as the filter takes it: what stands before a span or a level.
pub(super) fn target(directive: &str) -> Option<&str> {
    let directive = directive.trim();
    match directive.find(['[', '=']) {
        Some(end) => Some(&directive[..end]),
        None => Some(directive).filter(|it| it.parse::<LevelFilter>().is_err()),
    }
}

/// The segments that stand below a path, empty for the first.
fn below(path: &str) -> BTreeSet<&'static str> {
    let rest = |known: &'static str| match path {
        "" => Some(known),
        _ => known.strip_prefix(path)?.strip_prefix(SEPARATOR),
    };
    let first = |rest: &'static str| rest.split(SEPARATOR).next();
    known().filter_map(rest).filter_map(first).collect()
}

/// The nearest that there is, or what stands in the place of the first segment that is not known.
fn remedy(target: &str) -> String {
    let mut path = String::new();
    let segments = target.split([':', '.', '/']).filter(|it| !it.is_empty());
    let mut segments = segments.peekable();
    while let Some(segment) = segments.next_if(|it| below(&path).contains(it)) {
        path = joined(&path, segment);
    }
    let there = below(&path);
    let wrong = segments.next().unwrap_or_default();
    let meant = match closest(wrong, there.iter().copied()) {
        Some(near) => {
            let whole = segments.fold(joined(&path, near), |path, it| joined(&path, it));
            match known().any(|known| known.starts_with(&whole)) {
                true => whole,
                false => joined(&path, near),
            }
        }
        None if path.is_empty() => OWN.to_owned(),
        None if there.is_empty() || wrong.is_empty() => path,
        None => {
            let there: Vec<_> = there.iter().map(|it| format!("`{it}`")).collect();
            return format!("; below `{path}` there are {}", there.join(", "));
        }
    };
    format!("; did you mean `{meant}`?")
}

fn joined(path: &str, segment: &str) -> String {
    match path {
        "" => segment.to_owned(),
        _ => [path, segment].join(SEPARATOR),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    /// What follows each use of a macro that logs or makes a span.
    fn uses(source: &str) -> impl Iterator<Item = &str> {
        let before_tests = source.split("\n#[cfg(test)]\nmod tests").next();
        let pieces = before_tests.unwrap_or_default().split("!(");
        let pieces: Vec<_> = pieces.collect();
        let pairs: Vec<_> = pieces.windows(2).map(|pair| (pair[0], pair[1])).collect();
        let logs = |before: &str| {
            let is_name =
                |byte: char| byte.is_alphanumeric() || byte == '_' || byte == '$' || byte == ':';
            let name = before
                .rsplit(|byte| !is_name(byte))
                .next()
                .unwrap_or_default();
            name.starts_with("tracing::") || name.ends_with("_span")
        };
        pairs
            .into_iter()
            .filter(move |(before, _)| logs(before))
            .map(|(_, after)| after)
    }

    /// The target of one use, in a module.
    fn target_of(after: &str, source: &str, module: &str) -> String {
        let literal = |text: &str| text.split('"').nth(1).map(str::to_owned);
        let given = after.trim_start().strip_prefix("target: ");
        let given = given.map(|given| match given.strip_prefix("TARGET") {
            Some(_) => source
                .split("const TARGET: &str = ")
                .nth(1)
                .and_then(literal),
            None => literal(given),
        });
        given.map_or(module.to_owned(), |given| {
            given.expect("a target is a literal or `TARGET`")
        })
    }

    /// Every target in the sources below a folder that is a module.
    fn collect(folder: &Path, module: &str, found: &mut BTreeSet<String>) {
        for entry in folder.read_dir().unwrap() {
            let path = entry.unwrap().path();
            let stem = path.file_stem().unwrap().to_str().unwrap();
            let inner = match stem {
                "lib" | "main" => module.to_owned(),
                _ => joined(module, stem),
            };
            if path.is_dir() {
                collect(&path, &inner, found);
            } else if path.extension().is_some_and(|it| it == "rs") && stem != "tests" {
                let source = std::fs::read_to_string(&path).unwrap();
                found.extend(uses(&source).map(|after| target_of(after, &source, &inner)));
            }
        }
    }

    #[test]
    fn the_list_of_targets_is_that_of_the_sources() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut found = BTreeSet::new();
        collect(&root.join("src"), OWN, &mut found);
        let text: String = found.iter().map(|it| format!("{it}\n")).collect();
        if std::env::var_os("BLESS").is_some() {
            std::fs::write(root.join("src/telemetry/trace/targets.txt"), &text).unwrap();
            return;
        }
        let listed: BTreeSet<_> = known().map(str::to_owned).collect();
        assert_eq!(
            listed, found,
            "`BLESS=1 cargo test --release -p gateway --lib targets` writes the list anew"
        );
    }

    #[test]
    fn a_target_that_nothing_logs_by_is_named_with_the_nearest() {
        for (filter, said) in [
            (
                "info,gateway::upstreem=debug",
                "`gateway::upstreem`; did you mean `gateway::upstream`?",
            ),
            (
                "gateway::upstreem::health=debug",
                "`gateway::upstreem::health`; did you mean `gateway::upstream::health`?",
            ),
            (
                "gateway::upstream::helth=debug",
                "`gateway::upstream::helth`; did you mean `gateway::upstream::health`?",
            ),
            (
                "warn,gateway::plugin::log::x",
                "`gateway::plugin::log::x`; did you mean `gateway::plugin::log`?",
            ),
            (
                "gateway:upstream=debug",
                "`gateway:upstream`; did you mean `gateway::upstream`?",
            ),
            (
                "gateway.upstream.helth=debug",
                "`gateway.upstream.helth`; did you mean `gateway::upstream::health`?",
            ),
            ("gatewey=debug", ""),
            ("gatewayy=debug", "`gatewayy`; did you mean `gateway`?"),
            (
                "gateway::prxy[phase{plugin=a}]=debug",
                "`gateway::prxy`; did you mean `gateway::proxy`?",
            ),
            (
                "gateway::zzzzzz=debug",
                "`gateway::zzzzzz`; below `gateway` there are ",
            ),
        ] {
            let warnings = warnings(filter).join("\n");
            assert!(
                warnings.contains(said) && warnings.is_empty() == said.is_empty(),
                "{filter}: {warnings}"
            );
        }
        for sound in [
            "info",
            "gateway",
            "warn,gateway::upstream=debug",
            "gateway::trace[exchange]=debug",
            "hyper=trace",
            "gateway::up=debug",
            "",
        ] {
            assert!(warnings(sound).is_empty(), "{sound}");
        }
    }
}
