//! A ring of provided buffers, from the side of the one that takes them.

use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};

use io_uring::types::BufRingEntry;

use crate::sys::buf_ring::BufRing;
use crate::sys::memory::Memory;

pub(super) struct Group {
    /// Which holds the ring and its buffers.
    memory: Arc<Memory>,
    entries: u16,
    head: u16,
}

/// A buffer of a group, which is ours until it is taken, and then belongs to whom the completion goes.
#[derive(Debug)]
pub(super) struct Provided {
    start: *mut u8,
    len: usize,
    id: u16,
}

impl Provided {
    pub(super) fn start(&self) -> *mut u8 {
        self.start
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn id(&self) -> u16 {
        self.id
    }
}

impl Group {
    pub(super) fn new(buffers: &BufRing) -> Self {
        Group {
            memory: Arc::clone(buffers.memory()),
            entries: buffers.entries(),
            head: 0,
        }
    }

    /// The next buffer, which stays in the ring until it is taken.
    pub(super) fn peek(&self) -> Option<Provided> {
        let first = self.memory.start().cast::<BufRingEntry>();
        // SAFETY: the memory begins with the ring, whose first entry has the tail in its last field, at the alignment of a
        // u16; who gives buffers writes it as an atomic, too.
        let tail = unsafe { AtomicU16::from_ptr(BufRingEntry::tail(first.as_ptr()).cast_mut()) };
        // Acquire: the entry comes before the tail that makes it known.
        if tail.load(Ordering::Acquire) == self.head {
            return None;
        }
        let index = usize::from(self.head & (self.entries - 1));
        // SAFETY: the ring has `entries` entries, and this one lies below the tail: it was written, and nobody writes it again
        // before we have taken it.
        let entry = unsafe { first.add(index).as_ref() };
        Some(Provided {
            start: ptr::with_exposed_provenance_mut(entry.addr() as usize),
            len: entry.len() as usize,
            id: entry.bid(),
        })
    }

    /// Takes the buffer that `peek` has given.
    pub(super) fn take(&mut self) {
        self.head = self.head.wrapping_add(1);
    }
}
