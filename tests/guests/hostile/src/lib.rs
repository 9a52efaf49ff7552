//! A plugin that misbehaves in the way its configuration names.

use std::time::Duration;

use gateway_plugin_sdk::prelude::*;
use gateway_plugin_sdk::{secrets, state, upstream};
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
    /// Behaves.
    Behave,
    /// Never returns.
    Loop,
    /// Never returns, where the query asks for it.
    LoopAsked,
    /// Never returns when the exchange is over.
    LoopInComplete,
    /// Sleeps past its timeout when the exchange is over.
    SleepInComplete,
    /// Never returns, and hands over thousands of edits at once all the while.
    LoopEditing,
    /// Hands over more edits at once than it may.
    HugeEdit,
    /// Leaves as many facts as it can, each as long as it may be.
    AttributeFlood,
    /// Sets as many fields as it can, each as long as it may be.
    FieldFlood,
    /// Edits a hundred thousand fields, each of another name.
    NameFlood,
    /// Never returns, and calls the host all the while.
    LoopCalling,
    /// Never returns, and sends sub-requests that are denied all the while.
    LoopDenied,
    /// A million calls of the host.
    MillionCalls,
    /// Takes all memory.
    Memory,
    /// Overflows the stack.
    Recursion,
    /// Panics when it is configured.
    PanicInConfigure,
    /// Panics when it is configured, save for the first time.
    PanicInLaterConfigure,
    /// Panics in the request phase.
    Panic,
    /// Panics in the response phase.
    PanicInResponse,
    /// Panics at the first chunk of the request body.
    PanicInRequestChunk,
    /// Panics at the first chunk of the response body.
    PanicInResponseChunk,
    /// Panics when the exchange is over.
    PanicInComplete,
    /// Sends a sub-request that takes a while when the exchange is over.
    WaitInComplete,
    /// Panics when it is dropped.
    PanicInDrop,
    /// Sleeps past its timeout.
    Sleep,
    /// Sends a sub-request that takes a while, then ends well.
    Wait,
    /// Writes a million lines to the log.
    LogFlood,
    /// Answers with a body that is larger than it may be.
    HugeAnswer,
    /// Fails with a text that is larger than it may be.
    HugeString,
    /// Answers with more fields than it may hand over.
    HugeList,
    /// Puts more in the place of a chunk than it may.
    HugeChunk,
    /// Sets request fields that are the gateway's, or that break the message.
    BadHeaders,
    /// Does so to the response, and in an answer of its own.
    BadAnswer,
    /// Hands over a list of edits that is none, of the shape that the query names.
    BadEdits,
    /// Asks an upstream that it was not granted.
    DeniedUpstream,
    /// Reads a secret that it was not granted.
    DeniedSecret,
    /// Sends a sub-request to its own route.
    Itself,
    /// Reads a key, also as it might be called in another plugin's namespace, and writes it.
    State,
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
        match config.act {
            Act::PanicInConfigure => unreachable!("told to panic in configure"),
            Act::PanicInLaterConfigure => {
                let times = state::increment("configured", 1, None);
                assert_eq!(times, Ok(1), "told to panic in a later configure");
            }
            _ => {}
        }
        Ok(Self { act: config.act })
    }

    fn wants(&self) -> Wants {
        let phases = match self.act {
            Act::PanicInResponse | Act::BadAnswer => Phases::RESPONSE,
            Act::PanicInRequestChunk => Phases::REQUEST_STREAM,
            Act::PanicInResponseChunk | Act::HugeChunk => Phases::RESPONSE_STREAM,
            Act::PanicInComplete
            | Act::WaitInComplete
            | Act::LoopInComplete
            | Act::SleepInComplete => Phases::COMPLETE,
            _ => Phases::REQUEST,
        };
        phases.into()
    }

    fn on_request(&self, request: &mut Request) -> Result {
        let text = match self.act {
            Act::Loop | Act::LoopCalling | Act::LoopDenied | Act::LoopEditing => loop {
                around(self.act, request);
            },
            Act::LoopAsked => {
                if request.query_param("loop").is_some() {
                    loop {
                        std::hint::black_box(0);
                    }
                }
                "asked".to_owned()
            }
            Act::HugeEdit => edit_attributes(request, 90_000),
            Act::AttributeFlood => attribute_flood(request),
            Act::FieldFlood => field_flood(request),
            Act::NameFlood => name_flood(request),
            Act::MillionCalls => {
                for _ in 0..1_000_000 {
                    std::hint::black_box(request.id());
                }
                "called".to_owned()
            }
            Act::Memory => {
                let mut taken = Vec::new();
                loop {
                    taken.push(std::hint::black_box(vec![1_u8; 1 << 18]));
                }
            }
            Act::Recursion => std::hint::black_box(descend(1)).to_string(),
            Act::Panic => unreachable!("told to panic in the request phase"),
            Act::Sleep => {
                std::thread::sleep(Duration::from_secs(3600));
                "slept".to_owned()
            }
            Act::Wait => format!(
                "{:?}",
                upstream::Request::get("origin", "/wait").send()?.status
            ),
            Act::LogFlood => {
                for _ in 0..1_000_000 {
                    log::info!("flood flood flood flood");
                }
                "logged".to_owned()
            }
            Act::HugeAnswer => "a".repeat(2 << 20),
            Act::HugeString => return Err("a".repeat(2 << 20).into()),
            Act::HugeList => {
                let answer = Answer::new(200);
                let add = |answer: Answer, _| answer.header("a", "b");
                return Ok((0..70_000).fold(answer, add).into());
            }
            Act::BadHeaders => bad_headers(request),
            Act::BadEdits => bad_edits(&request.query_param("shape").unwrap_or_default()),
            Act::DeniedUpstream => format!("{:?}", upstream::Request::get("secret", "/").send()),
            Act::DeniedSecret => format!("{:?}", (secrets::get("mine"), secrets::get("theirs"))),
            Act::Itself => match upstream::Request::get("itself", "/hostile").send() {
                Ok(answer) => format!("through {}", String::from_utf8_lossy(&answer.body)),
                Err(error) => format!("{error:?}"),
            },
            Act::State => keys(request)?,
            _ => return Ok(Flow::Next),
        };
        Ok(Answer::new(200).text(text).into())
    }

    fn on_response(&self, _: &Request, response: &mut Response) -> Result {
        if self.act == Act::BadAnswer {
            return Ok(bad_answer(response));
        }
        unreachable!("told to panic in the response phase")
    }

    fn request_stream(&self, _: &Request) -> Result<Box<dyn Stream>> {
        Ok(Box::new(Chunks(self.act)))
    }

    fn response_stream(&self, _: &Request, _: &Response) -> Result<Box<dyn Stream>> {
        Ok(Box::new(Chunks(self.act)))
    }

    fn on_complete(&self, _: &Request, _: Option<&Response>) {
        match self.act {
            Act::LoopInComplete => loop {
                std::hint::black_box(0);
            },
            Act::SleepInComplete => std::thread::sleep(Duration::from_secs(3600)),
            Act::WaitInComplete => {
                let waited = upstream::Request::get("origin", "/wait").send();
                log::info!(answered = waited.is_ok(); "waited when it was over");
            }
            _ => unreachable!("told to panic when it is over"),
        }
    }
}

