//! Many rounds of every way to misbehave. After them: memory is where it was, the instances are gone, the log and the
//! metrics say what happened, and the neighbour was served all the while.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::kinds::{self, Client, Kind};
use super::{assert_host_is_sound, budget, component, config, failures, gateway, point_at_itself};
use crate::harness::http::send;
use crate::harness::{Gateway, Origin, get};

/// How many rounds.
#[derive(Clone, Copy)]
pub(super) struct Rounds {
    /// After these, what the process keeps is there.
    pub(super) early: u64,
    pub(super) all: u64,
    /// What a request of the neighbour may take: the median, and twice that the 99th percentile.
    pub(super) neighbour: Duration,
}

/// A neighbour is served, however loaded the machine is; how well is a matter for `soak`.
const SERVED: Duration = Duration::from_secs(1);

/// In every test run: what leaks a page of memory or an instance shows. `soak` has more.
const FEW: Rounds = Rounds {
    early: 100,
    all: 300,
    neighbour: SERVED,
};

/// How many requests of the neighbour go between them, at least.
const NEIGHBOURS: u64 = 125;

/// Of what uses much of its worker, of which it has a quarter.
const FEWER: Rounds = Rounds {
    early: 40,
    all: 125,
    neighbour: SERVED,
};

fn run_few(kinds: &[Kind]) {
    for kind in kinds {
        run(kind, FEW);
    }
}

#[test]
fn processor_time_and_host_calls() {
    for kind in kinds::PROCESSOR_TIME_AND_HOST_CALLS {
        run(kind, FEWER);
    }
}

#[test]
fn floods() {
    for kind in kinds::FLOODS {
        run(kind, FEWER);
    }
}

#[test]
fn wall_time() {
    run_few(kinds::WALL_TIME);
}

#[test]
fn memory_tables_and_stack() {
    run_few(kinds::MEMORY_TABLES_AND_STACK);
}

#[test]
fn traps() {
    run_few(kinds::TRAPS);
}

#[test]
fn more_than_may_be_handed_over() {
    run_few(kinds::HANDED_OVER);
}

#[test]
fn what_is_denied() {
    run_few(kinds::DENIED);
}

/// Requests of a kind, several at once, with requests of the neighbour in between.
struct Load<'a> {
    gateway: &'a Gateway,
    kind: &'a Kind,
    /// After so many rounds the neighbour asks.
    neighbour_after: u64,
    /// How long the neighbour's requests took.
    neighbour: Mutex<Vec<Duration>>,
}

impl Load<'_> {
    /// Resident memory after so many rounds.
    fn rounds(&self, count: u64) -> u64 {
        let public = self.gateway.listener("public");
        // What sleeps costs nothing but time.
        let at_once = if self.kind.act == "sleep" { 32 } else { 4 };
        let left = AtomicU64::new(count);
        let take = || {
            left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
                left.checked_sub(1)
            })
        };
        std::thread::scope(|scope| {
            for _ in 0..at_once {
                scope.spawn(|| {
                    while let Ok(left) = take() {
                        self.round(public);
                        if left.is_multiple_of(self.neighbour_after) {
                            let began = Instant::now();
                            assert_eq!(get(public, "/neighbour", &[]).status, 200);
                            self.neighbour.lock().unwrap().push(began.elapsed());
                        }
                    }
                });
            }
        });
        self.gateway.resident()
    }

    fn round(&self, public: std::net::SocketAddr) {
        let act = self.kind.act;
        let answer = send(public, "POST", "/hostile", &[], b"some bytes");
        match self.kind.client {
            Client::Status(status) => {
                assert_eq!(
                    answer.status,
                    status,
                    "{act}: {}\n{}",
                    answer.text(),
                    self.gateway.text()
                );
            }
            Client::Broken => assert!(!answer.text().contains("path"), "{act}: {}", answer.text()),
        }
    }
}

