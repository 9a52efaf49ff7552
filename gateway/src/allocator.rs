//! The allocator, and what makes it give back to the system what is free: by itself it does so only while it is at
//! work.

use std::time::Duration;

use crate::thread::own;

/// How long what is freed is gathered.
const GATHER: Duration = Duration::from_secs(5);
/// For how many connections it is worth the look: 1 MiB.
const WORTH: usize = 64;

#[global_allocator]
static GLOBAL: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The allocator asks for huge pages, and what a worker or a plugin's instance needs is small: 16 of 48 MiB at rest
/// were the rest of such pages, for no request served faster.
pub fn keep_pages_small() {
    #[cfg(target_os = "linux")]
    {
        // A kernel that does not know of it has none to spare.
        let _unknown = rustix::thread::disable_transparent_huge_pages(true);
    }
}

/// Returns what is free in this thread.
#[allow(
    unsafe_code,
    reason = "the allocator is C; the function takes a flag and may be called at any time"
)]
pub(crate) fn give_back() {
    unsafe extern "C" {
        safe fn mi_collect(force: bool);
    }
    mi_collect(true);
}

/// How many connections of this thread freed their buffers since it last gave back.
#[cfg(test)]
pub(crate) fn freed() -> usize {
    own(|own| own.freed.get())
}

/// A connection freed its buffers: once that is worth it, what is free in this thread is returned. Called on a local
/// runtime.
pub(crate) fn connection_freed() {
    let freed = own(|own| {
        own.freed.set(own.freed.get() + 1);
        own.freed.get()
    });
    if freed == WORTH {
        tokio::task::spawn_local(async {
            tokio::time::sleep(GATHER).await;
            own(|own| own.freed.set(0));
            give_back();
        });
    }
}
