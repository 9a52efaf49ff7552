//! What the process has of the system: signals, and descriptors.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Lets the process have as many file descriptors as it may: the lower limit that most systems begin with is for programs
/// that use `select`.
pub(super) fn raise_descriptors() {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current == maximum {
        return;
    }
    let raised = Rlimit {
        current: maximum,
        maximum,
    };
    // With less it serves as well, fewer at once.
    let _refused = setrlimit(Resource::Nofile, raised);
}

/// The signals this process listens for.
pub(super) struct Signals {
    pub(super) hangup: Signal,
    pub(super) ends: Ends,
}

/// Those that end it.
pub(super) struct Ends {
    terminate: Signal,
    interrupt: Signal,
}

impl Ends {
    pub(super) async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }

    /// What a part of the start comes to, unless a signal comes first.
    pub(super) async fn unless<T>(&mut self, starting: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            started = starting => Some(started),
            () = self.next() => {
                tracing::info!("ended before it was ready");
                None
            }
        }
    }
}

impl Signals {
    pub(super) fn new() -> std::io::Result<Self> {
        // They end a process that has no handler; to others of its kind they are commands.
        for (kind, name) in [
            (SignalKind::user_defined1(), "SIGUSR1"),
            (SignalKind::user_defined2(), "SIGUSR2"),
        ] {
            let mut unused = signal(kind)?;
            tokio::spawn(async move {
                while unused.recv().await.is_some() {
                    tracing::warn!(
                        "{name} does nothing: SIGHUP reloads and opens logs again, SIGTERM drains"
                    );
                }
            });
        }
        Ok(Self {
            hangup: signal(SignalKind::hangup())?,
            ends: Ends {
                terminate: signal(SignalKind::terminate())?,
                interrupt: signal(SignalKind::interrupt())?,
            },
        })
    }
}
