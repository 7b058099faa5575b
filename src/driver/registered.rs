//! Files and buffers that the kernel keeps ready for this ring: it looks them up, or pins them, once and not for each
//! operation.

use std::io;
use std::os::fd::RawFd;

use super::driver::Driver;
use crate::sys::Memory;

impl<W> Driver<W> {
    /// Registers memory, so that the kernel need not pin its pages for each operation. `None`: there is no table, or
    /// no slot left in it.
    ///
    /// # Errors
    ///
    /// `ENOMEM` beyond the locked-memory limit.
    pub(crate) fn register_buffer(&self, memory: &Memory) -> io::Result<Option<u16>> {
        self.with(|inner| match &mut inner.ring {
            Some(ring) => inner.tables.add_buffer(ring, memory),
            None => Ok(None),
        })
    }

    /// Ends what `register_buffer` began.
    pub(crate) fn unregister_buffer(&self, slot: u16) {
        self.with(|inner| {
            let Some(ring) = &mut inner.ring else { return };
            if ring.set_buffer(slot.into(), None).is_ok() {
                inner.tables.buffers.free.push(slot.into());
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
            Some(ring) => inner.tables.add_file(ring, fd),
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
            Some(ring) => inner.tables.take_file_slot(ring),
            None => Err(io::ErrorKind::NotConnected.into()),
        })
    }

    /// Takes a slot back that is empty.
    pub(crate) fn return_file_slot(&self, slot: u32) {
        self.with(|inner| inner.tables.files.free.push(slot));
    }

    /// Empties a slot. What is in flight on its file keeps that open.
    pub(crate) fn unregister_file(&self, slot: u32) {
        self.with(|inner| {
            let Some(ring) = &mut inner.ring else { return };
            if ring.set_file(slot, -1).is_ok() {
                inner.tables.files.free.push(slot);
            }
        });
    }
}
