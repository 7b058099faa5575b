//! Direct descriptors: open files and sockets that only the ring knows.

use std::fmt;

use super::fd::SharedFd;
use super::fd::Slot;

/// An open file or socket that only its runtime's ring knows; see [`Registry`](crate::op::Registry).
///
/// It is closed when it is dropped and what is in flight on it has ended. In another runtime, its operations answer
/// `EBADF`.
///
/// # Cancel safety
///
/// As for the same operations of [`File`](crate::fs::File) and of the types of [`net`](crate::net): dropping a read
/// or an accept loses nothing, and what arrives late is kept for the next.
pub struct RegisteredFd {
    pub(in crate::op) fd: SharedFd,
}

impl RegisteredFd {
    pub(in crate::op) fn new(slot: Slot) -> Self {
        RegisteredFd {
            fd: SharedFd::direct(slot),
        }
    }

    /// It is a socket of datagrams.
    pub(in crate::op) fn mark_datagram(&self) {
        self.fd.mark_datagram();
    }
}

impl fmt::Debug for RegisteredFd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RegisteredFd({:?})", self.fd)
    }
}
