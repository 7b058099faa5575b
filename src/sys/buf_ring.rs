//! A ring of provided buffers: memory that the kernel takes a buffer out of when data arrives, and not before.

use std::io;
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};

use io_uring::types::BufRingEntry;

use super::Memory;

/// The ring and its buffers. Buffer `id` belongs to the kernel from [`give`](BufRing::give) until a completion names it.
#[derive(Debug)]
pub(crate) struct BufRing {
    /// Shared with those who hold a buffer for longer than the ring may live.
    memory: Arc<Memory>,
    group: u16,
    entries: u16,
    buffer_size: u32,
    buffers_start: usize,
    /// How many buffers were given, modulo 2^16.
    tail: u16,
}

/// The kernel allows this many.
const ENTRIES_MAX: u16 = 1 << 15;

impl BufRing {
    /// A ring with `entries` buffers (rounded up to a power of two), all still ours. Memory is taken page by page, as
    /// buffers are first used.
    ///
    /// # Errors
    ///
    /// If there is no memory.
    pub(crate) fn new(group: u16, entries: u16, buffer_size: u32) -> io::Result<Self> {
        let entries = entries.clamp(1, ENTRIES_MAX).next_power_of_two();
        let buffer_size = buffer_size.max(1);
        let ring = usize::from(entries) * size_of::<BufRingEntry>();
        // The buffers begin on a page, the usual one or a larger one.
        let buffers_start = ring.next_multiple_of(4096);
        let len = usize::from(entries)
            .checked_mul(buffer_size as usize)
            .and_then(|buffers| buffers.checked_add(buffers_start))
            .ok_or_else(|| io::Error::from_raw_os_error(libc::ENOMEM))?;
        Ok(BufRing {
            memory: Arc::new(Memory::map(len)?),
            group,
            entries,
            buffer_size,
            buffers_start,
            tail: 0,
        })
    }

    pub(crate) fn group(&self) -> u16 {
        self.group
    }

    pub(crate) fn entries(&self) -> u16 {
        self.entries
    }

    /// The memory that the buffers lie in.
    pub(crate) fn memory(&self) -> &Arc<Memory> {
        &self.memory
    }

    /// The ring's address, for the registration.
    pub(super) fn address(&self) -> u64 {
        self.memory.start().as_ptr().expose_provenance() as u64
    }

    /// Where buffer `id` is.
    pub(crate) fn buffer(&self, id: u16) -> NonNull<u8> {
        debug_assert!(id < self.entries);
        let offset =
            self.buffers_start + usize::from(id % self.entries) * self.buffer_size as usize;
        // SAFETY: `new` made the mapping long enough for `entries` buffers behind `buffers_start`.
        unsafe { self.memory.start().add(offset) }
    }

    /// Gives buffer `id` to the kernel.
    ///
    /// # Safety
    ///
    /// The buffer is ours: it was not given yet, or a completion has named it since; and nobody uses it any more.
    pub(crate) unsafe fn give(&mut self, id: u16) {
        let index = self.tail & (self.entries - 1);
        let buffer = self.buffer(id);
        let first = self.memory.start().cast::<BufRingEntry>();
        // SAFETY: `index < entries`, so this is an entry of the ring, which the kernel reads only below the tail that is
        // published further down. The first entry's last field is that tail, so the fields are set one by one.
        unsafe {
            let entry = first.add(usize::from(index)).as_mut();
            entry.set_addr(buffer.as_ptr().expose_provenance() as u64);
            entry.set_len(self.buffer_size);
            entry.set_bid(id);
        }
        self.tail = self.tail.wrapping_add(1);
        // SAFETY: the tail lies in the first entry, at the alignment of a u16; the kernel only reads it. Release: the
        // entry comes before the tail that makes it known.
        unsafe {
            let tail = BufRingEntry::tail(first.as_ptr()).cast_mut();
            AtomicU16::from_ptr(tail).store(self.tail, Ordering::Release);
        }
    }
}
