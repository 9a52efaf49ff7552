//! The command line: `gateway run` and `gateway check`.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};

use crate::config::{self, Errors};
use crate::plugin;
use crate::snapshot::BuildError;
use crate::telemetry::trace;

/// Exit codes, from sysexits.h where it has one.
const USAGE: u8 = 64;
const CONFIG: u8 = 78;
const FAILURE: u8 = 1;

/// An API gateway whose policies are sandboxed WebAssembly components.
#[derive(Debug, Parser)]
#[command(name = "gateway", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serves until SIGTERM.
    Run {
        /// The configuration.
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
        /// Reloads when a file of the configuration or a plugin changes.
        #[arg(long)]
        watch: bool,
    },
    /// Loads the configuration and prints every error of it.
    Check {
        /// The configuration.
        #[arg(long, value_name = "FILE")]
        config: PathBuf,
    },
    /// Compiles one plugin, for a gateway that starts this.
    #[command(hide = true)]
    Compile {
        /// The process that asks, with which this one ends.
        #[arg(long)]
        parent: u32,
        /// Milliseconds that it may take.
        #[arg(long)]
        time_ms: u64,
        /// Bytes that it may take.
        #[arg(long)]
        memory: u64,
    },
}

/// Runs the command of this process. Exits with 64 when called wrongly, with 78 when the configuration is
/// faulty, and with 1 when it fails at its work.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let code = if error.use_stderr() {
                ExitCode::from(USAGE)
            } else {
                ExitCode::SUCCESS
            };
            return match error.print() {
                Ok(()) => code,
                Err(_) => ExitCode::from(FAILURE),
            };
        }
    };
    let outcome = match &cli.command {
        Command::Run { config, watch } => crate::control::run(config, *watch),
        Command::Check { config } => check(config),
        Command::Compile {
            parent,
            time_ms,
            memory,
        } => {
            let time = Duration::from_millis(*time_ms);
            return plugin::compile(*parent, time, *memory).unwrap_or(ExitCode::from(FAILURE));
        }
    };
    let code = match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => report(&error),
    };
    trace::flush();
    code
}

/// Load, build, report.
fn check(path: &Path) -> anyhow::Result<()> {
    let config = config::load_sound(path).map_err(|faulty| crate::control::refused(&faulty))?;
    for warning in &config.warnings {
        writeln!(io::stderr(), "warning: {warning}")?;
    }
    let sound = format!(
        "{}: sound ({} listeners, {} routes, {} upstreams, {} plugins)",
        path.display(),
        config.listeners.len(),
        config.routes.len(),
        config.upstreams.len(),
        config.plugins.len()
    );
    for warning in crate::control::check(config)? {
        writeln!(io::stderr(), "warning: {warning}")?;
    }
    writeln!(io::stdout(), "{sound}")?;
    Ok(())
}

fn report(error: &anyhow::Error) -> ExitCode {
    let refused = error.downcast_ref::<BuildError>().map(ToString::to_string);
    let (text, code) = match error
        .downcast_ref::<Errors>()
        .map(ToString::to_string)
        .or(refused)
    {
        Some(text) => (text, CONFIG),
        None => (format!("gateway: {error:#}"), FAILURE),
    };
    match trace::print(&text) {
        Ok(()) => ExitCode::from(code),
        Err(_) => ExitCode::from(FAILURE),
    }
}
