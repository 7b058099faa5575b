//! `IORING_OP_RECV` with multishot and provided buffers: one entry, a whole stream, since kernel 6.0.

use std::cell::Cell;
use std::io;
use std::rc::Rc;

use socket2::SockAddr;

use super::late::Order;
use super::{Completion, Entry, Message, Multishot, Operation, Pool, ProvidedBuf, SharedFd, Side};
use crate::driver::Lease;
use crate::sys::{RingId, opcode};

/// When buffers are low, chunks of less than such a part of one are copied out.
const SMALL: usize = 4;

/// What a completion of a multishot receive stands for.
#[derive(Debug)]
pub(crate) enum Received<C> {
    /// Bytes.
    Chunk(C),
    /// The end of the stream.
    End,
    /// There was no buffer; nothing is lost.
    Dry,
    /// The kernel was told to stop.
    Stopped,
}

/// What multishot receives take from: a socket, and a group of provided buffers.
pub(super) struct Source {
    pub(super) fd: SharedFd,
    pool: Rc<Pool>,
    pub(super) group: u16,
    /// Its number among the reads of the socket, once it has the turn, which it keeps until its last item was taken.
    order: Cell<Option<Order>>,
}

impl Source {
    pub(super) fn new(fd: &SharedFd, pool: Rc<Pool>, group: u16) -> Self {
        Source {
            fd: fd.clone(),
            pool,
            group,
            order: Cell::new(None),
        }
    }

    /// The kernel gets it now, and it has the turn.
    pub(super) fn begin(&self) {
        self.order.set(Some(self.fd.next_read()));
    }

    /// Its last item was taken, or nobody is left to take it.
    pub(super) fn end(&self) {
        if self.order.take().is_some() {
            self.fd.end_turn(Side::Read);
        }
    }

    pub(super) fn ring(&self) -> RingId {
        self.pool.ring()
    }

    /// Leaves what came to the next read.
    pub(super) fn keep(&self, received: io::Result<(ProvidedBuf, Option<SockAddr>)>) {
        let Some(order) = self.order.get() else {
            return;
        };
        match received {
            Ok((chunk, from)) => {
                let message = Message {
                    len: chunk.len(),
                    full_len: chunk.len() + chunk.missing(),
                    from,
                };
                self.fd.keep_datagram(order, chunk.to_vec(), message);
            }
            Err(error) => {
                let number = error.raw_os_error().unwrap_or(0);
                self.fd.keep_error(order, -number);
            }
        }
    }

    /// Reads a completion, once: what the kernel wrote, whole, to be made a chunk of by `chunk`.
    pub(super) fn next<C>(
        &self,
        cqe: Completion,
        chunk: impl FnOnce(Option<ProvidedBuf>) -> io::Result<Received<C>>,
    ) -> io::Result<Received<C>> {
        // Some kernels name a buffer even with an error: it is given back by its drop.
        let buffer = self.lease(cqe);
        let cqe = self.fd.or_write_error(cqe);
        match -cqe.raw_result() {
            libc::ENOBUFS => {
                self.pool.count_exhausted();
                Ok(Received::Dry)
            }
            libc::ECANCELED => Ok(Received::Stopped),
            _ => {
                cqe.result()?;
                chunk(buffer)
            }
        }
    }

    /// Takes over the buffer that a completion names, with the bytes in it.
    fn lease(&self, cqe: Completion) -> Option<ProvidedBuf> {
        let (group, id) = (self.group, cqe.buffer()?);
        let full_len = cqe.raw_result().max(0) as usize;
        let len = full_len.min(self.pool.buffer_size());
        // SAFETY: the completion is one of the operation's that this belongs to, on its own group, and is read once.
        let mut chunk =
            unsafe { ProvidedBuf::lease(Rc::clone(&self.pool), Lease { group, id }, len) };
        chunk.set_missing(full_len - len);
        // Whoever keeps a few bytes for long is not to keep a large buffer from others with them.
        if len <= self.pool.buffer_size() / SMALL && self.pool.is_low() {
            return Some(chunk.to_vec().into());
        }
        Some(chunk)
    }
}

/// Receives from a connected socket until the kernel or the user ends it.
pub(crate) struct RecvMulti(Source);

impl RecvMulti {
    pub(crate) fn new(fd: &SharedFd, pool: Rc<Pool>, group: u16) -> Self {
        RecvMulti(Source::new(fd, pool, group))
    }
}

// SAFETY: the entry points to nothing: the kernel writes into buffers of the group, which the pool keeps for as long as
// anything is in flight; the descriptor is counted.
unsafe impl Operation for RecvMulti {
    const CODE: u8 = opcode::RecvMulti::CODE;
    const BY_SLOT: bool = true;
    const READS: bool = true;
    const KEEPS_TURN: bool = true;
    type Output = ();

    fn turn(&self) -> Option<Side> {
        Some(Side::Read)
    }

    fn has_late(&self) -> bool {
        self.0.fd.has_late()
    }

    fn ring(&self) -> Option<RingId> {
        Some(self.0.ring())
    }

    fn file(&self) -> Option<&SharedFd> {
        Some(&self.0.fd)
    }

    fn prepare(&mut self, _ring: RingId) -> Entry {
        self.0.begin();
        // Of a datagram that does not fit the whole length is told.
        let flags = if self.0.fd.is_datagram() {
            libc::MSG_TRUNC
        } else {
            0
        };
        opcode::RecvMulti::new(self.0.fd.target(), self.0.group)
            .flags(flags)
            .build()
            .into()
    }

    fn complete(self, _cqe: Completion) {}
}

// SAFETY: as above; the kernel writes to nothing inside the operation.
unsafe impl Multishot for RecvMulti {
    /// A megabyte at the usual size of a buffer.
    const QUEUED_MAX: u16 = 64;
    type Item = io::Result<Received<ProvidedBuf>>;

    fn next(&self, cqe: Completion) -> Self::Item {
        self.0.next(cqe, |buffer| {
            Ok(match buffer {
                Some(chunk) if !chunk.is_empty() => Received::Chunk(chunk),
                // Of an empty datagram there is no buffer either.
                _ if self.0.fd.is_datagram() => Received::Chunk(Vec::new().into()),
                _ => Received::End,
            })
        })
    }

    fn abandon_next(&self, cqe: Completion) {
        match self.next(cqe) {
            Ok(Received::Chunk(chunk)) => self.0.keep(Ok((chunk, None))),
            Ok(_) => {}
            Err(error) => self.0.keep(Err(error)),
        }
    }

    fn end(&self) {
        self.0.end();
    }

    fn group(&self) -> Option<u16> {
        Some(self.0.group)
    }
}
