//! `IORING_OP_ACCEPT` into the ring's own table.

use std::io;
use std::ptr;
use std::task::{Context, Poll};

use super::fd::Side;
use super::slot::Slot;
use super::{Admission, Completion, Entry, Op, Operation, RegisteredFd, SharedFd};
use crate::sys::opcode;

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
    type Output = io::Result<RegisteredFd>;

    fn admit(&mut self, cx: &mut Context<'_>) -> Poll<Admission> {
        std::task::ready!(self.fd.take_turn(Side::Read, cx));
        self.late = self.fd.late_slot();
        if self.late.is_some() {
            self.fd.end_turn(Side::Read);
            return Poll::Ready(Admission::Answered(0));
        }
        Poll::Ready(Admission::Submit)
    }

    fn has_late(&self) -> bool {
        self.fd.has_late()
    }

    fn file(&self) -> Option<&SharedFd> {
        Some(&self.fd)
    }

    fn prepare(&mut self) -> Entry {
        opcode::Accept::new(self.fd.target(), ptr::null_mut(), ptr::null_mut())
            .file_index(self.slot.destination())
            .build()
            .into()
    }

    fn complete(self, cqe: Completion) -> Self::Output {
        cqe.result()?;
        Ok(RegisteredFd::new(match self.late {
            Some(late) => late,
            None => self.slot.fill(),
        }))
    }

    fn abandon(self, cqe: Completion) {
        if cqe.result().is_ok() {
            self.fd.keep_slot(match self.late {
                Some(late) => late,
                None => self.slot.fill(),
            });
        }
    }

    fn leave(&mut self, _cqe: Completion) {
        self.fd.end_turn(Side::Read);
    }
}
