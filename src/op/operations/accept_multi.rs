//! `IORING_OP_ACCEPT` with multishot: one entry, many connections, since kernel 5.19.

use std::io;
use std::os::fd::{FromRawFd, OwnedFd};

use socket2::SockRef;

use crate::op::mechanism::{Multishot, Operation};
use crate::op::resource::SharedFd;
use crate::sys::{Completion, Entry, RingId, opcode};

/// Accepts connections until the kernel or the user ends it.
#[derive(Debug)]
pub struct AcceptMulti {
    fd: SharedFd,
}

impl AcceptMulti {
    pub(crate) fn new(fd: &SharedFd) -> Self {
        AcceptMulti { fd: fd.clone() }
    }
}

// SAFETY: the entry points to nothing (many answers cannot share one address, so none is asked for); the descriptor is
// counted.
unsafe impl Operation for AcceptMulti {
    const CODE: u8 = opcode::AcceptMulti::CODE;
    const NAME: &'static str = "accept";
    const BY_SLOT: bool = true;
    const READS: bool = true;
    type Output = ();

    fn file(&self) -> Option<&SharedFd> {
        Some(&self.fd)
    }

    fn prepare(&mut self, _ring: RingId) -> Entry {
        opcode::AcceptMulti::new(self.fd.target())
            .flags(libc::SOCK_CLOEXEC)
            .build()
            .into()
    }

    fn complete(self, _cqe: Completion) {}
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

    fn abandon_next(&self, cqe: Completion) {
        self.fd.accept_ended(cqe);
        if let Ok(connection) = self.next(cqe) {
            // Asked now, because a peer that is gone stashedr has no address any more.
            let from = SockRef::from(&connection).peer_addr().ok();
            self.fd.stash_connection(connection, from);
        }
    }
}
