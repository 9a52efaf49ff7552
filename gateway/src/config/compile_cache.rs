//! `server.compile_cache`.

use std::path::PathBuf;

use serde_json::Value as Json;

use super::scope::Location;
use super::table::Table;

/// Where compiled plugins are kept, of a configuration with so many plugins.
pub(super) fn read(table: &mut Table<'_>, plugins: usize) -> Option<PathBuf> {
    let Some(item) = table.item("compile_cache") else {
        let default = default_cache();
        if default.is_none() && plugins > 0 {
            let message = "there is none, since neither XDG_CACHE_HOME nor HOME names a directory: plugins are compiled \
                           again at every start; write a directory, or `false`";
            // Without `[server]` no line says anything of it.
            let line = if table.is_empty() { 0 } else { table.at.line };
            let at = Location { line, ..table.at };
            table.scope.warn(at, "server.compile_cache", message);
        }
        let shown = default
            .as_ref()
            .map_or(Json::Bool(false), |path| path.to_string_lossy().into());
        table.show("compile_cache", shown);
        return default;
    };
    if item.is_false() {
        return None;
    }
    item.path_as("a path, or false")
}

/// The user's cache directory, by the XDG base directory specification.
fn default_cache() -> Option<PathBuf> {
    let given = |name| std::env::var_os(name).map(PathBuf::from);
    let base = given("XDG_CACHE_HOME").or_else(|| Some(given("HOME")?.join(".cache")))?;
    base.is_absolute().then(|| base.join("gateway"))
}
