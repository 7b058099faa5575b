//! Buffers to write from, which the writers of a thread share.

use std::cell::RefCell;
use std::io::IoSlice;

/// How much is taken by one write.
const MAX: usize = 64 * 1024;

/// How many a thread keeps.
const KEPT: usize = 64;

thread_local! {
    static FREE: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

/// The start of `slices`, in a buffer of its own.
pub(crate) fn filled(slices: &[IoSlice<'_>]) -> Vec<u8> {
    let mut buf = empty();
    for slice in slices {
        append(&mut buf, slice);
    }
    buf
}

/// One to be filled.
pub(crate) fn empty() -> Vec<u8> {
    let mut buf = used();
    buf.clear();
    buf
}

/// One with whatever is in it.
pub(crate) fn used() -> Vec<u8> {
    let free = FREE.try_with(|free| free.borrow_mut().pop());
    free.ok().flatten().unwrap_or_default()
}

/// Appends as much of `bytes` as is taken by one write.
pub(crate) fn append(buf: &mut Vec<u8>, bytes: &[u8]) {
    let room = MAX.saturating_sub(buf.len());
    buf.extend_from_slice(&bytes[..bytes.len().min(room)]);
}

/// For another write.
pub(crate) fn give_back(buf: Vec<u8>) {
    // At the end of the thread there are no others.
    let _ = FREE.try_with(|free| {
        let mut free = free.borrow_mut();
        if free.len() < KEPT && buf.capacity() <= MAX {
            free.push(buf);
        }
    });
}
