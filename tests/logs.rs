//! Logs that cannot be written hold nothing up: what is lost is counted, and said when the log can be written again.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, ChildStderr, ChildStdout, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use crate::harness::gateway::{PATIENCE, cache};
use crate::harness::{Configuration, Gateway, Origin, config, get};

/// How long the end of a gateway may take whose logs are stuck.
const END: Duration = Duration::from_secs(30);

/// A gateway whose standard output and error are read up to `ready` and no further.
struct Unread {
    child: Child,
    stdout: ChildStdout,
    stderr: BufReader<ChildStderr>,
    public: SocketAddr,
    admin: SocketAddr,
    _directory: tempfile::TempDir,
}

impl Unread {
    fn start(config: &Configuration, log: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let file = config::write(config, directory.path());
        let mut child = Command::new(env!("CARGO_BIN_EXE_gateway"))
            .args(["run", "--config"])
            .arg(file)
            .env("XDG_CACHE_HOME", cache())
            .env("GATEWAY_LOG", log)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stderr = BufReader::new(child.stderr.take().unwrap());
        let (mut public, mut admin) = (None, None);
        loop {
            let mut line = String::new();
            let length = stderr.read_line(&mut line).unwrap();
            assert!(length > 0, "it ended before it was ready");
            let address = || {
                let address = line.split("address=").nth(1).unwrap();
                address.split_whitespace().next().unwrap().parse().ok()
            };
            if line.contains("admin listening") {
                admin = address();
            } else if line.contains(" listening ") {
                public = address();
            } else if line.contains(": ready ") {
                break;
            }
        }
        Self {
            stdout: child.stdout.take().unwrap(),
            stderr,
            child,
            public: public.unwrap(),
            admin: admin.unwrap(),
            _directory: directory,
        }
    }

    fn metric(&self, name: &str) -> u64 {
        let text = get(self.admin, "/metrics", &[]).text();
        let value = text.lines().find_map(|line| line.strip_prefix(name));
        value.map_or(0, |value| {
            value.trim_start_matches("{}").trim().parse().unwrap()
        })
    }

    fn signal(&self, name: &str) {
        let status = Command::new("kill")
            .arg(format!("-{name}"))
            .arg(self.child.id().to_string())
            .status();
        assert!(status.unwrap().success());
    }

    fn ended(&mut self) -> ExitStatus {
        ended(&mut self.child)
    }
}

impl Drop for Unread {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ended = self.child.kill();
        let _ended = self.child.wait();
    }
}

fn ended(child: &mut Child) -> ExitStatus {
    let began = Instant::now();
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status;
        }
        if began.elapsed() > END {
            child.kill().unwrap();
            panic!("it did not end");
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Sends so many requests over one connection, fifty at a time, and reads every answer.
fn flood(address: SocketAddr, path: &str, count: usize) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nhost: a\r\n\r\n");
    for _ in 0..count.div_ceil(50) {
        stream.write_all(request.repeat(50).as_bytes()).unwrap();
        let (mut read, mut chunk) = (String::new(), [0; 16 << 10]);
        while read.matches("HTTP/1.1 ").count() < 50 || !read.ends_with("\r\n\r\n") {
            let length = stream.read(&mut chunk).unwrap();
            assert!(length > 0, "closed: {read}");
            read.push_str(std::str::from_utf8(&chunk[..length]).unwrap());
        }
    }
}

/// A route that answers `/here` without a body.
fn here() -> Configuration {
    Configuration::new().route("here", "/**", "respond = { status = 204 }")
}

const LOST: &str = "gateway_log_lost_lines_total";
const LOST_ACCESS: &str = "gateway_access_log_lost_lines_total";
/// Loud enough to overflow whatever waits for a reader.
const LOUD: &str = "info,gateway::trace=debug";

#[test]
fn logs_that_nobody_reads_hold_up_no_request_no_reload_and_no_end() {
    let mut gateway = Unread::start(&here().access_log(), LOUD);
    // What waits is bounded: beside 16 MiB of paths in the access log, and in spans.
    flood(gateway.public, &format!("/{}", "a".repeat(4 << 10)), 4_000);
    assert!(gateway.metric(LOST_ACCESS) > 0);
    assert!(gateway.metric(LOST) > 0);
    gateway.signal("HUP");
    let began = Instant::now();
    while gateway.metric("gateway_config_version") != 2 {
        assert!(began.elapsed() < PATIENCE, "no reload");
        std::thread::sleep(Duration::from_millis(5));
    }
    gateway.signal("TERM");
    assert!(gateway.ended().success());
}

