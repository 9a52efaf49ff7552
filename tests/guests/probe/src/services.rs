//! The interfaces beyond the exchange: upstreams, state, limiter, logs, metrics, secrets.

use std::time::Duration;

use gateway_plugin_sdk::limiter::{Algorithm, Decision};
use gateway_plugin_sdk::prelude::*;
use serde_json::{Value, json};

use crate::config::Config;
use crate::shown::{fields, text};

/// Calls a function of an interface beyond the exchange; what came of it.
pub(crate) fn call(config: &Config, function: &str) -> Result<Value> {
    let hold = Some(Duration::from_secs(60));
    Ok(match function {
        "send" => sent(sub_request(config, "/one").send()),
        "send-all" => {
            let requests = vec![sub_request(config, "/one"), sub_request(config, "/two")];
            upstream::send_all(requests).into_iter().map(sent).collect()
        }
        "start-all" => {
            drop(upstream::as_they_come(vec![sub_request(config, "/never")]));
            let requests = ["/one", "/two"].map(|path| sub_request(config, path));
            let requests = requests.map(|request| request.host("probe.example"));
            let answers = upstream::as_they_come(requests.into());
            let mut answers: Vec<_> = answers.map(|(at, answer)| (at, sent(answer))).collect();
            answers.sort_unstable_by_key(|(at, _)| *at);
            json!(answers)
        }
        "next-answer" => {
            let mut answers = upstream::as_they_come(vec![sub_request(config, "/one")]);
            json!(answers.next().map(|(_, answer)| sent(answer)))
        }
        "state-get" => json!(state::get("probe")?.map(text)),
        "state-set" => json!(state::set("probe", "set", hold)?),
        "state-delete" => json!(state::delete("probe")?),
        "state-increment" => json!(state::increment("probe.number", 2, hold)?),
        "state-compare-and-swap" => {
            let missed = state::compare_and_swap("probe.swap", Some(b"never"), "b", hold).is_err();
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
        "secret" => json!(secrets::get(&config.secret)),
        _ => return Err(format!("no function {function} to probe in on_request").into()),
    })
}

fn sub_request(config: &Config, path: &str) -> upstream::Request {
    upstream::Request::post(&*config.upstream, path)
        .header("x-probe", "sub-request")
        .body("body")
        .timeout(Duration::from_secs(2))
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
