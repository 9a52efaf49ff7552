//! The one loader: from `gateway.toml` to a typed [`Config`], or every mistake at once.
//!
//! Files are parsed into one spanned tree (`parse`, `tree`), with `${NAME}` and `{ file = ".." }` already expanded.
//! Typed readers (`table`, `read`) walk it section by section and collect faults instead of stopping at the
//! first, so that one run names them all. What stands for a broken value meanwhile is its default: such a
//! configuration is refused as a whole.
//!
//! Nothing secret is shown, neither in messages nor in [`Config::masked`]: not `[secrets]` and `admin.token`,
//! nothing out of the environment or a file (but for what was read as an address, a path, a duration, a size or a
//! number), and, in the configuration of plugins and the header and query values of routes, nothing under a key with `secret`, `passw`, `token`, `key`, `credential`,
//! `authorization` or `cookie` in its name.

mod certificates;
mod chain;
mod description;
mod expand;
mod fault;
mod faulty;
mod fill;
mod item;
mod listeners;
mod log_format;
mod model;
mod parse;
mod patterns;
mod plugin_memory;
mod plugins;
mod process;
#[cfg(any(test, feature = "fuzzing"))]
pub mod properties;
pub mod rank;
mod read;
mod reason;
#[cfg(test)]
mod reference;
mod routes;
mod scope;
mod sections;
mod source;
mod suggest;
mod table;
mod template;
mod tree;
mod units;
mod upstreams;
mod written;

use std::collections::BTreeMap;
use std::path::Path;

pub use fault::{Errors, Fault};
pub use faulty::Faulty;
pub use log_format::{LogField, LogTemplate, LogValue};
pub use model::*;
pub use plugins::COMPONENT;
pub use scope::Watched;
pub(crate) use suggest::file_name_matches;
pub use template::Template;
pub use units::Secret;
pub use written::{Given, Written};

use chain::Defaults;
use scope::Scope;
use sections::Sections;

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
    let (config, _) = read(&scope, path);
    (scope.finish().map(|()| config), scope.watched())
}

/// As [`load`], with what is sound of a configuration that is refused.
///
/// # Errors
/// As [`load`].
pub fn load_sound(path: &Path) -> Result<Config, Box<Faulty>> {
    let scope = Scope::default();
    let (config, chained) = read(&scope, path);
    match scope.finish() {
        Ok(()) => Ok(config),
        Err(errors) => Err(Box::new(Faulty::new(
            errors,
            config,
            chained,
            scope.is_complete(),
        ))),
    }
}

/// The configuration, and the chains of routes that could not be read.
fn read(scope: &Scope, path: &Path) -> (Config, Vec<RoutePlugin>) {
    let documents = source::read(scope, path);
    let mut sections = Sections::gather(scope, &documents);
    let mut chained = Vec::new();
    let config = assemble(scope, &mut sections, &mut chained);
    (config, chained)
}

fn assemble(scope: &Scope, sections: &mut Sections<'_>, chained: &mut Vec<RoutePlugin>) -> Config {
    let mut names = sections.names();
    let shared_by = names.plugins.len();
    let server = sections.single("server", |table| process::server(table, shared_by));
    let admin = sections.optional("admin", process::admin);
    let state = sections.single("state", |table| process::state(table, shared_by));
    let secrets = sections.named("secrets", process::secret);
    let secrets: BTreeMap<_, _> = secrets.into_iter().collect();
    names.secrets.values.clone_from(&secrets);
    let listeners = sections.list("listeners", listeners::listener);
    listeners::check_together(scope, sections, &listeners, admin.as_ref());
    let plugins = sections.named("plugins", |item, name| plugins::plugin(item, name, &names));
    process::check_shares(scope, sections, &state, &plugins);
    plugin_memory::check_together(scope, sections, &server, &plugins);
    let upstreams = sections.named("upstreams", upstreams::upstream);
    upstreams::check_together(sections, &upstreams, &server);
    let chain = chain::global(sections, &names);
    let plugin_places = sections.plugin_places(&names.secrets);
    let defaults = Defaults {
        plugins: &plugins,
        places: &plugin_places,
    };
    let routes = sections.list("routes", |item| {
        routes::route(item, &names, &chain, defaults, chained)
    });
    routes::check_together(scope, sections, &routes, &listeners);
    Config {
        server,
        admin: admin.flatten(),
        state,
        secrets,
        listeners: listeners.into_iter().flatten().collect(),
        plugin_places,
        plugins,
        upstreams,
        routes: routes.into_iter().flatten().collect(),
        watched: scope.watched(),
        warnings: scope.warnings(),
        masked: sections.shown(),
    }
}
