//! `IORING_OP_RECV` with multishot and provided buffers: one entry, a whole stream, since kernel 6.0.

use std::io;
use std::rc::Rc;

use crate::driver::Pool;
use crate::op::mechanism::{Multishot, Operation};
use crate::op::resource::{ProvidedBuf, Received, RecvSource, SharedFd, Side};
use crate::sys::{Completion, Entry, RingId, opcode};

/// Receives from a connected socket until the kernel or the user ends it.
pub(crate) struct RecvMulti(RecvSource);

impl RecvMulti {
    pub(crate) fn new(fd: &SharedFd, pool: Rc<Pool>, group: u16) -> Self {
        RecvMulti(RecvSource::new(fd, pool, group))
    }
}

// SAFETY: the entry points to nothing: the kernel writes into buffers of the group, which the pool keeps for as long as
// anything is in flight; the descriptor is counted.
unsafe impl Operation for RecvMulti {
    const CODE: u8 = opcode::RecvMulti::CODE;
    const NAME: &'static str = "recv";
    const BY_SLOT: bool = true;
    const READS: bool = true;
    const KEEPS_TURN: bool = true;
    type Output = ();

    fn turn(&self) -> Option<Side> {
        Some(Side::Read)
    }

    fn has_stashed(&self) -> bool {
        self.0.fd.has_stashed()
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
            Ok(Received::Chunk(chunk)) => self.0.stash(Ok((chunk, None))),
            Ok(_) => {}
            Err(error) => self.0.stash(Err(error)),
        }
    }

    fn end(&self) {
        self.0.end();
    }

    fn group(&self) -> Option<u16> {
        Some(self.0.group)
    }
}
