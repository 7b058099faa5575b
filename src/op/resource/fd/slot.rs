//! A slot for a file in the ring's own table.

use std::fmt;
use std::io;
use std::rc::{Rc, Weak};

use io_uring::types::DestinationSlot;

use crate::op::context::Driver;
use crate::sys::RingId;

/// A slot in a driver's table of files; emptied when it is dropped, and then free for another.
pub(in crate::op) struct Slot {
    ring: RingId,
    driver: Weak<Driver>,
    index: u32,
    /// Whether there is a file in it.
    filled: bool,
}

impl Slot {
    /// A slot that an operation is to put a file into. `None`: there is no table, or no slot left.
    pub(in crate::op) fn vacant(driver: &Rc<Driver>) -> io::Result<Self> {
        Ok(Self::new(driver, driver.take_file_slot()?, false))
    }

    /// A slot for the file behind a descriptor, which is open.
    pub(in crate::op) fn of(driver: &Rc<Driver>, raw: std::os::fd::RawFd) -> io::Result<Self> {
        Ok(Self::new(driver, driver.register_file(raw)?, true))
    }

    fn new(driver: &Rc<Driver>, index: u32, filled: bool) -> Self {
        Slot {
            ring: driver.id(),
            driver: Rc::downgrade(driver),
            index,
            filled,
        }
    }

    /// The kernel has put a file into it.
    pub(in crate::op) fn fill(mut self) -> Self {
        self.filled = true;
        self
    }

    pub(in crate::op) fn index(&self) -> u32 {
        self.index
    }

    /// How an operation says that its result goes there.
    pub(in crate::op) fn destination(&self) -> Option<DestinationSlot> {
        DestinationSlot::try_from_slot_target(self.index).ok()
    }

    /// The ring in whose table it is.
    pub(in crate::op) fn ring(&self) -> RingId {
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
