//! The ring's tables of files and of buffers, made empty when they are first wanted. Slots are chosen here, never by the kernel:
//! some kernels (6.16 to 6.18) hand out slots beyond the range that they were told.

use std::io;
use std::os::fd::RawFd;

use crate::feature::Feature;
use crate::sys::{Memory, Ring};

/// How many ranges of memory can be registered: each is a pool of many buffers.
const BUFFER_SLOTS: u32 = 64;
/// How many files can be registered. The kernel allows no more than the process may have descriptors.
const FILE_SLOTS: [u32; 3] = [4096, 512, 64];

/// The free slots of one of the ring's tables.
#[derive(Debug, Default)]
pub(super) struct TableSlots {
    /// How many the table has; `None` until it is made.
    size: Option<u32>,
    /// How many were ever used.
    used: u32,
    pub(super) free: Vec<u32>,
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
pub(super) struct RingTables {
    pub(super) buffers: TableSlots,
    pub(super) files: TableSlots,
}

impl RingTables {
    pub(super) fn add_buffer(
        &mut self,
        ring: &mut Ring,
        memory: &Memory,
    ) -> io::Result<Option<u16>> {
        let may = ring.features().has(Feature::RegisteredBuffers);
        let make = || match may && ring.make_buffer_table(BUFFER_SLOTS).is_ok() {
            true => BUFFER_SLOTS,
            false => 0,
        };
        let Some(slot) = self.buffers.take(make) else {
            return Ok(None);
        };
        match ring.set_buffer(slot, Some(memory)) {
            Ok(()) => Ok(Some(slot as u16)),
            Err(error) => {
                self.buffers.free.push(slot);
                Err(error)
            }
        }
    }

    pub(super) fn add_file(&mut self, ring: &mut Ring, fd: RawFd) -> io::Result<u32> {
        let slot = self.take_file_slot(ring)?;
        if let Err(error) = ring.set_file(slot, fd) {
            self.files.free.push(slot);
            return Err(error);
        }
        Ok(slot)
    }

    pub(super) fn take_file_slot(&mut self, ring: &mut Ring) -> io::Result<u32> {
        let slot = self.files.take(|| {
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
