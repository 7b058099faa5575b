//! Registered files: descriptors with a place in the ring's own table.

use std::rc::Rc;

use super::fd::{Inner, NO_SLOT};
use super::{Driver, SharedFd, current};

/// Registering a file costs two system calls, a millionth of a second; each use of it then saves 50 to 100 ns.
const USES: u8 = 16;

impl SharedFd {
    /// Registers the descriptor in the current ring's table, if it is in none and can be: the kernel then need not look
    /// it up for each operation.
    #[cold]
    pub(crate) fn register(&self) {
        let Some(driver) = current() else { return };
        if self.0.slot.get() != NO_SLOT || self.0.closing.get() {
            return;
        }
        let Some(slot) = driver.register_file(self.0.raw) else {
            return;
        };
        let mut rare = self.0.rare.borrow_mut();
        rare.get_or_insert_default().registered = Rc::downgrade(&driver);
        self.0.slot.set(slot);
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

    /// The descriptor's place in this driver's table.
    #[inline]
    pub(super) fn slot(&self, driver: &Rc<Driver>) -> Option<u32> {
        let slot = self.0.slot.get();
        if slot == NO_SLOT || self.0.closing.get() {
            return None;
        }
        let rare = self.0.rare.borrow();
        let registered = &rare.as_ref()?.registered;
        std::ptr::eq(registered.as_ptr(), Rc::as_ptr(driver)).then_some(slot)
    }
}

impl Inner {
    /// Empties the descriptor's slot.
    pub(super) fn unregister(&self) {
        let slot = self.slot.replace(NO_SLOT);
        if slot == NO_SLOT {
            return;
        }
        let rare = self.rare.borrow();
        let driver = rare.as_ref().and_then(|rare| rare.registered.upgrade());
        drop(rare);
        if let Some(driver) = driver {
            driver.unregister_file(slot);
        }
    }
}
