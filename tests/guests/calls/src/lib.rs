//! Makes one kind of host call as often as it is told, and nothing else: the difference between two numbers of
//! calls is what one costs.

use std::time::Duration;

use gateway_plugin_sdk::prelude::*;
use schemars::JsonSchema;
use serde::Deserialize;

/// What the guest is told.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The kind of call.
    call: Call,
    /// How often it is made in `on_request`.
    times: u32,
}

#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
enum Call {
    HeaderRead,
    HeaderSet,
    ResponseHeaderSet,
    AttributeRead,
    AttributeSet,
    Acquire,
}

/// The plugin.
#[derive(Debug)]
pub struct Calls {
    config: Config,
    quota: Quota,
}

export!(Calls);

impl Plugin for Calls {
    type Config = Config;

    fn configure(config: Config) -> Result<Self, Vec<ConfigError>> {
        let quota = Quota::fixed_window(1_000_000_000, Duration::from_secs(1));
        Ok(Self { config, quota })
    }

    fn on_request(&self, request: &mut Request) -> Result {
        for _ in 0..self.config.times {
            self.make(request)?;
        }
        Ok(Flow::Next)
    }
}

impl Calls {
    fn make(&self, request: &mut Request) -> Result<()> {
        match self.config.call {
            Call::HeaderRead => {
                std::hint::black_box(request.header("x-api-key"));
            }
            Call::HeaderSet => request.set_header("x-consumer", "alice")?,
            Call::ResponseHeaderSet => request
                .response()
                .set_header("x-ratelimit-remaining", "999999")?,
            Call::AttributeRead => {
                std::hint::black_box(request.attribute("auth.subject"));
            }
            Call::AttributeSet => request.set_attribute("auth.subject", "alice"),
            Call::Acquire => {
                limiter::acquire("alice", self.quota, 1)?;
            }
        }
        Ok(())
    }
}
