//! `IORING_OP_SEND_ZC`: send(2) without a copy, since kernel 6.0.

use std::rc::Rc;

use super::read::len_u32;
use super::zc_usage::Usage;
use super::zero_copy::{Hold, ZcSend, ZeroCopy, zc_flags};
use super::{Completion, Entry, Multishot, Operation, Send, SharedFd, Side};
use crate::buf::IoBuf;
use crate::sys::{RingId, opcode};

/// Sends on a connected socket out of the buffer itself.
///
/// In turn with other sends, up to the first answer.
pub(crate) struct SendZc<B> {
    hold: Hold,
    buf: B,
    flags: i32,
}

impl<B: IoBuf> SendZc<B> {
    /// Sends what the socket takes now.
    pub(crate) fn future(fd: &SharedFd, usage: &Rc<Usage>, buf: B) -> ZcSend<Self> {
        Self::with(fd, usage, buf, libc::MSG_NOSIGNAL)
    }

    /// Sends everything, unless an error ends it.
    pub(crate) fn all(fd: &SharedFd, usage: &Rc<Usage>, buf: B) -> ZcSend<Self> {
        Self::with(fd, usage, buf, libc::MSG_NOSIGNAL | libc::MSG_WAITALL)
    }

    fn with(fd: &SharedFd, usage: &Rc<Usage>, buf: B, flags: i32) -> ZcSend<Self> {
        let hold = Hold::new(fd, usage);
        ZcSend::new(SendZc { hold, buf, flags })
    }
}

// SAFETY: the entry points to the buffer, which `self` owns and which by the contract of `IoBuf` stays valid and
// unchanged while it is not moved or touched; the descriptor is counted until the first completion, after which the
// kernel uses none.
unsafe impl<B: IoBuf> Operation for SendZc<B> {
    const CODE: u8 = opcode::SendZc::CODE;
    type Output = B;

    fn prepare(&mut self, _ring: RingId) -> Entry {
        let len = len_u32(self.buf.buf_len());
        let (fd, start) = (self.hold.target(), self.buf.buf_ptr());
        match self.hold.is_plain() {
            true => opcode::Send::new(fd, start, len).flags(self.flags).build(),
            false => opcode::SendZc::new(fd, start, len)
                .flags(self.flags)
                .zc_flags(zc_flags())
                .build(),
        }
        .into()
    }

    fn complete(self, _cqe: Completion) -> B {
        self.buf
    }

    fn file(&self) -> Option<&SharedFd> {
        self.hold.file()
    }

    fn turn(&self) -> Option<Side> {
        Some(Side::Write)
    }

    fn early(&mut self) -> Option<i32> {
        self.hold.early()
    }
}

// SAFETY: as above; the kernel only reads the buffer, and `next` reads nothing but the hold.
unsafe impl<B: IoBuf> Multishot for SendZc<B> {
    /// There are two.
    const QUEUED_MAX: u16 = u16::MAX;
    const NOTIFIES: bool = true;
    type Item = ();

    fn refused(&self, cqe: Completion) -> bool {
        self.hold.refused(cqe)
    }

    fn next(&self, cqe: Completion) {
        self.hold.next(cqe);
    }

    fn abandon_next(&self, cqe: Completion) {
        self.hold.abandon(cqe);
    }
}

impl<B: IoBuf> ZeroCopy for SendZc<B> {
    type Plain = Send<B>;

    fn hold(&self) -> &Hold {
        &self.hold
    }

    fn total_len(&self) -> usize {
        self.buf.buf_len()
    }

    fn into_plain(self, fd: SharedFd) -> Send<B> {
        Send::with(fd, self.buf, self.flags)
    }
}
