//! The compiler of a gateway, as the system sees it.

use std::fs;
use std::time::{Duration, Instant};

/// The fields of proc_pid_stat(5) after the name, which may have anything in it: the first is the state.
fn stat(process: u32) -> Option<Vec<String>> {
    let text = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    let (_, fields) = text.rsplit_once(')')?;
    Some(fields.split_whitespace().map(str::to_owned).collect())
}

/// The compilers of a gateway that run.
pub(super) fn compilers(gateway: u32) -> Vec<u32> {
    let processes = fs::read_dir("/proc").unwrap();
    let processes = processes.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    processes
        .filter(|process| {
            let child = stat(*process).is_some_and(|it| it[1] == gateway.to_string());
            let line = fs::read(format!("/proc/{process}/cmdline")).unwrap_or_default();
            // Between its fork and its own program it has the gateway's arguments.
            child && line.split(|byte| *byte == 0).nth(1) == Some(b"compile")
        })
        .collect()
}

/// Waits for the one compiler of a gateway.
pub(super) fn one_compiler(gateway: u32) -> u32 {
    let began = Instant::now();
    loop {
        if let [one] = compilers(gateway)[..] {
            return one;
        }
        let patient = began.elapsed() < Duration::from_secs(20);
        assert!(patient, "no compiler: {:?}", compilers(gateway));
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Whether the process ends soon.
pub(super) fn gone(process: u32) -> bool {
    let began = Instant::now();
    while stat(process).is_some_and(|it| it[0] != "Z") {
        if began.elapsed() > Duration::from_secs(20) {
            return false;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    true
}

/// It runs with low priority, without an environment and without what its gateway has open.
pub(super) fn assert_has_little(process: u32) {
    let file = |name: &str| format!("/proc/{process}/{name}");
    let began = Instant::now();
    // The nineteenth field; it is set by the process itself.
    while stat(process).unwrap()[16] != "10" {
        assert!(began.elapsed() < Duration::from_secs(20), "its niceness");
        std::thread::sleep(Duration::from_millis(5));
    }
    let environment = fs::read_to_string(file("environ")).unwrap();
    assert!(!environment.contains("s3cret"), "{environment}");
    assert!(!environment.contains("PATH="), "{environment}");
    // What the gateway itself was started with it hands on, as every process does.
    let given = open("self");
    let mut open = open(&process.to_string());
    open.retain(|file| !given.contains(file));
    assert!(open.iter().all(|file| file.contains("pipe")), "{open:?}");
    assert_eq!(open.len(), 2, "{open:?}");
}

/// What a process has open.
fn open(process: &str) -> Vec<String> {
    let open = fs::read_dir(format!("/proc/{process}/fd")).unwrap();
    let open = open.filter_map(|entry| fs::read_link(entry.ok()?.path()).ok());
    open.map(|link| link.display().to_string()).collect()
}
