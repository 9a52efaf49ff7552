//! What a route is for each arm of its split.

use super::routes::{Arm, Route, RoutePlugin, Target};

impl Target {
    /// The plugins that the arms of a split have beside those of the route.
    pub fn steps(&self) -> impl Iterator<Item = &RoutePlugin> {
        let arms = match self {
            Self::Split(split) => split.arms.as_slice(),
            _ => &[],
        };
        arms.iter().flat_map(|arm| &arm.plugins)
    }
}

impl Route {
    /// Every plugin of its chains.
    pub fn steps(&self) -> impl Iterator<Item = &RoutePlugin> {
        self.plugins.iter().chain(self.target.steps())
    }

    /// Leaves out plugins of its chains.
    pub fn retain_steps(&mut self, stays: impl Fn(&RoutePlugin) -> bool) {
        self.plugins.retain(&stays);
        if let Target::Split(split) = &mut self.target {
            for arm in &mut split.arms {
                arm.plugins.retain(&stays);
            }
        }
    }

    /// The route as it is for the requests of one arm: with the chain of both, and one upstream.
    pub fn for_arm(&self, arm: &Arm) -> Self {
        let own = arm.plugins.iter().cloned();
        Self {
            plugins: self.plugins.iter().cloned().chain(own).collect(),
            target: Target::Upstream(arm.upstream),
            rewrite: arm.rewrite.clone().unwrap_or_else(|| self.rewrite.clone()),
            ..self.clone()
        }
    }
}
