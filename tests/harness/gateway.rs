//! The real binary.

use std::fmt::Display;
use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use super::config::{self, Configuration};
use super::http::{Answer, get, send};
use super::origin::Origin;

/// How long anything may take here before the test fails.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// Between two looks at what tells nobody that it changed.
const TICK: Duration = Duration::from_millis(5);

/// A running gateway in a directory of its own; ended when dropped.
pub(crate) struct Gateway {
    child: Child,
    /// Where its configuration stands.
    pub(crate) directory: tempfile::TempDir,
    log: Arc<Log>,
}

#[derive(Default)]
struct Log {
    lines: Mutex<Vec<String>>,
    grown: Condvar,
}

impl Gateway {
    /// Starts it with a configuration. `{dir}` in it is its directory, `{plugins}` that of the built plugins.
    pub(crate) fn start(config: &impl Display) -> Self {
        Self::start_with(config, &[])
    }

    /// With the probe guest at `/probe/**` before `origin`, on the route `probed`. `plugin` is more of the probe's table.
    pub(crate) fn probe(origin: &Origin, plugin: &str) -> Self {
        Self::probe_with(origin, plugin, &[])
    }

    /// The same with variables in its environment.
    pub(crate) fn probe_with(origin: &Origin, plugin: &str, environment: &[(&str, &str)]) -> Self {
        let config = Configuration::new().workers(2);
        Self::start_with(&config.probed(origin.address, plugin), environment)
    }

    /// With variables in its environment.
    pub(crate) fn start_with(config: &impl Display, environment: &[(&str, &str)]) -> Self {
        Self::start_in(tempfile::tempdir().unwrap(), config, environment)
    }

    /// In a directory that holds what the configuration needs.
    pub(crate) fn start_in(
        directory: tempfile::TempDir,
        config: &impl Display,
        environment: &[(&str, &str)],
    ) -> Self {
        let file = config::write(config, directory.path());
        Self::start_file(&file, environment, directory)
    }

    /// With a file that is there already.
    pub(crate) fn start_file(
        file: &Path,
        environment: &[(&str, &str)],
        directory: tempfile::TempDir,
    ) -> Self {
        let mut gateway = Self::spawn(Self::command(file, environment), directory);
        gateway.ready();
        gateway
    }

    /// With an example of `config/examples`, whose addresses are variables. The listener has a port of its own.
    pub(crate) fn example(name: &str, environment: &[(&str, SocketAddr)]) -> Self {
        let environment: Vec<_> = environment
            .iter()
            .map(|(name, at)| (*name, at.to_string()))
            .collect();
        let environment: Vec<_> = environment
            .iter()
            .map(|(name, at)| (*name, &**at))
            .collect();
        Self::example_with(name, &environment)
    }

    /// The same, where not all variables are addresses.
    pub(crate) fn example_with(name: &str, environment: &[(&str, &str)]) -> Self {
        let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../config/examples");
        let mut environment = environment.to_vec();
        environment.push(("GATEWAY_PUBLIC", "127.0.0.1:0"));
        let file = examples.join(name).with_extension("toml");
        Self::start_file(&file, &environment, tempfile::tempdir().unwrap())
    }

    /// Does not wait until it is ready.
    pub(crate) fn launch(config: &impl Display, environment: &[(&str, &str)]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let file = config::write(config, directory.path());
        Self::spawn(Self::command(&file, environment), directory)
    }

    fn command(file: &Path, environment: &[(&str, &str)]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_gateway"));
        command.args(["run", "--watch", "--config"]).arg(file);
        command.env("XDG_CACHE_HOME", cache());
        command.envs(environment.iter().copied());
        command
    }

