//! The ring's tables of files and of buffers, and its groups of provided buffers.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::ptr::NonNull;

use rustix::fs::OFlags;

use super::numbers;
use super::provided::{Group, Provided};
use crate::sys::buf_ring::BufRing;
use crate::sys::memory::Memory;
use crate::sys::sqe::Sqe;

/// What is registered with a ring.
#[derive(Default)]
pub(super) struct Tables {
    groups: Vec<Option<Group>>,
    /// The memory in each slot: where it begins, and its length.
    buffers: Vec<Option<(usize, usize)>>,
    files: Vec<Option<OwnedFd>>,
}

fn error(number: i32) -> io::Error {
    io::Error::from_raw_os_error(number)
}

impl Tables {
    /// # Errors
    ///
    /// `EEXIST` if the group is taken.
    pub(super) fn add_group(&mut self, buffers: &BufRing) -> io::Result<()> {
        let index = usize::from(buffers.group());
        if index >= self.groups.len() {
            self.groups.resize_with(index + 1, || None);
        }
        if self.groups[index].is_some() {
            return Err(error(libc::EEXIST));
        }
        self.groups[index] = Some(Group::new(buffers));
        Ok(())
    }

    /// The next buffer of a group; `None` if there is none left, or no such group.
    pub(super) fn peek(&self, group: u16) -> Option<Provided> {
        self.groups.get(usize::from(group))?.as_ref()?.peek()
    }

    /// Takes the buffer that `peek` has given.
    pub(super) fn take(&mut self, group: u16) {
        if let Some(Some(group)) = self.groups.get_mut(usize::from(group)) {
            group.take();
        }
    }

    /// # Errors
    ///
    /// `EBUSY` if there is a table.
    pub(super) fn make_buffers(&mut self, slots: u32) -> io::Result<()> {
        if !self.buffers.is_empty() {
            return Err(error(libc::EBUSY));
        }
        self.buffers.resize(slots as usize, None);
        Ok(())
    }

    /// # Errors
    ///
    /// `EINVAL` if there is no such slot.
    pub(super) fn set_buffer(&mut self, slot: u32, memory: Option<&Memory>) -> io::Result<()> {
        let buffer = self.buffers.get_mut(slot as usize);
        *buffer.ok_or_else(|| error(libc::EINVAL))? = memory.map(|memory| {
            let start: NonNull<u8> = memory.start();
            (start.as_ptr().expose_provenance(), memory.len())
        });
        Ok(())
    }

    /// Whether the range of an entry lies in the memory of its slot, as far as there is one.
    pub(super) fn holds(&self, sqe: &Sqe) -> bool {
        let Some(Some((start, len))) = self.buffers.get(usize::from(sqe.buf_index)) else {
            return false;
        };
        let offset = (sqe.addr as usize).checked_sub(*start);
        let end = offset.and_then(|offset| offset.checked_add(sqe.len as usize));
        end.is_some_and(|end| end <= *len)
    }

    /// # Errors
    ///
    /// `EBUSY` if there is a table.
    pub(super) fn make_files(&mut self, slots: u32) -> io::Result<()> {
        if !self.files.is_empty() {
            return Err(error(libc::EBUSY));
        }
        self.files.resize_with(slots as usize, || None);
        Ok(())
    }

    /// Puts another descriptor of the same file into a slot, or empties it. Gives what was there.
    ///
    /// # Errors
    ///
    /// `EINVAL` if there is no such slot, `EBADF` for what is no descriptor, `EMFILE` if none is free.
    pub(super) fn set_file(
        &mut self,
        slot: u32,
        fd: Option<BorrowedFd<'_>>,
    ) -> io::Result<Option<OwnedFd>> {
        let place = self.files.get_mut(slot as usize);
        let place = place.ok_or_else(|| error(libc::EINVAL))?;
        let file = match fd {
            None => None,
            // No operation takes what only names a file, and so the kernel's table does not.
            Some(fd) if rustix::fs::fcntl_getfl(fd)?.contains(OFlags::PATH) => {
                return Err(error(libc::EBADF));
            }
            Some(fd) => Some(rustix::io::fcntl_dupfd_cloexec(fd, 0)?),
        };
        if let Some(file) = &file {
            numbers::note_descriptor(file.as_raw_fd());
        }
        Ok(std::mem::replace(place, file))
    }

    /// Puts what an operation has opened into a slot; gives the operation's result.
    pub(super) fn install(&mut self, slot: u32, file: OwnedFd) -> i32 {
        match self.files.get_mut(slot as usize) {
            Some(place) => {
                numbers::note_descriptor(file.as_raw_fd());
                *place = Some(file);
                0
            }
            None => -libc::ENXIO,
        }
    }

    /// The descriptor in a slot.
    pub(super) fn file(&self, slot: u32) -> Option<RawFd> {
        let file = self.files.get(slot as usize)?.as_ref()?;
        Some(file.as_raw_fd())
    }
}
