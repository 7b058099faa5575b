//! `IORING_OP_FTRUNCATE`: ftruncate(2), since kernel 6.9.

use std::io;

use crate::op::mechanism::{Op, Operation};
use crate::op::resource::SharedFd;
use crate::sys::{Completion, Entry, RingId, opcode};

/// Sets a file's length.
#[derive(Debug)]
pub struct Ftruncate {
    fd: SharedFd,
    len: u64,
}

impl Ftruncate {
    pub(crate) fn new(fd: &SharedFd, len: u64) -> Op<Self> {
        let fd = fd.clone();
        Op::new(Ftruncate { fd, len })
    }
}

// SAFETY: the entry points to nothing; the descriptor is counted.
unsafe impl Operation for Ftruncate {
    const CODE: u8 = opcode::Ftruncate::CODE;
    const NAME: &'static str = "ftruncate";
    const BY_SLOT: bool = true;
    type Output = io::Result<()>;

    fn file(&self) -> Option<&SharedFd> {
        Some(&self.fd)
    }

    fn prepare(&mut self, _ring: RingId) -> Entry {
        opcode::Ftruncate::new(self.fd.target(), self.len)
            .build()
            .into()
    }

    fn complete(self, cqe: Completion) -> Self::Output {
        cqe.result().map(drop)
    }
}