    /// As an argument of another program, which watches over it: valgrind.
    pub(crate) fn start_under(program: &[&str], config: &impl Display) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let file = config::write(config, directory.path());
        let mut command = Command::new(program[0]);
        command.args(&program[1..]);
        command.arg(env!("CARGO_BIN_EXE_gateway"));
        command.args(["run", "--config"]).arg(&file);
        command.env("XDG_CACHE_HOME", cache());
        let mut gateway = Self::spawn(command, directory);
        // It may have to compile there, and slowly.
        gateway.ready_within(5 * PATIENCE);
        gateway
    }

    fn spawn(mut command: Command, directory: tempfile::TempDir) -> Self {
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let log = Arc::new(Log::default());
        follow(child.stderr.take().unwrap(), log.clone());
        follow(child.stdout.take().unwrap(), log.clone());
        Self {
            child,
            directory,
            log,
        }
    }

    /// The process.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits until it says that it is ready. It may have to compile before.
    pub(crate) fn ready(&mut self) {
        self.ready_within(3 * PATIENCE);
    }

    fn ready_within(&mut self, patience: Duration) {
        let config = self.directory.path().join("gateway.toml");
        let shown = |log: &str| format!("{log}\nThe configuration:\n{}", config::numbered(&config));
        let began = Instant::now();
        while self
            .find(|line| line.contains("INFO") && line.contains(": ready "))
            .is_none()
        {
            if began.elapsed() >= patience {
                panic!("not ready:\n{}", shown(&self.text()));
            }
            if let Some(status) = self.child.try_wait().unwrap() {
                panic!("the gateway ended with {status}:\n{}", shown(&self.text()));
            }
            let lines = self.log.lines.lock().unwrap();
            drop(
                self.log
                    .grown
                    .wait_timeout(lines, Duration::from_millis(50))
                    .unwrap(),
            );
        }
    }

    /// The address of a listener, by its name in the configuration.
    pub(crate) fn listener(&self, name: &str) -> SocketAddr {
        let wanted = format!("listener={name} ");
        self.address(|line| line.contains(" listening ") && line.contains(&wanted))
    }

    /// The address of the admin listener.
    pub(crate) fn admin(&self) -> SocketAddr {
        self.address(|line| line.contains("admin listening"))
    }

    fn address(&self, wanted: impl Fn(&str) -> bool) -> SocketAddr {
        let line = self
            .find(wanted)
            .unwrap_or_else(|| panic!("no such listener:\n{}", self.text()));
        let address = line.split("address=").nth(1).unwrap();
        address.split_whitespace().next().unwrap().parse().unwrap()
    }

    /// The first line so far that is wanted.
    pub(crate) fn find(&self, wanted: impl Fn(&str) -> bool) -> Option<String> {
        self.log
            .lines
            .lock()
            .unwrap()
            .iter()
            .find(|line| wanted(line))
            .cloned()
    }

    /// Waits for a line of the log or of the access log that has this in it.
    pub(crate) fn wait_for(&self, what: &str) -> String {
        self.wait_for_all(&[what])
    }

    /// Waits for a line that has all of these in it.
    pub(crate) fn wait_for_all(&self, parts: &[&str]) -> String {
        let began = Instant::now();
        let mut lines = self.log.lines.lock().unwrap();
        loop {
            let wanted = |line: &&String| parts.iter().all(|part| line.contains(part));
            if let Some(line) = lines.iter().find(wanted) {
                return line.clone();
            }
            assert!(
                began.elapsed() < PATIENCE,
                "{parts:?} never came:\n{}",
                lines.join("\n")
            );
            lines = self
                .log
                .grown
                .wait_timeout(lines, Duration::from_millis(200))
                .unwrap()
                .0;
        }
    }

    /// Everything it wrote.
    pub(crate) fn text(&self) -> String {
        self.log.lines.lock().unwrap().join("\n")
    }

    /// Writes the configuration anew, in place.
    pub(crate) fn configure(&self, config: &impl Display) {
        config::write(config, self.directory.path());
    }

    /// `POST` to the admin listener.
    pub(crate) fn post(&self, path: &str) -> Answer {
        send(self.admin(), "POST", path, &[], b"")
    }

    /// The value of one line of `/metrics`; 0 if it is not there.
    pub(crate) fn metric(&self, line: &str) -> f64 {
        let text = get(self.admin(), "/metrics", &[]).text();
        let found = text
            .lines()
            .filter_map(|each| each.strip_prefix(line))
            .find_map(|rest| rest.trim_start_matches("{}").trim().parse().ok());
        found.unwrap_or(0.0)
    }

    /// Resident memory, bytes.
    pub(crate) fn resident(&self) -> u64 {
        self.memory("VmRSS:")
    }

    /// What it allocated of its resident memory, bytes: without the pages of the program.
    pub(crate) fn allocated(&self) -> u64 {
        self.memory("RssAnon:")
    }

    /// Resident memory at its highest since the last [`Self::forget_peak`], bytes.
    pub(crate) fn peak(&self) -> u64 {
        self.memory("VmHWM:")
    }

    /// A figure of proc_pid_status(5).
    fn memory(&self, name: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let kib = status.lines().find_map(|line| line.strip_prefix(name));
        let kib = kib.unwrap().trim().trim_end_matches(" kB");
        kib.parse::<u64>().unwrap() * 1024
    }

    /// Has the kernel take the peak anew (proc_pid_clear_refs(5)).
    pub(crate) fn forget_peak(&self) {
        std::fs::write(format!("/proc/{}/clear_refs", self.child.id()), "5").unwrap();
    }

    /// Allows it no more descriptors than it has open plus `more`.
    pub(crate) fn limit_descriptors(&self, more: usize) {
        let open = std::fs::read_dir(format!("/proc/{}/fd", self.child.id()));
        let open = open.unwrap().count();
        let status = Command::new("prlimit")
            .arg(format!("--pid={}", self.child.id()))
            .arg(format!("--nofile={}:", open + more))
            .status();
        assert!(status.unwrap().success());
    }

    /// Sends SIGTERM and waits until the listener takes no more connections.
    pub(crate) fn terminate(&self, listener: SocketAddr) {
        self.signal("TERM");
        self.wait_for("draining");
        let began = Instant::now();
        // Who gets through the last gap is served like anybody else.
        while TcpStream::connect(listener).is_ok() {
            assert!(began.elapsed() < PATIENCE, "{}", self.text());
            std::thread::sleep(TICK);
        }
    }

    /// Sends a signal (`HUP`, `TERM`).
    pub(crate) fn signal(&self, name: &str) {
        let status = Command::new("kill")
            .arg(format!("-{name}"))
            .arg(self.child.id().to_string())
            .status();
        assert!(status.unwrap().success());
    }

    /// It drains, no worker has to be left behind, and it ends well.
    pub(crate) fn assert_drained(self) {
        self.wait_for("drained");
        let text = self.text();
        assert!(!text.contains("did not end"), "{text}");
        assert!(self.ended().success());
    }

    /// Waits for its end, and hands on its directory.
    pub(crate) fn ended_in(mut self) -> tempfile::TempDir {
        self.wait();
        std::mem::replace(&mut self.directory, tempfile::tempdir().unwrap())
    }

    /// Waits for its end after SIGTERM.
    pub(crate) fn ended(mut self) -> std::process::ExitStatus {
        self.wait()
    }

    fn wait(&mut self) -> std::process::ExitStatus {
        let began = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(
                began.elapsed() < PATIENCE,
                "it did not end:\n{}",
                self.text()
            );
            std::thread::sleep(TICK);
        }
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ended = self.child.kill();
        let _ended = self.child.wait();
    }
}

/// One compile cache for all tests, so that each component is compiled once.
pub(crate) fn cache() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("cache")
}

fn follow(from: impl std::io::Read + Send + 'static, log: Arc<Log>) {
    std::thread::spawn(move || {
        for line in BufReader::new(from).lines().map_while(Result::ok) {
            log.lines.lock().unwrap().push(line);
            log.grown.notify_all();
        }
    });
}
