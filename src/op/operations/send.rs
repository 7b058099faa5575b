//! `IORING_OP_SEND`: send(2).

use crate::buf::{BufResult, IoBuf};
use crate::op::mechanism::{Op, Operation};
use crate::op::resource::{SharedFd, Side, byte_count_after, len_u32, send_flags};
use crate::sys::{Completion, Entry, RingId, opcode};

/// Sends on a connected socket.
///
/// Sends on one socket take turns, so that one that was dropped cannot come after the next.
#[derive(Debug)]
pub struct Send<B> {
    fd: SharedFd,
    buf: B,
    /// How much of the buffer is sent.
    done: usize,
    flags: i32,
}

impl<B: IoBuf> Send<B> {
    /// Sends what the socket takes now.
    pub(crate) fn new(fd: &SharedFd, buf: B) -> Op<Self> {
        Self::op(fd, buf, libc::MSG_NOSIGNAL)
    }

    /// Sends everything, in one turn, unless an error or a cancel ends it. (Kernels before 5.19 send it in pieces.)
    pub(crate) fn all(fd: &SharedFd, buf: B) -> Op<Self> {
        Self::op(fd, buf, libc::MSG_NOSIGNAL | libc::MSG_WAITALL)
    }

    fn op(fd: &SharedFd, buf: B, flags: i32) -> Op<Self> {
        Op::new(Self::with(fd.clone(), buf, flags))
    }

    pub(super) fn with(fd: SharedFd, buf: B, flags: i32) -> Self {
        Send {
            fd,
            buf,
            done: 0,
            flags,
        }
    }

    fn rest(&self) -> usize {
        self.buf.buf_len().saturating_sub(self.done)
    }
}

// SAFETY: the entry points to the buffer, which `self` owns and which by the contract of `IoBuf` stays valid and
// unchanged while it is not moved or touched; the descriptor is counted.
unsafe impl<B: IoBuf> Operation for Send<B> {
    const CODE: u8 = opcode::Send::CODE;
    const NAME: &'static str = "send";
    const BY_SLOT: bool = true;
    type Output = BufResult<usize, B>;

    #[inline]
    fn turn(&self) -> Option<Side> {
        Some(Side::Write)
    }

    #[inline]
    fn early(&mut self) -> Option<i32> {
        self.fd.take_write_error()
    }

    #[inline]
    fn file(&self) -> Option<&SharedFd> {
        Some(&self.fd)
    }

    #[inline]
    fn whole(&self) -> u32 {
        if self.flags & libc::MSG_WAITALL == 0 {
            return 0;
        }
        self.rest().min(u32::MAX as usize) as u32
    }

    fn advance(&mut self, done: usize) {
        self.done += done;
    }

    fn prepare(&mut self, _ring: RingId) -> Entry {
        let start = self.buf.buf_ptr().wrapping_add(self.done);
        opcode::Send::new(self.fd.target(), start, len_u32(self.rest()))
            .flags(send_flags(self.flags))
            .build()
            .into()
    }

    #[inline]
    fn complete(self, cqe: Completion) -> Self::Output {
        (byte_count_after(self.done, cqe), self.buf)
    }

    fn abandon(self, cqe: Completion) {
        self.fd.stash_write_error(cqe.raw_result());
    }
}
