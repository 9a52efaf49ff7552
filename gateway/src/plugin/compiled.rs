//! What compiling a component comes to, and a component that is being compiled.

use std::fmt;
use std::sync::Arc;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use wasmtime::component::Component;

use crate::config;

/// A component in machine code.
pub(super) struct Compiled {
    pub(super) component: Component,
}

impl fmt::Debug for Compiled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Compiled").finish_non_exhaustive()
    }
}

/// Why a component is not compiled.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum CompileError {
    /// It is none that the gateway runs.
    #[error("is broken or cut short, or uses what the gateway does not have: {0}")]
    Component(String),
    /// It takes longer than `server.compile.time`.
    #[error(
        "compiling it takes longer than the {:?} that `server.compile.time` allows; raise that, or give the plugin \
         smaller functions", .0.time
    )]
    Time(config::Compile),
    /// It takes more memory than `server.compile.memory`.
    #[error(
        "compiling it takes more memory than the {} that `server.compile.memory` allows; raise that, or give the \
         plugin smaller functions", size(.0.memory)
    )]
    Memory(config::Compile),
    /// Another version of the plugin is compiled instead.
    #[error("another version of it came while it was compiled")]
    Superseded,
    /// The gateway ends.
    #[error("the gateway ended while it was compiled")]
    Ended,
    /// The compiler did not do its work.
    #[error("cannot be compiled: {0}")]
    Compiler(String),
}

pub(super) type Outcome = Result<Arc<Compiled>, CompileError>;

/// A component that is being compiled. Once nobody has it any more, that ends.
#[derive(Debug)]
pub(super) struct Job {
    /// Whose version it is.
    pub(super) plugin: Arc<str>,
    pub(super) sha256: [u8; 32],
    pub(super) stop: CancellationToken,
    pub(super) done: watch::Receiver<Option<Outcome>>,
}

impl Job {
    /// Waits for what comes of it.
    pub(super) async fn outcome(&self) -> Outcome {
        let mut done = self.done.clone();
        match done.wait_for(Option::is_some).await.as_deref() {
            Ok(Some(outcome)) => outcome.clone(),
            _ => Err(CompileError::Compiler("its thread ended".to_owned())),
        }
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// A size as the configuration writes it.
fn size(bytes: u64) -> String {
    let units = [(30, "GiB"), (20, "MiB"), (10, "KiB")];
    let whole = units
        .iter()
        .find(|(shift, _)| bytes.trailing_zeros() >= *shift && bytes > 0);
    match whole {
        Some((shift, unit)) => format!("{}{unit}", bytes >> shift),
        None => format!("{bytes}B"),
    }
}

#[cfg(test)]
mod tests {
    use super::size;

    #[test]
    fn sizes_are_told_as_they_are_written() {
        let told = [1 << 30, 1536 << 20, 64 << 20, 3 << 10, 7].map(size);
        assert_eq!(told, ["1GiB", "1536MiB", "64MiB", "3KiB", "7B"]);
    }
}
