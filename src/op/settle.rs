//! `IORING_OP_NOP` in the turn of a file's cursor: when it ends, the kernel is done with what went before.

use std::io;

use super::{Completion, Entry, Op, Operation, RingId, SharedFd, Side};
use crate::sys::opcode;

/// Waits for reads and writes by cursor that were dropped, and may still move it.
#[derive(Debug)]
pub(crate) struct Settle(SharedFd);

impl Settle {
    /// `None`: there is nothing to wait for.
    pub(crate) fn new(fd: &SharedFd) -> Option<Op<Self>> {
        (!fd.is_free(Side::Read)).then(|| Op::new(Settle(fd.clone())))
    }
}

// SAFETY: the entry points to nothing.
unsafe impl Operation for Settle {
    const CODE: u8 = opcode::Nop::CODE;
    type Output = io::Result<()>;

    fn turn(&self) -> Option<Side> {
        Some(Side::Read)
    }

    fn file(&self) -> Option<&SharedFd> {
        Some(&self.0)
    }

    fn prepare(&mut self, _ring: RingId) -> Entry {
        opcode::Nop::new().build().into()
    }

    fn complete(self, cqe: Completion) -> Self::Output {
        cqe.result().map(drop)
    }
}
