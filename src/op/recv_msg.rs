//! `IORING_OP_RECVMSG`: recvmsg(2): with the sender's address, into several buffers, or without taking the data out.

use std::fmt;
use std::io;
use std::mem::MaybeUninit;

use socket2::SockAddr;

use super::iovecs::IoVecs;
use super::late::Order;
use super::read::read_result;
use super::{Completion, Entry, Op, Operation, SharedFd, Side, sock_addr};
use crate::buf::{BufResult, IoVectoredBufMut};
use crate::sys::{RingId, opcode};

type Storage = [u8; size_of::<libc::sockaddr_storage>()];

/// Receives a message.
///
/// Receives on one socket take turns. What arrives for one that was dropped is kept for the next.
pub struct RecvMsg<V> {
    fd: SharedFd,
    /// Its number among the reads of the socket, once the kernel has it.
    order: Option<Order>,
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
            peek,
            ..Self::with(fd, bufs)
        })
    }

    pub(super) fn with(fd: &SharedFd, bufs: V) -> Self {
        RecvMsg {
            fd: fd.clone(),
            order: None,
            bufs,
            vecs: IoVecs::new(),
            header: MaybeUninit::zeroed(),
            from: [0; size_of::<Storage>()],
            late_from: None,
            peek: false,
        }
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

    /// What the kernel (or `early`) has put into the buffers, and who sent it.
    fn fill(&mut self, cqe: Completion) -> io::Result<(usize, Option<SockAddr>)> {
        let n = read_result(cqe, self.bufs.total_capacity())?;
        // SAFETY: the first n bytes of the buffers taken together were written.
        unsafe { self.bufs.set_filled(n) };
        Ok((n, self.sender()))
    }

    /// Leaves what came to the next read.
    #[cold]
    fn keep(&mut self, order: Order, cqe: Completion) {
        match self.fill(cqe) {
            // What one that looks has seen is there still.
            Ok(_) if self.peek => {}
            // Nothing from a stream is its end, which comes again.
            Ok((n, from)) if n > 0 || self.fd.is_datagram() => {
                let mut bytes = Vec::with_capacity(n);
                self.bufs.for_each_buf(|ptr, len| {
                    let len = len.min(n - bytes.len());
                    // SAFETY: the buffer's first `len` bytes are initialised, by the contract of `IoVectoredBuf`.
                    bytes.extend_from_slice(unsafe { std::slice::from_raw_parts(ptr, len) });
                });
                self.fd.keep_bytes(order, bytes, from);
            }
            Ok(_) => {}
            Err(_) => self.fd.keep_error(order, cqe.raw_result()),
        }
    }
}

// SAFETY: the entry points to the header inside `self`; that points to `from` inside `self`, and to the array in
// `vecs`, which lies in `self` or is owned by it; that points to the buffers, which `self` owns and which by the
// contract of `IoVectoredBufMut` stay valid and unaliased while they are not moved or touched. The descriptor is
// counted.
unsafe impl<V: IoVectoredBufMut> Operation for RecvMsg<V> {
    const CODE: u8 = opcode::RecvMsg::CODE;
    const BY_SLOT: bool = true;
    const READS: bool = true;
    /// How many bytes came, and from whom, where the socket's kind has senders.
    type Output = BufResult<(usize, Option<SockAddr>), V>;

    fn turn(&self) -> Option<Side> {
        (self.bufs.total_capacity() > 0).then_some(Side::Read)
    }

    fn early(&mut self) -> Option<i32> {
        // It may have been with the kernel before, and begin anew.
        self.order = None;
        if self.bufs.total_capacity() == 0 {
            return Some(-libc::EINVAL);
        }
        let (bufs, late_from) = (&mut self.bufs, &mut self.late_from);
        let result = self.fd.late_bytes(self.peek, |late, from| {
            *late_from = from.cloned();
            bufs.fill_from(late)
        })?;
        // The address of what the kernel may have written before is not that of this.
        // SAFETY: a msghdr is plain numbers and pointers, valid when zeroed, and the kernel does not have it.
        unsafe { self.header.assume_init_mut() }.msg_namelen = 0;
        Some(result)
    }

    fn has_late(&self) -> bool {
        self.fd.has_late()
    }

    fn file(&self) -> Option<&SharedFd> {
        Some(&self.fd)
    }

    fn prepare(&mut self, _ring: RingId) -> Entry {
        self.order = Some(self.fd.next_read());
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

    fn complete(mut self, mut cqe: Completion) -> Self::Output {
        if let Some(order) = self.order {
            if !self.peek {
                self.fd.note_receive(cqe);
            }
            cqe = self.fd.or_write_error(cqe);
            if self.fd.has_late_before(order) {
                // A read before this one was dropped after it had been answered: this one gets what came first.
                self.keep(order, cqe);
                cqe = Completion::new(0, self.early().unwrap_or(0), 0);
            }
        }
        (self.fill(cqe), self.bufs)
    }

    fn abandon(mut self, cqe: Completion) {
        if let Some(order) = self.order {
            if !self.peek {
                self.fd.note_receive(cqe);
            }
            self.keep(order, cqe);
        }
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
