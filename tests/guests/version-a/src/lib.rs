//! Marks responses with the version of its crate, in the request phase and again in the response phase: an
//! exchange that saw two versions shows both.

use gateway_plugin_sdk::prelude::*;
use schemars::JsonSchema;
use serde::Deserialize;

/// What this guest is told.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Traps in `configure`.
    #[serde(default)]
    trap: bool,
}

/// The plugin.
#[derive(Debug)]
pub struct Version;

export!(Version);

impl Plugin for Version {
    type Config = Config;

    fn configure(config: Config) -> Result<Self, Vec<ConfigError>> {
        assert!(!config.trap, "told to trap in configure");
        Ok(Self)
    }

    fn wants(&self) -> Wants {
        (Phases::REQUEST | Phases::RESPONSE).into()
    }

    fn on_request(&self, request: &mut Request) -> Result {
        request
            .response()
            .set_header("x-request-version", env!("CARGO_PKG_VERSION"))?;
        Ok(Flow::Next)
    }

    fn on_response(&self, _request: &Request, response: &mut Response) -> Result {
        response.set_header("x-response-version", env!("CARGO_PKG_VERSION"))?;
        Ok(Flow::Next)
    }
}
