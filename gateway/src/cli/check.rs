//! `gateway check`, as it is asked and as it answers.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use serde_json::{Value as Json, json};

use super::printed::{CONFIG, Printed, lines};
use crate::config::{Config, Fault};
use crate::control::{self, Report};

/// What `check` is asked.
#[derive(Debug, Args)]
pub(super) struct Check {
    /// The configuration.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Warnings are errors.
    #[arg(long)]
    strict: bool,
    /// `text`: a line for each error and warning. `json`: one document on standard output (docs/check.md).
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
    /// A variable that is not set and has no default, and a file that is not there for `{ file = ".." }`, are no errors:
    /// something of the kind that is read stands for each. For a check where the secrets are not.
    #[arg(long)]
    allow_unset: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Format {
    Text,
    Json,
}

impl Check {
    /// Checks, and says what came of it.
    pub(super) fn run(&self) -> Printed {
        let mut report = control::check(&self.config, self.allow_unset);
        if self.strict {
            report.errors.append(&mut report.warnings);
        }
        let is_sound = report.errors.is_empty();
        let (out, err) = match self.format {
            Format::Text => self.text(&report),
            Format::Json => (format!("{:#}\n", self.json(&report)), String::new()),
        };
        Printed {
            out,
            err,
            code: if is_sound { 0 } else { CONFIG },
        }
    }

    fn text(&self, report: &Report) -> (String, String) {
        let warnings = lines("warning: ", &report.warnings);
        if !report.errors.is_empty() {
            return (String::new(), lines("", &report.errors) + &warnings);
        }
        let mut out = format!(
            "{}: sound ({})\n",
            self.config.display(),
            count(&report.config)
        );
        for name in &report.unset {
            out.push_str(&format!("not set: {name}\n"));
        }
        (out, warnings)
    }

    fn json(&self, report: &Report) -> Json {
        let config = &report.config;
        let faults = |faults: &[Fault]| faults.iter().map(Fault::json).collect::<Json>();
        json!({
            "file": self.config.to_string_lossy(),
            "sound": report.errors.is_empty(),
            "errors": faults(&report.errors),
            "warnings": faults(&report.warnings),
            "unset": report.unset,
            "listeners": config.listeners.len(),
            "routes": config.routes.len(),
            "upstreams": config.upstreams.len(),
            "plugins": config.plugins.len(),
        })
    }
}

fn count(config: &Config) -> String {
    format!(
        "{} listeners, {} routes, {} upstreams, {} plugins",
        config.listeners.len(),
        config.routes.len(),
        config.upstreams.len(),
        config.plugins.len()
    )
}
