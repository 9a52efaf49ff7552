//! Hot swaps under load: nothing lost, one version per exchange, none of the old one after the acknowledgement.

mod candidates;
mod cutter;
mod ledger;
mod load;
mod soak;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use self::cutter::Cut;
use self::ledger::{Fault, Ledger};
use self::load::{Counts, LIGHT, Load, SATURATING, SERIAL, audit, under_load};
use crate::harness::{Configuration, Gateway, Origin, get, wasm};

/// How long a reload may take to be seen.
const PATIENCE: Duration = Duration::from_secs(30);

/// `plugin` are further lines of the table of `version`.
fn config(origin: &Origin, plugin: &str) -> Configuration {
    with_version(origin, "{dir}/version.wasm", plugin)
}

fn with_version(origin: &Origin, path: &str, lines: &str) -> Configuration {
    Configuration::new()
        .workers(2)
        .public("protocols = ['h1', 'h2']")
        .plugin_at("version", path, lines)
        .upstream("origin", origin.address)
        .chain("all", "/**", &["version"], "upstream = 'origin'")
}

/// Moves a component into the plugin's place, whole.
fn install(gateway: &Path, name: &str) {
    let new = gateway.join("new.wasm");
    std::fs::copy(wasm(name), &new).unwrap();
    std::fs::rename(new, gateway.join("version.wasm")).unwrap();
}

fn start(origin: &Origin) -> Gateway {
    let directory = tempfile::tempdir().unwrap();
    install(directory.path(), "guest_version_a");
    Gateway::start_in(directory, &config(origin, ""), &[])
}

/// Swaps so often, and returns resident memory after each, when the old version has ended.
fn swap(gateway: &Gateway, load: &Load, count: u64) -> Vec<u64> {
    let mut resident = Vec::new();
    let began = Instant::now();
    for number in 1..=count {
        load.begun.fetch_add(1, Ordering::SeqCst);
        install(
            gateway.directory.path(),
            if number % 2 == 0 {
                "guest_version_a"
            } else {
                "guest_version_b"
            },
        );
        let answer = gateway.post("/plugins/version/reload");
        assert_eq!(
            answer.status,
            200,
            "swap {number}: {}\n{}",
            answer.text(),
            gateway.text()
        );
        load.done.fetch_add(1, Ordering::SeqCst);
        // Requests of this version, which the load needs to tell one from the other, and time for the old one to end.
        std::thread::sleep(Duration::from_millis(250));
        load.answers(500);
        resident.push(gateway.resident());
        assert!(
            began.elapsed() < Duration::from_secs(4 * count),
            "{number} of {count} swaps, which is less than one in four seconds"
        );
    }
    resident
}

fn assert_nothing_lost(counts: &Counts, gateway: &Gateway) {
    assert!(
        counts.losses.is_empty(),
        "{:?}\n{}",
        counts.losses,
        gateway.text()
    );
}

#[test]
fn a_hundred_swaps_under_load_lose_nothing_and_keep_no_memory() {
    assert_swaps_lose_nothing_and_keep_no_memory(100);
}

fn assert_swaps_lose_nothing_and_keep_no_memory(count: usize) {
    let ledger = Ledger::open();
    let gateway = start(&ledger.origin);
    let public = gateway.listener("public");
    let (resident, counts) = under_load(&ledger, public, SATURATING, |load| {
        swap(&gateway, load, count as u64)
    });
    assert_nothing_lost(&counts, &gateway);
    // A version serves five hundred requests at least, of which seventeen may be of the one before.
    let least = counts.answered[1..count].iter().min().unwrap();
    assert!(*least >= 100, "answers by swap: {:?}", counts.answered);
    assert!(
        counts.connections >= 2 * count as u64,
        "{} connections",
        counts.connections
    );
    // What a swap compiles and reads comes and goes: the least of three is what stays.
    let least = |after: &[u64]| *after.iter().min().unwrap();
    let (early, late) = (least(&resident[4..7]), least(&resident[count - 3..]));
    assert!(
        late * 100 <= early * 110,
        "{early} bytes after 5 swaps, {late} after {count}"
    );
}

#[test]
fn the_checker_reports_one_answer_that_is_spoiled_on_purpose_and_nothing_else() {
    // Of a truncated answer this small the head may not have been sent when the rest does not come: then there is none.
    let truncated = ["its body broke", "no answer: "];
    for (fault, reported) in [
        (Fault::Truncated, &truncated[..]),
        (Fault::OtherId, &["is another request's answer"]),
        (Fault::NoAnswer, &["status 502"]),
    ] {
        let ledger = Ledger::open();
        let gateway = start(&ledger.origin);
        let public = gateway.listener("public");
        let ((), counts) = under_load(&ledger, public, SATURATING, |load| {
            load.answers(100);
            ledger.commit(fault);
            load.answers(100);
        });
        let [loss] = &counts.losses[..] else {
            panic!("{fault:?}: {:?}\n{}", counts.losses, gateway.text());
        };
        let said = reported.iter().any(|reported| loss.contains(reported));
        assert!(said, "{fault:?}: {loss}");
    }
}

