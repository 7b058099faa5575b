//! `IORING_OP_RECV` with multishot and provided buffers: one entry, a whole stream, since kernel 6.0.

use std::cell::Cell;
use std::fmt;
use std::io;
use std::rc::Rc;
use std::task::{Context, Poll};

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

/// Receives from a connected socket until the kernel or the user ends it.
pub(crate) struct RecvMulti {
    fd: SharedFd,
    pool: Rc<Pool>,
    group: u16,
    /// Arrived for a read before this one, which was dropped.
    late: Cell<Option<Vec<u8>>>,
}

impl RecvMulti {
    pub(crate) fn new(fd: &SharedFd, pool: Rc<Pool>, group: u16) -> Self {
        RecvMulti {
            fd: fd.clone(),
            pool,
            group,
            late: Cell::new(None),
        }
    }
}

/// Takes over the buffer that a completion of an operation on `group` names, with the bytes in it. Called once for it.
pub(super) fn lease(pool: &Rc<Pool>, group: u16, cqe: Completion) -> Option<ProvidedBuf> {
    let id = cqe.buffer()?;
    let len = cqe.raw_result().max(0) as usize;
    // SAFETY: the callers are the operations on provided buffers, with their own pool, group and completions, each of
    // which they read once.
    Some(unsafe { ProvidedBuf::lease(Rc::clone(pool), Lease { group, id }, len) })
}

// SAFETY: the entry points to nothing: the kernel writes into buffers of the group, which the pool keeps for as long as
// anything is in flight; the descriptor is counted.
unsafe impl Operation for RecvMulti {
    const CODE: u8 = opcode::RecvMulti::CODE;
    const BY_SLOT: bool = true;
    type Output = ();

    fn admit(&mut self, cx: &mut Context<'_>) -> Poll<Admission> {
        std::task::ready!(self.fd.take_turn(Side::Read, cx));
        let late = &self.late;
        let kept = self.fd.late_bytes(false, |bytes, _| {
            late.set(Some(bytes.to_vec()));
            bytes.len()
        });
        match kept {
            Some(n) => {
                self.fd.end_turn(Side::Read);
                Poll::Ready(Admission::Answered(n as i32))
            }
            None => Poll::Ready(Admission::Submit),
        }
    }

    fn file(&self) -> Option<&SharedFd> {
        Some(&self.fd)
    }

    fn prepare(&mut self) -> Entry {
        opcode::RecvMulti::new(self.fd.target(), self.group)
            .build()
            .into()
    }

    fn complete(self, _cqe: Completion) {}

    fn leave(&mut self, _cqe: Completion) {
        self.fd.end_turn(Side::Read);
    }
}

// SAFETY: as above; the kernel writes to nothing inside the operation.
unsafe impl Multishot for RecvMulti {
    /// A megabyte at the usual size of a buffer.
    const QUEUED_MAX: u16 = 64;
    type Item = io::Result<Received<ProvidedBuf>>;

    fn next(&self, cqe: Completion) -> Self::Item {
        if let Some(late) = self.late.take() {
            return Ok(Received::Chunk(late.into()));
        }
        // Some kernels name a buffer even with an error: it is given back by its drop.
        let buffer = lease(&self.pool, self.group, cqe);
        match -cqe.raw_result() {
            libc::ENOBUFS => {
                self.pool.ran_dry();
                Ok(Received::Dry)
            }
            libc::ECANCELED => Ok(Received::Stopped),
            _ => {
                let n = cqe.result()?;
                Ok(match buffer {
                    Some(chunk) if n > 0 => Received::Chunk(chunk),
                    // Of an empty datagram there is no buffer either.
                    _ if self.fd.is_datagram() => Received::Chunk(Vec::new().into()),
                    _ => Received::End,
                })
            }
        }
    }

    fn abandon_next(&self, cqe: Completion) {
        if let Ok(Received::Chunk(chunk)) = self.next(cqe) {
            self.fd.keep_bytes(&chunk, None);
        }
    }

    fn group(&self) -> Option<u16> {
        Some(self.group)
    }
}

impl fmt::Debug for RecvMulti {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RecvMulti({:?}, group {})", self.fd, self.group)
    }
}
