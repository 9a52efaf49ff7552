//! The one loader: from `gateway.toml` to a typed [`Config`], or every mistake at once.
//!
//! Files are parsed into one spanned tree (`tree`), with `${NAME}` and `{ file = ".." }` already expanded.
//! Typed readers (`table`, `read`) walk it section by section and collect faults instead of stopping at the
//! first, so that one run names them all. What stands for a broken value meanwhile is its default: such a
//! configuration is refused as a whole.
//!
//! Nothing secret is shown, neither in messages nor in [`Config::masked`]: not `[secrets]` and `admin.token`,
//! nothing out of the environment or a file, and, in the configuration of plugins and the header and query
//! values of routes, nothing under a key with `secret`, `passw`, `token`, `key`, `credential`,
//! `authorization` or `cookie` in its name.

mod certificates;
mod chain;
mod expand;
mod fault;
mod listeners;
mod log_format;
mod model;
mod patterns;
mod plugins;
mod process;
mod read;
mod routes;
mod sections;
mod source;
mod suggest;
mod table;
mod tree;
mod units;
mod upstreams;

use std::path::Path;

pub use fault::{Errors, Fault};
pub use log_format::{LogField, LogPiece, LogTemplate};
pub use model::*;
pub(crate) use suggest::file_name_matches;
pub use units::Secret;

use sections::Sections;
use source::Scope;

/// Reads `path` and everything it includes, and checks all of it.
///
/// Reads the environment, the files of `{ file = ".." }`, certificates and keys; of plugin artifacts only
/// that they are there.
///
/// # Errors
/// Every fault of every file, in the order of the files and lines.
pub fn load(path: &Path) -> Result<Config, Errors> {
    load_watched(path).0
}

/// As [`load`], with what to watch for a change that makes it worth another try.
pub fn load_watched(path: &Path) -> (Result<Config, Errors>, Watched) {
    let scope = Scope::default();
    let documents = source::read(&scope, path);
    let mut sections = Sections::gather(&scope, &documents);
    let config = assemble(&scope, &mut sections);
    (scope.finish().map(|()| config), scope.watched())
}

fn assemble(scope: &Scope, sections: &mut Sections<'_>) -> Config {
    let names = sections.names();
    let server = sections.single("server", process::server);
    let admin = sections.optional("admin", process::admin);
    let state = sections.single("state", process::state);
    let secrets = sections.named("secrets", process::secret);
    let listeners = sections.list("listeners", listeners::listener);
    listeners::check_together(scope, sections, &listeners, admin.as_ref());
    let plugins = sections.named("plugins", |item, name| plugins::plugin(item, name, &names));
    let upstreams = sections.named("upstreams", upstreams::upstream);
    let chain = chain::global(sections, &names);
    let routes = sections.list("routes", |item| {
        routes::route(item, &names, &chain, &plugins)
    });
    routes::check_together(scope, sections, &routes, listeners.len());
    Config {
        server,
        admin: admin.flatten(),
        state,
        secrets: secrets.into_iter().collect(),
        listeners: listeners.into_iter().flatten().collect(),
        plugin_places: sections.places("plugins"),
        plugins,
        upstreams,
        routes: routes.into_iter().flatten().collect(),
        watched: scope.watched(),
        warnings: scope.warnings(),
        masked: sections.shown(),
    }
}
