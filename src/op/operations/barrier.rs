//! No operation of the kernel's: a place in the queue of a descriptor's reads. When it ends, the kernel is done with what went
//! before.

use std::io;

use crate::op::mechanism::{Op, Operation};
use crate::op::resource::{SharedFd, Side};
use crate::sys::{Completion, Entry, RingId, opcode};

/// Waits for the reads before it, those included that were dropped, and of a file may still move the cursor. It has its turn for no
/// time, and the kernel hears nothing of it, so that one that is dropped keeps nobody waiting.
#[derive(Debug)]
pub(crate) struct Barrier(SharedFd);

impl Barrier {
    /// `None`: there are none.
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

    /// At once, when its turn comes.
    fn early(&mut self) -> Option<i32> {
        Some(0)
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
