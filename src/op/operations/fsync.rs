//! `IORING_OP_FSYNC`: fsync(2) and fdatasync(2).

use std::io;

use crate::op::mechanism::{Op, Operation};
use crate::op::resource::SharedFd;
use crate::sys::{Completion, Entry, RingId, opcode, types};

/// Brings a file's data to the disk.
#[derive(Debug)]
pub struct Fsync {
    fd: SharedFd,
    data_only: bool,
}

impl Fsync {
    pub(crate) fn new(fd: &SharedFd, data_only: bool) -> Op<Self> {
        let fd = fd.clone();
        Op::new(Fsync { fd, data_only })
    }
}

// SAFETY: the entry points to nothing; the descriptor is counted.
unsafe impl Operation for Fsync {
    const CODE: u8 = opcode::Fsync::CODE;
    const NAME: &'static str = "fsync";
    const BY_SLOT: bool = true;
    type Output = io::Result<()>;

    fn file(&self) -> Option<&SharedFd> {
        Some(&self.fd)
    }

    fn prepare(&mut self, _ring: RingId) -> Entry {
        let flags = if self.data_only {
            types::FsyncFlags::DATASYNC
        } else {
            types::FsyncFlags::empty()
        };
        opcode::Fsync::new(self.fd.target())
            .flags(flags)
            .build()
            .into()
    }

    fn complete(self, cqe: Completion) -> Self::Output {
        cqe.result().map(drop)
    }
}
