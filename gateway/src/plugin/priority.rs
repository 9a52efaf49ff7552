//! The priority of the plugin host's threads.

/// The niceness of compilers. No client waits for a compiler: on a busy machine it gets about a tenth of
/// a processor. The lowest priority would take nearly none, and a swap on a busy machine would not come.
pub(super) const COMPILER: i32 = 10;

/// Gives the calling thread this niceness, where the system has one and allows it.
pub(super) fn set_niceness(niceness: i32) {
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::process::setpriority_process(None, niceness) {
        tracing::debug!(%error, niceness, "a thread runs with the priority of every other thread");
    }
    #[cfg(not(target_os = "linux"))]
    let _no_threads_of_their_own = niceness;
}
