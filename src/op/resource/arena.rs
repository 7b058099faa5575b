//! The memory of a pool of registered buffers.

use std::cell::{Cell, RefCell};
use std::ptr::NonNull;
use std::rc::{Rc, Weak};

use super::waiters::Waiters;
use crate::buf::Registration;
use crate::op::context::Driver;
use crate::sys::{Memory, RingId};

/// The memory of a pool, which its buffers keep.
pub(super) struct Arena {
    pub(super) memory: Memory,
    /// Bytes of a buffer.
    pub(super) capacity: usize,
    /// Bytes from one buffer to the next.
    pub(super) stride: usize,
    pub(super) buffers: u32,
    pub(super) free: RefCell<Vec<u32>>,
    /// Who waits for a buffer.
    pub(super) waiters: Waiters,
    /// More of them, ordinary ones, for who does not wait.
    pub(super) more: RefCell<Vec<Rc<Arena>>>,
    pub(super) ring: RingId,
    pub(super) driver: Weak<Driver>,
    /// Its slot in the driver's table; `None` if it is not registered.
    pub(super) index: Cell<Option<u16>>,
}

impl Arena {
    /// Where a buffer begins.
    pub(super) fn buffer(&self, index: u32) -> NonNull<u8> {
        assert!(index < self.buffers);
        // SAFETY: the memory has room for so many strides.
        unsafe { self.memory.start().add(index as usize * self.stride) }
    }

    /// Takes back the buffer that begins there.
    pub(super) fn give_back(&self, start: NonNull<u8>) {
        let offset = start.addr().get() - self.memory.start().addr().get();
        self.free.borrow_mut().push((offset / self.stride) as u32);
        self.waiters.wake_one();
    }

    /// Where the memory is registered.
    pub(super) fn registration(&self) -> Option<Registration> {
        Some(Registration {
            ring: self.ring.get(),
            index: self.index.get()?,
        })
    }
}

impl Drop for Arena {
    fn drop(&mut self) {
        // No buffer is left, so nothing in flight uses the memory.
        if let (Some(index), Some(driver)) = (self.index.get(), self.driver.upgrade()) {
            driver.unregister_buffer(index);
        }
    }
}
