//! `IORING_OP_SEND`: send(2).

use std::task::{Context, Poll};

use super::fd::Side;
use super::read::len_u32;
use super::{Admission, Completion, Entry, Op, Operation, SharedFd};
use crate::buf::{BufResult, IoBuf};
use crate::sys::opcode;

/// Sends on a connected socket.
///
/// Sends on one socket take turns, so that one that was dropped cannot come after the next.
#[derive(Debug)]
pub struct Send<B> {
    fd: SharedFd,
    buf: B,
    flags: i32,
}

impl<B: IoBuf> Send<B> {
    /// Sends what the socket takes now.
    pub(crate) fn new(fd: &SharedFd, buf: B) -> Op<Self> {
        Self::op(fd, buf, libc::MSG_NOSIGNAL)
    }

    /// Sends everything, unless an error ends it (or a kernel before 5.19, which may send less).
    pub(crate) fn all(fd: &SharedFd, buf: B) -> Op<Self> {
        Self::op(fd, buf, libc::MSG_NOSIGNAL | libc::MSG_WAITALL)
    }

    fn op(fd: &SharedFd, buf: B, flags: i32) -> Op<Self> {
        Op::new(Self::with(fd.clone(), buf, flags))
    }

    pub(super) fn with(fd: SharedFd, buf: B, flags: i32) -> Self {
        Send { fd, buf, flags }
    }
}

// SAFETY: the entry points to the buffer, which `self` owns and which by the contract of `IoBuf` stays valid and
// unchanged while it is not moved or touched; the descriptor is counted.
unsafe impl<B: IoBuf> Operation for Send<B> {
    const CODE: u8 = opcode::Send::CODE;
    const BY_SLOT: bool = true;
    type Output = BufResult<usize, B>;

    #[inline]
    fn admit(&mut self, cx: &mut Context<'_>) -> Poll<Admission> {
        self.fd
            .take_turn(Side::Write, cx)
            .map(|()| Admission::Submit)
    }

    #[inline]
    fn file(&self) -> Option<&SharedFd> {
        Some(&self.fd)
    }

    fn prepare(&mut self) -> Entry {
        let len = len_u32(self.buf.buf_len());
        opcode::Send::new(self.fd.target(), self.buf.buf_ptr(), len)
            .flags(self.flags)
            .build()
            .into()
    }

    #[inline]
    fn complete(self, cqe: Completion) -> Self::Output {
        (cqe.result().map(|n| n as usize), self.buf)
    }

    #[inline]
    fn leave(&mut self, _cqe: Completion) {
        self.fd.end_turn(Side::Write);
    }
}
