//! The guest's allocator: lists of free blocks, one for each size, in front of the standard one.
//!
//! A phase makes a dozen small texts and lists and drops them again. The allocator of this target takes about a hundred
//! instructions for each of these steps, a list takes ten. What a list holds stays with the instance: as much as its
//! calls had in use at once, in each size.

#![allow(
    unsafe_code,
    reason = "an allocator hands out raw memory; each block here has the size of its class, and a guest has one thread"
)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::ptr::{self, NonNull};

/// Sizes of a list differ by this many bytes.
const GRAIN: usize = 16;
/// Blocks up to `GRAIN * CLASSES` bytes have lists.
const CLASSES: usize = 32;
/// What the standard allocator gives without effort.
const ALIGN: usize = 8;

/// A free block: the next one of its class stands in its first bytes.
#[derive(Clone, Copy)]
struct Free(NonNull<Option<Free>>);

/// The allocator.
pub(crate) struct Lists([Cell<Option<Free>>; CLASSES]);

// SAFETY: `wasm32-wasip2` has no threads, and the tests below stay on one.
unsafe impl Sync for Lists {}

impl Lists {
    pub(crate) const fn new() -> Self {
        Self([const { Cell::new(None) }; CLASSES])
    }
}

/// The class that a block falls into, if it is a small one.
const fn class(layout: Layout) -> Option<usize> {
    let small = layout.size() != 0 && layout.size() <= GRAIN * CLASSES && layout.align() <= ALIGN;
    if small {
        Some((layout.size() - 1) / GRAIN)
    } else {
        None
    }
}

// SAFETY: a block comes from `System` with the whole size of its class and an alignment of 8, goes to the list of that
// class only, and is handed out by it once. A layout has the same class when its block is freed.
unsafe impl GlobalAlloc for Lists {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let Some(class) = class(layout) else {
            // SAFETY: the caller's promise.
            return unsafe { System.alloc(layout) };
        };
        let list = &self.0[class];
        if let Some(Free(block)) = list.get() {
            // SAFETY: a block in a list holds its successor.
            list.set(unsafe { block.read() });
            return block.as_ptr().cast();
        }
        // SAFETY: neither the size nor the alignment is 0, and 8 is a power of two.
        unsafe {
            System.alloc(Layout::from_size_align_unchecked(
                (class + 1) * GRAIN,
                ALIGN,
            ))
        }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        match (class(layout), NonNull::new(block)) {
            (Some(class), Some(block)) => {
                let block = block.cast::<Option<Free>>();
                // SAFETY: the block is free, at least 16 bytes large and aligned to 8.
                unsafe { block.write(self.0[class].get()) };
                self.0[class].set(Some(Free(block)));
            }
            // SAFETY: it came from there.
            _ => unsafe { System.dealloc(block, layout) },
        }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: the caller promises that this is a layout.
        let wanted = unsafe { Layout::from_size_align_unchecked(size, layout.align()) };
        match (class(layout), class(wanted)) {
            (Some(before), Some(after)) if before == after => block,
            // SAFETY: the caller's promise.
            (None, None) => unsafe { System.realloc(block, layout, size) },
            // SAFETY: two different blocks, and what is copied is in both.
            _ => unsafe {
                let new = self.alloc(wanted);
                if !new.is_null() {
                    ptr::copy_nonoverlapping(block, new, layout.size().min(size));
                    self.dealloc(block, layout);
                }
                new
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(size: usize) -> Layout {
        Layout::from_size_align(size, 1).unwrap()
    }

    #[test]
    fn a_freed_block_serves_the_next_of_its_class_and_no_other() {
        let lists = Lists::new();
        // SAFETY: every block is freed with the layout it was made with, and not used afterwards.
        unsafe {
            let first = lists.alloc(layout(17));
            let second = lists.alloc(layout(32));
            assert_ne!(first, second);
            lists.dealloc(first, layout(17));
            lists.dealloc(second, layout(32));
            assert_ne!(lists.alloc(layout(16)), second);
            assert_ne!(lists.alloc(layout(33)), second);
            assert_eq!(lists.alloc(layout(20)), second);
            assert_eq!(lists.alloc(layout(31)), first);
        }
    }

    #[test]
    fn a_block_that_grows_and_shrinks_through_all_classes_keeps_its_bytes() {
        let lists = Lists::new();
        // SAFETY: as above.
        unsafe {
            let mut size = 1;
            let mut block = lists.alloc(layout(size));
            block.write(7);
            for next in (2..2_000).chain((1..2_000).rev()) {
                block = lists.realloc(block, layout(size), next);
                if next > size {
                    block.add(next - 1).write(next.to_le_bytes()[0]);
                }
                size = next;
                assert_eq!(block.read(), 7);
                assert!(size == 1 || block.add(size - 1).read() == size.to_le_bytes()[0]);
            }
            lists.dealloc(block, layout(size));
        }
    }
}
