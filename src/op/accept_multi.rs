//! `IORING_OP_ACCEPT` with multishot: one entry, many connections, since kernel 5.19.

use std::cell::Cell;
use std::io;
use std::os::fd::{FromRawFd, OwnedFd};

use super::fd::Side;
use super::{Completion, Entry, Multishot, Operation, SharedFd};
use crate::sys::opcode;

/// Accepts connections until the kernel or the user ends it.
#[derive(Debug)]
pub struct AcceptMulti {
    fd: SharedFd,
    /// Whether the next accept waits for this one's end, which may bring a connection yet.
    holds_turn: Cell<bool>,
}

impl AcceptMulti {
    pub(crate) fn new(fd: &SharedFd) -> Self {
        AcceptMulti {
            fd: fd.clone(),
            holds_turn: Cell::new(false),
        }
    }
}

// SAFETY: the entry points to nothing (many answers cannot share one address, so none is asked for); the descriptor is
// counted.
unsafe impl Operation for AcceptMulti {
    const CODE: u8 = opcode::AcceptMulti::CODE;
    const BY_SLOT: bool = true;
    type Output = ();

    fn file(&self) -> Option<&SharedFd> {
        Some(&self.fd)
    }

    fn prepare(&mut self) -> Entry {
        opcode::AcceptMulti::new(self.fd.target())
            .flags(libc::SOCK_CLOEXEC)
            .build()
            .into()
    }

    fn complete(self, _cqe: Completion) {}

    fn leave(&mut self, _cqe: Completion) {
        if self.holds_turn.get() {
            self.fd.end_turn(Side::Read);
        }
    }
}

// SAFETY: as above; the kernel writes to no memory of ours.
unsafe impl Multishot for AcceptMulti {
    const QUEUED_MAX: u16 = 1024;
    type Item = io::Result<OwnedFd>;

    fn next(&self, cqe: Completion) -> Self::Item {
        let fd = cqe.result()?;
        // SAFETY: each successful completion gives us a new descriptor, and is read once.
        Ok(unsafe { OwnedFd::from_raw_fd(fd as i32) })
    }

    fn orphan(&self) {
        self.holds_turn.set(self.fd.try_turn(Side::Read));
    }

    fn abandon_next(&self, cqe: Completion) {
        if let Ok(connection) = self.next(cqe) {
            self.fd.keep_connection(connection);
        }
    }
}
