//! `IORING_OP_SENDMSG`: sendmsg(2): to an address, or from several buffers.

use std::fmt;
use std::mem::MaybeUninit;
use std::task::{Context, Poll};

use socket2::SockAddr;

use super::fd::Side;
use super::iovecs::IoVecs;
use super::{Admission, Completion, Entry, Op, Operation, SharedFd};
use crate::buf::{BufResult, IoVectoredBuf};
use crate::sys::opcode;

/// Sends a message.
///
/// Sends on one socket take turns, so that one that was dropped cannot come after the next.
pub struct SendMsg<V> {
    fd: SharedFd,
    bufs: V,
    vecs: IoVecs,
    header: MaybeUninit<libc::msghdr>,
    to: Option<SockAddr>,
    flags: i32,
}

impl<V: IoVectoredBuf> SendMsg<V> {
    /// Sends what the socket takes now.
    pub(crate) fn new(fd: &SharedFd, bufs: V, to: Option<SockAddr>) -> Op<Self> {
        Op::new(Self::with(fd.clone(), bufs, to))
    }

    /// Sends everything, unless an error ends it, or it is more than one call can carry (or a kernel before 5.19, which
    /// may send less).
    pub(crate) fn all(fd: &SharedFd, bufs: V) -> Op<Self> {
        let mut send = Self::with(fd.clone(), bufs, None);
        send.flags |= libc::MSG_WAITALL;
        Op::new(send)
    }

    pub(super) fn with(fd: SharedFd, bufs: V, to: Option<SockAddr>) -> Self {
        SendMsg {
            fd,
            bufs,
            vecs: IoVecs::new(),
            header: MaybeUninit::zeroed(),
            to,
            flags: libc::MSG_NOSIGNAL,
        }
    }
}

// SAFETY: the entry points to the header inside `self`; that points to `to` inside `self`, and to the array in `vecs`,
// which lies in `self` or is owned by it; that points to the buffers, which `self` owns and which by the contract of
// `IoVectoredBuf` stay valid and unchanged while they are not moved or touched. The descriptor is counted.
unsafe impl<V: IoVectoredBuf> Operation for SendMsg<V> {
    const CODE: u8 = opcode::SendMsg::CODE;
    const BY_SLOT: bool = true;
    type Output = BufResult<usize, V>;

    fn admit(&mut self, cx: &mut Context<'_>) -> Poll<Admission> {
        self.fd
            .take_turn(Side::Write, cx)
            .map(|()| Admission::Submit)
    }

    fn file(&self) -> Option<&SharedFd> {
        Some(&self.fd)
    }

    fn prepare(&mut self) -> Entry {
        self.vecs.expect(self.bufs.buf_count());
        let vecs = &mut self.vecs;
        // The kernel only reads what it is shown for a send.
        self.bufs
            .for_each_buf(|ptr, len| vecs.push(ptr.cast_mut(), len));
        // SAFETY: a msghdr is plain numbers and pointers, valid when zeroed.
        let header = unsafe { self.header.assume_init_mut() };
        if let Some(to) = &self.to {
            header.msg_name = to.as_ptr().cast_mut().cast();
            header.msg_namelen = to.len();
        }
        header.msg_iov = self.vecs.as_mut_ptr();
        header.msg_iovlen = self.vecs.len();
        opcode::SendMsg::new(self.fd.target(), self.header.as_ptr())
            .flags(self.flags as u32)
            .build()
            .into()
    }

    fn complete(self, cqe: Completion) -> Self::Output {
        (cqe.result().map(|n| n as usize), self.bufs)
    }

    fn leave(&mut self, _cqe: Completion) {
        self.fd.end_turn(Side::Write);
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
