//! The child process that compiles one component, and dies rather than outlive its limits or its parent.

use std::io::{self, Read, Write};
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use super::apart::FAULTY;
use super::engine;
use crate::thread::priority::{BACKGROUND, set_niceness};

/// Beyond its limits by this much it ends itself: by then its parent, which watches it, does not.
const BEYOND: (Duration, u64) = (Duration::from_secs(1), 2 << 30);

/// Compiles the component that comes by standard input, and writes its machine code to standard output. `parent` is
/// the process that asked.
///
/// # Errors
/// When the limits cannot be set, or input and output fail.
pub fn compile(parent: u32, time: Duration, memory: u64) -> io::Result<ExitCode> {
    confine(parent, time, memory)?;
    let mut component = Vec::new();
    io::stdin().lock().read_to_end(&mut component)?;
    let fault = |error| (ExitCode::from(FAULTY), format!("{error:#}").into_bytes());
    let made = wasmtime::Engine::new(&engine::config())
        .and_then(|engine| engine.precompile_component(&component));
    let (code, said) = match made {
        Ok(code) => (ExitCode::SUCCESS, code),
        Err(error) => fault(error),
    };
    let mut stdout = io::stdout().lock();
    stdout.write_all(&said)?;
    stdout.flush()?;
    Ok(code)
}

/// Before any other thread runs, which would go its own way.
fn confine(parent: u32, time: Duration, memory: u64) -> io::Result<()> {
    set_niceness(BACKGROUND);
    #[cfg(target_os = "linux")]
    {
        use rustix::process::{Resource, Rlimit, Signal};

        rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
        // Where the whole system or container runs out of memory, a plugin may stay uncompiled, and clients are served.
        let _unknown = std::fs::write("/proc/self/oom_score_adj", "1000");
        let limit = |most| Rlimit {
            current: Some(most),
            maximum: Some(most),
        };
        rustix::process::setrlimit(Resource::Core, limit(0))?;
        rustix::process::setrlimit(Resource::Data, limit(memory.saturating_add(BEYOND.1)))?;
    }
    #[cfg(not(target_os = "linux"))]
    let _unbounded = memory;
    if std::os::unix::process::parent_id() != parent {
        return Err(io::Error::other("the gateway has ended"));
    }
    let late = time.saturating_add(BEYOND.0);
    let name = thread::Builder::new().name("end".to_owned());
    name.spawn(move || {
        thread::sleep(late);
        std::process::abort();
    })?;
    Ok(())
}
