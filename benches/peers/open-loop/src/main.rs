//! Sends HTTP/1.1 requests at a fixed rate, whether or not earlier ones are answered, and times each from the moment it
//! was due: a proxy that stalls is charged for everybody who had to wait.
//!
//! One thread per connection, because a thread's sleep is exact to microseconds and an event loop's to a millisecond.

use std::env;
use std::fs;
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

mod exchange;

use exchange::{Connection, Failure};

const USAGE: &str =
    "usage: open-loop ADDRESS PATH REQUESTS_PER_SECOND CONNECTIONS SECONDS ['NAME: VALUE']...";
/// How long after the end overdue requests may still go out.
const OVERTIME: Duration = Duration::from_secs(1);

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let Some(plan) = Plan::read(&arguments) else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    // Else the kernel lets every sleep end up to 50 µs late. The threads inherit it.
    if let Err(error) = fs::write(format!("/proc/{}/timerslack_ns", std::process::id()), "1") {
        eprintln!("timers are exact to 50 µs only: {error}");
    }
    let start = Instant::now() + Duration::from_millis(100);
    let tallies: Vec<Tally> = thread::scope(|scope| {
        let threads: Vec<_> = (0..plan.connections)
            .map(|index| {
                let plan = &plan;
                scope.spawn(move || plan.run(index, start))
            })
            .collect();
        threads
            .into_iter()
            .filter_map(|thread| thread.join().ok())
            .collect()
    });
    println!("{}", report(tallies, start.elapsed()));
    ExitCode::SUCCESS
}

struct Plan {
    address: String,
    request: Vec<u8>,
    rate: f64,
    connections: u32,
    length: Duration,
}

/// What one connection saw. Latencies in nanoseconds.
#[derive(Default)]
struct Tally {
    latencies: Vec<u64>,
    failed: u64,
    refused: u64,
    unsent: u64,
}

impl Plan {
    fn read(arguments: &[String]) -> Option<Self> {
        let [address, path, rate, connections, seconds, headers @ ..] = arguments else {
            return None;
        };
        let mut request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\n");
        for header in headers {
            request.push_str(header);
            request.push_str("\r\n");
        }
        request.push_str("\r\n");
        let plan = Self {
            address: address.clone(),
            request: request.into_bytes(),
            rate: rate.parse().ok()?,
            connections: connections.parse().ok()?,
            length: Duration::try_from_secs_f64(seconds.parse().ok()?).ok()?,
        };
        (plan.rate > 0.0 && plan.connections > 0).then_some(plan)
    }

    /// Each connection has its own even share of the moments.
    fn run(&self, index: u32, start: Instant) -> Tally {
        let period = Duration::from_secs_f64(f64::from(self.connections) / self.rate);
        let end = start + self.length;
        let mut due = start + period * index / self.connections;
        let mut tally = Tally::default();
        let mut connection = Connection::new(&self.address);
        while due < end {
            let now = Instant::now();
            if now > end + OVERTIME {
                tally.unsent += 1;
            } else {
                thread::sleep(due.saturating_duration_since(now));
                match connection.exchange(&self.request) {
                    Ok(()) => tally.latencies.push(nanoseconds(due.elapsed())),
                    Err(Failure::Status) => tally.refused += 1,
                    Err(Failure::Connection) => tally.failed += 1,
                }
            }
            due += period;
        }
        tally
    }
}

fn nanoseconds(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}

/// One line of JSON.
fn report(tallies: Vec<Tally>, took: Duration) -> String {
    let mut latencies = Vec::new();
    let (mut failed, mut refused, mut unsent) = (0, 0, 0);
    for tally in tallies {
        latencies.extend(tally.latencies);
        failed += tally.failed;
        refused += tally.refused;
        unsent += tally.unsent;
    }
    latencies.sort_unstable();
    let at = |per_mille: usize| {
        let index = (latencies.len() * per_mille / 1000).min(latencies.len().saturating_sub(1));
        latencies.get(index).copied().unwrap_or(0) as f64 / 1000.0
    };
    format!(
        concat!(
            r#"{{"requests":{},"failed":{},"refused":{},"unsent":{},"seconds":{:.3},"#,
            r#""p50_us":{:.1},"p99_us":{:.1},"p999_us":{:.1},"max_us":{:.1}}}"#
        ),
        latencies.len(),
        failed,
        refused,
        unsent,
        took.as_secs_f64(),
        at(500),
        at(990),
        at(999),
        at(1000),
    )
}
