//! The priority of threads that do not serve.

use std::panic;
use std::thread;
use std::time::{Duration, Instant};

use super::own;

/// The niceness of what no client waits for, compilers and reloads: on a busy machine it gets about a tenth of
/// a processor. The lowest priority would take nearly none, and a swap on a busy machine would not come.
pub(crate) const BACKGROUND: i32 = 10;

/// How long what is done in the background goes on before it lets others go first.
const SLICE: Duration = Duration::from_micros(50);

/// Does something that no client waits for on a thread of its own, which those that serve go before. Blocks until it is
/// done. A thread cannot raise its priority again, so that none of a pool will do. Where there can be no more threads,
/// the caller does it.
pub(crate) fn in_background<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    let mut work = Some(work);
    let mut done = None;
    thread::scope(|scope| {
        let background = || {
            set_niceness(BACKGROUND);
            own(|own| own.background_since.set(Some(Instant::now())));
            done = work.take().map(|work| work());
        };
        let named = thread::Builder::new().name("background".to_owned());
        if let Ok(started) = named.spawn_scoped(scope, background)
            && let Err(panicked) = started.join()
        {
            panic::resume_unwind(panicked);
        }
    });
    match (done, work) {
        (Some(done), _) => done,
        (None, Some(work)) => work(),
        (None, None) => unreachable!("a thread that took the work is done with it, or panicked"),
    }
}

/// These items, between which what is done [in the background](in_background) lets those go first that wait for its
/// processor: a kernel may leave it running for milliseconds, however nice it is. For loops over all routes.
pub(crate) fn gently<I: IntoIterator>(items: I) -> impl Iterator<Item = I::Item> {
    items.into_iter().inspect(|_| give_way())
}

/// Lets those go first that wait for the processor of a thread of the background, once its slice is over.
fn give_way() {
    own(|own| {
        let since = own.background_since.get();
        if since.is_some_and(|since| since.elapsed() >= SLICE) {
            thread::yield_now();
            own.background_since.set(Some(Instant::now()));
        }
    });
}

/// Has the calling thread run as soon as it wakes, where the system allows it: a kernel may leave a thread that has just
/// woken running for milliseconds, whatever the niceness of who shares its processor. For a thread that hardly computes.
pub(crate) fn go_first(or_niceness: i32) {
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
pub(crate) fn set_niceness(niceness: i32) {
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::process::setpriority_process(None, niceness) {
        tracing::debug!(%error, niceness, "a thread runs with the priority of every other thread");
    }
    #[cfg(not(target_os = "linux"))]
    let _no_threads_of_their_own = niceness;
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn what_is_done_in_the_background_is_nice_and_its_caller_stays_as_it_is() {
        let niceness = || rustix::process::getpriority_process(None).unwrap();
        let before = niceness();
        assert_eq!(in_background(niceness), before.max(BACKGROUND));
        assert_eq!(niceness(), before);
    }

    #[test]
    fn what_is_done_in_the_background_gives_way_after_its_slice_and_nothing_else_does() {
        let since = || own(|own| own.background_since.get());
        let work = || {
            let begin = since();
            for _ in gently(0..2) {
                thread::sleep(SLICE);
            }
            (begin, since())
        };
        assert_eq!(work(), (None, None));
        let (begin, end) = in_background(work);
        assert!(begin.unwrap() + SLICE <= end.unwrap());
    }
}
