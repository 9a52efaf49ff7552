//! A plugin that misbehaves in the way its configuration names.

use std::time::Duration;

use gateway_plugin_sdk::prelude::*;
use gateway_plugin_sdk::upstream;
use schemars::JsonSchema;
use serde::Deserialize;

/// What this guest is told.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// What it does.
    act: Act,
}

/// The ways to misbehave.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Act {
    /// Never returns.
    Loop,
    /// Never returns, and calls the host all the while.
    LoopCalling,
    /// A million calls of the host.
    MillionCalls,
    /// Takes all memory.
    Memory,
    /// Overflows the stack.
    Recursion,
    /// Panics in the request phase.
    Panic,
    /// Panics in the response phase.
    PanicInResponse,
    /// Panics when the exchange is over.
    PanicInComplete,
    /// Sleeps past its timeout.
    Sleep,
    /// Writes a million lines to the log.
    LogFlood,
    /// Answers with more than it may.
    HugeAnswer,
    /// Sets fields that are the gateway's, or that break the message.
    BadHeaders,
    /// Asks an upstream that it was not granted.
    DeniedUpstream,
}

/// The plugin.
#[derive(Debug)]
pub struct Hostile {
    act: Act,
}

export!(Hostile);

impl Plugin for Hostile {
    type Config = Config;

    fn configure(config: Config) -> Result<Self, Vec<ConfigError>> {
        Ok(Self { act: config.act })
    }

    fn phases(&self) -> Phases {
        match self.act {
            Act::PanicInResponse => Phases::RESPONSE,
            Act::PanicInComplete => Phases::COMPLETE,
            _ => Phases::REQUEST,
        }
    }

    fn on_request(&self, request: &mut Request) -> Result {
        match self.act {
            Act::Loop => loop {
                std::hint::black_box(0);
            },
            Act::LoopCalling => loop {
                std::hint::black_box(request.id());
            },
            Act::MillionCalls => {
                for _ in 0..1_000_000 {
                    std::hint::black_box(request.id());
                }
            }
            Act::Memory => {
                let mut taken = Vec::new();
                loop {
                    taken.push(std::hint::black_box(vec![1_u8; 1 << 20]));
                }
            }
            Act::Recursion => {
                std::hint::black_box(descend(1));
            }
            Act::Panic => unreachable!("told to panic in the request phase"),
            Act::Sleep => std::thread::sleep(Duration::from_secs(3600)),
            Act::LogFlood => {
                for _ in 0..1_000_000 {
                    log::info!("flood flood flood flood");
                }
            }
            Act::HugeAnswer => {
                return Ok(Answer::new(200).text("a".repeat(12 << 20)).into());
            }
            Act::BadHeaders => return Ok(bad_headers(request)),
            Act::DeniedUpstream => {
                let sent = upstream::Request::get("secret", "/").send();
                return Ok(Answer::new(200).text(format!("{sent:?}")).into());
            }
            Act::PanicInResponse | Act::PanicInComplete => {}
        }
        Ok(Flow::Next)
    }

    fn on_response(&self, _: &Request, _: &mut Response) -> Result {
        unreachable!("told to panic in the response phase")
    }

    fn on_complete(&self, _: &Request, _: Option<&Response>) {
        unreachable!("told to panic when it is over")
    }
}

/// What became of edits that must not be made.
fn bad_headers(request: &mut Request) -> Flow {
    let names = [
        ":path",
        "transfer-encoding",
        "content-length",
        "connection",
        "host",
        "a b",
        "a\r\nb",
    ];
    let mut made: Vec<&str> = names
        .into_iter()
        .filter(|name| request.set_header(name, "x").is_ok())
        .collect();
    for value in ["a\r\nb: c", "a\nb", "a\0b"] {
        if request.set_header("x-fine", value).is_ok()
            || request.response().set_header("x-fine", value).is_ok()
        {
            made.push(value);
        }
    }
    Answer::new(200).text(format!("made: {made:?}")).into()
}

#[expect(unconditional_recursion, reason = "the point of it")]
fn descend(depth: u64) -> u64 {
    let local = std::hint::black_box([depth; 64]);
    descend(depth + 1) + local[7]
}
