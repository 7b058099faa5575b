//! `IORING_OP_CLOSE`: close(2).

use std::io;
use std::os::fd::{FromRawFd, IntoRawFd, OwnedFd, RawFd};

use super::{Completion, Entry, Operation};
use crate::sys::{opcode, types};

/// Closes a descriptor.
#[derive(Debug)]
pub struct Close {
    fd: RawFd,
}

impl Close {
    pub(crate) fn new(fd: OwnedFd) -> Self {
        Close {
            fd: fd.into_raw_fd(),
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
        opcode::Close::new(types::Fd(self.fd)).build().into()
    }

    fn complete(self, cqe: Completion) -> Self::Output {
        match cqe.raw_result() {
            // The close did not happen: cancelled before it ran, or never submitted.
            error if matches!(-error, libc::ECANCELED | libc::ENOMEM | libc::EINVAL) => {
                drop(self.into_fd());
                Ok(())
            }
            // Whatever else it says, Linux has released the number.
            _ => cqe.result().map(drop),
        }
    }
}