pub(super) fn run(kind: &Kind, rounds: Rounds) {
    let origin = Origin::start();
    let act = kind.act;
    let gateway = match act {
        "table" => component::gateway(&origin, component::TABLE_BOMB, kind.plugin),
        "stack" => component::gateway(&origin, component::STACK_BOMB, kind.plugin),
        _ => gateway(&origin, act, kind.plugin),
    };
    if act == "itself" {
        point_at_itself(&gateway, &origin);
    }
    let load = Load {
        gateway: &gateway,
        kind,
        neighbour_after: rounds.all / NEIGHBOURS,
        neighbour: Mutex::default(),
    };
    let excuses = budget::Excuses::of(&gateway);
    let early = load.rounds(rounds.early);
    let late = load.rounds(rounds.all - rounds.early);
    let mut neighbour = load.neighbour.into_inner().unwrap();
    neighbour.sort();
    let (median, p99) = (
        neighbour[neighbour.len() / 2],
        neighbour[neighbour.len() * 99 / 100],
    );
    let slow = median > rounds.neighbour || p99 > 2 * rounds.neighbour;
    assert!(!slow, "{act}: a neighbour took {median:?}, {p99:?} at p99");
    assert_flat(act, (rounds.early, early), (rounds.all, late), 10);
    assert_host_is_sound(&gateway);
    if let Some((phase, failure)) = kind.failure {
        let lines = assert_reported(&gateway, rounds.all, phase, failure);
        if failure == "cpu" {
            excuses.assert_kept(&lines, Duration::from_millis(2));
        }
    } else {
        let failed = gateway.find(|line| line.contains("plugin failed"));
        assert_eq!(failed, None, "{act}");
    }
}

/// Every round is counted, and has a line that names plugin, route and cause; no instance survived.
fn assert_reported(gateway: &Gateway, rounds: u64, phase: &str, kind: &str) -> Vec<String> {
    let counted = format!(
        "gateway_plugin_failures_total{{plugin=\"hostile\",route=\"hostile\",kind=\"{kind}\"}}"
    );
    let instances = "gateway_plugin_instances{plugin=\"hostile\"}";
    let began = Instant::now();
    // The last exchanges may end a moment after their clients have what they get.
    while gateway.metric(&counted) < rounds as f64 || gateway.metric(instances) > 0.0 {
        let (counted, instances) = (gateway.metric(&counted), gateway.metric(instances));
        let patient = began.elapsed() < Duration::from_secs(20);
        assert!(
            patient,
            "{counted} {kind}, {instances} instances\n{}",
            gateway.text()
        );
    }
    assert!((gateway.metric(&counted) - rounds as f64).abs() < 0.5);
    let lines = failures(gateway, rounds as usize);
    let (phase, cause) = (format!("phase=\"{phase}\""), format!("kind=\"{kind}\""));
    for line in &lines {
        for part in ["plugin=\"hostile\"", "route=\"hostile\"", &phase, &cause] {
            assert!(line.contains(part), "{part}: {line}");
        }
    }
    lines
}

#[test]
fn components_that_are_not_loaded() {
    // What the compiling threads and the allocator keep is not all there yet: memory may still grow by a step of it.
    refusals(Refusals {
        before: 200,
        early: 100,
        late: 300,
        growth: 30,
    });
}

/// How often a new version is refused: before the first reading, for it, and for the second.
#[derive(Clone, Copy)]
pub(super) struct Refusals {
    pub(super) before: u64,
    pub(super) early: u64,
    pub(super) late: u64,
    /// What memory may grow by between the readings, in percent.
    pub(super) growth: u64,
}

/// A new version is refused and the one in force serves.
pub(super) fn refusals(count: Refusals) {
    let origin = Origin::start();
    let configure = Gateway::start(&config(&origin, "behave", ""));
    configure.configure(&config(&origin, "panic-in-configure", ""));
    refuse(&configure, "/reload", count);
    let instances = component::gateway(&origin, "", "");
    let path = instances.directory.path().join("bomb.wasm");
    component::write(&path, "", &component::many(200, ""));
    refuse(&instances, "/plugins/hostile/reload", count);
}

/// A refusal allocates and frees megabytes, so one reading says little: what is kept is the least of many.
fn refuse(gateway: &Gateway, reload: &str, count: Refusals) {
    let public = gateway.listener("public");
    let rounds = |count: u64| {
        let mut least = u64::MAX;
        for round in 0..count {
            let answer = gateway.post(reload);
            assert!(answer.status >= 400, "{}", answer.text());
            if round.is_multiple_of(8) {
                assert_eq!(get(public, "/hostile", &[]).status, 200);
                assert_eq!(get(public, "/neighbour", &[]).status, 200);
            }
            if round >= count / 2 {
                least = least.min(gateway.resident());
            }
        }
        least
    };
    rounds(count.before);
    let (early, late) = (rounds(count.early), rounds(count.late));
    let first = count.before + count.early;
    let last = first + count.late;
    assert_flat(reload, (first, early), (last, late), count.growth);
    assert_host_is_sound(gateway);
}

/// Of each: the rounds, and the bytes after them.
fn assert_flat(what: &str, early: (u64, u64), late: (u64, u64), percent: u64) {
    let ((first, before), (last, after)) = (early, late);
    assert!(
        after * 100 <= before * (100 + percent),
        "{what}: {before} bytes after {first} rounds, {after} after {last}"
    );
}
