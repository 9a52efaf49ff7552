//! A configuration that is looked at, refused or not, and what of it can be tried all the same: so that one run names
//! every mistake, those of its plugins too.

use std::sync::Arc;

use super::fault::Fault;
use super::model::{Config, Plugin, RoutePlugin};
use super::tree;
use super::written::Written;

/// What is wrong with a configuration, and what is sound in it.
#[derive(Debug)]
pub struct Examined {
    /// Every fault of the files; none where they are sound.
    pub errors: Vec<Fault>,
    /// The configuration: what no fault touches.
    pub config: Config,
    /// Of the chains of routes that are not in the configuration, the same.
    pub chained: Vec<RoutePlugin>,
    /// Variables and files that something else stood for, since they are not there.
    pub unset: Vec<String>,
}

impl Examined {
    /// Takes out what a fault touches. A file that could not be read (`complete` is false) may touch anything.
    pub(super) fn new(
        errors: Vec<Fault>,
        mut config: Config,
        mut chained: Vec<RoutePlugin>,
        complete: bool,
    ) -> Self {
        let touched = |key: &str| {
            let rests = errors.iter().map(|fault| fault.key.strip_prefix(key));
            rests
                .flatten()
                .any(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
        };
        let are_sound = |secrets: &[Arc<str>]| {
            let mut secrets = secrets.iter();
            !secrets.any(|secret| touched(&tree::join("secrets", secret)))
        };
        let is_sound = |plugin: &Plugin| {
            let place = config.plugin_places.get(&plugin.name);
            let filled_in = place.map_or(&[][..], Written::secrets);
            complete
                && !touched(&tree::join("plugins", &plugin.name))
                && are_sound(&plugin.grants.secrets)
                && are_sound(filled_in)
        };
        config.plugins.retain(|_, plugin| is_sound(plugin));
        let plugins = &config.plugins;
        let stays = |step: &RoutePlugin| {
            plugins.contains_key(&step.plugin)
                && !touched(step.place.key())
                && are_sound(step.place.secrets())
        };
        for route in &mut config.routes {
            Arc::make_mut(route).retain_steps(stays);
        }
        chained.retain(stays);
        Self {
            errors,
            config,
            chained,
            unset: Vec::new(),
        }
    }
}
