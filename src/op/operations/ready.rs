//! `IORING_OP_POLL_ADD` on a descriptor of ours: it ends when that is closed.

use std::io;

use crate::op::mechanism::{Op, Operation};
use crate::op::resource::SharedFd;
use crate::sys::{Completion, Entry, RingId, opcode};

/// Waits until a descriptor is ready.
#[derive(Debug)]
pub(crate) struct Ready {
    fd: SharedFd,
    wanted: i16,
}

impl Ready {
    pub(crate) fn read(fd: &SharedFd) -> Op<Self> {
        let fd = fd.clone();
        let wanted = libc::POLLIN;
        Op::new(Ready { fd, wanted })
    }

    pub(crate) fn write(fd: &SharedFd) -> Op<Self> {
        let fd = fd.clone();
        let wanted = libc::POLLOUT;
        Op::new(Ready { fd, wanted })
    }
}

// SAFETY: the entry points to nothing; the descriptor is counted.
unsafe impl Operation for Ready {
    const CODE: u8 = opcode::PollAdd::CODE;
    const NAME: &'static str = "poll";
    /// What was stashed for the next read makes no descriptor ready: it interrupts those that wait.
    const READS: bool = true;
    type Output = io::Result<()>;

    fn early(&mut self) -> Option<i32> {
        (self.wanted == libc::POLLIN && self.fd.has_stashed()).then_some(0)
    }

    fn file(&self) -> Option<&SharedFd> {
        Some(&self.fd)
    }

    fn prepare(&mut self, _ring: RingId) -> Entry {
        opcode::PollAdd::new(self.fd.target(), self.wanted as u32)
            .build()
            .into()
    }

    fn complete(self, cqe: Completion) -> Self::Output {
        cqe.result().map(drop)
    }
}
