//! `IORING_OP_SENDMSG`: sendmsg(2): to an address, or from several buffers.

use std::fmt;

use socket2::SockAddr;

use crate::buf::{BufResult, IoVectoredBuf};
use crate::op::mechanism::{Op, Operation};
use crate::op::resource::{MsgHeader, SharedFd, Side, byte_count_after, send_flags};
use crate::sys::{Completion, Entry, RingId, opcode};

/// Sends a message.
///
/// Sends on one socket take turns, so that one that was dropped cannot come after the next.
pub struct SendMsg<V> {
    fd: SharedFd,
    bufs: V,
    /// How much of the buffers is sent.
    done: usize,
    header: MsgHeader,
    to: Option<SockAddr>,
    flags: i32,
}

impl<V: IoVectoredBuf> SendMsg<V> {
    /// Sends what the socket takes now.
    pub(crate) fn new(fd: &SharedFd, bufs: V, to: Option<SockAddr>) -> Op<Self> {
        Op::new(Self::with(fd.clone(), bufs, to))
    }

    /// Sends everything, in one turn, unless an error or a cancel ends it. (Kernels before 5.19 send it in pieces.)
    pub(crate) fn all(fd: &SharedFd, bufs: V) -> Op<Self> {
        let mut send = Self::with(fd.clone(), bufs, None);
        send.flags |= libc::MSG_WAITALL;
        Op::new(send)
    }

    pub(super) fn with(fd: SharedFd, bufs: V, to: Option<SockAddr>) -> Self {
        SendMsg {
            fd,
            bufs,
            done: 0,
            header: MsgHeader::new(),
            to,
            flags: libc::MSG_NOSIGNAL,
        }
    }

    fn rest(&self) -> usize {
        self.bufs.total_len().saturating_sub(self.done)
    }
}

// SAFETY: the entry points to the header inside `self`; that points to `to` inside `self`, and to the array beside it,
// which lies in `self` or is owned by it; that points to the buffers, which `self` owns and which by the contract of
// `IoVectoredBuf` stay valid and unchanged while they are not moved or touched. The descriptor is counted.
unsafe impl<V: IoVectoredBuf> Operation for SendMsg<V> {
    const CODE: u8 = opcode::SendMsg::CODE;
    const NAME: &'static str = "sendmsg";
    const BY_SLOT: bool = true;
    type Output = BufResult<usize, V>;

    fn turn(&self) -> Option<Side> {
        Some(Side::Write)
    }

    fn early(&mut self) -> Option<i32> {
        self.fd.take_write_error()
    }

    fn file(&self) -> Option<&SharedFd> {
        Some(&self.fd)
    }

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
        if let Some(to) = &self.to {
            self.header
                .set_name(to.as_ptr().cast_mut().cast(), to.len());
        }
        let header = self.header.show(&self.bufs, self.done);
        opcode::SendMsg::new(self.fd.target(), header)
            .flags(send_flags(self.flags) as u32)
            .build()
            .into()
    }

    fn complete(self, cqe: Completion) -> Self::Output {
        (byte_count_after(self.done, cqe), self.bufs)
    }

    fn abandon(self, cqe: Completion) {
        self.fd.stash_write_error(cqe.raw_result());
    }
}

impl<V: fmt::Debug> fmt::Debug for SendMsg<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SendMsg")
            .field("fd", &self.fd)
            .field("bufs", &self.bufs)
            .field("to", &self.to)
            .finish()
    }
}