#[test]
fn the_checker_reports_one_connection_that_is_cut_on_purpose_and_nothing_else() {
    for (at, reported) in [
        (Cut::Request, "no answer: connection"),
        (Cut::Answer, "its body broke"),
    ] {
        let ledger = Ledger::open();
        let gateway = start(&ledger.origin);
        let cut = Arc::new(AtomicBool::new(false));
        let proxy = cutter::before(gateway.listener("public"), at, &cut);
        let ((), counts) = under_load(&ledger, proxy, SERIAL, |load| {
            load.answers(20);
            cut.store(true, Ordering::SeqCst);
            load.answers(20);
        });
        let [loss] = &counts.losses[..] else {
            panic!("{at:?}: {:?}\n{}", counts.losses, gateway.text());
        };
        assert!(loss.contains(reported), "{at:?}: {loss}");
    }
}

#[test]
fn the_checker_reports_a_post_that_came_upstream_twice() {
    let ledger = Ledger::open();
    let gateway = start(&ledger.origin);
    let public = gateway.listener("public");
    let ((), mut counts) = under_load(&ledger, public, LIGHT, |load| load.answers(20));
    assert_nothing_lost(&counts, &gateway);
    crate::harness::http::send(ledger.origin.address, "POST", "/load/3", &[], b"again");
    audit(&ledger, 10, &mut counts);
    assert_eq!(counts.losses, ["POST 3 came upstream 2 times"]);
}

#[test]
fn a_changed_gateway_toml_under_load_loses_nothing() {
    let ledger = Ledger::open();
    let gateway = start(&ledger.origin);
    std::fs::copy(
        wasm("guest_version_b"),
        gateway.directory.path().join("b.wasm"),
    )
    .unwrap();
    let public = gateway.listener("public");
    let ((), counts) = under_load(&ledger, public, SATURATING, |load| {
        for number in 1..=4 {
            let (file, version) =
                [("{dir}/version.wasm", "1.0.0"), ("{dir}/b.wasm", "2.0.0")][number % 2];
            load.begun.fetch_add(1, Ordering::SeqCst);
            gateway.configure(&with_version(&ledger.origin, file, ""));
            let began = Instant::now();
            while get(public, "/x", &[]).header("x-response-version") != Some(version) {
                assert!(began.elapsed() < PATIENCE, "{}", gateway.text());
            }
            load.done.fetch_add(1, Ordering::SeqCst);
            load.answers(100);
        }
    });
    assert_nothing_lost(&counts, &gateway);
}

/// A drain closes a connection of HTTP/1 that rests for a second. A client that had no processor for nearly as long comes
/// too late by no fault of the gateway.
const STALL: Duration = Duration::from_millis(500);

#[test]
fn a_drain_under_load_loses_nothing() {
    let seen = (0..5).any(|_| drain_under_load());
    assert!(seen, "the clients had no processor for {STALL:?} each time");
}

/// Whether the clients ran all the time, so that it could be seen.
fn drain_under_load() -> bool {
    let ledger = Ledger::open();
    let gateway = start(&ledger.origin);
    let public = gateway.listener("public");
    let ((), counts) = under_load(&ledger, public, SATURATING, |load| {
        load.answers(200);
        load.leave();
        gateway.signal("TERM");
        gateway.wait_for("drained");
    });
    if counts.stalled >= STALL {
        return false;
    }
    assert_nothing_lost(&counts, &gateway);
    // Of five HTTP/1 clients three hold their connection; each was asked to close it. Both of HTTP/2 were told to go.
    assert!(counts.closed >= 3, "{} were closed", counts.closed);
    assert!(!counts.not_taken.is_empty(), "nobody was told to go");
    gateway.assert_drained();
    true
}

#[test]
fn a_configuration_that_a_plugin_refuses_or_traps_on_changes_nothing() {
    let origin = Origin::start();
    let gateway = start(&origin);
    for (plugin, reason) in [
        ("config = { trap = true }", "told to trap in configure"),
        ("config = { nope = 1 }", "nope"),
        ("config = { trap = 7 }", "trap"),
    ] {
        gateway.configure(&config(&origin, plugin));
        let answer = gateway.post("/reload");
        assert_eq!(answer.status, 409, "{plugin}: {}", answer.text());
        assert!(
            answer.text().contains(reason),
            "{plugin}: {}",
            answer.text()
        );
        assert_eq!(get(gateway.listener("public"), "/x", &[]).status, 200);
    }
}

