//! A file's place in the ring's own table.

use std::fmt;
use std::io;
use std::rc::{Rc, Weak};

use io_uring::types::DestinationSlot;

use super::fd::NO_SLOT;
use super::{Driver, SharedFd, current};
use crate::sys::RingId;

/// Registering a file costs two system calls, together a microsecond at most; each use of it then saves 50 to 100 ns.
const USES: u8 = 16;

/// A place in a driver's table of files; emptied when it is dropped, and then free for another.
pub(super) struct Slot {
    ring: RingId,
    driver: Weak<Driver>,
    index: u32,
    /// Whether there is a file in it.
    filled: bool,
}

impl Slot {
    /// A place that an operation is to put a file into. `None`: there is no table, or no place left.
    pub(super) fn vacant(driver: &Rc<Driver>) -> io::Result<Self> {
        let index = driver.take_file_slot()?;
        Ok(Slot {
            ring: driver.id(),
            driver: Rc::downgrade(driver),
            index,
            filled: false,
        })
    }

    /// A place for the file behind a descriptor, which is open.
    pub(super) fn of(driver: &Rc<Driver>, raw: std::os::fd::RawFd) -> io::Result<Self> {
        let index = driver.register_file(raw)?;
        Ok(Slot {
            ring: driver.id(),
            driver: Rc::downgrade(driver),
            index,
            filled: true,
        })
    }

    /// The kernel has put a file into it.
    pub(super) fn fill(mut self) -> Self {
        self.filled = true;
        self
    }

    pub(super) fn index(&self) -> u32 {
        self.index
    }

    /// How an operation says that its result goes there.
    pub(super) fn destination(&self) -> Option<DestinationSlot> {
        DestinationSlot::try_from_slot_target(self.index).ok()
    }

    /// The ring in whose table it is.
    pub(super) fn ring(&self) -> RingId {
        self.ring
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        match self.driver.upgrade() {
            Some(driver) if self.filled => driver.unregister_file(self.index),
            Some(driver) => driver.return_file_slot(self.index),
            // The table went with its ring.
            None => {}
        }
    }
}

impl fmt::Debug for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "slot {}", self.index)
    }
}

impl SharedFd {
    /// Registers the descriptor in the current ring's table, if it is in none and can be: the kernel then need not look
    /// it up for each operation.
    #[cold]
    pub(crate) fn register(&self) {
        if self.0.slot.get() != NO_SLOT || self.is_closing() {
            return;
        }
        let slot = current().and_then(|driver| Slot::of(&driver, self.0.raw).ok());
        if let Some(slot) = slot {
            self.0.set_slot(slot);
        }
    }

    /// Counts a read or write of a file, and registers one that is worth it.
    #[inline]
    pub(super) fn note_use(&self) {
        let uses = self.0.uses.get();
        if uses <= USES {
            self.0.uses.set(uses + 1);
            if uses == USES {
                self.register();
            }
        }
    }

    /// The file's place in this ring's table.
    #[inline]
    pub(super) fn slot(&self, ring: RingId) -> Option<u32> {
        let index = self.0.slot.get();
        if index == NO_SLOT || self.is_closing() {
            return None;
        }
        let rare = self.0.rare.borrow();
        let slot = rare.as_ref()?.slot.as_ref()?;
        (slot.ring() == ring).then_some(index)
    }
}
