//! Blocks for operations that do not fit into a cell (those with a message header, or a statx answer), kept for reuse so
//! that the steady path of such an operation allocates nothing.

use std::cell::RefCell;
use std::mem::MaybeUninit;

/// Large enough for every operation of this crate with a few ordinary buffers.
#[repr(C, align(16))]
pub(super) struct Block([u8; 512]);

pub(super) type Spare = Box<MaybeUninit<Block>>;

/// How many blocks a thread keeps: 128 KiB.
const KEPT_MAX: usize = 256;

thread_local! {
    static KEPT: RefCell<Vec<Spare>> = const { RefCell::new(Vec::new()) };
}

/// A block, used or new.
pub(super) fn take() -> Spare {
    // At the thread's end the list may be gone already.
    KEPT.try_with(|kept| kept.borrow_mut().pop())
        .ok()
        .flatten()
        .unwrap_or_else(|| Box::new(MaybeUninit::uninit()))
}

/// Gives a block back.
pub(super) fn give(block: Spare) {
    let _ = KEPT.try_with(|kept| {
        let mut kept = kept.borrow_mut();
        if kept.len() < KEPT_MAX {
            kept.push(block);
        }
    });
}
