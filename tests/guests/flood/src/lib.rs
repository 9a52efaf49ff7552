//! Fills its part of the state as far as a request tells it to, and says what is left of a key.

use std::time::Duration;

use gateway_plugin_sdk::prelude::*;
use gateway_plugin_sdk::state;
use schemars::JsonSchema;
use serde::Deserialize;

/// What this guest is told: nothing, it is the query of a request that counts.
///
/// - `acquire=N` takes once from each of N limits that nobody ever asked for.
/// - `set=N&bytes=B` stores N values of B bytes under keys that nobody ever used.
/// - `take=KEY` takes once from a limit of a thousand a month, and answers what remains.
/// - `keep=KEY&bytes=B` stores a value, `look=KEY` answers how long it is.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {}

/// The plugin.
#[derive(Debug)]
pub struct Flood {
    quota: Quota,
}

export!(Flood);

impl Plugin for Flood {
    type Config = Config;

    fn configure(_: Config) -> Result<Self, Vec<ConfigError>> {
        let month = Duration::from_secs(30 * 24 * 3600);
        let quota = Quota::token_bucket(1_000, month);
        Ok(Self { quota })
    }

    fn on_request(&self, request: &mut Request) -> Result {
        let number = |name: &str| -> usize {
            let text = request.query_param(name);
            text.and_then(|text| text.parse().ok()).unwrap_or(0)
        };
        let value = vec![b'v'; number("bytes")];
        let id = request.id();
        for nth in 0..number("acquire") {
            limiter::acquire(&format!("{id}/{nth}"), self.quota, 1)?;
        }
        for nth in 0..number("set") {
            state::set(&format!("{id}/{nth}"), &value, None)?;
        }
        let text = if let Some(key) = request.query_param("take") {
            limiter::acquire(&key, self.quota, 1)?.remaining.to_string()
        } else if let Some(key) = request.query_param("keep") {
            format!("{:?}", state::set(&key, &value, None))
        } else if let Some(key) = request.query_param("look") {
            format!("{:?}", state::get(&key)?.map(|value| value.len()))
        } else {
            "done".to_owned()
        };
        Ok(Answer::new(200).text(text).into())
    }
}
