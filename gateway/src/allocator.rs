//! The allocator, and what makes it give back to the system what is free: by itself it does so only while it is at
//! work.

use std::alloc::{GlobalAlloc, Layout};
use std::time::Duration;

use libmimalloc_sys as mimalloc;

use crate::thread::own;

/// How long what is freed is gathered.
const GATHER: Duration = Duration::from_secs(5);
/// For how many connections it is worth the look: 1 MiB.
const WORTH: usize = 64;

/// What every block is aligned to that is as large: that of C's `max_align_t`, as for `malloc`.
const ALIGNED: usize = 16;

#[global_allocator]
static GLOBAL: Mimalloc = Mimalloc;

/// mimalloc, by its short way where its blocks are aligned well enough as they are: nearly always. The way that takes an
/// alignment looks at each block, and finds none for what is over 1 KiB but one that is too large, cut to measure.
struct Mimalloc;

/// Whether any block of that size will do.
const fn is_usual(layout: Layout) -> bool {
    layout.align() <= ALIGNED && layout.align() <= layout.size()
}

#[allow(
    unsafe_code,
    reason = "the trait is unsafe, and the allocator is C; each call hands on what the trait promises"
)]
// SAFETY: mimalloc's functions are an allocator of C: they do not unwind, return null where there is no memory, and
// blocks for `layout`, of whichever of them, can be resized and freed by any of them.
unsafe impl GlobalAlloc for Mimalloc {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: both take any size; the alignment is a power of two.
        let block = unsafe {
            match is_usual(layout) {
                true => mimalloc::mi_malloc(layout.size()),
                false => mimalloc::mi_malloc_aligned(layout.size(), layout.align()),
            }
        };
        block.cast()
    }

    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as above.
        let block = unsafe {
            match is_usual(layout) {
                true => mimalloc::mi_zalloc(layout.size()),
                false => mimalloc::mi_zalloc_aligned(layout.size(), layout.align()),
            }
        };
        block.cast()
    }

    #[inline]
    unsafe fn dealloc(&self, block: *mut u8, _: Layout) {
        // SAFETY: the caller has it from here.
        unsafe { mimalloc::mi_free(block.cast()) }
    }

    #[inline]
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: the caller has the block from here.
        let block = unsafe {
            match layout.align() <= ALIGNED && layout.align() <= size {
                true => mimalloc::mi_realloc(block.cast(), size),
                false => mimalloc::mi_realloc_aligned(block.cast(), size, layout.align()),
            }
        };
        block.cast()
    }
}

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[allow(unsafe_code, reason = "the allocator's own functions are asked")]
    fn blocks_are_aligned_as_asked_and_keep_what_is_in_them_when_they_grow() {
        for align in [1, 2, 4, 8, 16, 32, 64, 4096] {
            for size in [
                1,
                8,
                12,
                24,
                40,
                104,
                520,
                1_000,
                1_040,
                2_600,
                70_000,
                3 << 20,
            ] {
                let layout = Layout::from_size_align(size, align).unwrap();
                // SAFETY: what is written is within the block, which is freed once.
                unsafe {
                    let block = GLOBAL.alloc_zeroed(layout);
                    assert!(fits(block, align), "{size} by {align}");
                    assert!((0..size).all(|at| *block.add(at) == 0), "{size} by {align}");
                    block.write_bytes(7, size);
                    let grown = GLOBAL.realloc(block, layout, size * 3);
                    assert!(fits(grown, align), "{size} by {align}, grown");
                    assert!((0..size).all(|at| *grown.add(at) == 7), "{size} by {align}");
                    let layout = Layout::from_size_align(size * 3, align).unwrap();
                    GLOBAL.dealloc(grown, layout);
                    let others = [(); 9].map(|()| GLOBAL.alloc(layout));
                    for other in others {
                        assert!(fits(other, align), "{size} by {align}, again");
                        GLOBAL.dealloc(other, layout);
                    }
                }
            }
        }
    }

    fn fits(block: *mut u8, align: usize) -> bool {
        !block.is_null() && block.addr().is_multiple_of(align)
    }
}
