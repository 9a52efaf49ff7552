//! `gateway explain` and `gateway routes`: which route takes a request, and which there are.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use serde::Serialize;

use super::printed::{CONFIG, Printed, USAGE, lines};
use crate::config::{self, Config};
use crate::proxy::explain::{Asked, explain};
use crate::route::{Listed, Router};

/// What `explain` is asked.
#[derive(Debug, Args)]
pub(super) struct Explain {
    /// The configuration.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// A request: its method, unless that is GET, and its URL, such as 'POST https://api.example.com/orders?a=1'.
    #[arg(value_name = "[METHOD ]URL")]
    request: String,
    /// A field of the request; may be repeated.
    #[arg(short = 'H', long = "header", value_name = "NAME: VALUE")]
    headers: Vec<String>,
    /// The listener that the request comes to. Unless given, the first that speaks the scheme of the URL.
    #[arg(long, value_name = "NAME")]
    listener: Option<String>,
    /// The address that connects. Unless given, 127.0.0.1, or none where the listener is on a unix socket.
    #[arg(long, value_name = "ADDRESS")]
    client: Option<String>,
    /// How it is said.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

/// What `routes` is asked.
#[derive(Debug, Args)]
pub(super) struct Routes {
    /// The configuration.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// How it is said.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Format {
    Text,
    Json,
}

impl Explain {
    /// Loads the configuration, without its plugins, and says what becomes of the request.
    pub(super) fn run(&self) -> Printed {
        loaded(&self.config, |config| {
            let (fields, listener) = (&self.headers, self.listener.as_deref());
            let client = self.client.as_deref();
            match Asked::read(config, &self.request, fields, listener, client) {
                Ok(asked) => {
                    let explanation = explain(config, &router(config), asked);
                    printed(self.format, &explanation, &explanation.to_string())
                }
                Err(fault) => Printed {
                    out: String::new(),
                    err: format!("gateway: {fault}\n"),
                    code: USAGE,
                },
            }
        })
    }
}

impl Routes {
    /// Loads the configuration, without its plugins, and lists its routes, the first that is looked at first.
    pub(super) fn run(&self) -> Printed {
        loaded(&self.config, |config| {
            let router = router(config);
            let routes = router.routes().iter();
            let routes: Vec<_> = routes.map(|route| Listed::new(config, route)).collect();
            let text: String = routes.iter().map(ToString::to_string).collect();
            printed(self.format, &routes, &text)
        })
    }
}

fn router(config: &Config) -> Router<config::Route> {
    Router::new(config.routes.clone())
}

fn loaded(path: &Path, says: impl FnOnce(&Config) -> Printed) -> Printed {
    match config::load(path) {
        Ok(config) => says(&config),
        Err(errors) => Printed {
            out: String::new(),
            err: lines("", &errors.0),
            code: CONFIG,
        },
    }
}

fn printed(format: Format, value: &impl Serialize, text: &str) -> Printed {
    let out = match format {
        Format::Text => text.to_owned(),
        // A value of strings and numbers.
        Format::Json => serde_json::to_string_pretty(value).unwrap_or_default() + "\n",
    };
    Printed {
        out,
        err: String::new(),
        code: 0,
    }
}
