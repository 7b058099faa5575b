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

/// What came.
#[derive(Clone, Debug)]
pub struct Message {
    /// How many bytes of it are in the buffers.
    pub len: usize,
    /// How many there were: more than that of a datagram that did not fit.
    pub full_len: usize,
    /// From whom, where the socket's kind has senders.
    pub from: Option<SockAddr>,
}

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
    /// Of a message that was kept: its whole length, and its sender.
    late: Option<(usize, Option<SockAddr>)>,
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
            late: None,
            peek: false,
        }
    }

    /// What the kernel (or `early`) has put into the buffers.
    fn fill(&mut self, cqe: Completion) -> io::Result<Message> {
        let told = read_result(cqe, self.bufs.total_capacity())?;
        let (len, full_len, from) = match self.late.take() {
            Some((full_len, from)) => (told, full_len, from),
            None => {
                // SAFETY: a msghdr is plain numbers and pointers, valid when zeroed, and the kernel is done with it.
                let size = unsafe { self.header.assume_init_ref() }.msg_namelen as usize;
                let from = sock_addr::from_bytes(&self.from, size);
                // The kernel tells how long a datagram is, and writes what there is room for.
                (told.min(self.vecs.room()), told, from)
            }
        };
        // SAFETY: the first `len` bytes of the buffers taken together were written: by the kernel, that has not written
        // beyond what it was shown, or by `early`, which tells how much it has copied.
        unsafe { self.bufs.set_filled(len) };
        Ok(Message {
            len,
            full_len,
            from,
        })
    }

    /// Leaves what came to the next read.
    #[cold]
    fn keep(&mut self, order: Order, cqe: Completion) {
        match self.fill(cqe) {
            // What one that looks has seen is there still.
            Ok(_) if self.peek => {}
            // Nothing from a stream is its end, which comes again.
            Ok(message) if message.len > 0 || self.fd.is_datagram() => {
                let mut bytes = Vec::with_capacity(message.len);
                self.bufs.for_each_buf(|ptr, len| {
                    let len = len.min(message.len - bytes.len());
                    // SAFETY: the buffer's first `len` bytes are initialised, by the contract of `IoVectoredBuf`.
                    bytes.extend_from_slice(unsafe { std::slice::from_raw_parts(ptr, len) });
                });
                self.fd.keep_datagram(order, bytes, message);
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
    type Output = BufResult<Message, V>;

    fn turn(&self) -> Option<Side> {
        (self.bufs.total_capacity() > 0).then_some(Side::Read)
    }

    fn early(&mut self) -> Option<i32> {
        // It may have been with the kernel before, and begin anew.
        self.order = None;
        if self.bufs.total_capacity() == 0 {
            return Some(-libc::EINVAL);
        }
        let (bufs, kept) = (&mut self.bufs, &mut self.late);
        self.fd.late_bytes(self.peek, |late, missing, from| {
            *kept = Some((late.len() + missing, from.cloned()));
            bufs.fill_from(late)
        })
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
        let peek = if self.peek { libc::MSG_PEEK } else { 0 };
        // The length is to be told of a whole datagram, also if it does not fit. (Of a stream it would throw bytes away.)
        let whole = if self.fd.is_datagram() {
            libc::MSG_TRUNC
        } else {
            0
        };
        let flags = peek | whole;
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
