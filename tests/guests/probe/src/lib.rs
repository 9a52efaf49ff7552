//! Calls every function of the plugin contract through the SDK and answers what it saw.
//!
//! `/probe/<function>` selects the function of `on_request`; the answer is JSON. `/probe/response/<function>` goes
//! on to the upstream and acts on the response. Streams, completion and configuration run on every exchange.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use gateway_plugin_sdk::limiter::{Algorithm, Decision};
use gateway_plugin_sdk::prelude::*;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

/// Calls of `on_request` that this instance has had.
static CALLS: AtomicU32 = AtomicU32::new(0);

/// What the probe is told.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The upstream of sub-requests and of `set-upstream`.
    #[serde(default = "echo")]
    upstream: String,
    /// The secret to ask for.
    #[serde(default = "token")]
    secret: String,
    /// The phases to ask for, by the names of the WIT; `request` and `response` by default.
    #[serde(default)]
    phases: Vec<Phase>,
}

#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum Phase {
    Request,
    RequestBody,
    Response,
    ResponseBody,
    RequestStream,
    ResponseStream,
    Complete,
}

fn echo() -> String {
    "echo".to_owned()
}

fn token() -> String {
    "token".to_owned()
}

/// The plugin.
#[derive(Debug)]
pub struct Probe {
    config: Config,
}

export!(Probe);

impl Plugin for Probe {
    type Config = Config;

    fn configure(config: Config) -> Result<Self, Vec<ConfigError>> {
        let mut faults = Vec::new();
        for (key, value) in [("upstream", &config.upstream), ("secret", &config.secret)] {
            if value.is_empty() {
                faults.push(ConfigError::new(key, "is empty; a name is wanted"));
            }
        }
        if faults.is_empty() {
            Ok(Self { config })
        } else {
            Err(faults)
        }
    }

    fn phases(&self) -> Phases {
        if self.config.phases.is_empty() {
            return Phases::REQUEST | Phases::RESPONSE;
        }
        self.config.phases.iter().fold(Phases::NONE, |all, phase| {
            all | match phase {
                Phase::Request => Phases::REQUEST,
                Phase::RequestBody => Phases::REQUEST_BODY,
                Phase::Response => Phases::RESPONSE,
                Phase::ResponseBody => Phases::RESPONSE_BODY,
                Phase::RequestStream => Phases::REQUEST_STREAM,
                Phase::ResponseStream => Phases::RESPONSE_STREAM,
                Phase::Complete => Phases::COMPLETE,
            }
        })
    }

