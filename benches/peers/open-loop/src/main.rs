//! Sends HTTP/1.1 requests at a fixed rate, whether or not earlier ones are answered, and times each from the moment it
//! was due: a proxy that stalls is charged for everybody who had to wait.

use std::env;
use std::process::ExitCode;
use std::time::Duration;

mod connection;
mod schedule;

use schedule::{Plan, Tally};

const USAGE: &str =
    "usage: open-loop ADDRESS PATH REQUESTS_PER_SECOND CONNECTIONS SECONDS ['NAME: VALUE']...";

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let Some(plan) = read(&arguments) else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    match plan.run() {
        Ok(tally) => {
            println!("{}", report(tally, plan.length));
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{}: {error}", plan.address);
            ExitCode::FAILURE
        }
    }
}

fn read(arguments: &[String]) -> Option<Plan> {
    let [address, path, rate, connections, seconds, headers @ ..] = arguments else {
        return None;
    };
    let mut request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\n");
    for header in headers {
        request.push_str(header);
        request.push_str("\r\n");
    }
    request.push_str("\r\n");
    let plan = Plan {
        address: address.clone(),
        request: request.into_bytes(),
        rate: rate.parse().ok()?,
        connections: connections.parse().ok()?,
        length: Duration::try_from_secs_f64(seconds.parse().ok()?).ok()?,
    };
    (plan.rate > 0.0 && plan.connections > 0).then_some(plan)
}

/// One line of JSON.
fn report(tally: Tally, length: Duration) -> String {
    let mut latencies = tally.latencies;
    latencies.sort_unstable();
    let at = |per_mille: usize| {
        let index = (latencies.len() * per_mille / 1000).min(latencies.len().saturating_sub(1));
        let latency = latencies.get(index).copied().unwrap_or_default();
        latency.as_secs_f64() * 1e6
    };
    format!(
        concat!(
            r#"{{"requests":{},"failed":{},"refused":{},"unsent":{},"seconds":{:.3},"#,
            r#""p50_us":{:.1},"p99_us":{:.1},"p999_us":{:.1},"max_us":{:.1}}}"#
        ),
        latencies.len(),
        tally.failed,
        tally.refused,
        tally.unsent,
        (length + tally.overtime).as_secs_f64(),
        at(500),
        at(990),
        at(999),
        at(1000),
    )
}
