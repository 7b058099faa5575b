//! `IORING_OP_RECVMSG`: recvmsg(2): with the sender's address, into several buffers, or without taking the data out.

use std::fmt;
use std::mem::MaybeUninit;
use std::task::{Context, Poll};

use socket2::SockAddr;

use super::fd::Side;
use super::iovecs::IoVecs;
use super::read::read_result;
use super::{Admission, Completion, Entry, Op, Operation, SharedFd, sock_addr};
use crate::buf::{BufResult, IoVectoredBufMut};
use crate::sys::opcode;

type Storage = [u8; size_of::<libc::sockaddr_storage>()];

/// Receives a message.
///
/// Receives on one socket take turns. What arrives for one that was dropped is kept for the next.
pub struct RecvMsg<V> {
    fd: SharedFd,
    bufs: V,
    vecs: IoVecs,
    header: MaybeUninit<libc::msghdr>,
    from: Storage,
    /// The sender of a message that was kept.
    late_from: Option<SockAddr>,
    peek: bool,
}

impl<V: IoVectoredBufMut> RecvMsg<V> {
    pub(crate) fn new(fd: &SharedFd, bufs: V) -> Op<Self> {
        Self::op(fd, bufs, false)
    }

    /// Leaves the data in the socket.
    pub(crate) fn peek(fd: &SharedFd, bufs: V) -> Op<Self> {
        Self::op(fd, bufs, true)
    }

    fn op(fd: &SharedFd, bufs: V, peek: bool) -> Op<Self> {
        Op::new(RecvMsg {
            fd: fd.clone(),
            bufs,
            vecs: IoVecs::new(),
            header: MaybeUninit::zeroed(),
            from: [0; size_of::<Storage>()],
            late_from: None,
            peek,
        })
    }

    /// Who sent the message.
    fn sender(&mut self) -> Option<SockAddr> {
        if self.late_from.is_some() {
            return self.late_from.take();
        }
        // SAFETY: a msghdr is plain numbers and pointers, valid when zeroed, and the kernel is done with it.
        let size = unsafe { self.header.assume_init_ref() }.msg_namelen as usize;
        sock_addr::from_bytes(&self.from, size)
    }
}

// SAFETY: the entry points to the header inside `self`; that points to `from` inside `self`, and to the array in
// `vecs`, which lies in `self` or is owned by it; that points to the buffers, which `self` owns and which by the
// contract of `IoVectoredBufMut` stay valid and unaliased while they are not moved or touched. The descriptor is
// counted.
unsafe impl<V: IoVectoredBufMut> Operation for RecvMsg<V> {
    const CODE: u8 = opcode::RecvMsg::CODE;
    const BY_SLOT: bool = true;
    /// How many bytes came, and from whom, where the socket's kind has senders.
    type Output = BufResult<(usize, Option<SockAddr>), V>;

    fn admit(&mut self, cx: &mut Context<'_>) -> Poll<Admission> {
        if self.bufs.total_capacity() == 0 {
            return Poll::Ready(Admission::Answered(-libc::EINVAL));
        }
        std::task::ready!(self.fd.take_turn(Side::Read, cx));
        let (bufs, late_from) = (&mut self.bufs, &mut self.late_from);
        let late = self.fd.late_bytes(self.peek, |late, from| {
            *late_from = from.cloned();
            bufs.fill_from(late)
        });
        match late {
            Some(n) => {
                self.fd.end_turn(Side::Read);
                Poll::Ready(Admission::Answered(n as i32))
            }
            None => Poll::Ready(Admission::Submit),
        }
    }

    fn has_late(&self) -> bool {
        self.fd.has_late()
    }

    fn file(&self) -> Option<&SharedFd> {
        Some(&self.fd)
    }

    fn prepare(&mut self) -> Entry {
        self.vecs.expect(self.bufs.buf_count());
        let vecs = &mut self.vecs;
        self.bufs.for_each_buf_mut(|ptr, len| vecs.push(ptr, len));
        // SAFETY: a msghdr is plain numbers and pointers, valid when zeroed.
        let header = unsafe { self.header.assume_init_mut() };
        header.msg_name = (&raw mut self.from).cast();
        header.msg_namelen = size_of::<Storage>() as libc::socklen_t;
        header.msg_iov = self.vecs.as_mut_ptr();
        header.msg_iovlen = self.vecs.len();
        let flags = if self.peek { libc::MSG_PEEK } else { 0 };
        opcode::RecvMsg::new(self.fd.target(), self.header.as_mut_ptr())
            .flags(flags as u32)
            .build()
            .into()
    }

    fn complete(mut self, cqe: Completion) -> Self::Output {
        match read_result(cqe, self.bufs.total_capacity()) {
            Ok(n) => {
                // SAFETY: the kernel (or `admit`) has written the first n bytes of the buffers taken together.
                unsafe { self.bufs.set_filled(n) };
                let from = self.sender();
                (Ok((n, from)), self.bufs)
            }
            Err(error) => (Err(error), self.bufs),
        }
    }

    fn abandon(self, cqe: Completion) {
        let fd = self.fd.clone();
        let peek = self.peek;
        let (result, bufs) = self.complete(cqe);
        let Ok((n, from)) = result else { return };
        // Nothing from a stream is its end, which comes again.
        if peek || (n == 0 && !fd.is_datagram()) {
            return;
        }
        let mut bytes = Vec::with_capacity(n);
        bufs.for_each_buf(|ptr, len| {
            let len = len.min(n - bytes.len());
            // SAFETY: the buffer's first `len` bytes are initialised, by the contract of `IoVectoredBuf`.
            bytes.extend_from_slice(unsafe { std::slice::from_raw_parts(ptr, len) });
        });
        fd.keep_bytes(&bytes, from);
    }

    fn leave(&mut self, cqe: Completion) {
        if !self.peek {
            self.fd.note_receive(cqe);
        }
        self.fd.end_turn(Side::Read);
    }
}

impl<V: fmt::Debug> fmt::Debug for RecvMsg<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecvMsg")
            .field("fd", &self.fd)
            .field("bufs", &self.bufs)
            .field("peek", &self.peek)
            .finish()
    }
}
