//! `gateway config print`: the configuration in its effect, and where each value comes from.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use serde_json::json;

use super::printed::{CONFIG, Printed, lines};
use crate::config::{self, Config};

/// What is asked of a configuration.
#[derive(Debug, Subcommand)]
pub(super) enum OfConfig {
    /// Prints the effective configuration: with its defaults and includes, and where each value comes from. What came
    /// from outside of the files is `***`, unless it is an address, a path, a duration, a size, a number or a word.
    Print(Print),
}

/// What `config print` is asked.
#[derive(Debug, Args)]
pub(super) struct Print {
    /// The configuration.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// `toml`: one file that loads again, with the origin of each value behind it. `json`: values and origins.
    #[arg(long, value_enum, default_value_t = Format::Toml)]
    format: Format,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Format {
    Toml,
    Json,
}

impl OfConfig {
    /// Loads the configuration and prints it, or its faults.
    pub(super) fn run(&self) -> Printed {
        let Self::Print(print) = self;
        match config::load(&print.config) {
            Ok(config) => Printed {
                out: print.shown(&config),
                err: lines("warning: ", &config.warnings),
                code: 0,
            },
            Err(errors) => Printed {
                out: String::new(),
                err: lines("", &errors.0),
                code: CONFIG,
            },
        }
    }
}

impl Print {
    fn shown(&self, config: &Config) -> String {
        match self.format {
            Format::Toml => config.to_toml(),
            Format::Json => {
                let origins = config.origins.of(&config.masked);
                let shown = json!({ "configuration": config.masked, "origins": origins });
                format!("{shown:#}\n")
            }
        }
    }
}
