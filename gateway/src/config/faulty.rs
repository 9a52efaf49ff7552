//! A configuration that is refused, and the plugins in it that can be tried all the same: so that one run names every
//! mistake, theirs too.

use super::fault::Errors;
use super::model::{Config, Plugin, RoutePlugin};
use super::tree;

/// Why a configuration is refused, and what is sound in it.
#[derive(Debug)]
pub struct Faulty {
    /// Every fault of the files.
    pub errors: Errors,
    /// Of it only the process and the plugins count, with the chains of its routes: what no fault touches.
    pub config: Config,
    /// Of the chains of routes that are not in the configuration, the same.
    pub chained: Vec<RoutePlugin>,
}

impl Faulty {
    /// Takes out what a fault touches. A file that could not be read (`complete` is false) may touch anything.
    pub(super) fn new(
        errors: Errors,
        mut config: Config,
        mut chained: Vec<RoutePlugin>,
        complete: bool,
    ) -> Self {
        let touched = |key: &str| {
            let rests = errors.0.iter().map(|fault| fault.key.strip_prefix(key));
            rests
                .flatten()
                .any(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
        };
        let is_sound = |plugin: &Plugin| {
            let mut secrets = plugin.grants.secrets.iter();
            complete
                && !touched(&tree::join("plugins", &plugin.name))
                && !secrets.any(|secret| touched(&tree::join("secrets", secret)))
        };
        config.plugins.retain(|_, plugin| is_sound(plugin));
        let plugins = &config.plugins;
        let stays =
            |step: &RoutePlugin| plugins.contains_key(&step.plugin) && !touched(step.place.key());
        for route in &mut config.routes {
            route.plugins.retain(stays);
        }
        chained.retain(stays);
        Self {
            errors,
            config,
            chained,
        }
    }
}
