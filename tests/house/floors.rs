//! The floors of the gateway: a room, which is a top-level module, imports only from floors below its own.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::imports;
use super::names::Names;
use super::source::{self, File};
use super::tables;

const CRATE: &str = "gateway";

/// What contradicts the tables of floors in `ARCHITECTURE.md`.
pub(super) fn check(root: &Path) -> Vec<String> {
    let (plan, mut findings) = match Plan::read(root) {
        Ok(read) => read,
        Err(error) => return vec![error],
    };
    let files = source::crate_files(root, CRATE);
    let rooms = files.iter().map(|file| room(&file.module).to_owned());
    findings.extend(plan.compare_rooms(&rooms.collect()));
    let names = Names::of(&files, CRATE);
    let mut used = BTreeSet::new();
    let mut upward = BTreeSet::new();
    for file in &files {
        upward.extend(plan.check_file(file, &names, &mut used));
    }
    findings.extend(upward.into_iter().map(|(_, _, finding)| finding));
    for (from, to) in plan.allowed.difference(&used) {
        findings.push(format!(
            "ARCHITECTURE.md lets `{from}` import `{to}`, but it does not"
        ));
    }
    findings
}

struct Plan {
    /// The floor of each room: its number from the top, and its name.
    floors: BTreeMap<String, (usize, String)>,
    /// What imports what on the same floor, for a reason.
    allowed: BTreeSet<(String, String)>,
}

impl Plan {
    /// Reads both tables, and what is wrong with them by themselves.
    fn read(root: &Path) -> Result<(Self, Vec<String>), String> {
        let mut plan = Self {
            floors: BTreeMap::new(),
            allowed: BTreeSet::new(),
        };
        let mut findings = Vec::new();
        let floors = tables::rows(root, ["floor", "rooms", "what it is for"])?;
        for (number, [floor, rooms, _]) in floors.into_iter().enumerate() {
            for room in tables::names(&rooms) {
                let before = plan.floors.insert(room.clone(), (number, floor.clone()));
                if let Some((_, other)) = before {
                    findings.push(format!(
                        "`{room}` stands on two floors: {other} and {floor}"
                    ));
                }
            }
        }
        for [from, to, reason] in tables::rows(root, ["room", "may import", "reason"])? {
            for (from, to) in pairs(&from, &to) {
                if reason.is_empty() {
                    findings.push(format!("`{from}` may import `{to}` without a reason"));
                }
                plan.allowed.insert((from, to));
            }
        }
        Ok((plan, findings))
    }

    fn compare_rooms(&self, rooms: &BTreeSet<String>) -> Vec<String> {
        let homeless = rooms
            .iter()
            .filter(|room| !self.floors.contains_key(*room))
            .map(|room| format!("`{room}` stands on no floor of ARCHITECTURE.md"));
        let missing = self
            .floors
            .iter()
            .filter(|(room, _)| !rooms.contains(*room))
            .map(|(room, (_, floor))| format!("`{room}` of floor {floor} is not in gateway/src"));
        homeless.chain(missing).collect()
    }

    /// The imports of a file that do not point down, as file, line and message; notes which exceptions it used.
    fn check_file(
        &self,
        file: &File,
        names: &Names,
        used: &mut BTreeSet<(String, String)>,
    ) -> Vec<(String, usize, String)> {
        let from = room(&file.module);
        let mut findings = Vec::new();
        for import in imports::of(file) {
            let Some(path) = names.absolute(&import) else {
                continue;
            };
            let to = match path.first() {
                Some(to) if names.is_module(to) => to,
                _ => "lib",
            };
            let pair = (from.to_owned(), to.to_owned());
            let (Some(here), Some(there)) = (self.floors.get(from), self.floors.get(to)) else {
                continue;
            };
            if from == to || here.0 < there.0 {
                continue;
            }
            if here.0 == there.0 && self.allowed.contains(&pair) {
                used.insert(pair);
                continue;
            }
            let direction = match here.0 == there.0 {
                true => "does not point down",
                false => "points up",
            };
            let message = format!(
                "{}:{}: `{}` {direction}: from `{from}` (floor {}) to `{to}` (floor {})",
                file.path,
                import.line,
                import.path.join("::"),
                here.1,
                there.1,
            );
            findings.push((file.path.clone(), import.line, message));
        }
        findings
    }
}

/// The top-level module of a module path; `lib` is the root itself.
fn room(module: &[String]) -> &str {
    module.first().map_or("lib", String::as_str)
}

fn pairs(from: &str, to: &str) -> Vec<(String, String)> {
    let to = tables::names(to);
    let with = |from: String| {
        to.iter()
            .map(move |to| (from.clone(), to.clone()))
            .collect()
    };
    tables::names(from)
        .into_iter()
        .flat_map(|from| -> Vec<_> { with(from) })
        .collect()
}
