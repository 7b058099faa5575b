//! `IORING_OP_RECVMSG`: recvmsg(2): with the sender's address, into several buffers, or without taking the data out.

use std::fmt;
use std::io;

use socket2::SockAddr;

use crate::buf::{BufResult, IoVectoredBufMut};
use crate::op::mechanism::{Op, Operation};
use crate::op::resource::{Message, MsgHeader, Order, SharedFd, Side, read_result, sock_addr};
use crate::sys::{Completion, Entry, RingId, opcode};

type Storage = [u8; size_of::<libc::sockaddr_storage>()];

/// Receives a message.
///
/// Receives on one socket take turns. What arrives for one that was dropped is stashed for the next.
pub struct RecvMsg<V> {
    fd: SharedFd,
    /// Its number among the reads of the socket, once the kernel has it.
    order: Option<Order>,
    bufs: V,
    header: MsgHeader,
    from: Storage,
    /// Of a message that was stashed: its whole length, and its sender.
    stashed: Option<(usize, Option<SockAddr>)>,
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
            header: MsgHeader::new(),
            from: [0; size_of::<Storage>()],
            stashed: None,
            peek: false,
        }
    }

    /// What the kernel (or `early`) has put into the buffers.
    fn fill(&mut self, cqe: Completion) -> io::Result<Message> {
        let told = read_result(cqe, self.bufs.total_capacity())?;
        let (len, full_len, from) = match self.stashed.take() {
            Some((full_len, from)) => (told, full_len, from),
            None => {
                let from = sock_addr::from_bytes(&self.from, self.header.name_len());
                // The kernel tells how long a datagram is, and writes what there is room for.
                (told.min(self.header.room()), told, from)
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
    fn stash(&mut self, order: Order, cqe: Completion) {
        match self.fill(cqe) {
            // What one that looks has seen is there still.
            Ok(_) if self.peek => {}
            // Nothing from a stream is its end, which comes again.
            Ok(message) if message.len > 0 || self.fd.is_datagram() => {
                let mut bytes = Vec::with_capacity(message.len);
                self.bufs.for_each_slice(|slice| {
                    let len = slice.len().min(message.len - bytes.len());
                    bytes.extend_from_slice(&slice[..len]);
                });
                self.fd.stash_datagram(order, bytes, message);
            }
            Ok(_) => {}
            Err(_) => self.fd.stash_error(order, cqe.raw_result()),
        }
    }
}

// SAFETY: the entry points to the header inside `self`; that points to `from` inside `self`, and to the array
// beside it, which lies in `self` or is owned by it; that points to the buffers, which `self` owns and which by the
// contract of `IoVectoredBufMut` stay valid and unaliased while they are not moved or touched. The descriptor is
// counted.
unsafe impl<V: IoVectoredBufMut> Operation for RecvMsg<V> {
    const CODE: u8 = opcode::RecvMsg::CODE;
    const NAME: &'static str = "recvmsg";
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
        let (bufs, stashed) = (&mut self.bufs, &mut self.stashed);
        self.fd.stashed_bytes(self.peek, |bytes, missing, from| {
            *stashed = Some((bytes.len() + missing, from.cloned()));
            bufs.fill_from(bytes)
        })
    }

    fn has_stashed(&self) -> bool {
        self.fd.has_stashed()
    }

    fn file(&self) -> Option<&SharedFd> {
        Some(&self.fd)
    }

    fn prepare(&mut self, _ring: RingId) -> Entry {
        self.order = Some(self.fd.next_read());
        let name = (&raw mut self.from).cast();
        self.header
            .set_name(name, size_of::<Storage>() as libc::socklen_t);
        let header = self.header.show_room(&mut self.bufs);
        let peek = if self.peek { libc::MSG_PEEK } else { 0 };
        // The length is to be told of a whole datagram, also if it does not fit. (Of a stream it would throw bytes away.)
        let whole = if self.fd.is_datagram() {
            libc::MSG_TRUNC
        } else {
            0
        };
        let flags = peek | whole;
        opcode::RecvMsg::new(self.fd.target(), header)
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
            if self.fd.has_stashed_before(order) {
                // A read before this one was dropped after it had been answered: this one gets what came first.
                self.stash(order, cqe);
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
            self.stash(order, cqe);
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
