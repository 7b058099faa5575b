//! `IORING_OP_ACCEPT` into the ring's own table.

use std::io;
use std::ptr;

use crate::op::mechanism::{Op, Operation};
use crate::op::resource::{RegisteredFd, SharedFd, Slot};
use crate::sys::{Completion, Entry, RingId, opcode};

/// Accepts a connection as a direct descriptor; made by [`RegisteredFd::accept`].
#[derive(Debug)]
pub struct AcceptDirect {
    fd: SharedFd,
    slot: Slot,
    /// Accepted for an operation before this one, which nobody waited for any more.
    stashed: Option<Slot>,
}

impl AcceptDirect {
    pub(in crate::op) fn new(fd: &SharedFd, slot: Slot) -> Op<Self> {
        Op::new(AcceptDirect {
            fd: fd.clone(),
            slot,
            stashed: None,
        })
    }
}

// SAFETY: the entry points to nothing; the descriptor is counted.
unsafe impl Operation for AcceptDirect {
    const CODE: u8 = opcode::Accept::CODE;
    const NAME: &'static str = "accept";
    const BY_SLOT: bool = true;
    const READS: bool = true;
    type Output = io::Result<RegisteredFd>;

    fn early(&mut self) -> Option<i32> {
        self.stashed = Some(self.fd.stashed_slot()?);
        Some(0)
    }

    fn has_stashed(&self) -> bool {
        self.fd.has_stashed()
    }

    fn file(&self) -> Option<&SharedFd> {
        Some(&self.fd)
    }

    fn prepare(&mut self, _ring: RingId) -> Entry {
        opcode::Accept::new(self.fd.target(), ptr::null_mut(), ptr::null_mut())
            .file_index(self.slot.destination())
            .build()
            .into()
    }

    fn complete(self, cqe: Completion) -> Self::Output {
        self.fd.accept_ended(cqe);
        cqe.result()?;
        Ok(RegisteredFd::new(match self.stashed {
            Some(stashed) => stashed,
            None => self.slot.fill(),
        }))
    }

    fn abandon(self, cqe: Completion) {
        self.fd.accept_ended(cqe);
        if cqe.result().is_ok() {
            self.fd.stash_slot(match self.stashed {
                Some(stashed) => stashed,
                None => self.slot.fill(),
            });
        }
    }

    fn ring(&self) -> Option<RingId> {
        Some(self.slot.ring())
    }
}
