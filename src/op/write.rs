//! `IORING_OP_WRITE`: pwrite(2), and write(2) of files that have no position.

use super::cursor::Begun;
use super::fixed_buf::registered_slot;
use super::read::{Place, len_u32};
use super::{Completion, Entry, Op, Operation, SharedFd, Side};
use crate::buf::{BufResult, IoBuf};
use crate::sys::{RingId, opcode};
use std::io;

/// Writes a file.
#[derive(Debug)]
pub struct Write<B> {
    fd: SharedFd,
    buf: B,
    place: Place,
}

impl<B: IoBuf> Write<B> {
    pub(crate) fn new(fd: &SharedFd, buf: B, place: Place) -> Op<Self> {
        Op::new(Write {
            fd: fd.clone(),
            buf,
            place,
        })
    }
}

impl<B: IoBuf> Write<B> {
    /// Writes without the ring; returns as a completion would.
    fn write_now(&self) -> i32 {
        let (fd, start) = (self.fd.target().0, self.buf.buf_ptr().cast());
        let len = len_u32(self.buf.buf_len()) as usize;
        // By the contract of `IoBuf` so many bytes are there and stay while `self` is borrowed; the calls only read them. The
        // descriptor is open, or -1.
        let written = match self.place {
            // SAFETY: as told.
            Place::At(offset) => unsafe { libc::pwrite64(fd, start, len, offset as i64) },
            // SAFETY: as told.
            Place::Cursor | Place::Stream => unsafe { libc::write(fd, start, len) },
        };
        match written {
            -1 => -io::Error::last_os_error()
                .raw_os_error()
                .unwrap_or(libc::EIO),
            // At most `len`, which fits.
            written => written as i32,
        }
    }
}

// SAFETY: the entry points to the buffer, which `self` owns and which by the contract of `IoBuf` stays valid and
// unchanged while it is not moved or touched; the descriptor is counted.
unsafe impl<B: IoBuf> Operation for Write<B> {
    const CODE: u8 = opcode::Write::CODE;
    const BY_SLOT: bool = true;
    type Output = BufResult<usize, B>;

    fn turn(&self) -> Option<Side> {
        self.place.turn(Side::Write)
    }

    fn early(&mut self) -> Option<i32> {
        // What has no positions may make a writer wait for ever: it never holds up the core.
        if self.fd.0.inline_writes.get() && self.place != Place::Stream {
            return Some(self.write_now());
        }
        self.fd.note_use();
        None
    }

    fn file(&self) -> Option<&SharedFd> {
        Some(&self.fd)
    }

    fn prepare(&mut self, ring: RingId) -> Entry {
        let len = len_u32(self.buf.buf_len());
        Begun::write(&self.fd, self.place);
        let slot = registered_slot(&self.buf, ring);
        let (fd, start) = (self.fd.target(), self.buf.buf_ptr());
        match slot {
            None => opcode::Write::new(fd, start, len)
                .offset(self.place.offset())
                .build(),
            // The kernel checks that the range is in the slot's memory.
            Some(slot) => opcode::WriteFixed::new(fd, start, len, slot)
                .offset(self.place.offset())
                .build(),
        }
        .into()
    }

    fn complete(self, cqe: Completion) -> Self::Output {
        (cqe.result().map(|n| n as usize), self.buf)
    }
}
