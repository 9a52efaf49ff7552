//! Fetches the parts wave by wave, inside one deadline, and says what became of each.

use std::time::{Duration, SystemTime};

use gateway_plugin_sdk::json::Node;
use gateway_plugin_sdk::{Answer, Request, clock, log, metrics, upstream};

use crate::part::Part;

/// What became of a part.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// What is used of its answer.
    Whole(Node),
    /// There is none; the word is the reason.
    Missing(&'static str),
}

/// What became of all of them.
#[derive(Debug)]
pub(crate) enum Gathered {
    /// In the order of the parts. Those that are missing are optional or have a fallback.
    All(Vec<Outcome>),
    /// What the client gets instead.
    RequiredMissing(Answer),
}

/// Why a part is missing: the word for metrics and reports, the status that it answered, the rest for the log.
struct Missing {
    reason: &'static str,
    status: Option<u16>,
    detail: String,
}

/// Fetches every part.
pub(crate) fn gather(
    parts: &[Part],
    waves: &[Vec<usize>],
    deadline: Duration,
    client: &Request,
) -> Gathered {
    let passed = passed_headers(parts, client);
    // One wave has the whole deadline: the clock is not read.
    let started = (waves.len() > 1).then(clock::now);
    let mut bodies: Vec<Option<Node>> = vec![None; parts.len()];
    let mut outcomes: Vec<Option<Outcome>> = parts.iter().map(|_| None).collect();
    for wave in waves {
        let left = started.map_or(deadline, |started| remaining(started, deadline));
        let answers = send(parts, wave, left, client, &passed, &mut bodies);
        for (&index, answer) in wave.iter().zip(answers) {
            let part = &parts[index];
            let read = answer.and_then(|answer| read(part, answer, &mut bodies[index]));
            outcomes[index] = Some(match read {
                Ok(value) => Outcome::Whole(value),
                Err(missing) => {
                    tell(part, &missing);
                    if part.required && part.fallback.is_none() {
                        return Gathered::RequiredMissing(refusal(part, &missing));
                    }
                    bodies[index] = part.fallback.clone().filter(|_| part.is_needed);
                    Outcome::Missing(missing.reason)
                }
            });
        }
    }
    // Every part is in exactly one wave.
    Gathered::All(outcomes.into_iter().flatten().collect())
}

/// The fields of the client's request, if a part passes any on: one call for all parts.
fn passed_headers(parts: &[Part], client: &Request) -> Vec<(String, Vec<u8>)> {
    if parts.iter().all(|part| part.passed.is_empty()) {
        return Vec::new();
    }
    client.headers()
}

fn remaining(started: SystemTime, deadline: Duration) -> Duration {
    // A clock that went back has used up nothing.
    let used = clock::now().duration_since(started).unwrap_or_default();
    deadline.saturating_sub(used)
}

/// Sends the parts of a wave at once; their answers in the order of the wave.
fn send(
    parts: &[Part],
    wave: &[usize],
    left: Duration,
    client: &Request,
    passed: &[(String, Vec<u8>)],
    bodies: &mut [Option<Node>],
) -> Vec<Result<upstream::Response, Missing>> {
    let mut requests = Vec::with_capacity(wave.len());
    let refused: Vec<Option<Missing>> = wave
        .iter()
        .map(|&index| {
            let part = &parts[index];
            if left.is_zero() {
                return Some(Missing::new(
                    "timeout",
                    "the deadline had passed before it was sent",
                ));
            }
            match part.request(client, passed, bodies) {
                Ok(request) => {
                    let timeout = part.timeout.map_or(left, |timeout| timeout.min(left));
                    requests.push(request.timeout(timeout));
                    None
                }
                Err(unfilled) => Some(Missing::new("no-value", unfilled.to_string())),
            }
        })
        .collect();
    let answers = if requests.is_empty() {
        Vec::new()
    } else {
        upstream::send_all(requests)
    };
    let mut answers = answers.into_iter();
    refused
        .into_iter()
        .map(|refused| match refused {
            Some(missing) => Err(missing),
            None => answers
                .next()
                .unwrap_or_else(|| Err(upstream::Error::Protocol("no answer came".to_owned())))
                .map_err(|error| Missing::from(&error)),
        })
        .collect()
}

/// What is used of an answer. Its whole body is kept for parts that refer to it.
fn read(part: &Part, answer: upstream::Response, body: &mut Option<Node>) -> Result<Node, Missing> {
    if !answer.is_success() {
        return Err(Missing {
            reason: "status",
            status: Some(answer.status),
            detail: format!("it answered {}", answer.status),
        });
    }
    let node =
        Node::parse(&answer.body).map_err(|why| Missing::new("not-json", why.to_string()))?;
    let whole = part.is_needed.then(|| node.clone());
    let value = part
        .fields
        .of(node)
        .ok_or_else(|| Missing::new("no-field", "its answer has nothing of what to take"))?;
    if part.into.is_none() && !value.is_object() {
        let detail = "its answer is no object, so it has no place at the top of the document";
        return Err(Missing::new("no-object", detail));
    }
    *body = whole;
    Ok(value)
}

/// Logs and counts a missing part.
fn tell(part: &Part, missing: &Missing) {
    let (name, reason, detail) = (&part.name, missing.reason, &missing.detail);
    metrics::count("parts_missing", &[("part", name), ("reason", reason)], 1);
    let upstream = &part.upstream;
    match reason {
        "denied" => log::error!(part = name, upstream = upstream;
            "part `{name}` is missing: add `{upstream}` to grants.upstreams of this plugin"),
        "unknown-upstream" => log::error!(part = name, upstream = upstream;
            "part `{name}` is missing: the configuration has no [upstreams.{upstream}]"),
        _ => log::warn!(part = name, upstream = upstream, reason = reason;
            "part `{name}` is missing: {detail}"),
    }
}

/// What the client gets when a required part is missing.
fn refusal(part: &Part, missing: &Missing) -> Answer {
    let own = missing
        .status
        .filter(|status| part.pass_status && (400..600).contains(status));
    let (status, title) = match own {
        Some(status) => (status, "A required part refused"),
        None if missing.reason == "timeout" => (504, "Gateway Timeout"),
        None => (502, "Bad Gateway"),
    };
    let detail = format!("The part `{}` is missing: {}.", part.name, missing.reason);
    Answer::new(status).problem(title, &detail)
}

impl Missing {
    fn new(reason: &'static str, detail: impl Into<String>) -> Self {
        Self {
            reason,
            status: None,
            detail: detail.into(),
        }
    }
}

impl From<&upstream::Error> for Missing {
    fn from(error: &upstream::Error) -> Self {
        let reason = match error {
            upstream::Error::Denied => "denied",
            upstream::Error::UnknownUpstream => "unknown-upstream",
            upstream::Error::Timeout => "timeout",
            upstream::Error::Connect(_) => "unreachable",
            upstream::Error::BodyTooLarge => "too-large",
            upstream::Error::Protocol(_) => "protocol",
            upstream::Error::LoopDetected => "loop",
        };
        Self::new(reason, error.to_string())
    }
}