#[test]
fn a_new_file_is_served_without_being_asked_and_a_half_written_one_is_not() {
    use std::io::Write;
    let origin = Origin::start();
    let gateway = start(&origin);
    let good = std::fs::read(wasm("guest_version_b")).unwrap();
    let path = gateway.directory.path().join("version.wasm");
    let mut file = std::fs::File::create(&path).unwrap();
    file.write_all(&good[..good.len() / 2]).unwrap();
    file.flush().unwrap();
    std::thread::sleep(Duration::from_millis(400));
    assert!(
        gateway.find(|line| line.contains("refused")).is_none(),
        "{}",
        gateway.text()
    );
    file.write_all(&good[good.len() / 2..]).unwrap();
    drop(file);
    gateway.wait_for("plugin reloaded");
    assert_eq!(
        get(gateway.listener("public"), "/x", &[]).header("x-response-version"),
        Some("2.0.0")
    );
}

#[test]
fn sighup_brings_the_changed_file_into_force_and_sigterm_drains() {
    let origin = Origin::start();
    // Not watched: nothing but the signal has the file read.
    let config = |built: &str| with_version(&origin, &format!("{{plugins}}/{built}.wasm"), "");
    let gateway = Gateway::start_under(&["env"], &config("guest_version_a"));
    let public = gateway.listener("public");
    let version = || {
        let answer = get(public, "/x", &[]);
        answer.header("x-response-version").map(str::to_owned)
    };
    gateway.configure(&config("guest_version_b"));
    assert_eq!(version().as_deref(), Some("1.0.0"));
    gateway.signal("HUP");
    gateway.wait_for("configuration reloaded");
    assert_eq!(version().as_deref(), Some("2.0.0"));
    gateway.signal("TERM");
    gateway.wait_for("drained");
    assert!(gateway.ended().success());
}

#[test]
fn a_limiters_count_and_the_state_survive_a_swap() {
    let origin = Origin::start();
    let directory = tempfile::tempdir().unwrap();
    for (file, name) in [
        ("limit.wasm", "rate_limit"),
        ("hostile.wasm", "guest_hostile"),
    ] {
        std::fs::copy(wasm(name), directory.path().join(file)).unwrap();
    }
    let config = Configuration::new()
        .workers(2)
        .secret("mine", "my s3cret")
        .plugin_at("limit", "{dir}/limit.wasm", LIMIT)
        .plugin_at("keys", "{dir}/hostile.wasm", KEYS)
        .upstream("origin", origin.address)
        .chain("all", "/**", &["limit", "keys"], "upstream = 'origin'");
    let gateway = Gateway::start_in(directory, &config, &[]);
    let ask = || {
        let answer = get(gateway.listener("public"), "/x", &[]);
        let left = answer.header("x-ratelimit-remaining").map(str::to_owned);
        (left, answer.text().contains("Some(\"all\")"))
    };
    assert_eq!(ask(), (Some("99".to_owned()), false));
    assert_eq!(ask(), (Some("98".to_owned()), true));
    for (file, plugin) in [("limit.wasm", "limit"), ("hostile.wasm", "keys")] {
        let path = gateway.directory.path().join(file);
        // Another version: a custom section of the name `v` is added.
        let changed = [std::fs::read(&path).unwrap(), b"\0\x02\x01v".to_vec()].concat();
        std::fs::write(path.with_extension("new"), changed).unwrap();
        std::fs::rename(path.with_extension("new"), &path).unwrap();
        let answer = gateway.post(&format!("/plugins/{plugin}/reload"));
        assert_eq!(answer.status, 200, "{}", answer.text());
        let swapped = format!("gateway_plugin_swaps_total{{plugin=\"{plugin}\",outcome=\"done\"}}");
        let text = get(gateway.admin(), "/metrics", &[]).text();
        assert!(gateway.metric(&swapped) >= 1.0, "{text}");
    }
    assert_eq!(ask(), (Some("97".to_owned()), true));
}

/// A limiter whose window outlasts the test.
const LIMIT: &str = r#"
config = { algorithm = "fixed_window", limit = 100, window = "1h", key = "client_address" }
"#;
/// Answers with what it remembers.
const KEYS: &str = r#"
grants = { upstreams = ["origin"], secrets = ["mine"], state = true }
config = { act = "state" }
"#;
