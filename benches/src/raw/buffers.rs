//! A ring of buffers that the kernel chooses from, for the hand-written loops.

use std::io;
use std::sync::atomic::{AtomicU16, Ordering};

use io_uring::types::BufRingEntry;

use super::ring::{Memory, Ring};

/// The group that a pool registers.
pub(crate) const GROUP: u16 = 0;

/// Buffers that the kernel takes from one end of a ring, and we return at the other.
pub(crate) struct Pool {
    ring: Memory,
    buffers: Memory,
    size: usize,
    mask: u16,
    tail: u16,
}

impl Pool {
    /// Registers it with `ring`, which outlives the last operation that selects from it.
    ///
    /// # Panics
    ///
    /// If `count` is no power of two.
    pub(crate) fn new(ring: &Ring, count: u16, size: usize) -> io::Result<Self> {
        assert!(count.is_power_of_two());
        let mut pool = Pool {
            ring: Memory::map(usize::from(count) * size_of::<BufRingEntry>())?,
            buffers: Memory::map(usize::from(count) * size)?,
            size,
            mask: count - 1,
            tail: 0,
        };
        let base = pool.ring.at(0, pool.ring.len()) as u64;
        // SAFETY: the memory is never unmapped, and has room for that many entries.
        unsafe {
            ring.submitter()
                .register_buf_ring_with_flags(base, count, GROUP, 0)?
        };
        (0..count).for_each(|id| pool.give(id));
        Ok(pool)
    }

    /// The address of buffer `id`.
    #[inline]
    pub(crate) fn buffer(&self, id: u16) -> *mut u8 {
        self.buffers.at(usize::from(id) * self.size, self.size)
    }

    /// Gives buffer `id`, which nobody uses, to the kernel.
    #[inline]
    pub(crate) fn give(&mut self, id: u16) {
        const ENTRY: usize = size_of::<BufRingEntry>();
        let offset = usize::from(self.tail & self.mask) * ENTRY;
        let entry = self.ring.at(offset, ENTRY).cast::<BufRingEntry>();
        // SAFETY: the offset is inside the mapping, which is aligned and never unmapped; the kernel does not read
        // entries at and beyond the tail. The first entry shares its last two bytes with the tail, and the setters
        // leave these alone.
        unsafe {
            (*entry).set_addr(self.buffer(id) as u64);
            (*entry).set_len(self.size as u32);
            (*entry).set_bid(id);
        }
        self.tail = self.tail.wrapping_add(1);
        // SAFETY: `ring` is the base of the buffer ring, whose first entry is initialised.
        let tail = unsafe { BufRingEntry::tail(self.ring.at(0, ENTRY).cast::<BufRingEntry>()) };
        // SAFETY: the tail is two aligned bytes that only this function writes, and only in this way.
        let tail = unsafe { AtomicU16::from_ptr(tail.cast_mut()) };
        tail.store(self.tail, Ordering::Release);
    }
}
