//! A cache of memory blocks for operations that do not fit into a cell of the driver.
//!
//! Such are those with a message header, or with the answer of a statx. Blocks are kept for reuse, so that these operations
//! allocate nothing once a thread is warm.

use std::cell::RefCell;
use std::mem::MaybeUninit;

/// Large enough for every operation of this crate with a few ordinary buffers.
#[repr(C, align(16))]
pub(super) struct Block([u8; 512]);

type Memory = Box<MaybeUninit<Block>>;

/// How many blocks a thread keeps: 128 KiB.
const CACHED_MAX: usize = 256;

thread_local! {
    static CACHE: RefCell<Vec<Memory>> = const { RefCell::new(Vec::new()) };
}

/// A block, used or new.
pub(super) fn take() -> Memory {
    // At the thread's end the cache may be gone already.
    CACHE
        .try_with(|cache| cache.borrow_mut().pop())
        .ok()
        .flatten()
        .unwrap_or_else(|| Box::new(MaybeUninit::uninit()))
}

/// Gives a block back.
pub(super) fn give_back(block: Memory) {
    let _ = CACHE.try_with(|cache| {
        let mut cache = cache.borrow_mut();
        if cache.len() < CACHED_MAX {
            cache.push(block);
        }
    });
}
