//! `IORING_OP_FALLOCATE`: fallocate(2).

use std::io;

use crate::op::mechanism::{Op, Operation};
use crate::op::resource::SharedFd;
use crate::sys::{Completion, Entry, RingId, opcode};

/// Reserves room for a file's bytes.
#[derive(Debug)]
pub struct Fallocate {
    fd: SharedFd,
    offset: u64,
    len: u64,
}

impl Fallocate {
    pub(crate) fn new(fd: &SharedFd, offset: u64, len: u64) -> Op<Self> {
        let fd = fd.clone();
        Op::new(Fallocate { fd, offset, len })
    }
}

// SAFETY: the entry points to nothing; the descriptor is counted.
unsafe impl Operation for Fallocate {
    const CODE: u8 = opcode::Fallocate::CODE;
    const NAME: &'static str = "fallocate";
    const BY_SLOT: bool = true;
    type Output = io::Result<()>;

    fn file(&self) -> Option<&SharedFd> {
        Some(&self.fd)
    }

    fn prepare(&mut self, _ring: RingId) -> Entry {
        opcode::Fallocate::new(self.fd.target(), self.len)
            .offset(self.offset)
            .build()
            .into()
    }

    fn complete(self, cqe: Completion) -> Self::Output {
        cqe.result().map(drop)
    }
}
