//! Is called for every request and does nothing.

use gateway_plugin_sdk::prelude::*;
use schemars::JsonSchema;
use serde::Deserialize;

/// There is nothing to configure.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {}

/// The plugin.
#[derive(Debug)]
pub struct Empty;

export!(Empty);

impl Plugin for Empty {
    type Config = Config;

    fn configure(_config: Config) -> Result<Self, Vec<ConfigError>> {
        Ok(Self)
    }

    fn on_request(&self, _request: &mut Request) -> Result {
        Ok(Flow::Next)
    }
}
