//! `server.plugin_memory`, and whether it is enough for the plugins.

use std::sync::Arc;

use indexmap::IndexMap;

use super::item::Item;
use super::model::{Plugin, Server};
use super::scope::Scope;
use super::sections::Sections;
use super::table::{Default, Table};
use super::tree::Value;

/// What each plugin must at least have: half of it is its share, which an instance fits into.
const LEAST: usize = 8 << 20;
/// As in the budget of a call: how many times what is held its memory may grow by.
const MEMORY_PER_HELD: usize = 32;

/// The memory that all instances together may have, shared by so many plugins.
pub(super) fn read(table: &mut Table<'_>, plugins: usize) -> usize {
    table.or("plugin_memory", Default::Text("1GiB"), |item| {
        total(item, plugins)
    })
}

fn total(item: &Item<'_>, plugins: usize) -> Option<usize> {
    let bytes = item.size(16 << 20..=1 << 40, "a size from \"16MiB\" to \"1024GiB\"")?;
    let bytes = usize::try_from(bytes).ok()?;
    if bytes / plugins.max(1) < LEAST {
        let least = plugins * (LEAST >> 20);
        item.fault(format!(
            "{} is less than 8 MiB for each of the {plugins} plugins; write at least \"{least}MiB\"",
            item.quoted()
        ));
        return None;
    }
    Some(bytes)
}

/// Warns of plugins whose largest call has no room, though nothing else takes any.
pub(super) fn check_together(
    scope: &Scope,
    sections: &Sections<'_>,
    server: &Server,
    plugins: &IndexMap<Arc<str>, Plugin>,
) {
    let total = server.plugin_memory;
    let share = total / 2 / plugins.len().max(1);
    // What is lent, and the plugin's own share.
    let most = total - share * plugins.len().saturating_sub(1);
    for plugin in plugins.values() {
        let held = plugin.body_limit.saturating_mul(MEMORY_PER_HELD);
        let wanted = plugin.memory.saturating_add(held);
        if wanted <= most {
            continue;
        }
        let item = sections
            .given("plugins")
            .iter()
            .find_map(|item| match &item.node.value {
                Value::Table(entries) => entries.iter().find(|entry| entry.key == *plugin.name),
                _ => None,
            });
        let Some(entry) = item else { continue };
        let message = format!(
            "a call that holds `body_limit` may need {} MiB, and has at most {} MiB of `server.plugin_memory`: it fails \
             where it needs more; raise that, or lower `memory` or `body_limit`",
            wanted.div_ceil(1 << 20),
            most >> 20
        );
        scope.warn(entry.at, &format!("plugins.{}", plugin.name), message);
    }
}
