//! A plugin that says what it is told: as a fault of its configuration, in the log, on its standard output, as an
//! error and as a panic.
//!
//! `/words/<way>` selects the way of `on_request`. What it says is `text` of its configuration, or the secret that
//! `secret` names.

use gateway_plugin_sdk::prelude::*;
use gateway_plugin_sdk::secrets;
use schemars::JsonSchema;
use serde::Deserialize;

/// What it is told.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// What it says.
    #[serde(default)]
    text: String,
    /// The secret that it says instead.
    #[serde(default)]
    secret: Option<String>,
    /// Faults that it finds when it is configured.
    #[serde(default)]
    faults: u32,
    /// Whether it says its number in every fault.
    #[serde(default)]
    numbered: bool,
    /// A share of something.
    #[serde(default)]
    share: Option<f64>,
}

/// The plugin.
#[derive(Debug)]
pub struct Words {
    config: Config,
}

export!(Words);

impl Plugin for Words {
    type Config = Config;

    fn configure(config: Config) -> Result<Self, Vec<ConfigError>> {
        let fault = |number: u32| {
            let message = match config.numbered {
                true => format!("does not take {} ({number})", config.text),
                false => format!("does not take {}", config.text),
            };
            ConfigError::new("text", message)
        };
        let faults: Vec<_> = (0..config.faults).map(fault).collect();
        if faults.is_empty() {
            Ok(Self { config })
        } else {
            Err(faults)
        }
    }

    fn on_request(&self, request: &mut Request) -> Result {
        let words = match &self.config.secret {
            Some(name) => secrets::get(name).unwrap_or_default(),
            None => self.config.text.clone(),
        };
        match request.path().strip_prefix("/words/").unwrap_or_default() {
            "log" => log::info!(said = words; "it says {words}, twice"),
            "print" => {
                #[allow(
                    clippy::print_stdout,
                    reason = "what a plugin prints is what is tested"
                )]
                {
                    println!("it prints {words} so");
                }
                eprintln!("it complains of {words} so");
            }
            "quote" => log::warn!("it quotes {words:?} so"),
            "json" => log::warn!("it writes {} so", serde_json::Value::from(words)),
            "fail" => return Err(format!("it fails for {words} so").into()),
            #[expect(clippy::panic, reason = "a trap is what the test wants to see")]
            "panic" => panic!("it panics for {words} so"),
            "ask" => drop(secrets::get(&words)),
            "tell" => {
                let told = format!("{words} {:?}", self.config.share);
                return Ok(Answer::new(200).text(told).into());
            }
            _ => {}
        }
        Ok(Answer::new(204).into())
    }
}