#[test]
fn what_a_log_lost_is_said_once_when_it_is_read_again() {
    let mut gateway = Unread::start(&here().access_log(), LOUD);
    flood(gateway.public, &format!("/{}", "a".repeat(4 << 10)), 4_000);
    let began = Instant::now();
    // Lines of the access log wait in the buffers of workers for a while.
    while gateway.metric(LOST) == 0 || gateway.metric(LOST_ACCESS) == 0 {
        assert!(began.elapsed() < PATIENCE, "nothing is lost");
    }
    let mut stdout = std::mem::replace(&mut gateway.stdout, {
        let mut other = Command::new("true").stdout(Stdio::piped()).spawn().unwrap();
        other.wait().unwrap();
        other.stdout.unwrap()
    });
    let reading = std::thread::spawn(move || {
        let mut text = String::new();
        stdout.read_to_string(&mut text).map(|_| text).unwrap()
    });
    let mut said = Vec::new();
    while said.len() < 2 {
        let mut line = String::new();
        assert!(gateway.stderr.read_line(&mut line).unwrap() > 0, "{said:?}");
        if line.contains("were lost") {
            said.push(line);
        }
    }
    // Nothing more was lost from when it was said.
    let lost = (gateway.metric(LOST), gateway.metric(LOST_ACCESS));
    for (log, lines) in [(" log were", lost.0), (" access log were", lost.1)] {
        let lines = format!("{lines} lines of the{log}");
        assert!(
            said.iter().any(|line| line.contains(&lines)),
            "{lines}: {said:?}"
        );
    }
    gateway.signal("TERM");
    std::thread::scope(|scope| {
        let stderr = &mut gateway.stderr;
        scope.spawn(|| std::io::copy(stderr, &mut std::io::sink()).unwrap());
        assert!(ended(&mut gateway.child).success());
    });
    for line in reading.join().unwrap().lines() {
        let whole = line.starts_with("{\"") && line.ends_with('}');
        assert!(whole, "{line}");
    }
}

#[test]
fn an_access_log_in_a_fifo_waits_for_no_reader() {
    let directory = tempfile::tempdir().unwrap();
    let fifo = directory.path().join("fifo");
    make_fifo(&fifo);
    let access_log = "format = '{path}', path = '{dir}/fifo'";
    let text = here().to_string().replace("format = \"off\"", access_log);
    let gateway = Gateway::start_in(directory, &text, &[]);
    assert_eq!(get(gateway.listener("public"), "/one", &[]).status, 204);
    let mut reader = BufReader::new(std::fs::File::open(&fifo).unwrap());
    let mut line = String::new();
    reader.read_line(&mut line).unwrap();
    assert_eq!(line, "/one\n");
    // A reader that goes is no end of it.
    drop(reader);
    assert_eq!(get(gateway.listener("public"), "/two", &[]).status, 204);
    let mut reader = BufReader::new(std::fs::File::open(&fifo).unwrap());
    line.clear();
    reader.read_line(&mut line).unwrap();
    assert_eq!(line, "/two\n");
    gateway.signal("TERM");
    gateway.assert_drained();
}

fn make_fifo(path: &Path) {
    assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
}

#[test]
fn an_access_log_on_a_full_disk_is_counted_and_said_once() {
    let access_log = "format = '{path}', path = '/dev/full'";
    let text = here().to_string().replace("format = \"off\"", access_log);
    let gateway = Gateway::start(&text);
    for lost in [1.0, 2.0] {
        assert_eq!(get(gateway.listener("public"), "/one", &[]).status, 204);
        let began = Instant::now();
        while gateway.metric("gateway_access_log_lost_lines_total{}") < lost {
            assert!(began.elapsed() < PATIENCE, "{}", gateway.text());
        }
    }
    let said = |text: String| text.matches("the access log cannot be written").count();
    assert_eq!(said(gateway.text()), 1, "{}", gateway.text());
    gateway.signal("TERM");
    gateway.assert_drained();
}

