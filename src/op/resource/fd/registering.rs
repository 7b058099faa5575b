//! The slot that a descriptor may have in the ring's table of files.

use super::shared::{NO_SLOT, SharedFd};
use super::slot::Slot;
use crate::op::context::current;
use crate::sys::RingId;

/// Registering a file costs two system calls, together a microsecond at most; each use of it then saves 50 to 100 ns.
const USES: u8 = 16;

impl SharedFd {
    /// Registers the descriptor in the current ring's table, if it is in none and can be: the kernel then need not look
    /// it up for each operation.
    #[cold]
    pub(crate) fn register(&self) {
        if self.0.slot.get() != NO_SLOT || self.is_closing() {
            return;
        }
        let driver = current().filter(|driver| driver.features().registered_files());
        let slot = driver.and_then(|driver| Slot::of(&driver, self.0.raw).ok());
        if let Some(slot) = slot {
            self.0.set_slot(slot);
        }
    }

    /// Counts a read or write of a file, and registers one that is worth it.
    #[inline]
    pub(in crate::op) fn note_use(&self) {
        let uses = self.0.uses.get();
        if uses <= USES {
            self.0.uses.set(uses + 1);
            if uses == USES {
                self.register();
            }
        }
    }

    /// The file's slot in this ring's table.
    #[inline]
    pub(in crate::op) fn slot(&self, ring: RingId) -> Option<u32> {
        let index = self.0.slot.get();
        if index == NO_SLOT || self.is_closing() {
            return None;
        }
        let rare = self.0.rare.borrow();
        let slot = rare.as_ref()?.slot.as_ref()?;
        (slot.ring() == ring).then_some(index)
    }
}
