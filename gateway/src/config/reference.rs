//! The reference of the configuration, out of what the readers say of themselves: `docs/configuration.md` and
//! `config/gateway.schema.json`. `BLESS=1 cargo test --release -p gateway --lib reference` writes both anew.

mod page;
mod schema;
mod tests;

use std::collections::BTreeMap;
use std::path::Path;

use super::assemble;
use super::description::{Described, Shape};
use super::item::{self, Item};
use super::parse::Document;
use super::scope::{Location, Scope};
use super::sections::Sections;
use super::{source, tree};

/// What the readers say, by path. The whole file is the path ``.
type Paths = BTreeMap<String, Described>;

/// Runs the loader over nothing and has its readers describe what they would read.
fn describe() -> Paths {
    let scope = Scope::describing();
    let documents = [Document {
        start: Location { file: 0, line: 1 },
        entries: Vec::new(),
    }];
    scope.add(Path::new("gateway.toml"));
    let mut sections = Sections::gather(&scope, &documents);
    let include = Item {
        scope: &scope,
        node: item::probe(),
        key: "include".to_owned(),
    };
    source::patterns(&include).for_each(drop);
    assemble(&scope, &mut sections, &mut Vec::new());
    let description = scope.description().expect("the scope describes");
    description.paths()
}

/// The path of a key.
fn key(table: &str, name: &str) -> String {
    tree::join(table, name)
}

/// The path of a list's items.
fn items(list: &str) -> String {
    format!("{list}[]")
}

/// The path of a table's values, by keys that the user chooses.
fn values(table: &str) -> String {
    tree::join(table, "NAME")
}

/// Whether a table with known keys may stand at a path.
fn is_table(paths: &Paths, path: &str) -> bool {
    let forms = paths.get(path).into_iter().flat_map(|at| &at.forms);
    forms.into_iter().any(|(shape, _)| *shape == Shape::Table)
}
