//! `IORING_OP_FIXED_FD_INSTALL`: an ordinary descriptor for a direct one, since kernel 6.8.

use std::io;
use std::os::fd::{FromRawFd, OwnedFd};

use crate::op::mechanism::{Op, Operation};
use crate::op::resource::SharedFd;
use crate::sys::{Completion, Entry, RingId, opcode, types};

/// Makes an ordinary descriptor, closed on exec.
#[derive(Debug)]
pub(in crate::op) struct Install {
    fd: SharedFd,
}

impl Install {
    pub(in crate::op) fn new(fd: &SharedFd) -> Op<Self> {
        Op::new(Install { fd: fd.clone() })
    }
}

// SAFETY: the entry points to nothing; the descriptor is counted.
unsafe impl Operation for Install {
    const CODE: u8 = opcode::FixedFdInstall::CODE;
    const NAME: &'static str = "fixed_fd_install";
    const BY_SLOT: bool = true;
    type Output = io::Result<OwnedFd>;

    fn file(&self) -> Option<&SharedFd> {
        Some(&self.fd)
    }

    fn prepare(&mut self, _ring: RingId) -> Entry {
        // The slot itself is set when the entry is submitted.
        let fd = types::Fixed(self.fd.target().0 as u32);
        opcode::FixedFdInstall::new(fd, 0).build().into()
    }

    fn complete(self, cqe: Completion) -> Self::Output {
        let fd = cqe.result()?;
        // SAFETY: success gives us a new descriptor, and this is the only place that hears of it.
        Ok(unsafe { OwnedFd::from_raw_fd(fd as i32) })
    }
}
