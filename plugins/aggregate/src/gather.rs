//! Fetches the parts wave by wave, inside one deadline, and says what became of each.

use std::time::{Duration, SystemTime};

use gateway_plugin_sdk::json::Node;
use gateway_plugin_sdk::{Answer, Request, clock, log, metrics, upstream};

use crate::part::{Part, Sent};

/// What is kept of the time that the gateway gives the plugin, to make a document of what came: a tenth, and so much at
/// most.
const RESERVE: Duration = Duration::from_millis(100);

/// What became of a part.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// What is used of its answer.
    Whole(Node),
    /// It answered that there is nothing.
    Empty,
    /// There is none; the word is the reason.
    Missing(&'static str),
}

/// Why a part is missing: the word for metrics and reports, the status that it answered, the rest for the log.
struct Missing {
    reason: &'static str,
    status: Option<u16>,
    detail: String,
}

/// Fetches every part; what became of them, in the order of the parts. Those that are missing are optional or have a
/// fallback.
///
/// # Errors
/// What the client gets where a required part is missing. It ends the others at once.
pub(crate) fn gather(
    parts: &[Part],
    waves: &[Vec<usize>],
    deadline: Duration,
    client: &Request,
) -> Result<Vec<Outcome>, Answer> {
    let mut gathering = Gathering {
        parts,
        client,
        sent: Sent::of(client, parts),
        bodies: vec![None; parts.len()],
        outcomes: parts.iter().map(|_| None).collect(),
    };
    gathering.foresee(None)?;
    // One wave has the whole deadline: the clock is not read.
    let started = (waves.len() > 1).then(clock::now);
    for wave in waves {
        let left = started.map_or(deadline, |started| remaining(started, deadline));
        gathering.fetch(wave, left.min(within_call(client.call_remaining())))?;
    }
    // Every part is in exactly one wave.
    Ok(gathering.outcomes.into_iter().flatten().collect())
}

fn remaining(started: SystemTime, deadline: Duration) -> Duration {
    // A clock that went back has used up nothing.
    let used = clock::now().duration_since(started).unwrap_or_default();
    deadline.saturating_sub(used)
}

/// How long parts may take so that there is an answer before the gateway ends the plugin.
fn within_call(left: Duration) -> Duration {
    left - (left / 10).min(RESERVE)
}

/// What is there so far.
struct Gathering<'a> {
    parts: &'a [Part],
    client: &'a Request,
    sent: Sent,
    /// Whole, of the parts that others refer to.
    bodies: Vec<Option<Node>>,
    outcomes: Vec<Option<Outcome>>,
}

impl Gathering<'_> {
    /// Sends the parts of a wave at once, and takes their answers as they come.
    fn fetch(&mut self, wave: &[usize], left: Duration) -> Result<(), Answer> {
        let mut requests = Vec::with_capacity(wave.len());
        let mut waiting = Vec::with_capacity(wave.len());
        for &index in wave {
            if self.outcomes[index].is_some() {
                continue;
            }
            match self.request(index, left) {
                Ok(request) => {
                    requests.push(request);
                    waiting.push(index);
                }
                Err(missing) => {
                    self.miss(index, &missing)?;
                    self.foresee(Some(index))?;
                }
            }
        }
        // Where one ends it all, those under way are given up.
        for (place, answer) in upstream::as_they_come(requests) {
            let index = waiting[place];
            let answer = answer.map_err(|error| Missing::from(&error));
            match answer.and_then(|answer| self.read(index, answer)) {
                Ok(outcome) => self.outcomes[index] = Some(outcome),
                Err(missing) => self.miss(index, &missing)?,
            }
            self.foresee(Some(index))?;
        }
        Ok(())
    }

    /// What became of a part, or what the client sent, may leave others without what they need: those are missing now, not when
    /// their turn comes.
    fn foresee(&mut self, settled: Option<usize>) -> Result<(), Answer> {
        let parts = self.parts;
        for (index, part) in parts.iter().enumerate() {
            let mut needs = part.needs();
            let is_concerned = match settled {
                Some(settled) => needs.any(|need| need == settled),
                None => needs.next().is_some(),
            };
            if !is_concerned || self.outcomes[index].is_some() {
                continue;
            }
            let outcomes = &self.outcomes;
            let known = |part: usize| outcomes[part].is_some();
            if let Err(unfilled) = part.foresee(self.client, &mut self.bodies, known) {
                self.miss(index, &Missing::new("no-value", unfilled.to_string()))?;
                self.foresee(Some(index))?;
            }
        }
        Ok(())
    }

    fn request(&mut self, index: usize, left: Duration) -> Result<upstream::Request, Missing> {
        if left.is_zero() {
            let detail = "the deadline had passed before it was sent";
            return Err(Missing::new("timeout", detail));
        }
        let part = &self.parts[index];
        let request = part.request(self.client, &self.sent, &mut self.bodies);
        let request = request.map_err(|unfilled| Missing::new("no-value", unfilled.to_string()))?;
        let timeout = part.timeout.map_or(left, |timeout| timeout.min(left));
        Ok(request.timeout(timeout))
    }

    /// What is used of an answer. Its whole body is kept for parts that refer to it.
    fn read(&mut self, index: usize, answer: upstream::Response) -> Result<Outcome, Missing> {
        let part = &self.parts[index];
        match answer.status {
            // Nothing, and on purpose (RFC 9110, sections 15.3.5 and 15.3.6).
            204 | 205 => return Ok(Outcome::Empty),
            // A part of the document is no document.
            200..=299 if answer.status != 206 => {}
            status => {
                return Err(Missing {
                    reason: "status",
                    status: Some(status),
                    detail: format!("it answered {status}"),
                });
            }
        }
        // A byte order mark is no JSON, and ignored (RFC 8259, section 8.1).
        let text = answer.body.strip_prefix(b"\xef\xbb\xbf");
        let node = Node::parse(text.unwrap_or(&answer.body))
            .map_err(|why| Missing::new("not-json", why.to_string()))?;
        let whole = part.is_needed.then(|| node.clone());
        let value = part
            .fields
            .of(node)
            .ok_or_else(|| Missing::new("no-field", "its answer has nothing of what to take"))?;
        if part.into.is_none() && !value.is_object() {
            let detail = "its answer is no object, so it has no place at the top of the document";
            return Err(Missing::new("no-object", detail));
        }
        self.bodies[index] = whole;
        Ok(Outcome::Whole(value))
    }

    /// A part is missing: its fallback stands in, or there is no answer without it.
    fn miss(&mut self, index: usize, missing: &Missing) -> Result<(), Answer> {
        let part = &self.parts[index];
        tell(part, missing);
        if part.required && part.fallback.is_none() {
            return Err(refusal(part, missing));
        }
        self.bodies[index] = part.fallback.clone().filter(|_| part.is_needed);
        self.outcomes[index] = Some(Outcome::Missing(missing.reason));
        Ok(())
    }
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
