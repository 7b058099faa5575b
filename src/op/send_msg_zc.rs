//! `IORING_OP_SENDMSG_ZC`: sendmsg(2) from several buffers without a copy, since kernel 6.1.

use std::mem::MaybeUninit;
use std::rc::Rc;

use super::iovecs::IoVecs;
use super::zc_usage::Usage;
use super::zero_copy::{Hold, ZcSend, ZeroCopy, zc_flags};
use super::{Completion, Entry, Multishot, Operation, SendMsg, SharedFd, Side};
use crate::buf::IoVectoredBuf;
use crate::sys::{RingId, opcode};

/// Sends several buffers on a connected socket out of the buffers themselves.
///
/// In turn with other sends, up to the first answer.
pub(crate) struct SendMsgZc<V> {
    hold: Hold,
    bufs: V,
    vecs: IoVecs,
    header: MaybeUninit<libc::msghdr>,
}

impl<V: IoVectoredBuf> SendMsgZc<V> {
    pub(crate) fn future(fd: &SharedFd, usage: &Rc<Usage>, bufs: V) -> ZcSend<Self> {
        ZcSend::new(SendMsgZc {
            hold: Hold::new(fd, usage),
            bufs,
            vecs: IoVecs::new(),
            header: MaybeUninit::zeroed(),
        })
    }
}

// SAFETY: the entry points to the header inside `self`; that points to the array in `vecs`, which lies in `self` or is
// owned by it; that points to the buffers, which `self` owns and which by the contract of `IoVectoredBuf` stay valid and
// unchanged while they are not moved or touched. The descriptor is counted until the first completion, after which the
// kernel uses none.
unsafe impl<V: IoVectoredBuf> Operation for SendMsgZc<V> {
    const CODE: u8 = opcode::SendMsgZc::CODE;
    type Output = V;

    fn prepare(&mut self, _ring: RingId) -> Entry {
        self.vecs.expect(self.bufs.buf_count());
        let vecs = &mut self.vecs;
        // The kernel only reads what it is shown for a send.
        self.bufs
            .for_each_buf(|ptr, len| vecs.push(ptr.cast_mut(), len));
        // SAFETY: a msghdr is plain numbers and pointers, valid when zeroed.
        let header = unsafe { self.header.assume_init_mut() };
        header.msg_iov = self.vecs.as_mut_ptr();
        header.msg_iovlen = self.vecs.len();
        let (fd, header) = (self.hold.target(), self.header.as_ptr());
        let flags = libc::MSG_NOSIGNAL as u32;
        match self.hold.is_plain() {
            true => opcode::SendMsg::new(fd, header).flags(flags).build(),
            false => opcode::SendMsgZc::new(fd, header)
                .flags(flags)
                .ioprio(zc_flags())
                .build(),
        }
        .into()
    }

    fn complete(self, _cqe: Completion) -> V {
        self.bufs
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

// SAFETY: as above; the kernel only reads header, array and buffers, and `next` reads nothing but the hold.
unsafe impl<V: IoVectoredBuf> Multishot for SendMsgZc<V> {
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

impl<V: IoVectoredBuf> ZeroCopy for SendMsgZc<V> {
    type Plain = SendMsg<V>;

    fn hold(&self) -> &Hold {
        &self.hold
    }

    fn total_len(&self) -> usize {
        let mut total = 0usize;
        self.bufs
            .for_each_buf(|_, len| total = total.saturating_add(len));
        total
    }

    fn into_plain(self, fd: SharedFd) -> SendMsg<V> {
        SendMsg::with(fd, self.bufs, None)
    }
}
