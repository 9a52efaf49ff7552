//! Calls every function of the plugin contract through the SDK and answers what it saw.
//!
//! `/probe/<function>` selects the function of `on_request`; the answer is JSON. `/probe/response/<function>` goes
//! on to the upstream and acts on the response. Streams, completion and configuration run on every exchange.
//! With `tail` in its configuration every body that it holds or streams ends in that text.

mod config;
mod edits;
mod facts;
mod services;
mod shown;
mod trial;

use std::sync::atomic::Ordering;
use std::sync::{Mutex, PoisonError};

use gateway_plugin_sdk::prelude::*;
use serde_json::json;

pub use crate::config::Config;
use crate::edits::{forward, reserved_edits};
use crate::facts::{CALLS, facts};
use crate::shown::{fields, text, told};
use crate::trial::Trial;

/// The plugin.
#[derive(Debug)]
pub struct Probe {
    config: Config,
}

export!(Probe);

impl Plugin for Probe {
    type Config = Config;

    fn configure(config: Config) -> Result<Self, Vec<ConfigError>> {
        let faults = config.faults();
        if faults.is_empty() {
            Ok(Self { config })
        } else {
            Err(faults)
        }
    }

    fn wants(&self) -> Wants {
        self.config.wants()
    }

    fn on_request(&self, request: &mut Request) -> Result {
        CALLS.fetch_add(1, Ordering::Relaxed);
        if let Some(body) = self.extended(|| request.body()) {
            request.set_body(body);
        }
        let path = request.path();
        let Some(function) = path.strip_prefix("/probe/") else {
            return Ok(Flow::Next);
        };
        match function {
            "next" => return Ok(Flow::Next),
            "fail" => return Err("the probe was asked to fail".into()),
            "half" => {
                half(request)?;
                return Err("the probe was asked to fail half way".into());
            }
            "no-status" => return Ok(Answer::new(1000).into()),
            "print" => {
                #[allow(
                    clippy::print_stdout,
                    reason = "what a plugin prints is what is tested"
                )]
                {
                    println!("a line of its own");
                }
                eprint!("in ");
                eprintln!("{} pieces", 2);
                return Ok(Flow::Next);
            }
            "unfit-metric" => {
                metrics::count("unfit", &[("le", "1")], 1);
                metrics::count("unfit", &[("by", "1"), ("by", "2")], 1);
                return Ok(Flow::Next);
            }
            "clash" => {
                clash(request);
                return Ok(Flow::Next);
            }
            #[expect(clippy::panic, reason = "a trap is what the test wants to see")]
            "panic" => panic!("the probe was asked to panic"),
            _ if function.starts_with("response/") => return Ok(Flow::Next),
            _ => {}
        }
        if function == "denied" {
            return Ok(told(function, reserved_edits(request)));
        }
        if function == "try" {
            let edit = Trial::read(request);
            return Ok(edit.end(function, edit.on_request(request)));
        }
        if forward(request, function, &self.config.upstream)? {
            return Ok(Flow::Next);
        }
        let seen = match facts(request, function) {
            Some(seen) => seen,
            None => services::call(&self.config, function)?,
        };
        Ok(told(function, seen))
    }

    fn on_response(&self, request: &Request, response: &mut Response) -> Result {
        if let Some(body) = self.extended(|| response.body()) {
            response.set_body(body);
        }
        let path = request.path();
        let Some(function) = path.strip_prefix("/probe/response/") else {
            return Ok(Flow::Next);
        };
        let seen = match function {
            "try" => {
                let edit = Trial::read(request);
                return Ok(edit.end(function, edit.on_response(response)));
            }
            "half" => {
                request.set_attribute("half", "left");
                response.set_status(418);
                response.set_header("x-half", "left")?;
                response.remove_header("content-type")?;
                response.set_body("left");
                return Err("the probe was asked to fail half way".into());
            }
            "status" => json!(response.status()),
            "response-header" => json!(response.header_str("content-type")),
            "response-headers" => fields(response.headers()),
            "response-body" => json!(response.body().map(text)),
            "set-status" => {
                response.set_status(418);
                return Ok(Flow::Next);
            }
            "set-response-header" => {
                response.set_header("x-probe", "set")?;
                return Ok(Flow::Next);
            }
            "append-response-header" => {
                response.append_header("x-probe", "one")?;
                response.append_header("x-probe", "two")?;
                return Ok(Flow::Next);
            }
            "remove-response-header" => {
                response.remove_header("content-type")?;
                return Ok(Flow::Next);
            }
            "large-body" => {
                response.set_body("x".repeat((1 << 20) + 1));
                return Ok(Flow::Next);
            }
            "set-response-body" => {
                response.set_body("replaced by the probe");
                return Ok(Flow::Next);
            }
            _ => return Err(format!("no function {function} to probe in on_response").into()),
        };
        Ok(told(function, seen))
    }

    fn request_stream(&self, _: &Request) -> Result<Box<dyn Stream>> {
        Ok(self.stream())
    }

    fn response_stream(&self, _: &Request, _: &Response) -> Result<Box<dyn Stream>> {
        Ok(self.stream())
    }

    fn on_complete(&self, request: &Request, response: Option<&Response>) {
        let status = response.map_or(0, Response::status);
        metrics::count("completed", &[("status", &status.to_string())], 1);
        log::info!(id = request.id(), status = status; "probe completed");
    }
}

impl Probe {
    fn stream(&self) -> Box<dyn Stream> {
        Box::new(Chunks {
            tail: self.config.tail.clone(),
            keeps: self.config.keeps,
            careless: self.config.careless,
            kept: Vec::new(),
        })
    }

