//! Compiling in a child process: whatever a component makes of the compiler, the gateway goes on.
//!
//! The child is this binary with another command (`compiler.rs`). It gets the component by its standard input and gives
//! the machine code by its standard output; it has no environment and nothing else that is open here. It is killed
//! once it is over a limit or nobody wants its work any more.

use std::io::{self, Read, Write};
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use super::cache::CODE;
use super::compiled::CompileError;
use crate::config;

/// What the child ends with where the component is at fault; its output says why.
pub(super) const FAULTY: u8 = 65;

/// Between two looks at what the child has taken.
const LOOK: Duration = Duration::from_millis(5);

/// Makes machine code of a component. Blocks until that is done, over a limit, or stopped.
pub(super) fn compile(
    component: &[u8],
    limits: config::Compile,
    stop: &CancellationToken,
) -> Result<Vec<u8>, CompileError> {
    let (ended, said) = run(component, limits, stop)
        .map_err(|error| CompileError::Compiler(format!("no compiler runs: {error}")))?;
    let status = ended?;
    if said.len() as u64 > CODE {
        let message = format!("its machine code is larger than {} MiB", CODE >> 20);
        return Err(CompileError::Component(message));
    }
    match status.code() {
        Some(0) => Ok(said),
        Some(code) if code == i32::from(FAULTY) => {
            let message = String::from_utf8_lossy(&said).into_owned();
            Err(CompileError::Component(message))
        }
        _ => Err(CompileError::Compiler(format!(
            "the compiler ended with {status}"
        ))),
    }
}

/// How the child ended, or why it was ended, and what it wrote.
type Ran = (Result<ExitStatus, CompileError>, Vec<u8>);

fn run(component: &[u8], limits: config::Compile, stop: &CancellationToken) -> io::Result<Ran> {
    let mut child = command(limits)?.spawn()?;
    let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
    let running = Running(child);
    thread::scope(|scope| {
        let named = |name: &str| thread::Builder::new().name(name.to_owned());
        named("compile-in").spawn_scoped(scope, move || {
            // A child that takes no more has ended, which is seen below.
            stdin.map(|mut stdin| stdin.write_all(component))
        })?;
        let said = named("compile-out").spawn_scoped(scope, move || {
            let mut said = Vec::new();
            let read = stdout.map(|stdout| stdout.take(CODE + 1).read_to_end(&mut said));
            read.transpose().map(|_| said)
        })?;
        let ended = running.watch(limits, stop)?;
        let said = said.join().map_err(|_| io::Error::other("a panic"))?;
        Ok((ended, said?))
    })
}

fn command(limits: config::Compile) -> io::Result<Command> {
    let mut command = Command::new(own_binary()?);
    command
        .arg("compile")
        .args(["--parent", &std::process::id().to_string()])
        .args(["--time-ms", &limits.time.as_millis().to_string()])
        .args(["--memory", &limits.memory.to_string()])
        .env_clear()
        .current_dir("/")
        // An interrupt from a terminal is the gateway's to deal with.
        .process_group(0)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    Ok(command)
}

/// The binary of this process, also where its file has been replaced meanwhile.
fn own_binary() -> io::Result<PathBuf> {
    let named = std::env::current_exe()?;
    let still_there = !cfg!(target_os = "linux") || named.exists();
    Ok(match still_there {
        true => named,
        false => "/proc/self/exe".into(),
    })
}

/// A child, which ends with this.
struct Running(Child);

impl Running {
    /// Waits for its end, and sees to it that it comes.
    fn watch(
        mut self,
        limits: config::Compile,
        stop: &CancellationToken,
    ) -> io::Result<Result<ExitStatus, CompileError>> {
        let began = Instant::now();
        loop {
            if let Some(status) = self.0.try_wait()? {
                return Ok(Ok(status));
            }
            if stop.is_cancelled() {
                return Ok(Err(CompileError::Superseded));
            }
            if began.elapsed() >= limits.time {
                return Ok(Err(CompileError::Time(limits)));
            }
            if allocated(self.0.id()).is_some_and(|bytes| bytes > limits.memory) {
                return Ok(Err(CompileError::Memory(limits)));
            }
            thread::sleep(LOOK);
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ended = self.0.kill();
        let _ended = self.0.wait();
    }
}

/// What a process has allocated and touched, bytes (proc_pid_status(5)); `None` where the system does not say.
fn allocated(process: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let figure = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        line.trim().trim_end_matches(" kB").parse::<u64>().ok()
    };
    Some((figure("RssAnon:")? + figure("VmSwap:").unwrap_or(0)) << 10)
}