struct Chunks(Act);

impl Stream for Chunks {
    fn chunk(&mut self, _: &Request, _: Vec<u8>) -> Result<Vec<u8>> {
        if self.0 == Act::HugeChunk {
            return Ok(vec![b'a'; 2 << 20]);
        }
        unreachable!("told to panic in a chunk")
    }
}

impl Drop for Hostile {
    fn drop(&mut self) {
        assert_ne!(self.act, Act::PanicInDrop, "told to panic in drop");
    }
}

const NAMES: [&str; 10] = [
    ":path",
    "transfer-encoding",
    "content-length",
    "connection",
    "keep-alive",
    "upgrade",
    "host",
    "a b",
    "a\r\nb",
    "a\0",
];
const VALUES: [&str; 4] = ["a\r\nb: c", "a\nb", "a\rb", "a\0b"];

/// What was under a key, by the names by which another plugin's might be reached, and then this route's name.
fn keys(request: &Request) -> Result<String> {
    let mut seen = Vec::new();
    for key in [
        "key",
        "one/key",
        "one:key",
        "one.key",
        "one\0key",
        "../one/key",
        "\0one\0key",
    ] {
        let value = state::get(key)?;
        seen.push(value.map(|value| String::from_utf8_lossy(&value).into_owned()));
    }
    state::set("key", request.route(), None)?;
    Ok(format!("{seen:?}"))
}