    /// A body that is held, with the configured tail.
    fn extended(&self, held: impl Fn() -> Option<Vec<u8>>) -> Option<Vec<u8>> {
        let tail = self.config.tail.as_deref()?;
        let mut body = held()?;
        body.extend_from_slice(tail.as_bytes());
        Some(body)
    }
}

/// Metrics that clash with each other or grow beyond all numbers, and names that could pass for something else.
fn clash(request: &mut Request) {
    metrics::count("clash", &[], 1);
    metrics::observe("clash", &[], 1.0);
    for end in ["total", "bucket", "sum", "count", "created"] {
        metrics::count(&format!("clash_{end}"), &[], 1);
        metrics::observe(&format!("clash_{end}"), &[], 1.0);
    }
    for value in [f64::MAX, f64::MAX, f64::NAN, f64::INFINITY] {
        metrics::observe("grown", &[("at", "a\\\"\n} 1")], value);
    }
    for _ in 0..2 {
        metrics::count("grown_full", &[], u64::MAX);
    }
    let fields = [("a=\"1\" plugin", "x"), ("sound.name", "y"), ("", "z")];
    log::line(Level::Warn, "it names fields", &fields);
    request.set_attribute("odd\":1,\"\n\u{202e}", "a\u{202e}\"");
}

/// Every edit that a request phase can make.
fn half(request: &mut Request) -> Result<()> {
    request.set_header("x-half", "left")?;
    request.append_header("x-probe", "left")?;
    request.remove_header("x-kept")?;
    request.set_method("PUT")?;
    request.set_path("/probe/left")?;
    request.set_body("left");
    request.set_attribute("half", "left");
    request.response().set_header("x-half", "left")?;
    request.response().set_status(418);
    Ok(())
}

/// A body on its way: in upper case, with an end that shows that it was seen; or with the configured tail alone.
struct Chunks {
    tail: Option<String>,
    /// How many bytes are kept back until more come.
    keeps: usize,
    careless: bool,
    kept: Vec<u8>,
}

/// Where a careless plugin keeps what belongs to one exchange.
static KEPT: Mutex<Vec<u8>> = Mutex::new(Vec::new());

impl Chunks {
    fn kept<T>(&mut self, act: impl FnOnce(&mut Vec<u8>) -> T) -> T {
        match self.careless {
            true => act(&mut KEPT.lock().unwrap_or_else(PoisonError::into_inner)),
            false => act(&mut self.kept),
        }
    }
}

impl Stream for Chunks {
    fn chunk(&mut self, _: &Request, mut chunk: Vec<u8>) -> Result<Vec<u8>> {
        if self.tail.is_none() {
            chunk.make_ascii_uppercase();
        }
        let keeps = self.keeps;
        Ok(self.kept(|kept| {
            kept.append(&mut chunk);
            let more = kept.len().saturating_sub(keeps);
            kept.drain(..more).collect()
        }))
    }

    fn end(&mut self, _: &Request, mut trailers: Trailers) -> Result<Ending> {
        let tail = self.tail.clone();
        let tail = tail.as_deref().unwrap_or("<last>");
        let mut rest = self.kept(std::mem::take);
        rest.extend_from_slice(tail.as_bytes());
        for (name, value) in &mut trailers {
            if name == "x-shout" {
                value.make_ascii_uppercase();
            }
        }
        Ok(Ending::from(trailers).chunk(rest))
    }
}

#[cfg(test)]
mod tests {
    use gateway_plugin_sdk::test::{Exchange, Gateway, Harness};

    use super::*;

    fn probe() -> Harness<Probe> {
        let echo = |request: &upstream::Request| Ok(Answer::new(200).text(request.path.clone()));
        Gateway::new()
            .secret("token", "s3cret")
            .upstream("echo", echo)
            .configure(json!({}))
            .unwrap()
    }

    #[test]
    fn every_function_of_the_contract_can_be_probed() {
        let wit = include_str!("../../../../wit/plugin.wit");
        let (imports, _) = wit.split_once("interface filter").unwrap();
        let functions = imports
            .lines()
            .filter_map(|line| line.trim().split_once(": func("))
            .map(|(name, _)| name);
        let probe = probe();
        let mut probed = 0;
        for function in functions {
            let paths = match function {
                "get" => vec!["state-get", "secret"],
                "set" => vec!["state-set"],
                "delete" => vec!["state-delete"],
                "increment" => vec!["state-increment"],
                "compare-and-swap" => vec!["state-compare-and-swap"],
                "status" | "response-header" | "response-headers" | "response-body"
                | "set-response-body" => {
                    let mut exchange = Exchange::get(&format!("/probe/response/{function}"))
                        .response(Answer::new(200));
                    probe.on_response(&mut exchange).unwrap();
                    vec![]
                }
                name => vec![name],
            };
            for path in paths {
                let mut exchange = Exchange::get(&format!("/probe/{path}"));
                probe
                    .on_request(&mut exchange)
                    .unwrap_or_else(|e| panic!("{path}: {e}"));
            }
            probed += 1;
        }
        assert_eq!(probed, 48, "the functions of the imported interfaces");
    }

    #[test]
    fn the_answer_says_what_was_seen() {
        let mut exchange = Exchange::get("/probe/secret");
        probe().on_request(&mut exchange).unwrap();
        assert_eq!(
            exchange.response_body().unwrap(),
            br#"{"function":"secret","saw":"s3cret"}"#
        );
    }
}
