//! The command line: `gateway run`, `gateway check`, `gateway config`, `gateway explain`, `gateway routes`.

mod check;
mod explain;
mod print;
mod printed;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};

use check::Check;
use explain::{Explain, Routes};
use print::OfConfig;
use printed::{CONFIG, FAILURE, USAGE};

use crate::config::Errors;
use crate::control::Unavailable;
use crate::plugin;
use crate::snapshot::BuildError;
use crate::telemetry::trace;

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
    /// Says everything that a start with the configuration would fail at, and what to look at; makes and changes nothing.
    ///
    /// Loads the configuration, compiles and configures every plugin, looks whether the addresses can be had and the
    /// access log can be written. Exits with 78 where there is an error.
    Check(Check),
    /// Shows a configuration.
    #[command(subcommand)]
    Config(OfConfig),
    /// Says which route takes a request, why nearer ones do not, what its plugins are configured with, and the request as it
    /// would go upstream; no plugin runs, and nothing is sent.
    Explain(Explain),
    /// Lists the routes, the first that is looked at first.
    Routes(Routes),
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
        Command::Run { config, watch } => crate::control::run(config, *watch).map(|()| 0),
        Command::Check(check) => check.run().print(),
        Command::Config(of_config) => of_config.run().print(),
        Command::Explain(explain) => explain.run().print(),
        Command::Routes(routes) => routes.run().print(),
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
        Ok(code) => ExitCode::from(code),
        Err(error) => report(&error),
    };
    trace::flush();
    code
}

fn report(error: &anyhow::Error) -> ExitCode {
    let refused = error.downcast_ref::<BuildError>().map(ToString::to_string);
    let faulty = error.downcast_ref::<Errors>().map(ToString::to_string);
    let unavailable = error.downcast_ref::<Unavailable>();
    let (text, code) = match (refused.or(faulty), unavailable) {
        (Some(text), _) => (text, CONFIG),
        (None, Some(unavailable)) => (unavailable.to_string(), FAILURE),
        (None, None) => (format!("gateway: {error:#}"), FAILURE),
    };
    match trace::print(&text) {
        Ok(()) => ExitCode::from(code),
        Err(_) => ExitCode::from(FAILURE),
    }
}
