//! `IORING_OP_ACCEPT` with multishot: one entry, many connections, since kernel 5.19.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

use super::fd::Side;
use super::{Completion, Entry, Multishot, Operation, SharedFd};
use crate::sys::opcode;

/// Accepts connections until the kernel or the user ends it.
#[derive(Debug)]
pub struct AcceptMulti {
    fd: SharedFd,
    /// Whether the next accept waits for this one's end, which may bring a connection yet.
    holds_turn: bool,
}

impl AcceptMulti {
    pub(crate) fn new(fd: &SharedFd) -> Self {
        AcceptMulti {
            fd: fd.clone(),
            holds_turn: false,
        }
    }
}

// SAFETY: the entry points to nothing (many answers cannot share one address, so none is asked for); the descriptor is
// counted.
unsafe impl Operation for AcceptMulti {
    const CODE: u8 = opcode::AcceptMulti::CODE;
    type Output = ();

    fn prepare(&mut self) -> Entry {
        opcode::AcceptMulti::new(self.fd.target())
            .flags(libc::SOCK_CLOEXEC)
            .build()
            .into()
    }

    fn complete(self, _cqe: Completion) {}

    fn leave(&mut self, _cqe: Completion) {
        if self.holds_turn {
            self.fd.end_turn(Side::Read);
        }
    }
}

// SAFETY: as above; the kernel writes to no memory of ours.
unsafe impl Multishot for AcceptMulti {
    const QUEUED_MAX: u16 = 1024;
    type Item = io::Result<OwnedFd>;

    fn next(&mut self, cqe: Completion) -> Self::Item {
        let fd = cqe.result()?;
        // SAFETY: each successful completion gives us a new descriptor, and is read once.
        Ok(unsafe { OwnedFd::from_raw_fd(fd as i32) })
    }

    fn orphan(&mut self) {
        self.holds_turn = self.fd.try_turn(Side::Read);
    }

    fn abandon_next(&mut self, cqe: Completion) {
        if let Ok(connection) = self.next(cqe) {
            self.fd.keep_connection(connection);
        }
    }

    fn fd(&self) -> RawFd {
        self.fd.as_raw_fd()
    }
}
