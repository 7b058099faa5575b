//! Files and buffers that the kernel keeps ready for this ring: it looks them up, or pins them, once and not for each
//! operation.
//!
//! Both live in tables of the ring, made empty when they are first wanted. Slots are chosen here, never by the kernel:
//! some kernels (6.16 to 6.18) hand out slots beyond the range that they were told.

use std::io;
use std::os::fd::RawFd;
use std::ptr::NonNull;

use super::Driver;
use crate::sys::{Ring, features};

/// How many ranges of memory can be registered: each is a pool of many buffers.
const BUFFER_SLOTS: u32 = 64;
/// How many files can be registered. The kernel allows no more than the process may have descriptors.
const FILE_SLOTS: [u32; 3] = [4096, 512, 64];

/// The free slots of one of the ring's tables.
#[derive(Debug, Default)]
struct TableSlots {
    /// How many the table has; `None` until it is made.
    size: Option<u32>,
    /// How many were ever used.
    used: u32,
    free: Vec<u32>,
}

impl TableSlots {
    /// Takes a slot. `make` makes the table and says how large it came out, 0 if the kernel has none.
    fn take(&mut self, make: impl FnOnce() -> u32) -> Option<u32> {
        let size = *self.size.get_or_insert_with(make);
        self.free.pop().or_else(|| {
            let next = (self.used < size).then_some(self.used);
            self.used += u32::from(next.is_some());
            next
        })
    }
}

/// The ring's tables.
#[derive(Debug, Default)]
pub(super) struct Registered {
    buffers: TableSlots,
    files: TableSlots,
}

impl Registered {
    fn add_buffer(
        &mut self,
        ring: &mut Ring,
        start: NonNull<u8>,
        len: usize,
    ) -> io::Result<Option<u16>> {
        let make = || match ring.make_buffer_table(BUFFER_SLOTS) {
            Ok(()) => BUFFER_SLOTS,
            Err(_) => 0,
        };
        let Some(slot) = self.buffers.take(make) else {
            return Ok(None);
        };
        // SAFETY: the kernel pins the pages themselves: should the memory be unmapped before the slot is emptied, what
        // is written there goes to pages that nobody else has.
        match unsafe { ring.set_buffer(slot, Some((start, len))) } {
            Ok(()) => Ok(Some(slot as u16)),
            Err(error) => {
                self.buffers.free.push(slot);
                Err(error)
            }
        }
    }

    fn add_file(&mut self, ring: &mut Ring, fd: RawFd) -> io::Result<u32> {
        let slot = self.take_file_slot(ring)?;
        if let Err(error) = ring.set_file(slot, fd) {
            self.files.free.push(slot);
            return Err(error);
        }
        Ok(slot)
    }

    fn take_file_slot(&mut self, ring: &mut Ring) -> io::Result<u32> {
        let slot = self.files.take(|| {
            if !features().registered_files() {
                return 0;
            }
            let made = FILE_SLOTS
                .into_iter()
                .find(|&size| ring.make_file_table(size).is_ok());
            made.unwrap_or(0)
        });
        slot.ok_or_else(|| match self.files.size {
            Some(0) => io::ErrorKind::Unsupported.into(),
            _ => io::ErrorKind::QuotaExceeded.into(),
        })
    }
}

impl<W> Driver<W> {
    /// Registers memory, so that the kernel need not pin its pages for each operation. `None`: there is no table, or
    /// no slot left in it.
    ///
    /// # Errors
    ///
    /// `ENOMEM` beyond the locked-memory limit.
    pub(crate) fn register_buffer(
        &self,
        start: NonNull<u8>,
        len: usize,
    ) -> io::Result<Option<u16>> {
        self.with(|inner| match &mut inner.ring {
            Some(ring) => inner.registered.add_buffer(ring, start, len),
            None => Ok(None),
        })
    }

    /// Ends what `register_buffer` began.
    pub(crate) fn unregister_buffer(&self, slot: u16) {
        self.with(|inner| {
            let Some(ring) = &mut inner.ring else { return };
            // SAFETY: an empty slot names no memory.
            if unsafe { ring.set_buffer(slot.into(), None) }.is_ok() {
                inner.registered.buffers.free.push(slot.into());
            }
        });
    }

    /// Puts the file behind `fd` into the ring's table, beside the process's.
    ///
    /// # Errors
    ///
    /// `Unsupported` if the kernel has no such table, or one that does not let go of files in time; `QuotaExceeded` if it
    /// is full; `NotConnected` if the ring is gone; and what the kernel says of the file.
    pub(crate) fn register_file(&self, fd: RawFd) -> io::Result<u32> {
        self.with(|inner| match &mut inner.ring {
            Some(ring) => inner.registered.add_file(ring, fd),
            None => Err(io::ErrorKind::NotConnected.into()),
        })
    }

    /// Takes a slot for a file that the kernel is yet to open.
    ///
    /// # Errors
    ///
    /// As for `register_file`.
    pub(crate) fn take_file_slot(&self) -> io::Result<u32> {
        self.with(|inner| match &mut inner.ring {
            Some(ring) => inner.registered.take_file_slot(ring),
            None => Err(io::ErrorKind::NotConnected.into()),
        })
    }

    /// Takes a slot back that is empty.
    pub(crate) fn return_file_slot(&self, slot: u32) {
        self.with(|inner| inner.registered.files.free.push(slot));
    }

    /// Empties a slot. What is in flight on its file keeps that open.
    pub(crate) fn unregister_file(&self, slot: u32) {
        self.with(|inner| {
            let Some(ring) = &mut inner.ring else { return };
            if ring.set_file(slot, -1).is_ok() {
                inner.registered.files.free.push(slot);
            }
        });
    }
}
