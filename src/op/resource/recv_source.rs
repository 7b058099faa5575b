//! What multishot receives take from: a socket, and a group of provided buffers.

use std::cell::Cell;
use std::io;
use std::rc::Rc;

use socket2::SockAddr;

use super::fd::Order;
use super::fd::SharedFd;
use super::fd::Side;
use super::message::Message;
use super::provided::ProvidedBuf;
use crate::driver::{Lease, Pool};
use crate::sys::{Completion, RingId};

/// When buffers are low, chunks of less than such a part of one are copied out.
const SMALL: usize = 4;

/// What a completion of a multishot receive stands for.
#[derive(Debug)]
pub(crate) enum Received<C> {
    /// Bytes.
    Chunk(C),
    /// The end of the stream.
    End,
    /// There was no provided buffer; nothing is lost.
    OutOfBuffers,
    /// The kernel was told to stop.
    Stopped,
}

/// What multishot receives take from: a socket, and a group of provided buffers.
pub(in crate::op) struct RecvSource {
    pub(in crate::op) fd: SharedFd,
    pool: Rc<Pool>,
    pub(in crate::op) group: u16,
    /// Its number among the reads of the socket, once it has the turn, which it keeps until its last item was taken.
    order: Cell<Option<Order>>,
}

impl RecvSource {
    pub(in crate::op) fn new(fd: &SharedFd, pool: Rc<Pool>, group: u16) -> Self {
        RecvSource {
            fd: fd.clone(),
            pool,
            group,
            order: Cell::new(None),
        }
    }

    /// The kernel gets it now, and it has the turn.
    pub(in crate::op) fn begin(&self) {
        self.order.set(Some(self.fd.next_read()));
    }

    /// Its last item was taken, or nobody is left to take it.
    pub(in crate::op) fn end(&self) {
        if self.order.take().is_some() {
            self.fd.end_turn(Side::Read);
        }
    }

    pub(in crate::op) fn ring(&self) -> RingId {
        self.pool.ring()
    }

    /// Leaves what came to the next read.
    pub(in crate::op) fn stash(&self, received: io::Result<(ProvidedBuf, Option<SockAddr>)>) {
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
                self.fd.stash_datagram(order, chunk.to_vec(), message);
            }
            Err(error) => {
                let number = error.raw_os_error().unwrap_or(0);
                self.fd.stash_error(order, -number);
            }
        }
    }

    /// Reads a completion, once: what the kernel wrote, whole, to be made a chunk of by `chunk`.
    pub(in crate::op) fn next<C>(
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
                Ok(Received::OutOfBuffers)
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
