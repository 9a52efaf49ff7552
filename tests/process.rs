//! What the process has of its system: descriptors, and signals.

use std::fs;
use std::io::Write;

use rustix::process::{Pid, Resource, Rlimit, prlimit};

use crate::harness::http::{connect, read_answer};
use crate::harness::{Configuration, Gateway, Origin, get};

/// The soft and the hard limit of descriptors.
fn limits(gateway: &Gateway) -> [String; 2] {
    let limits = fs::read_to_string(format!("/proc/{}/limits", gateway.id())).unwrap();
    let open_files = |line: &str| Some(line.strip_prefix("Max open files")?.to_owned());
    let line = limits.lines().find_map(open_files).unwrap();
    let mut words = line.split_whitespace().map(str::to_owned);
    [(); 2].map(|()| words.next().unwrap())
}

#[test]
fn a_gateway_has_as_many_descriptors_as_it_may() {
    let config = Configuration::new().route("all", "/**", "respond = {}");
    let fewer = "ulimit -Sn 256; exec \"$0\" \"$@\"";
    let gateway = Gateway::start_under(&["sh", "-c", fewer], &config);
    let [soft, hard] = limits(&gateway);
    assert_eq!(soft, hard);
    assert_ne!(hard, "256", "this machine has no more");
}

/// Has the process open nothing more, or again as much as it may. The soft limit that was there before.
fn limit(gateway: &Gateway, descriptors: Option<u64>) -> Option<u64> {
    let pid = Pid::from_raw(gateway.id().cast_signed()).unwrap();
    let maximum = limits(gateway)[1].parse().ok();
    let current = descriptors.or(maximum);
    let limit = Rlimit { current, maximum };
    prlimit(Some(pid), Resource::Nofile, limit).unwrap().current
}

/// The lowest number that no descriptor has: that of the next one.
fn next_descriptor(gateway: &Gateway) -> u64 {
    let open = fs::read_dir(format!("/proc/{}/fd", gateway.id())).unwrap();
    let number = |entry: fs::DirEntry| entry.file_name().to_str()?.parse().ok();
    let open: Vec<u64> = open.filter_map(|entry| number(entry.unwrap())).collect();
    (0..).find(|number| !open.contains(number)).unwrap()
}

#[test]
fn a_lack_of_descriptors_is_no_fault_of_an_endpoint() {
    // Each request wants a new connection.
    let origin = Origin::answering(|_, _| {
        b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok".to_vec()
    });
    let lines = "breaker = { failure_ratio = 0.1, min_requests = 2, window = '60s', open_for = '1h' }\n\
                 health = { path = '/', interval = '50ms', timeout = '10s', unhealthy_after = 1 }";
    let config = Configuration::new()
        .access_log()
        .upstream_with("origin", origin.address, lines)
        .route("all", "/**", "upstream = 'origin'\nretry = false");
    let log = [("GATEWAY_LOG", "info,gateway::upstream=debug")];
    let gateway = Gateway::start_with(&config, &log);
    let public = gateway.listener("public");
    assert_eq!(get(public, "/first", &[]).status, 200);
    // The client's own connection is there already.
    let mut client = connect(public);
    let mut ask = |path: &str| {
        write!(client, "GET {path} HTTP/1.1\r\nhost: a\r\n\r\n").unwrap();
        read_answer(&mut client)
    };
    assert_eq!(ask("/before").status, 200);
    limit(&gateway, Some(next_descriptor(&gateway)));
    for _ in 0..5 {
        assert_eq!(ask("/lacking").status, 502, "{}", gateway.text());
    }
    let told = gateway.wait_for("Too many open files");
    assert!(told.contains("no fault of the endpoint"), "{told}");
    gateway.wait_for("the endpoint is not checked");
    limit(&gateway, None);
    assert_eq!(ask("/after").status, 200, "{}", gateway.text());
    assert!(gateway.find(|line| line.contains("is unhealthy")).is_none());
}

#[test]
fn a_signal_that_means_nothing_ends_nothing() {
    let config = Configuration::new().route("all", "/**", "respond = {}");
    let gateway = Gateway::start(&config);
    for name in ["USR1", "USR2"] {
        gateway.signal(name);
        gateway.wait_for(&format!("SIG{name} does nothing"));
    }
    assert_eq!(get(gateway.listener("public"), "/", &[]).status, 200);
}
