//! `IORING_OP_WRITE`: pwrite(2), and write(2) of files that have no position.

use crate::buf::{BufResult, IoBuf, bytes};
use crate::op::mechanism::{Op, Operation};
use crate::op::resource::{Position, SharedFd, Side, byte_count, len_u32, registered_slot};
use crate::sys::{Completion, Entry, RingId, opcode};

/// Writes a file.
#[derive(Debug)]
pub struct Write<B> {
    fd: SharedFd,
    buf: B,
    position: Position,
}

impl<B: IoBuf> Write<B> {
    pub(crate) fn new(fd: &SharedFd, buf: B, position: Position) -> Op<Self> {
        Op::new(Write {
            fd: fd.clone(),
            buf,
            position,
        })
    }

    /// Writes without the ring; returns as a completion would.
    fn write_now(&self) -> i32 {
        if self.fd.is_closing() {
            return -libc::EBADF;
        }
        let len = len_u32(self.buf.buf_len()) as usize;
        let bytes = &bytes(&self.buf)[..len];
        let written = match self.position {
            Position::At(offset) => rustix::io::pwrite(&self.fd, bytes, offset),
            Position::Cursor | Position::Stream => rustix::io::write(&self.fd, bytes),
        };
        match written {
            // At most `len`, which fits.
            Ok(n) => n as i32,
            Err(error) => -error.raw_os_error(),
        }
    }
}

// SAFETY: the entry points to the buffer, which `self` owns and which by the contract of `IoBuf` stays valid and
// unchanged while it is not moved or touched; the descriptor is counted.
unsafe impl<B: IoBuf> Operation for Write<B> {
    const CODE: u8 = opcode::Write::CODE;
    const NAME: &'static str = "write";
    const BY_SLOT: bool = true;
    type Output = BufResult<usize, B>;

    fn turn(&self) -> Option<Side> {
        self.position.turn(Side::Write)
    }

    fn early(&mut self) -> Option<i32> {
        // What has no positions may make a writer wait for ever: it never holds up the core.
        if self.fd.writes_inline() && self.position != Position::Stream {
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
        self.fd.begin_write(self.position);
        let slot = registered_slot(&self.buf, ring);
        let (fd, start) = (self.fd.target(), self.buf.buf_ptr());
        match slot {
            None => opcode::Write::new(fd, start, len)
                .offset(self.position.offset())
                .build(),
            // The kernel checks that the range is in the slot's memory.
            Some(slot) => opcode::WriteFixed::new(fd, start, len, slot)
                .offset(self.position.offset())
                .build(),
        }
        .into()
    }

    fn complete(self, cqe: Completion) -> Self::Output {
        (byte_count(cqe), self.buf)
    }
}