#[test]
fn a_start_that_fails_ends_though_nobody_reads_why() {
    let directory = tempfile::tempdir().unwrap();
    let (_unread, mut stderr) = std::io::pipe().unwrap();
    // As much as a pipe holds.
    stderr.write_all(&[b'x'; 64 << 10]).unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_gateway"))
        .args(["run", "--config"])
        .arg(directory.path().join("none.toml"))
        .stderr(stderr)
        .spawn()
        .unwrap();
    assert_eq!(ended(&mut child).code(), Some(78));
}

const FLOODING: &str = r#"
grants = { upstreams = ["echo"], secrets = ["token"], state = true }
config = { act = "log-flood" }
"#;

/// The lines of a second that one plugin may write, as the documentation has it.
const LINES: usize = 200;

#[test]
fn the_log_lines_of_a_plugin_are_bounded_in_each_second_and_the_rest_is_counted() {
    let origin = Origin::start();
    let flooding = Configuration::new()
        .workers(2)
        .probed(origin.address, "")
        .plugin("hostile", "guest_hostile", FLOODING)
        .chain("hostile", "/hostile", &["hostile"], "upstream = 'echo'");
    let gateway = Gateway::start(&flooding);
    let public = gateway.listener("public");
    let lines = |what: &str| {
        let text = gateway.text();
        text.lines().filter(|line| line.contains(what)).count()
    };
    for (plugin, path, requests, each, what) in [
        ("probe", "/probe/print", 600, 2, "a line of its own|pieces"),
        ("hostile", "/hostile", 40, 32, "flood flood"),
    ] {
        let began = Instant::now();
        for _ in 0..requests {
            get(public, path, &[]);
        }
        let most = LINES * (began.elapsed().as_secs() as usize + 2);
        let name = format!("gateway_plugin_log_suppressed_lines_total{{plugin=\"{plugin}\"}}");
        let suppressed = gateway.metric(&name) as usize;
        let written: usize = what.split('|').map(lines).sum();
        assert!(written <= most, "{plugin}: {written} lines of {most}");
        assert!(
            written >= LINES.min(requests * each),
            "{plugin}: {written} lines"
        );
        assert!(suppressed > 0, "{plugin}");
    }
    // It is said with the first line of another second.
    let what = "log lines of the plugin were not written";
    let began = Instant::now();
    while gateway.find(|line| line.contains(what)).is_none() {
        assert!(began.elapsed() < PATIENCE, "{}", gateway.text());
        get(public, "/probe/print", &[]);
    }
}

#[test]
fn a_filter_that_names_what_nothing_logs_by_is_warned_of_as_the_log_begins() {
    let config = Configuration::new().route("all", "/**", "respond = { status = 204 }");
    let gateway = Gateway::start_with(
        &config,
        &[("GATEWAY_LOG", "info,gateway::upstreem=debug,hyper=info")],
    );
    gateway.wait_for_all(&[
        "WARN",
        "GATEWAY_LOG: nothing of the gateway logs as `gateway::upstreem`; did you mean `gateway::upstream`?",
    ]);
    assert_eq!(gateway.text().matches("logs as").count(), 1);
}

#[test]
fn a_line_has_nothing_that_turns_or_ends_it_and_json_means_what_was_said() {
    let path = "/nowhere/a\u{9b}2J\u{202e}\u{7f}.toml";
    for format in ["json", "text"] {
        let ended = Command::new(env!("CARGO_BIN_EXE_gateway"))
            .args(["run", "--config", path])
            .env("GATEWAY_LOG_FORMAT", format)
            .output()
            .unwrap();
        let text = String::from_utf8(ended.stderr).unwrap();
        let line = text.lines().find(|line| line.contains("starting"));
        let line = line.unwrap_or_else(|| panic!("it does not say that it starts: {text}"));
        let odd = ['\u{9b}', '\u{202e}', '\u{7f}'];
        assert!(!line.contains(odd), "{line:?}");
        match format {
            "json" => {
                let said: serde_json::Value = serde_json::from_str(line).unwrap();
                assert_eq!(said["config"], path);
            }
            _ => assert!(
                line.contains(r"config=/nowhere/a\u{9b}2J\u{202e}"),
                "{line}"
            ),
        }
    }
}
