//! The links of a chain of plugins.

use crate::message::phase::Phases;

/// A plugin of a snapshot, in the order of its configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PluginId(pub usize);

/// One of the configurations that a plugin was loaded with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FilterId(pub usize);

/// A place in the chain of a route, in the order of requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place(pub usize);

/// One plugin of a chain.
#[derive(Debug, Clone, Copy)]
pub struct Link {
    /// Where it stands in the chain.
    pub place: Place,
    /// The plugin.
    pub plugin: PluginId,
    /// Which of the plugin's configurations.
    pub filter: FilterId,
    /// What that configuration asks for.
    pub phases: Phases,
}