/// Which edits were made that must not be.
fn bad_headers(request: &mut Request) -> String {
    let mut made = Vec::new();
    for name in NAMES {
        let edits = [
            request.set_header(name, "x"),
            request.append_header(name, "x"),
            request.remove_header(name),
            request.response().set_header(name, "x"),
            request.response().append_header(name, "x"),
            request.response().remove_header(name),
            request
                .edit(&[Edit::set_header(name, b"x")])
                .map_err(|error| error.why),
            request
                .edit(&[Edit::remove_header(name)])
                .map_err(|error| error.why),
            request
                .edit(&[Edit::append_response_header(name, b"x")])
                .map_err(|error| error.why),
        ];
        made.extend(edits.iter().filter(|edit| edit.is_ok()).map(|_| name));
    }
    for value in VALUES {
        let edits = [
            request.set_header("x-fine", value),
            request.append_header("x-fine", value),
            request.response().set_header("x-fine", value),
            request
                .edit(&[Edit::append_header("x-fine", value.as_bytes())])
                .map_err(|error| error.why),
            request.set_path(&format!("/{value}")),
            request.set_method(value),
        ];
        made.extend(edits.iter().filter(|edit| edit.is_ok()).map(|_| value));
    }
    format!("made: {made:?}")
}

/// Calls the host as no SDK would.
#[cfg(target_arch = "wasm32")]
fn bad_edits(shape: &str) -> String {
    use gateway_plugin_sdk::__private::bindings::gateway::plugin::edits::apply;

    let (edits, text): (&[u32], &[u8]) = match shape {
        "no-three" => (&[0, 1], b"a"),
        "no-kind" => (&[7, 1, 1], b"ab"),
        "short-name" => (&[0, 4, 0], b"abc"),
        "short-value" => (&[0, 1, 3], b"abc"),
        "huge" => (&[0, u32::MAX, u32::MAX], b"abc"),
        // An attribute that is no text is refused and no more.
        _ => (&[6, 1, 1], b"a\xff"),
    };
    format!("{:?}", apply(edits, text).map_err(|error| error.at))
}

#[cfg(not(target_arch = "wasm32"))]
fn bad_edits(_: &str) -> String {
    unreachable!("only in the sandbox")
}

/// Once around in a loop.
fn around(act: Act, request: &mut Request) {
    match act {
        Act::LoopCalling => drop(std::hint::black_box(request.id())),
        Act::LoopDenied => {
            std::hint::black_box(upstream::Request::get("secret", "/").send().is_err());
        }
        Act::LoopEditing => drop(std::hint::black_box(edit_attributes(request, 4_000))),
        _ => {
            std::hint::black_box(0);
        }
    }
}

/// How many fields of other names were edited.
fn name_flood(request: &mut Request) -> String {
    let removed = (0..100_000).map(|name| request.remove_header(&format!("x-{name}")));
    format!("made: {}", removed.filter(|edit| edit.is_ok()).count())
}

/// So many edits of one of many attributes.
fn edit_attributes(request: &mut Request, count: usize) -> String {
    for number in 0..255 {
        request.set_attribute(&format!("fact.{number}"), "found");
    }
    let edits = (0..count).map(|number| match number % 2 {
        0 => Edit::set_attribute("fact", "even"),
        _ => Edit::set_attribute("fact", "odd"),
    });
    format!("{:?}", request.edit(&edits.collect::<Vec<_>>()))
}

/// How many bytes of facts there are in the end.
fn attribute_flood(request: &Request) -> String {
    let value = "a".repeat(64 << 10);
    let name = |number: usize| format!("fact.{number}");
    for number in 0..300 {
        request.set_attribute(&name(number), &value);
    }
    let left = (0..300).filter_map(|number| request.attribute(&name(number)));
    format!("left: {}", left.map(|value| value.len()).sum::<usize>())
}

/// How many bytes of fields there are in the end.
fn field_flood(request: &mut Request) -> String {
    let value = "a".repeat(64 << 10);
    let mut made = 0;
    for number in 0..150 {
        let name = format!("x-{number}");
        made += usize::from(request.set_header(&name, &value).is_ok());
        made += usize::from(request.response().set_header(&name, &value).is_ok());
    }
    for number in 0..150 {
        let _removed = request.response().remove_header(&format!("x-{number}"));
    }
    format!("left: {}", made * value.len())
}

/// An answer with everything that must not be in one, and its body says which edits were made before.
fn bad_answer(response: &mut Response) -> Flow {
    let mut made = Vec::new();
    let names = NAMES.iter().map(|name| (*name, "x"));
    let edits = names.chain(VALUES.iter().map(|value| ("x-fine", *value)));
    let mut answer = Answer::new(200);
    for (name, value) in edits {
        if response.set_header(name, value).is_ok() || response.append_header(name, value).is_ok() {
            made.push((name, value));
        }
        answer = answer.header(name, value);
    }
    answer.text(format!("made: {made:?}")).into()
}

#[expect(unconditional_recursion, reason = "the point of it")]
fn descend(depth: u64) -> u64 {
    let local = std::hint::black_box([depth; 64]);
    descend(depth + 1) + local[7]
}
