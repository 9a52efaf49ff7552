//! The priority of the plugin host's threads.

/// The niceness of compilers. No client waits for a compiler: on a busy machine it gets about a tenth of
/// a processor. The lowest priority would take nearly none, and a swap on a busy machine would not come.
pub(super) const COMPILER: i32 = 10;

/// Has the calling thread run as soon as it wakes, where the system allows it: a kernel may leave a thread that has just
/// woken running for milliseconds, whatever the niceness of who shares its processor. For a thread that hardly computes.
pub(super) fn go_first(or_niceness: i32) {
    #[cfg(target_os = "linux")]
    {
        use thread_priority::{
            RealtimeThreadSchedulePolicy, ThreadPriority, ThreadSchedulePolicy,
            set_thread_priority_and_policy, thread_native_id,
        };
        let fifo = ThreadSchedulePolicy::Realtime(RealtimeThreadSchedulePolicy::Fifo);
        let lowest =
            ThreadPriority::from_posix(thread_priority::ScheduleParams { sched_priority: 1 });
        if set_thread_priority_and_policy(thread_native_id(), lowest, fifo).is_ok() {
            return;
        }
    }
    set_niceness(or_niceness);
}

/// Gives the calling thread this niceness, where the system has one and allows it.
pub(super) fn set_niceness(niceness: i32) {
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::process::setpriority_process(None, niceness) {
        tracing::debug!(%error, niceness, "a thread runs with the priority of every other thread");
    }
    #[cfg(not(target_os = "linux"))]
    let _no_threads_of_their_own = niceness;
}
