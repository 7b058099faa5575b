//! `IORING_OP_CLOSE`: close(2).

use std::io;
use std::os::fd::{FromRawFd, IntoRawFd, OwnedFd, RawFd};

use super::{Completion, Entry, Operation};
use crate::sys::{opcode, types};

/// Closes a descriptor.
#[derive(Debug)]
pub struct Close {
    fd: RawFd,
    /// Whether the kernel was asked.
    prepared: bool,
}

impl Close {
    pub(crate) fn new(fd: OwnedFd) -> Self {
        Close {
            fd: fd.into_raw_fd(),
            prepared: false,
        }
    }

    /// Takes the descriptor back out of an operation that was never submitted.
    pub(super) fn into_fd(self) -> OwnedFd {
        // SAFETY: `new` took the ownership that is given back here, and nothing has closed it: the operation was not
        // submitted.
        unsafe { OwnedFd::from_raw_fd(self.fd) }
    }
}

// SAFETY: the entry points to nothing; the descriptor is owned by the operation and given up to the kernel.
unsafe impl Operation for Close {
    const CODE: u8 = opcode::Close::CODE;
    type Output = io::Result<()>;

    fn prepare(&mut self) -> Entry {
        self.prepared = true;
        opcode::Close::new(types::Fd(self.fd)).build().into()
    }

    fn complete(self, cqe: Completion) -> Self::Output {
        // Cancelled before it ran, or never submitted: the close did not happen.
        if !self.prepared || cqe.raw_result() == -libc::ECANCELED {
            drop(self.into_fd());
            return Ok(());
        }
        // Whatever else it says, as a file system's flush may, Linux has released the number.
        cqe.result().map(drop)
    }
}
