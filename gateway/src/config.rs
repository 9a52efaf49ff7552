//! The one loader: from `gateway.toml` to a typed [`Config`], or every mistake at once.
//!
//! Files are parsed into one spanned tree (`parse`, `tree`), with `${NAME}` and `{ file = ".." }` already expanded.
//! Typed readers (`table`, `read`) walk it section by section and collect faults instead of stopping at the
//! first, so that one run names them all. What stands for a broken value meanwhile is its default: such a
//! configuration is refused as a whole.
//!
//! Nothing secret is shown, neither in messages nor in [`Config::masked`]: not `[secrets]` and the tokens of
//! `[admin]`, nothing out of the environment or a file (but for what was read as an address, a path, a duration, a size
//! or a number), and, in the configuration of plugins and the header and query values of routes, no text under a key with
//! `secret`, `passw`, `token`, `key`, `credential`, `authorization` or `cookie` in its name (`mask`).

mod admin;
mod answers;
mod certificates;
mod chain;
mod client_key;
mod clients;
mod compile_cache;
mod dead;
mod description;
mod examined;
mod expand;
mod expressions;
mod fault;
mod fill;
mod item;
mod listen;
mod listeners;
mod log_format;
mod mask;
mod model;
mod nginx;
mod origins;
mod parse;
mod paths;
mod patterns;
mod places;
mod plugin_memory;
mod plugins;
mod process;
#[cfg(any(test, feature = "fuzzing"))]
pub mod properties;
pub mod rank;
mod read;
mod reason;
mod reentry;
#[cfg(test)]
mod reference;
mod regex;
mod resolver;
mod routes;
mod scope;
mod sections;
mod socket_path;
mod source;
mod suggest;
mod table;
mod template;
mod texts;
mod toml;
mod tree;
mod units;
mod unset;
mod upstreams;
mod warnings;
mod written;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

pub use self::regex::Regex;
pub use examined::Examined;
pub use expressions::Regexes;
pub use fault::{Errors, Fault, Spot};
pub use log_format::{LogField, LogTemplate, LogValue};
pub use model::*;
pub use origins::Origins;
pub use plugins::COMPONENT;
pub use scope::Watched;
pub(crate) use suggest::{closest, file_name_matches};
pub use template::Template;
pub use units::Secret;
pub(crate) use units::parsed_duration;
pub use written::{Given, Written};

use chain::{Chains, Defaults};
use scope::Scope;
use sections::Sections;
use unset::StandIns;

/// How often something else is tried in the place of values that are not set.
const ATTEMPTS: usize = 64;

/// Reads `path` and everything it includes, and checks all of it.
///
/// Reads the environment, the files of `{ file = ".." }`, certificates and keys; of plugin artifacts only
/// that they are there.
///
/// # Errors
/// Every fault of every file, in the order of the files and lines.
pub fn load(path: &Path) -> Result<Config, Errors> {
    load_after(&Arc::default(), path).0
}

/// As [`load`], with what to watch for a change that makes it worth another try. Of `before`, the regular expressions of
/// the configuration in force, those are taken over that did not change.
pub fn load_after(before: &Arc<Regexes>, path: &Path) -> (Result<Config, Errors>, Watched) {
    let scope = Scope::following(before.clone());
    let (config, _) = read(&scope, path);
    (scope.finish().map(|()| config), scope.watched())
}

/// As [`load`], with its faults and what is sound beside them.
///
/// With `allow_unset`, a variable that is not set and has no default is no fault, nor is a file that is not there for
/// `{ file = ".." }`: something of the kind that is read stands for it.
pub fn examine(path: &Path, allow_unset: bool) -> Examined {
    let mut scope = match allow_unset {
        true => Scope::standing_in(StandIns::default()),
        false => Scope::default(),
    };
    let (mut config, mut chained) = read(&scope, path);
    let mut unset = Vec::new();
    for attempt in (0..ATTEMPTS).rev().take_while(|_| allow_unset) {
        let (stand_ins, has_others) = scope.other_stand_ins();
        unset = stand_ins.names();
        if !has_others || attempt == 0 {
            break;
        }
        scope = Scope::standing_in(stand_ins);
        (config, chained) = read(&scope, path);
    }
    let errors = scope.finish().err().map_or(Vec::new(), |errors| errors.0);
    Examined {
        unset,
        ..Examined::new(errors, config, chained, scope.is_complete())
    }
}

/// The configuration, and the chains of routes that could not be read.
fn read(scope: &Scope, path: &Path) -> (Config, Vec<RoutePlugin>) {
    let documents = source::read(scope, path);
    let mut sections = Sections::gather(scope, &documents);
    let mut chained = Vec::new();
    let mut config = assemble(scope, &mut sections, &mut chained);
    warnings::report(scope, &sections, &config);
    config.warnings = scope.warnings();
    (config, chained)
}

fn assemble(scope: &Scope, sections: &mut Sections<'_>, chained: &mut Vec<RoutePlugin>) -> Config {
    let mut names = sections.names();
    let shared_by = names.plugins.len();
    let server = sections.single("server", |table| process::server(table, shared_by));
    let admin = sections.optional("admin", admin::admin);
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
    upstreams::own_admin::warn(
        sections,
        &upstreams,
        admin.as_ref().and_then(Option::as_ref),
    );
    let chains = sections.named("chains", |item, _: Arc<str>| chain::chain(item, &names));
    let chains = Chains::new(scope, &chains);
    let chain = chain::global(sections, &names, &chains);
    let of_routes = sections.optional("defaults", routes::defaults);
    let plugin_places = sections.plugin_places(&names.secrets);
    let defaults = Defaults {
        plugins: &plugins,
        places: &plugin_places,
        chains: &chains,
        of_routes: of_routes.as_deref().unwrap_or_default(),
    };
    let errors = errors(sections);
    let routes = sections.list("routes", |item| {
        routes::route(item, &names, (&chain, &errors), defaults, chained)
    });
    routes::check_together(scope, sections, &routes, &listeners);
    let (masked, origins) = sections.shown();
    let listener_places = listeners::places(sections, &listeners);
    Config {
        server,
        admin: admin.flatten(),
        state,
        secrets,
        listeners: listeners.into_iter().flatten().collect(),
        listener_places,
        plugin_places,
        plugins,
        upstreams,
        routes: routes.into_iter().flatten().map(Arc::new).collect(),
        errors,
        regexes: scope.expressions.finish(),
        watched: scope.watched(),
        warnings: Vec::new(),
        masked,
        origins,
    }
}

/// `errors`: what stands for the failures of all routes, and of none.
fn errors(sections: &mut Sections<'_>) -> model::Errors {
    let Some(item) = sections.given("errors").first().cloned() else {
        return model::Errors::default();
    };
    let (errors, shown) = answers::errors(&item, &[]);
    sections.show("errors", shown);
    errors
}
