//! An operation of the ring, and the proof that its memory and its file are there.

use std::os::fd::{BorrowedFd, RawFd};

use io_uring::opcode;

use crate::sys::sqe::Sqe;

/// What an operation waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Waits {
    /// That its descriptor can be read, or written.
    Read,
    Write,
    /// For an event that it asks for itself: it is a poll.
    Poll,
    /// For a thread.
    Thread,
}

/// An operation that was submitted, and whose last completion has not been reaped: what its entry points to is valid, and
/// its files are open, while there is a value of this type.
#[derive(Clone, Copy, Debug)]
pub(super) struct Operation {
    sqe: Sqe,
    fd: RawFd,
    /// How many bytes are done; of a connect and an accept, whether it has begun.
    pub(super) done: u32,
    pub(super) waits: Waits,
}

impl Operation {
    /// The operation of an entry, on this descriptor, which is that of the entry or of its slot.
    ///
    /// # Safety
    ///
    /// The entry keeps the promise of `Promised::new`, and its files are open until its last completion is reaped (or what it
    /// names is no descriptor). Neither the value nor a copy is used afterwards.
    pub(super) unsafe fn new(sqe: Sqe, fd: RawFd) -> Self {
        let waits = match sqe.opcode {
            opcode::PollAdd::CODE => Waits::Poll,
            opcode::Send::CODE
            | opcode::SendMsg::CODE
            | opcode::SendZc::CODE
            | opcode::SendMsgZc::CODE
            | opcode::Connect::CODE
            | opcode::Write::CODE
            | opcode::WriteFixed::CODE
            | opcode::Writev::CODE => Waits::Write,
            _ => Waits::Read,
        };
        Operation {
            sqe,
            fd,
            done: 0,
            waits,
        }
    }

    #[inline]
    pub(super) fn sqe(&self) -> &Sqe {
        &self.sqe
    }

    #[inline]
    pub(super) fn code(&self) -> u8 {
        self.sqe.opcode
    }

    #[inline]
    pub(super) fn fd(&self) -> RawFd {
        self.fd
    }

    /// Its file.
    #[inline]
    pub(super) fn file(&self) -> BorrowedFd<'_> {
        borrow(self, self.fd)
    }

    /// The file that a splice reads.
    pub(super) fn source(&self) -> BorrowedFd<'_> {
        borrow(self, self.sqe.file_index as RawFd)
    }
}

/// One of the files of an operation.
fn borrow(_operation: &Operation, fd: RawFd) -> BorrowedFd<'_> {
    // -1, which the type cannot hold, becomes another number that no descriptor has.
    let fd = if fd < 0 { RawFd::MAX } else { fd };
    // SAFETY: it is open as long as there is the operation, by the promise of `Operation::new`, or it is no descriptor, which
    // the kernel says then.
    unsafe { BorrowedFd::borrow_raw(fd) }
}
