//! `IORING_OP_NOP` in the turn of a file's cursor: when it ends, the kernel is done with what went before.

use std::io;

use crate::op::mechanism::{Op, Operation};
use crate::op::resource::{SharedFd, Side};
use crate::sys::{Completion, Entry, RingId, opcode};

/// Waits for reads and writes by cursor that were dropped, and may still move it.
#[derive(Debug)]
pub(crate) struct Barrier(SharedFd);

impl Barrier {
    /// `None`: there is nothing to wait for.
    pub(crate) fn new(fd: &SharedFd) -> Option<Op<Self>> {
        (!fd.is_free(Side::Read)).then(|| Op::new(Barrier(fd.clone())))
    }
}

// SAFETY: the entry points to nothing.
unsafe impl Operation for Barrier {
    const CODE: u8 = opcode::Nop::CODE;
    const NAME: &'static str = "nop";
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
