//! `IORING_OP_RECV` with multishot and provided buffers: one entry, a whole stream, since kernel 6.0.

use std::cell::Cell;
use std::fmt;
use std::io;
use std::rc::Rc;
use std::task::{Context, Poll};

use socket2::SockAddr;

use super::fd::Side;
use super::{Admission, Completion, Entry, Multishot, Operation, Pool, ProvidedBuf, SharedFd};
use crate::driver::Lease;
use crate::sys::opcode;

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
    /// Arrived for a read before this one, which was dropped.
    late: Cell<Option<(Vec<u8>, Option<SockAddr>)>>,
}

impl Source {
    pub(super) fn new(fd: &SharedFd, pool: Rc<Pool>, group: u16) -> Self {
        Source {
            fd: fd.clone(),
            pool,
            group,
            late: Cell::new(None),
        }
    }

    /// Takes the turn of reading, or what has arrived late instead.
    pub(super) fn admit(&self, cx: &Context<'_>) -> Poll<Admission> {
        std::task::ready!(self.fd.take_turn(Side::Read, cx));
        let kept = self.fd.late_bytes(false, |bytes, from| {
            self.late.set(Some((bytes.to_vec(), from.cloned())));
            bytes.len()
        });
        Poll::Ready(match kept {
            Some(n) => {
                self.fd.end_turn(Side::Read);
                Admission::Answered(n as i32)
            }
            None => Admission::Submit,
        })
    }

    /// What has arrived late, once, after it was taken.
    pub(super) fn take_late(&self) -> Option<(ProvidedBuf, Option<SockAddr>)> {
        let (bytes, from) = self.late.take()?;
        Some((bytes.into(), from))
    }

    /// Reads a completion, once: what the kernel wrote, whole, to be made a chunk of by `chunk`.
    pub(super) fn next<C>(
        &self,
        cqe: Completion,
        chunk: impl FnOnce(Option<ProvidedBuf>) -> io::Result<Received<C>>,
    ) -> io::Result<Received<C>> {
        // Some kernels name a buffer even with an error: it is given back by its drop.
        let buffer = self.lease(cqe);
        match -cqe.raw_result() {
            libc::ENOBUFS => {
                self.pool.ran_dry();
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
        let len = cqe.raw_result().max(0) as usize;
        // SAFETY: the completion is one of the operation's that this belongs to, on its own group, and is read once.
        Some(unsafe { ProvidedBuf::lease(Rc::clone(&self.pool), Lease { group, id }, len) })
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
    type Output = ();

    fn admit(&mut self, cx: &mut Context<'_>) -> Poll<Admission> {
        self.0.admit(cx)
    }

    fn file(&self) -> Option<&SharedFd> {
        Some(&self.0.fd)
    }

    fn prepare(&mut self) -> Entry {
        opcode::RecvMulti::new(self.0.fd.target(), self.0.group)
            .build()
            .into()
    }

    fn complete(self, _cqe: Completion) {}

    fn leave(&mut self, _cqe: Completion) {
        self.0.fd.end_turn(Side::Read);
    }
}

// SAFETY: as above; the kernel writes to nothing inside the operation.
unsafe impl Multishot for RecvMulti {
    /// A megabyte at the usual size of a buffer.
    const QUEUED_MAX: u16 = 64;
    type Item = io::Result<Received<ProvidedBuf>>;

    fn next(&self, cqe: Completion) -> Self::Item {
        if let Some((late, _)) = self.0.take_late() {
            return Ok(Received::Chunk(late));
        }
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
        if let Ok(Received::Chunk(chunk)) = self.next(cqe) {
            self.0.fd.keep_bytes(&chunk, None);
        }
    }

    fn group(&self) -> Option<u16> {
        Some(self.0.group)
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}, group {}", self.fd, self.group)
    }
}

impl fmt::Debug for RecvMulti {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RecvMulti({:?})", self.0)
    }
}
