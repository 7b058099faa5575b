//! `IORING_OP_ACCEPT` into the ring's own table.

use std::io;
use std::ptr;

use super::slot::Slot;
use super::{Completion, Entry, Op, Operation, RegisteredFd, SharedFd};
use crate::sys::{RingId, opcode};

/// Accepts a connection as a direct descriptor; made by [`RegisteredFd::accept`].
#[derive(Debug)]
pub struct AcceptDirect {
    fd: SharedFd,
    slot: Slot,
    /// Accepted for an operation before this one, which nobody waited for any more.
    late: Option<Slot>,
}

impl AcceptDirect {
    pub(super) fn new(fd: &SharedFd, slot: Slot) -> Op<Self> {
        Op::new(AcceptDirect {
            fd: fd.clone(),
            slot,
            late: None,
        })
    }
}

// SAFETY: the entry points to nothing; the descriptor is counted.
unsafe impl Operation for AcceptDirect {
    const CODE: u8 = opcode::Accept::CODE;
    const BY_SLOT: bool = true;
    const READS: bool = true;
    type Output = io::Result<RegisteredFd>;

    fn early(&mut self) -> Option<i32> {
        self.late = Some(self.fd.late_slot()?);
        Some(0)
    }

    fn has_late(&self) -> bool {
        self.fd.has_late()
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
        Ok(RegisteredFd::new(match self.late {
            Some(late) => late,
            None => self.slot.fill(),
        }))
    }

    fn abandon(self, cqe: Completion) {
        self.fd.accept_ended(cqe);
        if cqe.result().is_ok() {
            self.fd.keep_slot(match self.late {
                Some(late) => late,
                None => self.slot.fill(),
            });
        }
    }

    fn ring(&self) -> Option<RingId> {
        Some(self.slot.ring())
    }
}