    fn on_request(&self, request: &mut Request) -> Result {
        CALLS.fetch_add(1, Ordering::Relaxed);
        let path = request.path();
        let Some(function) = path.strip_prefix("/probe/") else {
            return Ok(Flow::Next);
        };
        match function {
            "next" => return Ok(Flow::Next),
            "fail" => return Err("the probe was asked to fail".into()),
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
        if forward(request, function, &self.config)? {
            return Ok(Flow::Next);
        }
        let seen = match facts(request, function) {
            Some(seen) => seen,
            None => self.beyond(function)?,
        };
        Ok(told(function, seen))
    }

    fn on_response(&self, request: &Request, response: &mut Response) -> Result {
        let path = request.path();
        let Some(function) = path.strip_prefix("/probe/response/") else {
            return Ok(Flow::Next);
        };
        let seen = match function {
            "try" => {
                let edit = Trial::read(request);
                return Ok(edit.end(function, edit.on_response(response)));
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

    fn on_request_chunk(&self, _: &Request, chunk: Vec<u8>, last: bool) -> Result<Vec<u8>> {
        Ok(stream(chunk, last))
    }

    fn on_response_chunk(
        &self,
        _: &Request,
        _: &Response,
        chunk: Vec<u8>,
        last: bool,
    ) -> Result<Vec<u8>> {
        Ok(stream(chunk, last))
    }

    fn on_complete(&self, request: &Request, response: Option<&Response>) {
        let status = response.map_or(0, Response::status);
        metrics::count("completed", &[("status", &status.to_string())], 1);
        log::info!(id = request.id(), status = status; "probe completed");
    }
}

/// What an answer says.
fn told(function: &str, seen: Value) -> Flow {
    Answer::new(200)
        .json(&json!({ "function": function, "saw": seen }))
        .into()
}

/// What comes of edits that no grant allows.
fn reserved_edits(request: &mut Request) -> Value {
    let names = [
        "host",
        "content-length",
        "transfer-encoding",
        "connection",
        "te",
        "upgrade",
        ":path",
        "a b",
    ];
    names
        .map(|n| json!([n, request.set_header(n, "x").map_err(|e| e.to_string())]))
        .into()
}

/// Upper case, and an end that shows that the last chunk was seen.
fn stream(mut chunk: Vec<u8>, last: bool) -> Vec<u8> {
    chunk.make_ascii_uppercase();
    if last {
        chunk.extend_from_slice(b"<last>");
    }
    chunk
}

/// Edits that only show upstream or in the response; false if `function` is none of them.
fn forward(request: &mut Request, function: &str, config: &Config) -> Result<bool> {
    match function {
        "set-request-header" => request.set_header("x-probe", "set")?,
        "append-request-header" => {
            request.append_header("x-probe", "one")?;
            request.append_header("x-probe", "two")?;
        }
        "remove-request-header" => request.remove_header("x-probe")?,
        "apply" => several_edits(request)?,
        "set-method" => request.set_method("PUT")?,
        "set-path" => request.set_path("/probed?by=probe")?,
        "set-upstream" => request.set_upstream(&config.upstream)?,
        "set-request-body" => request.set_body("replaced by the probe"),
        "set-status" => request.response().set_status(418),
        "set-response-header" => request.response().set_header("x-probe", "set")?,
        "append-response-header" => {
            request.response().append_header("x-probe", "one")?;
            request.response().append_header("x-probe", "two")?;
        }
        "remove-response-header" => request.response().remove_header("content-type")?,
        "set-attribute" => request.set_attribute("probe.left", "set"),
        _ => return Ok(false),
    }
    Ok(true)
}

/// One edit of the field `name` of the query, in the way that `by` names; on the request, or on the `of=response`.
struct Trial {
    name: String,
    by: String,
    of_response: bool,
}

impl Trial {
    fn read(request: &Request) -> Self {
        let query = |name| request.query_param(name).unwrap_or_default();
        Self {
            name: query("name"),
            by: query("by"),
            of_response: query("of") == "response",
        }
    }

    fn batch(&self) -> [Edit<'_>; 1] {
        [if self.of_response {
            Edit::set_response_header(&self.name, b"tried")
        } else {
            Edit::set_header(&self.name, b"tried")
        }]
    }

    fn on_request(&self, request: &mut Request) -> Result<(), HeaderError> {
        let name = &*self.name;
        if self.by == "batch" {
            return request.edit(&self.batch()).map_err(|error| error.why);
        }
        if self.of_response {
            let mut response = request.response();
            return match &*self.by {
                "append" => response.append_header(name, "tried"),
                "remove" => response.remove_header(name),
                _ => response.set_header(name, "tried"),
            };
        }
        match &*self.by {
            "append" => request.append_header(name, "tried"),
            "remove" => request.remove_header(name),
            _ => request.set_header(name, "tried"),
        }
    }

    fn on_response(&self, response: &mut Response) -> Result<(), HeaderError> {
        let name = &*self.name;
        match &*self.by {
            "append" => response.append_header(name, "tried"),
            "remove" => response.remove_header(name),
            "batch" => response.edit(&self.batch()).map_err(|error| error.why),
            _ => response.set_header(name, "tried"),
        }
    }

    /// An edit that was made shows where it belongs; one that was not is told.
    fn end(&self, function: &str, made: Result<(), HeaderError>) -> Flow {
        match made {
            Ok(()) => Flow::Next,
            Err(error) => told(function, json!(error.to_string())),
        }
    }
}

/// Edits are made in order up to the first that is refused, and that one is named.
fn several_edits(request: &mut Request) -> Result<()> {
    request.edit(&[
        Edit::set_header("x-probe", b"one"),
        Edit::append_header("x-probe", b"two"),
        Edit::remove_header("cookie"),
        Edit::set_response_header("x-probe", b"one"),
        Edit::append_response_header("X-Probe", b"two"),
        Edit::remove_response_header("content-type"),
        Edit::set_attribute("probe.left", "set"),
    ])?;
    let stopped = request.edit(&[
        Edit::set_header("x-before", b"made"),
        Edit::set_header("host", b"elsewhere"),
        Edit::set_header("x-after", b"not made"),
    ]);
    let at = stopped.map_err(|error| (error.at, error.why));
    if at == Err((1, HeaderError::Denied))
        && request.header_str("x-probe").as_deref() == Some("one")
        && request.header("cookie").is_none()
        && request.header_str("x-before").as_deref() == Some("made")
        && request.header("x-after").is_none()
        && request.attribute("probe.left").as_deref() == Some("set")
    {
        Ok(())
    } else {
        Err(format!(
            "stopped with {at:?} at fields {:?}",
            fields(request.headers())
        )
        .into())
    }
}

/// What the exchange says; `None` if `function` is none of its readers.
fn facts(request: &Request, function: &str) -> Option<Value> {
    Some(match function {
        "calls" => json!(CALLS.load(Ordering::Relaxed)),
        "id" => json!(request.id()),
        "route" => json!(request.route()),
        "client-address" => json!(request.client_address()),
        "scheme" => json!(request.scheme()),
        "authority" => json!(request.authority()),
        "method" => json!(request.method()),
        "path" => json!(request.path_and_query()),
        "path-param" => json!(request.path_param("name")),
        "query-param" => json!(request.query_param("q")),
        "client-certificate-subject" => json!(request.client_certificate_subject()),
        "request-header" => json!(request.header("x-probe")),
        "request-headers" => fields(request.headers()),
        "request-body" => json!(request.body().map(text)),
        "attribute" => {
            request.set_attribute("probe.left", "set");
            json!(request.attribute("probe.left"))
        }
        _ => return None,
    })
}

impl Probe {
    /// The interfaces beyond the exchange.
    fn beyond(&self, function: &str) -> Result<Value> {
        let hold = Some(Duration::from_secs(60));
        Ok(match function {
            "send" => sent(self.sub_request("/one").send()),
            "send-all" => {
                let requests = vec![self.sub_request("/one"), self.sub_request("/two")];
                upstream::send_all(requests).into_iter().map(sent).collect()
            }
            "state-get" => json!(state::get("probe")?.map(text)),
            "state-set" => json!(state::set("probe", "set", hold)?),
            "state-delete" => json!(state::delete("probe")?),
            "state-increment" => json!(state::increment("probe.number", 2, hold)?),
            "state-compare-and-swap" => {
                let missed =
                    state::compare_and_swap("probe.swap", Some(b"never"), "b", hold).is_err();
                state::delete("probe.swap")?;
                state::compare_and_swap("probe.swap", None, "a", hold)?;
                json!({ "missed": missed, "now": state::get("probe.swap")?.map(text) })
            }
            "acquire" => {
                let window = Duration::from_secs(60);
                let decide = |algorithm: Algorithm| -> Result<Value> {
                    let quota = Quota::new(algorithm, 2, window);
                    let key = format!("probe.{algorithm:?}");
                    Ok(decided(limiter::acquire(&key, quota, 1)?))
                };
                json!({
                    "token-bucket": decide(Algorithm::TokenBucket)?,
                    "sliding-window": decide(Algorithm::SlidingWindow)?,
                    "fixed-window": decide(Algorithm::FixedWindow)?,
                })
            }
            "log" => {
                log::warn!(probe = "field"; "probe logs");
                Value::Null
            }
            "count" => {
                metrics::count("probed", &[("by", "probe")], 3);
                Value::Null
            }
            "observe" => {
                metrics::observe("probe_seconds", &[("by", "probe")], 0.25);
                Value::Null
            }
            "secret" => json!(secrets::get(&self.config.secret)),
            _ => return Err(format!("no function {function} to probe in on_request").into()),
        })
    }

    fn sub_request(&self, path: &str) -> upstream::Request {
        upstream::Request::post(&*self.config.upstream, path)
            .header("x-probe", "sub-request")
            .body("body")
            .timeout(Duration::from_secs(2))
    }
}

fn sent(answer: Result<upstream::Response, upstream::Error>) -> Value {
    match answer {
        Ok(answer) => {
            json!({ "status": answer.status, "headers": fields(answer.headers), "body": text(answer.body) })
        }
        Err(error) => json!({ "error": error.to_string() }),
    }
}

fn decided(decision: Decision) -> Value {
    json!({
        "allowed": decision.allowed,
        "remaining": decision.remaining,
        "reset_ms": u64::try_from(decision.reset.as_millis()).unwrap_or(u64::MAX),
    })
}

fn fields(headers: Vec<(String, Vec<u8>)>) -> Value {
    headers
        .into_iter()
        .map(|(name, value)| json!([name, text(value)]))
        .collect()
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8_lossy(&bytes).into_owned()
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
        assert_eq!(probed, 44, "the functions of the imported interfaces");
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
